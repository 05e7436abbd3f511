/**
 * Peers that send, or read, as fast as they can: the event loop of the process that they are connected to goes on turning.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { MiB } from "../support/bodies.ts"
import { everyOther, whole } from "../support/extent.ts"
import { type Child, fork } from "../support/fork.ts"
import { report, round } from "../support/measurements.ts"
import type { Attack } from "./children/attacker.ts"
import type { Over } from "./children/crowd.ts"
import type { Begin, Listening, Stalls } from "./children/stalled.ts"

/** In milliseconds. It is 15 to 50, what the compiler takes among it; without turns it was 150 to 2,000, or did not end. */
const bar = 150

/** The attack after which the attacker is gone. */
const killed = "a reader that is killed"

const attacks: ReadonlyArray<readonly [wire: Attack["wire"], attack: string]> = [
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
  ["v2", killed],
  ["v1", "empty messages"],
  ["v1", "blank lines"],
  ["v1", "megabytes of blank lines in one message"],
  ["v1", "requests in a message of megabytes"],
  ["v1", "a line of megabytes"],
  ["v1", "chunks of a byte"],
  ["v1", "a reader without end"],
  ["v1", killed],
  ["streaming", "a reader without end"],
  ["streaming", killed]
]

const attacked = Effect.fnUntraced(
  function*(hub: Child, attacker: Child, url: string, wire: Attack["wire"], attack: string) {
    yield* hub.tell({ type: "begin" })
    yield* hub.hear("watching")
    yield* attacker.tell<Attack>({ type: "attack", url, wire, attack })
    const isKilled = attack === killed
    yield* attacker.hear(isKilled ? "the process ended (SIGKILL)" : "over")
    // A process that stands still does not answer.
    yield* hub.tell({ type: "end" })
    const { heap, longest } = yield* Effect.timeout(hub.hear<Stalls>("stalls"), "30 seconds")
    if (!isKilled) yield* attacker.tell({ type: "leave" })
    return { wire, attack, longestMillis: round(longest), heapMiB: round(heap / MiB) }
  }
)

describe("peer that sends or reads as fast as it can", () => {
  it.live(
    "a peer that sends or reads as fast as it can never stops the event loop for long, on either wire",
    (context) =>
      Effect.gen(function*() {
        const hub = yield* fork(new URL("children/stalled.ts", import.meta.url))
        const { urls } = yield* hub.hear<Listening>("listening")
        const measured = []
        const startAttacker = fork(new URL("children/attacker.ts", import.meta.url))
        const lasting = yield* startAttacker
        for (const [wire, attack] of attacks) {
          const once = attack === killed
            ? Effect.scoped(
              Effect.flatMap(startAttacker, (attacker) => attacked(hub, attacker, urls[wire], wire, attack))
            )
            : attacked(hub, lasting, urls[wire], wire, attack)
          const first = yield* once
          // Other processes may have had the machine for a moment.
          measured.push(first.longestMillis > bar ? yield* once : first)
        }
        report(context, { measured })
        assert.deepStrictEqual(measured.filter(({ heapMiB, longestMillis }) => longestMillis > bar || heapMiB > 72), [])
      }),
    180_000
  )
})

type Crowd = readonly [wire: "v1" | "v2" | "streaming" | "bare", clients: number, action: string]

/** What many clients do at once. */
const crowds: ReadonlyArray<Crowd> = [
  ["v2", 1000, "dial"],
  ["v1", 1000, "dial"],
  ["streaming", 1000, "dial"],
  ["v2", 3000, "dial"],
  ["v2", 1000, "die"],
  ["v2", 1000, "dieWithSessions"],
  ["v2", 1000, "dieForGood"],
  ["v2", 1000, "goodbye"],
  ...(whole ? [["bare", 3000, "dial"] as const] : [])
]

/** A hub of its own, which has not been compiled yet. */
const crowded = (...[wire, clients, action]: Crowd) =>
  Effect.scoped(Effect.gen(function*() {
    const hub = yield* fork(new URL("children/stalled.ts", import.meta.url))
    const { urls } = yield* hub.hear<Listening>("listening")
    const crowd = yield* fork(new URL("children/crowd.ts", import.meta.url), [
      urls[wire],
      wire,
      String(clients),
      action
    ])
    if (action !== "dial") yield* crowd.hear("connected")
    const told = action === "dial" ? {} : action === "dieForGood" ? { ending: clients } : { losing: clients }
    yield* hub.tell<Begin>({ type: "begin", ...told })
    yield* hub.hear("watching")
    if (action !== "dial") yield* crowd.tell({ type: "go" })
    const accepted = action.startsWith("die")
      ? yield* Effect.as(crowd.hear("the process ended (SIGKILL)"), clients)
      : (yield* crowd.hear<Over>("over")).accepted
    yield* hub.tell({ type: "end" })
    const { longest } = yield* Effect.timeout(hub.hear<Stalls>("stalls"), "30 seconds")
    return { wire, clients, action, accepted, longestMillis: round(longest) }
  }))

/**
 * In milliseconds. It is 30 to 170, most of it what Node and `ws` do before they tell this package; without turns it was 230
 * to 700. 3,000 dials take 30 to 120 here, and 80 to 260 on a server of `ws` alone: see `bare`.
 */
const crowdBar = 150

describe("clients that come or go together", () => {
  it.live(
    "many clients that come or go together don't stop the event loop of a hub that has just started",
    (context) =>
      Effect.gen(function*() {
        const measured = []
        for (const crowd of everyOther(everyOther(crowds))) {
          // Machines are a third slower at times. Without turns the least of some would be beyond the bar as well.
          let least = yield* crowded(...crowd)
          for (let more = 0; more < 4 && least.longestMillis > crowdBar; more++) least = yield* crowded(...crowd)
          measured.push(least)
        }
        report(context, { measured })
        const own = measured.filter(({ wire }) => wire !== "bare")
        assert.deepStrictEqual(own.filter(({ longestMillis }) => longestMillis > crowdBar), [])
        // As many as may shake hands at once, at least.
        assert.deepStrictEqual(measured.filter(({ accepted }) => accepted < 256), [])
      }),
    240_000
  )
})
