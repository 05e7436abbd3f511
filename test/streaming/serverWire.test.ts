/**
 * What the WebSocket of a call shows, to a client that is not ours.
 */
import { assert, describe, it } from "@effect/vitest"
import type * as StreamingEndpoint from "effect-swaggersocket/StreamingEndpoint"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as Stream from "effect/Stream"
import { within } from "../support/waiting.ts"
import { listen } from "./bindings.ts"
import { dial, dialRefused } from "./raw.ts"
import { Gone, type Reading, readings, serve, Wordy } from "./weather.ts"

describe("messages of a server", () => {
  it.live("a server sends each message as a text of JSON and a line feed, and close code 1000 at the end", () =>
    Effect.gen(function*() {
      const { url } = yield* listen(serve())
      const raw = yield* dial(url, "/watch")
      assert.strictEqual((yield* raw.end).code, 1000)
      assert.deepStrictEqual(raw.messages, readings(1, 2, 3).map((reading) => `${JSON.stringify(reading)}\n`))
    }))

  it.live("a server sends a single result as one message", () =>
    Effect.gen(function*() {
      const { url } = yield* listen(serve())
      const raw = yield* dial(url, "/average")
      raw.ws.send(`{"celsius":1,"at":"x"}\n`)
      raw.ws.send(`{"celsius":2,"at":"x"}`)
      raw.ws.send("null\n")
      assert.strictEqual((yield* raw.end).code, 1000)
      assert.deepStrictEqual(raw.messages, ["1.5\n"])
    }))

  it.live("an endpoint without a result closes with 1000 and sends no message", () =>
    Effect.gen(function*() {
      const { url } = yield* listen(serve())
      const raw = yield* dial(url, "/record/1")
      raw.ws.send("null\n")
      assert.strictEqual((yield* raw.end).code, 1000)
      assert.deepStrictEqual(raw.messages, [])
    }))

  it.live("a server answers 101 at once where there is nothing to send yet", () =>
    Effect.gen(function*() {
      const { url } = yield* listen(serve({ watch: () => Effect.succeed(Stream.never) }))
      const raw = yield* within("101", dial(url, "/watch"))
      assert.deepStrictEqual(raw.messages, [])
    }))

  it.live("a server answers 101 when the handler takes its first message", () =>
    Effect.gen(function*() {
      const { url } = yield* listen(serve())
      for (const path of ["/average", "/record/1", "/convert"]) yield* within("101", dial(url, path))
    }))

  it.live("a handler that fails before it takes a message answers the upgrade with the error's status and JSON", () =>
    Effect.gen(function*() {
      const { url } = yield* listen(serve({
        watch: () => Effect.fail(new Gone({ id: 1 })),
        average: () => Effect.fail(new Gone({ id: 2 }))
      }))
      const refusal = yield* dialRefused(url, "/watch")
      assert.deepStrictEqual([refusal.status, JSON.parse(refusal.body)], [410, { _tag: "Gone", id: 1 }])
      assert.strictEqual((yield* dialRefused(url, "/average")).status, 410)
      assert.strictEqual((yield* dialRefused(url, "/record/none")).status, 400)
      assert.strictEqual((yield* dialRefused(url, "/nothing")).status, 404)
      assert.strictEqual((yield* dialRefused(url, "/secrets")).status, 401)
      const headers = { authorization: "Bearer known" }
      assert.strictEqual((yield* dialRefused(url, "/secrets", { headers })).status, 403)
    }))

  it.live("a typed error in the middle of a stream closes with 4000 plus its status, and its JSON as the reason", () =>
    Effect.gen(function*() {
      const { url } = yield* listen(serve({
        watch: () => Effect.succeed(Stream.concat(Stream.make(...readings(1)), Stream.fail(new Gone({ id: 1 }))))
      }))
      const raw = yield* dial(url, "/watch")
      assert.deepStrictEqual(yield* raw.end, { code: 4410, reason: `{"_tag":"Gone","id":1}` })
      assert.strictEqual(raw.messages.length, 1)
    }))

  it.live("an error of more than 123 bytes is sent in a binary message before the close frame, which has the part that fits", () =>
    Effect.gen(function*() {
      for (const length of [90, 98, 99, 100, 120, 2000]) {
        const words = "é".repeat(length / 2)
        const json = JSON.stringify({ _tag: "Wordy", words })
        const { url } = yield* listen(serve({ watch: () => Effect.succeed(Stream.fail(new Wordy({ words }))) }))
        const raw = yield* dial(url, "/watch")
        const { code, reason } = yield* raw.end
        assert.strictEqual(code, 4422)
        assert.isAtMost(Buffer.byteLength(reason), 123)
        assert.isTrue(json.startsWith(reason))
        if (Buffer.byteLength(json) <= 123) assert.deepStrictEqual([reason, raw.messages], [json, []])
        else assert.deepStrictEqual(raw.messages, [`binary \u001e${Buffer.from(json).toString("latin1")}`])
      }
    }))

  it.live("a defect closes with 1011 and shows no details", () =>
    Effect.gen(function*() {
      const broken = Stream.die(new Error("password"))
      const { url } = yield* listen(serve({
        watch: () => Effect.succeed(Stream.concat(Stream.make(...readings(1)), broken)),
        average: (payload) => Effect.andThen(Effect.ignore(Stream.runDrain(payload)), Effect.die(new Error("password")))
      }))
      const watching = yield* dial(url, "/watch")
      assert.deepStrictEqual(yield* watching.end, { code: 1011, reason: "internal error" })
      const averaging = yield* dial(url, "/average")
      averaging.ws.send("null\n")
      assert.deepStrictEqual(yield* averaging.end, { code: 1011, reason: "internal error" })
    }))

  it.live("close codes may be replaced by others", () =>
    Effect.gen(function*() {
      const closeCodes = { complete: 3000, unexpectedMessage: 3001, failed: 3002 }
      const { url } = yield* listen(
        serve({ watch: (view) => Effect.succeed(view === "tiny" ? Stream.never : Stream.die("broken")) }, {
          closeCodes
        })
      )
      const recording = yield* dial(url, "/record/1")
      recording.ws.send("null\n")
      assert.strictEqual((yield* recording.end).code, 3000)
      const unexpected = yield* dial(url, "/watch?view=tiny")
      unexpected.ws.send("1")
      assert.strictEqual((yield* unexpected.end).code, 3001)
      assert.strictEqual((yield* (yield* dial(url, "/watch")).end).code, 3002)
    }))
})

describe("views", () => {
  it.live("a view is projected by the server, and named in the 101", () =>
    Effect.gen(function*() {
      const { url } = yield* listen(serve())
      const tiny = yield* dial(url, "/watch?view=tiny")
      yield* tiny.end
      assert.deepStrictEqual(tiny.messages, [1, 2, 3].map((celsius) => `{"celsius":${celsius}}\n`))
      assert.strictEqual(tiny.headers["goa-view"], "tiny")
      for (const path of ["/watch", "/watch?view=default"]) {
        const whole = yield* dial(url, path)
        assert.strictEqual(whole.headers["goa-view"], "default")
        assert.deepStrictEqual(JSON.parse((yield* whole.received(1))[0]!), { celsius: 1, at: "t0" })
      }
    }))

  it.live("a single result is projected to its view by the server", () =>
    Effect.gen(function*() {
      const { url } = yield* listen(serve())
      const raw = yield* dial(url, "/warmest?view=tiny")
      raw.ws.send(`{"celsius":7,"at":"noon"}`)
      raw.ws.send("null")
      assert.deepStrictEqual(yield* raw.received(1), [`{"celsius":7}\n`])
    }))

  it.live("an unknown view is answered with a typed 400 that names the known ones", () =>
    Effect.gen(function*() {
      const { url } = yield* listen(serve())
      const expected = { _tag: "UnknownView", view: "huge", views: ["default", "tiny"] }
      for (const path of ["/watch?view=huge", "/warmest?view=huge"]) {
        const refusal = yield* dialRefused(url, path)
        assert.deepStrictEqual([refusal.status, JSON.parse(refusal.body)], [400, expected])
      }
      const response = yield* Effect.provide(HttpClient.get(`${url}/watch?view=huge`), FetchHttpClient.layer)
      assert.deepStrictEqual([response.status, yield* response.json], [400, expected])
      for (const path of ["/watch?view=", "/watch?view=tiny&view=default", "/watch?view=__proto__"]) {
        assert.strictEqual((yield* dialRefused(url, path)).status, 400)
      }
    }))
})

describe("messages of a client", () => {
  for (
    const [what, messages, handled] of [
      ["pretty-printed JSON", ["{\n  \"celsius\": 1,\r\n\t\"at\": \"x\"\n}\n\n"], [{ celsius: 1, at: "x" }]],
      ["JSON in a binary message", [Buffer.from(`{"celsius":1,"at":"x"}`)], [{ celsius: 1, at: "x" }]],
      ["a byte order mark of a binary message", [Buffer.from(`\ufeff{"celsius":1,"at":"x"}`)], [{
        celsius: 1,
        at: "x"
      }]],
      ["white space around null", [" \n null \r\n", `{"celsius":1,"at":"x"}`], []],
      ["what comes behind the end", ["null\n", `{"celsius":1,"at":"x"}\n`, "garbage", "null"], []],
      ["a text that has null in it", [`{"celsius":1,"at":"null\\n"}`], [{ celsius: 1, at: "null\n" }]]
    ] as const
  ) {
    it.live(`${what} is handled as the protocol says`, () =>
      Effect.gen(function*() {
        const seen = yield* Deferred.make<ReadonlyArray<Reading>>()
        const { url } = yield* listen(serve({
          record: (payload) => Effect.flatMap(Stream.runCollect(payload), (all) => Deferred.succeed(seen, all))
        }))
        const raw = yield* dial(url, "/record/1")
        for (const message of messages) raw.ws.send(message)
        raw.ws.send("null\n")
        assert.strictEqual((yield* raw.end).code, 1000)
        assert.deepStrictEqual(yield* within("the handler", Deferred.await(seen)), [...handled])
      }))
  }

  it.live("fragments of a WebSocket message are one message", () =>
    Effect.gen(function*() {
      const { url } = yield* listen(serve())
      const raw = yield* dial(url, "/average")
      const text = `{"celsius":5,"at":"x"}`
      for (const [index, char] of [...text].entries()) raw.ws.send(char, { fin: index === text.length - 1 })
      raw.ws.send("null\n")
      assert.deepStrictEqual(yield* raw.received(1), ["5\n"])
    }))

  for (
    const [what, message] of [
      ["garbage", "garbage"],
      ["a value of another type", `{"celsius":"warm","at":"x"}`],
      ["an empty message", ""],
      ["a message of white space", " \n "],
      ["two values in one message", `{"celsius":1,"at":"x"}\n{"celsius":1,"at":"x"}`],
      ["two values side by side", `{"celsius":1,"at":"x"} {"celsius":1,"at":"x"}`],
      ["half a value", `{"celsius":1,`],
      ["a null among values", `[null]`],
      ["bytes that are no UTF-8", Buffer.from([0x7b, 0xff, 0x7d])],
      ["a NUL", "\0"]
    ] as const
  ) {
    it.live(`${what} as a message fails the payload, closes with 4400 and disturbs no other call`, () =>
      Effect.gen(function*() {
        const seen: Array<StreamingEndpoint.BadPayload["_tag"]> = []
        const tap = Stream.tapError((error: StreamingEndpoint.BadPayload) => Effect.sync(() => seen.push(error._tag)))
        const server = yield* listen(serve({
          average: (payload) => Stream.runCount(tap(payload)),
          convert: (payload) => Effect.succeed(Stream.map(tap(payload), ({ celsius }) => celsius)),
          record: (payload) => Stream.runDrain(tap(payload))
        }))
        for (const path of ["/average", "/convert", "/record/1"]) {
          const raw = yield* dial(server.url, path)
          raw.ws.send(`{"celsius":1,"at":"x"}`)
          raw.ws.send(message)
          raw.ws.send("null\n")
          assert.strictEqual((yield* raw.end).code, 4400, path)
          assert.deepStrictEqual(raw.messages, path === "/convert" ? ["1\n"] : [])
        }
        assert.deepStrictEqual(seen, Array.from({ length: 3 }, () => "HttpApiSchemaError"))
        const client = yield* server.client()
        assert.strictEqual(yield* client.sensors.average({ payload: Stream.make(...readings(1, 2)) }), 2)
      }))
  }

  it.live("a message to an endpoint that takes none closes with 1008, except for null", () =>
    Effect.gen(function*() {
      const ended = yield* Deferred.make<void>()
      const { url } = yield* listen(serve({
        watch: () => Effect.succeed(Stream.ensuring(Stream.never, Deferred.succeed(ended, undefined)))
      }))
      const raw = yield* dial(url, "/watch")
      raw.ws.send("null\n")
      raw.ws.send("1\n")
      yield* Effect.timeoutOption(Deferred.await(ended), 20)
      assert.isFalse(yield* Deferred.isDone(ended))
      const other = yield* dial(url, "/watch")
      other.ws.send("1\n")
      assert.strictEqual((yield* other.end).code, 1008)
      yield* within("the handler's end", Deferred.await(ended))
    }))
})
