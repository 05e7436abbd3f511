/**
 * The machine of wire v1: calls and answers of one connection, one call at a time in each direction.
 */
import { assert, describe, it } from "@effect/vitest"
import { ErrorCode } from "../../src/internal/frame/codes.ts"
import { Recorder } from "../streams/joined.ts"
import { answer, bodyOf, End, get, Joined, lines, post } from "./machine.ts"

const idle = { local: 0, remote: 0, waiting: 0 }

/** Nothing is left of any exchange. */
const assertAtRest = (...ends: ReadonlyArray<End>): void => {
  for (const end of ends) {
    assert.deepStrictEqual(end.mux.active, idle)
    assert.strictEqual(end.mux.unreadBytes, 0)
    assert.isUndefined(end.mux.pull())
    assert.isTrue(end.isReadable)
    assert.deepStrictEqual(end.broken, [])
  }
}

/** The target of a request as it was sent. */
const targetOf = (message: string | undefined): string | undefined => message?.split(" ")[1]

const chunks = (...parts: ReadonlyArray<string>): string =>
  parts.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join("")

describe("calls", () => {
  it("calls of two joined ends both ways at once are answered, and nothing is left", () => {
    const joined = new Joined()
    const { client, server } = joined
    const down = client.call("GET", "/down", { fields: [["x", "y"]] })
    const up = server.upload("/up", "body")
    joined.settle()
    assert.strictEqual(bodyOf(client.accepted[0]!.handler), "body")
    server.respond(0, 200, "answer", [["etag", "e"]])
    client.respond(0, 204)
    joined.settle()
    assert.deepStrictEqual([down.handler.status, bodyOf(down.handler), up.handler.status], [200, "answer", 204])
    assert.isTrue(down.stream.isClosed && up.stream.isClosed)
    assert.deepStrictEqual(server.accepted[0]!.request.fields, [["x", "y"], ["x-correlation-id", "id-1"]])
    assertAtRest(client, server)
    const { bytesReceived, bytesSent, ...counters } = client.mux.counters
    assert.deepStrictEqual(counters, {
      messagesReceived: 2,
      messagesSent: 2,
      framesReceived: 2,
      framesSent: 2,
      streamsOpened: 1,
      streamsAccepted: 1,
      resetsReceived: 0,
      resetsSent: 0
    })
    assert.strictEqual(bytesSent, server.mux.counters.bytesReceived)
    assert.strictEqual(bytesReceived, server.mux.counters.bytesSent)
    assert.isAbove(client.idle, 0)
  })

  it("one call is in flight, and the others wait in the order in which they were made", () => {
    const end = new End()
    const calls = [1, 2, 3].map((n) => end.call("GET", `/${n}`))
    assert.deepStrictEqual(end.mux.active, { local: 0, remote: 0, waiting: 3 })
    assert.deepStrictEqual(end.send().map(targetOf), ["/1"])
    assert.deepStrictEqual(end.mux.active, { local: 1, remote: 0, waiting: 2 })
    end.take("HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nh")
    assert.deepStrictEqual(end.send(), [], "the answer has not ended")
    end.take("i")
    assert.deepStrictEqual(end.send().map(targetOf), ["/2"])
    end.take(lines("HTTP/1.1 200 ", "Transfer-Encoding: chunked", "", chunks("part")))
    assert.deepStrictEqual(end.send(), [], "the last chunk is missing")
    end.take("0\r\n\r\n")
    assert.deepStrictEqual(end.send().map(targetOf), ["/3"])
    end.take(lines("HTTP/1.1 204 ", "", ""))
    assert.deepStrictEqual(calls.map(({ handler }) => [handler.status, bodyOf(handler), handler.ended]), [
      [200, "hi", true],
      [200, "part", true],
      [204, "", true]
    ])
    assertAtRest(end)
  })

  it("a call that is cancelled while it waits is not sent", () => {
    const end = new End()
    const [, second] = [1, 2, 3].map((n) => end.call("GET", `/${n}`))
    assert.deepStrictEqual(end.send().map(targetOf), ["/1"])
    end.mux.reset(second!.stream, ErrorCode.CANCELLED, "")
    assert.strictEqual(end.mux.active.waiting, 1)
    end.take(answer(200, ""))
    assert.deepStrictEqual(end.send().map(targetOf), ["/3"])
    end.take(answer(200, ""))
    assert.isUndefined(second!.handler.failure)
    assertAtRest(end)
  })

  it("ten thousand cancelled calls that waited do not stay in memory, and the calls between them are sent", () => {
    const end = new End()
    end.call("GET", "/first")
    end.send()
    for (let count = 0; count < 10_000; count++) {
      const { stream } = end.call("GET", `/${count}`)
      if (count % 1000 !== 0) end.mux.reset(stream, ErrorCode.CANCELLED, "")
    }
    assert.strictEqual(end.mux.active.waiting, 10)
    const sent: Array<string | undefined> = []
    for (let left = 10; left > 0; left--) {
      end.take(answer(200, ""))
      sent.push(...end.send().map(targetOf))
    }
    assert.deepStrictEqual(sent, Array.from({ length: 10 }, (_, index) => `/${index * 1000}`))
    end.take(answer(200, ""))
    assertAtRest(end)
  })

  it("a call cancelled in flight holds the next one back until its response has ended, and hears nothing of it", () => {
    const end = new End()
    const first = end.call("GET", "/1")
    end.call("GET", "/2")
    end.send()
    end.mux.reset(first.stream, ErrorCode.CANCELLED, "")
    assert.isTrue(first.stream.isClosed)
    assert.deepStrictEqual(end.send(), [])
    end.take(lines("HTTP/1.1 200 ", "Content-Length: 4", "", "ab"))
    end.clock.advance(29_999)
    assert.deepStrictEqual(end.send(), [])
    end.take("cd")
    assert.deepStrictEqual(end.send().map(targetOf), ["/2"])
    assert.isUndefined(first.handler.status)
    assert.strictEqual(first.handler.bytes, 0)
    end.clock.advance(100_000)
    end.take(answer(200, ""))
    assertAtRest(end)
  })

  it("a call cancelled within its response holds the next one back, and its unread bytes are forgotten", () => {
    const end = new End({ limits: { streamWindow: 3 } })
    const first = end.call()
    end.call("GET", "/2")
    end.send()
    end.take(lines("HTTP/1.1 200 ", "Content-Length: 8", "", "abcd"))
    assert.strictEqual(end.mux.unreadBytes, 4)
    assert.isFalse(end.isReadable)
    end.mux.reset(first.stream, ErrorCode.CANCELLED, "")
    assert.strictEqual(end.mux.unreadBytes, 0)
    assert.isTrue(end.isReadable)
    end.mux.consumed(first.stream, 4)
    assert.strictEqual(end.mux.unreadBytes, 0, "what is read later is not counted twice")
    end.take("efg")
    assert.deepStrictEqual(end.send(), [])
    end.take("h")
    assert.deepStrictEqual(end.send().map(targetOf), ["/2"])
    assert.strictEqual(first.handler.bytes, 4)
    assert.isUndefined(first.handler.failure)
  })

  it("the connection breaks when the response to a cancelled call does not end within the stall timeout", () => {
    const end = new End({ stallTimeout: 5000 })
    const first = end.call()
    end.send()
    end.mux.reset(first.stream, ErrorCode.CANCELLED, "")
    end.take(lines("HTTP/1.1 200 ", "Content-Length: 4", "", "ab"))
    end.clock.advance(4999)
    assert.deepStrictEqual(end.broken, [])
    end.clock.advance(1)
    assert.strictEqual(end.broken.length, 1)
  })

  it("a call's body is gathered into one message with its length, and writers are asked to begin when it is their turn", () => {
    const end = new End()
    let asked = 0
    const first = end.call("GET", "/1")
    const handler = Object.assign(new Recorder(), { onSent: () => asked++ })
    const { stream } = end.call("PUT", "/2", { end: false, handler, fields: [["content-length", "99"], ["a", "b"]] })
    assert.strictEqual(asked, 0)
    assert.deepStrictEqual(end.send().map(targetOf), ["/1"])
    assert.strictEqual(asked, 1)
    assert.isTrue(end.mux.write(stream, new TextEncoder().encode("he")))
    end.take(answer(200, ""))
    assert.deepStrictEqual(end.send(), [], "half a body is not sent")
    assert.deepStrictEqual(end.mux.active, { local: 0, remote: 0, waiting: 1 })
    const other = end.call("GET", "/3")
    assert.deepStrictEqual(end.send().map(targetOf), ["/3"], "and holds nothing up")
    end.mux.write(stream, new Uint8Array(0))
    end.mux.write(stream, new TextEncoder().encode("llo"))
    end.mux.finish(stream)
    end.take(answer(200, ""))
    assert.deepStrictEqual(end.send(), [
      "PUT /2 HTTP/1.1\r\nA: b\r\nX-Correlation-Id: id-2\r\nContent-Length: 5\r\n\r\nhello"
    ])
    assert.strictEqual(asked, 1)
    end.take(answer(200, ""))
    assert.isTrue(first.stream.isClosed && other.stream.isClosed && stream.isClosed)
    assertAtRest(end)
  })

  it("requests without a body have no content-length, except for methods that expect a body", () => {
    for (const method of ["GET", "HEAD", "DELETE", "OPTIONS", "POST", "PUT", "PATCH"]) {
      const end = new End()
      end.call(method)
      const [message] = end.send()
      assert.strictEqual(/content-length/i.test(message!), method.startsWith("P"), method)
      assert.notMatch(message!, /transfer-encoding/i)
      assert.match(message!, /\r\n\r\n$/)
    }
    const end = new End()
    end.upload("/", "")
    assert.match(end.send()[0]!, /Content-Length: 0\r\n/)
  })

  it("a call whose body is too large fails with FRAME_SIZE_ERROR, \"not-sent\", and nothing leaves", () => {
    for (const streamed of [true, false]) {
      const end = new End({ maxRequestSize: 200 })
      const { handler, stream } = end.call("POST", "/", { end: false })
      end.mux.write(stream, new Uint8Array(streamed ? 100 : 150))
      if (streamed) end.mux.write(stream, new Uint8Array(101))
      end.mux.finish(stream)
      assert.strictEqual(handler.failure?.code, ErrorCode.FRAME_SIZE_ERROR)
      assert.strictEqual(handler.failure?.outcome, "not-sent")
      assert.strictEqual(handler.failure?.by, "local")
      end.mux.write(stream, new Uint8Array(1))
      end.mux.finish(stream)
      end.mux.reset(stream, ErrorCode.CANCELLED, "")
      assertAtRest(end)
      assert.strictEqual(end.mux.counters.messagesSent, 0)
      end.call("GET", "/next")
      assert.deepStrictEqual(end.send().map(targetOf), ["/next"])
    }
  })

  it("the size limit of a request counts its head, and does not apply without a body", () => {
    const sizeOf = (body: string) => {
      const end = new End()
      end.upload("/x", body)
      return end.send()[0]!.length
    }
    const size = sizeOf("0123456789")
    for (const [maxRequestSize, fits] of [[size, true], [size - 1, false]] as const) {
      const end = new End({ maxRequestSize })
      const { handler } = end.upload("/x", "0123456789")
      assert.strictEqual(handler.failure === undefined, fits)
      assert.strictEqual(end.send().length, fits ? 1 : 0)
    }
    const end = new End({ maxRequestSize: 10 })
    end.call("GET", `/${"x".repeat(1000)}`)
    assert.strictEqual(end.send().length, 1)
  })

  it("a call that is cancelled before its body was asked for is never asked", () => {
    const end = new End()
    const asked: Array<string> = []
    const call = (name: string) =>
      end.call("POST", `/${name}`, {
        end: false,
        handler: Object.assign(new Recorder(), { onSent: () => asked.push(name) })
      })
    const { stream } = call("gone")
    call("there")
    end.mux.reset(stream, ErrorCode.CANCELLED, "")
    end.send()
    assert.deepStrictEqual(asked, ["there"])
  })

  it("a call that is cancelled while its body is gathered is not sent", () => {
    const end = new End()
    const { handler, stream } = end.call("POST", "/", { end: false })
    end.mux.write(stream, new Uint8Array(10))
    end.mux.reset(stream, ErrorCode.CANCELLED, "")
    end.mux.finish(stream)
    assert.isUndefined(handler.failure)
    assertAtRest(end)
  })

  it("calls with bodies that are no UTF-8 leave as binary messages, all others as text", () => {
    const end = new End()
    end.upload("/", Uint8Array.of(0xff, 0xfe))
    assert.instanceOf(end.mux.pull(), Uint8Array)
    end.take(answer(200, ""))
    end.upload("/", "zażółć")
    assert.typeOf(end.mux.pull(), "string")
  })
})

describe("correlation ids", () => {
  const sentWith = (fields: ReadonlyArray<readonly [string, string]>) => {
    const end = new End()
    const call = end.call("GET", "/", { fields })
    return { end, call, ids: end.send()[0]!.match(/x-correlation-id: .*(?=\r\n)/gi) }
  }

  it("a call without a correlation id gets one, and a call with one keeps it, once", () => {
    assert.deepStrictEqual(sentWith([]).ids, ["X-Correlation-Id: id-1"])
    assert.deepStrictEqual(sentWith([["x-correlation-id", "own"]]).ids, ["X-Correlation-Id: own"])
    assert.deepStrictEqual(sentWith([["x-correlation-id", "own"], ["x-correlation-id", "other"]]).ids, [
      "X-Correlation-Id: own"
    ])
  })

  it("a response may have its call's correlation id, have none, or have another one besides", () => {
    for (const ids of [["own"], [], ["handler's", "own"], ["own", "other"]]) {
      const { call, end } = sentWith([["x-correlation-id", "own"]])
      end.take(answer(200, "x", ...ids.map((id) => `x-correlation-id: ${id}`)))
      assert.isTrue(call.handler.ended)
    }
  })

  it("a response that has only another correlation id is PROTOCOL_ERROR, and the call does not see it", () => {
    const { call, end } = sentWith([["x-correlation-id", "own"]])
    assert.strictEqual(end.receive(answer(200, "x", "x-correlation-id: other"))?.code, ErrorCode.PROTOCOL_ERROR)
    assert.isUndefined(call.handler.status)
    assert.strictEqual(call.handler.bytes, 0)
  })

  it("a response echoes its request's correlation id exactly once, whatever the handler says", () => {
    for (const status of [200, 204]) {
      const end = new End()
      end.take(get("/", "x-correlation-id: asked"))
      end.respond(0, status, status === 200 ? "x" : "", [["x-correlation-id", "handler's"]])
      assert.deepStrictEqual(end.send()[0]!.match(/x-correlation-id.*(?=\r\n)/gi), ["X-Correlation-Id: asked"])
    }
    const end = new End()
    end.take(get())
    end.respond(0, 200)
    assert.notMatch(end.send()[0]!, /correlation/i)
  })
})

describe("responses of the peer", () => {
  const called = (method = "GET") => {
    const end = new End()
    const call = end.call(method)
    end.send()
    return { end, ...call }
  }

  it("a response may arrive byte by byte and after empty lines", () => {
    const { end, handler } = called()
    for (const byte of `\r\n${answer(200, "body")}`) end.take(byte)
    assert.deepStrictEqual([handler.status, bodyOf(handler), handler.ended], [200, "body", true])
    // Without a call that waits, the same letter begins a request.
    for (const byte of lines("HEAD / HTTP/1.1", "", "")) end.take(byte)
    assert.lengthOf(end.accepted, 1)
  })

  it("a response whose status has four digits is MALFORMED", () => {
    const { end } = called()
    assert.strictEqual(end.receive("HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n")?.code, ErrorCode.MALFORMED)
  })

  it("interim responses (1xx) are skipped, and the final one is the response", () => {
    const { end, handler } = called()
    end.take(
      lines("HTTP/1.1 100 Continue", "", ""),
      lines("HTTP/1.1 103 ", "Link: x", "x-correlation-id: other", "", "")
    )
    assert.isUndefined(handler.status)
    assert.strictEqual(end.mux.active.local, 1)
    end.take(lines("HTTP/1.1 102 ", "content-length: 3", "", "") + answer(200, "body"))
    assert.deepStrictEqual([handler.status, bodyOf(handler), handler.ended], [200, "body", true])
    assertAtRest(end)
  })

  it("a message that holds a 1xx and the beginning of the response may be cut anywhere", () => {
    const message = lines("HTTP/1.1 100 Continue", "", "") + answer(200, "body")
    for (let cut = 1; cut < message.length; cut++) {
      // The first five bytes tell an answer from a request.
      if (cut < 5) continue
      const { end, handler } = called()
      end.take(message.slice(0, cut), message.slice(cut))
      assert.deepStrictEqual([handler.status, bodyOf(handler), handler.ended], [200, "body", true], `cut at ${cut}`)
      assertAtRest(end)
    }
  })

  it("empty messages and empty lines before, between and within responses do no harm", () => {
    const { end, handler } = called()
    end.take("", "\r\n", lines("HTTP/1.1 200 ", "content-length: 4", "", ""), "", "a\r", "", "\nb", "\r\n", "")
    assert.strictEqual(bodyOf(handler), "a\r\nb")
    assertAtRest(end)
  })

  it("a response to no call, a second response, and a 101 are PROTOCOL_ERROR", () => {
    const { PROTOCOL_ERROR } = ErrorCode
    assert.strictEqual(new End().receive(answer(200, ""))?.code, PROTOCOL_ERROR)
    assert.strictEqual(called().end.receive(answer(200, "x") + answer(200, "x"))?.code, PROTOCOL_ERROR)
    const { end } = called()
    end.take(answer(200, "x"))
    assert.strictEqual(end.receive(answer(200, "x"))?.code, PROTOCOL_ERROR)
    assert.strictEqual(called().end.receive(lines("HTTP/1.1 101 ", "", ""))?.code, PROTOCOL_ERROR)
  })

  it("a response with neither a length nor chunks is MALFORMED, unless it can have no body", () => {
    assert.strictEqual(called().end.receive(lines("HTTP/1.1 200 ", "", "x"))?.code, ErrorCode.MALFORMED)
    for (const [method, status] of [["HEAD", 200], ["GET", 204], ["GET", 304]] as const) {
      const { end, handler } = called(method)
      end.take(lines(`HTTP/1.1 ${status} `, "", ""))
      assert.deepStrictEqual([handler.status, handler.ended], [status, true])
      assertAtRest(end)
    }
  })

  it("a response to HEAD has no body, whatever its content-length", () => {
    const { end, handler } = called("HEAD")
    end.call("GET", "/2")
    end.take(lines("HTTP/1.1 200 ", "content-length: 100", "", ""))
    assert.deepStrictEqual([handler.status, handler.ended], [200, true])
    assert.deepStrictEqual(end.send().map(targetOf), ["/2"])
  })

  it("a response that the caller rejects fails the call alone, and the next call waits for its end", () => {
    const end = new End()
    const handler = new Recorder()
    handler.onResponse = () => ({ code: ErrorCode.MALFORMED, reason: "odd" }) as never
    end.call("GET", "/1", { handler })
    end.call("GET", "/2")
    end.send()
    end.take(lines("HTTP/1.1 200 ", "content-length: 2", "", "a"))
    assert.deepStrictEqual(handler.failure, {
      code: ErrorCode.MALFORMED,
      reason: "odd",
      by: "local",
      outcome: "unknown"
    })
    assert.strictEqual(handler.bytes, 0)
    assert.deepStrictEqual(end.send(), [])
    end.take("b")
    assert.deepStrictEqual(end.send().map(targetOf), ["/2"])
    end.take(answer(200, ""))
    assertAtRest(end)
  })
})

describe("end of the connection", () => {
  it("calls that wait when the connection ends are \"not-sent\", the call in flight is \"unknown\", later ones are \"not-sent\"", () => {
    const end = new End()
    const sent = end.call("GET", "/1")
    const queued = end.call("GET", "/2")
    const gathered = end.call("POST", "/3", { end: false })
    const cancelled = end.call("GET", "/4")
    end.send()
    end.mux.reset(cancelled.stream, ErrorCode.CANCELLED, "")
    end.take(post("/5", "body"), lines("POST /6 HTTP/1.1", "content-length: 9", "", "unread"))
    end.mux.fail({ code: ErrorCode.INTERNAL_ERROR, reason: "gone" })
    assert.deepStrictEqual(
      [sent, queued, gathered, cancelled].map(({ handler }) => handler.failure?.outcome),
      ["unknown", "not-sent", "not-sent", undefined]
    )
    for (const { handler } of [sent, queued, gathered]) assert.strictEqual(handler.failure?.by, "connection")
    assert.deepStrictEqual(end.accepted.map(({ handler }) => handler.failure?.outcome), ["unknown", "unknown"])
    const late = end.mux.open("GET", "/7", [], true, new Recorder())
    assert.isTrue("outcome" in late && late.outcome === "not-sent")
    assert.isUndefined(end.receive("nothing is wrong any more"))
    end.mux.fail({ code: ErrorCode.INTERNAL_ERROR, reason: "again" })
    assert.strictEqual(end.clock.timers.size, 0)
    assertAtRest(end)
  })

  it("the call in flight has the outcome that the connection's end gives it", () => {
    const end = new End()
    const sent = end.call()
    end.send()
    end.mux.fail({ code: ErrorCode.INTERNAL_ERROR, reason: "" }, "not-processed")
    assert.strictEqual(sent.handler.failure?.outcome, "not-processed")
  })

  it("a handler that has answered and still reads its request is told of the connection's end", () => {
    const end = new End()
    end.take(lines("POST / HTTP/1.1", "content-length: 9", "", "abc"))
    end.respond(0, 204)
    assert.strictEqual(end.send().length, 1)
    assert.strictEqual(end.mux.unreadBytes, 3)
    end.mux.fail({ code: ErrorCode.INTERNAL_ERROR, reason: "gone" })
    assert.isDefined(end.accepted[0]!.handler.failure)
    assertAtRest(end)
  })
})

describe("room in the buffers of Go and of this end", () => {
  it("data of pings, sent or answered, take twice their size from the room for a request's body", () => {
    for (
      const control of [
        (end: End) => end.mux.ping(new Uint8Array(100)),
        (end: End) => end.hearPing(new Uint8Array(100))
      ]
    ) {
      const end = new End({ maxRequestSize: 1000 })
      const fits = end.upload("/", "x".repeat(850))
      end.send()
      end.take(answer(200, ""))
      assert.isUndefined(fits.handler.failure)
      control(end)
      const { handler } = end.upload("/", "x".repeat(850))
      assert.deepInclude(handler.failure, { code: ErrorCode.FRAME_SIZE_ERROR, outcome: "not-sent" })
      assert.isUndefined(end.upload("/", "x".repeat(650)).handler.failure)
    }
  })

  it("a response is read although a handler leaves its request unread, because the handler may wait for the response", () => {
    const end = new End({ limits: { streamWindow: 1000, maxUnread: 100_000 } })
    end.take(post("/", "x".repeat(2000)))
    assert.isFalse(end.isReadable)
    const call = end.call()
    end.send()
    assert.isTrue(end.isReadable)
    end.take(lines("HTTP/1.1 200 ", "Content-Length: 3000", "", "x".repeat(1000)))
    assert.isTrue(end.isReadable, "it may need several messages")
    end.take("x".repeat(1000))
    assert.isFalse(end.isReadable, "the response itself is not read")
    end.mux.consumed(call.stream, 2000)
    assert.isTrue(end.isReadable)
    end.take("x".repeat(1000))
    assert.isFalse(end.isReadable, "the response is whole, and the request unread")
  })

  it("a response is read no further than maxUnread allows, whatever stays unread", () => {
    const end = new End({ limits: { streamWindow: 1000, maxUnread: 3000 } })
    end.call()
    end.send()
    end.take(post("/", "x".repeat(2500)))
    assert.isTrue(end.isReadable)
    end.take(lines("HTTP/1.1 200 ", "Content-Length: 3000", "", "x".repeat(600)))
    assert.isFalse(end.isReadable)
  })
})
