/**
 * Bodies over a path with 20 ms of round-trip time: windows grow to what the path can carry.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import type * as HttpClient from "effect/http/HttpClient"
import { bytesOf, hashOf, MiB, sha256 } from "../support/bodies.ts"
import { bodyRoutes } from "../support/bodyRoutes.ts"
import { join, roles, serveRoutes } from "../support/connections.ts"
import { assertIdle } from "../support/credit.ts"
import { report, round, timed } from "../support/measurements.ts"

const size = 12 * MiB
/** One way, in milliseconds. */
const delay = 10
/** Windows that stay as they begin. */
const fixed = { maxStreamWindow: 262144, maxConnectionWindow: 1048576 }

/** Moves a body, whole; gives MiB per second. */
const transfer = Effect.fnUntraced(function*(api: HttpClient.HttpClient, direction: "download" | "upload") {
  const [hash, millis] = yield* timed(
    direction === "download"
      ? Effect.flatMap(api.get(`/download/1/${size}`), (response) => sha256(response.stream))
      : Effect.flatMap(
        api.post("/upload", { body: HttpBody.stream(bytesOf(1, size)) }),
        (response) => response.text
      )
  )
  assert.strictEqual(hash, hashOf(1, size))
  return size / MiB / millis * 1000
})

describe("path with 20 ms of round-trip time", () => {
  for (const serving of ["server", "client"] as const) {
    for (const direction of ["download", "upload"] as const) {
      it.live(`the windows of ${direction}s grow on a path with 20 ms of round-trip time, API on the ${serving}`, (context) =>
        Effect.gen(function*() {
          const ends = {
            fixed: yield* join({ delay, serverLimits: fixed, clientLimits: fixed }),
            growing: yield* join({ delay })
          }
          const speeds = { fixed: 0, growing: 0 }
          for (const windows of ["growing", "fixed"] as const) {
            const { api, serving: peer } = roles(ends[windows], serving)
            yield* serveRoutes(peer, bodyRoutes)
            // Windows grow within the first body; those that stay are as fast with the first as with others.
            if (windows === "growing") yield* transfer(api, direction)
            speeds[windows] = yield* transfer(api, direction)
          }
          report(context, { fixedMiBps: round(speeds.fixed), growingMiBps: round(speeds.growing) })
          assert.isAbove(speeds.growing, speeds.fixed * 1.2)
          yield* assertIdle(ends.fixed)
          yield* assertIdle(ends.growing)
        }))
    }
  }
})
