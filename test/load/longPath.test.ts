/**
 * Bodies over a path with 20 ms of round-trip time: windows grow to what the path can carry.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import { assertIdle, bytesOf, hashOf, join, MiB, report, roles, round, serveRoutes, sha256, timed } from "./harness.ts"

const size = 32 * MiB
/** One way, in milliseconds. */
const delay = 10
/** What an initial window of 256 KiB carries. */
const initialMiBps = 0.25 / (2 * delay) * 1000

describe("a path with 20 ms of round-trip time", () => {
  for (const serving of ["server", "client"] as const) {
    for (const direction of ["download", "upload"] as const) {
      it.live(`API on the ${serving}: the windows of ${direction}s grow`, (context) =>
        Effect.gen(function*() {
          const ends = yield* join({ delay })
          const { api, serving: peer } = roles(ends, serving)
          yield* serveRoutes(
            peer,
            Layer.merge(
              HttpRouter.add("GET", "/download", HttpServerResponse.stream(bytesOf(1, size))),
              HttpRouter.add(
                "POST",
                "/upload",
                Effect.gen(function*() {
                  const request = yield* HttpServerRequest.HttpServerRequest
                  return HttpServerResponse.text(yield* sha256(request.stream))
                })
              )
            )
          )
          const transfer = direction === "download"
            ? Effect.flatMap(api.get("/download"), (response) => sha256(response.stream))
            : Effect.flatMap(
              api.post("/upload", { body: HttpBody.stream(bytesOf(1, size)) }),
              (response) => response.text
            )
          const speeds: Array<number> = []
          for (let index = 0; index < 3; index++) {
            const [hash, millis] = yield* timed(transfer)
            assert.strictEqual(hash, hashOf(1, size))
            speeds.push(round(size / MiB / millis * 1000))
          }
          report(context, { MiBps: speeds, withInitialWindow: initialMiBps })
          assert.isAbove(Math.max(...speeds), initialMiBps * 2.5)
          yield* assertIdle(ends)
        }))
    }
  }
})
