/**
 * Messages with a length before each of them (PROTOCOL.md, "Length prefix").
 */
import { assert, describe, it } from "@effect/vitest"
import { encode, encodeClose, isCloseCode, MessageReader } from "../../src/internal/link/lengthPrefix.ts"

const joined = (pieces: ReadonlyArray<Uint8Array>) => new Uint8Array(Buffer.concat(pieces))

describe("messages with a length", () => {
  it("have close codes that may be sent", () => {
    const codes = [1000, 1003, 1007, 1014, 1016, 4999]
    assert.deepStrictEqual([999, ...codes, 1004, 1005, 1006, 1015, 5000].filter(isCloseCode), codes)
  })

  it("are read as they were written, in pieces of any size", () => {
    const messages = ["", "a", new Uint8Array(0), new Uint8Array(4096).fill(1), new Uint8Array(4097).fill(2)]
    const stream = joined(messages.flatMap((message) => encode(message as string)))
    for (const size of [1, 3, 5, 1000, 4096, stream.length]) {
      const reader = new MessageReader(4097)
      for (let at = 0; at < stream.length; at += size) {
        assert.isUndefined(reader.feed(stream.slice(at, at + size)))
        assert.strictEqual(reader.begun >= reader.messages.length, true)
      }
      assert.deepStrictEqual(reader.messages, messages)
      assert.deepStrictEqual([reader.begun, reader.partial], [messages.length, 0])
    }
  })

  it("count what has arrived of one", () => {
    const reader = new MessageReader(100)
    const [message] = encode("abc")
    reader.feed(message!.subarray(0, 2))
    assert.deepStrictEqual([reader.begun, reader.partial], [1, 2])
    reader.feed(message!.subarray(2, 7))
    assert.deepStrictEqual([reader.begun, reader.partial], [1, 7])
    reader.feed(message!.subarray(7))
    assert.deepStrictEqual([reader.begun, reader.partial, reader.messages], [1, 0, ["abc"]])
  })

  it("end with a close, whose reason has up to 123 bytes; what is behind it is left out", () => {
    const reader = new MessageReader(100)
    const reason = "x".repeat(123)
    const end = reader.feed(joined([encodeClose(4000, reason), ...encode("more")]))
    assert.deepStrictEqual(end, { code: 4000, reason, isFault: false })
    assert.deepStrictEqual(reader.messages, [])
    assert.deepInclude(new MessageReader(1000).feed(encodeClose(4000, `${reason}x`)), { code: 1002, isFault: true })
    assert.deepInclude(new MessageReader(100).feed(encodeClose(1000, "")), { code: 1000, reason: "", isFault: false })
  })

  it("keep a byte order mark", () => {
    const reader = new MessageReader(100)
    reader.feed(joined(encode("\ufeffa")))
    assert.deepStrictEqual(reader.messages, ["\ufeffa"])
  })
})
