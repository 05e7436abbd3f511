/**
 * Many devices that are called in a loop while links are cut, devices and hubs are killed and restarted: every call ends,
 * its outcome is true against what the devices have written down, and memory does not grow.
 *
 * `ENDURANCE_DEVICES=2000 ENDURANCE_SECONDS=600 npx vitest run endurance` is the long form.
 */
import { assert, describe, it } from "@effect/vitest"
import * as FaultProxy from "effect-swaggersocket/testing/FaultProxy"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { MiB } from "../support/bodies.ts"
import type { Message } from "../support/child.ts"
import { extent } from "../support/extent.ts"
import { type Child, fork } from "../support/fork.ts"
import { report, round } from "../support/measurements.ts"
import type { Others } from "./children/enduranceDevices.ts"
import type { Figures } from "./children/enduranceHub.ts"
import { Random, seed } from "./random.ts"

const wanted = extent("ENDURANCE_DEVICES", 80, 400)
const seconds = extent("ENDURANCE_SECONDS", 12, 120)
/** A device is called this often. */
const intervalMillis = 1000
/** One process for each so many devices of a hub; the first of them is never killed. */
const processes = 4
const perProcess = Math.max(1, Math.round(wanted / 2 / processes))
/** Of each of the two hubs. */
const devices = perProcess * processes

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(path.join(os.tmpdir(), "swaggersocket-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

/** A process that can be killed and started again. */
class Restartable {
  child: Child | undefined = undefined
  starts = 0
  #scope: Scope.Closeable | undefined = undefined
  readonly #start: (count: number) => Effect.Effect<Child, never, Scope.Scope>

  constructor(start: (count: number) => Effect.Effect<Child, never, Scope.Scope>) {
    this.#start = start
  }

  get start(): Effect.Effect<Child> {
    return Effect.gen({ self: this }, function*() {
      this.#scope = yield* Scope.make()
      return this.child = yield* Scope.provide(this.#start(this.starts++), this.#scope)
    })
  }

  /** Kills the process, unless it has ended, with the given signal, and waits for its end. */
  stop(signal: NodeJS.Signals): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { process } = this.child!
      return Effect.andThen(
        Effect.callback<void>((resume) => {
          if (process.exitCode !== null || process.signalCode !== null) return resume(Effect.void)
          process.once("exit", () => resume(Effect.void))
          process.kill(signal)
        }),
        Scope.close(this.#scope!, Exit.void)
      )
    })
  }
}

interface Sample {
  readonly second: number
  readonly rss: number
  readonly heap: number
  readonly connections: number
  readonly stallMillis: number
}

/** A hub with its devices behind a proxy. */
const site = Effect.fnUntraced(function*(name: string, folder: string) {
  let port = 0
  const hub = new Restartable((count) =>
    fork(new URL("children/enduranceHub.ts", import.meta.url), [
      String(port),
      path.join(folder, `${name}.calls`),
      `${name}${count}`,
      String(intervalMillis)
    ])
  )
  const listening = Effect.gen(function*() {
    const child = yield* hub.start
    const { url } = yield* child.hear<Message & { readonly type: "listening"; readonly url: string }>("listening")
    port = Number(new URL(url).port)
    return url
  })
  const url = yield* listening
  const proxy = yield* FaultProxy.make({ target: url })
  const fleet = Array.from(
    { length: processes },
    (_, index) =>
      new Restartable(() =>
        fork(new URL("children/enduranceDevices.ts", import.meta.url), [
          proxy.url,
          String(perProcess),
          path.join(folder, `${name}${index}.executions`)
        ])
      )
  )
  for (const process of fleet) yield* (yield* process.start).hear("started")
  yield* Effect.addFinalizer(() =>
    Effect.forEach([...fleet, hub], (process) => process.stop("SIGKILL"), { concurrency: "unbounded" })
  )
  return { hub, listening, proxy, fleet }
})

type Site = Effect.Success<ReturnType<typeof site>>

/** What happens to a site, until the time is over. */
const disturb = Effect.fnUntraced(
  function*({ fleet, hub, listening, proxy }: Site, random: Random, until: number, restarts: boolean) {
    const counts = { cut: 0, deviceKilled: 0, hubKilled: 0, hubRestarted: 0 }
    const left = () => until - performance.now()
    // A hub is restarted ten times in the whole time, processes of devices more often.
    let nextKill = performance.now() + seconds * 50
    let nextRestart = performance.now() + seconds * 100
    while (left() > 0) {
      yield* Effect.sleep(random.int(1000))
      for (const link of proxy.links) {
        if (!random.chance(0.03)) continue
        link.strike({ _tag: "cut", how: random.pick(["reset", "end"]) })
        counts.cut++
      }
      if (performance.now() > nextKill) {
        nextKill += seconds * 50
        const process = fleet[1 + random.int(processes - 1)]!
        yield* process.stop("SIGKILL")
        yield* (yield* process.start).hear("started")
        counts.deviceKilled++
      }
      if (restarts && performance.now() > nextRestart) {
        nextRestart += seconds * 100
        const killed = random.chance(0.5)
        yield* hub.stop(killed ? "SIGKILL" : "SIGTERM")
        yield* listening
        counts[killed ? "hubKilled" : "hubRestarted"]++
      }
    }
    return counts
  }
)

/** What a hub tells of itself each second, until it is stopped. */
const sample = Effect.fnUntraced(function*(hub: Restartable, into: Array<Sample>, since: number) {
  const child = hub.child!
  while (true) {
    const { connections, heap, stallMillis } = yield* child.hear<Figures>("figures")
    into.push({
      second: round((performance.now() - since) / 1000),
      rss: child.rss(),
      heap,
      connections,
      stallMillis
    })
  }
})

/** The devices of a site that are not connected, and why. */
const whoIsMissing = ({ fleet }: Site) =>
  Effect.map(
    Effect.forEach(fleet, ({ child }) =>
      Effect.andThen(
        child!.tell({ type: "how" }),
        Effect.map(child!.hear<Others>("others"), ({ others }) => others)
      )),
    (others) => `not back within a minute: ${others.flat().join("; ")}`
  )

/** What callers were told, held against what was executed. */
const judge = (folder: string, steady: string) => {
  const executions = new Map<string, number>()
  const outcomes: Record<string, number> = {}
  const lies: Array<string> = []
  const started = new Set<string>()
  const lines = (suffix: string) =>
    readdirSync(folder).filter((name) => name.endsWith(suffix)).flatMap((name) =>
      readFileSync(path.join(folder, name), "utf8").trimEnd().split("\n")
    )
  for (const id of lines(".executions")) executions.set(id, (executions.get(id) ?? 0) + 1)
  for (const line of lines(".calls")) {
    const [kind, id, outcome] = line.split(" ") as [string, string, string]
    if (kind === "s") {
      started.add(id)
      continue
    }
    started.delete(id)
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
    const times = executions.get(id) ?? 0
    const isTrue = outcome === "ok"
      ? times === 1
      : outcome === "not-sent" || outcome === "not-processed"
      ? times === 0
      : times <= 1 && (outcome === "unknown" || outcome === "interrupted")
    if (!isTrue) lies.push(`${id}: ${outcome}, executed ${times} times`)
  }
  return { outcomes, lies, executed: executions.size, open: [...started].filter((id) => id.startsWith(steady)) }
}

const averageMiB = (samples: ReadonlyArray<Sample>, of: "heap" | "rss") =>
  round(samples.reduce((sum, one) => sum + one[of], 0) / samples.length / MiB)

describe("endurance", () => {
  it.live(
    `${devices} devices on each of two hubs survive ${seconds} s of cuts, kills and restarts, FAULTS_SEED=${seed}`,
    (context) =>
      Effect.gen(function*() {
        const begun = performance.now()
        // A long run tells how far it has come.
        const tell = (what: string) => console.log(`${((performance.now() - begun) / 1000).toFixed(0)} s: ${what}`)
        const folder = yield* temporaryFolder
        const random = new Random(seed)
        const [steady, restarted] = [yield* site("a", folder), yield* site("b", folder)]
        tell("all processes are started")
        const samples: Array<Sample> = []
        const since = performance.now()
        const sampling = yield* Effect.forkScoped(sample(steady.hub, samples, since))
        const until = since + seconds * 1000
        const [atSteady, atRestarted] = yield* Effect.all([
          disturb(steady, random, until, false),
          disturb(restarted, random, until, true)
        ], { concurrency: 2 })
        // The network is whole again: all are back within the longest delay between two attempts, and every call ends.
        const whole = performance.now()
        const before = samples.length
        tell(`the network is whole, ${samples.at(-1)?.connections} are connected`)
        while ((samples.at(-1)?.connections ?? 0) < devices || samples.at(-1)!.second * 1000 < whole - since) {
          // The hub tells of itself each second, or later if it is kept from running.
          if (samples.length - before > 60) assert.fail(yield* whoIsMissing(steady))
          assert.isUndefined(sampling.pollUnsafe(), "the hub has ended")
          yield* Effect.sleep(250)
        }
        const backMillis = round(performance.now() - whole)
        tell("all are back")
        yield* Effect.sleep(3000)
        yield* Effect.forEach([steady, restarted], ({ hub }) => hub.stop("SIGTERM"), { concurrency: 2 })
        tell("the hubs have stopped")
        const { executed, lies, open, outcomes } = judge(folder, "a")
        const settled = samples.filter(({ second }) => second > Math.min(10, seconds / 4) && second < seconds)
        const tenth = Math.max(1, Math.floor(settled.length / 10))
        const parts = Array.from({ length: 10 }, (_, index) => settled.slice(index * tenth, (index + 1) * tenth))
          .filter((part) => part.length > 0)
        const [part, lastPart] = [parts[0]!, parts.at(-1)!]
        report(context, {
          outcomes,
          executed,
          faults: [atSteady, atRestarted],
          backMillis,
          // Of each tenth of the time.
          rssMiB: parts.map((each) => averageMiB(each, "rss")),
          heapMiB: parts.map((each) => averageMiB(each, "heap")),
          longestStallMillis: round(Math.max(...samples.map(({ stallMillis }) => stallMillis)))
        })
        assert.deepStrictEqual(lies.slice(0, 20), [])
        assert.deepStrictEqual(open.slice(0, 20), [], "calls that never ended")
        assert.isAbove(outcomes.ok ?? 0, 2 * devices)
        assert.isAtMost(averageMiB(lastPart, "rss"), averageMiB(part, "rss") * 1.5 + 50)
      }),
    (seconds * 1.5 + 300) * 1000
  )
})
