/**
 * PROTOCOL.md, "Negotiation" and "Handshake", the client's side: servers that refuse, stay silent or talk nonsense.
 */
import { assert, describe } from "@effect/vitest"
import type { RefusalCode } from "effect-swaggersocket/SwaggerSocketError"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Stream from "effect/Stream"
import { call, type ClientFixture, type ClientOptions, hostileServer, reasonOf } from "../support/clientUnderAttack.ts"
import { hex, request, response } from "../support/frames.ts"
import type { RawPeer } from "../support/rawPeer.ts"
import { until, within } from "../support/waiting.ts"

/** A call that waits for a connection, and one that comes later, fail with the refusal; nobody dials again. */
const stops = (fixture: ClientFixture, refusal: object) =>
  Effect.gen(function*() {
    const status = yield* fixture.waitForStatus("Stopped")
    assert.strictEqual(status._tag === "Stopped" && status.error.reason._tag, "HandshakeRefused")
    const late = reasonOf(yield* within("a late call", Effect.exit(call(fixture.http.get("/")))))
    assert.deepInclude(late, { _tag: "HandshakeRefused", retry: false, ...refusal })
    const event = yield* fixture.expectEvent("ConnectionAttemptFailed")
    assert.isFalse(event.willRetry)
    assert.strictEqual(fixture.server.accepted(), 1)
  })

const isRefused = (title: string, refusal: object, send: (peer: RawPeer) => Effect.Effect<unknown>) =>
  hostileServer(
    `${title} stops the client, and calls that wait fail with HandshakeRefused`,
    (fixture) =>
      Effect.gen(function*() {
        const waiting = yield* Effect.forkChild(call(fixture.http.get("/")))
        const peer = yield* fixture.server.accept
        yield* peer.expectText("hello")
        yield* send(peer)
        const exit = yield* within("a call that waits", Fiber.await(waiting))
        assert.deepInclude(reasonOf(exit), { _tag: "HandshakeRefused", retry: false, ...refusal })
        yield* stops(fixture, refusal)
      })
  )

/** The attempt fails, and the next one serves the call that waited. */
const dialsAgain = (
  title: string,
  send: (peer: RawPeer, fixture: ClientFixture) => Effect.Effect<unknown>,
  options: ClientOptions = {}
) =>
  hostileServer(
    `${title} makes the client dial again, and calls that wait go to the next connection`,
    (fixture) =>
      Effect.gen(function*() {
        const waiting = yield* Effect.forkChild(call(fixture.http.get("/")))
        yield* send(yield* fixture.server.accept, fixture)
        const event = yield* fixture.expectEvent("ConnectionAttemptFailed")
        assert.deepInclude(event, { attempt: 1, willRetry: true })
        const next = yield* fixture.accept()
        yield* next.expectFrame("Request", 1)
        yield* next.sendFrames(response(1, 204))
        assert.strictEqual((yield* within("a call that waits", Fiber.join(waiting))).status, 204)
        assert.isFalse(fixture.events()[0]?._tag === "ConnectionReceived")
      }),
    options
  )

const refuse = (code: string, closeCode: number, retry: boolean, members: object = {}) => (peer: RawPeer) =>
  Effect.andThen(
    peer.send(JSON.stringify({ type: "refuse", code, reason: "because", retry, ...members })),
    peer.close(closeCode, "because")
  )

const codes: Readonly<Record<RefusalCode, readonly [closeCode: number, retry: boolean]>> = {
  HANDSHAKE_INVALID: [4100, false],
  HANDSHAKE_TIMEOUT: [4101, true],
  VERSION_UNSUPPORTED: [4102, false],
  METADATA_INVALID: [4103, false],
  UNAUTHENTICATED: [4104, false],
  FORBIDDEN: [4105, false],
  OVERLOADED: [4106, true],
  GOING_AWAY: [4107, true],
  RESUME_REJECTED: [4108, true],
  REPLACED: [4109, true],
  IDENTITY_REPLACED: [4111, false],
  IDENTITY_IN_USE: [4112, true]
}

describe("refuse", () => {
  for (const [code, [closeCode, retry]] of Object.entries(codes)) {
    // PROTOCOL.md ERR-8
    isRefused(
      `refuse ${code} with retry false`,
      { initiator: "remote", code, description: "because" },
      refuse(code, closeCode, false)
    )
    dialsAgain(`refuse ${code} with retry true`, refuse(code, closeCode, true))
    if (retry) dialsAgain(`close ${closeCode} without refuse`, (peer) => peer.close(closeCode))
    else isRefused(`close ${closeCode} without refuse`, { initiator: "remote", code }, (peer) => peer.close(closeCode))
  }
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    isRefused(
      `refuse ${name} with retry false`,
      { initiator: "remote", code: "HANDSHAKE_INVALID" },
      refuse(name, 4100, false)
    )
    dialsAgain(`refuse ${name} with retry true`, refuse(name, 4110, true))
  }
  // PROTOCOL.md HS-10
  isRefused("refuse with an unknown code and retry false", { initiator: "remote" }, refuse("TOO_LATE", 4110, false))
  // PROTOCOL.md HS-10
  dialsAgain("refuse with an unknown code and retry true", refuse("TOO_LATE", 4110, true))
  isRefused(
    "refuse with a path of names and numbers",
    { initiator: "remote", code: "METADATA_INVALID", path: ["tags", 1] },
    refuse("METADATA_INVALID", 4103, false, { path: ["tags", 1] })
  )
  isRefused(
    "refuse that no close frame follows",
    { initiator: "remote", code: "FORBIDDEN" },
    (peer) => peer.send(`{"type":"refuse","code":"FORBIDDEN","reason":"","retry":false,"unknown":1}`)
  )
})

const welcome = (members: object) =>
  JSON.stringify({ type: "welcome", version: 2, connectionId: "c", resumed: false, settings: {}, ...members })

describe("invalid answers to hello", () => {
  const invalid = (title: string, message: string | Uint8Array) =>
    // PROTOCOL.md HS-7
    isRefused(
      `an invalid answer to hello (${title}), closed with 4100,`,
      { initiator: "local", code: "HANDSHAKE_INVALID" },
      (peer) => Effect.andThen(peer.send(message), peer.expectClose(4100))
    )

  invalid("garbage", "HTTP/1.1 200 OK")
  invalid("an empty text", "")
  invalid("binary", Buffer.from(welcome({})))
  invalid("frames", hex("81 03 02 01 01 2f"))
  invalid("a hello", `{"type":"hello","version":2}`)
  invalid("a ready", `{"type":"ready"}`)
  invalid("a welcome without connectionId", welcome({ connectionId: undefined }))
  invalid("a welcome with an empty connectionId", welcome({ connectionId: "" }))
  invalid("a welcome without resumed", welcome({ resumed: undefined }))
  invalid("a welcome of another version", welcome({ version: 3 }))
  invalid("a welcome with a setting out of range", welcome({ settings: { maxFrameSize: 17407 } }))
  invalid("a welcome with a setting of the wrong type", welcome({ settings: { maxFrameSize: "32768" } }))
  invalid("a refuse without retry", `{"type":"refuse","code":"FORBIDDEN","reason":""}`)

  invalid("a welcome of 65,537 bytes", welcome({}).padEnd(65537))

  hostileServer(
    "a welcome of a megabyte closes the link with 1009 before it is in memory",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.server.accept
        yield* peer.expectText("hello")
        yield* peer.send(welcome({}).padEnd(1_000_000))
        yield* peer.expectClose(1009)
        yield* fixture.expectEvent("ConnectionAttemptFailed")
      })
  )

  isRefused(
    "close code 1009, which a server's WebSocket library sends for a hello that is too long,",
    { initiator: "remote", code: "HANDSHAKE_INVALID" },
    (peer) => peer.close(1009)
  )

  // PROTOCOL.md HS-2, SET-3
  hostileServer(
    "unknown members and settings, and a session that was not asked for, are ignored",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.accept({
          unknown: 1,
          settings: { unknown: 1 },
          session: { token: "t", epoch: "e", windowMillis: 1, replayBuffer: 32768, unknown: true }
        })
        yield* peer.expectAlive()
      })
  )

  hostileServer(
    "a welcome that arrives before hello was sent is accepted, and ready is sent",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.server.accept
        yield* peer.send(welcome({}))
        yield* peer.expectText("hello")
        yield* peer.expectText("ready")
        yield* peer.expectAlive()
      })
  )

  hostileServer(
    "frames that arrive after welcome and before ready are handled after ready",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.server.accept
        yield* peer.expectText("hello")
        peer.ws.send(welcome({}))
        peer.sendNow(request(2, "/ping"))
        yield* peer.expectText("ready")
        assert.strictEqual((yield* peer.expectResponse(2)).status, 200)
      }),
    { serves: true }
  )

  // PROTOCOL.md MSG-2
  hostileServer(
    "a second welcome is a connection error PROTOCOL_ERROR (4001), and the client dials again",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.accept()
        yield* peer.send(welcome({}))
        yield* peer.expectConnectionError("PROTOCOL_ERROR")
        yield* fixture.expectEvent("ConnectionFailure")
        yield* (yield* fixture.accept()).expectAlive()
      })
  )
})

describe("silence and loss", () => {
  // PROTOCOL.md HS-4
  hostileServer(
    "a server that never answers hello is closed with 4101, and the client dials again",
    (fixture) =>
      Effect.gen(function*() {
        const waiting = yield* Effect.forkChild(call(fixture.http.get("/")))
        const silent = yield* fixture.server.accept
        yield* silent.expectText("hello")
        const event = yield* fixture.expectEvent("ConnectionAttemptFailed")
        assert.isTrue(event.willRetry)
        assert.deepInclude(event.error.reason, {
          _tag: "HandshakeRefused",
          initiator: "local",
          code: "HANDSHAKE_TIMEOUT",
          retry: true
        })
        const next = yield* fixture.accept()
        yield* next.expectFrame("Request", 1)
        yield* next.sendFrames(response(1, 204))
        assert.strictEqual((yield* within("a call that waits", Fiber.join(waiting))).status, 204)
        yield* silent.expectClose(4101)
      }),
    { limits: { handshakeTimeout: "300 millis" } }
  )

  const serves = (fixture: ClientFixture) => Effect.flatMap(fixture.accept(), (peer) => peer.expectAlive())

  hostileServer(
    "an upgrade request that is never answered makes the client dial again",
    (fixture) =>
      Effect.gen(function*() {
        const { error } = yield* fixture.expectEvent("ConnectionAttemptFailed")
        assert.deepInclude(error.reason, { _tag: "HandshakeRefused", initiator: "local", code: "HANDSHAKE_TIMEOUT" })
        yield* serves(fixture)
        yield* until("the first socket is closed", () => fixture.server.sockets.size === 1)
      }),
    { limits: { handshakeTimeout: "300 millis" }, refuses: ["silent"] }
  )

  hostileServer(
    "an upgrade request that is answered 503, then 500, makes the client dial again",
    (fixture) =>
      Effect.gen(function*() {
        for (const _attempt of [1, 2]) {
          const event = yield* fixture.expectEvent("ConnectionAttemptFailed")
          assert.isTrue(event.willRetry)
          assert.deepInclude(event.error.reason, { _tag: "LinkError", phase: "open" })
        }
        yield* serves(fixture)
      }),
    { refuses: [503, 500] }
  )

  dialsAgain("a TCP reset before welcome", (peer) => Effect.andThen(peer.expectText("hello"), peer.resetTcp))
  dialsAgain("a TCP reset at once", (peer) => peer.resetTcp)
  for (const code of [1000, 1001, 1011, 4001, 4555]) {
    dialsAgain(`close ${code} before welcome`, (peer) => Effect.andThen(peer.expectText("hello"), peer.close(code)))
  }

  for (const code of [4100, 4101]) {
    // PROTOCOL.md ERR-6
    hostileServer(
      `close code ${code} after ready means that calls were not processed`,
      (fixture) =>
        Effect.gen(function*() {
          const peer = yield* fixture.accept()
          const post = HttpClientRequest.post("/")
          // A stream can't be repeated, so the caller sees what happened.
          const upload = yield* Effect.forkChild(call(fixture.http.execute(
            HttpClientRequest.bodyStream(post, Stream.never)
          )))
          yield* peer.expectFrame("Request", 1)
          const calling = yield* Effect.forkChild(call(fixture.http.execute(post)))
          yield* peer.expectFrame("Request", 3)
          yield* peer.close(code)
          const exit = yield* within("the upload", Fiber.await(upload))
          assert.deepInclude(reasonOf(exit), { _tag: "ConnectionLost", outcome: "not-processed" })
          if (code === 4100) {
            assert.deepInclude(reasonOf(yield* within("the call", Fiber.await(calling))), { _tag: "HandshakeRefused" })
            return
          }
          const next = yield* fixture.accept()
          yield* next.expectFrame("Request", 1)
          yield* next.sendFrames(response(1, 204))
          assert.strictEqual((yield* within("the call", Fiber.join(calling))).status, 204)
        })
    )
  }
})

describe("subprotocol", () => {
  // PROTOCOL.md NEG-3
  hostileServer(
    "a client of wire v2 alone stops when the server does not select its subprotocol, and calls fail",
    (fixture) =>
      Effect.gen(function*() {
        const waiting = yield* Effect.forkChild(Effect.exit(call(fixture.http.get("/"))))
        yield* until("the server has been dialled", () => fixture.server.accepted() === 1)
        yield* fixture.waitForStatus("Stopped")
        reasonOf(yield* within("a call that waits", Fiber.join(waiting)))
        assert.strictEqual(fixture.server.accepted(), 1)
      }),
    { echoesSubprotocol: false, wire: "v2" }
  )
})
