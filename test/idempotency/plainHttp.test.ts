/**
 * Requests with a key over plain HTTP, as clients make them that know nothing of this package.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import * as Idempotency from "effect-swaggersocket/Idempotency"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Http from "node:http"
import * as Http2 from "node:http2"
import { within } from "../support/waiting.ts"
import { type App, makeCounter } from "./keyed.ts"

const reads: App<unknown> = Effect.map(
  Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ text }) => text),
  (text) => HttpServerResponse.text(`ordered ${text}`)
)

/** A server, whose handler counts, and its URL. */
const serve = Effect.fnUntraced(function*(server: () => Http.Server | Http2.Http2Server) {
  const counter = makeCounter(() => reads)
  const once = yield* Idempotency.make()
  const context = yield* Layer.build(
    HttpServer.serve(once(counter.app)).pipe(
      Layer.provideMerge(NodeHttpServer.layerServer(server, { port: 0, host: "127.0.0.1" }))
    )
  )
  const { address } = yield* Effect.provide(HttpServer.HttpServer, context)
  return { counter, url: NetAddress.formatUrlUnsafe(address) }
})

type Answer = readonly [status: number | undefined, text: string, replayed: unknown]

describe("HTTP/1.1", () => {
  const call = (url: string, body: string) =>
    Effect.callback<Answer>((resume) => {
      const request = Http.request(`${url}/orders`, {
        method: "POST",
        headers: {
          connection: "Upgrade, HTTP2-Settings",
          upgrade: "h2c",
          "http2-settings": "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
          "content-length": String(body.length),
          "idempotency-key": "k"
        }
      })
      request.on("response", (response) => {
        let text = ""
        response.setEncoding("utf8").on("data", (part: string) => text += part).on("end", () => {
          resume(Effect.succeed([response.statusCode, text, response.headers["idempotency-replayed"]]))
        })
      })
      request.end(body)
    })

  it.live("a request of a client that would rather speak HTTP/2 asks for no upgrade", () =>
    Effect.gen(function*() {
      const { counter, url } = yield* serve(() => Http.createServer())
      assert.deepStrictEqual(yield* within("the answer", call(url, "two")), [200, "ordered two", undefined])
      assert.deepStrictEqual(yield* within("the repetition", call(url, "two")), [200, "ordered two", "true"])
      assert.strictEqual((yield* within("another request", call(url, "three")))[0], 422)
      assert.strictEqual(counter.count, 1)
    }).pipe(Effect.scoped))
})

describe("HTTP/2", () => {
  const call = (session: Http2.ClientHttp2Session, body: string) =>
    Effect.callback<Answer>((resume) => {
      const request = session.request({ ":method": "POST", ":path": "/orders", "idempotency-key": "k" })
      let head: Http2.IncomingHttpHeaders & Http2.IncomingHttpStatusHeader = {}
      let text = ""
      request.on("response", (headers) => head = headers)
      request.setEncoding("utf8").on("data", (part: string) => text += part).on("end", () => {
        resume(Effect.succeed([head[":status"], text, head["idempotency-replayed"]]))
      })
      request.end(body)
    })

  it.live("a body whose length nobody has declared reaches the handler, and is compared", () =>
    Effect.gen(function*() {
      const { counter, url } = yield* serve(() => Http2.createServer())
      const session = yield* Effect.acquireRelease(
        Effect.sync(() => Http2.connect(url)),
        (session) => Effect.sync(() => session.destroy())
      )
      assert.deepStrictEqual(yield* within("the answer", call(session, "two")), [200, "ordered two", undefined])
      assert.deepStrictEqual(yield* within("the repetition", call(session, "two")), [200, "ordered two", "true"])
      assert.strictEqual((yield* within("another request", call(session, "three")))[0], 422)
      assert.strictEqual((yield* within("no body", call(session, "")))[0], 422)
      assert.strictEqual(counter.count, 1)
    }).pipe(Effect.scoped))
})
