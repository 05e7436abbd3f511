/**
 * Rules for heads, and codes (PROTOCOL.md, "Heads", "Field rules" and "Error codes").
 */
import { assert, describe, it } from "@effect/vitest"
import { recycle } from "../../src/internal/frame/bufferPool.ts"
import { utf8Length } from "../../src/internal/frame/bytes.ts"
import {
  closeCodeOf,
  errorCodeName,
  errorCodeOfClose,
  RefusalCode,
  retryableRefusals
} from "../../src/internal/frame/codes.ts"
import { Decoder } from "../../src/internal/frame/decoder.ts"
import { Encoder, truncate } from "../../src/internal/frame/encoder.ts"
import type { Decoded, Frame } from "../../src/internal/frame/Frame.ts"
import { maxTargetLength } from "../../src/internal/frame/grammar.ts"
import { fieldFault, headSize, isMethod } from "../../src/internal/frame/head.ts"
import { request, response } from "../support/frames.ts"

const limits = { maxMessageSize: 1_000_000, maxFrameSize: 1_000_000, maxHeadSize: 100_000, headTableSize: 4096 }

const encode = (...frames: ReadonlyArray<Frame>) => {
  const encoder = new Encoder(0)
  for (const frame of frames) encoder.frame(frame)
  return encoder.take()
}

/** The frames of a message, and what is wrong with it. */
const decode = (message: Uint8Array, upgrades?: boolean) => {
  const frames: Array<Decoded> = []
  const violation = new Decoder(limits, upgrades).decode(message, (frame) => {
    frames.push(frame)
    return undefined
  })
  return { frames, violation }
}

describe("heads", () => {
  it("have a method that is a token and not CONNECT", () => {
    assert.deepStrictEqual(["GET", "BREW", "CONNECT", "A B", ""].filter(isMethod), ["GET", "BREW"])
  })

  it("are as large as target, names and values in UTF-8, and 32 bytes for each field", () => {
    assert.strictEqual(headSize("/", []), 1)
    assert.strictEqual(headSize("/ab", [["name", "value"], ["n", "\u00e4\u20ac"]]), 3 + 4 + 5 + 32 + 1 + 5 + 32)
    assert.deepStrictEqual(["", "a", "\u00e4", "\u20ac", "\u{1f600}"].map(utf8Length), [0, 1, 2, 3, 4])
  })

  it("have fields whose names are tokens in lower case, and whose values have no line breaks", () => {
    assert.isUndefined(fieldFault("name", "a value"))
    assert.include(fieldFault("Name", ""), "\"Name\" is not a token")
    assert.include(fieldFault("name", "a\r\nb"), "the value of name")
    assert.isBelow(fieldFault("N".repeat(1000), "")!.length, 200)
  })

  it("may have a target of 8,192 characters or what the limit is, and a method that is named", () => {
    const target = `/${"a".repeat(maxTargetLength - 1)}`
    assert.strictEqual(decode(encode(request(1, target))).frames[0]?._tag, "Request")
    const longer = decode(encode(request(1, `${target}a`))).frames[0]
    assert.deepInclude(longer, { _tag: "Malformed", request: true, streamId: 1, end: true })
    assert.deepInclude(decode(encode(request(1, "/", { method: "BREW" }))).frames[0], { method: "BREW" })
    for (const method of ["CONNECT", "A B"]) {
      assert.deepInclude(decode(encode(request(3, "/", { method, end: false }))).frames[0], {
        _tag: "Malformed",
        request: true,
        end: false
      })
    }
    const answer = decode(encode(response(1, 200, { fields: [["name", "a\nb"]], end: false }))).frames[0]
    assert.deepInclude(answer, { _tag: "Malformed", request: false, end: false })
  })

  it("are answered 101, and may name an upgrade, where both ends know upgrades", () => {
    const fields = [["upgrade", "p"], ["connection", "upgrade"], ["a", "b"]] as const
    const upgrade = encode(request(1, "/", { fields }))
    assert.deepInclude(decode(upgrade).frames[0], { fields: [["a", "b"]] })
    assert.deepInclude(decode(upgrade, true).frames[0], { fields: [["upgrade", "p"], ["a", "b"]] })
    const answered = (status: number, upgrades: boolean) =>
      decode(encode(response(1, status)), upgrades).violation?.code
    assert.deepStrictEqual([answered(101, true), answered(101, false)], [undefined, 1])
    for (const status of [100, 199, 600]) assert.strictEqual(answered(status, true), 1)
    for (const status of [200, 599]) assert.isUndefined(answered(status, true))
  })

  it("that are cut short are told from frames that end elsewhere", () => {
    const reason = (hex: string) => decode(Uint8Array.from(Buffer.from(hex, "hex"))).violation?.reason
    // REQUEST of stream 1: without a method, and with a target of five bytes of which one is there. A PING comes next.
    assert.include(reason("8101011000"), "a frame ends inside one of its members")
    assert.include(reason("81040101052f1000"), "a string runs past the end of its frame")
  })
})

describe("codes", () => {
  it("are those of frames from 4000 on, as close codes", () => {
    assert.deepStrictEqual([closeCodeOf(0), closeCodeOf(1), closeCodeOf(15)], [4000, 4001, 4015])
    assert.deepStrictEqual(
      [3999, 4000, 4001, 4015, 4016].map(errorCodeOfClose),
      [undefined, "NO_ERROR", "PROTOCOL_ERROR", "STREAM_ID_ERROR", undefined]
    )
    assert.deepStrictEqual([errorCodeName(1), errorCodeName(16)], ["PROTOCOL_ERROR", "INTERNAL_ERROR"])
  })

  it("say which refusals may be over the next time", () => {
    assert.deepStrictEqual(Object.keys(RefusalCode).filter((code) => retryableRefusals.has(code)), [
      "HANDSHAKE_TIMEOUT",
      "OVERLOADED",
      "GOING_AWAY",
      "RESUME_REJECTED",
      "REPLACED",
      "IDENTITY_IN_USE"
    ])
  })
})

describe("texts", () => {
  it("are cut behind a whole character", () => {
    assert.strictEqual(truncate("abc", 3), "abc")
    assert.strictEqual(truncate("abcd", 3), "abc")
    assert.strictEqual(truncate("a\u20ac", 3), "a")
    assert.strictEqual(truncate("a\u20ac", 4), "a\u20ac")
    assert.strictEqual(truncate("\u{1f600}b", 3), "")
  })
})

it("a buffer that is given back is used again, and nothing else is", () => {
  const large = () => {
    const encoder = new Encoder(0)
    encoder.data(1, false, 15_000, [new Uint8Array(15_000)])
    return encoder.take()
  }
  const first = large()
  recycle(first)
  assert.strictEqual(large().buffer, first.buffer)
  const foreign = new Uint8Array(15_000)
  recycle(foreign)
  assert.notStrictEqual(large().buffer, foreign.buffer)
})
