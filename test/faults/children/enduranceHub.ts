/**
 * A hub that calls each of its devices in a loop and writes what it was told of each call into a file:
 * `enduranceHub.ts <port> <log> <incarnation> <millis between two calls of a device>`.
 *
 * Lines of the log: `s ID` when a call starts, `r ID OUTCOME` when it has ended.
 */
import * as ApiClient from "effect-swaggersocket/ApiClient"
import type * as Connection from "effect-swaggersocket/Connection"
import { outcomeOf } from "effect-swaggersocket/SwaggerSocketError"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpBody from "effect/http/HttpBody"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { openSync, writeSync } from "node:fs"
import { main, type Message, tell } from "../../support/child.ts"
import { Hub, layerHub, socketUrl } from "../../support/connections.ts"
import { heapBytes } from "../../support/measurements.ts"

const [port, log, incarnation, interval] = process.argv.slice(2)
const file = openSync(log!, "a")
const write = (line: string) => Effect.sync(() => writeSync(file, `${line}\n`))

/** A call that takes longer counts as hanging: more than the time to resume and the time to notice a dead device. */
const deadline = "60 seconds"

let calls = 0

const callOnce = Effect.fnUntraced(function*(connection: Connection.Connection) {
  const id = `${incarnation}-${calls++}`
  yield* write(`s ${id}`)
  const exit = yield* ApiClient.make(connection).post(`/run/${id}`, { body: HttpBody.text(id) }).pipe(
    Effect.flatMap((response) => response.text),
    Effect.timeoutOrElse({ duration: deadline, orElse: () => Effect.succeed("hangs") }),
    Effect.exit
  )
  const outcome = Exit.isSuccess(exit)
    ? exit.value === `done ${id}` ? "ok" : exit.value === "hangs" ? "hangs" : "wrong"
    : Cause.hasInterruptsOnly(exit.cause)
    ? "interrupted"
    : outcomeOf(Cause.squash(exit.cause)) ?? `none:${JSON.stringify(String(Cause.squash(exit.cause)))}`
  yield* write(`r ${id} ${outcome}`)
})

main(Effect.gen(function*() {
  const scope = yield* Scope.make()
  const services = yield* Scope.provide(
    Layer.build(layerHub({ port: Number(port), limits: { resumeWindow: "10 seconds", drainTimeout: "5 seconds" } })),
    scope
  )
  const hub = yield* Effect.provide(Hub, services)
  const leaving = yield* Deferred.make<void>()
  process.once("SIGTERM", () => Deferred.doneUnsafe(leaving, Effect.void))
  const called = new Set<string>()
  yield* Effect.forkScoped(Stream.runForEach(hub.changes, (connections) =>
    Effect.forEach(connections, (connection) => {
      if (called.has(connection.id)) return Effect.void
      called.add(connection.id)
      return Effect.forkScoped(Effect.gen(function*() {
        let isOpen = true
        while (isOpen) {
          yield* callOnce(connection)
          isOpen = yield* Effect.raceFirst(
            Effect.as(connection.closed, false),
            Effect.as(Effect.sleep(Number(interval) * (0.5 + Math.random())), true)
          )
        }
        called.delete(connection.id)
      }))
    }, { discard: true })))
  yield* tell({ type: "listening", url: yield* Effect.provide(socketUrl, services) })
  let longest = 0
  let last = performance.now()
  yield* Effect.forkScoped(Effect.forever(Effect.gen(function*() {
    yield* Effect.sleep(20)
    const now = performance.now()
    longest = Math.max(longest, now - last - 20)
    last = now
  })))
  yield* Effect.forkScoped(Effect.forever(Effect.gen(function*() {
    yield* Effect.sleep("1 second")
    const connections = yield* hub.connections
    yield* tell<Figures>({ type: "figures", connections: connections.length, heap: heapBytes(), stallMillis: longest })
    longest = 0
  })))
  yield* Deferred.await(leaving)
  yield* Scope.close(scope, Exit.void)
  process.exit(0)
}))

export interface Figures extends Message {
  readonly type: "figures"
  readonly connections: number
  /** Bytes of the heap and of what it holds outside. */
  readonly heap: number
  /** The longest that a timer was late since the last figures. */
  readonly stallMillis: number
}
