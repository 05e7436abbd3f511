/**
 * PROTOCOL.md, "Streams" and "Bodies", the requester's side: servers that answer calls wrongly.
 */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Stream from "effect/Stream"
import { call, hostileServer, othersGoOn, reasonOf } from "../support/clientUnderAttack.ts"
import { bytes, type Code, credit, data, type Fields, request, response } from "../support/frames.ts"
import type { RawPeer } from "../support/rawPeer.ts"
import { within } from "../support/waiting.ts"

/** A body that begins and never ends. */
const endless = Stream.concat(Stream.make(bytes("start")), Stream.never)

interface Wrong {
  readonly method?: "GET" | "HEAD" | "POST"
  /** Both halves have ended when the fault is found: see "the responder is told". */
  readonly ended?: boolean
  /** What the responder sends. */
  readonly send: (peer: RawPeer) => Effect.Effect<unknown>
}

/** The call fails with the code, the responder is told, and other calls go on. */
const wrongAnswer = (title: string, code: Code, wrong: Wrong) =>
  hostileServer(
    `${title} resets the stream with ${code} and fails its call alone`,
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.accept()
        const made = HttpClientRequest.make(wrong.method ?? "GET")("/wrong")
        const calling = yield* Effect.forkChild(
          call(fixture.http.execute(
            wrong.method === "POST" ? HttpClientRequest.bodyStream(made, endless) : made
          ))
        )
        yield* peer.expectFrame("Request", 1)
        yield* wrong.send(peer)
        if (wrong.ended !== true) yield* peer.expectReset(1, code)
        const reason = reasonOf(yield* within("the wrong call", Fiber.await(calling)))
        assert.deepInclude(reason, { _tag: "StreamReset", initiator: "local", code, outcome: "unknown" })
        yield* othersGoOn(fixture, peer)
      })
  )

const broken = (title: string, code: Code, send: (peer: RawPeer) => Effect.Effect<unknown>) =>
  hostileServer(
    `${title} is a connection error ${code}: the call fails, and the client dials again`,
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.accept()
        const calling = yield* Effect.forkChild(call(fixture.http.get("/wrong")))
        yield* peer.expectFrame("Request", 1)
        yield* send(peer)
        yield* peer.expectConnectionError(code)
        const exit = yield* within("the call", Fiber.await(calling))
        assert.deepInclude(reasonOf(exit), { _tag: "ConnectionLost", outcome: "unknown" })
        const { error } = yield* fixture.expectEvent("ConnectionFailure")
        assert.deepInclude(error.reason, { _tag: "ProtocolViolation", initiator: "remote", code })
        yield* othersGoOn(fixture, yield* fixture.accept(), 1)
      })
  )

const length = (value: string) => ["content-length", value] as const
const head = (...fields: Fields) => response(1, 200, { end: false, fields })

describe("states", () => {
  wrongAnswer("DATA before RESPONSE", "PROTOCOL_ERROR", { send: (peer) => peer.sendFrames(data(1, "x")) })
  wrongAnswer("DATA before RESPONSE, while the request is sent,", "PROTOCOL_ERROR", {
    method: "POST",
    send: (peer) => peer.sendFrames(data(1, "x", true))
  })
  wrongAnswer("a second RESPONSE", "PROTOCOL_ERROR", { send: (peer) => peer.sendFrames(head(), head()) })

  for (const [what, late] of [["RESPONSE", response(1, 200)], ["DATA", data(1, "late")]] as const) {
    hostileServer(
      `${what} after END, while the request is sent, is a stream error STREAM_CLOSED, and the response stays`,
      (fixture) =>
        Effect.gen(function*() {
          const peer = yield* fixture.accept()
          const upload = HttpClientRequest.bodyStream(HttpClientRequest.post("/"), endless)
          const calling = yield* Effect.forkChild(call(fixture.http.execute(upload)))
          yield* peer.expectFrame("Request", 1)
          yield* peer.sendFrames(response(1, 200, { end: false }), data(1, "whole", true), late)
          yield* peer.expectReset(1, "STREAM_CLOSED")
          assert.deepStrictEqual(yield* within("the call", Fiber.join(calling)), { status: 200, text: "whole" })
          yield* othersGoOn(fixture, peer)
        })
    )
  }

  broken("a RESPONSE to a stream that was never opened", "PROTOCOL_ERROR", (peer) => peer.sendFrames(response(3, 200)))
  broken("a RESPONSE on a stream of the server's own", "PROTOCOL_ERROR", (peer) => peer.sendFrames(response(2, 200)))
  broken("a REQUEST of the server with an odd id", "STREAM_ID_ERROR", (peer) => peer.sendFrames(request(5, "/ping")))
  broken("the status 199", "PROTOCOL_ERROR", (peer) => peer.sendHex("82 03 01 40 c7"))
  broken("the status 600", "PROTOCOL_ERROR", (peer) => peer.sendHex("82 03 01 42 58"))
  broken("a truncated frame", "FRAME_SIZE_ERROR", (peer) => peer.sendHex("02 05 01 40 c8"))
  broken("an unknown frame type", "UNKNOWN_FRAME", (peer) => peer.sendHex("08 00"))
  broken("an index beyond the head table", "HEAD_TABLE_ERROR", (peer) => peer.sendHex("82 04 01 40 c8 b0"))
  broken("a text message", "PROTOCOL_ERROR", (peer) => peer.send("HTTP/1.1 200 OK"))
  broken("CREDIT of 0", "PROTOCOL_ERROR", (peer) => peer.sendHex("05 02 01 00"))
  broken(
    "credit of the connection above 2^31-1",
    "FLOW_CONTROL_ERROR",
    (peer) => peer.sendFrames(credit(0, 2147483647))
  )

  hostileServer(
    "CREDIT above 2^31-1 on a stream that has ended is ignored, and the call is answered",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.accept()
        const calling = yield* Effect.forkChild(call(fixture.http.get("/")))
        yield* peer.expectFrame("Request", 1)
        yield* peer.sendFrames(credit(1, 2147483647), credit(1, 2147483647), response(1, 204))
        assert.strictEqual((yield* within("the call", Fiber.join(calling))).status, 204)
      })
  )

  hostileServer("RESPONSE and DATA on a stream that was cancelled are ignored", (fixture) =>
    Effect.gen(function*() {
      const peer = yield* fixture.accept()
      const calling = yield* Effect.forkChild(call(fixture.http.get("/")))
      yield* peer.expectFrame("Request", 1)
      yield* Fiber.interrupt(calling)
      yield* peer.expectReset(1, "CANCELLED")
      yield* peer.sendFrames(head(), data(1, "x"), data(1, "y", true), response(1, 200), data(1, "z"))
      yield* othersGoOn(fixture, peer)
      assert.strictEqual(peer.log.filter((event) => event._tag === "Frame" && event.frame._tag === "Reset").length, 1)
    }))
})

describe("heads", () => {
  const badFields: Readonly<Record<string, Fields>> = {
    "a field name in upper case": [["Content-Type", "text/plain"]],
    "a field value with CR LF": [["x-site", "a\r\nset-cookie: b"]],
    "a field value with NUL": [["x-site", "a\0"]]
  }
  for (const [title, fields] of Object.entries(badFields)) {
    wrongAnswer(title, "MALFORMED", { send: (peer) => peer.sendFrames(response(1, 200, { fields })) })
  }
  wrongAnswer("a head above maxHeadSize", "HEAD_TOO_LARGE", {
    send: (peer) => peer.sendFrames(response(1, 200, { fields: [["x", "y".repeat(16384)]] }))
  })
  // PROTOCOL.md STR-10
  wrongAnswer("a content-length above the body", "MALFORMED", {
    ended: true,
    send: (peer) => peer.sendFrames(head(length("5")), data(1, "four", true))
  })
  wrongAnswer("a content-length above a body that the caller reads already", "MALFORMED", {
    ended: true,
    send: (peer) =>
      peer.sendFrames(head(length("5"))).pipe(
        Effect.andThen(peer.expectAlive()),
        Effect.andThen(peer.sendFrames(data(1, "four"))),
        Effect.andThen(peer.expectAlive()),
        Effect.andThen(peer.sendFrames(data(1, "", true)))
      )
  })
  wrongAnswer("a content-length below the body", "MALFORMED", {
    send: (peer) => peer.sendFrames(head(length("3")), data(1, "four"))
  })
  wrongAnswer("a content-length above 0 on a head with END", "MALFORMED", {
    ended: true,
    send: (peer) => peer.sendFrames(response(1, 200, { fields: [length("3")] }))
  })
  wrongAnswer("a head with two different content-lengths", "MALFORMED", {
    send: (peer) => peer.sendFrames(head(length("4"), length("5")), data(1, "four", true))
  })
  // PROTOCOL.md HEAD-8
  wrongAnswer("a head with two equal content-lengths", "MALFORMED", {
    send: (peer) => peer.sendFrames(head(length("4"), length("4")), data(1, "four", true))
  })
  wrongAnswer("a content-length that is not a number", "MALFORMED", {
    send: (peer) => peer.sendFrames(head(length("0x4")), data(1, "four", true))
  })
  wrongAnswer("a head with END and two content-lengths", "MALFORMED", {
    ended: true,
    send: (peer) => peer.sendFrames(response(1, 200, { fields: [length("0"), length("0")] }))
  })
  // PROTOCOL.md STR-9
  wrongAnswer("a body byte with status 204", "MALFORMED", {
    ended: true,
    send: (peer) => peer.sendFrames(response(1, 204, { end: false }), data(1, "x", true))
  })
  wrongAnswer("a body byte with status 304", "MALFORMED", {
    send: (peer) => peer.sendFrames(response(1, 304, { end: false }), data(1, "x"))
  })
  // PROTOCOL.md STR-9
  wrongAnswer("a body byte in the response to HEAD", "MALFORMED", {
    method: "HEAD",
    ended: true,
    send: (peer) => peer.sendFrames(head(length("1")), data(1, "x", true))
  })
  wrongAnswer("a response to HEAD with two content-lengths", "MALFORMED", {
    method: "HEAD",
    ended: true,
    send: (peer) => peer.sendFrames(response(1, 200, { fields: [length("1"), length("2")] }))
  })

  for (
    const [title, frames] of [
      ["END came with the byte that was too much", [head(length("3")), data(1, "four", true)]],
      ["END came with the head", [response(1, 200, { fields: [length("3")] })]]
    ] as const
  ) {
    hostileServer(
      `a malformed response is reset with MALFORMED when ${title}`,
      (fixture) =>
        Effect.gen(function*() {
          const peer = yield* fixture.accept()
          yield* Effect.forkChild(Effect.exit(call(fixture.http.get("/wrong"))))
          yield* peer.expectFrame("Request", 1)
          yield* peer.sendFrames(...frames)
          yield* peer.expectReset(1, "MALFORMED")
        })
    )
  }

  hostileServer(
    "a content-length does not count for the body of HEAD, 204 and 304",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.accept()
        for (const [id, status] of [[1, 200], [3, 204], [5, 304]] as const) {
          const calling = yield* Effect.forkChild(call(status === 200 ? fixture.http.head("/") : fixture.http.get("/")))
          yield* peer.expectFrame("Request", id)
          yield* peer.sendFrames(response(id, status, { end: false, fields: [length("1000")] }), data(id, "", true))
          assert.deepStrictEqual(yield* within("the call", Fiber.join(calling)), { status, text: "" })
        }
      })
  )
})

describe("flow control", () => {
  hostileServer(
    "DATA beyond the credit of a stream is a stream error FLOW_CONTROL_ERROR, and fails its call alone",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.accept()
        const answer = yield* Effect.forkChild(fixture.http.get("/"))
        yield* peer.expectFrame("Request", 1)
        // Nobody reads the body yet: its credit is not given back.
        yield* peer.sendFrames(head(), data(1, new Uint8Array(1000)), data(1, "x"))
        yield* peer.expectReset(1, "FLOW_CONTROL_ERROR")
        const exit = yield* within("the call", Effect.exit(call(Fiber.join(answer))))
        assert.deepInclude(reasonOf(exit), { _tag: "StreamReset", initiator: "local", code: "FLOW_CONTROL_ERROR" })
        yield* othersGoOn(fixture, peer)
      }),
    { limits: { streamWindow: 1000 } }
  )

  hostileServer(
    "DATA beyond the credit of the connection is a connection error FLOW_CONTROL_ERROR",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.accept()
        const calling = yield* Effect.forkChild(call(fixture.http.get("/")))
        yield* peer.expectFrame("Request", 1)
        yield* peer.sendFrames(head(), data(1, new Uint8Array(65536)))
        yield* peer.expectConnectionError("FLOW_CONTROL_ERROR")
        assert.deepInclude(reasonOf(yield* within("the call", Fiber.await(calling))), { _tag: "ConnectionLost" })
      }),
    { limits: { connectionWindow: 65535, maxFrameSize: 100000, maxMessageSize: 200000 } }
  )
})
