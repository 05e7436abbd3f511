/**
 * How the WebSocket of a call ends when one end goes away.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpClientError from "effect/http/HttpClientError"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { until, within } from "../support/waiting.ts"
import { listen } from "./bindings.ts"
import { dial, type Raw } from "./raw.ts"
import { type Reading, readings, serve } from "./weather.ts"

const ways: ReadonlyArray<readonly [what: string, leave: (raw: Raw) => void]> = [
  ["drops TCP", ({ tcp }) => tcp.destroy()],
  ["resets TCP", ({ tcp }) => tcp.resetAndDestroy()],
  ["closes with 1001", ({ ws }) => ws.close(1001)],
  ["closes with 4000", ({ ws }) => ws.close(4000, "enough")],
  ["closes with 4499", ({ ws }) => ws.close(4499)]
]

const closes: ReadonlyArray<readonly [what: string, leave: (raw: Raw) => void]> = [
  ["closes with 1000", ({ ws }) => ws.close(1000)],
  ["closes without a code", ({ ws }) => ws.close()]
]

const interrupted = (exit: Exit.Exit<unknown, unknown>) => Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)

/** A client that has sent a message, to a handler of which is known how it ended, and how it saw the payload end. */
const startCall = Effect.fnUntraced(function*(path: "/record/1" | "/average" | "/convert" | "/watch") {
  const received: Array<Reading> = []
  const handler = yield* Deferred.make<Exit.Exit<unknown, unknown>>()
  const input = yield* Deferred.make<Exit.Exit<unknown, unknown>>()
  const started = yield* Deferred.make<void>()
  const observe = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.onExit(effect, (exit) => Deferred.succeed(handler, exit))
  const take = <E>(payload: Stream.Stream<Reading, E>) =>
    payload.pipe(
      Stream.tap((reading) =>
        Effect.andThen(Effect.sync(() => received.push(reading)), Deferred.succeed(started, undefined))
      ),
      Stream.onExit((exit) => Deferred.succeed(input, exit))
    )
  const server = yield* listen(serve({
    watch: () =>
      Effect.succeed(Stream.onExit(
        Stream.concat(Stream.make(...readings(1)), Stream.never),
        (exit) => Deferred.succeed(handler, exit)
      )),
    record: (payload) => observe(Stream.runDrain(take(payload))),
    average: (payload) => observe(Stream.runCount(take(payload))),
    convert: (payload) =>
      Effect.succeed(Stream.onExit(
        Stream.map(take(payload), ({ celsius }) => celsius),
        (exit) => Deferred.succeed(handler, exit)
      ))
    // Nothing here ends because time is up.
  }, { closeTimeout: "10 minutes" }))
  const raw = yield* dial(server.url, path)
  if (path === "/watch") {
    yield* raw.received(1)
  } else {
    raw.ws.send(`{"celsius":1,"at":"x"}`)
    yield* within("the handler's start", Deferred.await(started))
  }
  return {
    server,
    raw,
    received,
    handler: within("the handler's end", Deferred.await(handler)),
    input: within("the input's end", Deferred.await(input))
  }
})

describe("client that leaves", () => {
  for (const [what, leave] of ways) {
    it.live(`a client that ${what} in the middle of its stream interrupts the handler, whose input does not end`, () =>
      Effect.gen(function*() {
        for (const path of ["/record/1", "/average", "/convert"] as const) {
          const { handler, input, raw } = yield* startCall(path)
          leave(raw)
          assert.isTrue(interrupted(yield* input), path)
          assert.isTrue(interrupted(yield* handler), path)
        }
      }))
  }

  for (const [what, leave] of [...ways, ...closes]) {
    it.live(`a client that ${what} while the server streams interrupts the handler at once`, () =>
      Effect.gen(function*() {
        const { handler, raw } = yield* startCall("/watch")
        leave(raw)
        assert.isTrue(interrupted(yield* handler))
      }))
  }

  for (const [what, leave] of closes) {
    it.live(`a client that ${what} in the middle of its stream ends the handler's input`, () =>
      Effect.gen(function*() {
        for (const path of ["/record/1", "/average", "/convert"] as const) {
          const { handler, input, raw } = yield* startCall(path)
          leave(raw)
          assert.isTrue(Exit.isSuccess(yield* input), path)
          assert.isTrue(Exit.isSuccess(yield* handler), path)
        }
      }))
  }

  for (
    const [what, leave] of [
      ...closes,
      ["ends TCP", ({ tcp }: Raw) => void tcp.end()],
      ["drops TCP once all is sent", ({ tcp }: Raw) => tcp.destroySoon()],
      ["closes with 1001", ({ ws }: Raw) => ws.close(1001)]
    ] as const
  ) {
    it.live(`a client that ${what} right after its null has all its messages handled, at the handler's own pace`, () =>
      Effect.gen(function*() {
        const count = 2000
        const at = "x".repeat(200)
        const gate = Latch.makeUnsafe(false)
        const handled: Array<number> = []
        const ended = yield* Deferred.make<Exit.Exit<unknown, unknown>>()
        const { url } = yield* listen(serve({
          record: (payload) =>
            Effect.onExit(
              Stream.runForEach(payload, ({ celsius }) =>
                Effect.andThen(gate.await, Effect.sync(() => handled.push(celsius)))),
              (exit) =>
                Deferred.succeed(ended, exit)
            )
        }))
        const raw = yield* dial(url, "/record/1")
        for (let celsius = 0; celsius < count; celsius++) raw.ws.send(JSON.stringify({ celsius, at }))
        raw.ws.send("null\n")
        leave(raw)
        yield* until("all is on its way", () => raw.tcp === null || raw.tcp.writableLength === 0)
        yield* gate.open
        assert.isTrue(Exit.isSuccess(yield* within("the handler's end", Deferred.await(ended))))
        assert.deepStrictEqual(handled, Array.from({ length: count }, (_, index) => index))
      }))
  }

  it.live("a client that drops TCP right after its null has all its messages handled, though each of them is answered", () =>
    Effect.gen(function*() {
      // The server has them all before the client is gone: what TCP still holds then is lost.
      const count = 300
      const gate = Latch.makeUnsafe(false)
      const handled: Array<number> = []
      const ended = yield* Deferred.make<Exit.Exit<unknown, unknown>>()
      const { url } = yield* listen(serve({
        convert: (payload) =>
          Effect.succeed(Stream.onExit(
            Stream.mapEffect(payload, ({ celsius }) =>
              Effect.as(Effect.andThen(gate.await, Effect.sync(() => handled.push(celsius))), celsius)),
            (exit) =>
              Deferred.succeed(ended, exit)
          ))
      }))
      const raw = yield* dial(url, "/convert")
      for (let celsius = 0; celsius < count; celsius++) raw.ws.send(JSON.stringify({ celsius, at: "now" }))
      raw.ws.send("null\n")
      raw.tcp.destroySoon()
      yield* until("TCP is dropped", () => raw.closed !== undefined)
      yield* gate.open
      assert.isTrue(Exit.isSuccess(yield* within("the handler's end", Deferred.await(ended))))
      assert.deepStrictEqual(handled, Array.from({ length: count }, (_, index) => index))
    }))

  it.live("a handler whose client is gone after its null may go on for closeTimeout", () =>
    Effect.gen(function*() {
      const ended: Array<string> = []
      /** A client that is gone, and has left a handler that goes on. */
      const leave = Effect.fnUntraced(function*(name: string, options: { readonly closeTimeout?: Duration.Input }) {
        const reached = yield* Deferred.make<void>()
        const { url } = yield* listen(
          serve({
            record: (payload) =>
              Effect.orDie(Stream.runDrain(payload)).pipe(
                Effect.andThen(Deferred.succeed(reached, undefined)),
                Effect.andThen(Effect.onInterrupt(Effect.never, () => Effect.sync(() => ended.push(name))))
              )
          }, options)
        )
        const raw = yield* dial(url, "/record/1")
        raw.ws.send("null")
        raw.ws.close()
        yield* within("null", Deferred.await(reached))
      })
      // The later ones have less time than those before them.
      yield* leave("the default", {})
      yield* leave("1 second", { closeTimeout: "1 second" })
      yield* leave("200 ms", { closeTimeout: "200 millis" })
      yield* until("both ends", () => ended.length >= 2)
      assert.deepStrictEqual(ended, ["200 ms", "1 second"])
    }))

  it.live("a client that closes with 4499 after its null interrupts the handler", () =>
    Effect.gen(function*() {
      const reached = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<void>()
      const { url } = yield* listen(serve({
        average: (payload) =>
          Effect.gen(function*() {
            yield* Stream.runDrain(payload)
            yield* Deferred.succeed(reached, undefined)
            return yield* Effect.onInterrupt(Effect.never, () => Deferred.succeed(ended, undefined))
          })
      }, { closeTimeout: "10 minutes" }))
      const raw = yield* dial(url, "/average")
      raw.ws.send("null")
      yield* within("null", Deferred.await(reached))
      raw.ws.close(4499)
      yield* within("the handler's end", Deferred.await(ended))
    }))
})

it.live("a handler that can't be interrupted sees its input break off", () =>
  Effect.gen(function*() {
    const input = yield* Deferred.make<Exit.Exit<unknown, unknown>>()
    const started = Latch.makeUnsafe(false)
    const { url } = yield* listen(serve({
      average: (payload) =>
        Effect.onExit(
          Effect.uninterruptible(Stream.runCount(Stream.tap(payload, () => started.open))),
          (exit) => Deferred.succeed(input, exit)
        )
    }))
    const raw = yield* dial(url, "/average")
    raw.ws.send(`{"celsius":1,"at":"x"}`)
    yield* within("the handler's start", started.await)
    raw.tcp.destroy()
    assert.isTrue(interrupted(yield* within("the handler's end", Deferred.await(input))))
  }))

describe("server that stops", () => {
  it.live("a server that stops interrupts its handlers, closes with 1001, and the calls of our clients fail", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const interruptions: Array<string> = []
      const averaged = yield* Deferred.make<void>()
      const wait = (name: string) => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interruptions.push(name)))
      const server = yield* Scope.provide(
        listen(serve({
          watch: () => Effect.succeed(Stream.concat(Stream.make(...readings(1)), Stream.fromEffect(wait("watch")))),
          average: (payload) =>
            Effect.andThen(Stream.runForEach(payload, () => Deferred.succeed(averaged, undefined)), wait("average")),
          convert: (payload) =>
            Effect.succeed(Stream.concat(
              Stream.make(1),
              Stream.fromEffect(Effect.ensuring(
                Effect.orDie(Stream.runDrain(payload)),
                Effect.sync(() => interruptions.push("convert"))
              )).pipe(Stream.map(() => 2))
            ))
        }, { closeTimeout: "10 minutes" })),
        scope
      )
      const { sensors } = yield* server.client()
      const watching = yield* dial(server.url, "/watch")
      const converting = yield* dial(server.url, "/convert")
      const averaging = yield* dial(server.url, "/average")
      averaging.ws.send("null")
      yield* watching.received(1)
      yield* converting.received(1)
      const stream = yield* sensors.watch({ query: {} })
      const first = yield* Deferred.make<void>()
      const client = yield* Effect.forkChild(Effect.flip(
        Stream.runForEach(stream, () => Deferred.succeed(first, undefined))
      ))
      yield* Deferred.await(first)
      const payload = Stream.concat(Stream.make(...readings(1)), Stream.never)
      const result = yield* Effect.forkChild(Effect.flip(sensors.average({ payload })))
      yield* Deferred.await(averaged)
      yield* within("the stop", Scope.close(scope, Exit.void))
      for (const raw of [watching, converting, averaging]) assert.strictEqual((yield* raw.end).code, 1001)
      assert.deepStrictEqual(interruptions.sort(), ["average", "convert", "watch", "watch"])
      for (const fiber of [client, result]) {
        const error = yield* within("the client's end", Fiber.join<unknown, unknown>(fiber))
        assert.isTrue(HttpClientError.isHttpClientError(error))
        assert.include(String(error), "1001")
      }
    }))
})
