/**
 * Frames and bytes for hostile peers, with defaults for what a test does not care about.
 */
import * as Predicate from "effect/Predicate"
import { ErrorCode } from "../../src/internal/frame/codes.ts"
import type { Frame } from "../../src/internal/frame/Frame.ts"

export type Code = keyof typeof ErrorCode

export type Fields = ReadonlyArray<readonly [name: string, value: string]>

/** Bytes written as in PROTOCOL.md; white space and everything from `#` to the end of a line is left out. */
export const hex = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(Buffer.from(text.replace(/#.*$/gm, "").replace(/\s+/g, ""), "hex"))

/** Several parts as one message. */
export const concat = (...parts: ReadonlyArray<Uint8Array>): Uint8Array => Uint8Array.from(Buffer.concat(parts))

const utf8 = new TextEncoder()

export const bytes = (text: string): Uint8Array<ArrayBuffer> => utf8.encode(text)

export const request = (
  streamId: number,
  target: string,
  options: { readonly method?: string; readonly fields?: Fields; readonly end?: boolean } = {}
): Frame => ({
  _tag: "Request",
  streamId,
  end: options.end ?? true,
  method: options.method ?? "GET",
  target,
  fields: options.fields ?? []
})

export const response = (
  streamId: number,
  status: number,
  options: { readonly fields?: Fields; readonly end?: boolean } = {}
): Frame => ({ _tag: "Response", streamId, end: options.end ?? true, status, fields: options.fields ?? [] })

export const data = (streamId: number, data: Uint8Array | string, end = false): Frame => ({
  _tag: "Data",
  streamId,
  end,
  data: Predicate.isString(data) ? bytes(data) : data
})

export const reset = (streamId: number, code: Code, reason = ""): Frame => ({
  _tag: "Reset",
  streamId,
  code: ErrorCode[code],
  reason
})

export const credit = (streamId: number, increment: number): Frame => ({ _tag: "Credit", streamId, increment })

export const goAway = (lastStreamId: number, code: Code, reason = ""): Frame => ({
  _tag: "GoAway",
  lastStreamId,
  code: ErrorCode[code],
  reason
})

export const ping = (data: Uint8Array | string = ""): Frame => ({
  _tag: "Ping",
  data: Predicate.isString(data) ? bytes(data) : data
})
