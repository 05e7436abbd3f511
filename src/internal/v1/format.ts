/**
 * Writes HTTP/1.1 messages (RFC 9112; PROTOCOL-v1.md, "Wire v1").
 */
import type { Fields } from "../frame/Frame.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** @internal */
export const correlationField = "x-correlation-id"

/** Names as the peers that were first wrote them. */
const canonical = (name: string): string => name.replace(/(?:^|-)[a-z]/g, (start) => start.toUpperCase())

/** @internal */
export const correlationIdsOf = (fields: Fields): Array<string> =>
  fields.flatMap(([name, value]) => name === correlationField ? [value] : [])

/** @internal */
export const without = (fields: Fields, ...names: ReadonlyArray<string>): Fields =>
  fields.filter(([name]) => !names.includes(name))

/** Whether an answer has no body, whatever its fields say (RFC 9112 section 6.3). @internal */
export const isBodiless = (method: string, status: number): boolean =>
  method === "HEAD" || status === 204 || status === 304

const formatFields = (fields: Fields): string => {
  let text = ""
  for (const [name, value] of fields) text += `${canonical(name)}: ${value}\r\n`
  return text
}

/** A head, with room for a body behind it. @internal */
export const formatHead = (startLine: string, fields: Fields): Uint8Array =>
  encoder.encode(`${startLine}\r\n${formatFields(fields)}\r\n`)

/** @internal */
export const requestLine = (method: string, target: string): string => `${method} ${target} HTTP/1.1`

/** The reason phrase is empty, as it may be (RFC 9112 section 4). @internal */
export const statusLine = (status: number): string => `HTTP/1.1 ${status} `

/** @internal */
export const chunkStart = (size: number): Uint8Array => encoder.encode(`${size.toString(16)}\r\n`)

/** @internal */
export const chunkEnd: Uint8Array = encoder.encode("\r\n")

/** @internal */
export const lastChunk: Uint8Array = encoder.encode("0\r\n\r\n")

/** Text where it is text: WebSockets allow nothing else in a text message (RFC 6455 section 8.1). @internal */
export const asMessage = (bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> | string => {
  try {
    return decoder.decode(bytes)
  } catch {
    return bytes
  }
}

/** @internal */
export const bytesOf = (message: Uint8Array | string): Uint8Array =>
  typeof message === "string" ? encoder.encode(message) : message
