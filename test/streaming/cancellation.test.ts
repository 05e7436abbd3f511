/**
 * Calls that end before they are complete, whatever carries them: each end learns of the other's.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { until, within } from "../support/waiting.ts"
import { type Binding, bindings } from "./bindings.ts"
import { type Behaviour, type Reading, readings, serve } from "./weather.ts"

const endless = Stream.forever(Stream.make(...readings(1, 2, 3)))

/** Handlers that tell how they ended. */
const makeObserved = Effect.gen(function*() {
  const started = yield* Deferred.make<void>()
  const ended = yield* Deferred.make<Exit.Exit<unknown, unknown>>()
  const observe = <A, E, R>(handler: Effect.Effect<A, E, R>) =>
    Effect.onExit(
      Effect.andThen(Deferred.succeed(started, undefined), handler),
      (exit) => Deferred.succeed(ended, exit)
    )
  const observeStream = <A, E, R>(stream: Stream.Stream<A, E, R>) =>
    Effect.succeed(
      Stream.onExit(
        Stream.onStart(stream, Deferred.succeed(started, undefined)),
        (exit) => Deferred.succeed(ended, exit)
      )
    )
  const behaviour: Behaviour = {
    watch: () => observeStream(Stream.concat(Stream.make(...readings(1, 2, 3)), Stream.never)),
    record: (payload) => observe(Stream.runDrain(payload)),
    average: (payload) => observe(Effect.andThen(Stream.runDrain(payload), Effect.never)),
    warmest: (payload) => observe(Effect.andThen(Stream.runDrain(payload), Effect.never)),
    convert: (payload) => observeStream(Stream.map(payload, ({ celsius }) => celsius))
  }
  return {
    behaviour,
    started: within("the handler's start", Deferred.await(started)),
    ended: within("the handler's end", Deferred.await(ended))
  }
})

const suite = ({ name, start }: Binding) =>
  describe(name, () => {
    for (
      const [what, call] of [
        ["a server stream", (client) => Effect.flatMap(client.watch({ query: {} }), Stream.runDrain)],
        ["a client stream", (client) => client.record({ params: { id: 1 }, payload: endless })],
        ["a client stream that is idle", (client) => client.record({ params: { id: 1 }, payload: Stream.never })],
        ["a client stream with a result", (client) => client.average({ payload: endless })],
        [
          "a call whose result is awaited, with its input at an end",
          (client) => client.average({ payload: Stream.make(...readings(1)) })
        ],
        [
          "a call that streams both ways",
          (client) => Effect.flatMap(client.convert({ payload: endless }), Stream.runDrain)
        ],
        [
          "a call that streams both ways, idle",
          (client) => Effect.flatMap(client.convert({ payload: Stream.never }), Stream.runDrain)
        ]
      ] as ReadonlyArray<
        readonly [string, (client: Effect.Success<ReturnType<typeof start>>["sensors"]) => Effect.Effect<void, unknown>]
      >
    ) {
      it.live(`interrupting the client of ${what} interrupts the handler`, () =>
        Effect.gen(function*() {
          const { behaviour, ended, started } = yield* makeObserved
          const { sensors } = yield* start(serve(behaviour))
          const fiber = yield* Effect.forkChild(call(sensors))
          yield* started
          yield* within("the client's end", Fiber.interrupt(fiber))
          const exit = yield* ended
          assert.strictEqual(exit._tag, "Failure")
          if (exit._tag === "Failure") assert.isTrue(exit.cause.reasons.every(({ _tag }) => _tag !== "Fail"))
        }))
    }

    it.live("interrupting a client before its handler runs leaves nothing behind", () =>
      Effect.gen(function*() {
        const seen: Array<Exit.Exit<unknown, unknown>> = []
        const { sensors } = yield* start(serve({
          average: (payload) =>
            Effect.onExit(Stream.runCount(payload), (exit) => Effect.sync(() => void seen.push(exit)))
        }))
        for (let turns = 0; turns < 30; turns++) {
          const fiber = yield* Effect.forkChild(sensors.average({ payload: Stream.never }))
          for (let turn = 0; turn < turns; turn++) yield* Effect.promise(() => new Promise(setImmediate))
          yield* within("the client's end", Fiber.interrupt(fiber))
        }
        assert.strictEqual(yield* sensors.average({ payload: Stream.make(...readings(1)) }), 1)
        assert.isTrue(seen.slice(0, -1).every(({ _tag }) => _tag === "Failure"))
      }))

    it.live("a client that takes n of endless messages interrupts the handler, and its own input ends", () =>
      Effect.gen(function*() {
        for (const rest of [endless, Stream.never, Stream.empty]) {
          const { behaviour, ended } = yield* makeObserved
          const payloadEnded = yield* Deferred.make<void>()
          const { sensors } = yield* start(serve({
            ...behaviour,
            convert: (payload) =>
              behaviour.convert(
                Stream.concat(Stream.flatMap(payload, () => Stream.make(...readings(9, 9, 9))), Stream.never)
              )
          }))
          const stream = yield* sensors.convert({
            payload: Stream.ensuring(
              Stream.concat(Stream.make(...readings(1)), rest),
              Deferred.succeed(payloadEnded, undefined)
            )
          })
          assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(stream, 2)), [9, 9])
          assert.strictEqual((yield* ended)._tag, "Failure")
          yield* within("the end of the client's own stream", Deferred.await(payloadEnded))
        }
      }))

    it.live("closing the scope that a stream is read in interrupts the handler", () =>
      Effect.gen(function*() {
        const { behaviour, ended } = yield* makeObserved
        const { sensors } = yield* start(serve(behaviour))
        const scope = yield* Scope.make()
        const pull = yield* Scope.provide(Effect.flatMap(sensors.watch({ query: {} }), Stream.toPull), scope)
        assert.deepStrictEqual<ReadonlyArray<Reading>>((yield* pull).slice(0, 1), readings(1))
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual((yield* ended)._tag, "Failure")
      }))

    it.live("a client's timeout interrupts the handler", () =>
      Effect.gen(function*() {
        const { behaviour, ended } = yield* makeObserved
        const { sensors } = yield* start(serve(behaviour))
        const payload = Stream.make(...readings(1))
        assert.strictEqual((yield* Effect.timeoutOption(sensors.average({ payload }), 100))._tag, "None")
        assert.strictEqual((yield* ended)._tag, "Failure")
      }))

    it.live("a handler that ends interrupts the stream of its client", () =>
      Effect.gen(function*() {
        const { sensors } = yield* start(serve({
          average: (payload) => Stream.runCount(Stream.take(payload, 1)),
          record: (payload) => Stream.runDrain(Stream.take(payload, 1))
        }))
        for (const call of ["average", "record"] as const) {
          const ended = yield* Deferred.make<void>()
          const payload = Stream.ensuring(
            Stream.concat(Stream.make(...readings(1)), Stream.never),
            Deferred.succeed(ended, undefined)
          )
          yield* call === "average" ? sensors.average({ payload }) : sensors.record({ params: { id: 1 }, payload })
          yield* within("the end of the client's stream", Deferred.await(ended))
        }
      }))

    it.live("finalizers of a handler's scope run after its stream has ended, not before", () =>
      Effect.gen(function*() {
        const steps: Array<string> = []
        const { sensors } = yield* start(serve({
          watch: () =>
            Effect.gen(function*() {
              yield* Effect.addFinalizer(() => Effect.sync(() => void steps.push("closed")))
              const stream = Stream.tap(
                Stream.make(...readings(1, 2)),
                () => Effect.sync(() => void steps.push("item"))
              )
              return Stream.ensuring(stream, Effect.sync(() => void steps.push("ended")))
            })
        }))
        yield* Effect.flatMap(sensors.watch({ query: {} }), Stream.runDrain)
        yield* until("the scope has closed", () => steps.includes("closed"))
        assert.deepStrictEqual(steps, ["item", "item", "ended", "closed"])
      }))
  })

for (const binding of bindings) suite(binding)
