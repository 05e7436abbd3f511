/**
 * Routes for bodies that can be verified, and calls of them.
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import { bytesOf, hashOf, MiB, sha256 } from "./bodies.ts"
import { type Ends, roles } from "./connections.ts"

/** `POST /upload` answers the hash of its body, `GET /download/:seed/:size` with `bytesOf`. */
export const bodyRoutes = Layer.merge(
  HttpRouter.add(
    "POST",
    "/upload",
    Effect.gen(function*() {
      const request = yield* HttpServerRequest.HttpServerRequest
      return HttpServerResponse.text(yield* sha256(request.stream))
    })
  ),
  HttpRouter.add(
    "GET",
    "/download/:seed/:size",
    Effect.map(HttpRouter.params, ({ seed, size }) => HttpServerResponse.stream(bytesOf(Number(seed), Number(size))))
  )
)

/** 4 MiB pass in each direction. */
export const assertUsable = Effect.fnUntraced(function*(ends: Ends, serving: "client" | "server") {
  const { api } = roles(ends, serving)
  const size = 4 * MiB
  const [up, down] = yield* Effect.all([
    Effect.flatMap(api.post("/upload", { body: HttpBody.stream(bytesOf(1, size)) }), (response) => response.text),
    Effect.flatMap(api.get(`/download/2/${size}`), (response) => sha256(response.stream))
  ], { concurrency: 2 })
  assert.deepStrictEqual([up, down], [hashOf(1, size), hashOf(2, size)])
})
