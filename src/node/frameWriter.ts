/**
 * Writes the messages of a WebSocket to its TCP socket, each as one frame (RFC 6455 section 5.2). `ws` masks byte by byte, into a
 * new buffer for each message: that took most of the processor time of what is sent by the end that dialled, which masks. It goes
 * on to write control frames, so this is for WebSockets without extensions, which `ws` sends nothing else on.
 */
import { borrow, bufferSize, recycle } from "../internal/frame/bufferPool.ts"
import { mask } from "../internal/link/mask.ts"
import type { TcpSocket } from "../internal/link/platformSockets.ts"
import { keySize, writeKey } from "./maskKeys.ts"

const final = 0x80
const text = 1
const binary = 2
const masked = 0x80

/** Payloads of frames begin here in their buffer, behind the longest head: at a whole word. */
const payloadAt = 16

/** A message up to this size is copied behind its head: one piece is written faster than two. A guess. */
const small = 2048

/** Bytes of a head without a key. */
const headSize = (length: number): number => length < 126 ? 2 : length < 0x10000 ? 4 : 10

/** Writes the head of a frame that is a whole message, without its key. */
const writeHead = (target: Uint8Array, at: number, isText: boolean, length: number): void => {
  const size = headSize(length)
  target[at] = final | (isText ? text : binary)
  target[at + 1] = size === 2 ? length : size === 4 ? 126 : 127
  for (let end = at + size - 1, rest = length; end > at + 1; end--) {
    target[end] = rest
    rest = Math.floor(rest / 0x100)
  }
}

/** @internal */
export type Sent = (error?: Error | null) => void

/** @internal */
export class FrameWriter {
  readonly #tcp: TcpSocket
  readonly #isMasked: boolean

  /** `isMasked`: this end has dialled. */
  constructor(tcp: TcpSocket, isMasked: boolean) {
    this.#tcp = tcp
    this.#isMasked = isMasked
  }

  /**
   * Writes a message. `sent` runs once the operating system has taken it, or the socket has failed. The bytes of a large one that
   * is not masked must not change until then.
   */
  write(message: Uint8Array | string, sent?: Sent): void {
    const isText = typeof message === "string"
    const payload = isText ? Buffer.from(message) : message
    if (this.#isMasked) this.#writeMasked(payload, isText, sent)
    else if (payload.length <= small) this.#writeWhole(payload, isText, sent)
    else this.#writeParts(payload, isText, sent)
  }

  #writeMasked(payload: Uint8Array, isText: boolean, sent: Sent | undefined): void {
    const { length } = payload
    const isPooled = length > small && length <= bufferSize - payloadAt
    const size = payloadAt + length
    const buffer = isPooled ? borrow() : length <= small ? Buffer.allocUnsafe(size) : Buffer.allocUnsafeSlow(size)
    const start = payloadAt - keySize - headSize(length)
    writeHead(buffer, start, isText, length)
    buffer[start + 1]! |= masked
    writeKey(buffer, payloadAt - keySize)
    buffer.set(payload, payloadAt)
    mask(buffer.subarray(payloadAt, size), buffer.subarray(payloadAt - keySize, payloadAt))
    this.#tcp.write(buffer.subarray(start, size), isPooled ? recycling(buffer, sent) : sent)
  }

  #writeWhole(payload: Uint8Array, isText: boolean, sent: Sent | undefined): void {
    const size = headSize(payload.length)
    const frame = Buffer.allocUnsafe(size + payload.length)
    writeHead(frame, 0, isText, payload.length)
    frame.set(payload, size)
    this.#tcp.write(frame, sent)
  }

  #writeParts(payload: Uint8Array, isText: boolean, sent: Sent | undefined): void {
    const head = Buffer.allocUnsafe(headSize(payload.length))
    writeHead(head, 0, isText, payload.length)
    this.#tcp.cork()
    this.#tcp.write(head)
    this.#tcp.write(payload, sent)
    this.#tcp.uncork()
  }
}

/** A socket that has failed may still hold the buffer. */
const recycling = (buffer: Uint8Array<ArrayBuffer>, sent: Sent | undefined): Sent => (error) => {
  if (error === undefined || error === null) recycle(buffer)
  sent?.(error)
}
