/**
 * Calls of all kinds, each of which knows whether it was answered rightly, and the API that they call.
 */
import { assert } from "@effect/vitest"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Ndjson from "effect/encoding/Ndjson"
import * as HttpBody from "effect/http/HttpBody"
import type * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { createHash, type Hash } from "node:crypto"
import { bytesOf, hashOf, sha256 } from "../support/bodies.ts"
import type { Random } from "./random.ts"

// --- the API ---------------------------------------------------------------------------------------------------------

/** One API, and what its handlers did. */
export const makeApi = () => {
  const executions = new Map<string, number>()
  const handlers = { started: 0, ended: 0 }
  const counted = <E, R>(handler: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
    Effect.suspend(() => {
      handlers.started++
      return Effect.ensuring(handler, Effect.sync(() => handlers.ended++))
    })
  const countedBody = (body: Stream.Stream<Uint8Array, unknown>) =>
    Stream.suspend(() => {
      handlers.started++
      return Stream.ensuring(body, Effect.sync(() => handlers.ended++))
    })
  const routes = Layer.mergeAll(
    HttpRouter.add(
      "POST",
      "/once/:id",
      counted(Effect.gen(function*() {
        const { id } = yield* HttpRouter.params
        const request = yield* HttpServerRequest.HttpServerRequest
        executions.set(id!, (executions.get(id!) ?? 0) + 1)
        return HttpServerResponse.text(`${id} ${yield* request.text}`)
      }))
    ),
    HttpRouter.add(
      "POST",
      "/upload",
      counted(Effect.gen(function*() {
        const request = yield* HttpServerRequest.HttpServerRequest
        return HttpServerResponse.text(yield* sha256(request.stream))
      }))
    ),
    HttpRouter.add(
      "GET",
      "/download/:seed/:size",
      counted(Effect.map(
        HttpRouter.params,
        ({ seed, size }) => HttpServerResponse.stream(countedBody(bytesOf(Number(seed), Number(size))))
      ))
    ),
    HttpRouter.add(
      "POST",
      "/echo",
      counted(Effect.gen(function*() {
        const request = yield* HttpServerRequest.HttpServerRequest
        return HttpServerResponse.stream(
          countedBody(request.stream.pipe(
            Stream.pipeThroughChannel(Ndjson.decode()),
            Stream.map((item) => ({ echo: item })),
            Stream.pipeThroughChannel(Ndjson.encode())
          )),
          { contentType: "application/x-ndjson" }
        )
      }))
    )
  )
  return { routes, executions, handlers }
}

// --- calls -----------------------------------------------------------------------------------------------------------

export const once = Effect.fnUntraced(function*(api: HttpClient.HttpClient, id: string, body: string) {
  const response = yield* api.post(`/once/${id}`, { body: HttpBody.text(body) })
  assert.strictEqual(yield* response.text, `${id} ${body}`)
})

const upload = Effect.fnUntraced(function*(api: HttpClient.HttpClient, seed: number, size: number) {
  const response = yield* api.post("/upload", { body: HttpBody.stream(bytesOf(seed, size)) })
  assert.strictEqual(yield* response.text, hashOf(seed, size), `upload of ${size} bytes`)
})

const download = Effect.fnUntraced(function*(api: HttpClient.HttpClient, seed: number, size: number) {
  const response = yield* api.get(`/download/${seed}/${size}`)
  assert.strictEqual(yield* sha256(response.stream), hashOf(seed, size), `download of ${size} bytes`)
})

/** Items that were sent and not echoed yet. */
const inFlight = 4

/** Sends items as their echoes come, while `more` says so. */
const echo = Effect.fnUntraced(function*(
  api: HttpClient.HttpClient,
  itemOf: (index: number) => unknown,
  more: (count: number) => boolean
) {
  const items = yield* Queue.unbounded<unknown, Cause.Done>()
  let sent = 0
  const send = () => {
    if (more(sent)) Queue.offerUnsafe(items, itemOf(sent++))
    else Queue.endUnsafe(items)
  }
  for (let index = 0; index < inFlight; index++) send()
  const response = yield* api.post("/echo", {
    body: HttpBody.stream(Stream.pipeThroughChannel(Stream.fromQueue(items), Ndjson.encode()))
  })
  let received = 0
  yield* Stream.runForEach(
    Stream.pipeThroughChannel(response.stream, Ndjson.decode()),
    (item) =>
      Effect.sync(() => {
        assert.deepStrictEqual(item, { echo: itemOf(received++) })
        send()
      })
  )
  assert.strictEqual(received, sent)
})

/** One call of a random kind and size; answers its kind. */
export const anyCall = (api: HttpClient.HttpClient, random: Random, nextId: () => string) => {
  const seed = random.int(1000)
  const size = random.chance(0.1) ? random.int(3 * 1024 * 1024) : random.skewed(300_000)
  return random.pick([
    () => Effect.as(once(api, nextId(), "x".repeat(random.skewed(30_000))), "once"),
    () => Effect.as(once(api, nextId(), ""), "once"),
    () => Effect.as(upload(api, seed, size), "upload"),
    () => Effect.as(download(api, seed, size), "download"),
    () => {
      const count = random.int(40)
      const text = "x".repeat(random.skewed(20_000))
      return Effect.as(echo(api, (index) => ({ index, text }), (sent) => sent < count), "echo")
    }
  ])()
}

// --- one long call ---------------------------------------------------------------------------------------------------

/** Bytes for as long as `more` says so; what went through is hashed. */
const endless = (seed: number, hash: Hash, more: () => boolean): Stream.Stream<Uint8Array> =>
  bytesOf(seed, Number.MAX_SAFE_INTEGER, 16 * 1024).pipe(
    Stream.takeWhile(more),
    Stream.tap((chunk) => Effect.sync(() => hash.update(chunk)))
  )

/** Calls whose bodies end when `more` says so. */
export const long = {
  download: {
    routes: (more: () => boolean, hash: Hash) =>
      HttpRouter.add("GET", "/long", Effect.sync(() => HttpServerResponse.stream(endless(1, hash, more)))),
    call: (api: HttpClient.HttpClient, _more: () => boolean, hash: Hash) =>
      Effect.gen(function*() {
        const response = yield* api.get("/long")
        assert.strictEqual(yield* sha256(response.stream), hash.digest("hex"))
      })
  },
  upload: {
    routes: (_more: () => boolean, hash: Hash) =>
      HttpRouter.add(
        "POST",
        "/long",
        Effect.gen(function*() {
          const request = yield* HttpServerRequest.HttpServerRequest
          yield* Stream.runForEach(request.stream, (chunk) => Effect.sync(() => hash.update(chunk)))
          return HttpServerResponse.text(hash.digest("hex"))
        })
      ),
    call: (api: HttpClient.HttpClient, more: () => boolean, _hash: Hash) =>
      Effect.gen(function*() {
        const sent = createHash("sha256")
        const response = yield* api.post("/long", { body: HttpBody.stream(endless(2, sent, more)) })
        assert.strictEqual(yield* response.text, sent.digest("hex"))
      })
  },
  both: {
    routes: (_more: () => boolean, hash: Hash) =>
      HttpRouter.add(
        "POST",
        "/long",
        Effect.gen(function*() {
          const request = yield* HttpServerRequest.HttpServerRequest
          return HttpServerResponse.stream(
            Stream.tap(request.stream, (chunk) => Effect.sync(() => hash.update(chunk)))
          )
        })
      ),
    call: (api: HttpClient.HttpClient, more: () => boolean, hash: Hash) =>
      Effect.gen(function*() {
        const sent = createHash("sha256")
        const response = yield* api.post("/long", { body: HttpBody.stream(endless(3, sent, more)) })
        const received = yield* sha256(response.stream)
        assert.deepStrictEqual([received, hash.digest("hex")], Array<string>(2).fill(sent.digest("hex")))
      })
  }
} as const
