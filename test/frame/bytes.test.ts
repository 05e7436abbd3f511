/**
 * Varints and strings at every length, and the buffers of writers.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { utf8Length } from "../../src/internal/frame/bytes.ts"
import { ErrorCode } from "../../src/internal/frame/codes.ts"
import { ByteReader } from "../../src/internal/frame/decoder.ts"
import { ByteWriter, varintSize } from "../../src/internal/frame/encoder.ts"

const varint = (value: number): Uint8Array => {
  const writer = new ByteWriter()
  writer.varint(value)
  return writer.take()
}

/** A varint of a length of choice, shortest or not. */
const varintOf = (value: bigint, size: number): Uint8Array => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(value)
  const varint = Uint8Array.from(bytes.subarray(8 - size))
  varint[0]! |= Math.log2(size) << 6
  return varint
}

describe("varints", () => {
  /** A number of each count of bits is as likely. */
  const Value = Schema.Tuple([
    Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 53 })),
    Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))
  ])

  it.prop("varints round-trip in the shortest form, and a longer form is refused", [Value], ([[bits, number]]) => {
    const value = bits === 53 ? number : number % 2 ** bits
    const bytes = varint(value)
    assert.deepStrictEqual(bytes, varintOf(BigInt(value), varintSize(value)))
    const reader = new ByteReader(bytes)
    assert.strictEqual(reader.varint(), value)
    assert.isUndefined(reader.failed)
    assert.strictEqual(reader.at, bytes.length)
    for (let size = bytes.length * 2; size <= 8; size *= 2) {
      const longer = new ByteReader(varintOf(BigInt(value), size))
      longer.varint()
      assert.strictEqual(longer.failed?.code, ErrorCode.PROTOCOL_ERROR)
    }
    for (let size = 0; size < bytes.length; size++) {
      const short = new ByteReader(bytes.subarray(0, size))
      assert.isFalse(short.hasVarint)
      short.varint()
      assert.strictEqual(short.failed?.code, ErrorCode.PROTOCOL_ERROR)
    }
  }, { arbitrary: { runs: 2000 } })

  it("varints take 1, 2, 4 and 8 bytes up to 2^53 - 1", () => {
    for (const [limit, size] of [[2 ** 6, 1], [2 ** 14, 2], [2 ** 30, 4], [2 ** 53, 8]] as const) {
      assert.strictEqual(varint(limit - 1).length, size)
      if (size < 8) assert.strictEqual(varint(limit).length, size * 2)
    }
  })

  it("varints above 2^53 - 1 are refused", () => {
    for (const value of [2n ** 53n, 2n ** 53n + 1n, 2n ** 61n, 2n ** 62n - 1n]) {
      const reader = new ByteReader(varintOf(value, 8))
      reader.varint()
      assert.strictEqual(reader.failed?.code, ErrorCode.PROTOCOL_ERROR, String(value))
    }
  })
})

describe("strings", () => {
  const roundTrip = (text: string): void => {
    const writer = new ByteWriter()
    writer.u8(1)
    assert.strictEqual(writer.string(text), Buffer.byteLength(text))
    writer.u8(2)
    assert.strictEqual(utf8Length(text), Buffer.byteLength(text))
    const bytes = writer.take()
    const utf8 = Buffer.from(text)
    assert.isTrue(Buffer.concat([[1], varint(utf8.length), utf8, [2]].map((part) => Buffer.from(part))).equals(bytes))
    const reader = new ByteReader(bytes)
    reader.u8()
    assert.strictEqual(reader.string(), utf8.toString("utf8"))
    assert.strictEqual(reader.u8(), 2)
    assert.isUndefined(reader.failed)
  }

  // Any code units, lone surrogates among them.
  const CodeUnits = Schema.Array(
    Schema.Union([
      Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 0xffff })),
      Schema.Literals([0x61, 0x7f, 0x80, 0x7ff, 0x800, 0xd800, 0xdbff, 0xdc00, 0xdfff, 0xfeff, 0xffff])
    ])
  )

  it.prop("strings round-trip, except for lone surrogates", [CodeUnits], ([units]) => {
    roundTrip(String.fromCharCode(...units))
  }, { arbitrary: { runs: 1000, size: 80 } })

  it("strings round-trip at the lengths where their encoding changes", () => {
    for (const size of [0, 1, 21, 22, 31, 32, 33, 62, 63, 64, 65, 5461, 5462, 16383, 16384, 16385, 30000, 80000]) {
      for (const char of ["a", "é", "€", "🙂"]) {
        roundTrip(char.repeat(size))
        roundTrip("a".repeat(size) + char)
      }
    }
  })

  it("strings that are not UTF-8 do not affect the decoding of the next ones", () => {
    for (const bad of [[0xff], [0xe2, 0x82], [0xf0, 0x9f, 0x99]]) {
      const spoilt = new ByteReader(Uint8Array.from(bad))
      spoilt.text(bad.length)
      assert.strictEqual(spoilt.failed?.code, ErrorCode.PROTOCOL_ERROR)
      roundTrip("é")
    }
  })
})

describe("readers", () => {
  it("readers return harmless values after a failure, and keep the first failure", () => {
    const reader = new ByteReader(Uint8Array.of(0x40, 0x01, 1, 2, 3))
    assert.strictEqual(reader.varint(), 0)
    const first = reader.failed
    assert.strictEqual(first?.code, ErrorCode.PROTOCOL_ERROR)
    assert.strictEqual(reader.u8(), 0)
    assert.strictEqual(reader.varint(), 0)
    assert.strictEqual(reader.string(), "")
    assert.strictEqual(reader.rest().length, 0)
    assert.strictEqual(reader.failed, first)
  })
})

describe("writers", () => {
  it("writers share buffers without sharing bytes", () => {
    const writers = Array.from({ length: 8 }, () => new ByteWriter())
    for (let round = 0; round < 3; round++) {
      writers.forEach((writer, index) => writer.raw(new Uint8Array(10).fill(index)))
      const taken = writers.map((writer) => writer.take())
      taken.forEach((bytes, index) => assert.deepStrictEqual(bytes, new Uint8Array(10).fill(index)))
    }
  })

  it("writers grow beyond their buffer", () => {
    const writer = new ByteWriter()
    const start = writer.length
    for (let round = 0; round < 5; round++) writer.raw(new Uint8Array(50_000).fill(round))
    writer.prefixLength(start)
    const bytes = writer.take()
    assert.strictEqual(bytes.length, 4 + 250_000)
    for (let round = 0; round < 5; round++) assert.strictEqual(bytes[4 + round * 50_000], round)
  })
})
