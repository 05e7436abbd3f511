/**
 * How a process talks with the driver.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { join } from "node:path"
import { Caller } from "./caller.ts"
import { cuts, cutSome, watchSockets } from "./links.ts"
import type { Figures, Role, ToChild, ToDriver } from "./messages.ts"
import { pace, sustained } from "./pace.ts"
import { RecordFile } from "./records.ts"
import { Watch } from "./watch.ts"

/** What a process does, made in a scope that closes when the process is to end. */
export interface Program {
  readonly url: string
  /** Makes some calls. */
  readonly act: (times: number) => void
  readonly connections: () => number
  readonly counts: Readonly<Record<string, number>>
  /** Starts what else goes on; stops it. */
  readonly disturb?: () => () => void
}

export interface Tools {
  readonly caller: Caller
  readonly executions: RecordFile
}

/** A process that takes longer to end says what it is waiting for. */
const slowMillis = 45_000

const tell = (message: ToDriver): void => void process.send?.(message)

/** Runs until SIGTERM, or until the driver is gone. */
export const main = <R extends Role>(
  make: (role: R, tools: Tools) => Effect.Effect<Program, unknown, Scope.Scope>
): void => {
  const role = JSON.parse(process.argv[2]!) as R
  process.on("disconnect", () => process.exit(1))
  // The driver may have gone before this one listened.
  if (!process.connected) process.exit(1)
  watchSockets()
  const watch = new Watch()
  const caller = new Caller(role.number, new RecordFile(join(role.folder, `${role.number}.outcomes`)), watch)
  const executions = new RecordFile(join(role.folder, `${role.number}.executions`))
  Effect.runPromise(Effect.gen(function*() {
    const leaving = yield* Deferred.make<void>()
    process.once("SIGTERM", () => Deferred.doneUnsafe(leaving, Effect.void))
    const scope = yield* Scope.make()
    const program = yield* Scope.provide(make(role, { caller, executions }), scope)
    const stop = hear(role, program, watch, caller)
    tell({ type: "ready", url: program.url })
    yield* Deferred.await(leaving)
    stop()
    let phase = "closes its layers"
    setInterval(() => console.log(`still ${phase}; calls open: ${caller.open}`), slowMillis)
    yield* Scope.close(scope, Exit.void)
    // What this end has closed has an end for its callers, too.
    phase = "waits for calls that have no end"
    yield* caller.settle
    process.exit(0)
  })).catch((error: unknown) => {
    console.error(error)
    process.exit(1)
  })
}

/** Does what the driver says; what it gives stops it. */
const hear = (role: Role, program: Program, watch: Watch, caller: Caller): () => void => {
  let stops: ReadonlyArray<() => void> = []
  const rate = sustained(role.rate)
  const stop = () => {
    for (const each of stops) each()
    stops = []
  }
  const figures = (collect: boolean): Figures =>
    watch.take(collect, {
      connections: program.connections(),
      made: caller.made,
      open: caller.open,
      counts: { ...program.counts, ...cuts }
    })
  process.on("message", (message) => {
    const heard = message as ToChild
    if (heard.type === "call") {
      stop()
      stops = [
        pace(rate, program.act),
        pace(() => role.cuts, (count) => cutSome(count, role.silence)),
        ...(program.disturb ? [program.disturb()] : [])
      ]
    } else if (heard.type === "measure") tell({ type: "figures", figures: figures(heard.collect) })
    else {
      stop()
      Effect.runFork(
        Effect.map(caller.settle, () => tell({ type: "stopped", made: caller.made, open: caller.open }))
      )
    }
  })
  return stop
}
