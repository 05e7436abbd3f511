/**
 * PROTOCOL.md, "Limits" and "Flow control": peers that read nothing, or make this end keep more than they send.
 */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Stream from "effect/Stream"
import type * as Net from "node:net"
import { hostileServer } from "../support/clientUnderAttack.ts"
import { concat, data, hex, ping, request, reset } from "../support/frames.ts"
import { type Fixture, hostile } from "../support/hubUnderAttack.ts"
import { liveBytes } from "../support/measurements.ts"
import type { RawPeer } from "../support/rawPeer.ts"
import { settled, until } from "../support/waiting.ts"

const mebibyte = 1024 * 1024

/** What is alive has grown by less than this; buffers may take a few turns to be collected. */
const expectGrowth = (before: number, most: number, what: string): Effect.Effect<void> =>
  Effect.suspend(() => {
    let growth = 0
    return Effect.catchDefect(
      until("memory", () => (growth = liveBytes() - before) < most * mebibyte),
      () => Effect.die(new Error(`${what}: ${(growth / mebibyte).toFixed(1)} MiB more than before, at most ${most}`))
    )
  })

describe("bodies for peers that read nothing", () => {
  hostile(
    "unsent bodies of all connections are bounded: the one with the most bytes ends with EXCESSIVE_LOAD",
    (hub) =>
      Effect.gen(function*() {
        const ask = (peer: RawPeer, count: number) => {
          peer.tcp.pause()
          peer.sendNow(...Array.from({ length: count }, (_, index) => request(2 * index + 1, "/large")))
        }
        const modest = yield* hub.connect()
        ask(modest, 4)
        // Two connections with up to 12 MiB, though there is room for 16.
        const greedy = yield* hub.connect()
        ask(greedy, 12)
        const { connectionId } = yield* hub.expectEvent("ConnectionReceived")
        const greedier = yield* hub.connect()
        ask(greedier, 14)
        const { error } = yield* hub.expectEvent("ConnectionFailure")
        assert.deepInclude(error.reason, { _tag: "ProtocolViolation", initiator: "remote", code: "EXCESSIVE_LOAD" })
        modest.tcp.resume()
        yield* modest.expectAlivePassing()
        const left = (yield* hub.server.connections).map(({ id }) => id)
        assert.include(left, connectionId, "who holds less stays")
      }),
    { limits: { maxUnsentBytes: 16 * mebibyte } }
  )

  hostile(
    "a link that takes nothing is lost after the send timeout",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect({ settings: { streamWindow: 2 ** 31 - 1, connectionWindow: 2 ** 31 - 1 } })
        peer.tcp.pause()
        peer.sendNow(request(1, "/endless"))
        const { error } = yield* hub.expectEvent("ConnectionFailure")
        assert.deepInclude(error.reason, { _tag: "LinkError", phase: "write" })
        assert.include(error.message, "sendTimeout")
        yield* settled("what the handler produces", hub.produced)
      }),
    { limits: { sendTimeout: "300 millis" } }
  )
})

/** The server's side of the only hostile connection. */
const hostileSocket = (hub: Fixture): Net.Socket => [...hub.sockets][1]!

/** Sends as much as the operating system takes, until all is sent or the connection is gone. */
const flood = (peer: RawPeer, messages: Iterable<Uint8Array>): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const iterator = messages[Symbol.iterator]()
    const next = () => {
      while (peer.ws.readyState === peer.ws.OPEN) {
        const message = iterator.next()
        if (message.done === true) return resume(Effect.void)
        if (peer.tcp.writableLength > mebibyte) {
          peer.ws.send(message.value, () => setImmediate(next))
          return
        }
        peer.ws.send(message.value)
      }
      resume(Effect.void)
    }
    next()
  })

const excessive = (hub: Fixture) =>
  Effect.gen(function*() {
    const { error } = yield* hub.expectEvent("ConnectionFailure")
    assert.deepInclude(error.reason, { _tag: "ProtocolViolation", initiator: "remote", code: "EXCESSIVE_LOAD" })
  })

describe("unread bodies", () => {
  const keeps = (title: string, most: number, messages: (peer: RawPeer) => Iterable<Uint8Array>) =>
    hostile(`${title} that no handler reads take bounded memory`, (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        yield* peer.expectAlive()
        const before = liveBytes()
        yield* flood(peer, messages(peer))
        yield* peer.expectAlive()
        yield* expectGrowth(before, most, "after the flood")
        assert.isFalse(peer.log.some((event) => event._tag === "Frame" && event.frame._tag === "Reset"))
      }))

  const upload = request(1, "/never", { method: "POST", end: false })

  keeps("2,000 bytes, each in a message of 32 KiB", 8, function*(peer) {
    yield peer.encode(upload)
    const filler = concat(hex("40 80 00 7f 00"), new Uint8Array(0x7f00))
    for (let message = 0; message < 2000; message++) yield concat(peer.encode(data(1, "x")), filler)
  })

  keeps("262,144 bytes, each in a DATA of its own,", 16, function*(peer) {
    yield peer.encode(upload)
    for (let message = 0; message < 256; message++) {
      yield peer.encode(...Array.from({ length: 1024 }, () => data(1, "x")))
    }
  })

  hostile(
    "a million empty DATA take bounded memory, and the connection ends with EXCESSIVE_LOAD",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        const before = liveBytes()
        const message = peer.encode(...Array.from({ length: 20000 }, () => data(1, "")))
        yield* flood(peer, [peer.encode(upload), ...Array.from({ length: 50 }, () => message)])
        yield* peer.expectConnectionError("EXCESSIVE_LOAD")
        yield* expectGrowth(before, 8, "a million empty DATA")
      })
  )
})

describe("peer that reads nothing", () => {
  hostile(
    "a peer that reads nothing and floods PING causes a connection error EXCESSIVE_LOAD (4009)",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        yield* peer.expectAlive()
        peer.ws.pause()
        const message = peer.encode(...Array.from({ length: 500 }, () => ping(new Uint8Array(125))))
        yield* flood(peer, Array.from({ length: 400 }, () => message))
        yield* excessive(hub)
      })
  )

  hostile(
    "a peer that reads nothing and floods refused requests causes a connection error EXCESSIVE_LOAD (4009)",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        yield* peer.expectAlive()
        peer.ws.pause()
        let id = 1
        const messages = function*() {
          for (let message = 0; message < 300; message++) {
            yield peer.encode(...Array.from({ length: 2000 }, () => request(id += 2, "/never")))
          }
        }
        yield* flood(peer, messages())
        yield* excessive(hub)
      }),
    { limits: { maxConcurrentStreams: 1 } }
  )

  hostile("a peer that reads nothing and floods requests answered by a head takes bounded memory, or EXCESSIVE_LOAD", (
    hub
  ) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      yield* peer.expectAlive()
      peer.ws.pause()
      const before = liveBytes()
      let id = 1
      const messages = function*() {
        for (let message = 0; message < 200; message++) {
          yield peer.encode(...Array.from({ length: 50 }, () => request(id += 2, "/heavy")))
        }
      }
      yield* flood(peer, messages())
      yield* settled("answers", hub.answered)
      yield* expectGrowth(before, 32, `after ${hub.answered()} answers of 8 KB`)
    }))

  hostile(
    "a peer that reads nothing and resets the streams whose responses wait takes bounded memory",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        yield* peer.expectAlive()
        peer.ws.pause()
        const before = liveBytes()
        let id = 1
        const messages = function*() {
          for (let message = 0; message < 200; message++) {
            const ids = Array.from({ length: 50 }, () => id += 2)
            yield peer.encode(...ids.map((id) => request(id, "/heavy")))
            yield peer.encode(...ids.map((id) => reset(id, "CANCELLED")))
          }
        }
        yield* flood(peer, messages())
        yield* settled("answers", hub.answered)
        yield* expectGrowth(before, 32, `after ${hub.answered()} answers of 8 KB`)
        yield* hub.healthyCall
      }),
    { limits: { resetsPerSecond: 1000000, resetBurst: 1000000 } }
  )

  hostile(
    "a peer that reads nothing and provokes CREDIT without end causes a connection error EXCESSIVE_LOAD (4009)",
    (hub) =>
      Effect.gen(function*() {
        const most = 2147483647
        const peer = yield* hub.connect({ settings: { streamWindow: most, connectionWindow: most } })
        yield* peer.sendFrames(request(1, "/never"), data(1, "after END"))
        yield* peer.expectReset(1, "STREAM_CLOSED")
        peer.ws.pause()
        // Nothing can be written any more; what is sent to the stream that was reset is given back at once.
        yield* peer.sendFrames(request(3, "/endless"))
        yield* settled("what is produced", hub.produced)
        const message = peer.encode(data(1, new Uint8Array(16384)), data(1, new Uint8Array(16384)))
        yield* flood(peer, Array.from({ length: 400 }, () => message))
        yield* excessive(hub)
      }),
    { limits: { connectionWindow: 65535, maxConnectionWindow: 65535, maxQueuedControl: 100 } }
  )

  hostile(
    "a peer that reads nothing and requests endless bodies suspends their handlers until it reads",
    (hub) =>
      Effect.gen(function*() {
        const most = 2147483647
        const peer = yield* hub.connect({ settings: { streamWindow: most, connectionWindow: most } })
        yield* peer.expectAlive()
        peer.ws.pause()
        for (let id = 1; id < 200; id += 2) peer.sendNow(request(id, "/endless"))
        const produced = yield* settled("what is produced", hub.produced)
        assert.isBelow(hostileSocket(hub).writableLength, mebibyte)
        // 100 streams with a send buffer each, and what the operating system holds.
        assert.isBelow(produced / mebibyte, 100 * 80 / 1024 + 16)
        yield* hub.healthyCall
        peer.ws.resume()
        yield* until("more is produced", () => hub.produced() > produced + 4 * mebibyte)
      })
  )

  hostile(
    "a peer that reads nothing and floods WebSocket pings has a bounded number of pongs waiting, or is cut",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        yield* peer.expectAlive()
        peer.ws.pause()
        const socket = hostileSocket(hub)
        // A masked ping of 125 bytes, a thousand times.
        const frame = concat(hex("89 fd 00 00 00 00"), new Uint8Array(125))
        const thousand = concat(...Array.from({ length: 1000 }, () => frame))
        let most = 0
        for (let round = 0; round < 200 && !socket.destroyed; round++) {
          yield* Effect.callback<void>((resume) => {
            const done = () => resume(Effect.void)
            peer.tcp.once("close", done)
            peer.tcp.write(thousand, () => {
              peer.tcp.off("close", done)
              done()
            })
          })
          most = Math.max(most, socket.writableLength)
        }
        yield* settled("what is read", () => socket.bytesRead)
        most = Math.max(most, socket.writableLength)
        assert.isBelow(most / mebibyte, 2, "MiB of pongs wait")
        if (socket.destroyed) yield* hub.expectEvent("ConnectionFailure")
      })
  )

  let authenticating = 0
  hostile(
    "a client that floods the server during authentication interrupts it, and is closed with 4100",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.dial()
        yield* peer.hello({ metadata: { name: "nobody" } })
        yield* until("authentication", () => authenticating === 1)
        const before = liveBytes()
        for (let message = 0; message < 1000; message++) peer.ws.send(new Uint8Array(32768))
        yield* until("authentication has ended", () => authenticating === 0)
        yield* peer.expectClose(4100)
        yield* expectGrowth(before, 2, "after the flood")
      }),
    {
      authenticate: ({ metadata }) =>
        metadata?.name === "nobody"
          ? Effect.acquireUseRelease(
            Effect.sync(() => authenticating++),
            () => Effect.never,
            () => Effect.sync(() => authenticating--)
          )
          : Effect.succeed("somebody")
    }
  )
})

describe("server that reads nothing", () => {
  hostileServer(
    "a server that reads nothing suspends an endless upload until it reads",
    (fixture) =>
      Effect.gen(function*() {
        const most = 2147483647
        const peer = yield* fixture.accept({ settings: { streamWindow: most, connectionWindow: most } })
        peer.ws.pause()
        let produced = 0
        const body = Stream.forever(Stream.fromEffect(Effect.sync(() => {
          produced += 16384
          return new Uint8Array(16384)
        })))
        const upload = yield* Effect.forkChild(
          Effect.exit(fixture.http.execute(HttpClientRequest.bodyStream(HttpClientRequest.post("/"), body)))
        )
        const waiting = yield* settled("what is produced", () => produced)
        assert.isAbove(waiting, 0)
        assert.isBelow(waiting / mebibyte, 16)
        peer.ws.resume()
        yield* until("more is produced", () => produced > waiting + 4 * mebibyte)
        // A client that stops waits for its calls.
        yield* Fiber.interrupt(upload)
      })
  )

  hostileServer(
    "a server that reads nothing and floods PING causes a connection error EXCESSIVE_LOAD (4009)",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.accept()
        peer.ws.pause()
        const message = peer.encode(...Array.from({ length: 500 }, () => ping(new Uint8Array(125))))
        yield* flood(peer, Array.from({ length: 400 }, () => message))
        const { error } = yield* fixture.expectEvent("ConnectionFailure")
        assert.deepInclude(error.reason, { _tag: "ProtocolViolation", initiator: "remote", code: "EXCESSIVE_LOAD" })
      })
  )
})
