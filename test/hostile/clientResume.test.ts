/**
 * PROTOCOL.md, "Sessions", the client's side: servers that resume, or refuse to, rightly and wrongly.
 */
import { assert, describe, it } from "@effect/vitest"
import type * as Connection from "effect-swaggersocket/Connection"
import type { SessionLost } from "effect-swaggersocket/SwaggerSocketError"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as WS from "ws"
import { isLinkMessage } from "../../src/internal/session/session.ts"
import {
  call,
  type ClientFixture,
  type ClientOptions,
  hostileServer,
  reasonOf,
  startClient
} from "../support/clientUnderAttack.ts"
import { bytes, data, goAway, ping, request, response } from "../support/frames.ts"
import type { RawPeer } from "../support/rawPeer.ts"
import { listen } from "../support/rawServer.ts"
import { until, within } from "../support/waiting.ts"

type Members = Readonly<Record<string, unknown>>

/** A link that the client has dialled. */
interface Dialled {
  readonly peer: RawPeer
  readonly hello: Members
  /** The counted messages of the client on this link, as they were. */
  readonly counted: Array<string>
}

const id = "the connection"

const sessionOf = (token: string, members: Members = {}) => ({
  session: { token, epoch: "first", windowMillis: 60_000, replayBuffer: 1_000_000, ...members }
})

/** Tables would have to outlive the peer of the test. */
const settings = { headTableSize: 0, streamWindow: 8_000_000, connectionWindow: 8_000_000 }

/** Up to the hello. */
const dialled = (fixture: ClientFixture): Effect.Effect<Dialled> =>
  Effect.gen(function*() {
    const peer = yield* fixture.server.accept
    const counted: Array<string> = []
    // Before the peer tells the test of it.
    peer.ws.prependListener("message", (message: WS.RawData, isBinary: boolean) => {
      const whole = message as Buffer
      if (isBinary && !isLinkMessage(whole)) counted.push(whole.toString("hex"))
    })
    return { peer, counted, hello: yield* peer.expectText("hello") }
  })

const welcome = ({ peer }: Dialled, members: Members) =>
  peer.send(JSON.stringify({ type: "welcome", version: 2, connectionId: id, resumed: false, settings, ...members }))

/** The first link of a connection. */
const begin = (fixture: ClientFixture, members: Members = sessionOf("token 1")) =>
  Effect.gen(function*() {
    const link = yield* dialled(fixture)
    assert.isUndefined(link.hello.resume)
    yield* welcome(link, members)
    yield* link.peer.expectText("ready")
    return link
  })

/** The number of an attempt to resume, which says this besides. */
const attemptOf = (link: Dialled, expected: Members): number => {
  const { attempt, ...rest } = link.hello.resume as Members
  assert.deepStrictEqual(rest, expected)
  return attempt as number
}

const isResume = (link: Dialled, token: string, received: number) =>
  assert.isAtLeast(attemptOf(link, { connectionId: id, token, epoch: "first", received }), 1)

/** The next link, on which a client with this token and count is told that the server has received so much. */
const resume = (
  fixture: ClientFixture,
  { next, received, sent, token }: {
    readonly token: string
    /** Counted messages that the client must have received. */
    readonly sent: number
    readonly next: string
    /** Counted messages that the server has received. */
    readonly received: number
  }
) =>
  Effect.gen(function*() {
    const link = yield* dialled(fixture)
    isResume(link, token, sent)
    yield* welcome(link, { resumed: true, ...sessionOf(next, { received }) })
    yield* link.peer.expectText("ready")
    return link
  })

/** The next link is for another connection, which works. */
const beginsAnew = (fixture: ClientFixture) =>
  Effect.gen(function*() {
    const link = yield* begin(fixture, { ...sessionOf("another token"), connectionId: "another" })
    const calling = yield* Effect.forkChild(call(fixture.http.get("/")))
    yield* link.peer.expectFrame("Request", 1)
    yield* link.peer.sendFrames(response(1, 204))
    assert.strictEqual((yield* within("a call on the new connection", Fiber.join(calling))).status, 204)
    return link
  })

const refuse = ({ peer }: Dialled, code: string, closeCode: number, retry: boolean) =>
  Effect.andThen(
    peer.send(JSON.stringify({ type: "refuse", code, reason: "because", retry })),
    peer.close(closeCode, "because")
  )

const post = ({ http }: ClientFixture, path = "/") => Effect.forkChild(call(http.post(path)))

/** A call that has reached the server, in a message of its own. */
const sent = (fixture: ClientFixture, link: Dialled, streamId: number) =>
  Effect.gen(function*() {
    const calling = yield* post(fixture)
    yield* link.peer.expectFrame("Request", streamId)
    return calling
  })

const isUnknown = (calling: Fiber.Fiber<unknown, unknown>) =>
  Effect.gen(function*() {
    const exit = yield* within("a call that was in progress", Fiber.await(calling))
    assert.deepInclude(reasonOf(exit), { _tag: "ConnectionLost", outcome: "unknown" })
  })

const isAnswered = (calling: Fiber.Fiber<{ readonly status: number }, unknown>, status = 200) =>
  Effect.gen(function*() {
    assert.strictEqual((yield* within("a call", Fiber.join(calling))).status, status)
  })

/** The connection was lost, as a session that could not be resumed. */
const isLost = (fixture: ClientFixture, because: SessionLost["because"]) =>
  Effect.gen(function*() {
    const event = yield* fixture.expectEvent("ConnectionFailure")
    assert.strictEqual(event.connectionId, id)
    assert.deepInclude(event.error.reason, { _tag: "SessionLost", because })
  })

/** A counted message that says nothing. */
const extension = (size: number) =>
  Uint8Array.of(0x42, ...size < 64 ? [size] : [0x40 | (size >> 8), size & 0xff], ...new Uint8Array(size))

const receivedAcks = ({ peer }: Dialled) =>
  peer.log.flatMap((event) => event._tag === "Frame" && event.frame._tag === "Ack" ? [event.frame.received] : [])

const tagsOf = (fixture: ClientFixture) => fixture.events().map((event) => event._tag)

const resuming = (
  title: string,
  body: (fixture: ClientFixture) => Effect.Effect<unknown, unknown, Scope.Scope>,
  options: ClientOptions = {}
) => hostileServer(title, body, { ...options, limits: { drainTimeout: "50 millis", ...options.limits } })

describe("hello of a client", () => {
  resuming("hello announces the client's replay buffer and window", (fixture) =>
    Effect.gen(function*() {
      const { hello } = yield* begin(fixture)
      assert.deepStrictEqual(hello.session, { windowMillis: 90_000, replayBuffer: 100_000 })
    }), { limits: { resumeWindow: "90 seconds", replayBuffer: 100_000 } })

  resuming("hello of a client without sessions has no session", (fixture) =>
    Effect.gen(function*() {
      const { hello, peer } = yield* begin(fixture)
      assert.isUndefined(hello.session)
      yield* peer.resetTcp
      yield* fixture.expectEvent("ConnectionFailure")
      assert.isUndefined((yield* begin(fixture)).hello.session)
    }), { limits: { resumeWindow: 0 } })
})

describe("lost link", () => {
  const losses: ReadonlyArray<readonly [string, (peer: RawPeer) => Effect.Effect<void>]> = [
    ["by a TCP reset", (peer) => peer.resetTcp],
    ...[1011, 1012, 1013, 1014, 4013, 4110].map((code) =>
      [`by the close code ${code}`, (peer: RawPeer) => peer.close(code, "because")] as const
    )
  ]

  for (const [how, lose] of losses) {
    // PROTOCOL.md SES-10
    resuming(
      `a link lost ${how} is followed by one that resumes, and calls go on`,
      (fixture) =>
        Effect.gen(function*() {
          const first = yield* begin(fixture)
          const calling = yield* sent(fixture, first, 1)
          yield* lose(first.peer)
          const { connectionId, error } = yield* fixture.expectEvent("ConnectionInterrupted")
          assert.strictEqual(connectionId, id)
          assert.include(["LinkError", "ProtocolViolation", "ConnectionClosed"], error.reason._tag)
          const second = yield* resume(fixture, { token: "token 1", sent: 0, next: "token 2", received: 1 })
          yield* second.peer.sendFrames(response(1, 200))
          yield* isAnswered(calling)
          assert.deepStrictEqual(tagsOf(fixture), ["ConnectionReceived", "ConnectionInterrupted", "ConnectionResumed"])
        })
    )
  }

  // PROTOCOL.md HB-2
  resuming(
    "a link lost by silence is closed with 4013 and followed by one that resumes",
    (fixture) =>
      Effect.gen(function*() {
        const first = yield* begin(fixture)
        first.peer.answersPings = false
        const calling = yield* sent(fixture, first, 1)
        const { error } = yield* fixture.expectEvent("ConnectionInterrupted")
        assert.strictEqual(error.reason._tag, "HeartbeatTimeout")
        yield* first.peer.expectClose(4013)
        const second = yield* resume(fixture, { token: "token 1", sent: 0, next: "token 2", received: 1 })
        yield* second.peer.sendFrames(response(1, 200))
        yield* isAnswered(calling)
      }),
    { heartbeat: { interval: "100 millis", timeout: "100 millis" } }
  )

  for (const code of [1000, 1001, 1002, 1003, 1007, 1009, 3000, 4001, 4016, 4099, 4100, 4113, 4199, 4555]) {
    // 4100 tells the client that it would be refused again.
    const stops = code === 4100
    // PROTOCOL.md SES-10
    resuming(
      `close code ${code} ends the connection: nothing is resumed, and calls are unknown`,
      (fixture) =>
        Effect.gen(function*() {
          const first = yield* begin(fixture)
          const calling = yield* sent(fixture, first, 1)
          yield* first.peer.expectAlive()
          yield* first.peer.close(code, "because")
          yield* isUnknown(calling)
          yield* stops ? fixture.waitForStatus("Stopped") : beginsAnew(fixture)
          assert.notInclude(tagsOf(fixture), "ConnectionInterrupted")
        })
    )
  }

  resuming("a close frame without a code ends the connection: nothing is resumed", (fixture) =>
    Effect.gen(function*() {
      const first = yield* begin(fixture)
      const calling = yield* sent(fixture, first, 1)
      yield* first.peer.close()
      yield* isUnknown(calling)
      yield* beginsAnew(fixture)
      assert.notInclude(tagsOf(fixture), "ConnectionInterrupted")
    }))

  // PROTOCOL.md DRN-9
  resuming(
    "a link lost after GOAWAY HEARTBEAT_TIMEOUT is resumed for the calls that are open, and new calls go elsewhere",
    (fixture) =>
      Effect.gen(function*() {
        const first = yield* begin(fixture)
        const calling = yield* sent(fixture, first, 1)
        yield* first.peer.sendFrames(goAway(1, "HEARTBEAT_TIMEOUT"))
        yield* first.peer.close(4013)
        // One link for the calls that are open, and one for the next connection, in either order.
        let [hasResumed, hasBegun] = [false, false]
        while (!hasResumed || !hasBegun) {
          const link = yield* dialled(fixture)
          if (link.hello.resume === undefined) {
            yield* welcome(link, { connectionId: "another" })
            yield* link.peer.expectText("ready")
            hasBegun = true
          } else {
            yield* welcome(link, { resumed: true, ...sessionOf("token 2", { received: 1 }) })
            yield* link.peer.expectText("ready")
            yield* link.peer.sendFrames(response(1, 200))
            hasResumed = true
          }
        }
        yield* isAnswered(calling)
      })
  )

  // PROTOCOL.md SES-20
  resuming(
    "close code 4109 means that the connection has another owner: the client opens a new connection",
    (fixture) =>
      Effect.gen(function*() {
        const first = yield* begin(fixture)
        const calling = yield* sent(fixture, first, 1)
        // Without a word before: all the same the server has been ready, and may have processed the call.
        yield* first.peer.close(4109, "replaced")
        const { error } = yield* fixture.expectEvent("ConnectionFailure")
        assert.deepInclude(error.reason, { _tag: "HandshakeRefused", code: "REPLACED", initiator: "remote" })
        yield* isUnknown(calling)
        yield* beginsAnew(fixture)
        assert.strictEqual(fixture.server.accepted(), 2)
        assert.notInclude(tagsOf(fixture), "ConnectionInterrupted")
      })
  )

  resuming(
    "close code 4109 stops the client when the application decides so",
    (fixture) =>
      Effect.gen(function*() {
        const first = yield* begin(fixture)
        yield* first.peer.close(4109, "replaced")
        yield* fixture.waitForStatus("Stopped")
        assert.strictEqual(fixture.server.accepted(), 1)
      }),
    { retry: ({ reason }) => reason._tag !== "HandshakeRefused" || reason.code !== "REPLACED" }
  )

  resuming("reconnect closes a live link with 4110, and dials at once", (fixture) =>
    Effect.gen(function*() {
      const first = yield* begin(fixture)
      const calling = yield* sent(fixture, first, 1)
      yield* fixture.client.reconnect
      yield* first.peer.expectClose(4110)
      const second = yield* resume(fixture, { token: "token 1", sent: 0, next: "token 2", received: 1 })
      yield* second.peer.sendFrames(response(1, 200))
      yield* isAnswered(calling)
    }), { pause: "1 hour" })
})

describe("messages that were not received", () => {
  resuming(
    "a client counts the messages that it has received without link messages",
    (fixture) =>
      Effect.gen(function*() {
        const first = yield* begin(fixture)
        yield* first.peer.sendFrames(ping("1"))
        yield* first.peer.sendFrames(request(2, "/ping"))
        yield* first.peer.sendFrames({ _tag: "Pong", data: bytes("2") })
        yield* first.peer.send(extension(100))
        yield* first.peer.sendFrames({ _tag: "Ack", received: 0 })
        // An extension in front of a link frame makes no counted message of it.
        yield* first.peer.send(Buffer.concat([extension(10), first.peer.encode(ping("3"))]))
        yield* first.peer.sendFrames(request(4, "/ping"), request(6, "/ping"))
        yield* first.peer.expectResponse(6)
        yield* first.peer.expectAlive()
        yield* first.peer.resetTcp
        isResume(yield* dialled(fixture), "token 1", 3)
      }),
    { serves: true }
  )

  // PROTOCOL.md SES-16
  resuming(
    "messages that were not received are sent again byte for byte and in order, received ones are not",
    (fixture) =>
      Effect.gen(function*() {
        const first = yield* begin(fixture)
        const parts = Array.from({ length: 4 }, () => Deferred.makeUnsafe<string>())
        const body = Stream.mapEffect(Stream.fromIterable(parts), (part) => Effect.map(Deferred.await(part), bytes))
        const upload = yield* Effect.forkChild(
          call(fixture.http.execute(HttpClientRequest.bodyStream(HttpClientRequest.post("/upload"), body)))
        )
        yield* first.peer.expectFrame("Request", 1)
        for (const index of [0, 1, 2]) {
          yield* Deferred.succeed(parts[index]!, `part ${index}`)
          yield* first.peer.expectFrame("Data", 1)
        }
        const calling = yield* sent(fixture, first, 3)
        assert.strictEqual(first.counted.length, 5)
        yield* first.peer.resetTcp
        yield* fixture.expectEvent("ConnectionInterrupted")
        yield* Deferred.succeed(parts[3]!, "part 3")

        const second = yield* resume(fixture, { token: "token 1", sent: 0, next: "token 2", received: 2 })
        yield* until("all is there", () => second.counted.length === 4)
        assert.deepStrictEqual(second.counted.slice(0, 3), first.counted.slice(2))
        assert.strictEqual((yield* fixture.expectEvent("ConnectionResumed")).replayed, 3)
        yield* second.peer.resetTcp

        // Nothing but an ACK makes the client forget.
        const third = yield* resume(fixture, { token: "token 2", sent: 0, next: "token 3", received: 2 })
        yield* until("all is there again", () => third.counted.length === 4)
        assert.deepStrictEqual(third.counted, second.counted)
        yield* third.peer.sendFrames({ _tag: "Ack", received: 5 })
        yield* third.peer.expectAlivePassing()
        yield* third.peer.resetTcp

        const fourth = yield* resume(fixture, { token: "token 3", sent: 0, next: "token 4", received: 5 })
        yield* until("the last message is there", () => fourth.counted.length === 1)
        assert.deepStrictEqual(fourth.counted, third.counted.slice(3))
        yield* fourth.peer.sendFrames(response(1, 200), response(3, 204))
        yield* isAnswered(upload)
        yield* isAnswered(calling, 204)
        const texts = [...first.counted, ...fourth.counted].map((message) => Buffer.from(message, "hex").toString())
        assert.deepStrictEqual(
          texts.flatMap((text) => text.match(/part \d/g) ?? []),
          [0, 1, 2, 3].map((n) => `part ${n}`)
        )
      })
  )

  resuming("a client that has sent nothing sends nothing again", (fixture) =>
    Effect.gen(function*() {
      const first = yield* begin(fixture)
      yield* first.peer.expectAlive()
      yield* first.peer.resetTcp
      const second = yield* resume(fixture, { token: "token 1", sent: 0, next: "token 2", received: 0 })
      const calling = yield* sent(fixture, second, 1)
      assert.strictEqual(second.counted.length, 1)
      yield* second.peer.sendFrames(response(1, 200))
      yield* isAnswered(calling)
    }))
})

describe("calls over several links", () => {
  resuming(
    "a call of the client over several links has one response, whose parts are joined",
    (fixture) =>
      Effect.gen(function*() {
        const first = yield* begin(fixture)
        const calling = yield* sent(fixture, first, 1)
        yield* first.peer.sendFrames(response(1, 200, { end: false }), data(1, "0"))
        yield* first.peer.expectAlive()
        let link = first
        for (const index of [1, 2, 3, 4, 5]) {
          yield* link.peer.resetTcp
          link = yield* resume(fixture, {
            token: `token ${index}`,
            sent: index,
            next: `token ${index + 1}`,
            received: 1
          })
          yield* link.peer.sendFrames(data(1, String(index), index === 5))
          yield* link.peer.expectAlive()
        }
        assert.deepStrictEqual(yield* within("the call", Fiber.join(calling)), { status: 200, text: "012345" })
      })
  )

  resuming(
    "a call of the server over several links is one request, and its response is sent until it arrives",
    (fixture) =>
      Effect.gen(function*() {
        let link = yield* begin(fixture)
        yield* link.peer.sendFrames(request(2, "/length", { method: "POST", end: false }), data(2, "0"))
        yield* link.peer.expectAlive()
        for (const index of [1, 2, 3]) {
          yield* link.peer.resetTcp
          link = yield* resume(fixture, {
            token: `token ${index}`,
            sent: index,
            next: `token ${index + 1}`,
            received: 0
          })
          yield* link.peer.sendFrames(data(2, String(index), index === 3))
          yield* link.peer.expectAlivePassing()
        }
        yield* until("the answer is there", () => link.counted.length > 0)
        const answer = link.counted
        yield* link.peer.resetTcp
        link = yield* resume(fixture, { token: "token 4", sent: 4, next: "token 5", received: 0 })
        assert.strictEqual(Buffer.from((yield* link.peer.expectResponse(2)).body).toString(), "4")
        assert.deepStrictEqual(link.counted, answer)
        yield* link.peer.sendFrames({ _tag: "Ack", received: answer.length })
        yield* link.peer.expectAlive(4)
      }),
    { serves: true }
  )
})

describe("resume token", () => {
  resuming(
    "a client resumes with the token of the last welcome that it received, whether ready arrived or not",
    (fixture) =>
      Effect.gen(function*() {
        const first = yield* begin(fixture)
        yield* first.peer.resetTcp
        // No welcome.
        const second = yield* dialled(fixture)
        isResume(second, "token 1", 0)
        yield* second.peer.resetTcp
        // A welcome, and a server that does not listen any more.
        const third = yield* dialled(fixture)
        isResume(third, "token 1", 0)
        yield* welcome(third, { resumed: true, ...sessionOf("token 3", { received: 0 }) })
        third.peer.tcp.pause()
        yield* fixture.expectEvent("ConnectionResumed")
        yield* third.peer.resetTcp
        const fourth = yield* resume(fixture, { token: "token 3", sent: 0, next: "token 4", received: 0 })
        yield* fourth.peer.resetTcp
        isResume(yield* dialled(fixture), "token 4", 0)
      })
  )

  it.live("a token appears in no event, no log line and no close reason", () =>
    Effect.scoped(Effect.gen(function*() {
      const lines: Array<string> = []
      const logger = Logger.make((options) => {
        lines.push(Logger.formatJson.log(options), String(options.message))
      })
      const fixture = yield* Effect.provide(
        startClient({ serves: true }),
        Layer.merge(Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, "All"))
      )
      const secret = (number: number) => `secret-${number}`
      const links = [yield* begin(fixture, sessionOf(secret(1)))]
      for (const number of [2, 3]) {
        yield* links.at(-1)!.peer.resetTcp
        links.push(
          yield* resume(fixture, { token: secret(number - 1), sent: 0, next: secret(number), received: 0 })
        )
      }
      yield* links.at(-1)!.peer.close(1011)
      const refused = yield* dialled(fixture)
      isResume(refused, secret(3), 0)
      yield* refuse(refused, "OVERLOADED", 4106, true)
      const invalid = yield* dialled(fixture)
      yield* welcome(invalid, { resumed: "yes", ...sessionOf(secret(4), { received: 0 }) })
      const { reason } = yield* invalid.peer.expectClose(4100)
      yield* fixture.waitForStatus("Stopped")
      yield* fixture.expectEvent("ConnectionFailure")
      assert.isAbove(lines.length, 0)
      assert.isAtLeast(fixture.events().length, 7)
      const status = yield* fixture.client.status
      assert.notInclude(JSON.stringify([lines, fixture.events(), status, reason]), "secret-")
      assert.notInclude(lines.join(), "secret-")
    })))
})

describe("attempt to resume", () => {
  // PROTOCOL.md SES-12
  resuming(
    "an attempt to resume has a higher number than all earlier ones, however they ended",
    (fixture) =>
      Effect.gen(function*() {
        const first = yield* begin(fixture)
        yield* first.peer.resetTcp
        const attempts: Array<number> = []
        for (const received of [undefined, 0, undefined, 0]) {
          const link = yield* dialled(fixture)
          attempts.push((link.hello.resume as Members).attempt as number)
          if (received !== undefined) {
            yield* welcome(link, { resumed: true, ...sessionOf("token 2", { received }) })
            yield* link.peer.expectText("ready")
          }
          yield* link.peer.resetTcp
        }
        assert.deepStrictEqual(attempts, [1, 2, 3, 4])
      })
  )

  // PROTOCOL.md SES-20
  resuming(
    "an attempt to resume that is refused as REPLACED makes the client open a new connection",
    (fixture) =>
      Effect.gen(function*() {
        const first = yield* begin(fixture)
        const calling = yield* sent(fixture, first, 1)
        yield* first.peer.resetTcp
        yield* refuse(yield* dialled(fixture), "REPLACED", 4109, true)
        const { error } = yield* fixture.expectEvent("ConnectionFailure")
        assert.deepInclude(error.reason, { _tag: "HandshakeRefused", code: "REPLACED" })
        yield* isUnknown(calling)
        yield* beginsAnew(fixture)
      })
  )

  // PROTOCOL.md HS-11
  resuming(
    "an attempt to resume that is refused as IDENTITY_REPLACED stops the client",
    (fixture) =>
      Effect.gen(function*() {
        const first = yield* begin(fixture)
        const calling = yield* sent(fixture, first, 1)
        yield* first.peer.resetTcp
        yield* refuse(yield* dialled(fixture), "IDENTITY_REPLACED", 4111, false)
        const { error } = yield* fixture.expectEvent("ConnectionFailure")
        assert.deepInclude(error.reason, { _tag: "HandshakeRefused", code: "IDENTITY_REPLACED" })
        yield* isUnknown(calling)
        yield* fixture.waitForStatus("Stopped")
        assert.strictEqual(fixture.server.accepted(), 2)
      })
  )

  resuming(
    "an attempt to resume that is refused as IDENTITY_REPLACED is repeated when the application decides so",
    (fixture) =>
      Effect.gen(function*() {
        const first = yield* begin(fixture)
        yield* first.peer.resetTcp
        yield* refuse(yield* dialled(fixture), "IDENTITY_REPLACED", 4111, false)
        yield* beginsAnew(fixture)
      }),
    { retry: () => true }
  )

  resuming(
    "an attempt to resume is repeated with the same token as long as it may succeed",
    (fixture) =>
      Effect.gen(function*() {
        const first = yield* begin(fixture)
        const calling = yield* sent(fixture, first, 1)
        yield* first.peer.resetTcp
        for (
          const answer of [
            (link: Dialled) => refuse(link, "OVERLOADED", 4106, true),
            (link: Dialled) => refuse(link, "GOING_AWAY", 4107, true),
            ({ peer }: Dialled) => peer.close(1011),
            ({ peer }: Dialled) => peer.close(1000),
            ({ peer }: Dialled) => peer.resetTcp,
            // Silence.
            ({ peer }: Dialled) => peer.expectClose(4101)
          ]
        ) {
          const link = yield* dialled(fixture)
          isResume(link, "token 1", 0)
          yield* answer(link)
          assert.isTrue((yield* fixture.expectEvent("ConnectionAttemptFailed")).willRetry)
        }
        const last = yield* resume(fixture, { token: "token 1", sent: 0, next: "token 2", received: 1 })
        yield* last.peer.sendFrames(response(1, 200))
        yield* isAnswered(calling)
      }),
    { limits: { handshakeTimeout: "200 millis" } }
  )

  // The column "resuming, client" of PROTOCOL.md, "States of a connection".
  resuming(
    "an attempt to resume that ends with a close code that says nothing final is followed by another",
    (fixture) =>
      Effect.gen(function*() {
        yield* (yield* begin(fixture)).peer.resetTcp
        for (const code of [1000, 1002, undefined, 1011, 3000, 4001, 4016, 4107, 4112, 4113]) {
          const next = yield* dialled(fixture)
          assert.isDefined(next.hello.resume, `${code}`)
          yield* next.peer.close(code)
        }
      })
  )

  for (const code of [1009, 4100, 4104, 4108, 4109, 4111]) {
    const isFinal = code !== 4108 && code !== 4109
    resuming(
      `an attempt to resume that ends with the close code ${code} ends the connection`,
      (fixture) =>
        Effect.gen(function*() {
          yield* (yield* begin(fixture)).peer.resetTcp
          yield* (yield* dialled(fixture)).peer.close(code)
          yield* fixture.expectEvent("ConnectionFailure")
          if (isFinal) yield* fixture.waitForStatus("Stopped")
          else yield* beginsAnew(fixture)
        })
    )
  }

  for (const code of [4101, 4106]) {
    resuming(
      `an attempt to resume that the server gives up after ready (${code}) is followed by another`,
      (fixture) =>
        Effect.gen(function*() {
          const first = yield* begin(fixture)
          const calling = yield* sent(fixture, first, 1)
          yield* first.peer.resetTcp
          const second = yield* resume(fixture, { token: "token 1", sent: 0, next: "token 2", received: 1 })
          yield* second.peer.close(code)
          const third = yield* resume(fixture, { token: "token 2", sent: 0, next: "token 3", received: 1 })
          yield* third.peer.sendFrames(response(1, 200))
          yield* isAnswered(calling)
        })
    )
  }

  for (
    const [title, members] of [
      ["to another connection", { connectionId: "another", ...sessionOf("token 2", { received: 0 }) }],
      ["without a count", sessionOf("token 2")],
      ["without a session", {}]
    ] as const
  ) {
    resuming(
      `an attempt to resume is closed with 4100 and stops the client after a welcome ${title}`,
      (fixture) =>
        Effect.gen(function*() {
          const first = yield* begin(fixture)
          const calling = yield* sent(fixture, first, 1)
          yield* first.peer.resetTcp
          const second = yield* dialled(fixture)
          yield* welcome(second, { resumed: true, ...members })
          yield* second.peer.expectClose(4100)
          yield* isUnknown(calling)
          yield* fixture.waitForStatus("Stopped")
          assert.deepInclude((yield* fixture.expectEvent("ConnectionFailure")).error.reason, {
            _tag: "HandshakeRefused",
            code: "HANDSHAKE_INVALID",
            initiator: "local"
          })
          assert.strictEqual(fixture.server.accepted(), 2)
        })
    )
  }

  resuming(
    "a welcome with resumed to a client that has not asked to resume is closed with 4100",
    (fixture) =>
      Effect.gen(function*() {
        const link = yield* dialled(fixture)
        yield* welcome(link, { resumed: true, ...sessionOf("token 1", { received: 0 }) })
        yield* link.peer.expectClose(4100)
        yield* fixture.waitForStatus("Stopped")
      })
  )

  for (const [title, received] of [["above what was sent", 4], ["below what was acknowledged", 1]] as const) {
    // PROTOCOL.md SES-17
    resuming(
      `an attempt to resume is closed with 4108 after a count ${title}, and the client begins anew`,
      (fixture) =>
        Effect.gen(function*() {
          const first = yield* begin(fixture)
          const calls = [yield* sent(fixture, first, 1), yield* sent(fixture, first, 3), yield* sent(fixture, first, 5)]
          yield* first.peer.sendFrames({ _tag: "Ack", received: 2 })
          yield* first.peer.expectAlive()
          yield* first.peer.resetTcp
          const second = yield* resume(fixture, { token: "token 1", sent: 0, next: "token 2", received })
          yield* second.peer.expectClose(4108)
          yield* isLost(fixture, "rejected")
          for (const calling of calls) yield* isUnknown(calling)
          yield* beginsAnew(fixture)
          assert.notInclude(tagsOf(fixture), "ConnectionResumed")
        })
    )
  }

  /** One call is sent, another waits in the queue, a third comes while there is no link. */
  const interruptedWithCalls = (fixture: ClientFixture) =>
    Effect.gen(function*() {
      const first = yield* begin(fixture, {
        ...sessionOf("token 1"),
        settings: { ...settings, maxConcurrentStreams: 1 }
      })
      const unknown = yield* sent(fixture, first, 1)
      const queued = yield* post(fixture, "/queued")
      yield* first.peer.expectAlive()
      yield* first.peer.resetTcp
      yield* fixture.expectEvent("ConnectionInterrupted")
      const late = yield* post(fixture, "/late")
      return { unknown, waiting: [queued, late] }
    })

  const areAnswered = (link: Dialled, waiting: ReadonlyArray<Fiber.Fiber<{ readonly status: number }, unknown>>) =>
    Effect.gen(function*() {
      const targets = new Set<string>()
      for (const streamId of [1, 3]) {
        targets.add((yield* link.peer.expectFrame("Request", streamId)).target)
        yield* link.peer.sendFrames(response(streamId, 204))
      }
      for (const calling of waiting) yield* isAnswered(calling, 204)
      assert.deepStrictEqual(targets, new Set(["/queued", "/late"]))
    })

  for (const retry of [true, false]) {
    resuming(
      `an attempt to resume that is rejected (retry ${retry}) makes the client begin anew, with the unsent calls`,
      (fixture) =>
        Effect.gen(function*() {
          const { unknown, waiting } = yield* interruptedWithCalls(fixture)
          yield* refuse(yield* dialled(fixture), "RESUME_REJECTED", 4108, retry)
          yield* isLost(fixture, "rejected")
          yield* isUnknown(unknown)
          yield* areAnswered(yield* begin(fixture, { connectionId: "another" }), waiting)
          assert.strictEqual(fixture.server.accepted(), 3)
        })
    )
  }

  for (
    const [title, epoch, because] of [["another", "second", "restarted"], ["the same", "first", "expired"]] as const
  ) {
    resuming(
      `a new connection of ${title} epoch in answer to an attempt to resume means ${because}, and the client uses it`,
      (fixture) =>
        Effect.gen(function*() {
          const { unknown, waiting } = yield* interruptedWithCalls(fixture)
          const second = yield* dialled(fixture)
          isResume(second, "token 1", 0)
          yield* welcome(second, { connectionId: "another", ...sessionOf("token 2", { epoch }) })
          yield* second.peer.expectText("ready")
          yield* isLost(fixture, because)
          yield* isUnknown(unknown)
          yield* areAnswered(second, waiting)
          assert.strictEqual((yield* fixture.expectEvent("ConnectionReceived")).connectionId, "another")
          assert.strictEqual(fixture.server.accepted(), 2)
          // It is a connection like any other.
          yield* second.peer.resetTcp
          const third = yield* dialled(fixture)
          attemptOf(third, { connectionId: "another", token: "token 2", epoch, received: 2 })
        })
    )
  }

  resuming(
    "a new connection without a session in answer to an attempt to resume ends with its link",
    (fixture) =>
      Effect.gen(function*() {
        const first = yield* begin(fixture)
        yield* first.peer.resetTcp
        const second = yield* dialled(fixture)
        yield* welcome(second, { connectionId: "another" })
        yield* second.peer.expectText("ready")
        yield* isLost(fixture, "restarted")
        const calling = yield* sent(fixture, second, 1)
        yield* second.peer.resetTcp
        const { connectionId, error } = yield* fixture.expectEvent("ConnectionFailure")
        assert.deepStrictEqual([connectionId, error.reason._tag], ["another", "LinkError"])
        yield* isUnknown(calling)
        yield* beginsAnew(fixture)
      })
  )

  resuming(
    "a new connection in answer to an attempt to resume is closed by a client that gives up lost sessions",
    (fixture) =>
      Effect.gen(function*() {
        const first = yield* begin(fixture)
        yield* first.peer.resetTcp
        const second = yield* dialled(fixture)
        yield* welcome(second, { connectionId: "another", ...sessionOf("token 2", { epoch: "second" }) })
        yield* fixture.waitForStatus("Stopped")
        yield* second.peer.expectClose(1000)
        assert.strictEqual(fixture.server.accepted(), 2)
      }),
    { retry: ({ reason }) => reason._tag !== "SessionLost" }
  )

  resuming("an attempt to resume whose authentication fails stops the client", (fixture) =>
    Effect.gen(function*() {
      const first = yield* begin(fixture)
      const calling = yield* sent(fixture, first, 1)
      yield* first.peer.resetTcp
      yield* refuse(yield* dialled(fixture), "UNAUTHENTICATED", 4104, false)
      assert.isFalse((yield* fixture.expectEvent("ConnectionAttemptFailed")).willRetry)
      const { error } = yield* fixture.expectEvent("ConnectionFailure")
      assert.deepInclude(error.reason, { _tag: "HandshakeRefused", code: "UNAUTHENTICATED", initiator: "remote" })
      yield* isUnknown(calling)
      yield* fixture.waitForStatus("Stopped")
      assert.strictEqual(fixture.server.accepted(), 2)
    }))

  resuming(
    "attempts to resume stop after the server's window: the session is expired, and the client begins anew",
    (fixture) =>
      Effect.gen(function*() {
        const first = yield* begin(fixture, sessionOf("token 1", { windowMillis: 200 }))
        const calling = yield* sent(fixture, first, 1)
        yield* first.peer.resetTcp
        const { at } = yield* fixture.expectEvent("ConnectionInterrupted")
        let link: Dialled | undefined = undefined
        while (link === undefined) {
          const peer = yield* fixture.server.accept
          // The client may give the attempt up in the middle of it.
          const text = yield* peer.take("a hello", (event) => event._tag === "Text" ? event.text : "closed" as const)
          const hello = text === "closed" ? undefined : JSON.parse(text) as Members
          if (hello === undefined) continue
          const attempt = { peer, hello, counted: [] }
          if (hello.resume === undefined) link = attempt
          else yield* refuse(attempt, "OVERLOADED", 4106, true)
        }
        yield* welcome(link, { connectionId: "another" })
        const lost = yield* fixture.expectEvent("ConnectionFailure")
        assert.deepInclude(lost.error.reason, { _tag: "SessionLost", because: "expired" })
        assert.isAtLeast(lost.at - at, 195)
        yield* isUnknown(calling)
        yield* link.peer.expectText("ready")
      })
  )
})

describe("ACK", () => {
  for (const [title, acks] of [["above what was sent", [2]], ["below an earlier one", [1, 0]]] as const) {
    // PROTOCOL.md SES-7
    resuming(
      `an ACK ${title} is a connection error PROTOCOL_ERROR, and nothing is resumed`,
      (fixture) =>
        Effect.gen(function*() {
          const first = yield* begin(fixture)
          const calling = yield* sent(fixture, first, 1)
          for (const received of acks) yield* first.peer.sendFrames({ _tag: "Ack", received })
          yield* first.peer.expectConnectionError("PROTOCOL_ERROR")
          const { error } = yield* fixture.expectEvent("ConnectionFailure")
          assert.deepInclude(error.reason, { _tag: "ProtocolViolation", code: "PROTOCOL_ERROR", initiator: "remote" })
          yield* isUnknown(calling)
          yield* beginsAnew(fixture)
        })
    )
  }

  // PROTOCOL.md SES-5
  resuming(
    "an ACK is sent when a quarter of the server's replay buffer was received",
    (fixture) =>
      Effect.gen(function*() {
        const link = yield* begin(fixture, sessionOf("token 1", { replayBuffer: 40_000 }))
        for (const count of [2, 4, 6]) {
          yield* link.peer.send(extension(5000))
          yield* link.peer.send(extension(5000))
          yield* until("the ACK has come", () => receivedAcks(link).at(-1) === count)
        }
        assert.deepStrictEqual(receivedAcks(link), [2, 4, 6])
      })
  )

  // PROTOCOL.md SES-6
  resuming(
    "an ACK goes with PONG when there is something to acknowledge, and only then",
    (fixture) =>
      Effect.gen(function*() {
        const link = yield* begin(fixture)
        yield* link.peer.expectAlive()
        yield* link.peer.expectAlive()
        assert.deepStrictEqual(receivedAcks(link), [])
        yield* link.peer.send(extension(1))
        yield* link.peer.expectAlive()
        assert.strictEqual((yield* link.peer.expectFrame("Ack")).received, 1)
        yield* link.peer.expectAlive()
        yield* link.peer.expectAlive()
        assert.deepStrictEqual(receivedAcks(link), [1])
      })
  )

  // PROTOCOL.md SES-6
  resuming("an ACK goes with PING when there is something to acknowledge", (fixture) =>
    Effect.gen(function*() {
      const link = yield* begin(fixture)
      yield* link.peer.send(extension(1))
      assert.strictEqual((yield* link.peer.expectFrame("Ack")).received, 1)
      const frames = link.peer.log.flatMap((event) => event._tag === "Frame" ? [event.frame._tag] : [])
      assert.deepStrictEqual(frames, ["Ping", "Ack"])
    }), { heartbeat: { interval: "100 millis" } })

  resuming("an ACK does not repeat the count that hello has sent", (fixture) =>
    Effect.gen(function*() {
      const first = yield* begin(fixture)
      const connection = yield* fixture.client.connection
      const received = () => Effect.runSync(connection.statistics).messagesReceived
      yield* first.peer.send(extension(1))
      yield* until("the message is received", () => received() === 1)
      yield* first.peer.resetTcp
      const second = yield* resume(fixture, { token: "token 1", sent: 1, next: "token 2", received: 0 })
      yield* second.peer.expectAlive()
      yield* second.peer.expectAlive()
      assert.deepStrictEqual(receivedAcks(second), [])
      yield* second.peer.send(extension(1))
      yield* second.peer.expectAlive()
      assert.strictEqual((yield* second.peer.expectFrame("Ack")).received, 2)
    }))

  // PROTOCOL.md SES-1, SES-2
  resuming("an ACK is not sent without a session, and is ignored when received", (fixture) =>
    Effect.gen(function*() {
      const link = yield* begin(fixture, {})
      yield* link.peer.send(extension(1))
      yield* link.peer.sendFrames({ _tag: "Ack", received: 99 })
      yield* link.peer.expectAlive()
      yield* link.peer.expectAlive()
      assert.deepStrictEqual(receivedAcks(link), [])
    }))

  // PROTOCOL.md SES-8
  resuming(
    "a missing ACK stops counted messages, PING is still answered, and an ACK lets them go on",
    (fixture) =>
      Effect.gen(function*() {
        const first = yield* begin(fixture)
        const endless = Stream.forever(Stream.succeed(new Uint8Array(16_384)))
        yield* Effect.forkChild(
          fixture.http.execute(HttpClientRequest.bodyStream(HttpClientRequest.post("/upload"), endless))
        )
        const bytesOf = ({ counted }: Dialled) => counted.reduce((sum, message) => sum + message.length / 2, 0)
        yield* until("the buffer is full", () => bytesOf(first) >= 65_536)
        yield* first.peer.expectAlivePassing()
        const stopped = bytesOf(first)
        assert.isBelow(stopped, 65_536 + 65_536)
        yield* first.peer.expectAlivePassing()
        assert.strictEqual(bytesOf(first), stopped, "nothing more comes without an ACK")
        yield* first.peer.sendFrames({ _tag: "Ack", received: first.counted.length })
        yield* until("it goes on", () => bytesOf(first) >= stopped + 65_536)
        yield* first.peer.expectAlivePassing()
        const all = first.counted.length
        // A full buffer is no obstacle to a new link.
        yield* first.peer.resetTcp
        const second = yield* resume(fixture, { token: "token 1", sent: 0, next: "token 2", received: all })
        yield* until("it goes on again", () => bytesOf(second) >= 65_536)
        yield* second.peer.expectAlivePassing()
        assert.isBelow(bytesOf(second), 65_536 + 65_536)
      }),
    { limits: { replayBuffer: 65_536 } }
  )
})

describe("events of a resumed connection", () => {
  resuming(
    "events and statuses of an interrupted and resumed connection come in order, with their details",
    (fixture) =>
      Effect.gen(function*() {
        const first = yield* begin(fixture)
        const connection = yield* fixture.client.connection
        const seen: Array<Connection.Status> = []
        const changes = yield* Effect.forkChild(
          Stream.runForEach(connection.changes, (status) => Effect.sync(() => seen.push(status)))
        )
        yield* until("the connection is seen open", () => seen.length === 1)
        yield* sent(fixture, first, 1)
        const lost = { atEarliest: Date.now(), atLatest: 0 }
        yield* first.peer.resetTcp
        const interrupted = yield* fixture.expectEvent("ConnectionInterrupted")
        lost.atLatest = Date.now()
        yield* until("the connection is seen interrupted", () => seen.length === 2)
        assert.strictEqual(yield* connection.status, "interrupted")
        assert.strictEqual(yield* within("the connection", fixture.client.connection), connection)
        const second = yield* dialled(fixture)
        assert.strictEqual((yield* fixture.client.status)._tag, "Connecting")
        const back = { atEarliest: Date.now(), atLatest: 0 }
        yield* welcome(second, { resumed: true, ...sessionOf("token 2", { received: 0 }) })
        const resumed = yield* fixture.expectEvent("ConnectionResumed")
        back.atLatest = Date.now()
        yield* until("the connection is seen open again", () => seen.length === 3)
        const status = yield* fixture.client.status
        assert.strictEqual(status._tag === "Connected" && status.connection, connection)
        yield* second.peer.close(4555, "enough")
        yield* fixture.expectEvent("ConnectionClosed")
        yield* within("the changes", Fiber.join(changes))
        assert.deepStrictEqual(seen, ["open", "interrupted", "open", "closed"])

        const events = fixture.events().slice(0, 4)
        assert.deepStrictEqual(events.map((event) => event._tag), [
          "ConnectionReceived",
          "ConnectionInterrupted",
          "ConnectionResumed",
          "ConnectionClosed"
        ])
        for (const event of events) assert.deepInclude(event, { connectionId: id, metadata: undefined })
        assert.deepInclude(interrupted.error.reason, { _tag: "LinkError", phase: "read" })
        assert.strictEqual(resumed.replayed, 1)
        assert.isAtLeast(resumed.gapMillis, 15, "the client waits 20 milliseconds before it dials")
        // To the millisecond, in which both ends of the gap are counted.
        assert.isAtLeast(resumed.gapMillis, back.atEarliest - lost.atLatest - 1)
        assert.isAtMost(resumed.gapMillis, back.atLatest - lost.atEarliest + 1)
        assert.isAtLeast(interrupted.at, lost.atEarliest)
        assert.isAtMost(interrupted.at, lost.atLatest)
        assert.isAtLeast(resumed.at, back.atEarliest)
        assert.isAtMost(resumed.at, back.atLatest)
      })
  )

  resuming(
    "a late subscriber learns that the connection is interrupted, and later that it is resumed",
    (fixture) =>
      Effect.gen(function*() {
        const first = yield* begin(fixture)
        const latest = Effect.map(
          within("what is told first", Stream.runCollect(Stream.take(fixture.client.events, 2))),
          (events) => events.map((event) => event._tag)
        )
        yield* first.peer.resetTcp
        const second = yield* dialled(fixture)
        assert.deepStrictEqual(yield* latest, ["ConnectionReceived", "ConnectionInterrupted"])
        const told = yield* Effect.forkChild(Stream.runCollect(Stream.take(fixture.client.events, 3)), {
          startImmediately: true
        })
        yield* welcome(second, { resumed: true, ...sessionOf("token 2", { received: 0 }) })
        assert.deepStrictEqual(
          (yield* within("what is told", Fiber.join(told))).map((event) => event._tag),
          ["ConnectionReceived", "ConnectionInterrupted", "ConnectionResumed"]
        )
      })
  )

  it.live("a client whose scope closes sends GOAWAY and 1001 on a link that was resumed", () =>
    Effect.scoped(Effect.gen(function*() {
      const scope = yield* Scope.make()
      const server = yield* listen()
      const fixture = yield* Scope.provide(startClient({}, Effect.succeed(server)), scope)
      const first = yield* begin(fixture)
      yield* first.peer.resetTcp
      const second = yield* resume(fixture, { token: "token 1", sent: 0, next: "token 2", received: 0 })
      yield* second.peer.expectAlive()
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* second.peer.expectGoAway("NO_ERROR")
      yield* second.peer.sendFrames({ _tag: "Ack", received: 1 })
      yield* second.peer.expectClose(1001)
      yield* within("the scope", Fiber.join(closing))
    })))
})

describe("retired connection", () => {
  resuming(
    "a connection that the server has retired takes no other one in its place, and sends no ready",
    (fixture) =>
      Effect.gen(function*() {
        const first = yield* begin(fixture)
        const calling = yield* sent(fixture, first, 1)
        yield* first.peer.sendFrames(goAway(1, "NO_ERROR"))
        const current = yield* begin(fixture, { ...sessionOf("another token"), connectionId: "another" })
        yield* first.peer.resetTcp
        const again = yield* dialled(fixture)
        isResume(again, "token 1", 1)
        yield* welcome(again, { ...sessionOf("a third token", { epoch: "second" }), connectionId: "a third" })
        yield* again.peer.expectClose(1000)
        assert.deepStrictEqual(again.peer.log.filter(({ _tag }) => _tag === "Text").length, 1)
        yield* isUnknown(calling)
        yield* isLost(fixture, "restarted")
        const status = yield* fixture.client.status
        assert.strictEqual(status._tag === "Connected" && status.connection.id, "another")
        const next = yield* post(fixture)
        yield* current.peer.expectFrame("Request", 1)
        yield* current.peer.sendFrames(response(1, 204))
        yield* isAnswered(next, 204)
      }),
    { limits: { drainTimeout: "1 minute" } }
  )
})
