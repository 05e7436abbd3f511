/**
 * What the end of a link means (PROTOCOL.md, "Close codes" and "Losing a link").
 */
import { assert, describe, it } from "@effect/vitest"
import { HeartbeatTimeout, SessionLost, SwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
import * as Socket from "effect/socket/Socket"
import * as linkErrors from "../../src/internal/link/linkErrors.ts"
import { refused } from "../../src/internal/link/refusal.ts"

const closedWith = (code: number, closeReason?: string) =>
  new Socket.SocketError({ reason: new Socket.SocketCloseError({ code, closeReason }) })
const readError = (cause: unknown) => new Socket.SocketError({ reason: new Socket.SocketReadError({ cause }) })

describe("the text of an error", () => {
  const texts: ReadonlyArray<readonly [what: string, cause: unknown, text: string | undefined]> = [
    ["an error", new Error("why"), "why"],
    ["an event with a message", { message: "why" }, "why"],
    ["an event with an error", { error: new Error("why") }, "why"],
    ["an event whose message is empty", { message: "", error: new Error("why") }, "why"],
    ["an event whose message is no text", { message: 1, error: new Error("why") }, "why"],
    ["errors for several addresses", new AggregateError([new Error("first"), new Error("second")]), "first"],
    ["an event whose errors are no list", { errors: "e", error: new Error("why") }, "why"],
    ["an event without a text", {}, undefined],
    ["a text", "why", undefined],
    ["nothing", undefined, undefined],
    ["null", null, undefined]
  ]
  for (const [what, cause, text] of texts) {
    it(`is found in ${what}`, () => assert.strictEqual(linkErrors.textOf(cause), text))
  }

  it("is that of the cause, and says of a link that broke that it did", () => {
    assert.strictEqual(linkErrors.describe(readError(new Error("why"))), "why")
    assert.strictEqual(linkErrors.describe(closedWith(1006)), "it broke without a goodbye (1006)")
    assert.strictEqual(linkErrors.describe(closedWith(1011, "down")), closedWith(1011, "down").message)
    assert.strictEqual(linkErrors.describe(readError({})), readError({}).message)
  })
})

describe("the error of a link", () => {
  const socketErrorOf = (reason: object) => (reason as { readonly cause: Socket.SocketError }).cause
  const causeOf = (reason: object) => (socketErrorOf(reason).reason as { readonly cause?: unknown }).cause

  it("has no event for a cause: everything can be reached from one", () => {
    const inner = new Error("why")
    const event = { message: "why", error: inner, target: {} }
    const open = (cause: unknown) =>
      new Socket.SocketError({ reason: new Socket.SocketOpenError({ kind: "Timeout", cause }) })
    const write = (cause: unknown) => new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause }) })
    for (const  of of[open, readError, write]) {
      const { reason } = linkErrors.linkError("read", of(event))
      assert.deepInclude(reason, { _tag: "LinkError", phase: "read", description: "why" })
      assert.deepStrictEqual(socketErrorOf(reason).reason, of(inner).reason)
      assert.strictEqual(causeOf(reason), inner)
      const withoutError = linkErrors.linkError("read", of({ message: "text", error: "no error" })).reason
      assert.deepInclude(causeOf(withoutError), { message: "text" })
    }
  })

  it("is left as it is where its cause is an error, or where it has none", () => {
    for (const error of [readError(new Error("why")), closedWith(1011, "down")]) {
      assert.strictEqual(socketErrorOf(linkErrors.linkError("read", error).reason), error)
    }
    assert.notProperty(linkErrors.linkFailure("open", "why").reason, "cause")
  })
})

describe("the end of a link", () => {
  const ends: ReadonlyArray<readonly [code: number, what: object]> = [
    [1000, { _tag: "ConnectionClosed", initiator: "remote", code: 1000, closeReason: "why" }],
    [1001, { _tag: "ConnectionClosed", initiator: "remote", code: 1001, closeReason: "why" }],
    [1002, { _tag: "LinkError", phase: "read" }],
    [1005, { _tag: "ConnectionClosed", initiator: "remote", code: 1005, closeReason: "why" }],
    [1006, { _tag: "LinkError", phase: "read", description: "it broke without a goodbye (1006)" }],
    [1011, { _tag: "LinkError", phase: "read" }],
    [2999, { _tag: "LinkError", phase: "read" }],
    [3000, { _tag: "ConnectionClosed", initiator: "remote", code: 3000, closeReason: "why" }],
    [4000, { _tag: "ConnectionClosed", initiator: "remote", code: 4000, closeReason: "why" }],
    [4001, { _tag: "ProtocolViolation", initiator: "local", code: "PROTOCOL_ERROR", description: "why" }],
    [4105, { _tag: "HandshakeRefused", initiator: "remote", code: "FORBIDDEN", description: "why", retry: false }],
    [4110, { _tag: "ConnectionClosed", initiator: "remote", code: 4110, closeReason: "why" }]
  ]
  for (const [code, what] of ends) {
    it(`says with ${code} what the peer did`, () => {
      assert.deepInclude(linkErrors.endOf(closedWith(code, "why")).reason, what as Record<string, unknown>)
    })
  }

  it("is a failure to read where nobody closed it", () => {
    assert.deepInclude(linkErrors.endOf(readError(new Error("why"))).reason, {
      _tag: "LinkError",
      phase: "read",
      description: "why"
    })
    assert.deepInclude(linkErrors.endOf(closedWith(1000)).reason, { closeReason: "" })
  })
})

describe("a connection outlives the end of its link", () => {
  const ended = (code: number) => linkErrors.linkError("read", closedWith(code))
  const ends: ReadonlyArray<readonly [what: string, error: SwaggerSocketError, isLoss: boolean]> = [
    [
      "when its heartbeat found it silent",
      new SwaggerSocketError({ reason: new HeartbeatTimeout({ timeoutMillis: 1 }) }),
      true
    ],
    ["when the peer's heartbeat did", linkErrors.protocolViolation("local", "HEARTBEAT_TIMEOUT", ""), true],
    [
      "not when the peer is to blame for that",
      linkErrors.protocolViolation("remote", "HEARTBEAT_TIMEOUT", ""),
      false
    ],
    ["not when the protocol was broken", linkErrors.protocolViolation("local", "PROTOCOL_ERROR", ""), false],
    ["when it goes on with another link", linkErrors.closed("remote", 4110, ""), true],
    ["not when it was closed", linkErrors.closed("remote", 1000, ""), false],
    [
      "not when its session was lost",
      new SwaggerSocketError({ reason: new SessionLost({ because: "expired" }) }),
      false
    ],
    ["not when it was refused", refused("remote", "FORBIDDEN", ""), false],
    ["when it could not be opened", linkErrors.linkFailure("open", "ECONNREFUSED"), true],
    ["when reading failed", linkErrors.linkError("read", readError(new Error("ECONNRESET"))), true],
    ["when it broke", ended(1006), true],
    ["not when a message was wrong", ended(1002), false],
    ["not with the last code of RFC 6455 that says so", ended(1010), false],
    ["when a server failed", ended(1011), true]
  ]
  for (const [what, error, isLoss] of ends) {
    it(what, () => assert.strictEqual(linkErrors.isLoss(error, false), isLoss))
  }

  it("when the handshake of a link that resumes it took too long, or gave way to others", () => {
    const late = refused("remote", "HANDSHAKE_TIMEOUT", "")
    assert.isTrue(linkErrors.isLoss(late, true))
    assert.isFalse(linkErrors.isLoss(late, false))
    assert.isFalse(linkErrors.isLoss(refused("remote", "FORBIDDEN", ""), true))
    const gaveWay = refused("remote", "OVERLOADED", "")
    assert.isTrue(linkErrors.isLoss(gaveWay, true))
    assert.isFalse(linkErrors.isLoss(gaveWay, false))
  })
})
