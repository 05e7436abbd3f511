/**
 * PROTOCOL.md, "Upgrades": peers that ask, answer, send and end wrongly.
 */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Queue from "effect/Queue"
import { call, hostileServer, othersGoOn, reasonOf } from "../support/clientUnderAttack.ts"
import { type Code, data, type Fields, request, reset, response } from "../support/frames.ts"
import { hostile, type HubOptions } from "../support/hubUnderAttack.ts"
import type { RawPeer } from "../support/rawPeer.ts"
import { until, within } from "../support/waiting.ts"

const knows = { settings: { upgrade: 1 } }
const asking: Fields = [["upgrade", "echo"]]

const ask = (
  streamId: number,
  options: { readonly target?: string; readonly end?: boolean; readonly method?: string; readonly fields?: Fields } = {}
) =>
  request(streamId, options.target ?? "/upgrade", {
    method: options.method ?? "GET",
    end: options.end ?? false,
    fields: [...asking, ...options.fields ?? []]
  })

/** An upgrade is answered with 101. */
const expectUpgraded = (peer: RawPeer, streamId: number) =>
  Effect.map(peer.expectFrame("Response", streamId), ({ end, fields, status }) => {
    assert.strictEqual(status, 101)
    assert.isFalse(end)
    assert.deepInclude(fields, ["upgrade", "echo"])
  })

describe("clients that ask", () => {
  hostile(
    "an upgrade with the setting is answered 101, carries bytes, and ends on both sides",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect(knows)
        yield* peer.sendFrames(ask(1))
        yield* expectUpgraded(peer, 1)
        yield* peer.sendFrames(data(1, "there"))
        assert.deepInclude(yield* peer.expectFrame("Data", 1), { end: false })
        yield* peer.sendFrames(data(1, " and back", true))
        assert.deepInclude(yield* peer.expectFrame("Data", 1), { end: false })
        assert.deepInclude(yield* peer.expectFrame("Data", 1), { end: true })
        yield* peer.expectAlive(3)
      })
  )

  for (
    const [what, hello, options] of [
      ["without the setting", {}, {}],
      ["where the server has turned them off", knows, { limits: { upgrade: 0 } }]
    ] as const satisfies ReadonlyArray<readonly [string, object, HubOptions]>
  ) {
    hostile(
      `an upgrade ${what} is an ordinary request, whose handler sees no such field`,
      (hub) =>
        Effect.gen(function*() {
          const peer = yield* hub.connect(hello)
          yield* peer.sendFrames(ask(1), data(1, "body", true), ask(3, { target: "/headers", end: true }))
          assert.strictEqual((yield* peer.expectResponse(1)).status, 400)
          const seen = JSON.parse(Buffer.from((yield* peer.expectResponse(3)).body).toString())
          assert.notProperty(seen, "upgrade")
          yield* peer.expectAlive(99)
        }),
      options
    )
  }

  for (
    const [what, options] of [
      ["END", { end: true }],
      ["the method HEAD", { method: "HEAD", end: true }],
      ["the method HEAD and without END", { method: "HEAD" }]
    ] as const
  ) {
    hostile(
      `a request with ${what} asks for no upgrade: its handler can't upgrade it`,
      (hub) =>
        Effect.gen(function*() {
          const peer = yield* hub.connect(knows)
          yield* peer.sendFrames(ask(1, options))
          assert.strictEqual((yield* peer.expectFrame("Response", 1)).status, 400)
          yield* peer.expectAlive(99)
        })
    )
  }

  const streamError = (title: string, code: Code, send: (peer: RawPeer) => Effect.Effect<unknown>, target?: string) =>
    hostile(`${title} is a stream error ${code}, and the connection lives`, (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect(knows)
        if (target !== undefined) {
          yield* peer.sendFrames(ask(1, { target }))
          yield* expectUpgraded(peer, 1)
        }
        yield* send(peer)
        yield* peer.expectReset(1, code)
        yield* peer.expectAlive(99)
      }))

  // PROTOCOL.md UPG-1
  streamError(
    "a body behind a request for an upgrade",
    "MALFORMED",
    (peer) => peer.sendFrames(ask(1, { target: "/never" }), data(1, "a body"))
  )
  streamError(
    "END behind a request for an upgrade, before its answer,",
    "MALFORMED",
    (peer) => peer.sendFrames(ask(1, { target: "/never" }), data(1, "", true))
  )
  // PROTOCOL.md UPG-2
  streamError(
    "a content-length in a request for an upgrade",
    "MALFORMED",
    (peer) => peer.sendFrames(ask(1, { fields: [["content-length", "5"]] }))
  )
  streamError(
    "bytes behind END",
    "STREAM_CLOSED",
    (peer) => peer.sendFrames(data(1, "x", true), data(1, "y")),
    "/unread-upgrade"
  )
  streamError(
    "DATA beyond the credit of an upgraded stream",
    "FLOW_CONTROL_ERROR",
    (peer) =>
      Effect.gen(function*() {
        for (let sent = 0; sent <= 262_144; sent += 16_384) yield* peer.sendFrames(data(1, new Uint8Array(16_384)))
      }),
    "/unread-upgrade"
  )
  streamError(
    "a RESPONSE of the requester on an upgraded stream",
    "PROTOCOL_ERROR",
    (peer) => peer.sendFrames(response(1, 200)),
    "/unread-upgrade"
  )

  hostile("DATA without bytes and END floods an upgraded stream no more than another", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect(knows)
      yield* peer.sendFrames(ask(1, { target: "/unread-upgrade" }))
      yield* expectUpgraded(peer, 1)
      for (let left = 3; left > 0; left--) {
        yield* peer.sendFrames(...Array.from({ length: 1000 }, () => data(1, "")))
      }
      yield* peer.expectConnectionError("EXCESSIVE_LOAD")
    }))

  hostile("RESET of an upgraded stream interrupts its handler", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect(knows)
      yield* peer.sendFrames(ask(1, { target: "/unread-upgrade" }))
      yield* expectUpgraded(peer, 1)
      yield* peer.sendFrames(reset(1, "CANCELLED"))
      yield* until("the handler is interrupted", () => hub.interrupted() === 1)
      yield* peer.expectAlive(99)
    }))

  hostile("an upgraded stream whose reader has stopped holds no other stream", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect(knows)
      yield* peer.sendFrames(ask(1, { target: "/unread-upgrade" }), ask(3))
      yield* expectUpgraded(peer, 1)
      yield* expectUpgraded(peer, 3)
      for (let sent = 0; sent < 262_144; sent += 16_384) yield* peer.sendFrames(data(1, new Uint8Array(16_384)))
      yield* peer.sendFrames(data(3, "goes on"))
      assert.strictEqual((yield* peer.expectFrame("Data", 3)).data.length, 7)
      yield* peer.expectAlive(99)
    }))

  hostile(
    "upgrades are calls in progress of their address until both directions have ended",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect(knows)
        yield* peer.sendFrames(ask(1), ask(3))
        yield* expectUpgraded(peer, 1)
        yield* expectUpgraded(peer, 3)
        yield* peer.sendFrames(ask(5))
        assert.strictEqual((yield* peer.expectResponse(5)).status, 429)
        yield* peer.sendFrames(data(3, "", true))
        assert.deepInclude(yield* peer.expectFrame("Data", 3), { end: true })
        yield* peer.sendFrames(ask(7))
        yield* expectUpgraded(peer, 7)
        yield* peer.sendFrames(data(1, "", true), data(7, "", true))
        yield* peer.expectFrame("Data", 7)
      }),
    { quotas: { perAddress: { calls: 2 } } }
  )

  hostile(
    "upgrades are concurrent streams until both directions have ended",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect(knows)
        yield* peer.sendFrames(ask(1), ask(3))
        yield* expectUpgraded(peer, 1)
        yield* expectUpgraded(peer, 3)
        yield* peer.sendFrames(ask(5))
        yield* peer.expectReset(5, "REFUSED_STREAM")
        yield* peer.sendFrames(data(3, "", true))
        yield* peer.expectFrame("Data", 3)
        yield* peer.sendFrames(ask(7))
        yield* expectUpgraded(peer, 7)
      }),
    { limits: { maxConcurrentStreams: 2 } }
  )
})

const welcome = { settings: { upgrade: 1 } }
const upgrading = HttpClientRequest.get("/up").pipe(HttpClientRequest.upgrade("echo"))
const switched = (end = false, fields: Fields = []) => response(1, 101, { end, fields: [...asking, ...fields] })

describe("servers that answer", () => {
  // PROTOCOL.md UPG-3
  hostileServer(
    "101 that was not asked for resets the stream with PROTOCOL_ERROR and fails its call alone",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.accept(welcome)
        const calling = yield* Effect.forkChild(call(fixture.http.get("/")))
        yield* peer.expectFrame("Request", 1)
        yield* peer.sendFrames(switched())
        yield* peer.expectReset(1, "PROTOCOL_ERROR")
        const reason = reasonOf(yield* within("the call", Fiber.await(calling)))
        assert.deepInclude(reason, { _tag: "StreamReset", code: "PROTOCOL_ERROR", outcome: "unknown" })
        yield* othersGoOn(fixture, peer)
      })
  )

  hostileServer(
    "101 of a server that knows no upgrades is a connection error PROTOCOL_ERROR",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.accept()
        const calling = yield* Effect.forkChild(call(fixture.http.execute(upgrading)))
        const { end, fields } = yield* peer.expectFrame("Request", 1)
        // It is an ordinary request.
        assert.isTrue(end)
        assert.notInclude(fields.map(([name]) => name), "upgrade")
        yield* peer.sendFrames(switched())
        yield* peer.expectConnectionError("PROTOCOL_ERROR")
        assert.deepInclude(reasonOf(yield* within("the call", Fiber.await(calling))), { _tag: "ConnectionLost" })
      })
  )

  /** The answer to an upgrade, the socket of which is read to its end. */
  const answered = (title: string, frames: ReadonlyArray<ReturnType<typeof data>>, expected: unknown) =>
    hostileServer(title, (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.accept(welcome)
        const chunks = yield* Queue.unbounded<string>()
        const reading = yield* Effect.forkChild(
          Effect.scoped(Effect.gen(function*() {
            const { pull } = yield* (yield* (yield* fixture.http.execute(upgrading)).upgrade).reader
            const all = Effect.forever(Effect.flatMap(pull, (parts) =>
              Queue.offerAll(
                chunks,
                parts.map((part) => Buffer.from(part as Uint8Array).toString())
              )))
            const { reason } = yield* Effect.flip(all)
            return reason._tag === "SocketCloseError" ? reason.code : reason._tag
          }))
        )
        yield* peer.expectFrame("Request", 1)
        yield* peer.sendFrames(...frames)
        const end = yield* within("the socket", Fiber.join(reading))
        assert.deepStrictEqual([(yield* Queue.clear(chunks)).join(""), end], expected)
        yield* othersGoOn(fixture, peer)
      }))

  answered("101 with END is an upgrade whose answer is empty", [switched(true)], ["", 1000])
  answered("a content-length of 101 has no meaning", [
    switched(false, [["content-length", "2"]]),
    data(1, "more than that", true)
  ], ["more than that", 1000])
  answered("bytes in the message of the 101 are read", [switched(), data(1, "at once", true)], ["at once", 1000])
  answered("RESET behind bytes of an upgrade fails its reader behind them", [
    switched(),
    data(1, "a part"),
    reset(1, "INTERNAL_ERROR")
  ], ["a part", "SocketReadError"])
  answered("RESET behind END leaves what was read", [
    switched(),
    data(1, "all", true),
    reset(1, "INTERNAL_ERROR")
  ], ["all", 1000])
  answered("bytes behind END fail nothing that was read", [switched(), data(1, "all", true), data(1, "more")], [
    "all",
    1000
  ])
})
