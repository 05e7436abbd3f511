/**
 * A key belongs to one request: another body with the same key is refused, however it is sent and read.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as Idempotency from "effect-swaggersocket/Idempotency"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { BodyDigest, type BodyPrint, printOf } from "../../src/internal/idempotency/bodyDigest.ts"
import { Random } from "../support/random.ts"
import { type App, ask, assertAnswer, connect, eventually, fork, makeCounter } from "./keyed.ts"

const text = new TextEncoder()
const bytesOf = (value: string) => text.encode(value)

const request = HttpServerRequest.HttpServerRequest
const ignores: App = Effect.succeed(HttpServerResponse.text("done"))
const reads: App<unknown> = Effect.flatMap(request, (request) => request.arrayBuffer).pipe(
  Effect.map((body) => HttpServerResponse.text(`${body.byteLength} bytes`))
)
const readsSome: App<unknown> = Effect.flatMap(request, (request) => Stream.runDrain(Stream.take(request.stream, 1)))
  .pipe(
    Effect.as(HttpServerResponse.text("done"))
  )
const handlers = { ignores, reads, "reads some": readsSome }

const readable = (value: string) => new Blob([value]).stream()
const form = (value: string) => {
  const form = new FormData()
  form.set("name", value)
  form.set("file", new File([value], "file.txt", { type: "text/plain" }))
  return form
}

/** Bodies that are sent by Effect's client. */
const bodies: Readonly<Record<string, (value: string) => HttpBody.HttpBody>> = {
  text: (value) => HttpBody.text(value),
  bytes: (value) => HttpBody.uint8Array(bytesOf(value)),
  "raw text": (value) => HttpBody.raw(value, { contentType: "text/plain" }),
  "raw bytes": (value) => HttpBody.raw(bytesOf(value)),
  "a raw stream": (value) => HttpBody.raw(readable(value)),
  "a form": (value) => HttpBody.formData(form(value)),
  "a stream": (value) => HttpBody.stream(Stream.fromIterable(value).pipe(Stream.map(bytesOf), Stream.rechunk(1)))
}

/** Bodies that are sent by `fetch`. */
const fetched: Readonly<Record<string, (value: string) => BodyInit>> = {
  text: (value) => value,
  bytes: bytesOf,
  "a blob": (value) => new Blob([value]),
  "a form": form,
  "a query": (value) => new URLSearchParams({ value }),
  "a stream": readable
}

const long = "x".repeat(70_000)
const pairs = [["a", "b"], [`${long}a`, `${long}b`], ["a", "ab"], ["ab", "a"]] as const

describe("different body with the same key", () => {
  for (const [handler, app] of Object.entries(handlers)) {
    for (const [kind, body] of Object.entries(bodies)) {
      it.effect(`a handler that ${handler} the body gets no other body with the same key, sent as ${kind}`, () =>
        Effect.gen(function*() {
          const counter = makeCounter(() => app)
          const { api } = yield* connect((yield* Idempotency.make())(counter.app))
          for (const [index, [one, other]] of pairs.entries()) {
            const key = `${index}`
            assertAnswer(yield* ask(api, key, { body: body(one) }), { status: 200 })
            assertAnswer(yield* ask(api, key, { body: body(other) }), { status: 422 })
            assertAnswer(yield* ask(api, key, { body: body(one) }), { status: 200, replayed: true })
            assertAnswer(yield* ask(api, key, {}), { status: 422 })
          }
          assert.strictEqual(counter.count, pairs.length)
        }))
    }

    it.effect(`a handler that ${handler} the body gets no other body with its key from fetch, on both transports`, () =>
      Effect.gen(function*() {
        const middleware = yield* Idempotency.make()
        const counter = makeCounter(() => app)
        const { api } = yield* connect(middleware(counter.app))
        const plain = yield* Layer.build(
          HttpServer.serve(middleware(counter.app)).pipe(
            Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" }))
          )
        )
        const url = yield* Effect.map(
          Effect.provide(HttpServer.HttpServer, plain),
          ({ address }) => NetAddress.formatUrlUnsafe(address)
        )
        const call = (fetch: typeof globalThis.fetch, key: string, body: BodyInit) =>
          Effect.promise(async () => {
            const response = await fetch(`${url}/orders`, {
              method: "POST",
              headers: { "idempotency-key": key },
              body,
              duplex: "half"
            } as RequestInit)
            await response.text()
            return [response.status, response.headers.get("idempotency-replayed")]
          })
        for (const [kind, body] of Object.entries(fetched)) {
          for (const [index, [one, other]] of pairs.entries()) {
            for (const fetch of [ApiClient.toFetch(api), globalThis.fetch]) {
              const key = `${kind.replaceAll(" ", "-")}-${index}-${fetch === globalThis.fetch}`
              assert.deepStrictEqual(yield* call(fetch, key, body(one)), [200, null], key)
              assert.deepStrictEqual(yield* call(fetch, key, body(other)), [422, null], key)
              assert.deepStrictEqual(yield* call(fetch, key, body(one)), [200, "true"], key)
            }
          }
        }
      }))
  }

  it.effect("another body is refused while the first one is being sent, and after its connection was lost", () =>
    Effect.gen(function*() {
      const counter = makeCounter(() => reads)
      const middleware = yield* Idempotency.make()
      const one = yield* connect(middleware(counter.app))
      const two = yield* connect(middleware(counter.app))
      const endless = (value: string) => HttpBody.stream(Stream.concat(Stream.make(bytesOf(value)), Stream.never))
      const call = yield* fork(Effect.flip(ask(one.api, "k", { body: endless("abc") })))
      yield* eventually(() => counter.count === 1)
      const others = yield* Effect.forEach(
        ["abd", "abc", "ab", "abcd"],
        (value) => fork(ask(two.api, "k", { body: HttpBody.stream(Stream.make(bytesOf(value))) }))
      )
      yield* one.close
      yield* Fiber.join(call)
      const statuses = yield* Effect.forEach(others, (other) => Effect.map(Fiber.join(other), ({ status }) => status))
      // Nobody knows how the first would have gone on.
      assert.deepStrictEqual(statuses, [422, 409, 422, 409])
      assert.strictEqual(counter.count, 1)
    }))

  it.effect("a body of 5 MiB is refused when its last byte differs, and replayed when only its pieces differ", () =>
    Effect.gen(function*() {
      const counter = makeCounter(() => reads)
      const { api } = yield* connect((yield* Idempotency.make())(counter.app))
      const body = (last: number, size: number) => {
        const whole = new Uint8Array(5 * 1024 * 1024 + 1).map((_, index) => index % 251)
        whole[whole.length - 1] = last
        const count = Math.ceil(whole.length / size)
        return HttpBody.stream(
          Stream.map(Stream.range(0, count - 1), (index) => whole.subarray(index * size, (index + 1) * size))
        )
      }
      assertAnswer(yield* ask(api, "k", { body: body(1, 10_000) }), { status: 200, text: "5242881 bytes" })
      assertAnswer(yield* ask(api, "k", { body: body(1, 65_537) }), { status: 200, replayed: true })
      assertAnswer(yield* ask(api, "k", { body: body(2, 10_000) }), { status: 422 })
      assert.strictEqual(counter.count, 1)
    }))
})

describe("body of unknown length", () => {
  it.effect("a body of unknown length is answered before it has ended, and is compared as far as it came", () =>
    Effect.gen(function*() {
      const counter = makeCounter(() => ignores)
      const { api } = yield* connect((yield* Idempotency.make())(counter.app))
      const sent = Deferred.makeUnsafe<void>()
      const endless = Stream.concat(
        Stream.make(bytesOf("abc")),
        Stream.fromEffect(Effect.andThen(Deferred.succeed(sent, undefined), Effect.never))
      )
      assertAnswer(yield* ask(api, "k", { body: HttpBody.stream(endless) }), { status: 200 })
      const again = yield* fork(ask(api, "k", { body: HttpBody.uint8Array(bytesOf("abcdef")) }))
      const other = yield* fork(ask(api, "k", { body: HttpBody.uint8Array(bytesOf("abd")) }))
      yield* Deferred.await(sent)
      yield* TestClock.adjust("10 seconds")
      assertAnswer(yield* Fiber.join(again), { status: 200, replayed: true })
      assertAnswer(yield* Fiber.join(other), { status: 422 })
    }))

  it.effect("a body of unknown length that a handler leaves unread is read up to the limit", () =>
    Effect.gen(function*() {
      const counter = makeCounter(() => ignores)
      const { api } = yield* connect((yield* Idempotency.make({ maxRequestSize: 10 }))(counter.app))
      let made = 0
      const endless = Stream.forever(Stream.fromEffect(Effect.sync(() => {
        made++
        return bytesOf("x".repeat(1000))
      })))
      assertAnswer(yield* ask(api, "k", { body: HttpBody.stream(endless) }), { status: 200 })
      assertAnswer(yield* ask(api, "k", { body: HttpBody.text(`y${"x".repeat(999)}`) }), { status: 422 })
      assertAnswer(yield* ask(api, "k", { body: HttpBody.text("x".repeat(500)) }), { status: 422 })
      assert.isBelow(made, 2000)
    }))

  it.effect("a body of unknown length flows to its handler and back while it is sent", () =>
    Effect.gen(function*() {
      const echo = Effect.map(request, (request) => HttpServerResponse.stream(request.stream))
      const { api } = yield* connect((yield* Idempotency.make())(echo))
      const go = Deferred.makeUnsafe<void>()
      const body = HttpBody.stream(
        Stream.concat(Stream.make(bytesOf("a")), Stream.fromEffect(Effect.as(Deferred.await(go), bytesOf("b"))))
      )
      const response = yield* api.post("/orders", { body, headers: { "idempotency-key": "k" } })
      const parts: Array<string> = []
      yield* Stream.runForEach(response.stream, (chunk) => {
        parts.push(new TextDecoder().decode(chunk))
        return Deferred.succeed(go, undefined)
      })
      assert.deepStrictEqual(parts, ["a", "b"])
      assertAnswer(yield* ask(api, "k", { body: HttpBody.text("ab", "application/octet-stream") }), {
        status: 200,
        text: "ab",
        replayed: true
      })
    }))

  it.effect("a body of unknown length that has more bytes than its handler allows is answered 413", () =>
    Effect.gen(function*() {
      const strict = Effect.provideService(reads, HttpIncomingMessage.MaxBodySize, 10 as never)
      const { api } = yield* connect((yield* Idempotency.make())(strict))
      const value = "x".repeat(11)
      for (const [key, body] of [["a", bodies.text!(value)], ["b", bodies["a stream"]!(value)]] as const) {
        assertAnswer(yield* ask(api, key, { body }), { status: 413 })
      }
    }))
})

describe("length of a body", () => {
  it.effect("a request has a content-length where the length of its body is known", () =>
    Effect.gen(function*() {
      const { api } = yield* connect(
        Effect.map(request, ({ headers }) => HttpServerResponse.text(`${headers["content-length"]}`))
      )
      const lengths: Record<string, string> = {}
      for (const [kind, body] of Object.entries(bodies)) {
        lengths[kind] = yield* api.post("/", { body: body("abc") }).pipe(
          Effect.flatMap((response) => response.text)
        )
      }
      const { "a form": form, ...others } = lengths
      assert.deepStrictEqual(others, {
        text: "3",
        bytes: "3",
        "raw text": "3",
        "raw bytes": "3",
        "a raw stream": "undefined",
        "a stream": "undefined"
      })
      assert.isAbove(Number(form), 200)
    }))
})

describe("hashes of bodies", () => {
  const random = new Random(7)
  const hashed = async (whole: Uint8Array, boundary: string | undefined, limit = Infinity): Promise<BodyPrint> => {
    const digest = new BodyDigest(boundary, limit)
    for (let at = 0; at < whole.length;) {
      const size = random.pick([1, 2, 3, 10, 1000, 65_535, 65_536, 200_000])
      await digest.add(whole.subarray(at, at + size))
      at += size
    }
    return digest.end(true)
  }

  it("the hash of a body is the same however the body is cut", async () => {
    for (const size of [0, 1, 1023, 1024, 1025, 65_535, 65_536, 65_537, 131_072, 300_000]) {
      const whole = new Uint8Array(size).map((_, index) => index * 7)
      const print = await printOf(whole, undefined)
      assert.deepStrictEqual([print.bytes, print.whole], [size, true])
      for (let run = 0; run < 3; run++) assert.deepStrictEqual(await hashed(whole, undefined), print)
      if (size === 0) continue
      const cut = await hashed(whole, undefined, size - 1)
      assert.deepStrictEqual(cut, { ...(await printOf(whole.subarray(0, size - 1), undefined)), whole: false })
      const other = whole.slice()
      other[random.pick([0, size - 1])]! ^= 1
      assert.notStrictEqual((await hashed(other, undefined)).hash, print.hash)
    }
  })

  it("the hash of a form leaves out its boundary, wherever the form is cut", async () => {
    for (const boundary of ["b", "aa", "aba", "----1234"]) {
      for (let run = 0; run < 300; run++) {
        const parts = Array.from({ length: 8 }, () => random.pick([boundary, "a", "b", "-", boundary.slice(1), "ä"]))
        const whole = bytesOf(parts.join(""))
        const digest = new BodyDigest(boundary, Infinity)
        for (const byte of whole) await digest.add(Uint8Array.of(byte))
        assert.deepStrictEqual(await digest.end(true), await printOf(whole, boundary), parts.join("|"))
      }
    }
  })
})
