/**
 * PROTOCOL-v1.md, "Wire v1": clients that do what they should not, on real sockets.
 */
import { assert, describe } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { HubOptions } from "../support/hubUnderAttack.ts"
import type { RawPeer } from "../support/rawPeer.ts"
import { limit, settled, until } from "../support/waiting.ts"
import { answer, get, post } from "./machine.ts"
import {
  ack,
  expectGoodbye,
  expectGrowth,
  expectHungUp,
  expectServed,
  flood,
  handshake,
  hostileV1,
  mebibyte,
  memory,
  metadata,
  nextAnswer,
  nextText,
  type V1Fixture
} from "./raw.ts"

type Body = (peer: RawPeer, hub: V1Fixture) => Effect.Effect<unknown, unknown, Scope.Scope>

/** Nobody is told of a connection, and nothing of it is left. */
const assertNoConnection = (hub: V1Fixture) =>
  Effect.gen(function*() {
    yield* hub.expectEvent("ConnectionAttemptFailed")
    assert.deepStrictEqual(
      hub.events().map((event) => event._tag).filter((tag) => tag !== "ConnectionAttemptFailed"),
      []
    )
    yield* until("the socket is gone", () => hub.hostileSockets() === 0)
  })

/** Of a text message in one frame, masked with zeros (RFC 6455 section 5.2). */
const frameHeader = (size: number): Buffer => {
  const header = Buffer.from([0x81, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
  header.writeUInt32BE(size, 6)
  return header
}

/** Clients whose authentication has begun. */
const held: Array<Deferred.Deferred<void>> = []

describe("handshakes", () => {
  const refused = (title: string, messages: (peer: RawPeer) => Effect.Effect<unknown>, options: HubOptions = {}) =>
    hostileV1(
      `a handshake with ${title} closes the link with 4100, and makes no connection`,
      (hub) =>
        Effect.gen(function*() {
          const peer = yield* hub.dialV1
          yield* messages(peer)
          yield* expectGoodbye(peer, 4100)
          yield* assertNoConnection(hub)
        }),
      options
    )

  const first: Readonly<Record<string, string | Uint8Array>> = {
    "text that is no JSON": "GET / HTTP/1.1\r\n\r\n",
    "bytes that are no text": Uint8Array.of(0xff, 0, 1, 2),
    "JSON that is cut": metadata().slice(0, 20),
    "two messages in one": metadata() + ack,
    "an empty message": "",
    "JSON that is no object": "[\"ClientHandshakeMetaData\"]",
    "null": "null",
    "an object without a type": "{\"Meta\":null}",
    "a type that is no text": "{\"Type\":1}",
    "another type": ack,
    "the hello of wire v2": "{\"type\":\"hello\",\"version\":2}"
  }
  for (const [title, message] of Object.entries(first)) refused(`${title} for metadata`, (peer) => peer.send(message))

  const second: Readonly<Record<string, string | Uint8Array>> = {
    "text that is no JSON": "ack",
    "an empty message": "",
    "a request": get("/ping"),
    "metadata": metadata(),
    "more than 65,536 bytes": `${ack}${" ".repeat(65_536)}`
  }
  for (const [title, message] of Object.entries(second)) {
    refused(`${title} for the acknowledgement`, (peer) =>
      Effect.gen(function*() {
        yield* peer.send(metadata())
        yield* nextText(peer, "the connection's id")
        yield* peer.send(message)
      }))
  }

  refused("metadata of 70,000 bytes", (peer) => handshake(peer, { name: "x".repeat(70_000) }))
  refused("metadata above a limit that was set", (peer) => handshake(peer, { name: "x".repeat(2000) }), {
    limits: { maxHandshakeSize: 1000 }
  })

  /** Only the beginning of a message ever comes: whoever means to take it whole waits. */
  const begin = (peer: RawPeer, size: number) =>
    Effect.andThen(
      peer.sendTcp(frameHeader(size)),
      peer.sendTcp(Buffer.alloc(1000, "x"))
    )

  const dropped = (title: string, messages: (peer: RawPeer) => Effect.Effect<unknown>) =>
    hostileV1(`${title} makes the server drop the link before the message is whole`, (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.dialV1
        yield* messages(peer)
        yield* expectHungUp(peer)
        yield* assertNoConnection(hub)
      }))
  dropped("a message of millions of bytes for metadata", (peer) => begin(peer, 4 * mebibyte))
  dropped("a message of millions of bytes for the acknowledgement", (peer) =>
    Effect.gen(function*() {
      yield* peer.send(metadata())
      yield* nextText(peer, "the connection's id")
      yield* begin(peer, 4 * mebibyte)
    }))
  dropped("a message of fragments for metadata", (peer) =>
    Effect.forEach(
      Array.from({ length: 10 }),
      () => Effect.sync(() => peer.ws.send("x".repeat(20_000), { fin: false, binary: false })),
      { discard: true }
    ))

  hostileV1(
    "requests sent before authentication wait in the network, and are served after it",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.dialV1
        const body = "x".repeat(12 * mebibyte)
        const request = `POST /length HTTP/1.1\r\nContent-Length: ${body.length}\r\n\r\n${body}`
        yield* peer.send(metadata({ name: "slow" }))
        yield* nextText(peer, "the connection's id")
        // In one piece, as Go's writes may arrive.
        peer.tcp.cork()
        peer.ws.send(ack)
        peer.ws.send(request)
        peer.tcp.uncork()
        yield* until("authentication has begun", () => held.length === 1)
        const [socket] = [...hub.sockets].slice(-1)
        const read = yield* settled("bytes read", () => socket!.bytesRead)
        assert.isBelow(read, 256 * 1024)
        Deferred.doneUnsafe(held[0]!, Effect.void)
        const { body: length, status } = yield* nextAnswer(peer)
        assert.deepStrictEqual([status, length], [200, String(body.length)])
      }),
    {
      authenticate: ({ metadata }) => {
        if (metadata?.name !== "slow") return Effect.succeed("somebody")
        const waiting = Deferred.makeUnsafe<void>()
        held.push(waiting)
        return Effect.as(Deferred.await(waiting), "slow")
      }
    }
  )

  hostileV1(
    "metadata of 65,536 bytes, in a binary message, with keys of any case and additional keys are accepted",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.dialV1
        const message = "{\"TYPE\":\"ClientHandshakeMetaData\",\"mEtA\":{\"name\":\"x\"},\"More\":[\"\"]}"
        yield* peer.send(Buffer.from(message.padEnd(65_536)))
        yield* nextText(peer, "the connection's id")
        yield* peer.send(Buffer.from(ack))
        const event = yield* hub.expectEvent("ConnectionReceived")
        assert.deepInclude(event, { metadata: { name: "x" }, wire: "v1" })
        yield* expectServed(peer)
      })
  )

  hostileV1(
    "metadata that do not fit their schema get an id, and close code 4103 after the acknowledgement",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.dialV1
        yield* handshake(peer, { name: 5 })
        yield* expectGoodbye(peer, 4103)
        yield* assertNoConnection(hub)
      })
  )

  const silent = (title: string, say: (peer: RawPeer) => Effect.Effect<unknown>) =>
    hostileV1(
      `a client that is silent ${title} loses its link when the handshake timeout has passed`,
      (hub) =>
        Effect.gen(function*() {
          const peer = yield* hub.dialV1
          yield* say(peer)
          yield* expectHungUp(peer)
          const { error } = yield* hub.expectEvent("ConnectionAttemptFailed")
          assert.deepInclude(error.reason, { _tag: "HandshakeRefused", code: "HANDSHAKE_TIMEOUT" })
          yield* until("the socket is gone", () => hub.hostileSockets() === 0)
        }),
      { limits: { handshakeTimeout: "200 millis" } }
    )
  silent("from the beginning", () => Effect.void)
  silent("after its metadata", (peer) => peer.send(metadata()))

  hostileV1("requests that follow a handshake at once are served in order", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.dialV1
      for (const message of [metadata(), ack, get("/ping"), get("/empty")]) yield* peer.send(message)
      yield* nextText(peer, "the connection's id")
      assert.strictEqual((yield* nextAnswer(peer)).body, "pong")
      assert.strictEqual((yield* nextAnswer(peer)).status, 204)
    }))

  hostileV1(
    "messages of megabytes and small ones between them are served in order",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connectV1
        const large = "\r\n".repeat(mebibyte) + get("/ping")
        for (const message of [large, get("/empty"), large, large, get("/empty")]) yield* peer.send(message)
        const statuses = []
        for (let answers = 0; answers < 5; answers++) statuses.push((yield* nextAnswer(peer)).status)
        assert.deepStrictEqual(statuses, [200, 204, 200, 200, 204])
      })
  )

  const garbage = (title: string, message: string | Uint8Array) =>
    hostileV1(
      `${title} after the handshake is answered 400, and the next request is served`,
      (hub) =>
        Effect.gen(function*() {
          const peer = yield* hub.dialV1
          for (const part of [metadata(), ack, message]) yield* peer.send(part)
          yield* nextText(peer, "the connection's id")
          assert.strictEqual((yield* nextAnswer(peer)).status, 400)
          yield* expectServed(peer)
        })
    )
  garbage("a second acknowledgement", ack)
  garbage("a second metadata message", metadata())
  garbage("a message of bytes that are no HTTP", Uint8Array.of(0, 1, 2, 0xff, 0x0a))
})

describe("vanishing clients", () => {
  const vanishes = (title: string, body: Body, event: "ConnectionAttemptFailed" | "ConnectionFailure") =>
    hostileV1(
      `a client that vanishes ${title} causes ${event}, and leaves nothing behind`,
      (hub) =>
        Effect.gen(function*() {
          const peer = yield* hub.dialV1
          yield* body(peer, hub)
          yield* peer.resetTcp
          yield* hub.expectEvent(event)
          yield* until("the socket is gone", () => hub.hostileSockets() === 0)
          assert.strictEqual((yield* hub.server.connections).length, 2)
        })
    )

  vanishes("before it has said anything", () => Effect.void, "ConnectionAttemptFailed")
  vanishes("after its metadata", (peer) => peer.send(metadata()), "ConnectionAttemptFailed")
  vanishes(
    "after it has received its id",
    (peer) => Effect.andThen(peer.send(metadata()), nextText(peer, "the connection's id")),
    "ConnectionAttemptFailed"
  )

  const connected = (title: string, body: Body) =>
    vanishes(title, (peer, hub) =>
      Effect.gen(function*() {
        yield* handshake(peer)
        yield* hub.expectEvent("ConnectionReceived")
        yield* body(peer, hub)
      }), "ConnectionFailure")

  connected("after the handshake", () => Effect.void)
  connected("within a head", (peer) => peer.send("GET /ping HT"))
  connected("within the body of a request", (peer) => peer.send(post("/echo", "0123456789").slice(0, -5)))
  connected(
    "within a response",
    (peer) => Effect.andThen(peer.send(get("/endless")), nextText(peer, "the beginning of an answer"))
  )

  hostileV1("a client that vanishes while handlers are at work interrupts them", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connectV1
      yield* peer.send(get("/never").repeat(3) + post("/length", "0123456789").slice(0, -5))
      const [connection] = (yield* hub.server.connections).slice(-1)
      yield* until("they are at work", () => Effect.runSync(connection!.active).remote === 4)
      yield* peer.resetTcp
      yield* hub.expectEvent("ConnectionFailure")
      yield* until("the handlers are interrupted", () => hub.interrupted() === 3)
    }))
})

const overloaded = (hub: V1Fixture, peer: RawPeer) =>
  Effect.gen(function*() {
    const { error } = yield* hub.expectEvent("ConnectionFailure")
    assert.deepInclude(error.reason, { _tag: "ProtocolViolation", initiator: "remote", code: "EXCESSIVE_LOAD" })
    yield* expectHungUp(peer)
    yield* until("the socket is gone", () => hub.hostileSockets() === 0)
  })

describe("floods", () => {
  const floods = (title: string, messages: () => Iterable<Uint8Array | string>) =>
    hostileV1(`a flood of ${title} is EXCESSIVE_LOAD, and the link is dropped`, (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connectV1
        const before = memory()
        // The link is dropped, so nothing waits as long as that: only a busy machine takes its time.
        yield* flood(peer, messages(), 30_000)
        yield* overloaded(hub, peer)
        yield* expectGrowth(before, 16)
      }))

  floods("5,000 malformed requests", () => Array.from({ length: 5000 }, () => "x\n"))
  floods(
    "5,000 heads that are too large",
    () => Array.from({ length: 5000 }, () => get("/", `x: ${"y".repeat(17_000)}`))
  )
  floods(
    "5,000 bodies without chunk sizes",
    () => Array.from({ length: 5000 }, () => "POST /never HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\r\n")
  )
  floods("200,000 requests in one message", () => [get("/never").repeat(200_000)])
  floods("200,000 requests in one message, all answered at once,", () => [get("/empty").repeat(200_000)])

  hostileV1(
    "100,000 requests that are never answered occupy a hundred handlers, and the other requests are not read",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connectV1
        const before = memory()
        const request = get("/never", `x: ${"y".repeat(1000)}`)
        const { isWhole } = yield* flood(peer, Array.from({ length: 100_000 }, () => request))
        assert.isFalse(isWhole)
        yield* expectGrowth(before, 24)
        yield* peer.resetTcp
        // Who does not read does not see that the other end has gone, until it has something to say.
        yield* hub.expectEvent("ConnectionFailure")
        yield* until("the handlers are interrupted", () => hub.interrupted() >= 100)
        assert.isAtMost(yield* settled("interrupted handlers", hub.interrupted), 300)
      }),
    { limits: { v1ResponseTimeout: "2 seconds" } }
  )

  hostileV1("a hundred requests at once, again and again, are all answered in order", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connectV1
      for (let wave = 0; wave < 20; wave++) {
        const ids = Array.from({ length: 100 }, (_, index) => `${wave}-${index}`)
        for (const id of ids) yield* peer.send(get("/empty", `x-correlation-id: ${id}`))
        for (const id of ids) {
          const { fields, status } = yield* nextAnswer(peer)
          assert.deepStrictEqual([status, ...fields.filter(([name]) => name !== "date")], [204, [
            "x-correlation-id",
            id
          ]])
        }
      }
    }))

  hostileV1("a message of more than 16 MiB closes the link with 1009", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connectV1
      const before = memory()
      yield* Effect.forkScoped(peer.send(new Uint8Array(17 * mebibyte)))
      yield* peer.expectClose(1009, 1006)
      yield* hub.expectEvent("ConnectionFailure")
      yield* expectGrowth(before, 24)
    }))

  hostileV1("empty messages without end are ignored", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connectV1
      const before = memory()
      yield* flood(peer, Array.from({ length: 50_000 }, (_, index) => index % 2 === 0 ? "" : "\r\n"), 5000)
      yield* expectServed(peer)
      yield* expectGrowth(before, 8)
    }))
})

describe("endless input", () => {
  hostileV1("a head that never ends is answered 431, and the next request is served", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connectV1
      const before = memory()
      yield* peer.send("GET /ping HTTP/1.1\r\nx: ")
      yield* flood(peer, Array.from({ length: 17 }, () => "v".repeat(1000)), 5000)
      assert.strictEqual((yield* nextAnswer(peer)).status, 431)
      yield* expectGrowth(before, 8)
      // The rest of it is a line that is none.
      yield* peer.send("v\r\n\r\n")
      assert.strictEqual((yield* nextAnswer(peer)).status, 400)
      yield* expectServed(peer)
    }))

  hostileV1("a head in pieces without end is EXCESSIVE_LOAD, and the link is dropped", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connectV1
      const before = memory()
      yield* flood(peer, Array.from({ length: 1000 }, () => "v".repeat(16_000)), 5000)
      yield* overloaded(hub, peer)
      yield* expectGrowth(before, 16)
    }), { limits: { resetBurst: 100, resetsPerSecond: 10 } })

  hostileV1(
    "a body that no handler reads is not read on and is answered 504; the link can be used once the body ends",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connectV1
        const before = memory()
        const pieces = Array.from({ length: 64 }, () => "x".repeat(mebibyte)).values()
        yield* peer.send(`POST /never HTTP/1.1\r\nContent-Length: ${64 * mebibyte}\r\n\r\n`)
        assert.isFalse((yield* flood(peer, pieces)).isWhole)
        yield* expectGrowth(before, 24)
        assert.strictEqual((yield* nextAnswer(peer)).status, 504)
        assert.strictEqual(hub.interrupted(), 1)
        // What comes behind it is skipped.
        assert.isTrue((yield* flood(peer, pieces, limit)).isWhole)
        yield* expectServed(peer)
      }),
    { limits: { v1ResponseTimeout: "2 seconds" } }
  )

  hostileV1("whole bodies that no handler reads take bounded memory", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connectV1
      const before = memory()
      const request = post("/never", "x".repeat(8 * mebibyte))
      const { isWhole } = yield* flood(peer, Array.from({ length: 30 }, () => request))
      assert.isFalse(isWhole)
      yield* expectGrowth(before, 48)
      yield* peer.resetTcp
      yield* hub.expectEvent("ConnectionFailure")
      yield* expectGrowth(before, 24)
    }), { limits: { v1ResponseTimeout: "2 seconds" } })

  hostileV1(
    "a response that its peer does not read makes its handler wait, and memory stays bounded",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connectV1
        yield* expectServed(peer)
        const before = memory()
        peer.ws.pause()
        yield* peer.send(get("/endless"))
        yield* until("the answer has begun", () => hub.produced() > 0)
        const produced = yield* settled("the answer", hub.produced)
        assert.isBelow(produced, 24 * mebibyte)
        yield* expectGrowth(before, 8)
        peer.ws.resume()
        yield* until("the answer goes on", () => hub.produced() > produced)
        yield* peer.resetTcp
        yield* hub.expectEvent("ConnectionFailure")
        yield* settled("the answer", hub.produced)
      })
  )

  hostileV1(
    "responses that their peer does not read stop the reading of requests, and memory stays bounded",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connectV1
        const before = memory()
        peer.ws.pause()
        const { isWhole } = yield* flood(peer, Array.from({ length: 200_000 }, () => get("/heavy")), 1000)
        assert.isFalse(isWhole)
        assert.isBelow(hub.answered(), 10_000)
        yield* expectGrowth(before, 24)
        yield* peer.resetTcp
      })
  )
})

describe("responses to no call", () => {
  const unasked = (title: string, message: string) =>
    hostileV1(`${title} to no call is PROTOCOL_ERROR, and the link is dropped`, (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connectV1
        yield* peer.send(message)
        const { error } = yield* hub.expectEvent("ConnectionFailure")
        assert.deepInclude(error.reason, { _tag: "ProtocolViolation", initiator: "remote", code: "PROTOCOL_ERROR" })
        yield* expectHungUp(peer)
      }))
  unasked("a response", answer(200, "x"))
  unasked("an interim response", "HTTP/1.1 100 Continue\r\n\r\n")
})
