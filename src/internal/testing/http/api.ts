/**
 * An `HttpApi` with its typed client, over the transport.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as HttpApiClient from "effect/http-api/HttpApiClient"
import * as HttpApiSwagger from "effect/http-api/HttpApiSwagger"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import * as assert from "../assert.ts"
import { assertFailure, type Case, makeCase, pseudoRandom, serveRoutes, sha256, sha256Stream } from "./cases.ts"
import { Gate, Item, Missing, StreamBroke, Taken, TestApi, TestApiLive, type Tick, Unauthorized } from "./testApi.ts"

const start = Effect.gen(function*() {
  const gate = yield* Deferred.make<void>()
  yield* serveRoutes(
    Layer.mergeAll(TestApiLive, HttpApiSwagger.layer(TestApi, { path: "/docs" })).pipe(
      Layer.provide(Layer.succeed(Gate, gate))
    )
  )
  const client = yield* HttpApiClient.make(TestApi)
  return { client, gate }
})

const openAtFirst = (gate: Deferred.Deferred<void>) => <E, R>(stream: Stream.Stream<typeof Tick.Type, E, R>) =>
  Stream.tap(stream, (tick) => tick.index === 0 ? Deferred.succeed(gate, undefined) : Effect.void)

const ticks = [{ index: 0, label: "first" }, { index: 1, label: "sécond\nline" }]

export const apiCases: ReadonlyArray<Case> = [
  makeCase(
    "typed params are encoded, and a typed success is decoded",
    Effect.gen(function*() {
      const { client } = yield* start
      const item = yield* client.items.read({ params: { id: 7 } })
      assert.instanceOf(item, Item)
      assert.deepStrictEqual(item, new Item({ id: 7, name: "item 7", addedAt: new Date(0) }))
    })
  ),

  makeCase(
    "a typed error arrives as itself",
    Effect.gen(function*() {
      const { client } = yield* start
      const missing = yield* Effect.flip(client.items.read({ params: { id: -1 } }))
      assert.instanceOf(missing, Missing)
      assert.strictEqual(missing instanceof Missing && missing.id, -1)
      const taken = yield* Effect.flip(client.items.create({ payload: { name: "taken" } }))
      assert.instanceOf(taken, Taken)
    })
  ),

  makeCase(
    "typed query and headers arrive decoded",
    Effect.gen(function*() {
      const { client } = yield* start
      const since = new Date("2026-10-01T00:00:00.000Z")
      const found = yield* client.items.search({
        query: { tags: ["a b", "c&d", "✓"], limit: 5, since },
        headers: { "x-tenant": "acme", "x-depth": 3 }
      })
      assert.deepStrictEqual(found, { tags: ["a b", "c&d", "✓"], limit: 5, since, tenant: "acme", depth: 3 })
    })
  ),

  makeCase(
    "a typed payload makes a 201 with a typed success",
    Effect.gen(function*() {
      const { client } = yield* start
      const [item, response] = yield* client.items.create({
        payload: { name: "é ✓" },
        responseMode: "decoded-and-response"
      })
      assert.deepStrictEqual(item, new Item({ id: 1, name: "é ✓", addedAt: new Date(1) }))
      assert.strictEqual(response.status, 201)
    })
  ),

  makeCase(
    "an endpoint without content is a 204",
    Effect.gen(function*() {
      const { client } = yield* start
      const response = yield* client.items.remove({ params: { id: 1 }, responseMode: "response-only" })
      assert.strictEqual(response.status, 204)
      assert.isUndefined(yield* client.items.remove({ params: { id: 1 } }))
    })
  ),

  makeCase(
    "params, query, headers and payloads that do not fit are a 400",
    Effect.gen(function*() {
      yield* start
      const requests = [
        HttpClientRequest.get("/items/seven"),
        HttpClientRequest.get("/items?tags=a&since=never", { headers: { "x-tenant": "a", "x-depth": "1" } }),
        HttpClientRequest.get("/items?tags=a&since=2026-10-01", { headers: { "x-tenant": "a", "x-depth": "deep" } }),
        HttpClientRequest.post("/items").pipe(HttpClientRequest.bodyJsonUnsafe({ name: "x" })),
        HttpClientRequest.post("/items").pipe(HttpClientRequest.bodyText("{", "application/json"))
      ]
      for (const request of requests) {
        const response = yield* HttpClient.execute(request)
        assert.strictEqual(response.status, 400, request.url)
      }
    })
  ),

  makeCase(
    "a payload of a content type that is not declared is a 415",
    Effect.gen(function*() {
      yield* start
      const response = yield* HttpClient.execute(
        HttpClientRequest.post("/items").pipe(HttpClientRequest.bodyText("<item/>", "application/xml"))
      )
      assert.strictEqual(response.status, 415)
    })
  ),

  makeCase(
    "bearer security lets the right token in and refuses others with a typed error",
    Effect.gen(function*() {
      yield* start
      const me = (token: string) =>
        HttpApiClient.make(TestApi, {
          transformClient: HttpClient.mapRequest(HttpClientRequest.bearerToken(token))
        }).pipe(Effect.flatMap((client) => client.account.me()))
      assert.strictEqual(yield* me("secret"), "ada")
      assert.instanceOf(yield* Effect.flip(me("wrong")), Unauthorized)
    })
  ),

  makeCase(
    "a multipart endpoint is given its fields and files",
    Effect.gen(function*() {
      const { client } = yield* start
      const payload = new FormData()
      payload.append("title", "✓")
      payload.append("files", new File([pseudoRandom(40_000)], "a.bin"))
      payload.append("files", new File([pseudoRandom(10)], "b.bin"))
      assert.deepStrictEqual(yield* client.files.upload({ payload }), [
        `✓ a.bin ${sha256(pseudoRandom(40_000))}`,
        `✓ b.bin ${sha256(pseudoRandom(10))}`
      ])
    })
  ),

  makeCase(
    "bytes stream in and out of endpoints",
    Effect.gen(function*() {
      const { client } = yield* start
      const expected = sha256(pseudoRandom(2_000_000))
      const download = yield* client.files.download({ params: { size: 2_000_000 } })
      assert.strictEqual(yield* sha256Stream(download), expected)
      const again = yield* client.files.download({ params: { size: 2_000_000 } })
      assert.strictEqual(yield* client.files.hash({ payload: again }), expected)
    })
  ),

  makeCase(
    "an SSE endpoint delivers each event as it is produced",
    Effect.gen(function*() {
      const { client, gate } = yield* start
      const stream = yield* client.streams.ticks()
      assert.deepStrictEqual(yield* Stream.runCollect(openAtFirst(gate)(stream)), ticks)
    })
  ),

  makeCase(
    "an SSE endpoint that fails ends with its typed error",
    Effect.gen(function*() {
      const { client } = yield* start
      const received: Array<unknown> = []
      const error = yield* Effect.flatMap(
        client.streams.breaks(),
        (stream) => Stream.runForEach(stream, (tick) => Effect.sync(() => received.push(tick)))
      ).pipe(Effect.flip)
      assert.deepStrictEqual(received, [{ index: 0, label: "only" }])
      assert.instanceOf(error, StreamBroke)
    })
  ),

  makeCase(
    "an NDJSON endpoint delivers each row as it is produced",
    Effect.gen(function*() {
      const { client, gate } = yield* start
      const stream = yield* client.streams.rows()
      assert.deepStrictEqual(yield* Stream.runCollect(openAtFirst(gate)(stream)), ticks)
    })
  ),

  makeCase(
    "an NDJSON endpoint answers each row of its payload before the next is produced",
    Effect.gen(function*() {
      const { client, gate } = yield* start
      const payload = Stream.concat(
        Stream.make(1),
        Stream.unwrap(Effect.as(Deferred.await(gate), Stream.make(2, 3)))
      )
      const stream = yield* client.streams.double({ payload })
      const rows = yield* stream.pipe(
        Stream.tap((row) => row === 2 ? Deferred.succeed(gate, undefined) : Effect.void),
        Stream.runCollect
      )
      assert.deepStrictEqual(rows, [2, 4, 6])
    })
  ),

  makeCase(
    "an NDJSON payload that does not fit breaks the exchange",
    Effect.gen(function*() {
      yield* start
      const exit = yield* HttpClient.execute(
        HttpClientRequest.post("/double").pipe(HttpClientRequest.bodyText("1\n\"two\"\n", "application/x-ndjson"))
      ).pipe(
        Effect.flatMap((response): Effect.Effect<string, unknown> =>
          response.status === 200 ? response.text : Effect.fail(response.status)
        ),
        Effect.exit
      )
      assertFailure(exit, "the exchange ended cleanly")
    })
  ),

  makeCase(
    "the OpenAPI document and the Swagger page are served",
    Effect.gen(function*() {
      yield* start
      const document = yield* HttpClient.get("/openapi.json")
      assert.strictEqual(document.status, 200)
      assert.isTrue(Predicate.hasProperty(yield* document.json, "paths"))
      const page = yield* HttpClient.get("/docs")
      assert.match(page.headers["content-type"] ?? "", /^text\/html/)
      assert.include(yield* page.text, "swagger")
    })
  )
]
