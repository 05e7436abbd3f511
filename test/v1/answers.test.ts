/**
 * The machine of wire v1 as it answers: order, heads, times, and back-pressure.
 */
import { assert, describe, it } from "@effect/vitest"
import { ErrorCode } from "../../src/internal/frame/codes.ts"
import { bytes } from "../streams/joined.ts"
import { bytesOf, date, End, type EndOptions, get, lines, post } from "./machine.ts"

const idle = { local: 0, remote: 0, waiting: 0 }

const assertAtRest = (end: End): void => {
  assert.deepStrictEqual(end.mux.active, idle)
  assert.strictEqual(end.mux.unreadBytes, 0)
  assert.isUndefined(end.mux.pull())
  assert.isTrue(end.isReadable)
  assert.deepStrictEqual(end.broken, [])
  assert.strictEqual(end.clock.timers.size, 0)
}

/** The answer to a request, as the messages that were sent. */
const answered = (request: string, handle: (end: End) => void, options?: EndOptions): Array<string> => {
  const end = new End(options)
  end.take(request)
  handle(end)
  const messages = end.send()
  assertAtRest(end)
  return messages
}

const statusOf = (message: string): number => Number(message.split(" ")[1])

describe("responses", () => {
  it("responses leave in the order of their requests, whatever order handlers finish in", () => {
    for (const requests of [[get("/0") + get("/1") + get("/2")], [get("/0"), get("/1"), get("/2")]]) {
      const end = new End()
      end.take(...requests)
      assert.deepStrictEqual(end.targets, ["/0", "/1", "/2"])
      end.respond(2, 202, "c")
      end.respond(1, 201, "b")
      assert.deepStrictEqual(end.send(), [])
      assert.deepStrictEqual(end.mux.active, { local: 0, remote: 3, waiting: 0 })
      end.respond(0, 200, "a")
      assert.deepStrictEqual(end.send().map((message) => [statusOf(message), message.at(-1)]), [
        [200, "a"],
        [201, "b"],
        [202, "c"]
      ])
      assertAtRest(end)
    }
  })

  it("a response that is complete has a content-length and is one message", () => {
    assert.deepStrictEqual(answered(get(), (end) => end.respond(0, 200, "hello", [["content-type", "a/b"]])), [
      `HTTP/1.1 200 \r\nContent-Type: a/b\r\nContent-Length: 5\r\n${date}\r\nhello`
    ])
    assert.deepStrictEqual(answered(get(), (end) => end.respond(0, 404)), [
      `HTTP/1.1 404 \r\nContent-Length: 0\r\n${date}\r\n`
    ])
  })

  it("a response that is not complete yet is sent in chunks, until the last one", () => {
    const end = new End()
    end.take(get())
    const { stream } = end.accepted[0]!
    end.mux.respond(stream, 200, [], false)
    assert.deepStrictEqual(end.send(), [`HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n${date}\r\n`])
    end.mux.write(stream, bytesOf("hello"))
    end.mux.write(stream, bytesOf(" world, again"))
    assert.deepStrictEqual(end.send(), ["12\r\nhello world, again\r\n"])
    assert.deepStrictEqual(end.send(), [])
    end.mux.write(stream, new Uint8Array(0))
    end.mux.write(stream, bytesOf("x"))
    end.mux.finish(stream)
    assert.deepStrictEqual(end.send(), ["1\r\nx\r\n0\r\n\r\n"])
    end.mux.finish(stream)
    assertAtRest(end)
  })

  it("a response whose body ends without another byte ends with the last chunk", () => {
    const end = new End()
    end.take(get())
    const { stream } = end.accepted[0]!
    end.mux.respond(stream, 200, [], false)
    end.mux.write(stream, bytesOf("a"))
    assert.deepStrictEqual(end.send(), [`HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n${date}\r\n1\r\na\r\n`])
    end.mux.finish(stream)
    assert.deepStrictEqual(end.send(), ["0\r\n\r\n"])
    assertAtRest(end)
  })

  it("a response whose length is declared is not chunked, and ends without a message of its own", () => {
    const end = new End()
    end.take(get("/1") + get("/2"))
    const { stream } = end.accepted[0]!
    end.mux.respond(stream, 200, [["content-length", "5"]], false)
    end.mux.write(stream, bytesOf("hel"))
    assert.deepStrictEqual(end.send(), [`HTTP/1.1 200 \r\nContent-Length: 5\r\n${date}\r\nhel`])
    end.mux.write(stream, bytesOf("lo"))
    assert.deepStrictEqual(end.send(), ["lo"])
    end.respond(1, 204)
    assert.deepStrictEqual(end.send(), [])
    end.mux.finish(stream)
    assert.deepStrictEqual(end.send(), [`HTTP/1.1 204 \r\n${date}\r\n`])
    assertAtRest(end)
  })

  it("a response to HEAD has the length 0 and no body; 204 and 304 have neither", () => {
    const fields = [["content-length", "5"], ["etag", "e"]] as const
    const head = lines("HEAD / HTTP/1.1", "", "")
    const zero = [`HTTP/1.1 200 \r\nEtag: e\r\nContent-Length: 0\r\n${date}\r\n`]
    assert.deepStrictEqual(answered(head, (end) => end.respond(0, 200, "", fields)), zero)
    assert.deepStrictEqual(answered(head, (end) => end.respond(0, 200, "hello", fields)), zero)
    for (const status of [204, 304]) {
      const none = [`HTTP/1.1 ${status} \r\nEtag: e\r\n${date}\r\n`]
      assert.deepStrictEqual(answered(get(), (end) => end.respond(0, status, "", fields)), none)
      assert.deepStrictEqual(answered(get(), (end) => end.respond(0, status, "hello", fields)), none)
      assert.deepStrictEqual(answered(head, (end) => end.respond(0, status, "", fields)), none)
    }
    // A stream that never ends is not waited for.
    const messages = answered(head, ({ accepted, mux }) => {
      mux.respond(accepted[0]!.stream, 200, [], false)
      mux.write(accepted[0]!.stream, bytes(10))
    })
    assert.deepStrictEqual(messages, [`HTTP/1.1 200 \r\nContent-Length: 0\r\n${date}\r\n`])
  })

  it("a response is never an empty message, however its body is written", () => {
    for (let order = 0; order < 243; order++) {
      const end = new End()
      end.take(get())
      const { stream } = end.accepted[0]!
      end.mux.respond(stream, 200, order % 2 === 0 ? [] : [["content-length", "4"]], false)
      const messages: Array<string> = []
      let written = 0
      for (let step = 0, left = order; step < 5; step++, left = Math.floor(left / 3)) {
        if (left % 3 === 0) messages.push(...end.send())
        else end.mux.write(stream, bytes(left % 3 === 1 || written === 4 ? 0 : (written++, 1), 0x78))
      }
      end.mux.write(stream, bytes(4 - written, 0x78))
      end.mux.finish(stream)
      messages.push(...end.send())
      assert.isFalse(messages.includes(""), `order ${order}`)
      assert.strictEqual(messages.join("").match(/x/g)?.length, 4)
      assertAtRest(end)
    }
  })

  it("a call does not come between the messages of a response, nor a response between those of a call", () => {
    const end = new End()
    end.take(get())
    const { stream } = end.accepted[0]!
    end.mux.respond(stream, 200, [], false)
    end.send()
    end.call("GET", "/own")
    assert.deepStrictEqual(end.send(), [])
    end.mux.write(stream, bytesOf("x"))
    end.mux.finish(stream)
    assert.deepStrictEqual(end.send().map((message) => message.slice(0, 8)), ["1\r\nx\r\n0\r", "GET /own"])
  })

  it("a large body leaves whole, in several messages", () => {
    const body = "0123456789abcdef".repeat(10_000)
    const messages = answered(get(), (end) => end.respond(0, 200, body))
    assert.isAbove(messages.length, 1)
    assert.isBelow(Math.max(...messages.map(({ length }) => length)), 40_000)
    assert.strictEqual(messages.join("").split("\r\n\r\n")[1], body)
    assert.match(messages[0]!, /Content-Length: 160000\r\n/)
  })
})

describe("faulty requests", () => {
  const texts = (end: End) => end.send().map((message) => [statusOf(message), /content-type: text/i.test(message)])

  it("a malformed request is answered 400, one with a head that is too large 431, and the next message is parsed anew", () => {
    const end = new End()
    end.take("nonsense\r\n\r\n", get("/1"), get("/", `x: ${"y".repeat(20_000)}`), get("/2", "a : b"), get("/3"))
    assert.deepStrictEqual(end.targets, ["/1", "/3"])
    end.respond(0, 200)
    end.respond(1, 200)
    assert.deepStrictEqual(texts(end), [[400, true], [200, false], [431, true], [400, true], [200, false]])
    assertAtRest(end)
  })

  it("a request whose body is malformed is answered 400 in its own place, and its handler is told", () => {
    const end = new End()
    end.take(get("/1") + lines("POST /2 HTTP/1.1", "transfer-encoding: chunked", "x-correlation-id: two", "", ""))
    end.take("-1\r\n", get("/3"))
    assert.deepStrictEqual(end.targets, ["/1", "/2", "/3"])
    assert.deepInclude(end.accepted[1]!.handler.failure, { code: ErrorCode.MALFORMED, by: "local" })
    end.respond(2, 200)
    end.respond(0, 200)
    const messages = end.send()
    assert.deepStrictEqual(messages.map(statusOf), [200, 400, 200])
    assert.match(messages[1]!, /X-Correlation-Id: two\r\n/)
    assertAtRest(end)
  })

  it("malformed requests beyond resetBurst are EXCESSIVE_LOAD; at resetsPerSecond they are answered for ever", () => {
    const end = new End({ limits: { resetBurst: 100, resetsPerSecond: 10 } })
    for (let count = 0; count < 100; count++) end.take("x\n")
    assert.strictEqual(end.send().length, 100)
    assert.strictEqual(end.receive("x\n")?.code, ErrorCode.EXCESSIVE_LOAD)
    for (let second = 0; second < 50; second++) {
      end.clock.advance(100)
      end.take("x\n")
      assert.strictEqual(end.send().length, 1)
    }
  })

  it("a refused request is answered by the reason: 503 when nothing is served, 431, 400 or else 500", () => {
    const { HEAD_TOO_LARGE, INTERNAL_ERROR, MALFORMED, NOT_SERVING, REFUSED_STREAM } = ErrorCode
    const codes = [[NOT_SERVING, 503], [REFUSED_STREAM, 503], [HEAD_TOO_LARGE, 431], [MALFORMED, 400], [
      INTERNAL_ERROR,
      500
    ]] as const
    for (const [code, status] of codes) {
      const end = new End()
      end.refuse = { code, reason: "because" }
      end.take(post("/", "a body that nobody reads"))
      const [message] = end.send()
      assert.strictEqual(statusOf(message!), status)
      assert.match(message!, /\r\n\r\nbecause\n$/)
      assertAtRest(end)
    }
  })

  it("a request after goAway is answered 503; requests in progress are not", () => {
    const end = new End()
    end.take(get("/1"))
    end.mux.goAway()
    end.take(post("/2", "body", "x-correlation-id: two"))
    end.respond(0, 200)
    const messages = end.send()
    assert.deepStrictEqual(messages.map(statusOf), [200, 503])
    assert.match(messages[1]!, /Retry-After: 1\r\n/)
    assert.match(messages[1]!, /X-Correlation-Id: two\r\n/)
    assert.deepStrictEqual(end.targets, ["/1"])
    assertAtRest(end)
  })
})

describe("handlers", () => {
  it("a handler that does not answer in time is stopped: its request gets a 504, and its late response is ignored", () => {
    const end = new End({ responseTimeout: 3000 })
    end.take(get("/1") + get("/2"))
    end.clock.advance(2999)
    assert.isFalse(end.accepted[0]!.handler.stopped)
    end.respond(1, 200, "in time")
    end.clock.advance(1)
    assert.isTrue(end.accepted[0]!.handler.stopped)
    assert.isFalse(end.accepted[1]!.handler.stopped)
    end.respond(0, 200, "late")
    const messages = end.send()
    assert.deepStrictEqual(messages.map(statusOf), [504, 200])
    assert.notInclude(messages[0]!, "late")
    assertAtRest(end)
  })

  it("a handler that has begun to answer may take its time", () => {
    const end = new End({ responseTimeout: 3000 })
    end.take(get())
    end.mux.respond(end.accepted[0]!.stream, 200, [], false)
    end.send()
    end.clock.advance(100_000)
    assert.isFalse(end.accepted[0]!.handler.stopped)
    end.mux.finish(end.accepted[0]!.stream)
    assert.deepStrictEqual(end.send(), ["0\r\n\r\n"])
    assertAtRest(end)
  })

  it("a handler that fails before its head has left makes the response a 500", () => {
    const { INTERNAL_ERROR } = ErrorCode
    assert.deepStrictEqual(answered(get(), (end) => end.mux.reset(end.accepted[0]!.stream, INTERNAL_ERROR, "")), [
      `HTTP/1.1 500 \r\nContent-Length: 0\r\n${date}\r\n`
    ])
    const begun = answered(get("/", "x-correlation-id: x"), ({ accepted: [accepted], mux }) => {
      mux.respond(accepted!.stream, 200, [["etag", "e"]], false)
      mux.write(accepted!.stream, bytes(10))
      mux.reset(accepted!.stream, INTERNAL_ERROR, "")
    })
    assert.deepStrictEqual(begun, [`HTTP/1.1 500 \r\nContent-Length: 0\r\n${date}X-Correlation-Id: x\r\n\r\n`])
  })

  it("a handler that fails within its body breaks the connection: a part must not look like the whole", () => {
    const end = new End()
    end.take(get())
    const { stream } = end.accepted[0]!
    end.mux.respond(stream, 200, [], false)
    end.mux.write(stream, bytesOf("x"))
    end.send()
    end.mux.reset(stream, ErrorCode.INTERNAL_ERROR, "the handler failed")
    assert.deepStrictEqual(end.broken, ["the handler failed"])
    assert.deepStrictEqual(end.send(), [])
  })

  it("a handler that answers before its request has arrived may leave the request unread", () => {
    const end = new End({ limits: { streamWindow: 10 } })
    end.take(lines("POST / HTTP/1.1", "content-length: 20", "", "x".repeat(5)))
    end.respond(0, 200)
    assert.strictEqual(end.send().length, 1)
    end.take("y".repeat(15))
    assertAtRest(end)
  })

  it("a handler that stops reading its request does not hold up other messages", () => {
    const end = new End({ limits: { streamWindow: 10 } })
    end.take(lines("POST / HTTP/1.1", "content-length: 40", "", "x".repeat(20)))
    assert.isFalse(end.isReadable)
    end.mux.stopReading(end.accepted[0]!.stream)
    assert.isTrue(end.isReadable)
    end.take("y".repeat(20))
    assert.strictEqual(end.mux.unreadBytes, 0)
    end.respond(0, 200)
    end.send()
    assertAtRest(end)
  })
})

describe("back-pressure", () => {
  it("a writer waits while sendBuffer is full, and goes on when half of it has left", () => {
    const end = new End({ limits: { sendBuffer: 100_000 } })
    end.take(get())
    const { handler, stream } = end.accepted[0]!
    end.mux.respond(stream, 200, [], false)
    assert.isTrue(end.mux.write(stream, bytes(99_999)))
    assert.isFalse(end.mux.write(stream, bytes(1)))
    end.mux.pull()
    assert.strictEqual(handler.writable, 0)
    end.mux.pull()
    assert.strictEqual(handler.writable, 1)
    end.send()
    assert.strictEqual(handler.writable, 1, "it is told once")
    end.mux.finish(stream)
    end.send()
    assertAtRest(end)
  })

  it("unread bytes above the window stop the reading of requests and responses until they are consumed", () => {
    const end = new End({ limits: { streamWindow: 10 } })
    const call = end.call()
    end.send()
    end.take(lines("HTTP/1.1 200 ", "content-length: 100", "", "x".repeat(10)))
    assert.isTrue(end.isReadable)
    end.take("xx")
    assert.isFalse(end.isReadable)
    end.mux.consumed(call.stream, 1)
    assert.isFalse(end.isReadable)
    const told = end.readable
    end.mux.consumed(call.stream, 1)
    assert.isTrue(end.isReadable)
    assert.isAbove(end.readable, told)
    end.mux.consumed(call.stream, 10)
    assert.strictEqual(end.mux.unreadBytes, 0)
  })

  it("unread bytes of several bodies add up; the end of a body, or of the connection, frees its own", () => {
    const end = new End({ limits: { streamWindow: 10 } })
    end.call()
    end.send()
    end.take(lines("HTTP/1.1 200 ", "content-length: 12", "", "x".repeat(11)))
    end.take("x")
    assert.strictEqual(end.mux.unreadBytes, 0)
    end.take(lines("POST / HTTP/1.1", "content-length: 100", "", "x".repeat(11)))
    assert.isFalse(end.isReadable)
    const told = end.readable
    end.mux.fail({ code: ErrorCode.INTERNAL_ERROR, reason: "" })
    assert.isTrue(end.isReadable)
    assert.isAbove(end.readable, told)
    assert.strictEqual(end.mux.unreadBytes, 0)
  })

  it("requests up to maxConcurrentStreams stop the reading until one is answered", () => {
    const end = new End({ limits: { maxConcurrentStreams: 3 } })
    end.take(get("/1"), get("/2"))
    assert.isTrue(end.isReadable)
    end.take(get("/3"))
    assert.isFalse(end.isReadable)
    end.respond(1, 200)
    end.send()
    assert.isFalse(end.isReadable, "the first one goes first")
    const told = end.readable
    end.respond(0, 200)
    end.send()
    assert.isTrue(end.isReadable)
    assert.isAbove(end.readable, told)
  })

  it("a request that has begun is read to its end, however few requests may be in progress", () => {
    const end = new End({ limits: { maxConcurrentStreams: 1 } })
    end.take(lines("POST / HTTP/1.1", "content-length: 4", "", "ab"))
    assert.isTrue(end.isReadable)
  })

  it("a response is read while no more requests may be in progress, because a handler may wait for it", () => {
    const end = new End({ limits: { maxConcurrentStreams: 1 } })
    end.take(get())
    end.call()
    assert.isFalse(end.isReadable)
    // The reader looks again when the call leaves, which a full link may put off.
    const told = end.readable
    end.send()
    assert.isTrue(end.isReadable)
    assert.isAbove(end.readable, told)
    // Also when it comes in several messages.
    end.take(lines("HTTP/1.1 200 ", "content-length: 4", "", "ab"))
    assert.isTrue(end.isReadable)
    end.take("cd")
    assert.isFalse(end.isReadable)
  })

  it("a message of many requests runs no more handlers than allowed, and the other requests are answered or a violation", () => {
    const end = new End()
    const violation = end.receive(get().repeat(20_000))
    assert.isAtMost(end.accepted.length, 100)
    assert.isAtMost(end.mux.active.remote, 2000)
    if (violation !== undefined) assert.strictEqual(violation.code, ErrorCode.EXCESSIVE_LOAD)
  })

  it("a message of many requests that takes longer than a turn is handled in parts, each request once", () => {
    const end = new End()
    end.turn = 3
    const targets = () => end.accepted.map(({ request }) => request.target)
    const all = Array.from({ length: 8 }, (_, index) => `/${index}`)
    end.take(all.map((target) => get(target)).join(""))
    const counts = [targets().length]
    while (end.mux.isReceiving) {
      assert.isUndefined(end.mux.receiveRest())
      counts.push(targets().length)
    }
    assert.deepStrictEqual(counts, [3, 6, 8])
    assert.deepStrictEqual(targets(), all)
  })

  it("a malformed request after the first part of a message is answered 400, and ends the message", () => {
    const end = new End()
    end.turn = 2
    end.take(`${get()}${get()}nonsense\r\n\r\n${get()}`)
    assert.isTrue(end.mux.isReceiving)
    assert.isUndefined(end.mux.receiveRest())
    assert.isFalse(end.mux.isReceiving)
    assert.strictEqual(end.accepted.length, 2)
    end.respond(0)
    end.respond(1)
    assert.match(end.send().join(""), /400/)
    end.take(get("/next"))
    assert.strictEqual(end.accepted.at(-1)?.request.target, "/next")
  })

  it("megabytes of blank lines are skipped in parts, and the request after them is served", () => {
    const end = new End()
    end.turn = 4
    end.take("\r\n".repeat(500_000) + get("/behind"))
    let parts = 0
    for (; end.mux.isReceiving; parts++) assert.isUndefined(end.mux.receiveRest())
    assert.strictEqual(parts, 3)
    assert.strictEqual(end.accepted[0]?.request.target, "/behind")
  })

  it("whole bodies that nobody reads stop the reading before they are many times the window", () => {
    const end = new End({ limits: { streamWindow: 1000, maxUnread: 50_000 } })
    let sent = 0
    while (end.isReadable && sent < 90) {
      end.take(post("/", "x".repeat(10_000)))
      sent++
    }
    assert.isBelow(sent, 10)
  })
})
