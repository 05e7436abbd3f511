/**
 * Our ends with Go's: transcripts that were recorded with Go 1.23 programs, go-openapi/swaggersocket on one end at least,
 * are played again over real sockets, each of their ends to ours in the place of the other.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { cases } from "./replay/cases.ts"
import { type Play, replay } from "./replay/player.ts"
import { load, names } from "./replay/transcript.ts"
import { unrecorded } from "./replay/unrecorded.ts"

/** Go at both ends, or at that which dialled, or at that which was dialled. */
const isGo = (name: string, role: "server" | "client") =>
  name.startsWith("ss-") || role === (name.startsWith("raw-goclient-") ? "client" : "server")

describe("transcripts of Go's programs", () => {
  it("transcripts of Go's programs are all played, or left out with a reason", () => {
    assert.deepStrictEqual(names(), Object.keys(cases).sort())
    for (const { client, server } of Object.values(cases)) {
      for (const reason of [client, server].filter(Predicate.isString)) assert.isAbove(reason.length, 0)
    }
  })

  for (const [name, { client = {}, server = {} }] of Object.entries(cases)) {
    const played = (role: "server" | "client", plays: ReadonlyArray<Play>) =>
      it.live(`our ${role} replays the transcript ${name}`, () =>
        Effect.forEach(
          plays,
          (play) => Effect.scoped(replay({ lines: load(name), role, isGo: isGo(name, role), play })),
          { discard: true }
        ))
    if (!Predicate.isString(server)) played("server", [server])
    if (!Predicate.isString(client)) played("client", Array.isArray(client) ? client : [client as Play])
  }
})

describe("exchanges of Go's programs without a transcript", () => {
  for (const [what, lines] of Object.entries(unrecorded)) {
    for (const role of ["server", "client"] as const) {
      it.live(`our ${role} replays ${what}`, () => Effect.scoped(replay({ lines, role, isGo: false, play: {} })))
    }
  }
})
