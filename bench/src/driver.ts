/**
 * Runs every peer once a round, each time in a fresh server process and a fresh client process, and reports.
 */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { appendFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs"
import { cpus } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import type { Role, ToDriver, ToWorker } from "./messages.ts"
import type { Options, Scenario } from "./scenario.ts"
import { scenarios } from "./scenarios/index.ts"
import { type Run, table } from "./table.ts"

const bench = fileURLToPath(new URL("..", import.meta.url))
const bundle = (peer: string) => join(bench, "dist", `${peer}.js`)
const allPeers = readdirSync(join(bench, "src/peers")).map((file) => file.replace(/\.ts$/, ""))

const { values: flags } = parseArgs({
  options: {
    "scenarios": { type: "string", default: scenarios.map(({ name }) => name).join() },
    "peers": { type: "string", default: allPeers.join() },
    "concurrency": { type: "string", default: "64" },
    "rounds": { type: "string", default: "5" },
    "seconds": { type: "string", default: "2" },
    "warmup": { type: "string", default: "1" },
    "out": { type: "string", default: "results/latest" },
    "untraced": { type: "boolean", default: false },
    "cpu-prof": { type: "boolean", default: false }
  }
})

const choose = <A>(flag: string, names: string, find: (name: string) => A | undefined): Array<A> =>
  names.split(",").map((name) => {
    const found = find(name)
    if (found === undefined) throw new Error(`--${flag}: there is no ${name}`)
    return found
  })
const number = (flag: string, text: string, minimum: number) => {
  const value = Number(text)
  if (!(value >= minimum)) throw new Error(`--${flag}: ${text} is not a number from ${minimum} up`)
  return value
}

const chosenScenarios = choose("scenarios", flags.scenarios, (name) => scenarios.find((one) => one.name === name))
const chosenPeers = choose("peers", flags.peers, (name) => allPeers.find((peer) => peer === name))
const concurrencies = flags.concurrency.split(",").map((text) => number("concurrency", text, 1))
const rounds = number("rounds", flags.rounds, 1)
const seconds = number("seconds", flags.seconds, 0.1)
const warmup = number("warmup", flags.warmup, 0)
const out = join(bench, flags.out)
mkdirSync(dirname(out), { recursive: true })

const start = (peer: string, role: Role) =>
  fork(bundle(peer), [JSON.stringify(role)], {
    stdio: ["ignore", 2, 2, "ipc"],
    env: { ...process.env, BENCH_UNTRACED: flags.untraced ? "1" : "0" }
  })

const heard = <T extends ToDriver["type"]>(child: ChildProcess, type: T) =>
  new Promise<Extract<ToDriver, { readonly type: T }>>((resolve) => {
    child.on("message", (message: ToDriver) => {
      if (message.type === type) resolve(message as Extract<ToDriver, { readonly type: T }>)
    })
  })

const send = (child: ChildProcess, message: ToWorker) => child.send(message)

/** Workers exit once their channel is closed. */
const stop = async (child: ChildProcess) => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, "exit")
  const timer = setTimeout(() => child.kill("SIGKILL"), 2000)
  if (child.connected) child.disconnect()
  await exited
  clearTimeout(timer)
}

const titles = new Map<string, string>()

const runOnce = async (round: number, scenario: Scenario, peer: string, options: Options): Promise<Run> => {
  const children: Array<ChildProcess> = []
  const profile = (side: string) =>
    flags["cpu-prof"] ? `${out}-${scenario.name}-${options.concurrency}-${peer}-${side}-${round}.cpuprofile` : undefined
  let fail!: (error: Error) => void
  const failed = new Promise<never>((_, reject) => fail = reject)
  const timer = setTimeout(() => fail(new Error("no result in time")), (warmup + seconds + 60) * 1000)
  const launch = (side: string, role: Role) => {
    const child = start(peer, role)
    children.push(child)
    child.once("exit", (code, signal) => fail(new Error(`the ${side} ended early: ${signal ?? code}`)))
    return child
  }

  const measure = async (): Promise<Run> => {
    const server = launch("server", { side: "server", cpuProfile: profile("server") })
    const began = heard(server, "began")
    const usage = heard(server, "usage")
    const { port, title } = await heard(server, "ready")
    titles.set(peer, title)

    const role = { side: "client", cpuProfile: profile("client"), port, scenario: scenario.name, options } as const
    const client = launch("client", role)
    const end = heard(client, "end")
    const result = heard(client, "result")
    await heard(client, "begin")
    send(server, "begin")
    await began
    send(client, "begin")
    await end
    send(server, "end")

    const { count, cpu, metrics, seconds } = await result
    const { name, per } = scenario.unit
    const scale = per / count
    return {
      scenario: scenario.name,
      concurrency: options.concurrency,
      peer,
      round,
      metrics: {
        [`${name}/s`]: count / seconds,
        ...metrics,
        [`client CPU s/${per} ${name}`]: cpu * scale,
        [`server CPU s/${per} ${name}`]: (await usage).cpu * scale
      }
    }
  }

  try {
    return await Promise.race([measure(), failed])
  } catch (cause) {
    throw new Error(`${peer}, ${scenario.name}, ${options.concurrency} in flight`, { cause })
  } finally {
    clearTimeout(timer)
    await Promise.all(children.map(stop))
  }
}

const missing = chosenPeers.filter((peer) => !existsSync(bundle(peer)))
const peers = chosenPeers.filter((peer) => !missing.includes(peer))
const runs: Array<Run> = []
writeFileSync(`${out}.jsonl`, "")

for (let round = 1; round <= rounds; round++) {
  for (const scenario of chosenScenarios) {
    for (const concurrency of concurrencies) {
      for (let i = 0; i < peers.length; i++) {
        // Another peer goes first in each round
        const peer = peers[(i + round - 1) % peers.length]!
        const run = await runOnce(round, scenario, peer, { concurrency, warmup, seconds })
        runs.push(run)
        const line = { ...run, node: process.version, tracing: !flags.untraced, time: new Date().toISOString() }
        appendFileSync(`${out}.jsonl`, JSON.stringify(line) + "\n")
        const [name, value] = Object.entries(run.metrics)[0]!
        console.error(`round ${round}/${rounds} ${scenario.name} ${concurrency} ${peer}: ${Math.round(value)} ${name}`)
      }
    }
  }
}

const report = [
  `Node.js ${process.version}, ${process.platform} ${process.arch}, ${cpus().length} × ${cpus()[0]?.model.trim()};` +
  ` medians of ${rounds} × ${seconds} s after ${warmup} s of warm-up; Effect's tracing ${
    flags.untraced ? "switched off" : "as it is by default"
  }`,
  ...chosenScenarios.flatMap((scenario) =>
    concurrencies.map((concurrency) =>
      `### ${scenario.name}: ${scenario.title}, ${concurrency} in flight\n\n` +
      table(peers, runs.filter((run) => run.scenario === scenario.name && run.concurrency === concurrency))
    )
  ),
  peers.map((peer) => `- ${peer}: ${titles.get(peer)}`).join("\n")
].join("\n\n") + "\n"

writeFileSync(`${out}.md`, report)
console.log(report)

if (missing.length > 0) {
  console.error(`not measured, as the build failed: ${missing.join(", ")}`)
  process.exitCode = 1
}
