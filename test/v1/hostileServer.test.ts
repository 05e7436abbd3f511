/**
 * PROTOCOL-v1.md, "Wire v1": servers that do what they should not, and what our client makes of it.
 */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import type * as Scope from "effect/Scope"
import { isSwaggerSocketError, type SwaggerSocketErrorReason } from "../../src/SwaggerSocketError.ts"
import { call, type ClientOptions, reasonOf } from "../support/clientUnderAttack.ts"
import type { RawPeer } from "../support/rawPeer.ts"
import { limit, until, within } from "../support/waiting.ts"
import { get } from "./machine.ts"
import {
  ack,
  connectionId,
  expectGoodbye,
  expectGrowth,
  expectHungUp,
  flood,
  hostileServerV1,
  mebibyte,
  memory,
  metadata,
  nextAnswer,
  nextText,
  rightAnswer,
  type V1ClientFixture
} from "./raw.ts"

/** What ended the connection below a call that had been sent, and can't be known to have failed. */
const lostBy = <A>(exit: Exit.Exit<A, unknown>): SwaggerSocketErrorReason => {
  const reason = reasonOf(exit)
  if (reason._tag !== "ConnectionLost") return assert.fail(`expected ConnectionLost: ${reason.message}`)
  assert.strictEqual(reason.outcome, "unknown")
  if (!isSwaggerSocketError(reason.cause)) return assert.fail(`no error of this package below: ${reason.message}`)
  return reason.cause.reason
}

describe("handshakes", () => {
  const refused = (title: string, message: string | Uint8Array) =>
    hostileServerV1(
      `a server that sends ${title} for the connection's id makes the client close the link with 4100`,
      (fixture) =>
        Effect.gen(function*() {
          const peer = yield* fixture.server.accept
          yield* nextText(peer, "the metadata")
          yield* peer.send(message)
          yield* expectGoodbye(peer, 4100)
          const { error } = yield* fixture.expectEvent("ConnectionAttemptFailed")
          assert.deepInclude(error.reason, { _tag: "HandshakeRefused", initiator: "local", code: "HANDSHAKE_INVALID" })
        })
    )
  refused("text that is no JSON", "HTTP/1.1 200 OK\r\n\r\n")
  refused("bytes that are no text", Uint8Array.of(0xff, 0, 1))
  refused("an empty message", "")
  refused("an object without a type", "{\"ConnectionID\":\"x\"}")
  refused("an acknowledgement", ack)
  refused("metadata", metadata())
  refused("an id that is no text", "{\"Type\":\"ServerHandshakeConnectionID\",\"ConnectionID\":5}")
  refused("more than 65,536 bytes", connectionId("x".repeat(65_536)))
  refused("the welcome of wire v2", "{\"type\":\"welcome\",\"version\":2,\"connectionId\":\"x\",\"resumed\":false}")

  hostileServerV1(
    "a message of millions of bytes for the connection's id makes the client drop the link before it is whole",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.server.accept
        yield* nextText(peer, "the metadata")
        // Only its beginning ever comes.
        yield* peer.sendTcp(Buffer.from([0x81, 127, 0, 0, 0, 0, 0, 0x40, 0, 0]))
        yield* expectHungUp(peer)
        yield* fixture.expectEvent("ConnectionAttemptFailed")
      })
  )

  hostileServerV1(
    "a handshake that the server never answers makes the client close the link with 4101",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.server.accept
        yield* expectGoodbye(peer, 4101)
        const { error } = yield* fixture.expectEvent("ConnectionAttemptFailed")
        assert.deepInclude(error.reason, { _tag: "HandshakeRefused", initiator: "local", code: "HANDSHAKE_TIMEOUT" })
      }),
    { limits: { handshakeTimeout: "300 millis" } }
  )

  hostileServerV1(
    "a server that vanishes within the handshake makes the client dial again",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.server.accept
        yield* nextText(peer, "the metadata")
        yield* peer.resetTcp
        yield* fixture.expectEvent("ConnectionAttemptFailed")
      })
  )

  hostileServerV1(
    "a connection whose server sends no id, an empty one, or a key in another case gets an id of the client's",
    (fixture) =>
      Effect.gen(function*() {
        for (const message of ["{\"type\":\"ServerHandshakeConnectionID\"}", connectionId("")]) {
          const peer = yield* fixture.server.accept
          yield* nextText(peer, "the metadata")
          yield* peer.send(message)
          yield* nextText(peer, "the acknowledgement")
          const { connectionId: id } = yield* fixture.expectEvent("ConnectionReceived")
          assert.isAbove(id.length, 10)
          yield* peer.resetTcp
          yield* fixture.expectEvent("ConnectionFailure")
        }
      })
  )
})

type Code = "PROTOCOL_ERROR" | "MALFORMED" | "HEAD_TOO_LARGE"
const closeCodes = { PROTOCOL_ERROR: 4001, MALFORMED: 4010, HEAD_TOO_LARGE: 4011 }

const violated = (fixture: V1ClientFixture, peer: RawPeer, code: Code) =>
  Effect.gen(function*() {
    yield* expectGoodbye(peer, closeCodes[code])
    const { error } = yield* fixture.expectEvent("ConnectionFailure")
    assert.deepInclude(error.reason, { _tag: "ProtocolViolation", initiator: "remote", code })
  })

describe("impossible responses", () => {
  /** To the only call, which is failed. */
  const breaks = (title: string, code: Code, respond: (request: string) => string | ReadonlyArray<string>) =>
    hostileServerV1(
      `a response with ${title} is ${code}: the call fails, and the client closes the link`,
      (fixture) =>
        Effect.gen(function*() {
          const peer = yield* fixture.acceptV1
          const calling = yield* Effect.forkChild(call(fixture.http.get("/x")))
          const message = respond(yield* nextText(peer, "a request"))
          for (const part of typeof message === "string" ? [message] : message) yield* peer.send(part)
          const reason = lostBy(yield* within("the call", Fiber.await(calling)))
          assert.deepInclude(reason, { _tag: "ProtocolViolation", initiator: "remote", code })
          yield* violated(fixture, peer, code)
        })
    )

  breaks("another correlation id", "PROTOCOL_ERROR", (request) => rightAnswer(request, "x").replace(/-Id: /, "-Id: x"))
  breaks("a switch of protocols", "PROTOCOL_ERROR", () => "HTTP/1.1 101 Switching Protocols\r\n\r\n")
  breaks("neither a length nor chunks", "MALFORMED", () => "HTTP/1.1 200 OK\r\n\r\nbody")
  breaks("no status", "MALFORMED", () => "HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n")
  breaks("HTTP/2.0", "MALFORMED", () => "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n")
  breaks("two lengths", "MALFORMED", () => "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx")
  breaks(
    "a length and chunks",
    "MALFORMED",
    () => "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx"
  )
  breaks("an upgrade", "MALFORMED", () => "HTTP/1.1 101 \r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n")
  breaks("a head that is too large", "HEAD_TOO_LARGE", () => `HTTP/1.1 200 OK\r\nX: ${"y".repeat(17_000)}\r\n\r\n`)
  breaks("a head that does not end", "HEAD_TOO_LARGE", () => [
    "HTTP/1.1 200 OK\r\nX: ",
    ...Array.from({ length: 17 }, () => "y".repeat(1000))
  ])

  hostileServerV1(
    "a response to no call is PROTOCOL_ERROR, and the client closes the link",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.acceptV1
        yield* peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        yield* violated(fixture, peer, "PROTOCOL_ERROR")
      })
  )

  for (const [title, parts] of [["in two messages", 2], ["in one message", 1]] as const) {
    hostileServerV1(
      `a call that is answered twice, ${title}, gets the first response, and the client closes the link`,
      (fixture) =>
        Effect.gen(function*() {
          const peer = yield* fixture.acceptV1
          const calling = yield* Effect.forkChild(call(fixture.http.get("/x")))
          const answer = rightAnswer(yield* nextText(peer, "a request"), "first")
          if (parts === 1) {
            yield* peer.send(answer.repeat(2))
          } else {
            yield* peer.send(answer)
            yield* peer.send(answer)
          }
          assert.strictEqual((yield* within("the call", Fiber.join(calling))).text, "first")
          yield* violated(fixture, peer, "PROTOCOL_ERROR")
        })
    )
  }

  hostileServerV1(
    "a call that waits while another one's response is malformed fails as not sent",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.acceptV1
        const first = yield* Effect.forkChild(call(fixture.http.get("/first")))
        yield* nextText(peer, "a request")
        const second = yield* Effect.forkChild(call(fixture.http.get("/second")))
        const connection = yield* fixture.client.connection
        yield* until("it waits", () => Effect.runSync(connection.active).waiting === 1)
        yield* peer.send("HTTP/1.1 nonsense\r\n\r\n")
        assert.strictEqual(lostBy(yield* Fiber.await(first))._tag, "ProtocolViolation")
        yield* violated(fixture, peer, "MALFORMED")
        // What was not sent is safe to send on the next connection.
        const next = yield* fixture.acceptV1
        const request = yield* nextText(next, "the request that waited")
        assert.match(request, /^GET \/second /)
        yield* next.send(rightAnswer(request, "fine"))
        assert.strictEqual((yield* within("the call that waited", Fiber.join(second))).text, "fine")
        yield* next.resetTcp
        yield* fixture.expectEvent("ConnectionFailure")
      })
  )
})

describe("endless responses", () => {
  /** The head of an answer, which the caller has. */
  const begun = (fixture: V1ClientFixture, head: string) =>
    Effect.gen(function*() {
      const peer = yield* fixture.acceptV1
      const calling = yield* Effect.forkChild(fixture.http.get("/x"))
      const request = yield* nextText(peer, "a request")
      yield* peer.send(rightAnswer(request, "").replace("Content-Length: 0", head) + (head.startsWith("T") ? "" : "x"))
      const answer: HttpClientResponse.HttpClientResponse = yield* within("the answer's head", Fiber.join(calling))
      return { peer, answer }
    })

  for (const head of ["Content-Length: 100", "Transfer-Encoding: chunked"]) {
    hostileServerV1(
      `a body with ${head} fails with LinkError when the server vanishes`,
      (fixture) =>
        Effect.gen(function*() {
          const { answer, peer } = yield* begun(fixture, head)
          yield* peer.resetTcp
          const exit = yield* within("the body", Effect.exit(answer.text))
          assert.strictEqual(lostBy(exit)._tag, "LinkError")
          yield* fixture.expectEvent("ConnectionFailure")
        })
    )

    hostileServerV1(
      `a body with ${head} fails when the server closes the link`,
      (fixture) =>
        Effect.gen(function*() {
          const { answer, peer } = yield* begun(fixture, head)
          yield* peer.close(1000)
          assert.isTrue(Exit.isFailure(yield* within("the body", Effect.exit(answer.text))))
          yield* fixture.expectEvent("ConnectionClosed")
        })
    )
  }

  hostileServerV1(
    "a call that is interrupted and never answered makes the client drop the link after the stall timeout",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.acceptV1
        const calling = yield* Effect.forkChild(call(fixture.http.get("/x")))
        yield* nextText(peer, "a request")
        yield* Fiber.interrupt(calling)
        const { error } = yield* fixture.expectEvent("ConnectionFailure")
        assert.strictEqual(error.reason._tag, "LinkError")
        yield* peer.expectClose(1001, 1006)
      }),
    { limits: { v1StallTimeout: "300 millis" } }
  )

  const keeps = (title: string, head: string, piece: string | Uint8Array, options: ClientOptions = {}) =>
    hostileServerV1(
      `${title} that nobody reads stops the reading, and memory stays bounded`,
      (fixture) =>
        Effect.gen(function*() {
          const before = memory()
          const { answer, peer } = yield* begun(fixture, head)
          const { isWhole } = yield* flood(peer, repeated(piece, 96 * mebibyte))
          assert.isFalse(isWhole)
          yield* expectGrowth(before, 24)
          yield* peer.resetTcp
          // Who does not read does not see that the other end has gone.
          assert.isTrue(Exit.isFailure(yield* within("the body", Effect.exit(answer.text))))
          yield* fixture.expectEvent("ConnectionFailure")
        }),
      options
    )

  function* repeated(piece: string | Uint8Array, bytes: number) {
    for (let left = bytes; left > 0; left -= piece.length) yield piece
  }

  const chunk = (size: number) => `${size.toString(16)}\r\n${"x".repeat(size)}\r\n`
  keeps("a body", "Content-Length: 999999999", new Uint8Array(mebibyte))
  keeps("a body in chunks", "Transfer-Encoding: chunked", chunk(16_384))
  keeps("a body in chunks of a few bytes", "Transfer-Encoding: chunked", chunk(20).repeat(1000))

  hostileServerV1(
    "a body in messages that are larger than the window reaches its reader whole",
    (fixture) =>
      Effect.gen(function*() {
        const { answer, peer } = yield* begun(fixture, `Content-Length: ${1 + 12 * mebibyte}`)
        assert.isTrue((yield* flood(peer, repeated(new Uint8Array(3 * mebibyte), 12 * mebibyte), limit)).isWhole)
        const body = yield* within("the body", answer.arrayBuffer)
        assert.strictEqual(body.byteLength, 1 + 12 * mebibyte)
        yield* peer.resetTcp
        yield* fixture.expectEvent("ConnectionFailure")
      })
  )

  hostileServerV1(
    "a body whose caller is interrupted is skipped, and the next call is sent after it",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.acceptV1
        const before = memory()
        const first = yield* Effect.forkChild(call(fixture.http.get("/first")))
        const request = yield* nextText(peer, "a request")
        yield* peer.send(rightAnswer(request, "").replace("Content-Length: 0", `Content-Length: ${32 * mebibyte}`))
        yield* Fiber.interrupt(first)
        const second = yield* Effect.forkChild(call(fixture.http.get("/second")))
        yield* flood(peer, repeated(new Uint8Array(mebibyte), 32 * mebibyte), 5000)
        yield* expectGrowth(before, 24)
        yield* peer.send(rightAnswer(yield* nextText(peer, "the next request"), "fine"))
        assert.strictEqual((yield* within("the next call", Fiber.join(second))).text, "fine")
        yield* peer.resetTcp
        yield* fixture.expectEvent("ConnectionFailure")
      })
  )

  hostileServerV1("a message of more than 16 MiB makes the client close the link", (fixture) =>
    Effect.gen(function*() {
      const peer = yield* fixture.acceptV1
      const calling = yield* Effect.forkChild(call(fixture.http.get("/x")))
      yield* nextText(peer, "a request")
      yield* Effect.forkScoped(peer.send(new Uint8Array(17 * mebibyte)))
      assert.strictEqual(lostBy(yield* within("the call", Fiber.await(calling)))._tag, "LinkError")
      yield* peer.expectClose(1009, 1006)
    }))
})

describe("calls of a hostile server", () => {
  const served = (title: string, body: (peer: RawPeer) => Effect.Effect<unknown, unknown, Scope.Scope>) =>
    hostileServerV1(title, (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.acceptV1
        yield* body(peer)
        yield* peer.resetTcp
        yield* fixture.expectEvent("ConnectionFailure")
      }), { serves: true })

  served(
    "a malformed request of the server is answered 400, and the next one is served",
    (peer) =>
      Effect.gen(function*() {
        yield* peer.send("nonsense\r\n\r\n")
        assert.strictEqual((yield* nextAnswer(peer)).status, 400)
        yield* peer.send(get("/ping"))
        assert.strictEqual((yield* nextAnswer(peer)).body, "pong")
      })
  )

  hostileServerV1(
    "5,000 malformed requests of the server are EXCESSIVE_LOAD, and the client closes the link",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.acceptV1
        yield* flood(peer, Array.from({ length: 5000 }, () => "x\n"))
        const { error } = yield* fixture.expectEvent("ConnectionFailure")
        assert.deepInclude(error.reason, { _tag: "ProtocolViolation", initiator: "remote", code: "EXCESSIVE_LOAD" })
        // What it has not read may cost it its goodbye.
        yield* peer.expectClose(1001, 1006)
      }),
    { serves: true }
  )

  hostileServerV1("requests to a client that serves nothing are answered 503", (fixture) =>
    Effect.gen(function*() {
      const peer = yield* fixture.acceptV1
      yield* peer.send(get("/ping"))
      assert.strictEqual((yield* nextAnswer(peer)).status, 503)
      // While it calls itself, too.
      const calling = yield* Effect.forkChild(call(HttpClientRequest.get("/x").pipe(fixture.http.execute)))
      const request = yield* nextText(peer, "a request")
      yield* peer.send(get("/ping"))
      assert.strictEqual((yield* nextAnswer(peer)).status, 503)
      yield* peer.send(rightAnswer(request, "fine"))
      assert.strictEqual((yield* within("the call", Fiber.join(calling))).text, "fine")
      yield* peer.resetTcp
      yield* fixture.expectEvent("ConnectionFailure")
    }))
})
