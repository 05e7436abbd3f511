/**
 * Chunks of the bodies that applications stream. Their types promise `Uint8Array`, but files opened as text, `Response`s of
 * text and views of other kinds come as well: text leaves as UTF-8 and views as their bytes, as Node's HTTP server sends
 * them. Anything else fails the body before a byte of it leaves.
 */
const encoder = new TextEncoder()

/** The bytes of a chunk; `undefined`: it has none. @internal */
export const toBytes = (chunk: unknown): Uint8Array | undefined => {
  if (chunk instanceof Uint8Array) return chunk
  if (typeof chunk === "string") return encoder.encode(chunk)
  return ArrayBuffer.isView(chunk) ? new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength) : undefined
}

const kindOf = (value: unknown): string =>
  typeof value === "object" && value !== null ? Object.prototype.toString.call(value).slice(8, -1) : typeof value

/** A body is of a kind that has no bytes. @internal */
export class UnusableBody extends Error {
  override readonly name = "UnusableBody"
  constructor(what: "body" | "chunk", value: unknown) {
    super(`a ${what} of a message is text or bytes, not of kind ${kindOf(value)}`)
  }
}
