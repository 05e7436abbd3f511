/**
 * Bodies of requests: kinds, lengths, chunks.
 */
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Path from "effect/Path"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { gunzipSync, gzipSync } from "node:zlib"
import * as assert from "../assert.ts"
import {
  allByteValues,
  assertClientError,
  type Case,
  chunked,
  makeCase,
  pseudoRandom,
  responseBytes,
  seen,
  serve,
  serveEcho,
  serveInspector,
  serveWith,
  sha256,
  sha256Stream,
  utf8
} from "./cases.ts"
import { otherChunks, streamOf, unusableChunks } from "./chunks.ts"

const MiB = 1024 * 1024

const echoes = (body: () => HttpBody.HttpBody, expected: () => Uint8Array) =>
  Effect.gen(function*() {
    yield* serveEcho
    const response = yield* HttpClient.post("/", { body: body() })
    const bytes = yield* responseBytes(response)
    assert.strictEqual(bytes.length, expected().length)
    assert.strictEqual(sha256(bytes), sha256(expected()))
  })

const Order = Schema.Struct({
  id: Schema.Int,
  at: Schema.Date,
  lines: Schema.Array(Schema.Struct({ name: Schema.String, price: Schema.Number }))
})

export const bodyCases: ReadonlyArray<Case> = [
  ...Array.from(Object.entries(otherChunks), ([kind, [make, expected]]) =>
    makeCase(
      `a stream of ${kind} arrives as its bytes`,
      Effect.suspend(() => echoes(() => HttpBody.stream(streamOf(make())), expected))
    )),

  ...Array.from(Object.entries(unusableChunks), ([kind, chunk]) =>
    makeCase(
      `a request body with ${kind} among its chunks makes the call fail, and the next one succeeds`,
      Effect.gen(function*() {
        yield* serveEcho
        const body = HttpBody.stream(streamOf([utf8("good"), chunk, utf8("good")]))
        const exit = yield* Effect.exit(HttpClient.post("/", { body }))
        assertClientError(exit, "the call succeeded")
        const response = yield* HttpClient.post("/", { body: HttpBody.text("good") })
        assert.strictEqual(yield* response.text, "good")
      })
    )),

  makeCase(
    "a POST without a body arrives empty",
    Effect.gen(function*() {
      yield* serveInspector
      const request = yield* seen(HttpClientRequest.post("/"))
      assert.strictEqual(request.text, "")
      assert.include(["0", undefined], request.headers["content-length"])
      assert.isUndefined(request.headers["content-type"])
    })
  ),

  makeCase(
    "a text body arrives as UTF-8 with its type and its length in bytes",
    Effect.gen(function*() {
      yield* serveInspector
      const request = yield* seen(HttpClientRequest.post("/").pipe(HttpClientRequest.bodyText("naïve ✓ 😀")))
      assert.strictEqual(request.text, "naïve ✓ 😀")
      assert.strictEqual(request.headers["content-type"], "text/plain")
      assert.strictEqual(request.headers["content-length"], String(utf8("naïve ✓ 😀").length))
    })
  ),

  makeCase(
    "a content type with parameters arrives as given",
    Effect.gen(function*() {
      yield* serveInspector
      const request = yield* seen(
        HttpClientRequest.post("/").pipe(HttpClientRequest.bodyText("a,b", "text/csv; charset=utf-8; header=present"))
      )
      assert.strictEqual(request.headers["content-type"], "text/csv; charset=utf-8; header=present")
    })
  ),

  makeCase(
    "a JSON body arrives as JSON",
    Effect.gen(function*() {
      const value = { a: [1, 2.5, -3e-7], b: { c: null, d: "é\u2028" }, e: true }
      yield* serveWith((request) => Effect.flatMap(request.json, (json) => HttpServerResponse.json(json)))
      const response = yield* HttpClientRequest.post("/").pipe(
        HttpClientRequest.bodyJsonUnsafe(value),
        HttpClient.execute
      )
      assert.strictEqual(response.headers["content-type"], "application/json")
      assert.deepStrictEqual(yield* response.json, value)
    })
  ),

  makeCase(
    "all 256 byte values survive a round trip",
    echoes(() => HttpBody.uint8Array(allByteValues), () => allByteValues)
  ),

  makeCase(
    "a body of 8 MiB survives a round trip",
    echoes(() => HttpBody.uint8Array(pseudoRandom(8 * MiB)), () => pseudoRandom(8 * MiB))
  ),

  makeCase(
    "a raw string body arrives as UTF-8",
    echoes(() => HttpBody.raw("raw ✓", { contentType: "text/plain" }), () => utf8("raw ✓"))
  ),

  makeCase("a raw bytes body arrives as it is", echoes(() => HttpBody.raw(allByteValues), () => allByteValues)),

  makeCase(
    "a raw Blob body arrives as it is",
    echoes(() => HttpBody.raw(new Blob([allByteValues])), () => allByteValues)
  ),

  makeCase(
    "a raw ReadableStream body arrives as it is",
    echoes(() => HttpBody.raw(Stream.toReadableStream(chunked(allByteValues, 100))), () => allByteValues)
  ),

  makeCase(
    "a view into a larger buffer sends its own bytes only",
    echoes(() => HttpBody.uint8Array(pseudoRandom(1000).subarray(300, 700)), () => pseudoRandom(1000).slice(300, 700))
  ),

  makeCase(
    "a stream without chunks arrives empty",
    echoes(() => HttpBody.stream(Stream.empty), () => new Uint8Array(0))
  ),

  makeCase(
    "empty chunks in a stream do not end it",
    echoes(
      () => HttpBody.stream(Stream.fromIterable(["", "a", "", "", "b", ""].map(utf8)).pipe(Stream.rechunk(1))),
      () => utf8("ab")
    )
  ),

  makeCase(
    "2,000 chunks of one byte arrive in order",
    echoes(() => HttpBody.stream(chunked(pseudoRandom(2000), 1)), () => pseudoRandom(2000))
  ),

  makeCase(
    "an urlencoded body arrives as its parameters",
    Effect.gen(function*() {
      const params = [["a", "1"], ["a", "two words"], ["b", ""], ["c", "&=+%✓"]] as const
      yield* serveWith((request) =>
        Effect.map(
          request.urlParamsBody,
          (body) => HttpServerResponse.jsonUnsafe({ type: request.headers["content-type"], params: body.params })
        )
      )
      const response = yield* HttpClientRequest.post("/").pipe(
        HttpClientRequest.bodyUrlParams(params),
        HttpClient.execute
      )
      assert.deepStrictEqual(yield* response.json, {
        type: "application/x-www-form-urlencoded",
        params: params.map((pair) => Array.from(pair))
      })
    })
  ),

  makeCase(
    "a stream of unknown length arrives whole and without a content-length",
    Effect.gen(function*() {
      yield* serveInspector
      const request = yield* seen(
        HttpClientRequest.post("/").pipe(
          HttpClientRequest.bodyStream(chunked(utf8("streamed body"), 3), { contentType: "text/x-stream" })
        )
      )
      assert.strictEqual(request.text, "streamed body")
      assert.strictEqual(request.headers["content-type"], "text/x-stream")
      assert.isUndefined(request.headers["content-length"])
    })
  ),

  makeCase(
    "a stream of known length arrives with its content-length",
    Effect.gen(function*() {
      yield* serveInspector
      const request = yield* seen(
        HttpClientRequest.post("/").pipe(
          HttpClientRequest.bodyStream(chunked(utf8("streamed body"), 3), { contentLength: 13 })
        )
      )
      assert.strictEqual(request.text, "streamed body")
      assert.strictEqual(request.headers["content-length"], "13")
    })
  ),

  makeCase(
    "a file body arrives whole, with its length, and in part",
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const file = path.join(yield* fs.makeTempDirectoryScoped(), "upload.bin")
      const content = pseudoRandom(300_000)
      yield* fs.writeFile(file, content)
      yield* serveWith((request) =>
        Effect.map(
          sha256Stream(request.stream),
          (hash) => HttpServerResponse.jsonUnsafe({ hash, length: request.headers["content-length"] })
        )
      )
      const whole = yield* HttpClient.post("/", { body: yield* HttpBody.file(file) })
      assert.deepStrictEqual(yield* whole.json, { hash: sha256(content), length: "300000" })
      const slice = yield* HttpBody.file(file, { offset: 1000, bytesToRead: 70_000 })
      const part = yield* HttpClient.post("/", { body: slice })
      assert.deepStrictEqual(yield* part.json, { hash: sha256(content.subarray(1000, 71_000)), length: "70000" })
    })
  ),

  makeCase(
    "8 MiB are streamed to a handler that hashes them as they come",
    Effect.gen(function*() {
      const content = pseudoRandom(8 * MiB)
      yield* serveWith((request) => Effect.map(sha256Stream(request.stream), (hash) => HttpServerResponse.text(hash)))
      const response = yield* HttpClient.post("/", { body: HttpBody.stream(chunked(content, 65_521)) })
      assert.strictEqual(yield* response.text, sha256(content))
    })
  ),

  makeCase(
    "the body can be read again by another reader of the same message",
    Effect.gen(function*() {
      yield* serveWith((request) =>
        Effect.map(
          Effect.all([request.text, request.json, request.arrayBuffer]),
          ([text, json, buffer]) => HttpServerResponse.jsonUnsafe({ text, json, length: buffer.byteLength })
        )
      )
      const response = yield* HttpClientRequest.post("/").pipe(
        HttpClientRequest.bodyJsonUnsafe({ a: 1 }),
        HttpClient.execute
      )
      const expected = { text: "{\"a\":1}", json: { a: 1 }, length: 7 }
      assert.deepStrictEqual(yield* response.json, expected)
      assert.deepStrictEqual(JSON.parse(yield* response.text), expected)
    })
  ),

  makeCase(
    "schemas encode and decode JSON on both sides",
    Effect.gen(function*() {
      yield* serve(Effect.gen(function*() {
        const order = yield* HttpServerRequest.schemaBodyJson(Order)
        return yield* HttpServerResponse.schemaJson(Order)({ ...order, id: order.id + 1 })
      }))
      const order = { id: 1, at: new Date("2026-01-02T03:04:05.678Z"), lines: [{ name: "é", price: 1.5 }] }
      const answer = yield* HttpClientRequest.post("/").pipe(
        HttpClientRequest.schemaBodyJson(Order)(order),
        Effect.flatMap(HttpClient.execute),
        Effect.flatMap(HttpClientResponse.schemaBodyJson(Order))
      )
      assert.deepStrictEqual(answer, { ...order, id: 2 })
    })
  ),

  makeCase(
    "JSON that does not fit the schema is a 400",
    Effect.gen(function*() {
      yield* serve(Effect.as(HttpServerRequest.schemaBodyJson(Order), HttpServerResponse.empty()))
      const response = yield* HttpClientRequest.post("/").pipe(
        HttpClientRequest.bodyJsonUnsafe({ id: "one" }),
        HttpClient.execute
      )
      assert.strictEqual(response.status, 400)
    })
  ),

  makeCase(
    "a body that is no JSON is a 400",
    Effect.gen(function*() {
      yield* serveWith((request) => Effect.as(request.json, HttpServerResponse.empty()))
      const response = yield* HttpClientRequest.post("/").pipe(
        HttpClientRequest.bodyText("{\"a\":", "application/json"),
        HttpClient.execute
      )
      assert.strictEqual(response.status, 400)
    })
  ),

  makeCase(
    "a body beyond MaxBodySize is a 413, one at the limit is read",
    Effect.gen(function*() {
      yield* serveWith((request) =>
        Effect.map(request.arrayBuffer, (body) => HttpServerResponse.text(String(body.byteLength))).pipe(
          Effect.provideService(HttpServerRequest.MaxBodySize, ByteSize.bytes(1000))
        )
      )
      const fits = yield* HttpClient.post("/", { body: HttpBody.uint8Array(pseudoRandom(1000)) })
      assert.strictEqual(yield* fits.text, "1000")
      for (const body of [HttpBody.uint8Array(pseudoRandom(1001)), HttpBody.stream(chunked(pseudoRandom(1001), 100))]) {
        const refused = yield* HttpClient.post("/", { body })
        assert.strictEqual(refused.status, 413)
      }
    })
  ),

  makeCase(
    "a gzip'd request body arrives untouched",
    Effect.gen(function*() {
      const zipped = gzipSync(utf8("compressed ".repeat(100)))
      let arrived = new Uint8Array(0)
      let encoding: string | undefined
      yield* serveWith((request) =>
        Effect.map(request.arrayBuffer, (body) => {
          arrived = new Uint8Array(body)
          encoding = request.headers["content-encoding"]
          return HttpServerResponse.empty()
        })
      )
      yield* HttpClient.post("/", {
        headers: { "content-encoding": "gzip" },
        body: HttpBody.uint8Array(zipped, "text/plain")
      })
      assert.strictEqual(encoding, "gzip")
      assert.strictEqual(sha256(arrived), sha256(zipped))
    })
  ),

  makeCase(
    "a gzip'd response body arrives untouched",
    Effect.gen(function*() {
      const zipped = gzipSync(utf8("compressed ".repeat(100)))
      yield* serve(Effect.succeed(
        HttpServerResponse.uint8Array(zipped, { contentType: "text/plain", headers: { "content-encoding": "gzip" } })
      ))
      const response = yield* HttpClient.get("/", { headers: { "accept-encoding": "gzip" } })
      assert.strictEqual(response.headers["content-encoding"], "gzip")
      assert.strictEqual(response.headers["content-length"], String(zipped.length))
      assert.strictEqual(gunzipSync(yield* responseBytes(response)).toString(), "compressed ".repeat(100))
    })
  ),

  makeCase(
    "UrlParams of a response arrive as its parameters",
    Effect.gen(function*() {
      yield* serve(Effect.succeed(HttpServerResponse.urlParams([["a", "1"], ["a", "+ &"], ["é", ""]])))
      const response = yield* HttpClient.get("/")
      assert.strictEqual(response.headers["content-type"], "application/x-www-form-urlencoded")
      const body = yield* response.urlParamsBody
      assert.deepStrictEqual(Array.from(body.params), [["a", "1"], ["a", "+ &"], ["é", ""]])
    })
  )
]
