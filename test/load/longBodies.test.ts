/**
 * Long bodies of many small items, each made by an effect of its own: Effect's run loop lets other fibers run at every place
 * of what writes and reads them, and no wake-up may get lost there.
 *
 * `BODIES=50 BODY_MIB=400 npx vitest run test/load/longBodies` takes some minutes.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { MiB } from "../support/bodies.ts"
import { join, roles, serveRoutes } from "../support/connections.ts"
import { extent } from "../support/extent.ts"
import { report, round, timed } from "../support/measurements.ts"

const bodies = extent("BODIES", 2, 10)
const size = extent("BODY_MIB", 8, 100) * MiB
const itemSize = 1024
/** A body of which nothing arrives for so long is taken for hung, in milliseconds. */
const patience = 20_000

const item = new Uint8Array(itemSize).fill(7)

const items: Stream.Stream<Uint8Array> = Stream.mapEffect(
  Stream.range(0, size / itemSize - 1),
  () => Effect.succeed(item)
)

/** Bytes that have arrived of all bodies. */
let arrived = 0

/** Reads a body item by item, and counts its bytes. */
const count = <E>(body: Stream.Stream<Uint8Array, E>): Effect.Effect<number, E> =>
  Stream.runFold(
    Stream.mapEffect(body, (chunk) =>
      Effect.sync(() => {
        arrived += chunk.length
        return chunk.length
      })),
    () => 0,
    (sum, length) => sum + length
  )

const hung = Effect.suspend(() => {
  const before = arrived
  return Effect.flatMap(
    Effect.sleep(patience),
    () => arrived === before ? Effect.fail(new Error(`hung after ${arrived} bytes`)) : Effect.void
  )
}).pipe(Effect.forever)

const routes = Layer.mergeAll(
  HttpRouter.add("GET", "/download", HttpServerResponse.stream(items)),
  HttpRouter.add(
    "POST",
    "/upload",
    Effect.gen(function*() {
      const request = yield* HttpServerRequest.HttpServerRequest
      return HttpServerResponse.text(String(yield* count(request.stream)))
    })
  )
)

describe(`${bodies} bodies of ${size / MiB} MiB in items of 1 KiB`, () => {
  for (const serving of ["server", "client"] as const) {
    for (const kind of ["uploads", "downloads"] as const) {
      // With both sides the numbers are halved.
      const own = serving === "server" ? Math.ceil(bodies / 2) : Math.floor(bodies / 2)
      it.live(
        `${kind} of ${size / MiB} MiB in items of 1 KiB all arrive, API on the ${serving}`,
        (context) =>
          Effect.gen(function*() {
            const ends = yield* join()
            const { api, serving: peer } = roles(ends, serving)
            yield* serveRoutes(peer, routes)
            const call = kind === "downloads"
              ? Effect.flatMap(api.get("/download"), ({ stream }) => count(stream))
              : Effect.map(
                Effect.flatMap(
                  api.execute(HttpClientRequest.bodyStream(HttpClientRequest.post("/upload"), items)),
                  ({ text }) => text
                ),
                Number
              )
            const [sums, millis] = yield* timed(
              Effect.forEach(Array.from({ length: own }), () => Effect.raceFirst(call, hung))
            )
            assert.deepStrictEqual(sums, Array.from({ length: own }, () => size))
            report(context, { "MiB/s": round(own * size / MiB / (millis / 1000)) })
          }).pipe(Effect.scoped),
        3_600_000
      )
    }
  }
})
