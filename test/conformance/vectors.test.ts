/**
 * The vectors of PROTOCOL.md, "Conformance", against this package's decoder and encoder.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as path from "node:path"
import { Decoder } from "../../src/internal/frame/decoder.ts"
import { Encoder } from "../../src/internal/frame/encoder.ts"
import { ErrorCode } from "../../src/internal/frame/errorCode.ts"
import { type Decoded, Frame } from "../../src/internal/frame/Frame.ts"

const Settings = Schema.Struct({
  maxMessageSize: Schema.optionalKey(Schema.Int),
  maxFrameSize: Schema.optionalKey(Schema.Int),
  maxHeadSize: Schema.optionalKey(Schema.Int),
  headTableSize: Schema.optionalKey(Schema.Int)
})

const Vector = Schema.Struct({
  name: Schema.NonEmptyString,
  section: Schema.NonEmptyString,
  settings: Schema.optionalKey(Settings),
  messages: Schema.Array(Schema.String.check(Schema.isPattern(/^(?:[0-9a-f]{2})*$/))),
  frames: Schema.optionalKey(Schema.Array(Schema.Array(Schema.Record(Schema.String, Schema.Unknown)))),
  error: Schema.optionalKey(Schema.Struct({
    code: Schema.Literals(Object.keys(ErrorCode) as ReadonlyArray<keyof typeof ErrorCode>),
    scope: Schema.Literal("connection"),
    message: Schema.Int
  })),
  canonical: Schema.optionalKey(Schema.Boolean)
})
type Vector = typeof Vector.Type

const decodeFile = Schema.decodeUnknownSync(
  Schema.fromJsonString(Schema.Struct({ description: Schema.String, vectors: Schema.Array(Vector) })),
  { onExcessProperty: "error" }
)
const decodeFrame = Schema.decodeUnknownSync(Frame)

const defaults = { maxMessageSize: 65536, maxFrameSize: 32768, maxHeadSize: 16384, headTableSize: 4096 }

const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
const fromHex = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, "hex"))

const nameOf = (code: number): string | undefined =>
  Object.entries(ErrorCode).find(([, candidate]) => candidate === code)?.[0]

/** A decoded frame as the vectors write it. */
const describeFrame = (frame: Decoded): unknown => {
  switch (frame._tag) {
    case "Malformed":
      return { _tag: "Malformed", streamId: frame.streamId, code: nameOf(frame.code) }
    case "Data":
    case "Ping":
    case "Pong":
      return { ...frame, data: toHex(frame.data) }
    default:
      return frame
  }
}

/** A frame of a vector as the encoder takes it. */
const parseFrame = (frame: Record<string, unknown>): Frame =>
  decodeFrame(typeof frame.data === "string" ? { ...frame, data: fromHex(frame.data) } : frame)

const testDecoder = (vector: Vector): void => {
  const decoder = new Decoder({ ...defaults, ...vector.settings })
  const decoded: Array<ReadonlyArray<unknown>> = []
  for (const [index, message] of vector.messages.entries()) {
    const frames: Array<Decoded> = []
    const violation = decoder.decode(fromHex(message), (frame) => {
      frames.push(frame)
      return undefined
    })
    if (violation !== undefined) {
      assert.deepStrictEqual({ code: nameOf(violation.code), scope: "connection", message: index }, vector.error)
      break
    }
    assert.notStrictEqual(index, vector.error?.message, "the message is a connection error")
    decoded.push(frames.map(describeFrame))
  }
  assert.deepStrictEqual<unknown>(decoded, vector.frames ?? [])
}

const testEncoder = (vector: Vector): void => {
  const encoder = new Encoder({ ...defaults, ...vector.settings }.headTableSize)
  for (const [index, frames] of (vector.frames ?? []).entries()) {
    for (const frame of frames) encoder.frame(parseFrame(frame))
    assert.strictEqual(toHex(encoder.take()), vector.messages[index])
  }
}

const directory = path.join(import.meta.dirname, "vectors")

for (const file of fs.readdirSync(directory).filter((name) => name.endsWith(".json"))) {
  const { description, vectors } = decodeFile(fs.readFileSync(path.join(directory, file), "utf8"))
  describe(`${file}: ${description}`, () => {
    for (const vector of vectors) {
      it(`the decoder decodes ${vector.name}`, () => testDecoder(vector))
      if (vector.error === undefined && vector.canonical !== false) {
        it(`the encoder encodes ${vector.name}`, () => testEncoder(vector))
      }
    }
  })
}
