/**
 * Bytes at random: the decoder answers frames or a violation, the same as the reference, in bounded time and memory.
 *
 * FUZZ_SEED repeats a run, FUZZ_COUNT makes it longer.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { ErrorCode } from "../../src/internal/frame/codes.ts"
import { ByteReader, DecodedHead, decodeFields, Decoder, type DecoderLimits } from "../../src/internal/frame/decoder.ts"
import { ByteWriter } from "../../src/internal/frame/encoder.ts"
import { type Decoded, type Fields, Frame, Malformed } from "../../src/internal/frame/Frame.ts"
import { maxFramesInMessage } from "../../src/internal/frame/grammar.ts"
import { headSize } from "../../src/internal/frame/head.ts"
import { DecodeTable } from "../../src/internal/frame/headTable.ts"
import { assertLinear, cpuMillis } from "../support/cost.ts"
import { extent } from "../support/extent.ts"
import { Random } from "../support/random.ts"
import { anyMessage } from "./messages.ts"
import { ReferenceDecoder, type ReferenceFrame } from "./reference.ts"
import { tableFields } from "./tableFields.ts"

const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 32))
const count = extent("FUZZ_COUNT", 30_000, 500_000)
/** Milliseconds of the processor for one message of the run; generous, as it may have to collect garbage. */
const worstAllowed = 500
/** Reasons may quote the peer, but not at length. */
const maxReason = 300

const nameOf = (code: number): string | undefined =>
  Object.entries(ErrorCode).find(([, candidate]) => candidate === code)?.[0]

/** The decoder builds its frames by hand: whether they are what the schemas say of them, with no member besides. */
const isFrame = (frame: Decoded): boolean => Result.isSuccess(decodeFrame(frame, { onExcessProperty: "error" }))
const decodeFrame = Schema.decodeUnknownResult(Schema.Union([...Frame.members, Malformed]))

/** Whether a frame is one that the reference allows. */
const agrees = (frame: Decoded, expected: ReferenceFrame): boolean => {
  if (frame._tag !== expected._tag) return false
  for (const [key, value] of Object.entries(expected)) {
    if (key === "codes") {
      if (frame._tag !== "Malformed" || !(value as Array<unknown>).includes(nameOf(frame.code))) return false
      if (frame.reason.length > maxReason) return false
    } else {
      const actual: unknown = frame[key as keyof Decoded]
      const same = value instanceof Uint8Array
        ? actual instanceof Uint8Array && Buffer.compare(actual, value) === 0
        : value === actual || (Array.isArray(value) && JSON.stringify(actual) === JSON.stringify(value))
      if (!same) return false
    }
  }
  return true
}

/** By PROTOCOL.md; names in a table may be illegal ones, outside ASCII. */
const tableSize = (fields: Fields): number =>
  fields.reduce((size, [name, value]) => size + Buffer.byteLength(name) + Buffer.byteLength(value) + 32, 0)

const settings = (random: Random): DecoderLimits => ({
  maxMessageSize: random.pick([65536, 65536, 32768, 300]),
  maxFrameSize: random.pick([32768, 17408, 120]),
  maxHeadSize: random.pick([16384, 1024, 200]),
  headTableSize: random.pick([4096, 1000, 256, 64, 0])
})

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

/** One connection: messages until one is a violation. */
class Connection {
  readonly limits: DecoderLimits
  private readonly decoder: Decoder
  private readonly reference: ReferenceDecoder
  private readonly messages: Array<string> = []
  /** Milliseconds of the processor that the reference has taken. */
  referenceMillis = 0

  constructor(limits: DecoderLimits) {
    this.limits = limits
    this.decoder = new Decoder(limits)
    this.reference = new ReferenceDecoder(limits)
  }

  /** In the head table. */
  get entries(): number {
    return this.reference.table.length
  }

  /** Answers the milliseconds of the processor that decoding took, and whether the connection is over. */
  receive(message: Uint8Array): { readonly elapsed: number; readonly isOver: boolean } {
    this.messages.push(hex(message))
    let reference: ReturnType<ReferenceDecoder["decode"]>
    this.referenceMillis += cpuMillis(() => {
      reference = this.reference.decode(message)
    })
    const { error, frames: expected } = reference!
    const frames: Array<Decoded> = []
    let violation: ReturnType<Decoder["decode"]>
    const elapsed = cpuMillis(() => {
      violation = this.decoder.decode(message, (frame) => {
        frames.push(frame)
        return undefined
      })
    })
    this.verify(nameOf(violation?.code ?? -1) === error, `${violation?.reason}, the reference says ${error}`)
    this.verify(
      frames.length === expected.length && frames.every((frame, index) => agrees(frame, expected[index]!)),
      `${JSON.stringify(frames)}, the reference has ${JSON.stringify(expected)}`
    )
    for (const frame of frames) {
      this.verify(isFrame(frame), `${JSON.stringify(frame)} does not fit the schema of a frame`)
      if (frame._tag !== "Request" && frame._tag !== "Response") continue
      const size = headSize(frame._tag === "Request" ? frame.target : "", frame.fields)
      this.verify(size <= this.limits.maxHeadSize, `a head of ${size}`)
    }
    if (violation !== undefined) {
      this.verify(violation.reason.length <= maxReason, `a reason of ${violation.reason.length}`)
      return { elapsed, isOver: true }
    }
    const { table } = this.decoder
    this.verify(table.size <= this.limits.headTableSize, `a table of ${table.size} bytes`)
    this.verify(table.size === tableSize(tableFields(table)), "the table counts what it has")
    this.verify(JSON.stringify(tableFields(table)) === JSON.stringify(this.reference.table), "the tables differ")
    return { elapsed, isOver: false }
  }

  private verify(condition: boolean, what: string): void {
    if (!condition) {
      assert.fail(`FUZZ_SEED=${seed}: ${what}\n${JSON.stringify(this.limits)}\n${this.messages.join("\n")}`)
    }
  }
}

describe("random messages", () => {
  // PROTOCOL.md HEAD-3, SEC-4
  it(`${count} random messages from seed ${seed} take bounded time`, { timeout: 60_000 + count }, () => {
    // oxlint-disable-next-line no-console
    console.log(`FUZZ_SEED=${seed} FUZZ_COUNT=${count}`)
    const random = new Random(seed)
    let connections = 0
    let violations = 0
    let total = 0
    let reference = 0
    let worst = 0
    let messages = 0
    while (messages < count) {
      connections++
      const connection = new Connection(settings(random))
      const wild = random.pick([0, 0.02, 0.2, 1])
      for (let left = 40; left > 0 && messages < count; left--) {
        messages++
        const { elapsed, isOver } = connection.receive(anyMessage(random, wild, connection.entries))
        total += elapsed
        worst = Math.max(worst, elapsed)
        if (isOver) {
          violations++
          break
        }
      }
      reference += connection.referenceMillis
    }
    // oxlint-disable-next-line no-console
    console.log(
      `${connections} connections, ${violations} violations, ${total.toFixed(0)} ms of the processor in all, ${
        worst.toFixed(1)
      } ms at worst; the reference took ${reference.toFixed(0)} ms`
    )
    assert.isBelow(worst, worstAllowed)
    // The reference is written to be read: it is the slower one.
    assert.isBelow(total, 100 + 2 * reference)
    // Else the messages would not test what they should.
    assert.isAbove(violations, connections * 0.2)
    assert.isAbove(connections - violations, connections * 0.02)
  })
})

describe("expensive messages", () => {
  const limits: DecoderLimits = {
    maxMessageSize: 65536,
    maxFrameSize: 65536,
    maxHeadSize: 16384,
    headTableSize: 65536
  }

  /** A request of these fields, which fill the message. */
  const filled = (size: number, field: Uint8Array, before: Uint8Array = new Uint8Array(0)): Uint8Array => {
    const room = size - 16 - before.length
    const repeated = new Uint8Array(room - room % field.length)
    for (let at = 0; at < repeated.length; at += field.length) repeated.set(field, at)
    const writer = new ByteWriter()
    writer.u8(0x81)
    const start = writer.length
    for (const part of [Uint8Array.of(1, 1, 1, 0x2f), before, repeated]) writer.raw(part)
    writer.prefixLength(start)
    return writer.take()
  }

  const literal = (first: number, value: string, name?: string): Uint8Array => {
    const writer = new ByteWriter()
    writer.u8(first)
    if (name !== undefined) {
      writer.varint(0)
      writer.string(name)
    }
    writer.string(value)
    return writer.take()
  }

  /** As many as the largest message may have, or that share of them. */
  const frames = (size: number, frame: ReadonlyArray<number>): Uint8Array => {
    const count = maxFramesInMessage * size / limits.maxMessageSize
    return Uint8Array.from({ length: count * frame.length }, (_, index) => frame[index % frame.length]!)
  }

  /** Messages of a size; what they repeat or name grows with it. */
  const casesOf = (size: number): Readonly<Record<string, Uint8Array>> => ({
    "a large entry, named by each byte": filled(size, Uint8Array.of(0xb0), literal(0x7f, "v".repeat(0.45 * size), "x")),
    "a large forbidden entry, named by each byte": filled(
      size,
      Uint8Array.of(0xb0),
      literal(0x7f, "v", "X".repeat(0.45 * size))
    ),
    "thousands of the smallest entries": filled(size, Uint8Array.of(0x5d, 0)),
    "entries that evict hundreds": filled(
      size,
      Buffer.concat([
        ...Array.from({ length: size / 128 }, () => Uint8Array.of(0x5d, 0)),
        literal(0x5d, "v".repeat(0.3 * size))
      ])
    ),
    "forbidden names": filled(size, literal(0x7f, "", "\n")),
    "forbidden values": filled(size, literal(0x5d, "\n")),
    "long names": filled(size, literal(0x7f, "", "x".repeat(0.244 * size))),
    "text outside ASCII": filled(size, literal(0x1d, "é".repeat(10))),
    "a long target": (() => {
      const writer = new ByteWriter()
      writer.u8(0x81)
      const start = writer.length
      writer.raw(Uint8Array.of(1, 1))
      writer.string(`/${"a".repeat(0.99 * size)}\n`)
      writer.prefixLength(start)
      return writer.take()
    })(),
    "empty DATA": frames(size, [0x03, 1, 1]),
    "empty extensions": frames(size, [0x40, 0]),
    PINGs: frames(size, [0x10, 0]),
    CREDITs: frames(size, [0x05, 2, 0, 1]),
    requests: frames(size, [0x81, 4, 1, 1, 1, 0x2f])
  })
  const cases = casesOf(limits.maxMessageSize)

  for (const name of Object.keys(cases)) {
    it(`eight times the bytes of ${name} take at most 24 times the processor time`, () => {
      const decoder = new Decoder(limits)
      assertLinear(limits.maxMessageSize, (size) => {
        const message = casesOf(size)[name]!
        assert.isAtMost(message.length, limits.maxMessageSize)
        return () => {
          const violation = decoder.decode(message, (frame) => {
            if (frame._tag === "Malformed" && frame.reason.length > maxReason) assert.fail(frame.reason)
            return undefined
          })
          assert.isUndefined(violation)
          assert.isAtMost(decoder.table.size, limits.headTableSize)
        }
      })
    })
  }

  // PROTOCOL.md SEC-3
  it("a decoded head keeps no more fields than its limit allows", () => {
    for (const message of Object.values(cases)) {
      if (message[0] !== 0x81 || message.length < 60000) continue
      const reader = new ByteReader(message)
      // Behind the type, the length, the stream, the method and the target.
      reader.at = 9
      const head = new DecodedHead(limits.maxHeadSize, 1)
      decodeFields(reader, new DecodeTable(limits.headTableSize), head)
      if (reader.failed === undefined) assert.isAtMost(headSize("", head.fields), limits.maxHeadSize)
      assert.isAtMost(head.fields.length, limits.maxHeadSize / 32)
    }
  })

  it("the time to decode a head is proportional to its size", () =>
    assertLinear(400_000, (fields) => {
      const head = new DecodedHead(limits.maxHeadSize, 0)
      const reader = new ByteReader(Uint8Array.from({ length: fields * 2 }, (_, index) => index % 2 === 0 ? 0x5d : 0))
      return () => decodeFields(reader, new DecodeTable(limits.headTableSize), head)
    }))
})
