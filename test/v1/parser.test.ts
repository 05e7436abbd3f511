/**
 * PROTOCOL-v1.md, "Wire v1": HTTP/1.1 out of messages that are cut anywhere, and what is refused.
 */
import { assert, describe, it } from "@effect/vitest"
import { ErrorCode } from "../../src/internal/frame/codes.ts"
import { MessageParser } from "../../src/internal/v1/parser.ts"
import { assertLinear } from "../support/cost.ts"
import { liveBytes } from "../support/measurements.ts"
import { bytesOf, get, lines } from "./machine.ts"
import { type Kind, maxHeadSize, parse, type Parsed, Parsing } from "./parsed.ts"

const chunked = "Transfer-Encoding: chunked"

const request = (...text: ReadonlyArray<string>): string => lines("POST /a?b=c HTTP/1.1", ...text)
const response = (...text: ReadonlyArray<string>): string => lines("HTTP/1.1 200 OK", ...text)

/** One message that has ended, and nothing wrong. */
const only = (kind: Kind, message: Uint8Array | string): Parsed => {
  const { faults, messages, parser } = parse(kind, message)
  assert.deepStrictEqual(faults, [])
  assert.strictEqual(messages.length, 1)
  assert.isTrue(messages[0]!.ended)
  assert.isFalse(parser.busy)
  return messages[0]!
}

/** Bytes, one for each character. */
const latin1 = (text: string): Uint8Array => Buffer.from(text, "latin1")

describe("messages in pieces", () => {
  const requests: Readonly<Record<string, Uint8Array | string>> = {
    "without a body": get("/x", "Host: h", "X-Empty:", "X-Trimmed: \t a b \t "),
    "with a length": request("Content-Length: 5", "", "he\r\no"),
    "with a length of 0": request("content-length: 0", "", ""),
    "in chunks": request(chunked, "", "5;ext=\"a\"", "hello", "A ; x", "0123456789", "0", "", ""),
    "in chunks, with trailers": request(chunked, "", "1", "x", "0;last", "X-Sum: 42", "X-More:", "", ""),
    "behind empty lines": `\r\n\n\r\n${get()}`,
    "with bare line feeds": "POST / HTTP/1.1\ncontent-length: 2\nx: y\n\nhi",
    "one after another": get("/1") + request("content-length: 3", "", "abc") +
      request(chunked, "", "2", "hi", "0", "", "") +
      get("/2"),
    "with an empty line between": `${get("/1")}\r\n${get("/2")}`,
    "of HTTP/1.0, in absolute form": lines("GET http://h:1/x?y HTTP/1.0", "", ""),
    "that end early": request("content-length: 10", "", "abc"),
    "with values outside ASCII": Buffer.concat([
      bytesOf("GET / HTTP/1.1\r\nx: zażółć 🐙\r\n"),
      latin1("y: caf\u00e9\r\n\r\n")
    ])
  }
  const responses: Readonly<Record<string, Uint8Array | string>> = {
    "with a length": response("Content-Length: 5", "", "hello"),
    "without a reason": lines("HTTP/1.1 200 ", "Content-Length: 1", "", "x"),
    "without a reason and its space": lines("HTTP/1.1 404", "Content-Length: 1", "", "x"),
    "in chunks, with trailers": response(chunked, "Trailer: X-Sum", "", "c", "chunked-body", "0", "X-Sum: 42", "", ""),
    "without a body": lines("HTTP/1.1 204 No Content", "", "") + lines("HTTP/1.1 304 ", "etag: x", "", ""),
    "of 304 with a length": lines("HTTP/1.1 304 ", "content-length: 7", "", "") + response("content-length: 0", "", ""),
    "one after another": response("content-length: 1", "", "a") + response(chunked, "", "1", "b", "0", "", "")
  }

  const cases = (kind: Kind, samples: typeof requests) => {
    for (const [name, sample] of Object.entries(samples)) {
      it(`${kind.toLowerCase()}s ${name} are parsed alike in any two pieces and byte by byte`, () => {
        const bytes = bytesOf(sample)
        const whole = parse(kind, bytes)
        assert.deepStrictEqual(whole.faults, [])
        assert.isAbove(whole.messages.length, 0)
        for (let cut = 1; cut < bytes.length; cut++) {
          const pieces = parse(kind, bytes.subarray(0, cut), bytes.subarray(cut))
          assert.deepStrictEqual(pieces.faults, [], `cut at ${cut}`)
          assert.deepStrictEqual(pieces.messages, whole.messages, `cut at ${cut}`)
          assert.strictEqual(pieces.parser.busy, whole.parser.busy, `cut at ${cut}`)
        }
        const dribbled = new Parsing(kind)
        assert.isUndefined(dribbled.dribble(bytes))
        assert.deepStrictEqual(dribbled.messages, whole.messages)
        assert.strictEqual(dribbled.parser.busy, whole.parser.busy)
        // Pieces of a larger buffer, as sockets give them.
        const padded = new Uint8Array(bytes.length + 20)
        padded.set(bytes, 7)
        assert.deepStrictEqual(parse(kind, padded.subarray(7, 7 + bytes.length)).messages, whole.messages)
      })
    }
  }
  cases("REQUEST", requests)
  cases("RESPONSE", responses)

  it("a message that has begun keeps the parser busy, wherever the message is cut", () => {
    for (const kind of ["REQUEST", "RESPONSE"] as const) {
      const message = kind === "REQUEST" ? request("content-length: 2", "", "hi") : response(chunked, "", "0", "", "")
      for (let cut = 1; cut < message.length; cut++) {
        assert.isTrue(parse(kind, message.slice(0, cut)).parser.busy, `${kind} cut at ${cut}`)
      }
      assert.isFalse(parse(kind, message).parser.busy)
      assert.isFalse(parse(kind, "", "\r\n", "\n").parser.busy, "empty lines are no message")
    }
  })

  it("a message that has begun after another one keeps the parser busy", () => {
    for (const kind of ["REQUEST", "RESPONSE"] as const) {
      const message = kind === "REQUEST"
        ? request("content-length: 2", "", "hi")
        : response("content-length: 1", "", "x")
      for (let cut = 1; cut < message.length; cut++) {
        assert.isTrue(parse(kind, message + message.slice(0, cut)).parser.busy, `${kind} cut at ${cut}`)
      }
      assert.isFalse(parse(kind, message + message).parser.busy)
    }
  })
})

describe("content of messages", () => {
  it("a request is parsed into method, target and fields, with names in lower case and values trimmed", () => {
    assert.deepStrictEqual(only("REQUEST", get("/a?b=%20", "Host: h", "X-A:  v  w\t", "x-b:")), {
      start: "GET /a?b=%20",
      fields: [["host", "h"], ["x-a", "v  w"], ["x-b", ""]],
      length: undefined,
      body: "",
      ended: true
    })
  })

  it("repeated fields stay apart and in order; those of the transport are dropped", () => {
    const { fields } = only(
      "REQUEST",
      request(
        "Set-Cookie: a=1",
        "set-cookie: b=2, c",
        "Connection: close",
        "Keep-Alive: 1",
        "TE: trailers",
        chunked,
        ""
      )
        + lines("", "0", "", "")
    )
    assert.deepStrictEqual(fields, [["set-cookie", "a=1"], ["set-cookie", "b=2, c"]])
  })

  it("field values that are UTF-8 are decoded as UTF-8, all others as Latin-1", () => {
    const head = Buffer.concat([
      bytesOf("GET / HTTP/1.1\r\nx: zażółć 🐙\r\n"),
      latin1("y: caf\u00e9\r\nz: \u00ff\u00fe\u0085\r\n\r\n")
    ])
    assert.deepStrictEqual(only("REQUEST", head).fields, [["x", "zażółć 🐙"], ["y", "café"], [
      "z",
      "\u00ff\u00fe\u0085"
    ]])
  })

  it("bodies of any bytes are kept as bytes", () => {
    const body = String.fromCharCode(...Array.from({ length: 256 }, (_, byte) => byte))
    assert.strictEqual(only("REQUEST", latin1(request("Content-Length: 256", "", body))).body, body)
    assert.strictEqual(only("RESPONSE", latin1(response(chunked, "", "100", body, "0", "", ""))).body, body)
  })

  it("sizes of chunks may be in any case, with leading zeros, extensions and spaces", () => {
    const body = "0123456789abcdef".repeat(2).slice(0, 26)
    for (const size of ["1a", "1A", "001A", "0000001a", "1A;a=b", "1a ;a=\"b;c\"", "1a\t; a"]) {
      const { body: parsed } = only("REQUEST", request(chunked, "", size, body, "0", "", ""))
      assert.strictEqual(parsed, body, size)
    }
    assert.strictEqual(
      only("REQUEST", request("Transfer-Encoding: CHUNKED", "", "1", "x", "00000000", "", "")).body,
      "x"
    )
  })

  it("methods may be any token of up to 32 bytes, and are kept as written", () => {
    for (const method of ["GET", "get", "M-SEARCH", "x!#$%&'*+-.^_`|~9", "G".repeat(32)]) {
      assert.strictEqual(only("REQUEST", lines(`${method} / HTTP/1.1`, "", "")).start, `${method} /`)
    }
  })

  it("targets in absolute form are reduced to the path and query", () => {
    const targets = { "http://h/x?y": "/x?y", "HTTPS://u@h:1/": "/", "http://h": "/", "http://h?q": "/?q", "*": "*" }
    for (const [target, origin] of Object.entries(targets)) {
      assert.strictEqual(only("REQUEST", get(target)).start, `GET ${origin}`)
    }
  })

  it("responses of 204, 304 and to HEAD have no body, whatever their length says", () => {
    const next = response("content-length: 1", "", "n")
    const answersTo = (called: string, ...pieces: ReadonlyArray<string>) => {
      const parsing = new Parsing("RESPONSE", maxHeadSize, true, called)
      for (const piece of pieces) assert.isUndefined(parsing.feed(piece))
      return parsing.messages.map(({ body, ended, length, start }) => [start, length, body, ended])
    }
    for (const status of [204, 304]) {
      for (
        const [misleading, length] of [["content-length: 3", 3], ["content-length: 0", 0], [chunked, "chunked"], [
          "x: y",
          undefined
        ]]
      ) {
        const head = lines(`HTTP/1.1 ${status} `, String(misleading), "", "")
        assert.deepStrictEqual(answersTo("GET", head + next), [[String(status), length, "", true], [
          "200",
          1,
          "n",
          true
        ]])
      }
    }
    const heads = [response("content-length: 3", "", ""), response(chunked, "", ""), response("", "")]
    assert.deepStrictEqual(answersTo("HEAD", ...heads), [
      ["200", 3, "", true],
      ["200", "chunked", "", true],
      ["200", undefined, "", true]
    ])
  })
})

describe("limits of heads", () => {
  /** A head of so many bytes: each field counts 32 besides its name and value. */
  const sized = (size: number, kind: Kind): string => {
    const filler = "v".repeat(size - 33 - (kind === "REQUEST" ? 1 : 0))
    return lines(kind === "REQUEST" ? "GET / HTTP/1.1" : "HTTP/1.1 204 ", `x: ${filler}`, "", "")
  }

  for (const kind of ["REQUEST", "RESPONSE"] as const) {
    it(`a ${kind.toLowerCase()} of 16,384 bytes is read, one of 16,385 is HEAD_TOO_LARGE, whole or dribbled`, () => {
      const least = sized(maxHeadSize, kind)
      const most = sized(maxHeadSize + 1, kind)
      for (const feed of [(p: Parsing, m: string) => p.feed(m), (p: Parsing, m: string) => p.dribble(m)]) {
        assert.isUndefined(feed(new Parsing(kind), least))
        assert.strictEqual(feed(new Parsing(kind), most)?.code, ErrorCode.HEAD_TOO_LARGE)
        assert.strictEqual(feed(new Parsing(kind, 2000), sized(2001, kind))?.code, ErrorCode.HEAD_TOO_LARGE)
      }
    })
  }

  it("small fields count against the limit of a head by their number", () => {
    const head = get("/", ...Array.from({ length: 500 }, () => "a: b"))
    assert.strictEqual(new Parsing("REQUEST").feed(head)?.code, ErrorCode.HEAD_TOO_LARGE)
    assert.strictEqual(new Parsing("REQUEST").dribble(head)?.code, ErrorCode.HEAD_TOO_LARGE)
  })

  it("methods in lower case and unknown methods are kept as written", () => {
    for (const method of ["get", "QUERY", "M-SEARCH", "x!y~1"]) {
      const { faults, messages } = parse("REQUEST", lines(`${method} / HTTP/1.1`, "", ""))
      assert.deepStrictEqual(faults, [])
      assert.strictEqual(messages[0]?.start, `${method} /`)
    }
  })

  it("a target of more than 8,192 bytes is HEAD_TOO_LARGE", () => {
    assert.isUndefined(new Parsing("REQUEST").feed(get(`/${"a".repeat(8191)}`)))
    assert.strictEqual(new Parsing("REQUEST").feed(get(`/${"a".repeat(8192)}`))?.code, ErrorCode.HEAD_TOO_LARGE)
  })

  it("earlier heads and bodies of a connection do not count against the limit of a head", () => {
    const parsing = new Parsing("REQUEST")
    for (let count = 0; count < 10; count++) parsing.feed(get("/", "x: 0123456789012345").repeat(100))
    for (let count = 0; count < 20; count++) parsing.feed(request("content-length: 5000", "", "b".repeat(5000)))
    for (let count = 0; count < 200; count++) parsing.feed("\r\n".repeat(100))
    parsing.feed(get())
    assert.deepStrictEqual(parsing.faults, [])
    assert.strictEqual(parsing.messages.length, 1021)
  })
})

describe("limits of one message", () => {
  const chunks = (count: number, size: number) => `${size.toString(16)}\r\n${"b".repeat(size)}\r\n`.repeat(count)
  const head = response("transfer-encoding: chunked", "", "")

  it("a message may hold as many chunks of 2 KiB as there is room for", () => {
    const parsing = parse("RESPONSE", `${head}${chunks(8000, 2048)}0\r\n\r\n`)
    assert.deepStrictEqual(parsing.faults, [])
    assert.isTrue(parsing.messages[0]?.ended)
  })

  it("a message may hold two thousand chunks of a byte, which are passed on at once, but not five thousand", () => {
    let told = 0
    const parser = new MessageParser("RESPONSE", 16_384, {
      onHead: () => false,
      onBody: (data) => {
        assert.strictEqual(data.length, 2000)
        told++
      },
      onEnd() {}
    })
    assert.isUndefined(parser.execute(bytesOf(head)))
    assert.isUndefined(parser.execute(bytesOf(chunks(2000, 1))))
    assert.strictEqual(told, 1)
    assert.strictEqual(
      new Parsing("RESPONSE", 16_384, false).feed(head + chunks(5000, 1))?.code,
      ErrorCode.EXCESSIVE_LOAD
    )
  })

  it("a message may hold a hundred requests, but not a thousand", () => {
    assert.isUndefined(new Parsing("REQUEST").feed(get().repeat(100)))
    assert.strictEqual(new Parsing("REQUEST").feed(get().repeat(1000))?.code, ErrorCode.EXCESSIVE_LOAD)
  })
})

describe("malformed messages", () => {
  const refused = (kind: Kind, cases: Readonly<Record<string, string>>) => {
    for (const [name, message] of Object.entries(cases)) {
      it(`the parser of ${kind.toLowerCase()}s refuses ${name} as MALFORMED, and can be used again`, () => {
        const bytes = latin1(message)
        const feeds = [(p: Parsing) => p.feed(bytes), (p: Parsing) => p.dribble(bytes)]
        for (const feed of feeds) {
          const parsing = new Parsing(kind)
          const fault = feed(parsing)
          assert.strictEqual(fault?.code, ErrorCode.MALFORMED)
          assert.isBelow(fault?.reason.length ?? 0, 300)
          assert.isFalse(parsing.messages.some(({ ended }) => ended))
          assert.isFalse(parsing.parser.busy)
          parsing.messages.length = 0
          assert.isUndefined(parsing.feed(kind === "REQUEST" ? get("/again") : response("content-length: 1", "", "x")))
          assert.deepStrictEqual(parsing.messages.map(({ ended, start }) => [start, ended]), [
            [kind === "REQUEST" ? "GET /again" : "200", true]
          ])
        }
      })
    }
  }

  const size = (line: string) => request(chunked, "", line, "hello", "0", "", "")
  const long = "x".repeat(5000)
  refused("REQUEST", {
    "a long transfer-encoding, which is not quoted at length": request(`Transfer-Encoding: ${long}`, "", ""),
    "a long length, which is not quoted at length": request(`Content-Length: ${long}`, "", ""),
    "a long name, which is not quoted at length": request(`${long}: y`, "", ""),
    "a CR behind a field that is left out": request("Connection: close\r", "", ""),
    "a CR behind a trailer": request(chunked, "", "0", "x: y\r", "", ""),
    "a CR in the extension of a chunk": size("5;a\rb"),
    "a negative chunk size": size("-5"),
    "no chunk size": size(""),
    "a chunk size that is no number": size("NaN"),
    "a chunk size of Infinity": size("Infinity"),
    "a chunk size in the way of programs": size("0x5"),
    "a chunk size with a sign": size("+5"),
    "a chunk size with a fraction": size("5.0"),
    "a huge chunk size": size("fffffffff"),
    "a chunk size that begins as one": size("5z"),
    "a chunk size behind a space": size(" 5"),
    "an extension without its size": size(";a=b"),
    "a chunk that is longer than its size": request(chunked, "", "2", "hello", "0", "", ""),
    "two lengths": request("Content-Length: 5", "Content-Length: 5", "", "hello"),
    "two different lengths": request("Content-Length: 5", "Content-Length: 3", "", "hello"),
    "a list of lengths": request("Content-Length: 5, 5", "", "hello"),
    "a negative length": request("Content-Length: -5", "", "hello"),
    "a length with a sign": request("Content-Length: +5", "", "hello"),
    "a length that is no number": request("Content-Length: five", "", "hello"),
    "a length in the way of programs": request("Content-Length: 0x5", "", "hello"),
    "a length with an exponent": request("Content-Length: 1e1", "", "hello"),
    "an empty length": request("Content-Length:", "", "hello"),
    "a huge length": request("Content-Length: 99999999999999999999", "", "hello"),
    "a length and chunks": request("Content-Length: 5", chunked, "", "0", "", ""),
    "chunks and a length": request(chunked, "Content-Length: 5", "", "0", "", ""),
    "chunks twice": request(chunked, chunked, "", "0", "", ""),
    "another transfer-encoding": request("Transfer-Encoding: gzip", "", "0", "", ""),
    "two transfer-encodings": request("Transfer-Encoding: gzip, chunked", "", "0", "", ""),
    "an identity transfer-encoding": request("Transfer-Encoding: identity", "", ""),
    "an empty transfer-encoding": request("Transfer-Encoding:", "", ""),
    // The sign for kelvin is no letter, though its lower case is one.
    "a transfer-encoding that looks like chunked": Buffer.from(
      request("Transfer-Encoding: chun\u212aed", "", "0", "", "")
    ).toString("latin1"),
    "a space before the colon": request("X : y", "", ""),
    "a tab before the colon": request("X\t: y", "", ""),
    "a field on two lines": request("X: y", " z", "", ""),
    "a field on two lines, by a tab": request("X: y", "\tz", "", ""),
    "a first line that goes on": request(" X: y", "", ""),
    "a field without a name": request(": y", "", ""),
    "a field without a colon": request("xy", "", ""),
    "a name that is no token": request("x(y): z", "", ""),
    "a name outside ASCII": request("x\u00e9: z", "", ""),
    "a name of 257 bytes": request(`${"x".repeat(257)}: z`, "", ""),
    "NUL in a value": request("X: a\0b", "", ""),
    "CR in a value": request("X: a\rb", "", ""),
    "CR before the end of the line": request("X: a\r", "", ""),
    "a trailer that is no field": request(chunked, "", "0", "x y", "", ""),
    "a trailer with a space before the colon": request(chunked, "", "0", "x : y", "", ""),
    "an endless chunk line": request(chunked, "", `1${"0".repeat(5000)}`),
    "an upgrade": get("/", "Connection: Upgrade", "Upgrade: websocket"),
    "CONNECT": lines("CONNECT h:1 HTTP/1.1", "", ""),
    "CONNECT in origin form": lines("CONNECT / HTTP/1.1", "", ""),
    "a method that is no token": lines("G(T / HTTP/1.1", "", ""),
    "a method of 33 letters": lines(`${"G".repeat(33)} / HTTP/1.1`, "", ""),
    "no method": lines(" / HTTP/1.1", "", ""),
    "no target": lines("GET HTTP/1.1", "", ""),
    "an empty target": lines("GET  HTTP/1.1", "", ""),
    "a target of two words": lines("GET /a b HTTP/1.1", "", ""),
    "a relative target": get("a/b"),
    "a target in authority form": get("h:1"),
    "a target of another scheme": get("ftp://h/x"),
    "a target with a fragment": get("/a#b"),
    "an absolute target with a fragment": get("http://h/a#b"),
    "a target with a control character": get("/a\u0001"),
    "a target with a tab": get("/a\tb"),
    "a target outside ASCII": get("/\u00e9"),
    "no version": lines("GET /", "", ""),
    "HTTP/2.0": lines("GET / HTTP/2.0", "", ""),
    "HTTP/0.9": lines("GET / HTTP/0.9", "", ""),
    "the preface of HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a version of two digits": lines("GET / HTTP/1.10", "", ""),
    "another protocol": lines("GET / RTSP/1.0", "", ""),
    "a response": response("content-length: 0", "", ""),
    "JSON": "{\"Type\":\"ClientHandshakeAckFrame\"}\n",
    "bytes": "\u0016\u0003\u0001\u0002\0\u0001\n"
  })

  refused("RESPONSE", {
    "a request": get(),
    "a status of two digits": lines("HTTP/1.1 20 OK", "Content-Length: 0", "", ""),
    "the status 099": lines("HTTP/1.1 099 ", "Content-Length: 0", "", ""),
    "the status 600": lines("HTTP/1.1 600 ", "Content-Length: 0", "", ""),
    "HTTP/2": lines("HTTP/2.0 200 OK", "Content-Length: 0", "", ""),
    "two lengths": response("Content-Length: 1", "Content-Length: 1", "", "x"),
    "a length and chunks": response("Content-Length: 1", chunked, "", "0", "", ""),
    "a negative chunk size": response(chunked, "", "-1", ""),
    "a field on two lines": response("x: y", " z", "", ""),
    "switching protocols": lines("HTTP/1.1 101 ", "Connection: upgrade", "Upgrade: x", "", "")
  })

  it("the parser drops the rest of a piece after a fault", () => {
    const parsing = parse("REQUEST", `BAD\r\n\r\n${get("/lost")}`, get("/next"))
    assert.strictEqual(parsing.faults.length, 1)
    assert.deepStrictEqual(parsing.messages.map(({ start }) => start), ["GET /next"])
  })

  it("the parser reports the fault that its handler finds in a head", () => {
    const own = { code: ErrorCode.PROTOCOL_ERROR, reason: "not asked for" }
    const heads: Array<string> = []
    const parser = new MessageParser("REQUEST", maxHeadSize, {
      onHead({ target }) {
        heads.push(target)
        return target === "/wrong" ? own : false
      },
      onBody: () => assert.fail("no body"),
      onEnd() {}
    })
    assert.deepStrictEqual(parser.execute(bytesOf(get("/wrong") + get("/lost"))), own)
    assert.isUndefined(parser.execute(bytesOf(get("/next"))))
    assert.deepStrictEqual(heads, ["/wrong", "/next"])
  })
})

describe("endless messages", () => {
  const mebibyte = 1024 * 1024

  /** Feeds pieces until one is refused; answers how many bytes were taken, and checks what is kept meanwhile. */
  const endless = (begin: string, piece: string, code: number, most: number) => {
    const parsing = new Parsing("REQUEST", maxHeadSize, false)
    assert.isUndefined(parsing.feed(begin))
    const before = liveBytes()
    let taken = 0
    let fault = undefined
    while (fault === undefined) {
      taken += piece.length
      fault = parsing.feed(piece)
      assert.isAtMost(taken, most)
    }
    assert.strictEqual(fault.code, code)
    assert.isBelow(liveBytes() - before, 2 * mebibyte)
  }

  const { HEAD_TOO_LARGE, MALFORMED } = ErrorCode
  it("a request line that never ends is HEAD_TOO_LARGE", () =>
    endless("GET /", "a".repeat(100), HEAD_TOO_LARGE, 20_000))
  it("a field value that never ends is HEAD_TOO_LARGE", () =>
    endless("GET / HTTP/1.1\r\nx: ", "v", HEAD_TOO_LARGE, 20_000))
  it("fields that never end are HEAD_TOO_LARGE", () =>
    endless("GET / HTTP/1.1\r\n", "a: bcdefghi\r\n", HEAD_TOO_LARGE, 40_000))
  it("a chunk's size line that never ends is MALFORMED", () =>
    endless(request(chunked, "", "5;"), "x".repeat(10), MALFORMED, 5000))
  it("trailers that never end are MALFORMED", () => endless(request(chunked, "", "0", ""), "a: b\r\n", MALFORMED, 5000))
  it("a trailer that never ends is MALFORMED", () =>
    endless(request(chunked, "", "0", "a: "), "v".repeat(10), MALFORMED, 5000))

  it("trailers of a megabyte each are MALFORMED", () =>
    endless(request(chunked, "", "0", ""), `a: ${"v".repeat(mebibyte)}\r\n`, MALFORMED, 4 * mebibyte))

  it("bodies, chunks and empty lines take no memory once they are parsed", () => {
    const parsing = new Parsing("REQUEST", maxHeadSize, false)
    const before = liveBytes()
    parsing.feed(request("content-length: 999999999999", "", ""))
    const piece = new Uint8Array(mebibyte)
    for (let count = 0; count < 64; count++) assert.isUndefined(parsing.feed(piece))
    const second = new Parsing("REQUEST", maxHeadSize, false)
    second.feed(request(chunked, "", ""))
    for (let count = 0; count < 20_000; count++) second.feed("1;x=y\r\nz\r\n")
    second.feed("0\r\n\r\n")
    for (let count = 0; count < 20_000; count++) second.feed("\r\n")
    assert.deepStrictEqual(second.faults, [])
    assert.isFalse(second.parser.busy)
    assert.isBelow(liveBytes() - before, 4 * mebibyte)
  })

  it("a head takes time in proportion to its size, however small its pieces are", () => {
    assertLinear(8000, (fields) => {
      const head = bytesOf(lines("GET / HTTP/1.1", ...Array.from({ length: fields }, () => "a:")))
      const parsing = new Parsing("REQUEST")
      return () => parsing.dribble(head)
    })
  })

  for (
    const [name, head] of [
      ["a field with many spaces before a CR", (size: number) => get("/", `a:${" ".repeat(size)}\rb`)],
      ["a long target with a fragment", (size: number) => get(`http://${"a".repeat(size)}#`)]
    ] as const
  ) {
    it(`${name} is refused in time in proportion to its size`, () =>
      assertLinear(16_000, (size) => {
        const parser = new MessageParser("REQUEST", 100_000, { onHead: () => false, onBody() {}, onEnd() {} })
        const bytes = bytesOf(head(size))
        return () => assert.strictEqual(parser.execute(bytes)?.code, ErrorCode.MALFORMED)
      }))
  }
})
