/**
 * PROTOCOL.md, "Sessions": clients that resume, or try to, with and without the right to do so.
 */
import { assert, describe } from "@effect/vitest"
import * as Handshake from "effect-swaggersocket/Handshake"
import type * as Limits from "effect-swaggersocket/Limits"
import * as Multiplexer from "effect-swaggersocket/Multiplexer"
import type * as Quotas from "effect-swaggersocket/Quotas"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { MixedScheduler } from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import { peerOf } from "../../src/internal/connection/peer.ts"
import { isLinkMessage } from "../../src/internal/session/session.ts"
import { data, request, reset } from "../support/frames.ts"
import { type Fixture, hostile } from "../support/hubUnderAttack.ts"
import type { RawPeer } from "../support/rawPeer.ts"
import { turn, until, within } from "../support/waiting.ts"

const session = { windowMillis: 60_000, replayBuffer: 1_000_000 }

/** Tables would have to outlive the peer of the test. */
const settings = { headTableSize: 0 }

interface Held {
  readonly peer: RawPeer
  readonly id: string
  readonly token: string
  readonly epoch: string
  readonly received: number | undefined
}

type Members = Readonly<Record<string, unknown>>

const heldOf = (peer: RawPeer, welcome: Members): Held => {
  const { epoch, received, token } = welcome.session as Omit<Held, "peer" | "id">
  return { peer, id: welcome.connectionId as string, token, epoch, received }
}

const hello = (members: Members = {}) => ({ session, settings, ...members })

const begin = (hub: Fixture, members: Members = {}) =>
  Effect.gen(function*() {
    const peer = yield* hub.dial()
    return heldOf(peer, yield* peer.handshake(hello(members)))
  })

const resumeOf = (held: Held, received: number) => ({
  resume: { connectionId: held.id, token: held.token, epoch: held.epoch, received }
})

/** Up to the welcome. */
const half = (
  hub: Fixture,
  held: Held,
  received: number,
  members: Members = {},
  headers: Record<string, string> = {}
) =>
  Effect.gen(function*() {
    const peer = yield* hub.dial({ headers })
    yield* peer.hello(hello({ ...resumeOf(held, received), ...members }))
    return heldOf(peer, yield* peer.expectText("welcome"))
  })

const ready = (held: Held) => held.peer.send(`{"type":"ready"}`)

const resume = (hub: Fixture, held: Held, received: number) => Effect.tap(half(hub, held, received), ready)

const isRejected = (hub: Fixture, members: Members, code = "RESUME_REJECTED", closeCode = 4108) =>
  Effect.gen(function*() {
    const peer = yield* hub.dial()
    yield* peer.hello(hello(members))
    assert.deepInclude(yield* peer.expectText("refuse"), { code })
    yield* peer.expectClose(closeCode)
  })

/** The connection goes on, with whoever has this token. */
const isIntact = (hub: Fixture, held: Held, received: number, streamId: number) =>
  Effect.gen(function*() {
    const next = yield* resume(hub, held, received)
    assert.strictEqual(next.id, held.id)
    yield* next.peer.expectAlive(streamId)
    return next
  })

const cut = (hub: Fixture, held: Held) =>
  Effect.gen(function*() {
    yield* held.peer.resetTcp
    const { connectionId } = yield* hub.expectEvent("ConnectionInterrupted")
    assert.strictEqual(connectionId, held.id)
  })

/** Lets other fibers run after every 6 steps of one. */
const afterFewSteps = Effect.acquireRelease(
  Effect.sync(() => {
    const { shouldYield } = MixedScheduler.prototype
    MixedScheduler.prototype.shouldYield = (fiber) => fiber.currentOpCount >= 6
    return shouldYield
  }),
  (shouldYield) =>
    Effect.sync(() => {
      MixedScheduler.prototype.shouldYield = shouldYield
    })
)

const resuming = (
  title: string,
  body: (hub: Fixture) => Effect.Effect<unknown, unknown, Scope.Scope>,
  limits: Limits.Options = {},
  quotas: Quotas.Options = {}
) => hostile(title, body, { limits: { drainTimeout: "50 millis", ...limits }, quotas })

describe("link that is lost within a message", () => {
  const many = Array.from({ length: 80 }, (_, index) => request(1 + 2 * index, "/heavy"))

  let isHeld = true

  /** Takes 32 frames of a message at a time, and the second time not before the link is lost. */
  const inParts = (options: Multiplexer.MultiplexerOptions) => {
    let frames = 0
    isHeld = true
    const multiplexer = Multiplexer.standard({ ...options, isTurnOver: (more) => (frames += more) % 32 === 0 })
    const receiveRest = multiplexer.receiveRest!.bind(multiplexer)
    return Object.assign(multiplexer, { receiveRest: () => isHeld ? undefined : receiveRest() })
  }

  /** Another link of the same client takes the place of this one. */
  const replaced = (first: Held) => Effect.andThen(first.peer.expectClose(4109), Effect.sync(() => isHeld = false))

  const begun = (title: string, body: (hub: Fixture) => Effect.Effect<unknown, unknown, Scope.Scope>) =>
    hostile(title, body, { limits: { drainTimeout: "50 millis" }, multiplexer: inParts })

  const executedOnce = (hub: Fixture) =>
    Effect.gen(function*() {
      const first = yield* begin(hub)
      yield* first.peer.sendFrames(...many)
      yield* until("a part of the requests is done", () => hub.answered() === 32)
      const resumed = yield* Effect.forkChild(resume(hub, first, 0))
      yield* replaced(first)
      const second = yield* Fiber.join(resumed)
      assert.strictEqual(second.received, 1)
      for (let index = 0; index < many.length; index++) yield* second.peer.expectResponse(1 + 2 * index)
      assert.strictEqual(hub.answered(), many.length)
    })

  // PROTOCOL.md SES-3
  begun("a message during which the link is lost counts, and each of its requests is executed once", executedOnce)

  begun(
    "a message during which the link is lost counts in the welcome, however few steps fibers have at a time",
    (hub) => Effect.andThen(afterFewSteps, executedOnce(hub))
  )

  begun(
    "a protocol error in the rest of a message during which the link is lost ends the connection",
    (hub) =>
      Effect.gen(function*() {
        const first = yield* begin(hub)
        yield* first.peer.sendFrames(...many, request(1, "/ping"))
        yield* until("a part of the requests is done", () => hub.answered() === 32)
        const peer = yield* hub.dial()
        yield* peer.hello(hello(resumeOf(first, 0)))
        yield* replaced(first)
        const { error } = yield* hub.expectEvent("ConnectionFailure")
        assert.deepInclude(error.reason, { _tag: "ProtocolViolation", code: "STREAM_ID_ERROR" })
        // The client begins anew, on the link on which it came to resume.
        const welcome = yield* peer.expectText("welcome")
        assert.isFalse(welcome.resumed)
        assert.notStrictEqual(welcome.connectionId, first.id)
      })
  )
})

describe("lost link", () => {
  // PROTOCOL.md SES-16
  resuming(
    "messages that the client has not received are sent again, received ones are not",
    (hub) =>
      Effect.gen(function*() {
        const first = yield* begin(hub)
        yield* first.peer.sendFrames(request(1, "/ping"))
        yield* first.peer.expectResponse(1)
        yield* first.peer.sendFrames(request(3, "/headers"))
        yield* first.peer.expectResponse(3)
        yield* cut(hub, first)
        // Each answer was a message; the client says that it has the first one only.
        const second = yield* resume(hub, first, 1)
        assert.strictEqual(second.received, 2)
        assert.strictEqual((yield* second.peer.expectResponse(3)).status, 200)
        yield* second.peer.expectAlive(5)
        assert.isFalse(
          second.peer.log.some((event) =>
            event._tag === "Frame" && "streamId" in event.frame && event.frame.streamId === 1
          )
        )
        const { gapMillis, replayed } = yield* hub.expectEvent("ConnectionResumed")
        assert.strictEqual(replayed, 1)
        assert.isAtLeast(gapMillis, 0)
        const connection = yield* hub.server.connection(first.id)
        assert.strictEqual(yield* connection.status, "open")
      })
  )

  resuming("a body that comes in parts over three links is one body", (hub) =>
    Effect.gen(function*() {
      const first = yield* begin(hub)
      yield* first.peer.sendFrames(request(1, "/length", { method: "POST", end: false }), data(1, "12345"))
      yield* until("the request has arrived", () => first.peer.ws.bufferedAmount === 0)
      yield* first.peer.expectAlive()
      yield* cut(hub, first)
      const second = yield* resume(hub, first, 0)
      assert.strictEqual(second.received, 1)
      yield* second.peer.sendFrames(data(1, "678"))
      yield* second.peer.expectAlive()
      yield* cut(hub, second)
      const third = yield* resume(hub, second, 0)
      assert.strictEqual(third.received, 2)
      yield* third.peer.sendFrames(data(1, "90", true))
      assert.strictEqual(Buffer.from((yield* third.peer.expectResponse(1)).body).toString(), "10")
    }))

  resuming("a handler runs on while its connection is interrupted", (hub) =>
    Effect.gen(function*() {
      const first = yield* begin(hub)
      yield* first.peer.sendFrames(request(1, "/never"))
      yield* first.peer.expectAlive()
      yield* cut(hub, first)
      yield* isIntact(hub, first, 0, 3)
      assert.strictEqual(hub.interrupted(), 0)
    }))

  resuming(
    "a lost link that nobody resumes in time is a ConnectionFailure, and a later attempt begins a new connection",
    (hub) =>
      Effect.gen(function*() {
        const first = yield* begin(hub)
        yield* first.peer.sendFrames(request(1, "/never"))
        yield* first.peer.expectAlive()
        yield* cut(hub, first)
        const { error } = yield* hub.expectEvent("ConnectionFailure")
        assert.deepInclude(error.reason, { _tag: "SessionLost", because: "expired" })
        yield* until("the handler is interrupted", () => hub.interrupted() === 1)
        const second = yield* half(hub, first, 0)
        assert.notStrictEqual(second.id, first.id)
        assert.isUndefined(second.received)
      }),
    { resumeWindow: "100 millis" }
  )

  // PROTOCOL.md SES-11
  resuming("a connection waits for the shorter of both ends' windows", (hub) =>
    Effect.gen(function*() {
      const first = yield* begin(hub, { session: { ...session, windowMillis: 50 } })
      yield* cut(hub, first)
      yield* hub.expectEvent("ConnectionFailure")
    }))

  resuming("a lost link of a client without a session ends the connection", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.dial()
      const welcome = yield* peer.handshake({ settings })
      assert.isUndefined(welcome.session)
      yield* peer.resetTcp
      yield* hub.expectEvent("ConnectionFailure")
    }))

  resuming("a server that keeps no sessions sends none in its welcome", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.dial()
      const welcome = yield* peer.handshake(hello())
      assert.isUndefined(welcome.session)
      yield* peer.resetTcp
      yield* hub.expectEvent("ConnectionFailure")
    }), { resumeWindow: 0 })

  resuming("a link closed with 1000 closes the connection, which can't be resumed", (hub) =>
    Effect.gen(function*() {
      const first = yield* begin(hub)
      yield* first.peer.expectAlive()
      yield* first.peer.close(1000)
      yield* hub.expectEvent("ConnectionClosed")
      assert.notStrictEqual((yield* half(hub, first, 0)).id, first.id)
    }))

  resuming("a connection that the server is closing can't be resumed", (hub) =>
    Effect.gen(function*() {
      const first = yield* begin(hub)
      yield* first.peer.expectAlive()
      // Hears nothing of the goodbye.
      first.peer.tcp.pause()
      const connection = yield* hub.server.connection(first.id)
      const closing = yield* Effect.forkChild(connection.close(), { startImmediately: true })
      const second = yield* half(hub, first, 0)
      assert.notStrictEqual(second.id, first.id)
      yield* first.peer.resetTcp
      yield* Fiber.join(closing)
    }))

  for (const code of [1011, 1012, 1013, 1014, 4013, 4110]) {
    // PROTOCOL.md SES-10
    resuming(`a connection whose link is closed with ${code} can be resumed`, (hub) =>
      Effect.gen(function*() {
        const first = yield* begin(hub)
        yield* first.peer.expectAlive()
        yield* first.peer.close(code)
        yield* hub.expectEvent("ConnectionInterrupted")
        yield* isIntact(hub, first, 0, 1)
      }))
  }

  for (const code of [1002, 1003, 1007, 1009]) {
    resuming(
      `a connection whose link is closed with ${code} can't be resumed, because its messages are at fault`,
      (hub) =>
        Effect.gen(function*() {
          const first = yield* begin(hub)
          yield* first.peer.expectAlive()
          yield* first.peer.close(code)
          yield* hub.expectEvent("ConnectionFailure")
          assert.notStrictEqual((yield* half(hub, first, 0)).id, first.id)
        })
    )
  }

  resuming(
    "a connection whose link is lost after welcome and before ready can be resumed",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.dial()
        yield* peer.hello(hello())
        const first = heldOf(peer, yield* peer.expectText("welcome"))
        yield* peer.resetTcp
        yield* until("the socket is closed", () => hub.sockets.size === 1)
        yield* isIntact(hub, first, 0, 1)
        assert.deepStrictEqual(hub.events().map((event) => event._tag), ["ConnectionReceived"])
      })
  )
})

describe("drain", () => {
  for (const when of ["before", "while"] as const) {
    resuming(
      `a drain of a connection whose link is lost ${when} it lasts does not wait long for the client`,
      (hub) =>
        Effect.gen(function*() {
          const first = yield* begin(hub)
          yield* first.peer.sendFrames(request(1, "/never"))
          yield* first.peer.expectAlive()
          const connection = yield* hub.server.connection(first.id)
          const drain = Effect.forkChild(connection.close({ drain: true }), { startImmediately: true })
          if (when === "before") yield* cut(hub, first)
          const drained = yield* drain
          if (when === "while") yield* cut(hub, first)
          yield* within("the drain", Fiber.join(drained))
          yield* until("the handler is interrupted", () => hub.interrupted() === 1)
        }),
      { closeTimeout: "200 millis", drainTimeout: "30 seconds" }
    )
  }
})

describe("resume token", () => {
  resuming("a token is replaced by another one in each welcome", (hub) =>
    Effect.gen(function*() {
      let held = yield* begin(hub)
      const tokens = new Set([held.token])
      for (let i = 0; i < 5; i++) {
        held = yield* resume(hub, held, 0)
        yield* held.peer.expectAlive()
        tokens.add(held.token)
      }
      assert.strictEqual(tokens.size, 6)
      for (const token of tokens) assert.isAtLeast(Buffer.from(token, "base64url").length, 16)
    }))

  // PROTOCOL.md SES-14
  resuming("a guessed token is RESUME_REJECTED, and does not affect the connection", (hub) =>
    Effect.gen(function*() {
      const first = yield* begin(hub)
      yield* first.peer.expectAlive()
      for (const token of ["", "x", first.token.slice(1), `${first.token}x`, first.token.toUpperCase()]) {
        yield* isRejected(hub, resumeOf({ ...first, token }, 0))
      }
      yield* first.peer.expectAlive(1)
      assert.deepStrictEqual(
        hub.events().map((event) => event._tag).filter((tag) => tag !== "ConnectionAttemptFailed"),
        ["ConnectionReceived"]
      )
    }))

  // PROTOCOL.md SES-19
  resuming("an old token is RESUME_REJECTED", (hub) =>
    Effect.gen(function*() {
      const first = yield* begin(hub)
      yield* first.peer.expectAlive()
      const second = yield* resume(hub, first, 0)
      yield* second.peer.expectAlive()
      yield* isRejected(hub, resumeOf(first, 0))
      yield* second.peer.expectAlive(1)
    }))

  resuming("a token of another connection is RESUME_REJECTED", (hub) =>
    Effect.gen(function*() {
      const first = yield* begin(hub)
      const other = yield* begin(hub)
      yield* first.peer.expectAlive()
      yield* other.peer.expectAlive()
      yield* isRejected(hub, resumeOf({ ...first, token: other.token }, 0))
      yield* first.peer.expectAlive(1)
    }))

  // PROTOCOL.md SES-19
  resuming("a token stays valid until the next one is confirmed by ready", (hub) =>
    Effect.gen(function*() {
      const first = yield* begin(hub)
      yield* first.peer.expectAlive()
      const second = yield* half(hub, first, 0)
      yield* second.peer.resetTcp
      const third = yield* half(hub, first, 0)
      yield* third.peer.resetTcp
      // The second was superseded by the third.
      yield* isRejected(hub, resumeOf(second, 0))
      const fourth = yield* isIntact(hub, third, 0, 1)
      yield* isRejected(hub, resumeOf(first, 0))
      yield* isRejected(hub, resumeOf(third, 0))
      yield* fourth.peer.expectAlive(3)
    }))

  // PROTOCOL.md SES-15
  resuming(
    "a stolen token that is used while the link lives closes the older link with 4109",
    (hub) =>
      Effect.gen(function*() {
        const first = yield* begin(hub)
        yield* first.peer.expectAlive(1)
        const thief = yield* resume(hub, first, 1)
        yield* first.peer.expectClose(4109)
        yield* thief.peer.expectAlive(3)
        yield* isRejected(hub, resumeOf(first, 1))
      })
  )

  // MUTANT_HANDED_LINK_STAYS of spec/resume.pml.
  resuming(
    "the link of the latest attempt is the one in use, however few steps fibers have at a time",
    (hub) =>
      Effect.gen(function*() {
        yield* afterFewSteps
        // The third attempt arrives at any moment while the link of the second one is taken into use.
        for (let turns = 0; turns < 12; turns++) {
          const first = yield* begin(hub)
          yield* first.peer.resetTcp
          yield* Effect.repeat(hub.expectEvent("ConnectionInterrupted"), {
            until: ({ connectionId }) => connectionId === first.id
          })
          const second = yield* half(hub, first, 0)
          const peer = yield* hub.dial()
          yield* peer.hello(hello(resumeOf(second, 0)))
          for (let count = 0; count < turns; count++) yield* turn
          yield* ready(second)
          yield* second.peer.sendFrames(request(1, "/ping"))
          const third = heldOf(peer, yield* peer.expectText("welcome"))
          yield* ready(third)
          if (third.received === 0) yield* third.peer.sendFrames(request(1, "/ping"))
          yield* third.peer.expectResponse(1)
        }
      })
  )

  resuming("a token appears in no event", (hub) =>
    Effect.gen(function*() {
      const first = yield* begin(hub)
      yield* cut(hub, first)
      const second = yield* isIntact(hub, first, 0, 1)
      yield* isRejected(hub, resumeOf(first, 0))
      yield* second.peer.close(1000)
      yield* hub.expectEvent("ConnectionClosed")
      const told = JSON.stringify(hub.events())
      assert.isFalse(told.includes(first.token) || told.includes(second.token))
    }))
})

describe("links that race for a connection", () => {
  // PROTOCOL.md SES-15
  resuming(
    "the link of the later hello wins a race for a connection, whichever link is ready first",
    (hub) =>
      Effect.gen(function*() {
        const first = yield* begin(hub)
        yield* first.peer.expectAlive()
        const second = yield* half(hub, first, 0)
        const third = yield* half(hub, first, 0)
        yield* ready(second)
        yield* second.peer.expectClose(4109)
        yield* ready(third)
        yield* third.peer.expectAlive(1)
      })
  )

  resuming(
    "a connection waits for the next link when the later one of two never gets ready",
    (hub) =>
      Effect.gen(function*() {
        const first = yield* begin(hub)
        yield* first.peer.expectAlive()
        const second = yield* half(hub, first, 0)
        const third = yield* half(hub, first, 0)
        yield* third.peer.resetTcp
        yield* ready(second)
        yield* second.peer.expectClose(4109)
        yield* isIntact(hub, third, 0, 1)
      })
  )

  resuming(
    "a hundred links at once to resume a connection leave one that is served, and all others are closed or refused",
    (hub) =>
      Effect.gen(function*() {
        const first = yield* begin(hub)
        yield* first.peer.expectAlive()
        const peers = yield* Effect.forEach(Array.from({ length: 100 }), () => hub.dial(), { concurrency: "unbounded" })
        for (const peer of peers) {
          peer.ws.send(JSON.stringify({ type: "hello", version: 2, ...hello(resumeOf(first, 0)) }))
          peer.ws.send(`{"type":"ready"}`)
          peer.sendNow(request(1, "/ping"))
        }
        const answered = (peer: RawPeer) =>
          peer.log.some((event) => event._tag === "Frame" && event.frame._tag === "Response")
        const closed = (peer: RawPeer) => peer.log.some((event) => event._tag === "Close")
        yield* until("one is served, 99 are closed", () => peers.filter(closed).length === 99 && peers.some(answered))
        assert.isAtMost(peers.filter((peer) => answered(peer) && !closed(peer)).length, 1)
        const connections = yield* hub.server.connections
        assert.strictEqual(connections.length, 2)
        assert.strictEqual(connections[1]!.id, first.id)
      })
  )
})

describe("abandoned attempt", () => {
  /** Authentication of the clients that ask for it waits to be let go. */
  const slow = () => {
    const released = Deferred.makeUnsafe<void>()
    const waiting = { begun: 0, interrupted: 0 }
    const authenticate = ({ headers }: Handshake.Upgrade) =>
      headers["x-slow"] === undefined
        ? Effect.succeed("somebody")
        : Effect.suspend(() => {
          waiting.begun++
          return Effect.as(Deferred.await(released), "somebody")
        }).pipe(Effect.onInterrupt(() => Effect.sync(() => waiting.interrupted++)))
    return { authenticate, released, waiting }
  }

  const numbered = (held: Held, attempt: number) => ({ resume: { ...resumeOf(held, 0).resume, attempt } })

  for (const [title, number] of [["has a lower number", 1], ["has the same number", 2]] as const) {
    const { authenticate, released, waiting } = slow()
    // PROTOCOL.md SES-14
    hostile(
      `an attempt that ${title}, and passes authentication after a later one, changes nothing`,
      (hub) =>
        Effect.gen(function*() {
          const first = yield* begin(hub)
          yield* first.peer.expectAlive()
          yield* cut(hub, first)
          // Its client does not hear of it any more; the server can't know.
          const abandoned = yield* hub.dial({ headers: { "x-slow": "yes" } })
          yield* abandoned.hello(hello(numbered(first, number)))
          yield* until("authentication has begun", () => waiting.begun === 1)
          const second = yield* half(hub, first, 0, numbered(first, 2))
          // Until *ready* arrives both may prove the same token.
          yield* Deferred.succeed(released, undefined)
          assert.deepInclude(yield* abandoned.expectText("refuse"), { code: "REPLACED", retry: true })
          yield* abandoned.expectClose(4109)
          yield* ready(second)
          yield* second.peer.expectAlive(1)
        }),
      { authenticate, limits: { drainTimeout: "50 millis" } }
    )
  }

  for (
    const [wire, protocols, messages] of [
      ["v2", undefined, [JSON.stringify({ type: "hello", version: 2, ...hello() })]],
      ["v1", [], [`{"Type":"ClientHandshakeMetaData","Meta":null}\n`, `{"Type":"ClientHandshakeAckFrame"}\n`]]
    ] as const
  ) {
    const { authenticate, waiting } = slow()
    hostile(
      `authentication of an attempt is interrupted when its link breaks, on wire ${wire}`,
      (hub) =>
        Effect.gen(function*() {
          const headers = { "x-slow": "yes" }
          const abandoned = yield* hub.dial(protocols === undefined ? { headers } : { headers, protocols })
          for (const message of messages) yield* abandoned.send(message)
          yield* until("authentication has begun", () => waiting.begun === 1)
          yield* abandoned.resetTcp
          const { error } = yield* hub.expectEvent("ConnectionAttemptFailed")
          assert.deepInclude(error.reason, { _tag: "LinkError" })
          assert.strictEqual(waiting.interrupted, 1)
        }),
      { authenticate }
    )
  }

  const eager = slow()
  hostile(
    "a client that sends messages during authentication is welcomed, and they are handled afterwards",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.dial({ headers: { "x-slow": "yes" } })
        yield* peer.hello(hello())
        yield* until("authentication has begun", () => eager.waiting.begun === 1)
        // Before the welcome, which is not forbidden.
        yield* peer.send(`{"type":"ready"}`)
        yield* peer.sendFrames(request(1, "/ping"))
        yield* Deferred.succeed(eager.released, undefined)
        yield* peer.expectText("welcome")
        assert.strictEqual((yield* peer.expectResponse(1)).status, 200)
      }),
    { authenticate: eager.authenticate, limits: { drainTimeout: "50 millis" } }
  )
})

describe("principal that resumes", () => {
  const byHeader = {
    authenticate: ({ headers }: Handshake.Upgrade) =>
      headers["x-user"] === "nobody"
        ? Effect.fail(new Handshake.Refusal({ code: "UNAUTHENTICATED", reason: "who" }))
        : Effect.succeed(headers["x-user"] ?? "somebody")
  }

  // PROTOCOL.md SES-13
  hostile("a client that resumes authenticates again, and must be the same principal", (hub) =>
    Effect.gen(function*() {
      const first = yield* begin(hub)
      yield* first.peer.expectAlive()
      for (
        const [user, code, closeCode] of [["else", "RESUME_REJECTED", 4108], [
          "nobody",
          "UNAUTHENTICATED",
          4104
        ]] as const
      ) {
        const peer = yield* hub.dial({ headers: { "x-user": user } })
        yield* peer.hello(hello(resumeOf(first, 0)))
        assert.deepInclude(yield* peer.expectText("refuse"), { code })
        yield* peer.expectClose(closeCode)
      }
      yield* first.peer.expectAlive(1)
    }), { ...byHeader, limits: { drainTimeout: "50 millis" } })

  hostile("principals of a client that resumes are compared by isSamePrincipal", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.dial({ headers: { "x-user": "ann at 9:00" } })
      const first = heldOf(peer, yield* peer.handshake(hello()))
      yield* peer.expectAlive()
      const stranger = yield* hub.dial({ headers: { "x-user": "bob at 9:01" } })
      yield* stranger.hello(hello(resumeOf(first, 0)))
      assert.deepInclude(yield* stranger.expectText("refuse"), { code: "RESUME_REJECTED" })
      const again = yield* half(hub, first, 0, {}, { "x-user": "ann at 9:01" })
      assert.strictEqual(again.id, first.id)
      yield* ready(again)
      yield* again.peer.expectAlive(1)
    }), {
    ...byHeader,
    isSamePrincipal: (before, now) => before.split(" ")[0] === now.split(" ")[0],
    limits: { drainTimeout: "50 millis" }
  })

  // PROTOCOL.md SES-14
  resuming(
    "a count in hello must be what was acknowledged at least, and what was sent at most",
    (hub) =>
      Effect.gen(function*() {
        const first = yield* begin(hub)
        for (const id of [1, 3, 5]) {
          yield* first.peer.sendFrames(request(id, "/ping"))
          yield* first.peer.expectResponse(id)
        }
        yield* first.peer.sendFrames({ _tag: "Ack", received: 2 })
        yield* first.peer.expectAlive()
        for (const received of [0, 1, 4, 1000]) yield* isRejected(hub, resumeOf(first, received))
        yield* isIntact(hub, first, 3, 7)
      })
  )

  // PROTOCOL.md SES-18
  resuming(
    "a hello that resumes changes neither the window nor the buffer that both ends have agreed on",
    (hub) =>
      Effect.gen(function*() {
        const first = yield* begin(hub)
        yield* first.peer.expectAlive()
        const peer = yield* hub.dial()
        yield* peer.hello(hello({ ...resumeOf(first, 0), session: { windowMillis: 7, replayBuffer: 32_768 } }))
        const { resumed, session: kept } = yield* peer.expectText("welcome")
        assert.strictEqual(resumed, true)
        assert.deepInclude(kept, { windowMillis: 60_000 })
        const connection = yield* hub.server.connection(first.id)
        // An ACK is due at a quarter of 1,000,000 bytes, as before, and not at a quarter of 32,768.
        yield* peer.send(`{"type":"ready"}`)
        yield* until("the link is in use", () => peerOf(connection).session!.unacknowledged === 0)
        assert.isFalse(peerOf(connection).session!.receive(200_000))
      })
  )

  // PROTOCOL.md SES-14
  resuming(
    "a hello without a session, or of an unknown connection or epoch, gets a new connection",
    (hub) =>
      Effect.gen(function*() {
        const first = yield* begin(hub)
        yield* first.peer.expectAlive()
        for (
          const members of [
            { ...resumeOf(first, 0), session: undefined },
            resumeOf({ ...first, id: "another" }, 0),
            resumeOf({ ...first, epoch: "another" }, 0)
          ]
        ) {
          const peer = yield* hub.dial()
          const welcome = yield* peer.handshake(hello(members))
          assert.strictEqual(welcome.resumed, false)
          assert.notStrictEqual(welcome.connectionId, first.id)
          yield* peer.expectAlive(1)
          yield* peer.close(1000)
        }
        yield* first.peer.expectAlive(1)
      })
  )
})

describe("ACK", () => {
  for (const [title, acks] of [["above what was sent", [2]], ["below an earlier one", [1, 0]]] as const) {
    // PROTOCOL.md SES-7
    resuming(`an ACK ${title} is a connection error PROTOCOL_ERROR`, (hub) =>
      Effect.gen(function*() {
        const { peer } = yield* begin(hub)
        yield* peer.sendFrames(request(1, "/ping"))
        yield* peer.expectResponse(1)
        for (const received of acks) yield* peer.sendFrames({ _tag: "Ack", received })
        yield* peer.expectConnectionError("PROTOCOL_ERROR")
        assert.deepInclude((yield* hub.expectEvent("ConnectionFailure")).error.reason, { code: "PROTOCOL_ERROR" })
      }))
  }

  // PROTOCOL.md SES-2
  resuming("an ACK without a session is ignored", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      yield* peer.sendFrames({ _tag: "Ack", received: 99 })
      yield* peer.expectAlive(1)
    }))

  resuming(
    "a missing ACK bounds the replay buffer, PING is still answered, and an ACK lets messages go on",
    (hub) =>
      Effect.gen(function*() {
        const first = yield* begin(hub, {
          settings: { ...settings, streamWindow: 8_000_000, connectionWindow: 8_000_000 }
        })
        let messages = 0
        first.peer.ws.on("message", (message: Buffer) => {
          if (!isLinkMessage(message)) messages++
        })
        yield* first.peer.sendFrames(request(1, "/endless"))
        const received = () => {
          let bytes = 0
          for (const event of first.peer.log) {
            if (event._tag === "Frame" && event.frame._tag === "Data") bytes += event.frame.data.length
          }
          return bytes
        }
        yield* until("the buffer is full", () => received() >= 65_536)
        yield* first.peer.expectAlivePassing()
        const stopped = received()
        assert.isAtMost(stopped, 65_536 + 65_536)
        yield* first.peer.expectAlivePassing()
        assert.strictEqual(received(), stopped, "nothing more comes without an ACK")
        yield* first.peer.sendFrames({ _tag: "Ack", received: messages })
        yield* until("it goes on", () => received() > stopped)
      }),
    { replayBuffer: 65_536 }
  )

  // PROTOCOL.md SES-9
  resuming(
    "a full replay buffer asks for an ACK at once, and only once for each time it is full",
    (hub) =>
      Effect.gen(function*() {
        const { peer } = yield* begin(hub, {
          settings: { ...settings, streamWindow: 100_000_000, connectionWindow: 100_000_000 }
        })
        peer.answersPings = false
        const total = 8 * 1024 * 1024
        let [counted, bytes, asked] = [0, 0, 0]
        peer.ws.on("message", (message: Buffer) => {
          if (!isLinkMessage(message)) {
            counted++
            bytes += message.length
          } else if (message[0] === 0x10) {
            asked++
            peer.sendNow({ _tag: "Ack", received: counted }, { _tag: "Pong", data: message.subarray(2) })
          }
        })
        yield* peer.sendFrames(request(1, "/endless"))
        yield* until("8 MiB have come", () => bytes >= total)
        // 1 MiB, then 2, 4 and so on.
        assert.isAtMost(asked, 6)
      }),
    { replayBuffer: 16 * 1024 * 1024 }
  )

  // PROTOCOL.md SES-8, DRN-10
  resuming(
    "a GOAWAY that begins a drain waits for room in a full replay buffer, and one before a close does not",
    (hub) =>
      Effect.gen(function*() {
        const first = yield* begin(hub, {
          settings: { ...settings, streamWindow: 8_000_000, connectionWindow: 8_000_000 }
        })
        let counted = 0
        first.peer.ws.on("message", (message: Buffer) => {
          if (!isLinkMessage(message)) counted++
        })
        yield* first.peer.expectAlive()
        const connection = yield* hub.server.connection(first.id)
        yield* first.peer.sendFrames(request(1, "/endless"))
        yield* until("the buffer is full", () => peerOf(connection).session!.isFull)
        const closing = yield* Effect.forkChild(connection.close({ drain: "1 minute" }), { startImmediately: true })
        yield* first.peer.expectAlivePassing()
        const hasGoAway = () => first.peer.log.some((event) => event._tag === "Frame" && event.frame._tag === "GoAway")
        assert.isFalse(hasGoAway())
        yield* first.peer.sendFrames({ _tag: "Ack", received: counted })
        yield* first.peer.expectGoAway("NO_ERROR")
        yield* first.peer.sendFrames(reset(1, "CANCELLED"))
        yield* first.peer.close(1000)
        yield* Fiber.join(closing)

        const second = yield* begin(hub, {
          settings: { ...settings, streamWindow: 8_000_000, connectionWindow: 8_000_000 }
        })
        yield* second.peer.expectAlive()
        const other = yield* hub.server.connection(second.id)
        yield* second.peer.sendFrames(request(1, "/endless"))
        yield* until("the buffer is full", () => peerOf(other).session!.isFull)
        yield* Effect.forkChild(other.close(), { startImmediately: true })
        yield* second.peer.expectGoAway("NO_ERROR")
        yield* second.peer.expectClose(1000)
      }),
    { replayBuffer: 65_536 }
  )

  resuming("an ACK that never comes is asked for once, not again and again", (hub) =>
    Effect.gen(function*() {
      const { peer } = yield* begin(hub, {
        settings: { ...settings, streamWindow: 8_000_000, connectionWindow: 8_000_000 }
      })
      peer.answersPings = false
      yield* peer.sendFrames(request(1, "/endless"))
      yield* peer.expectFrame("Ping")
      yield* peer.expectAlivePassing()
      yield* peer.expectAlivePassing()
      const pings = peer.log.filter((event) => event._tag === "Frame" && event.frame._tag === "Ping")
      assert.strictEqual(pings.length, 1)
    }), { replayBuffer: 65_536 })
})

describe("bytes of interrupted connections", () => {
  resuming(
    "bytes of interrupted connections include the bodies that were written and could not be sent",
    (hub) =>
      Effect.gen(function*() {
        const small = yield* begin(hub)
        yield* small.peer.expectAlive()
        // Without credit each of a hundred answers has 64 KiB waiting, and nothing to be sent again.
        const large = yield* begin(hub, { settings: { streamWindow: 0 } })
        for (let id = 1; id < 200; id += 2) yield* large.peer.sendFrames(request(id, "/endless"))
        for (let id = 1; id < 200; id += 2) yield* large.peer.expectFrame("Response", id)
        yield* cut(hub, small)
        yield* large.peer.resetTcp
        const failed = yield* hub.expectEvent("ConnectionFailure")
        assert.strictEqual(failed.connectionId, large.id)
        assert.deepInclude(failed.error.reason, { _tag: "SessionLost", because: "expired" })
        yield* isIntact(hub, small, 0, 1)
      }),
    {},
    { server: { interruptedBytes: 4 * 1024 * 1024 } }
  )

  resuming(
    "bytes of interrupted connections are bounded: those that have waited the longest are given up",
    (hub) =>
      Effect.gen(function*() {
        // Each counts 16 KiB and a little: three fit.
        const held = yield* Effect.forEach(Array.from({ length: 5 }), () => begin(hub))
        for (const one of held) yield* one.peer.expectAlive()
        for (const one of held) yield* cut(hub, one)
        const lost = () => hub.events().flatMap((event) => event._tag === "ConnectionFailure" ? [event] : [])
        yield* until("two are given up", () => lost().length === 2)
        assert.deepStrictEqual(lost().map(({ connectionId }) => connectionId), [held[0]!.id, held[1]!.id])
        for (const { error } of lost()) assert.deepInclude(error.reason, { _tag: "SessionLost", because: "expired" })
        for (const one of held.slice(2)) yield* isIntact(hub, one, 0, 1)
      }),
    {},
    { server: { interruptedBytes: 60_000 } }
  )

  resuming(
    "bytes of interrupted connections include the unread bodies of their handlers",
    (hub) =>
      Effect.gen(function*() {
        const unread = yield* begin(hub)
        const idle = yield* begin(hub)
        yield* unread.peer.sendFrames(request(1, "/never", { method: "POST", end: false }))
        for (let part = 0; part < 3; part++) yield* unread.peer.sendFrames(data(1, new Uint8Array(30_000)))
        yield* unread.peer.expectAlive()
        yield* idle.peer.expectAlive()
        yield* cut(hub, unread)
        const lost = () => hub.events().flatMap((event) => event._tag === "ConnectionFailure" ? [event] : [])
        yield* until("the one that holds too much is given up", () => lost().length === 1)
        assert.strictEqual(lost()[0]!.connectionId, unread.id)
        assert.deepInclude(lost()[0]!.error.reason, { _tag: "SessionLost", because: "expired" })
        yield* cut(hub, idle)
        yield* isIntact(hub, idle, 0, 1)
      }),
    {},
    { server: { interruptedBytes: 80_000 } }
  )
})
