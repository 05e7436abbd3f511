/**
 * Messages for the fuzzer: some right, most of them almost right.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { ByteWriter } from "../../src/internal/frame/encoder.ts"
import type { Random } from "../support/random.ts"

const directory = path.join(import.meta.dirname, "../../conformance")

/** The messages of the conformance vectors, but for the long ones. */
const corpus: ReadonlyArray<Uint8Array> = fs.readdirSync(directory).filter((name) => name.endsWith(".json")).flatMap(
  (file) => {
    const { vectors }: { vectors: ReadonlyArray<{ messages: ReadonlyArray<string> }> } = JSON.parse(
      fs.readFileSync(path.join(directory, file), "utf8")
    )
    return vectors.flatMap((vector) => vector.messages.map((hex) => new Uint8Array(Buffer.from(hex, "hex"))))
  }
).filter((message) => message.length <= 600)

const join = (parts: ReadonlyArray<Uint8Array>): Uint8Array => new Uint8Array(Buffer.concat(parts))

/** Changes a message in one to four places. */
const mutate = (random: Random, message: Uint8Array): Uint8Array => {
  let bytes = message
  for (let left = 1 + random.skewed(4); left > 0; left--) {
    const at = random.int(bytes.length + 1)
    const behind = Math.min(bytes.length, at + random.int(8))
    switch (random.int(7)) {
      case 0: // another bit
        bytes = bytes.map((byte, index) => index === at ? byte ^ (1 << random.int(8)) : byte)
        break
      case 1: // another byte
        bytes = bytes.map((byte, index) => index === at ? random.int(256) : byte)
        break
      case 2: // cut short
        bytes = bytes.subarray(0, at)
        break
      case 3: // some left out
        bytes = join([bytes.subarray(0, at), bytes.subarray(behind)])
        break
      case 4: // some more
        bytes = join([bytes.subarray(0, at), random.bytes(random.int(8)), bytes.subarray(at)])
        break
      case 5: // some twice
        bytes = join([bytes.subarray(0, behind), bytes.subarray(at)])
        break
      default: // another message spliced in
        bytes = join([bytes.subarray(0, at), random.pick(corpus).subarray(random.int(20))])
    }
  }
  return bytes
}

const numbers = [0, 1, 2, 62, 63, 64, 255, 256, 16383, 16384, 2 ** 30 - 1, 2 ** 30, 2 ** 31 - 1, 2 ** 31, 2 ** 53 - 1]
const methods = ["GET", "PROPFIND", "CONNECT", "", "G T", "M".repeat(33)]
const targets = ["/", "/devices?a=1", "*", "", "x", "/a#b", "/é", `/${"p".repeat(300)}`]
const names = ["x-a", "x-b", "x-site", "accept", "cookie", "te", "upgrade", "connection"]
const badNames = ["X-A", "", "x y", "é", "x\n"]
const texts = ["", "1", "north", "größer", "🙂", "x".repeat(40), "y".repeat(70), "\ufeffbom"]
const badTexts = ["a\u0000b", "a\r\nb"]
const invalidTexts = [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]]
const types = [0x01, 0x81, 0x01, 0x81, 0x02, 0x82, 0x03, 0x83, 0x04, 0x05, 0x06, 0x40]
const linkTypes = [0x10, 0x11, 0x12, 0x7f]

/** Frames of which each member is wrong with the probability `wrong`. */
class FrameMaker {
  private readonly random: Random
  private readonly wrong: number
  /** How many entries the head table has, or had a moment ago. */
  private readonly entries: number
  private readonly writer = new ByteWriter()

  constructor(random: Random, wrong: number, entries: number) {
    this.random = random
    this.wrong = wrong
    this.entries = entries
  }

  message(): Uint8Array {
    const from = this.random.chance(0.15) ? linkTypes : types
    return join(Array.from({ length: 1 + this.random.skewed(8) }, () => this.frame(this.random.pick(from))))
  }

  private get slip(): boolean {
    return this.random.chance(this.wrong)
  }

  private number(): void {
    this.writer.varint(this.random.chance(0.6) ? this.random.skewed(300) : this.random.pick(numbers))
  }

  private streamId(): void {
    this.writer.varint(this.slip ? 0 : 1 + this.random.skewed(200))
  }

  private string(values: ReadonlyArray<string>): void {
    if (this.slip) {
      const bytes = Uint8Array.from(this.random.pick(invalidTexts))
      this.writer.varint(bytes.length)
      this.writer.raw(bytes)
    } else {
      this.writer.string(this.random.chance(0.9) ? this.random.pick(values) : `v${this.random.skewed(500)}`)
    }
  }

  private reason(): void {
    this.writer.text(this.random.pick(texts).repeat(this.random.skewed(this.slip ? 40 : 3)))
  }

  private index(): number {
    if (this.slip) return this.random.skewed(300)
    return this.entries > 0 && this.random.chance(0.5) ? 48 + this.random.int(this.entries) : this.random.int(48)
  }

  private fields(): void {
    const { random, writer } = this
    for (let left = random.skewed(12); left > 0; left--) {
      if (random.chance(0.4)) {
        const index = this.index()
        writer.u8(0x80 | Math.min(index, 127))
        if (index >= 127) writer.varint(index - 127)
        continue
      }
      const name = random.chance(0.4) ? this.index() : -1
      writer.u8((random.chance(0.6) ? 0x40 : 0) | (name < 0 ? 63 : Math.min(name, 63)))
      if (name < 0) {
        writer.varint(0)
        this.string(this.slip ? badNames : names)
      } else if (name >= 63) {
        writer.varint(name - 62)
      }
      this.string(this.slip ? badTexts : texts)
    }
  }

  private frame(typeByte: number): Uint8Array {
    const { random, writer } = this
    switch (typeByte & 0x7f) {
      case 0x01: {
        this.streamId()
        const method = random.skewed(this.slip ? 256 : 10)
        writer.u8(method)
        if (method === 0) this.string(methods)
        this.string(targets)
        this.fields()
        break
      }
      case 0x02:
        this.streamId()
        writer.varint(this.slip ? random.int(700) : 200 + random.int(400))
        this.fields()
        break
      case 0x03:
        this.streamId()
        writer.raw(random.bytes(random.skewed(100)))
        break
      case 0x04:
        this.streamId()
        this.number()
        this.reason()
        break
      case 0x05:
        this.number()
        writer.varint(this.slip ? random.pick(numbers) : 1 + random.skewed(2147483647))
        break
      case 0x06:
        this.number()
        this.number()
        this.reason()
        break
      case 0x12:
        this.number()
        break
      default:
        writer.raw(random.bytes(random.skewed(this.slip ? 200 : 120)))
    }
    const payload = writer.take()
    writer.u8(typeByte)
    writer.varint(payload.length)
    writer.raw(payload)
    return writer.take()
  }
}

/** `wild`: how likely it is that the message is not built from frames, or is changed afterwards. */
export const anyMessage = (random: Random, wild: number, entries: number): Uint8Array => {
  const frames = new FrameMaker(random, wild / 10, entries)
  if (!random.chance(wild)) return frames.message()
  if (random.chance(0.1)) return random.bytes(random.skewed(100))
  return mutate(random, random.chance(0.5) ? frames.message() : random.pick(corpus))
}
