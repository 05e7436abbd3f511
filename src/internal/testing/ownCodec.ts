/**
 * This package's decoder and encoder, with messages and frames as the vectors write them.
 */
import * as Schema from "effect/Schema"
import { ErrorCode } from "../frame/codes.ts"
import { Decoder } from "../frame/decoder.ts"
import { Encoder } from "../frame/encoder.ts"
import { type Decoded, Frame } from "../frame/Frame.ts"

type Json = Readonly<Record<string, unknown>>

const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
const fromHex = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, "hex"))

const nameOf = (code: number) =>
  (Object.keys(ErrorCode) as ReadonlyArray<keyof typeof ErrorCode>).find((name) => ErrorCode[name] === code)!

const toJson = (frame: Decoded): Json => {
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

const parseFrame = Schema.decodeUnknownSync(Frame)

const fromJson = (frame: Json): Frame =>
  parseFrame(typeof frame.data === "string" ? { ...frame, data: fromHex(frame.data) } : frame)

export const decode = (
  messages: ReadonlyArray<string>,
  settings: ConstructorParameters<typeof Decoder>[0] & { readonly upgrade?: number }
) => {
  const decoder = new Decoder(settings, settings.upgrade === 1)
  const decoded: Array<ReadonlyArray<Json>> = []
  for (const [index, message] of messages.entries()) {
    const frames: Array<Json> = []
    const violation = decoder.decode(fromHex(message), (frame) => {
      frames.push(toJson(frame))
      return undefined
    })
    if (violation !== undefined) {
      return { frames: decoded, error: { code: nameOf(violation.code), scope: "connection" as const, message: index } }
    }
    decoded.push(frames)
  }
  return { frames: decoded, error: undefined }
}

export const encode = (
  messages: ReadonlyArray<ReadonlyArray<Json>>,
  settings: { readonly headTableSize: number }
): ReadonlyArray<string> => {
  const encoder = new Encoder(settings.headTableSize)
  return messages.map((frames) => {
    for (const frame of frames) encoder.frame(fromJson(frame))
    return toHex(encoder.take())
  })
}
