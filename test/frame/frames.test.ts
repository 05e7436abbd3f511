/**
 * What the encoder writes, the decoder reads: every frame, in any company, with both head tables in step.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { isUtf8 } from "node:buffer"
import { ErrorCode, type Violation } from "../../src/internal/frame/codes.ts"
import { ByteReader, Decoder, type DecoderLimits } from "../../src/internal/frame/decoder.ts"
import { Encoder, maxFrameOverhead, truncate } from "../../src/internal/frame/encoder.ts"
import * as Frame from "../../src/internal/frame/Frame.ts"
import { maxReasonLength } from "../../src/internal/frame/grammar.ts"
import { headSize } from "../../src/internal/frame/head.ts"
import { Random } from "../support/random.ts"
import { tableFields } from "./tableFields.ts"

const generous: DecoderLimits = {
  maxMessageSize: 16777216,
  maxFrameSize: 16777216,
  maxHeadSize: 1048576,
  headTableSize: 4096
}

const decode = (decoder: Decoder, message: Uint8Array): Array<Frame.Decoded> => {
  const frames: Array<Frame.Decoded> = []
  const violation: Violation | undefined = decoder.decode(message, (frame) => {
    frames.push(frame)
    return undefined
  })
  assert.isUndefined(violation)
  return frames
}

const encode = (encoder: Encoder, frames: ReadonlyArray<Frame.Frame>): Uint8Array => {
  for (const frame of frames) encoder.frame(frame)
  return encoder.take()
}

/** What arrives of a text: UTF-8 has no lone surrogates. */
const wellFormed = (text: string): string => new TextDecoder("utf-8", { ignoreBOM: true }).decode(Buffer.from(text))

const assertTablesEqual = (encoder: Encoder, decoder: Decoder): void => {
  assert.strictEqual(encoder.table.size, decoder.table.size)
  assert.deepStrictEqual(
    tableFields(encoder.table).map(([name, value]) => [wellFormed(name), wellFormed(value)] as const),
    tableFields(decoder.table)
  )
}

// Fields that occur again, and numbers of every length, besides what the frames' own schemas give.

const Recurring = Schema.Tuple([
  Schema.Literals(["accept", "content-type", "x-site", "x-region", "set-cookie", "etag"]),
  Schema.Literals(["", "*/*", "application/json", "north", "größer als 10 €", "🙂", "x".repeat(256), "y".repeat(257)])
])
const fields = Schema.Array(Schema.Union([Recurring, Recurring, Frame.Request.fields.fields.value]))
const boundaries = [1, 63, 64, 16383, 16384, 2 ** 30 - 1, 2 ** 30, 2 ** 53 - 1] as const
const streamId = Schema.Union([Schema.Literals(boundaries), Frame.Data.fields.streamId])
const code = Schema.Union([Schema.Literals(Object.values(ErrorCode)), Frame.Reset.fields.code])

const Numbered = Schema.Literals(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "TRACE"])
const method = Schema.Union([Numbered, Frame.Request.fields.method])

const Request = Schema.Struct({ ...Frame.Request.fields, streamId, method, fields })
const Response = Schema.Struct({ ...Frame.Response.fields, streamId, fields })
const Data = Schema.Struct({ ...Frame.Data.fields, streamId })
const Reset = Schema.Struct({ ...Frame.Reset.fields, streamId, code })
const Credit = Schema.Struct({
  ...Frame.Credit.fields,
  streamId: Schema.Union([Schema.Literal(0), streamId]),
  increment: Schema.Union([Schema.Literals([63, 64, 16384, 2 ** 30, 2 ** 31 - 1]), Frame.Credit.fields.increment])
})
const GoAway = Schema.Struct({ ...Frame.GoAway.fields, code })
const { Ack, Ping, Pong } = Frame

const OfConnection = Schema.Union([Request, Response, Data, Reset, Credit, GoAway])
const OfLink = Schema.Union([Ping, Pong, Ack])
const Message = Schema.Union([Schema.NonEmptyArray(OfConnection), Schema.NonEmptyArray(OfLink)])

const runs = { arbitrary: { runs: 300, size: 20 } }

describe("frames", () => {
  for (const schema of [Request, Response, Data, Reset, Credit, GoAway, Ping, Pong, Ack]) {
    it.prop(`${schema.fields._tag.schema.literal} frames round-trip`, [schema], ([frame]) => {
      const message = encode(new Encoder(4096), [frame])
      assert.deepStrictEqual<unknown>(decode(new Decoder(generous, true), message), [frame])
    }, runs)
  }

  it.prop(
    "many frames in many messages round-trip with one head table",
    [Schema.Literals([0, 33, 100, 300, 4096, 65536]), Schema.Array(Message)],
    ([headTableSize, messages]) => {
      const encoder = new Encoder(headTableSize)
      const decoder = new Decoder({ ...generous, headTableSize }, true)
      for (const frames of messages) {
        assert.deepStrictEqual<unknown>(decode(decoder, encode(encoder, frames)), frames)
        assertTablesEqual(encoder, decoder)
      }
    },
    runs
  )

  it.prop("a message may be a part of a larger buffer", [Message, Schema.Uint8Array], ([frames, around]) => {
    const message = encode(new Encoder(4096), frames)
    const buffer = new Uint8Array(Buffer.concat([around, message, around]))
    const view = buffer.subarray(around.length, around.length + message.length)
    assert.deepStrictEqual<unknown>(decode(new Decoder(generous, true), view), frames)
  })

  it.prop("DATA adds no more bytes than the multiplexer reckons with", [Data], ([frame]) => {
    const message = encode(new Encoder(0), [frame])
    assert.isAtMost(message.length, frame.data.length + maxFrameOverhead)
  }, runs)

  it.prop("the size of a head is the same on both ends", [Request], ([frame]) => {
    const maxHeadSize = headSize(frame.target, frame.fields)
    const message = encode(new Encoder(0), [frame])
    assert.deepStrictEqual(decode(new Decoder({ ...generous, maxHeadSize }, true), message), [frame])
    const [refused] = decode(new Decoder({ ...generous, maxHeadSize: maxHeadSize - 1 }, true), message)
    assert.deepInclude(refused, { _tag: "Malformed", code: ErrorCode.HEAD_TOO_LARGE })
  }, runs)

  it.prop(
    "a long reason is cut at a character",
    [Schema.Array(Schema.Literals(["a", "é", "€", "🙂", "\ud800"]))],
    ([parts]) => {
      const reason = parts.join("").repeat(40)
      const [frame] = decode(
        new Decoder(generous, true),
        encode(new Encoder(0), [{ _tag: "Reset", streamId: 1, code: 0, reason }])
      )
      assert(frame?._tag === "Reset")
      assert.strictEqual(frame.reason, wellFormed(truncate(reason)))
      assert.isTrue(reason.startsWith(truncate(reason)))
      const size = Buffer.byteLength(frame.reason)
      assert.isAtMost(size, maxReasonLength)
      if (truncate(reason) !== reason) assert.isAbove(size, maxReasonLength - 4)
    },
    runs
  )
})

describe("lone surrogates", () => {
  const request = (...fields: ReadonlyArray<readonly [string, string]>): Frame.Frame => ({
    _tag: "Request",
    streamId: 1,
    end: true,
    method: "GET",
    target: "/",
    fields
  })

  it("lone surrogates arrive as U+FFFD, sent anew or from the head table", () => {
    const encoder = new Encoder(4096)
    const decoder = new Decoder(generous, true)
    for (let round = 0; round < 2; round++) {
      const values = ["\ud800", "\udc00", "\ufffd", "a\ud800b", "a\ufffdb"]
      const message = encode(encoder, [request(...values.map((value) => ["x-a", value] as const))])
      assert.deepStrictEqual<unknown>(decode(decoder, message), [
        request(...values.map((value) => ["x-a", wellFormed(value)] as const))
      ])
      if (round === 1) assert.strictEqual(message.length, 2 + 4 + values.length)
      assertTablesEqual(encoder, decoder)
    }
  })
})

describe("head tables", () => {
  const parts = ["a", "site", "x-", "é", "€", "🙂", "\ud83d", "\u0000", "", "long ".repeat(20)]
  const volatile = ["date", "etag", "b3", "content-length"]

  /** Few fields often, many seldom; also what HTTP forbids, since the tables don't care. */
  const anyFields = (random: Random): ReadonlyArray<readonly [string, string]> =>
    Array.from({ length: random.skewed(20) }, () => {
      const name = random.chance(0.1)
        ? random.pick(volatile)
        : random.chance(0.3)
        ? random.pick(["accept", "cookie", "vary"])
        : `x-${random.skewed(60)}${random.chance(0.05) ? random.pick(parts) : ""}`
      return [name, Array.from({ length: random.int(4) }, () => random.pick(parts)).join("") + random.skewed(40)]
    })

  for (const headTableSize of [0, 33, 64, 150, 1000, 4096, 65536]) {
    it(`head tables of ${headTableSize} bytes stay in step over thousands of heads`, () => {
      const random = new Random(headTableSize)
      const encoder = new Encoder(headTableSize)
      const decoder = new Decoder({ ...generous, headTableSize }, true)
      for (let head = 1; head <= 3000; head++) {
        const fields = anyFields(random)
        if (head % 2 === 0) encoder.request(head, false, "GET", "/", fields)
        else encoder.response(head, false, 200, fields)
        const [frame] = decode(decoder, encoder.take())
        const legal = fields.every(([name, value]) => /^[\x21-\x7e]+$/.test(name) && !value.includes("\u0000"))
        if (legal) {
          assert(frame?._tag === "Request" || frame?._tag === "Response")
          assert.deepStrictEqual<unknown>(frame.fields, fields.map(([name, value]) => [name, wellFormed(value)]))
        } else {
          assert.strictEqual(frame?._tag, "Malformed")
        }
        assert.isAtMost(encoder.table.size, headTableSize)
        if (head % 50 === 0 || head < 50) assertTablesEqual(encoder, decoder)
      }
      assert.strictEqual(tableFields(encoder.table).length > 0, headTableSize > 33)
    })
  }
})

describe("UTF-8", () => {
  it("a reader accepts UTF-8 and nothing else", () => {
    const random = new Random(1)
    const text = new TextEncoder().encode("größer als 10 € 🙂 und a b c \u0000 \ufeff \ufffd \u{10ffff}")
    for (let run = 0; run < 20000; run++) {
      const from = random.int(text.length)
      const bytes = text.slice(from, from + random.int(50))
      if (bytes.length > 0 && random.chance(0.5)) bytes[random.int(bytes.length)] = random.int(256)
      const reader = new ByteReader(bytes)
      const read = reader.text(bytes.length)
      assert.strictEqual(reader.failed === undefined, isUtf8(bytes))
      if (reader.failed === undefined) assert.strictEqual(read, Buffer.from(bytes).toString("utf8"))
    }
  })
})
