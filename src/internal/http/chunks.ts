/**
 * Turns the chunks of a streamed body into bytes. The types allow only `Uint8Array`, but applications also stream text and
 * other views, such as files opened as text. Text is sent as UTF-8 and a view as its bytes, as Node's HTTP server does. Any
 * other chunk fails the body.
 */
const encoder = new TextEncoder()

/** The bytes of a chunk, or `undefined` if it is neither bytes nor text. @internal */
export const toBytes = (chunk: unknown): Uint8Array | undefined => {
  if (chunk instanceof Uint8Array) return chunk
  if (typeof chunk === "string") return encoder.encode(chunk)
  return ArrayBuffer.isView(chunk) ? new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength) : undefined
}

const kindOf = (value: unknown): string =>
  typeof value === "object" && value !== null ? Object.prototype.toString.call(value).slice(8, -1) : typeof value

/** A body, or a chunk of one, is neither bytes nor text. @internal */
export class UnusableBody extends Error {
  override readonly name = "UnusableBody"
  constructor(what: "body" | "chunk", value: unknown) {
    super(`a ${what} of a message is text or bytes, not of kind ${kindOf(value)}`)
  }
}
