/**
 * PROTOCOL.md, "Floods" and "Limits": peers that make this end begin work and throw it away.
 */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { data, type Fields, request, reset, response } from "./frames.ts"
import { type Fixture, hostile } from "./hub.ts"
import type { RawPeer } from "./rawPeer.ts"

const excessive = (hub: Fixture, peer: RawPeer) =>
  Effect.gen(function*() {
    const { error } = yield* hub.expectEvent("ConnectionFailure")
    assert.deepInclude(error.reason, { _tag: "ProtocolViolation", initiator: "remote", code: "EXCESSIVE_LOAD" })
    yield* peer.expectConnectionError("EXCESSIVE_LOAD")
  })

describe("streams opened and reset at once", () => {
  const count = 1500
  const ids = Array.from({ length: count }, (_, index) => index * 2 + 1)

  const floodOf = (title: string, frames: (peer: RawPeer, id: number) => void) =>
    hostile(`${title}: connection error EXCESSIVE_LOAD (4009)`, (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        for (const id of ids) frames(peer, id)
        yield* excessive(hub, peer)
      }))

  const upload = (id: number, fields: Fields = []) => request(id, "/never", { method: "POST", end: false, fields })

  floodOf("by RESET CANCELLED", (peer, id) => peer.sendNow(request(id, "/never"), reset(id, "CANCELLED")))
  floodOf("by DATA after END", (peer, id) => peer.sendNow(request(id, "/never"), data(id, "x")))
  floodOf("by RESPONSE", (peer, id) => peer.sendNow(upload(id), response(id, 200)))
  floodOf("by heads that are malformed", (peer, id) => peer.sendNow(request(id, "no target")))
  floodOf(
    "by heads that are too large",
    (peer, id) => peer.sendNow(request(id, "/never", { fields: [["x", "y".repeat(16384)]] }))
  )
  floodOf(
    "by bodies longer than content-length",
    (peer, id) => peer.sendNow(upload(id, [["content-length", "0"]]), data(id, "x"))
  )
  floodOf(
    "by bodies shorter than content-length",
    (peer, id) => peer.sendNow(upload(id, [["content-length", "2"]]), data(id, "x", true))
  )
  floodOf("by heads with a broken content-length", (peer, id) => peer.sendNow(upload(id, [["content-length", "x"]])))

  const harmless = (title: string, frames: (peer: RawPeer, id: number) => void, serves: boolean) =>
    hostile(`${title} are no flood: the connection lives`, (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        for (const id of ids) frames(peer, id)
        yield* peer.expectAlive()
      }), { serves, limits: { maxConcurrentStreams: serves ? 100 : 0 } })

  harmless("1,500 calls that are refused (REFUSED_STREAM)", (peer, id) => peer.sendNow(request(id, "/ping")), false)
  harmless("1,500 calls that are answered", (peer, id) => peer.sendNow(request(id, "/empty")), true)
})
