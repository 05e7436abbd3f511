/**
 * What a streaming endpoint does, whatever carries it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { join } from "../support/connections.ts"
import { assertIdle } from "../support/credit.ts"
import { within } from "../support/waiting.ts"
import { type Binding, bindings, startOn } from "./bindings.ts"
import { Gone, type Reading, readings, serve } from "./weather.ts"

const suite = ({ name, start }: Binding) =>
  describe(name, () => {
    it.live("a call may stream from the server", () =>
      Effect.gen(function*() {
        const client = yield* start(serve())
        const received = yield* Stream.runCollect(yield* client.sensors.watch({ query: {} }))
        assert.deepStrictEqual(received, readings(1, 2, 3))
      }))

    it.live("a call may stream from the client, and returns when all messages were handled", () =>
      Effect.gen(function*() {
        const recorded: Array<readonly [id: number, reading: Reading]> = []
        const client = yield* start(serve({
          record: (payload, id) =>
            Stream.runForEach(payload, (reading) => Effect.sync(() => recorded.push([id, reading])))
        }))
        const result = yield* client.sensors.record({ params: { id: 7 }, payload: Stream.make(...readings(1, 2)) })
        assert.isUndefined(result)
        assert.deepStrictEqual(recorded, readings(1, 2).map((reading) => [7, reading]))
      }))

    it.live("a call may stream from the client and get one result", () =>
      Effect.gen(function*() {
        const client = yield* start(serve())
        assert.strictEqual(yield* client.sensors.average({ payload: Stream.make(...readings(1, 2, 6)) }), 3)
      }))

    it.live("a call may stream both ways", () =>
      Effect.gen(function*() {
        const client = yield* start(serve())
        const converted = yield* client.sensors.convert({ payload: Stream.make(...readings(0, 100)) })
        assert.deepStrictEqual(yield* Stream.runCollect(converted), [32, 212])
      }))

    it.live("a stream may make other calls of the same client", () =>
      Effect.gen(function*() {
        const client = yield* start(serve())
        const payload = Stream.fromEffect(Effect.as(client.sensors.version(), { celsius: 100, at: "" }))
        const converted = yield* client.sensors.convert({ payload })
        assert.deepStrictEqual(yield* within("the stream", Stream.runCollect(converted)), [212])
      }))

    it.live("the next message of each end may depend on the other end's last", () =>
      Effect.gen(function*() {
        const client = yield* start(serve())
        const questions = yield* Queue.unbounded<Reading>()
        const asked: Array<number> = []
        yield* Queue.offer(questions, { celsius: 0, at: "" })
        const answers = yield* client.sensors.convert({ payload: Stream.fromQueue(questions) })
        const ping = Stream.tap(answers, (fahrenheit) => {
          asked.push(fahrenheit)
          return asked.length < 50
            ? Queue.offer(questions, { celsius: asked.length, at: "" })
            : Queue.shutdown(questions)
        })
        yield* within("50 questions and answers", Stream.runDrain(Stream.take(ping, 50)))
        assert.deepStrictEqual(asked, Array.from({ length: 50 }, (_, celsius) => celsius * 9 / 5 + 32))
      }))

    it.live("a server may send messages before the client has sent any", () =>
      Effect.gen(function*() {
        const client = yield* start(serve({
          convert: (payload) =>
            Effect.succeed(Stream.concat(Stream.make(1), Stream.map(payload, (each) => each.celsius)))
        }))
        const heard = yield* Deferred.make<void>()
        const payload = Stream.fromEffect(Effect.as(Deferred.await(heard), { celsius: 2, at: "" }))
        const answers = yield* within("the first word", client.sensors.convert({ payload }))
        const received = yield* within(
          "the conversation",
          Stream.runCollect(Stream.tap(answers, () => Deferred.succeed(heard, undefined)))
        )
        assert.deepStrictEqual(received, [1, 2])
      }))

    it.live("streams may be empty, in both directions", () =>
      Effect.gen(function*() {
        const handled = yield* Deferred.make<number>()
        const client = yield* start(serve({
          watch: () => Effect.succeed(Stream.empty),
          record: (payload) => Effect.flatMap(Stream.runCount(payload), (count) => Deferred.succeed(handled, count)),
          average: (payload) => Stream.runCount(payload)
        }))
        assert.deepStrictEqual(yield* Stream.runCollect(yield* client.sensors.watch({ query: {} })), [])
        yield* client.sensors.record({ params: { id: 1 }, payload: Stream.empty })
        assert.strictEqual(yield* Deferred.await(handled), 0)
        assert.strictEqual(yield* client.sensors.average({ payload: Stream.empty }), 0)
        const converted = yield* client.sensors.convert({ payload: Stream.empty })
        assert.deepStrictEqual(yield* Stream.runCollect(converted), [])
      }))

    it.live("a call returns its stream before the server has a message to send", () =>
      Effect.gen(function*() {
        const first = yield* Deferred.make<Reading>()
        const client = yield* start(serve({ watch: () => Effect.succeed(Stream.fromEffect(Deferred.await(first))) }))
        const stream = yield* within("the stream", client.sensors.watch({ query: {} }))
        yield* Deferred.succeed(first, { celsius: 1, at: "" })
        assert.strictEqual(yield* Stream.runCount(stream), 1)
      }))

    it.live("a handler may leave its client's stream unread", () =>
      Effect.gen(function*() {
        const client = yield* start(serve({
          average: () => Effect.succeed(42),
          convert: () => Effect.succeed(Stream.make(1, 2)),
          record: () => Effect.void
        }))
        const payload = Stream.forever(Stream.make(...readings(1)))
        assert.strictEqual(yield* within("the result", client.sensors.average({ payload })), 42)
        yield* within("the end", client.sensors.record({ params: { id: 1 }, payload }))
        const converted = yield* client.sensors.convert({ payload })
        assert.deepStrictEqual(yield* within("the stream", Stream.runCollect(converted)), [1, 2])
      }))

    it.live("a handler may answer before its client has sent all messages", () =>
      Effect.gen(function*() {
        const client = yield* start(serve({ average: (payload) => Stream.runCount(Stream.take(payload, 2)) }))
        const payload = Stream.concat(Stream.make(...readings(1, 2)), Stream.never)
        assert.strictEqual(yield* within("the result", client.sensors.average({ payload })), 2)
      }))

    it.live("texts arrive unchanged: line feeds, quotes, emoji, controls, and texts that look like an end", () =>
      Effect.gen(function*() {
        const texts = [
          "a\nb\r\nc",
          "\"null\"",
          "null",
          "😀\u2028\u2029",
          "\u0000\u001e\u007f",
          "data: x\n\nevent: y",
          ""
        ]
        const sent: Array<Reading> = []
        const client = yield* start(serve({
          watch: () => Effect.succeed(Stream.fromIterable(texts.map((at) => ({ celsius: 0, at })))),
          record: (payload) => Stream.runForEach(payload, (reading) => Effect.sync(() => sent.push(reading)))
        }))
        const received = yield* Stream.runCollect(yield* client.sensors.watch({ query: {} }))
        assert.deepStrictEqual(received.map(({ at }) => at), texts)
        yield* client.sensors.record({ params: { id: 1 }, payload: Stream.fromIterable(received) })
        assert.deepStrictEqual(sent, received)
      }))

    it.live("the messages of simultaneous calls do not mix", () =>
      Effect.gen(function*() {
        const client = yield* start(serve())
        const results = yield* Effect.forEach(
          Array.from({ length: 30 }, (_, index) => index),
          (index) =>
            Effect.flatMap(
              client.sensors.convert({ payload: Stream.make(...readings(index, index, index)) }),
              Stream.runCollect
            ),
          { concurrency: "unbounded" }
        )
        for (const [index, result] of results.entries()) {
          assert.deepStrictEqual(result, Array.from({ length: 3 }, () => index * 9 / 5 + 32))
        }
      }))

    it.live("calls that do not stream work beside those that do", () =>
      Effect.gen(function*() {
        const client = yield* start(serve())
        assert.strictEqual(yield* client.sensors.version(), "v1")
      }))

    it.live("a client that stops reading a stream ends the handler's stream", () =>
      Effect.gen(function*() {
        const ended = yield* Deferred.make<void>()
        const client = yield* start(serve({
          watch: () =>
            Effect.succeed(
              Stream.ensuring(Stream.forever(Stream.make(...readings(1))), Deferred.succeed(ended, undefined))
            )
        }))
        const watched = yield* Effect.forkChild(Effect.flatMap(
          client.sensors.watch({ query: {} }),
          (stream) => Stream.runCollect(Stream.take(stream, 3))
        ))
        assert.strictEqual((yield* Fiber.join(watched)).length, 3)
        yield* within("the end of the handler's stream", Deferred.await(ended))
      }))
  })

for (const binding of bindings) suite(binding)

it.live("a connection is idle when its streaming calls have ended, whichever end ended them", () =>
  Effect.gen(function*() {
    const ends = yield* join()
    const client = yield* startOn(
      ends,
      "server",
      serve({
        watch: () => Effect.succeed(Stream.forever(Stream.make(...readings(1)))),
        average: () => Effect.fail(new Gone({ id: 1 }))
      })
    )
    const payload = Stream.make(...readings(1, 2))
    const endless = Stream.forever(payload)
    yield* Effect.flatMap(client.sensors.watch({ query: {} }), (stream) => Stream.runDrain(Stream.take(stream, 10)))
    yield* Effect.flip(client.sensors.average({ payload: endless }))
    yield* Effect.flatMap(client.sensors.convert({ payload }), Stream.runDrain)
    yield* Effect.flatMap(
      client.sensors.convert({ payload: endless }),
      (stream) => Stream.runDrain(Stream.take(stream, 10))
    )
    yield* Effect.timeoutOption(client.sensors.record({ params: { id: 1 }, payload: endless }), 50)
    yield* assertIdle(ends)
  }))
