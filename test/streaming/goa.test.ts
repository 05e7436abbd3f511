/**
 * Our ends with goa's: transcripts of its chatter service, a streaming service over WebSockets, are played again over real
 * sockets, each of their ends to ours in the place of the other.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { cases } from "./goa/cases.ts"
import { type ClientPlay, playToClient } from "./goa/clientPlayer.ts"
import { playToServer, type ServerPlay } from "./goa/serverPlayer.ts"
import { load, names } from "./goa/transcript.ts"

const playsOf = <Play>(plays: Play | ReadonlyArray<Play>): ReadonlyArray<Play> =>
  Array.isArray(plays) ? plays as ReadonlyArray<Play> : [plays as Play]

describe("transcripts of goa's programs", () => {
  it("transcripts of goa's programs are all replayed, or left out with a reason", () => {
    assert.deepStrictEqual(names(), Object.keys(cases).sort())
    for (const { client, server } of Object.values(cases)) {
      for (const reason of [client, server].filter(Predicate.isString)) assert.isAbove(reason.length, 0)
    }
  })

  for (const [name, { client = {}, server = {} }] of Object.entries(cases)) {
    const title = (role: string, play: ServerPlay & ClientPlay) =>
      `our ${role} replays the transcript ${name}${play.leaves === true ? ", by a client that does not wait" : ""}${
        play.differs === undefined ? "" : `: ${play.differs[0]}`
      }`
    if (Predicate.isString(server)) it.skip(`our server does not replay the transcript ${name}: ${server}`, () => {})
    else {
      for (const play of playsOf(server)) {
        it.effect(title("server", play), () => Effect.scoped(playToServer(load(name), play)))
      }
    }
    if (Predicate.isString(client)) it.skip(`our client does not replay the transcript ${name}: ${client}`, () => {})
    else {
      for (const play of playsOf(client)) {
        it.live(title("client", play), () => Effect.scoped(playToClient(load(name), play)))
      }
    }
  }
})
