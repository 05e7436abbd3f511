/**
 * One run: a peer in a scenario, in a fresh server process and a fresh client process.
 */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { bundle, settings } from "./flags.ts"
import { watch } from "./machine.ts"
import type { Delay, Role, ToDriver, ToWorker, Usage } from "./messages.ts"
import type { Measured, Scenario, Variant } from "./scenario.ts"

export interface Task {
  readonly scenario: Scenario
  readonly variant: Variant
  readonly peer: string
  readonly round: number
}

export interface Outcome {
  readonly title: string
  /** What the peer can do. */
  readonly operations: ReadonlyArray<string>
  /** Nothing where the peer can't do what the scenario needs. The first one is what peers are compared by. */
  readonly metrics: Readonly<Record<string, number>> | undefined
  /** Share of the machine that other processes had meanwhile. */
  readonly others: number
}

const start = (program: string, role: Role | Delay, { scenario, variant }: Task) =>
  fork(bundle(program), [JSON.stringify(role)], {
    stdio: ["ignore", 2, 2, "ipc"],
    // Elsewhere collections between warm-up and window would cost peers what they have warmed up
    execArgv: scenario.memory === "left" ? ["--expose-gc"] : [],
    env: {
      ...process.env,
      BENCH_UNTRACED: settings.tracing ? "0" : "1",
      WS_NO_BUFFER_UTIL: variant.bufferutil === true ? "" : "1"
    }
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

const profile = ({ peer, round, scenario, variant }: Task, side: string) =>
  settings.cpuProfiles
    ? `${settings.out}-${scenario.name}-${variant.label.replace(/\W+/g, "-")}-${peer}-${side}-${round}.cpuprofile`
    : undefined

const mebibytes = (bytes: number) => bytes / 1024 ** 2

const metricsOf = (
  { memory, unit }: Scenario,
  { count, metrics, ...measured }: Measured,
  client: Usage,
  server: Usage
) => {
  if (count === 0) throw new Error("nothing ended in time")
  const { name, per } = unit
  const scale = per / count
  return {
    [`${name}/s`]: count / (measured.seconds ?? client.seconds),
    ...metrics,
    [`client CPU s/${per} ${name}`]: client.cpu * scale,
    [`server CPU s/${per} ${name}`]: server.cpu * scale,
    ...(memory === "peak" && {
      "client peak RSS +MiB": mebibytes(client.peak),
      "server peak RSS +MiB": mebibytes(server.peak)
    }),
    ...(memory === "left" && { [`server RSS KiB/${name.slice(0, -1)}`]: server.left / 1024 / count })
  }
}

export const runOnce = async (task: Task): Promise<Outcome> => {
  const { peer, scenario, variant } = task
  const { scale, seconds, warmup } = settings
  const children: Array<ChildProcess> = []
  let fail!: (error: Error) => void
  const failed = new Promise<never>((_, reject) => fail = reject)
  const timer = setTimeout(() => fail(new Error("no result in time")), (warmup + seconds + 180) * 1000)
  const launch = (name: string, program: string, role: Role | Delay) => {
    const child = start(program, role, task)
    children.push(child)
    child.once("exit", (code, signal) => fail(new Error(`the ${name} ended early: ${signal ?? code}`)))
    return child
  }

  const measure = async (): Promise<Outcome> => {
    const server = launch("server", peer, { side: "server", cpuProfile: profile(task, "server") })
    const began = heard(server, "began")
    const used = heard(server, "usage")
    const ready = await heard(server, "ready")
    const { port } = scenario.delay === undefined
      ? ready
      : await heard(launch("delay", "delay", { port: ready.port, milliseconds: scenario.delay }), "ready")

    const client = launch("client", peer, {
      side: "client",
      cpuProfile: profile(task, "client"),
      port,
      scenario: scenario.name,
      options: { ...variant, scale, seconds, warmup }
    })
    const end = heard(client, "end")
    const result = heard(client, "result")
    const begin = heard(client, "begin")
    const { operations } = await heard(client, "connected")
    if (!scenario.needs.every((need) => operations.includes(need))) {
      return { title: ready.title, operations, metrics: undefined, others: 0 }
    }
    await begin
    send(server, "begin")
    await began
    const othersSince = watch()
    send(client, "begin")
    await end
    send(server, "end")

    const { usage: ofServer } = await used
    const { measured, usage: ofClient } = await result
    const metrics = metricsOf(scenario, measured, ofClient, ofServer)
    return { title: ready.title, operations, metrics, others: othersSince(ofClient.cpu + ofServer.cpu) }
  }

  try {
    return await Promise.race([measure(), failed])
  } finally {
    clearTimeout(timer)
    await Promise.all(children.map(stop))
  }
}
