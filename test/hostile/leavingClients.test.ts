/**
 * PROTOCOL.md, "Close codes" and "Heartbeat": clients that leave, in good order or not, and clients that hang.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Net from "node:net"
import { data, hex, request } from "../support/frames.ts"
import { type Fixture, hostile, startFixture } from "../support/hubUnderAttack.ts"
import type { RawPeer } from "../support/rawPeer.ts"
import { until, within } from "../support/waiting.ts"

const noConnection = (hub: Fixture) =>
  Effect.gen(function*() {
    const { error } = yield* hub.expectEvent("ConnectionAttemptFailed")
    assert.notStrictEqual(error.reason._tag, "ConnectionClosed", String(error))
    assert.deepStrictEqual(hub.events().map((event) => event._tag), ["ConnectionAttemptFailed"])
    yield* until("the socket is closed", () => hub.sockets.size === 1)
  })

const failure = (hub: Fixture) =>
  Effect.gen(function*() {
    const { error } = yield* hub.expectEvent("ConnectionFailure")
    assert.strictEqual(error.reason._tag, "LinkError")
    assert.deepStrictEqual(hub.events().map((event) => event._tag), ["ConnectionReceived", "ConnectionFailure"])
    yield* until("the socket is closed", () => hub.sockets.size === 1)
    assert.strictEqual((yield* hub.server.connections).length, 1)
  })

describe("TCP reset", () => {
  hostile("a TCP reset within the upgrade request causes no event", (hub) =>
    Effect.gen(function*() {
      const { hostname, port } = new URL(hub.url)
      const socket = Net.connect(Number(port), hostname).on("error", () => {})
      socket.write(`GET /socket HTTP/1.1\r\nHost: ${hostname}\r\nUpgrade: websocket\r\nConnection: Upg`)
      yield* until("the server has accepted", () => hub.sockets.size === 2)
      socket.resetAndDestroy()
      yield* until("the socket is closed", () => hub.sockets.size === 1)
      assert.deepStrictEqual(hub.events(), [])
    }))

  hostile("a TCP reset before hello causes no ConnectionReceived", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.dial()
      yield* peer.resetTcp
      yield* noConnection(hub)
    }))

  hostile("a TCP reset within hello causes no ConnectionReceived", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.dial()
      yield* peer.sendTcp(hex("81 fe 01 00 00 00 00 00 7b 22"))
      yield* peer.resetTcp
      yield* noConnection(hub)
    }))

  hostile("a TCP reset after welcome and before ready causes no ConnectionReceived", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.dial()
      yield* peer.hello()
      yield* peer.expectText("welcome")
      yield* peer.resetTcp
      yield* noConnection(hub)
    }))

  hostile("a TCP reset of an idle connection is a ConnectionFailure", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      yield* peer.expectAlive()
      yield* peer.resetTcp
      yield* failure(hub)
    }))

  hostile("a TCP reset within a frame is a ConnectionFailure", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      yield* peer.expectAlive()
      yield* peer.sendTcp(hex("82 fe 40 00 00 00 00 00 03 01"))
      yield* peer.resetTcp
      yield* failure(hub)
    }))

  hostile(
    "a TCP reset within a request body is a ConnectionFailure, and the handler is interrupted",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        yield* peer.sendFrames(request(1, "/never", { method: "POST", end: false }), data(1, "half"))
        yield* peer.expectAlive()
        yield* peer.resetTcp
        yield* failure(hub)
        yield* until("the handler is interrupted", () => hub.interrupted() === 1)
      })
  )

  hostile(
    "a TCP reset within a response body is a ConnectionFailure, and the handler produces nothing more",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        yield* peer.sendFrames(request(1, "/endless"))
        yield* peer.expectFrame("Data", 1)
        yield* peer.resetTcp
        yield* failure(hub)
        const produced = hub.produced()
        yield* hub.healthyCall
        assert.strictEqual(hub.produced(), produced)
      })
  )

  hostile(
    "a TCP connection that ends without a close frame (1006) is a ConnectionFailure",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        yield* peer.expectAlive()
        peer.tcp.destroy()
        yield* failure(hub)
      })
  )
})

describe("close codes from the client", () => {
  for (const [code, reason] of [[1000, "done"], [1001, ""], [3000, "own"], [4999, "own"], [1005, ""]] as const) {
    hostile(
      `close code ${
        code === 1005 ? "none (1005)" : code
      } is a ConnectionClosed by the remote end, with code and reason`,
      (hub) =>
        Effect.gen(function*() {
          const peer = yield* hub.connect()
          yield* peer.expectAlive()
          yield* code === 1005 ? peer.close() : peer.close(code, reason)
          const event = yield* hub.expectEvent("ConnectionClosed")
          assert.deepInclude(event, { initiator: "remote", code, reason })
          yield* peer.expectClose(code)
        })
    )
  }

  for (const code of [1002, 1003, 1007, 1008, 1009, 1011, 4001, 4015]) {
    hostile(`close code ${code} is a ConnectionFailure`, (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        yield* peer.expectAlive()
        yield* peer.close(code, "because")
        const { error } = yield* hub.expectEvent("ConnectionFailure")
        if (code < 4000) return
        assert.deepInclude(error.reason, { _tag: "ProtocolViolation", initiator: "local", description: "because" })
      }))
  }

  hostile(
    "close code 1006, which may not be sent, is a ConnectionFailure and answered with 1002",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        yield* peer.expectAlive()
        yield* peer.sendTcp(hex("88 82 00 00 00 00 03 ee"))
        yield* peer.expectClose(1002)
        yield* hub.expectEvent("ConnectionFailure")
      })
  )

  hostile("a close frame within the handshake causes no connection", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.dial()
      yield* peer.close(1000)
      yield* hub.expectEvent("ConnectionAttemptFailed")
      assert.deepStrictEqual(hub.events().map((event) => event._tag), ["ConnectionAttemptFailed"])
    }))

  hostile("frames before a close frame take effect", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      peer.sendNow(request(1, "/never"))
      yield* peer.close(1000)
      const event = yield* hub.expectEvent("ConnectionClosed")
      assert.strictEqual(event.statistics.streamsAccepted, 1)
      yield* until("the handler is interrupted", () => hub.interrupted() === 1)
    }))
})

describe("heartbeat", () => {
  const heartbeat = { interval: "100 millis", timeout: "100 millis" } as const

  const dies = (title: string, send: (peer: RawPeer) => Effect.Effect<unknown>, closes = true) =>
    // PROTOCOL.md HB-2
    hostile(
      `${title} is a HeartbeatTimeout, and its link is ${closes ? "closed with 4013" : "cut"}`,
      (hub) =>
        Effect.gen(function*() {
          const peer = yield* hub.connect()
          peer.answersPings = false
          yield* send(peer)
          const { error } = yield* hub.expectEvent("ConnectionFailure")
          assert.deepInclude(error.reason, { _tag: "HeartbeatTimeout", timeoutMillis: 100 })
          yield* until("the socket is closed", () => hub.sockets.size === 1)
          if (closes) yield* peer.expectClose(4013)
        }),
      { heartbeat, limits: { closeTimeout: "200 millis" } }
    )

  dies("a client that answers no PING", () => Effect.void)
  dies("half a WebSocket frame that is never completed", (peer) => peer.sendTcp(hex("82 fe 40 00 00 00 00 00 03 01")))
  dies("a WebSocket frame byte by byte", (peer) =>
    Effect.andThen(
      peer.sendTcp(hex("82 fe 40 00 00 00 00 00")),
      Effect.sync(() => {
        const drip = setInterval(() => peer.tcp.write(Uint8Array.of(0)), 10)
        peer.tcp.on("close", () => clearInterval(drip))
      })
    ))
  dies("a client that has stopped reading", (peer) => Effect.sync(() => peer.ws.pause()), false)

  // PROTOCOL.md HB-3
  hostile("any message is a sign of life, not only PONG", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      peer.answersPings = false
      for (let beat = 0; beat < 6; beat++) {
        yield* peer.expectFrame("Ping")
        yield* peer.sendHex("12 01 00")
      }
      assert.deepStrictEqual(hub.events().map((event) => event._tag), ["ConnectionReceived"])
    }), { heartbeat })
})

describe("clients that do not answer a close frame", () => {
  const limits = { closeTimeout: "200 millis" } as const

  hostile(
    "a client that breaks the protocol and does not answer the close frame is cut after closeTimeout",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        yield* peer.expectAlive()
        peer.ws.pause()
        yield* peer.sendHex("08 00")
        yield* hub.expectEvent("ConnectionFailure")
        yield* until("the socket is closed", () => hub.sockets.size === 1)
      }),
    { limits }
  )

  hostile(
    "a client that is refused and does not answer the close frame is cut after closeTimeout",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.dial()
        peer.ws.pause()
        yield* peer.send("no hello")
        yield* hub.expectEvent("ConnectionAttemptFailed")
        yield* until("the socket is closed", () => hub.sockets.size === 1)
      }),
    { limits }
  )

  hostile(
    "a client that never sends hello and does not answer the close frame is cut after closeTimeout",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.dial()
        peer.ws.pause()
        yield* hub.expectEvent("ConnectionAttemptFailed")
        yield* until("the socket is closed", () => hub.sockets.size === 1)
      }),
    { limits: { ...limits, handshakeTimeout: "200 millis" } }
  )

  hostile(
    "connection.close ends after closeTimeout for a client that does not answer",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect({ metadata: { name: "hostile" } })
        const connection = yield* hub.server.awaitConnection(({ metadata }) => metadata?.name === "hostile")
        // It does not answer either, and has a little more time.
        const patient = yield* startFixture({ limits: { closeTimeout: "4 seconds" } })
        yield* Effect.tap(patient.connect({ metadata: { name: "hostile" } }), ({ ws }) => Effect.sync(() => ws.pause()))
        const other = yield* patient.server.awaitConnection(({ metadata }) => metadata?.name === "hostile")
        const closing = yield* Effect.forkChild(other.close(), { startImmediately: true })
        peer.ws.pause()
        yield* within("close", connection.close({ code: 4999, reason: "enough" }))
        assert.isUndefined(closing.pollUnsafe(), "another server, with a longer closeTimeout, was quicker")
        yield* Fiber.interrupt(closing)
        const event = yield* hub.expectEvent("ConnectionClosed")
        assert.deepInclude(event, { initiator: "local", code: 4999, reason: "enough" })
        yield* until("the socket is closed", () => hub.sockets.size === 1)
      }),
    { limits }
  )

  it.live("a server that stops does not wait for clients that do not answer the close frame (1001)", () =>
    Effect.scoped(Effect.gen(function*() {
      const scope = yield* Scope.make()
      const hub = yield* Scope.provide(startFixture({ limits }), scope)
      const silent = yield* hub.connect()
      const pending = yield* hub.dial()
      yield* silent.expectAlive()
      silent.ws.pause()
      pending.ws.pause()
      yield* within("the server stops", Scope.close(scope, Exit.void))
    })))
})
