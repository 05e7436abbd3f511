/**
 * Bodies that are read as they are produced, both ways at once.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Stream from "effect/Stream"
import * as assert from "../assert.ts"
import {
  type Case,
  chunked,
  gated,
  makeCase,
  pseudoRandom,
  responseBytes,
  serve,
  serveEcho,
  serveRoutes,
  serveWith,
  sha256,
  sha256Stream,
  utf8
} from "./cases.ts"

const MiB = 1024 * 1024

/** Reads text line by line and opens the gate when it sees `line`: the producer must not need to go on before that. */
const openAt = (gate: Deferred.Deferred<void>, line: string) => <E, R>(stream: Stream.Stream<Uint8Array, E, R>) =>
  stream.pipe(
    Stream.decodeText,
    Stream.splitLines,
    Stream.tap((current) => current === line ? Deferred.succeed(gate, undefined) : Effect.void),
    Stream.runCollect
  )

const deliversAsProduced = (contentType: string, first: string, second: string) =>
  Effect.gen(function*() {
    const gate = yield* Deferred.make<void>()
    yield* serve(Effect.succeed(
      HttpServerResponse.stream(gated(`${first}\n`, gate, Stream.make(utf8(`${second}\n`))), { contentType })
    ))
    const response = yield* HttpClient.get("/")
    assert.strictEqual(response.headers["content-type"], contentType)
    const lines = yield* openAt(gate, first)(response.stream)
    assert.deepStrictEqual(lines, [first, second])
  })

export const streamingCases: ReadonlyArray<Case> = [
  makeCase(
    "bytes are delivered as they are produced",
    deliversAsProduced("application/octet-stream", "first", "second")
  ),
  makeCase(
    "SSE events are delivered as they are produced",
    deliversAsProduced("text/event-stream", "data: 1", "data: 2")
  ),
  makeCase(
    "NDJSON rows are delivered as they are produced",
    deliversAsProduced("application/x-ndjson", "{\"a\":1}", "{}")
  ),

  makeCase(
    "the head of a response arrives before the first chunk of its body",
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const late = Stream.fromEffect(Effect.as(Deferred.await(gate), utf8("body")))
      yield* serve(Effect.succeed(HttpServerResponse.stream(late)))
      const response = yield* HttpClient.get("/")
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* response.text, "body")
    })
  ),

  makeCase(
    "the handler reads a request body as it is produced",
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      yield* serveWith((request) =>
        Effect.map(openAt(gate, "first")(request.stream), (lines) => HttpServerResponse.jsonUnsafe(lines))
      )
      const response = yield* HttpClient.post("/", {
        body: HttpBody.stream(gated("first\n", gate, Stream.make(utf8("second\n"))))
      })
      assert.deepStrictEqual(yield* response.json, ["first", "second"])
    })
  ),

  makeCase(
    "full duplex: the first response chunk is seen before the second request chunk is produced",
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      yield* serveWith((request) => Effect.succeed(HttpServerResponse.stream(request.stream)))
      const response = yield* HttpClient.post("/", {
        body: HttpBody.stream(gated("first\n", gate, Stream.make(utf8("second\n"))))
      })
      assert.deepStrictEqual(yield* openAt(gate, "first")(response.stream), ["first", "second"])
    })
  ),

  makeCase(
    "full duplex: a conversation of 100 turns",
    Effect.gen(function*() {
      yield* serveWith((request) => Effect.succeed(HttpServerResponse.stream(request.stream)))
      const turns = 100
      const gates = yield* Effect.replicateEffect(Deferred.make<void>(), turns + 1)
      const at = (index: number) => Effect.fromNullishOr(gates[index])
      const wait = (index: number) => Effect.flatMap(at(index), Deferred.await)
      const open = (index: number) => Effect.flatMap(at(index), (gate) => Deferred.succeed(gate, undefined))
      yield* open(0)
      const response = yield* HttpClient.post("/", {
        body: HttpBody.stream(
          Stream.range(0, turns - 1).pipe(
            Stream.rechunk(1),
            Stream.mapEffect((turn) => Effect.as(wait(turn), utf8(`${turn}\n`)))
          )
        )
      })
      const lines = yield* response.stream.pipe(
        Stream.decodeText,
        Stream.splitLines,
        Stream.tap((line) => open(Number(line) + 1)),
        Stream.runCollect
      )
      assert.deepStrictEqual(lines, Array.from({ length: turns }, (_, turn) => String(turn)))
    })
  ),

  makeCase(
    "full duplex: 8 MiB are echoed while they are sent",
    Effect.gen(function*() {
      const content = pseudoRandom(8 * MiB)
      yield* serveWith((request) => Effect.succeed(HttpServerResponse.stream(request.stream)))
      const response = yield* HttpClient.post("/", { body: HttpBody.stream(chunked(content, 60_013)) })
      assert.strictEqual(yield* sha256Stream(response.stream), sha256(content))
    })
  ),

  makeCase(
    "a handler may answer without reading the request body",
    Effect.gen(function*() {
      yield* serve(Effect.succeed(HttpServerResponse.text("unread", { status: 202 })))
      for (const size of [10, 100_000, 4 * MiB]) {
        const response = yield* HttpClient.post("/", { body: HttpBody.stream(chunked(pseudoRandom(size), 16_384)) })
        assert.strictEqual(response.status, 202)
        assert.strictEqual(yield* response.text, "unread")
      }
    })
  ),

  makeCase(
    "a response may end before the request body has ended, and the upload is stopped then",
    Effect.gen(function*() {
      const stopped = yield* Deferred.make<void>()
      yield* serveWith((request) => Effect.map(Stream.runHead(request.stream), () => HttpServerResponse.text("enough")))
      const endless = Stream.concat(Stream.make(utf8("start")), Stream.never)
      const response = yield* HttpClient.post("/", {
        body: HttpBody.stream(Stream.ensuring(endless, Deferred.succeed(stopped, undefined)))
      })
      assert.strictEqual(yield* response.text, "enough")
      yield* Deferred.await(stopped)
    })
  ),

  makeCase(
    "a reader that has seen enough stops the producer",
    Effect.gen(function*() {
      const stopped = yield* Deferred.make<void>()
      // a transport that collects a body before it sends it is stuck here instead of out of memory
      const endless = Stream.fromEffectRepeat(Effect.succeed(pseudoRandom(10_000))).pipe(
        Stream.take(5000),
        Stream.concat(Stream.never)
      )
      yield* serve(Effect.succeed(
        HttpServerResponse.stream(Stream.ensuring(endless, Deferred.succeed(stopped, undefined)))
      ))
      const response = yield* HttpClient.get("/")
      const size = yield* response.stream.pipe(
        Stream.scan(() => 0, (total, chunk) => total + chunk.length),
        Stream.takeUntil((total) => total >= MiB),
        Stream.runLast
      )
      assert.isTrue(size._tag === "Some" && size.value >= MiB)
      yield* Deferred.await(stopped)
    })
  ),

  makeCase(
    "a slow exchange does not hold up another",
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const started = yield* Deferred.make<void>()
      yield* serveWith((request) =>
        request.url === "/slow"
          ? Deferred.succeed(started, undefined).pipe(
            Effect.andThen(Deferred.await(gate)),
            Effect.as(HttpServerResponse.text("slow"))
          )
          : Effect.as(Deferred.succeed(gate, undefined), HttpServerResponse.text("fast"))
      )
      const slow = yield* Effect.forkChild(Effect.flatMap(HttpClient.get("/slow"), (response) => response.text))
      yield* Deferred.await(started)
      const fast = yield* HttpClient.get("/fast")
      assert.strictEqual(yield* fast.text, "fast")
      assert.strictEqual(yield* Fiber.join(slow), "slow")
    })
  ),

  makeCase(
    "a response body that nobody reads yet does not hold up another exchange",
    Effect.gen(function*() {
      yield* serveWith((request) =>
        Effect.succeed(
          request.url === "/big"
            ? HttpServerResponse.stream(chunked(pseudoRandom(8 * MiB), 16_384))
            : HttpServerResponse.text("small")
        )
      )
      const big = yield* HttpClient.get("/big")
      for (let index = 0; index < 10; index++) {
        const small = yield* HttpClient.get("/small")
        assert.strictEqual(yield* small.text, "small")
      }
      assert.strictEqual(yield* sha256Stream(big.stream), sha256(pseudoRandom(8 * MiB)))
    })
  ),

  makeCase(
    "a request body that the handler does not read yet does not hold up another exchange",
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const gate = yield* Deferred.make<void>()
      yield* serveWith((request) =>
        request.url === "/big"
          ? Deferred.succeed(started, undefined).pipe(
            Effect.andThen(Deferred.await(gate)),
            Effect.andThen(sha256Stream(request.stream)),
            Effect.map((hash) => HttpServerResponse.text(hash))
          )
          : Effect.map(request.text, (text) => HttpServerResponse.text(text))
      )
      const big = yield* HttpClient.post("/big", {
        body: HttpBody.stream(chunked(pseudoRandom(8 * MiB), 16_384))
      }).pipe(
        Effect.flatMap((response) => response.text),
        Effect.forkChild
      )
      yield* Deferred.await(started)
      for (let index = 0; index < 10; index++) {
        const small = yield* HttpClient.post("/small", { body: HttpBody.text("small") })
        assert.strictEqual(yield* small.text, "small")
      }
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* Fiber.join(big), sha256(pseudoRandom(8 * MiB)))
    })
  ),

  makeCase(
    "100 concurrent requests are each given their own answer",
    Effect.gen(function*() {
      const waiting = yield* Deferred.make<void>()
      let arrived = 0
      yield* serveRoutes(HttpRouter.add(
        "POST",
        "/echo/:id",
        Effect.gen(function*() {
          const { id } = yield* HttpRouter.params
          const request = yield* HttpServerRequest.HttpServerRequest
          const text = yield* request.text
          if (++arrived === 100) {
            yield* Deferred.succeed(waiting, undefined)
          }
          yield* Deferred.await(waiting)
          return HttpServerResponse.text(`${id} ${text}`, { headers: { "x-id": id } })
        })
      ))
      const answers = yield* Effect.forEach(
        Array.from({ length: 100 }, (_, id) => id),
        (id) =>
          HttpClient.post(`/echo/${id}`, { body: HttpBody.text(`body ${id}`) }).pipe(
            Effect.flatMap((response) => Effect.map(response.text, (text) => [response.headers["x-id"], text]))
          ),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(answers, Array.from({ length: 100 }, (_, id) => [String(id), `${id} body ${id}`]))
    })
  ),

  makeCase(
    "1,000 sequential requests are each given their own answer",
    Effect.gen(function*() {
      yield* serveWith((request) =>
        Effect.map(request.text, (text) => HttpServerResponse.text(`${request.url} ${text}`))
      )
      for (let index = 0; index < 1000; index++) {
        const response = yield* HttpClient.post(`/${index}`, { body: HttpBody.text(String(index)) })
        assert.strictEqual(yield* response.text, `/${index} ${index}`)
      }
    })
  ),

  makeCase(
    "20 concurrent bodies of 1 MiB arrive whole, both ways",
    Effect.gen(function*() {
      yield* serveEcho
      const content = pseudoRandom(MiB + 20)
      yield* Effect.forEach(
        Array.from({ length: 20 }, (_, index) => content.subarray(index, index + MiB)),
        (bytes) =>
          Effect.gen(function*() {
            const response = yield* HttpClient.post("/", { body: HttpBody.stream(chunked(bytes, 30_011)) })
            assert.strictEqual(sha256(yield* responseBytes(response)), sha256(bytes))
          }),
        { concurrency: "unbounded" }
      )
    })
  )
]
