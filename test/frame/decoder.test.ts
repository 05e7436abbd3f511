/**
 * What a decoder refuses, byte for byte, and where each limit lies.
 */
import { assert, describe, it } from "@effect/vitest"
import { ErrorCode, errorCodeName, errorCodeOfClose } from "../../src/internal/frame/codes.ts"
import { Decoder, type DecoderLimits } from "../../src/internal/frame/decoder.ts"
import type { Decoded } from "../../src/internal/frame/Frame.ts"

const limits: DecoderLimits = { maxMessageSize: 2000, maxFrameSize: 1000, maxHeadSize: 500, headTableSize: 4096 }

const varint = (value: number): Array<number> =>
  value < 0x40
    ? [value]
    : value < 0x4000
    ? [0x40 | (value >> 8), value & 0xff]
    : [0x80 | (value >>> 24), (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff]

const frame = (type: number, ...payload: ReadonlyArray<number>): Array<number> => [
  type,
  ...varint(payload.length),
  ...payload
]

const many = (count: number): Array<number> => Array.from({ length: count }, () => 0x78)

const decode = (bytes: ReadonlyArray<number>) => {
  const frames: Array<Decoded> = []
  const violation = new Decoder(limits).decode(Uint8Array.from(bytes), (frame) => {
    frames.push(frame)
    return undefined
  })
  return { frames, code: violation?.code }
}

const refused = (code: number, cases: Readonly<Record<string, ReadonlyArray<number>>>): void => {
  for (const [title, bytes] of Object.entries(cases)) {
    assert.deepStrictEqual(decode(bytes), { frames: [], code }, title)
  }
}

const accepted = (cases: Readonly<Record<string, ReadonlyArray<number>>>): void => {
  for (const [title, bytes] of Object.entries(cases)) {
    const { code, frames } = decode(bytes)
    assert.isUndefined(code, title)
    for (const { _tag } of frames) assert.notStrictEqual(_tag, "Malformed", title)
  }
}

describe("messages and frames", () => {
  it("a message has bytes, and no more than the limit", () => {
    refused(ErrorCode.PROTOCOL_ERROR, { empty: [] })
    const extensions = [...frame(0x40, ...many(997)), ...frame(0x40, ...many(997))]
    accepted({ "2000 bytes": extensions })
    refused(ErrorCode.FRAME_SIZE_ERROR, { "2001 bytes": [...frame(0x40, ...many(998)), ...frame(0x40, ...many(997))] })
  })

  it("a frame has a length within its message and the limit", () => {
    accepted({ "1000 bytes": frame(0x03, 1, ...many(999)), "an extension": frame(0x7f, ...many(1000)) })
    refused(ErrorCode.FRAME_SIZE_ERROR, {
      "1001 bytes": frame(0x03, 1, ...many(1000)),
      "no length": [0x10],
      "half of a length": [0x10, 0x40],
      "a byte short": [0x10, 2, 1]
    })
  })

  it("a frame has a known type, or is an extension", () => {
    for (const type of [0x00, 0x07, 0x0f, 0x13, 0x3f]) refused(ErrorCode.UNKNOWN_FRAME, { [type]: frame(type) })
    assert.deepStrictEqual(decode([...frame(0x40, 1, 2), ...frame(0x10, 9), ...frame(0x7f)]), {
      frames: [{ _tag: "Ping", data: Uint8Array.of(9) }],
      code: undefined
    })
  })

  it("END is allowed on REQUEST, RESPONSE and DATA", () => {
    assert.deepStrictEqual(decode(frame(0x83, 1)).frames, [
      { _tag: "Data", streamId: 1, end: true, data: new Uint8Array(0) }
    ])
    for (const type of [0x84, 0x85, 0x86, 0x90, 0x91, 0x92, 0xc0]) {
      refused(ErrorCode.PROTOCOL_ERROR, { [type]: frame(type, 1, 1) })
    }
  })

  it("a message is of the link or of the connection", () => {
    const [ping, credit] = [frame(0x10), frame(0x05, 0, 1)]
    accepted({ link: [...ping, ...frame(0x12, 1), ...frame(0x11)], connection: [...credit, ...frame(0x03, 1)] })
    for (const mixed of [[...ping, ...credit], [...credit, ...ping], [...frame(0x40), ...ping, ...credit]]) {
      const { code, frames } = decode(mixed)
      assert.deepStrictEqual([code, frames.length], [ErrorCode.PROTOCOL_ERROR, 1])
    }
  })

  it("a frame ends with its last member", () => {
    refused(ErrorCode.PROTOCOL_ERROR, {
      CREDIT: frame(0x05, 0, 1, 0),
      ACK: frame(0x12, 1, 1),
      "CREDIT cut short": frame(0x05, 0),
      "a member cut short": frame(0x12, 0x40)
    })
  })

  it("numbers are in their shortest form", () => {
    accepted({ "64": frame(0x12, 0x40, 0x40), "16384": frame(0x12, 0x80, 0, 0x40, 0) })
    refused(ErrorCode.PROTOCOL_ERROR, {
      "63 in two bytes": frame(0x12, 0x40, 0x3f),
      "16383 in four bytes": frame(0x12, 0x80, 0, 0x3f, 0xff),
      "2^30-1 in eight bytes": frame(0x12, 0xc0, 0, 0, 0, 0x3f, 0xff, 0xff, 0xff),
      "2^53": frame(0x12, 0xc0, 0x20, 0, 0, 0, 0, 0, 0)
    })
    assert.deepStrictEqual(decode(frame(0x12, 0xc0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)).frames, [
      { _tag: "Ack", received: Number.MAX_SAFE_INTEGER }
    ])
  })
})

describe("members of frames", () => {
  it("a stream id is not 0", () => {
    refused(ErrorCode.PROTOCOL_ERROR, {
      REQUEST: frame(0x01, 0, 1, 1, 0x2f),
      RESPONSE: frame(0x02, 0, ...varint(200)),
      DATA: frame(0x03, 0),
      RESET: frame(0x04, 0, 1)
    })
  })

  it("a status is from 200 to 599", () => {
    for (const status of [200, 599]) accepted({ [status]: frame(0x02, 1, ...varint(status)) })
    for (const status of [199, 600, 1]) {
      refused(ErrorCode.PROTOCOL_ERROR, { [status]: frame(0x02, 1, ...varint(status)) })
    }
  })

  it("a credit is from 1 to 2^31-1", () => {
    const most = [0xc0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff]
    accepted({ "1": frame(0x05, 0, 1), most: frame(0x05, 0, ...most) })
    refused(ErrorCode.PROTOCOL_ERROR, { "0": frame(0x05, 0, 0), more: frame(0x05, 0, 0xc0, 0, 0, 0, 0x80, 0, 0, 0) })
  })

  it("a reason has 256 bytes at most, and the data of a ping 125", () => {
    accepted({
      RESET: frame(0x04, 1, 1, ...many(256)),
      GOAWAY: frame(0x06, 1, 1, ...many(256)),
      PING: frame(0x10, ...many(125)),
      PONG: frame(0x11, ...many(125))
    })
    refused(ErrorCode.FRAME_SIZE_ERROR, {
      RESET: frame(0x04, 1, 1, ...many(257)),
      GOAWAY: frame(0x06, 1, 1, ...many(257)),
      PING: frame(0x10, ...many(126)),
      PONG: frame(0x11, ...many(126))
    })
  })

  it("text is UTF-8", () => {
    refused(ErrorCode.PROTOCOL_ERROR, { short: frame(0x04, 1, 1, 0xff), long: frame(0x04, 1, 1, ...many(40), 0xff) })
    assert.deepStrictEqual(decode(frame(0x04, 1, 1, 0x78, 0xc3, 0xbc, 0x79)).frames, [
      { _tag: "Reset", streamId: 1, code: 1, reason: "xüy" }
    ])
  })

  it("a method has a number from 1 to 9, or is written out", () => {
    accepted({ TRACE: frame(0x01, 1, 9, 1, 0x2f), M: frame(0x01, 1, 0, 1, 0x4d, 1, 0x2f) })
    refused(ErrorCode.PROTOCOL_ERROR, { "10": frame(0x01, 1, 10, 1, 0x2f) })
  })

  it("an index is one of the table", () => {
    accepted({ "47": frame(0x02, 1, ...varint(200), 0x80 | 47), "name 47": frame(0x02, 1, ...varint(200), 47, 0) })
    refused(ErrorCode.HEAD_TABLE_ERROR, {
      "48": frame(0x02, 1, ...varint(200), 0x80 | 48),
      "127": frame(0x02, 1, ...varint(200), 0xff, 0),
      "name 48": frame(0x02, 1, ...varint(200), 48, 0),
      "name 63": frame(0x02, 1, ...varint(200), 63, 1, 0)
    })
  })
})

describe("what is told of frames", () => {
  const credits = (count: number) => Uint8Array.from(Array.from({ length: count }, () => frame(0x05, 0, 1)).flat())

  it("the first violation that is found with a frame ends the message", () => {
    let count = 0
    const fault = { code: 7, reason: "enough" }
    const decoder = new Decoder(limits)
    assert.strictEqual(decoder.decode(credits(5), () => ++count === 3 ? fault : undefined), fault)
    assert.strictEqual(count, 3)
    assert.isFalse(decoder.isStopped)
  })

  it("a message that is stopped goes on where it was, once, and its last frame leaves nothing to go on with", () => {
    const decoder = new Decoder(limits)
    let count = 0
    const counts = () => void count++ as undefined
    assert.isUndefined(decoder.goOn(counts), "there is no message")
    decoder.decode(credits(5), counts, () => count === 2)
    assert.deepStrictEqual([count, decoder.isStopped], [2, true])
    decoder.goOn(counts, () => count === 5)
    assert.deepStrictEqual([count, decoder.isStopped], [5, false])
    assert.isUndefined(decoder.goOn(counts))
    assert.strictEqual(count, 5)
  })

  it("a message has 1,024 frames at most", () => {
    const small = new Decoder({ ...limits, maxMessageSize: 10_000 })
    assert.isUndefined(small.decode(credits(1024), () => undefined))
    assert.strictEqual(small.decode(credits(1025), () => undefined)?.code, ErrorCode.EXCESSIVE_LOAD)
  })
})

describe("codes", () => {
  it("codes have names, those of close frames too, and a code of a later version counts as INTERNAL_ERROR", () => {
    assert.deepStrictEqual([0, 1, 15, 99].map(errorCodeName), [
      "NO_ERROR",
      "PROTOCOL_ERROR",
      "STREAM_ID_ERROR",
      "INTERNAL_ERROR"
    ])
    assert.deepStrictEqual([4000, 4001, 4015, 1000, 4099].map(errorCodeOfClose), [
      "NO_ERROR",
      "PROTOCOL_ERROR",
      "STREAM_ID_ERROR",
      undefined,
      undefined
    ])
  })
})
