/**
 * What becomes of a call that fails, whatever carries it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpApiError from "effect/http-api/HttpApiError"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { within } from "../support/waiting.ts"
import { type Binding, bindings } from "./bindings.ts"
import { type Behaviour, type Failure, Gone, type Reading, readings, serve, Wordy } from "./weather.ts"

/** What was received before the error, and the error. */
const runUntilError = <A, E, R>(stream: Stream.Stream<A, E, R>) =>
  Effect.suspend(() => {
    const received: Array<A> = []
    return Effect.map(
      within("the error", Effect.flip(Stream.runForEach(stream, (each) => Effect.sync(() => received.push(each))))),
      (error) => ({ received, error })
    )
  })

const failing = (failure: Failure): Partial<Behaviour> => ({
  watch: () => Effect.fail(failure),
  record: () => Effect.fail(failure),
  average: () => Effect.fail(failure),
  convert: () => Effect.fail(failure)
})

/** The error is one, and says nothing of what is the server's own business. */
const assertDiscreet = (error: unknown) => {
  assert.notInstanceOf(error, Gone)
  const told: Array<string> = []
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) told.push(String(cause), cause.message)
  assert.notInclude(JSON.stringify([told, error]), "password")
}

const suite = ({ name, start }: Binding) =>
  describe(name, () => {
    for (
      const [what, failure] of [
        ["a typed error", new Gone({ id: 3 })],
        ["a typed error of 2 KB, of several bytes a character", new Wordy({ words: "wörter😀\n".repeat(180) })]
      ] as const
    ) {
      it.live(`${what} before the stream fails the call`, () =>
        Effect.gen(function*() {
          const { sensors } = yield* start(serve(failing(failure)))
          const payload = Stream.make(...readings(1))
          assert.deepStrictEqual(yield* Effect.flip(sensors.watch({ query: {} })), failure)
          assert.deepStrictEqual(yield* Effect.flip(sensors.record({ params: { id: 1 }, payload })), failure)
          assert.deepStrictEqual(yield* Effect.flip(sensors.average({ payload })), failure)
          assert.deepStrictEqual(yield* Effect.flip(sensors.convert({ payload })), failure)
        }))

      it.live(`${what} in the middle of a stream fails it, after all messages before`, () =>
        Effect.gen(function*() {
          const before = readings(...Array.from({ length: 100 }, (_, index) => index))
          const client = yield* start(serve({
            watch: () => Effect.succeed(Stream.concat(Stream.fromIterable(before), Stream.fail(failure))),
            convert: (payload) =>
              Effect.succeed(
                Stream.mapEffect(
                  payload,
                  ({ celsius }) => celsius < 50 ? Effect.succeed(celsius) : Effect.fail(failure)
                )
              )
          }))
          const watched = yield* Effect.flatMap(client.sensors.watch({ query: {} }), runUntilError)
          assert.deepStrictEqual(watched, { received: [...before], error: failure })
          const payload = Stream.concat(Stream.fromIterable(before), Stream.never)
          const converted = yield* Effect.flatMap(client.sensors.convert({ payload }), runUntilError)
          assert.deepStrictEqual(converted, {
            received: before.slice(0, 50).map(({ celsius }) => celsius),
            error: failure
          })
        }))

      it.live(`${what} at the beginning of a stream fails it`, () =>
        Effect.gen(function*() {
          const client = yield* start(serve({ watch: () => Effect.succeed(Stream.fail(failure)) }))
          const watched = yield* Effect.flatMap(client.sensors.watch({ query: {} }), runUntilError)
          assert.deepStrictEqual(watched, { received: [], error: failure })
        }))

      it.live(`${what} after input was read fails a call that has one result, or none`, () =>
        Effect.gen(function*() {
          const read: Array<Reading> = []
          const readOne = (payload: Stream.Stream<Reading, unknown>) =>
            Stream.runForEach(Stream.orDie(Stream.take(payload, 1)), (reading) => Effect.sync(() => read.push(reading)))
          const { sensors } = yield* start(serve({
            average: (payload) => Effect.andThen(readOne(payload), Effect.fail(failure)),
            record: (payload) => Effect.andThen(readOne(payload), Effect.fail(failure))
          }))
          const payload = Stream.concat(Stream.make(...readings(1)), Stream.never)
          assert.deepStrictEqual(yield* within("it", Effect.flip(sensors.average({ payload }))), failure)
          assert.deepStrictEqual(
            yield* within("it", Effect.flip(sensors.record({ params: { id: 1 }, payload }))),
            failure
          )
          assert.strictEqual(read.length, 2)
        }))
    }

    it.live("a defect before the stream is an error that shows no details", () =>
      Effect.gen(function*() {
        const client = yield* start(serve({
          watch: () => Effect.die(new Error("password")),
          average: (payload) =>
            Effect.andThen(Effect.ignore(Stream.runDrain(payload)), Effect.die(new Error("password")))
        }))
        assertDiscreet(yield* Effect.flip(client.sensors.watch({ query: {} })))
        assertDiscreet(yield* Effect.flip(client.sensors.average({ payload: Stream.make(...readings(1)) })))
      }))

    it.live("a stream that dies fails after all messages before, and the defect is logged", () => {
      const logs: Array<string> = []
      const logger = Logger.make(({ message }) => logs.push(String(message)))
      return Effect.gen(function*() {
        const client = yield* start(serve({
          watch: () => Effect.succeed(Stream.concat(Stream.make(...readings(1, 2)), Stream.die(new Error("password"))))
        }))
        const stream = yield* client.sensors.watch({ query: {} })
        const received: Array<Reading> = []
        const exit = yield* Effect.exit(Stream.runForEach(stream, (each) => Effect.sync(() => received.push(each))))
        assert.strictEqual(exit._tag, "Failure", "the stream ended as if it were complete")
        assert.deepStrictEqual(received, [...readings(1, 2)])
        assert.strictEqual(logs.filter((text) => text.includes("watch") && text.includes("password")).length, 1)
      }).pipe(Effect.provide(Logger.layer([logger])))
    })

    it.live("a stream that is interrupted by its handler fails", () =>
      Effect.gen(function*() {
        const client = yield* start(serve({
          watch: () => Effect.succeed(Stream.concat(Stream.make(...readings(1)), Stream.fromEffect(Effect.interrupt)))
        }))
        const stream = yield* client.sensors.watch({ query: {} })
        const fiber = yield* Effect.forkChild(Stream.runDrain(stream))
        const exit = yield* within("the end", Fiber.await(fiber))
        assert.strictEqual(exit._tag, "Failure", "the stream ended as if it were complete")
      }))

    it.live("a payload that fails makes the call fail, and the handler sees its input fail", () =>
      Effect.gen(function*() {
        const seen = yield* Deferred.make<string>()
        const client = yield* start(serve({
          average: (payload) =>
            Effect.onExit(
              Stream.runCount(payload),
              (exit) => Deferred.succeed(seen, exit._tag)
            )
        }))
        const payload = Stream.concat(Stream.make(...readings(1)), Stream.die(new Error("broken")))
        const exit = yield* within("the call", Effect.exit(client.sensors.average({ payload })))
        assert.strictEqual(exit._tag, "Failure")
        assert.strictEqual(yield* within("the handler", Deferred.await(seen)), "Failure")
      }))

    it.live("security middleware refuses calls with a typed error", () =>
      Effect.gen(function*() {
        const tell = Effect.fnUntraced(function*(token: string | undefined) {
          const client = yield* start(
            serve(),
            token === undefined ? undefined : HttpClient.mapRequest(HttpClientRequest.bearerToken(token))
          )
          return yield* Effect.flatMap(client.secrets.tell(), Stream.runCollect)
        })
        assert.instanceOf(yield* Effect.flip(tell(undefined)), HttpApiError.Unauthorized)
        assert.instanceOf(yield* Effect.flip(tell("known")), HttpApiError.Forbidden)
        assert.deepStrictEqual(yield* tell("in"), ["a secret"])
      }))

    it.live("a payload that does not fit its schema fails the call before it is sent", () =>
      Effect.gen(function*() {
        const client = yield* start(serve())
        const payload = Stream.make({ celsius: "warm" as unknown as number, at: "" })
        const error = yield* within("it", Effect.flip(client.sensors.average({ payload })))
        assert.isTrue(Schema.isSchemaError(error) || HttpClientError.isHttpClientError(error))
      }))

    it.live("calls are served after many calls have failed", () =>
      Effect.gen(function*() {
        const client = yield* start(serve({
          watch: () => Effect.succeed(Stream.die("broken")),
          convert: () => Effect.fail(new Gone({ id: 1 }))
        }))
        for (let round = 0; round < 10; round++) {
          const payload = Stream.make(...readings(1))
          yield* Effect.exit(Effect.flatMap(client.sensors.watch({ query: {} }), Stream.runDrain))
          yield* Effect.exit(client.sensors.convert({ payload: Stream.forever(payload) }))
          assert.strictEqual(yield* client.sensors.average({ payload }), 1)
        }
      }))
  })

for (const binding of bindings) suite(binding)
