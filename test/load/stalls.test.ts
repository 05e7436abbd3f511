/**
 * Peers that send, or read, as fast as they can: the event loop of the process that they are connected to goes on turning.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Listening, Stalls } from "./children/stalled.ts"
import { type Child, fork } from "./fork.ts"
import { MiB, report, round } from "./harness.ts"

/** In milliseconds. It is 15 to 50, what the compiler takes among it; without turns it was 150 to 2,000, or did not end. */
const bar = 150

const attacks: ReadonlyArray<readonly [wire: "v1" | "v2" | "streaming", attack: string]> = [
  ["v2", "messages of one PING"],
  ["v2", "messages of many PINGs"],
  ["v2", "messages of one byte of DATA"],
  ["v2", "messages of many bytes of DATA, each alone"],
  ["v2", "requests that are refused, and reset, while answers wait"],
  ["v2", "a message of a thousand requests"],
  ["v2", "a message of requests that are reset"],
  ["v2", "a byte for each of a hundred echoes"],
  ["v2", "WebSocket pongs"],
  ["v2", "a reader without end"],
  ["v2", "a reader that is killed"],
  ["v1", "empty messages"],
  ["v1", "blank lines"],
  ["v1", "megabytes of blank lines in one message"],
  ["v1", "requests in a message of megabytes"],
  ["v1", "a line of megabytes"],
  ["v1", "chunks of a byte"],
  ["v1", "a reader without end"],
  ["v1", "a reader that is killed"],
  ["streaming", "a reader without end"],
  ["streaming", "a reader that is killed"]
]

const attacked = (hub: Child, url: string, wire: string, attack: string) =>
  Effect.scoped(Effect.gen(function*() {
    const attacker = yield* fork("attacker.ts", [url, wire, attack])
    yield* hub.tell({ type: "begin" })
    yield* hub.hear("watching")
    yield* attacker.hear(attack === "a reader that is killed" ? "the process ended (SIGKILL)" : "over")
    // A process that stands still does not answer.
    yield* hub.tell({ type: "end" })
    const { heap, longest } = yield* Effect.timeout(hub.hear<Stalls>("stalls"), "30 seconds")
    return { wire, attack, longestMillis: round(longest), heapMiB: round(heap / MiB) }
  }))

describe("a peer that sends or reads as fast as it can", () => {
  it.live("never stops the event loop for long, whatever carries it", (context) =>
    Effect.gen(function*() {
      const hub = yield* fork("stalled.ts")
      const { urls } = yield* hub.hear<Listening>("listening")
      const measured = []
      for (const [wire, attack] of attacks) {
        const once = attacked(hub, urls[wire], wire, attack)
        const first = yield* once
        // Other processes may have had the machine for a moment.
        measured.push(first.longestMillis > bar ? yield* once : first)
      }
      report(context, { measured })
      assert.deepStrictEqual(measured.filter(({ heapMiB, longestMillis }) => longestMillis > bar || heapMiB > 96), [])
    }), 180_000)
})

/**
 * In milliseconds. It is 40 to 180: Node and Effect's server handle all requests that have come in one turn, up to this
 * package. Without turns it was 350 to 1,300.
 */
const dialBar = 250

describe("a thousand clients that dial at once", () => {
  it.live("don't stop the event loop of a hub that has just started", (context) =>
    Effect.gen(function*() {
      const measured = []
      for (const wire of ["v2", "v1"]) {
        const once = Effect.scoped(Effect.gen(function*() {
          const hub = yield* fork("stalled.ts")
          const { urls } = yield* hub.hear<Listening>("listening")
          return yield* attacked(hub, urls[wire as "v1" | "v2"], wire, "a thousand clients that dial at once")
        }))
        const first = yield* once
        measured.push(first.longestMillis > dialBar ? yield* once : first)
      }
      report(context, { measured })
      assert.deepStrictEqual(measured.filter(({ longestMillis }) => longestMillis > dialBar), [])
    }), 120_000)
})
