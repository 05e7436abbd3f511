/**
 * PROTOCOL.md, "Heads" and "Bodies": requests that can be read, and are wrong. Each costs its own stream.
 */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { bytes, type Code, concat, data, type Fields, hex, request } from "../support/frames.ts"
import { hostile } from "../support/hubUnderAttack.ts"
import type { RawPeer } from "../support/rawPeer.ts"

const refused = (title: string, code: Code, send: (peer: RawPeer) => Effect.Effect<unknown>) =>
  hostile(`${title} resets the stream with ${code}, and the connection lives`, (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      yield* send(peer)
      yield* peer.expectReset(1, code)
      yield* peer.expectAlive(3)
    }))

/** The size of a varint, which is up to 2 bytes here. */
const varint = (value: number) => value < 64 ? Uint8Array.of(value) : Uint8Array.of(0x40 | value >> 8, value & 0xff)

const string = (text: string | Uint8Array) => {
  const content = typeof text === "string" ? bytes(text) : text
  return concat(varint(content.length), content)
}

/** A GET of `/ping` on stream 1 with these bytes as its fields. */
const withFieldBytes = (...fields: ReadonlyArray<Uint8Array>) => {
  const payload = concat(hex("01 01"), string("/ping"), ...fields)
  return concat(hex("81"), varint(payload.length), payload)
}

describe("method", () => {
  refused("the method CONNECT", "MALFORMED", (peer) => peer.sendFrames(request(1, "/ping", { method: "CONNECT" })))
  refused("a method that is no token", "MALFORMED", (peer) => peer.sendFrames(request(1, "/ping", { method: "GE T" })))
  refused("an empty method", "MALFORMED", (peer) => peer.sendFrames(request(1, "/ping", { method: "" })))
  refused("a method with CR LF", "MALFORMED", (peer) => peer.sendFrames(request(1, "/ping", { method: "GET\r\nx: y" })))
  refused(
    "a method of 33 bytes",
    "MALFORMED",
    (peer) => peer.sendFrames(request(1, "/ping", { method: "M".repeat(33) }))
  )
})

describe("target", () => {
  const targets: Readonly<Record<string, string>> = {
    "an empty target": "",
    "absolute form": "http://example.com/ping",
    "authority form": "example.com:80",
    "no slash": "ping",
    "two asterisks": "**",
    "a space": "/pi ng",
    "a fragment": "/ping#x",
    "CR LF": "/ping\r\nx: y",
    "NUL": "/ping\0",
    "DEL": "/ping\x7f",
    "more than ASCII": "/pïng",
    "8,193 bytes": `/${"x".repeat(8192)}`
  }
  for (const [title, target] of Object.entries(targets)) {
    refused(`a malformed target (${title})`, "MALFORMED", (peer) => peer.sendFrames(request(1, target)))
  }

  // PROTOCOL.md SEC-1
  hostile("targets of 8,192 bytes, with strange characters, and * reach the API", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      const long = `/ping?${"x".repeat(8186)}`
      const targets = [long, "//evil.example/", "/../../etc/passwd", "/%00%zz", "*", "/ping?\"<>\\^`{|}"]
      for (const [index, target] of targets.entries()) {
        const id = index * 2 + 1
        yield* peer.sendFrames(request(id, target, { method: target === "*" ? "OPTIONS" : "GET" }))
        const { status } = yield* peer.expectResponse(id)
        assert.strictEqual(status, target.startsWith("/ping?") ? 200 : 404, target.slice(0, 50))
      }
    }))
})

describe("fields", () => {
  const names: Readonly<Record<string, string>> = {
    "upper case": "X-Site",
    "empty": "",
    "a space": "x site",
    "a colon": ":path",
    "CR LF": "x\r\ny",
    "more than ASCII": "ñ",
    "257 bytes": "x".repeat(257)
  }
  for (const [title, name] of Object.entries(names)) {
    refused(
      `a malformed field name (${title})`,
      "MALFORMED",
      (peer) => peer.sendFrames(request(1, "/ping", { fields: [[name, "x"]] }))
    )
  }
  for (const [title, char] of [["CR", "\r"], ["LF", "\n"], ["NUL", "\0"]] as const) {
    // PROTOCOL.md HEAD-7
    refused(
      `a field value with ${title}`,
      "MALFORMED",
      (peer) => peer.sendFrames(request(1, "/ping", { fields: [["x-site", `north${char}south`]] }))
    )
    refused(
      `a dropped field with ${title} in its value`,
      "MALFORMED",
      (peer) => peer.sendFrames(request(1, "/ping", { fields: [["connection", `close${char}`]] }))
    )
  }

  // PROTOCOL.md HEAD-5
  hostile(
    "a malformed field in the head table resets the stream of each head that uses it",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        const fields: Fields = [["x-bad", "a\nb"], ["x-good", "c"]]
        yield* peer.sendFrames(request(1, "/headers", { fields }))
        yield* peer.expectReset(1, "MALFORMED")
        yield* peer.sendFrames(request(3, "/headers", { fields: fields.slice(1) }))
        assert.include(Buffer.from((yield* peer.expectResponse(3)).body).toString(), "\"x-good\":\"c\"")
        yield* peer.sendFrames(request(5, "/headers", { fields }))
        yield* peer.expectReset(5, "MALFORMED")
        yield* peer.expectAlive(7)
      })
  )

  // PROTOCOL.md HEAD-4
  hostile("the head tables of both ends stay in step over heads that are refused", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      yield* peer.sendFrames(request(1, "bad target", { fields: [["x-one", "1"]] }))
      yield* peer.expectReset(1, "MALFORMED")
      yield* peer.sendFrames(request(3, "/ping", { fields: [["x-two", "2"], ["x-big", "y".repeat(16384)]] }))
      yield* peer.expectReset(3, "HEAD_TOO_LARGE")
      yield* peer.sendFrames(request(5, "/headers", { fields: [["x-one", "1"], ["x-two", "2"]] }))
      assert.deepInclude(JSON.parse(Buffer.from((yield* peer.expectResponse(5)).body).toString()), {
        "x-one": "1",
        "x-two": "2"
      })
    }))

  // PROTOCOL.md HEAD-11
  hostile("fields of other transports are dropped, and the others keep their value", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      const dropped = [
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade"
      ]
      const fields = dropped.map((name) => [name, "x"] as const)
      yield* peer.sendFrames(
        request(1, "/headers", { fields: [...fields, ["expect", "100-continue"], ["x-site", " a "]] })
      )
      const seen: Record<string, string> = JSON.parse(Buffer.from((yield* peer.expectResponse(1)).body).toString())
      assert.deepStrictEqual(seen, { expect: "100-continue", "x-site": " a " })
    }))

  hostile("fields named like members of objects are ordinary fields", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      // Lower-case tokens, all of them.
      const names = ["__proto__", "constructor", "valueof"]
      yield* peer.sendFrames(request(1, "/headers", { fields: names.map((name) => [name, "x"]) }))
      const seen: unknown = JSON.parse(Buffer.from((yield* peer.expectResponse(1)).body).toString())
      assert.deepInclude(seen, { constructor: "x", valueof: "x" })
      assert.isUndefined(({} as Record<string, unknown>).x)
    }))
})

describe("head size", () => {
  const size = (target: string, name: string, value: number) => target.length + name.length + value + 32

  hostile("a head of maxHeadSize is accepted", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      const value = 16384 - size("/ping", "x", 0)
      yield* peer.sendFrames(request(1, "/ping", { fields: [["x", "y".repeat(value)]] }))
      assert.strictEqual((yield* peer.expectResponse(1)).status, 200)
    }))

  // PROTOCOL.md HEAD-12
  refused(
    "a head of maxHeadSize and one byte",
    "HEAD_TOO_LARGE",
    (peer) => peer.sendFrames(request(1, "/ping", { fields: [["x", "y".repeat(16385 - size("/ping", "x", 0))]] }))
  )
  refused(
    "a head of many empty fields",
    "HEAD_TOO_LARGE",
    (peer) => peer.sendFrames(request(1, "/ping", { fields: Array.from({ length: 500 }, () => ["x", ""]) }))
  )
  refused(
    "a head that is too large because of fields that are dropped",
    "HEAD_TOO_LARGE",
    (peer) => peer.sendFrames(request(1, "/ping", { fields: [["te", "y".repeat(16384)]] }))
  )

  // PROTOCOL.md HEAD-13
  hostile(
    "a response with a head above the client's maxHeadSize resets the stream, and the connection lives",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect({ settings: { maxHeadSize: 1024 } })
        yield* peer.sendFrames(request(1, "/heavy"))
        yield* peer.expectReset(1, "INTERNAL_ERROR")
        yield* peer.expectAlive(3)
      })
  )

  hostile(
    "a head that expands to 100 MB from 30 KB is HEAD_TOO_LARGE, and takes little memory",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        // An entry of nearly the whole table, then its index again and again.
        const entry = concat(hex("7f 00"), string("x"), string("y".repeat(4000)))
        yield* peer.send(withFieldBytes(entry))
        assert.strictEqual((yield* peer.expectResponse(1)).status, 200)
        const payload = concat(hex("03 01"), string("/ping"), new Uint8Array(30000).fill(0xb0))
        const bomb = concat(hex("81 80 00 75 38"), payload)
        assert.strictEqual(payload.length, 0x7538)
        const before = process.memoryUsage().heapUsed
        yield* peer.send(bomb)
        yield* peer.expectReset(3, "HEAD_TOO_LARGE")
        assert.isBelow(process.memoryUsage().heapUsed - before, 16 * 1024 * 1024)
        yield* peer.expectAlive(5)
      })
  )
})

describe("content-length of requests", () => {
  const length = (value: string) => ["content-length", value] as const
  const post = (...fields: Fields) => request(1, "/length", { method: "POST", end: false, fields })

  // PROTOCOL.md STR-10
  refused(
    "a body with more bytes than content-length",
    "MALFORMED",
    (peer) => peer.sendFrames(post(length("3")), data(1, "four"))
  )
  refused(
    "a body with more bytes than content-length, in a second DATA,",
    "MALFORMED",
    (peer) => Effect.andThen(peer.sendFrames(post(length("3")), data(1, "abc")), peer.sendFrames(data(1, "d", true)))
  )
  // PROTOCOL.md STR-10
  refused(
    "a body with fewer bytes than content-length",
    "MALFORMED",
    (peer) => peer.sendFrames(post(length("5")), data(1, "four", true))
  )
  refused(
    "a body with fewer bytes than content-length, ended by an empty DATA,",
    "MALFORMED",
    (peer) => peer.sendFrames(post(length("5")), data(1, "four"), data(1, "", true))
  )
  refused(
    "a head with END and a content-length above 0",
    "MALFORMED",
    (peer) => peer.sendFrames(request(1, "/length", { method: "POST", fields: [length("1")] }))
  )
  refused(
    "a head with two different content-lengths",
    "MALFORMED",
    (peer) => peer.sendFrames(post(length("4"), length("5")), data(1, "four", true))
  )
  refused(
    "a head with two equal content-lengths",
    "MALFORMED",
    (peer) => peer.sendFrames(post(length("4"), length("4")), data(1, "four", true))
  )
  for (const value of ["", "four", "-1", "+4", "4.0", "4e0", "0x4", " 4", "4 ", "4, 4", "٤", "9007199254740992"]) {
    // PROTOCOL.md HEAD-8
    refused(
      `a content-length of ${JSON.stringify(value)}`,
      "MALFORMED",
      (peer) => peer.sendFrames(post(length(value)), data(1, "four", true))
    )
  }

  // PROTOCOL.md HEAD-8
  hostile(
    "a content-length that is right, with leading zeros, or 0 with END, is accepted",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        yield* peer.sendFrames(post(length("4")), data(1, "fo"), data(1, "ur"), data(1, "", true))
        assert.strictEqual(Buffer.from((yield* peer.expectResponse(1)).body).toString(), "4")
        yield* peer.sendFrames(
          request(3, "/length", { method: "POST", end: false, fields: [length("0004")] }),
          data(3, "four", true)
        )
        assert.strictEqual(Buffer.from((yield* peer.expectResponse(3)).body).toString(), "4")
        yield* peer.sendFrames(request(5, "/length", { method: "POST", fields: [length("0")] }))
        assert.strictEqual(Buffer.from((yield* peer.expectResponse(5)).body).toString(), "0")
      })
  )

  hostile(
    "a body that turns out malformed fails its reader and resets the stream with MALFORMED",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        yield* peer.sendFrames(
          request(1, "/echo", { method: "POST", end: false, fields: [length("9")] }),
          data(1, "four")
        )
        yield* peer.expectFrame("Data", 1)
        yield* peer.sendFrames(data(1, "more", true))
        yield* peer.expectReset(1, "MALFORMED")
        assert.isFalse(
          peer.log.some((event) => event._tag === "Frame" && event.frame._tag === "Data" && event.frame.end)
        )
        yield* peer.expectAlive(3)
      })
  )
})
