/**
 * PROTOCOL.md, "Limits": peers that make this end begin work and throw it away.
 */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Frame } from "../../src/internal/frame/Frame.ts"
import { hostileServer, othersGoOn } from "../support/clientUnderAttack.ts"
import { bytes, credit, data, type Fields, goAway, ping, request, reset, response } from "../support/frames.ts"
import { type Fixture, hostile } from "../support/hubUnderAttack.ts"
import type { RawPeer } from "../support/rawPeer.ts"
import { eventually } from "../support/waiting.ts"

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
    hostile(
      `a flood of streams reset ${title} is a connection error EXCESSIVE_LOAD (4009)`,
      (hub) =>
        Effect.gen(function*() {
          const peer = yield* hub.connect()
          for (const id of ids) frames(peer, id)
          yield* excessive(hub, peer)
          // The burst is that of the default; what a slow machine allows again meanwhile must not be enough for the rest.
        }),
      { limits: { resetsPerSecond: 1 } }
    )

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
    hostile(`${title} are no flood, and the connection lives`, (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        for (const id of ids) frames(peer, id)
        yield* peer.expectAlive()
      }), { serves, limits: { maxConcurrentStreams: serves ? 100 : 0 } })

  harmless("1,500 calls that are refused (REFUSED_STREAM)", (peer, id) => peer.sendNow(request(id, "/ping")), false)
  harmless("1,500 calls that are answered", (peer, id) => peer.sendNow(request(id, "/empty")), true)
})

describe("frames without effect", () => {
  const empty = (streamId: number, count: number) => Array.from({ length: count }, () => data(streamId, ""))

  for (
    const [title, path, open] of [
      ["that is read", "/length", true],
      ["that nobody reads", "/never", true],
      ["of a stream that was reset", "/never", false]
    ] as const
  ) {
    hostile(
      `a flood of DATA without bytes for a body ${title} is a connection error EXCESSIVE_LOAD (4009)`,
      (hub) =>
        Effect.gen(function*() {
          const peer = yield* hub.connect()
          peer.sendNow(request(1, path, { method: "POST", end: false }))
          if (!open) {
            // Beyond its length: this end resets the stream, and remembers it.
            peer.sendNow(
              request(3, path, { method: "POST", end: false, fields: [["content-length", "0"]] }),
              data(3, "x")
            )
            yield* peer.expectReset(3, "MALFORMED")
          }
          for (let sent = 0; sent < 20_000; sent += 1000) peer.sendNow(...empty(open ? 1 : 3, 1000))
          yield* excessive(hub, peer)
        })
    )
  }

  hostile("500 DATA without bytes are no flood, and their body arrives", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      peer.sendNow(request(1, "/length", { method: "POST", end: false }))
      peer.sendNow(...empty(1, 250), data(1, "x"), ...empty(1, 250), data(1, "", true))
      const answer = yield* peer.expectResponse(1)
      assert.strictEqual(Buffer.from(answer.body).toString(), "1")
    }))

  hostileServer(
    "a server's flood of DATA without bytes is a connection error EXCESSIVE_LOAD, and the client dials again",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.accept()
        yield* Effect.forkChild(Effect.exit(fixture.http.get("/wrong")))
        yield* peer.expectFrame("Request", 1)
        peer.sendNow(response(1, 200, { end: false }), ...empty(1, 5000))
        yield* peer.expectConnectionError("EXCESSIVE_LOAD")
        const { error } = yield* fixture.expectEvent("ConnectionFailure")
        assert.deepInclude(error.reason, { _tag: "ProtocolViolation", initiator: "remote", code: "EXCESSIVE_LOAD" })
        yield* othersGoOn(fixture, yield* fixture.accept(), 1)
      })
  )

  const floods: Readonly<Record<string, Frame>> = {
    PINGs: ping("x"),
    "PONGs that answer nothing": { _tag: "Pong", data: bytes("x") },
    "ACKs that acknowledge nothing": { _tag: "Ack", received: 0 },
    "CREDITs of a byte": credit(0, 1),
    "CREDITs of a stream that is closed": credit(1, 1)
  }
  for (const [name, frame] of Object.entries(floods)) {
    hostile(`a flood of ${name} is a connection error EXCESSIVE_LOAD (4009)`, (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        peer.sendNow(request(1, "/empty"))
        yield* peer.expectResponse(1)
        for (let count = 0; count < 20; count++) peer.sendNow(...Array.from({ length: 1000 }, () => frame))
        yield* excessive(hub, peer)
      }), { limits: { controlPerSecond: 1 } })
  }

  hostile(
    "3,000 requests that are refused are all told so, others are served meanwhile, and the connection lives",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        const count = 3000
        let id = 1
        peer.sendNow(request(id, "/never"))
        yield* Effect.forkScoped(Effect.forever(hub.healthyCall))
        for (let sent = 0; sent < count; sent += 500) {
          peer.sendNow(...Array.from({ length: 500 }, () => request(id += 2, "/ping")))
        }
        const refused = () => peer.log.filter((event) => event._tag === "Frame" && event.frame._tag === "Reset").length
        yield* eventually(() => assert.strictEqual(refused(), count), refused)
        yield* peer.sendFrames(ping("alive"))
        yield* peer.expectFrame("Pong")
      }),
    { limits: { maxConcurrentStreams: 1, refusedPerSecond: 10_000, refusedBurst: 500 } }
  )

  hostile("a flood of GOAWAYs is a connection error EXCESSIVE_LOAD (4009)", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      for (let count = 0; count < 10; count++) {
        peer.sendNow(...Array.from({ length: 100 }, () => goAway(0, "NO_ERROR")))
      }
      yield* excessive(hub, peer)
    }))

  hostile(
    "a GOAWAY whose last stream id rises is a connection error PROTOCOL_ERROR (4001)",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        peer.sendNow(goAway(8, "NO_ERROR"), goAway(6, "NO_ERROR"), goAway(6, "NO_ERROR"), goAway(8, "NO_ERROR"))
        const { error } = yield* hub.expectEvent("ConnectionFailure")
        assert.deepInclude(error.reason, { _tag: "ProtocolViolation", initiator: "remote", code: "PROTOCOL_ERROR" })
        yield* peer.expectConnectionError("PROTOCOL_ERROR")
      })
  )
})
