/**
 * Reads the frames of a WebSocket (RFC 6455 section 5) out of bytes that arrive in any portions.
 */
import { mask } from "../link/mask.ts"
import { Parts } from "./parts.ts"
import { final, isCloseCode, maxControl, Opcode } from "./webSocketFrames.ts"

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** So many frames without bytes are read within a millisecond (measured). */
const maxFrames = 1024

/** What the peer sends, but for pongs. @internal */
export type Received =
  | { readonly _tag: "Message"; readonly data: Uint8Array | string }
  | { readonly _tag: "Ping"; readonly data: Uint8Array }
  /** The code is 1005 if the peer has sent none. */
  | { readonly _tag: "Close"; readonly code: number; readonly reason: string }

/** What is wrong with the bytes of the peer, with the code to close with. @internal */
export interface Fault {
  readonly code: 1002 | 1007 | 1009
  readonly reason: string
}

const violated = (reason: string): Fault => ({ code: 1002, reason })
const notUtf8: Fault = { code: 1007, reason: "text that is not UTF-8" }

const textOf = (bytes: Uint8Array): string | undefined => {
  try {
    return utf8.decode(bytes)
  } catch {
    return undefined
  }
}

interface FrameHead {
  readonly opcode: number
  readonly isFinal: boolean
  readonly mask: Uint8Array | undefined
  /** Bytes of the payload that have not arrived. */
  left: number
}

/**
 * Holds one message at most, of `maxSize` bytes. Nothing is read behind a close frame or a fault.
 *
 * @internal
 */
export class FrameReader {
  readonly #maxSize: number
  /** The head of a frame as far as it has arrived. */
  readonly #head = new Uint8Array(14)
  #headSize = 0
  #frame: FrameHead | undefined
  /** Bytes of the frame's payload that were unmasked. */
  #unmasked = 0
  /** The opcode of a message whose last frame has not come. */
  #opcode: number | undefined
  readonly #message = new Parts()
  readonly #control = new Parts()
  #isDone = false
  #fault: Fault | undefined

  constructor(maxSize: number) {
    this.#maxSize = maxSize
  }

  /** Bytes of a message that has not arrived to its end. */
  get size(): number {
    return this.#message.size
  }

  /** What was wrong with the bytes so far. */
  get fault(): Fault | undefined {
    return this.#fault
  }

  /**
   * Takes bytes in, from `at` on, up to the end of so many frames as don't take long. What is complete goes to `onReceived`. Answers
   * up to where it has read.
   */
  read(bytes: Uint8Array, from: number, onReceived: (received: Received) => void): number {
    let [at, ended] = [from, 0]
    while (!this.#isDone && ended < maxFrames) {
      if (this.#frame === undefined) {
        if (at === bytes.length) return at
        this.#head[this.#headSize++] = bytes[at++]!
        this.#stopAt(this.#readHead())
        continue
      }
      const part = bytes.subarray(at, at + this.#frame.left)
      at += part.length
      this.#keep(this.#frame, part)
      if (this.#frame.left > 0) return at
      ended++
      this.#stopAt(this.#end(this.#frame, onReceived))
    }
    return this.#isDone ? bytes.length : at
  }

  #stopAt(fault: Fault | undefined): void {
    if (fault === undefined) return
    this.#fault = fault
    this.#isDone = true
    this.#message.take()
  }

  /** Begins a frame if its head is complete. */
  #readHead(): Fault | undefined {
    if (this.#headSize < 2) return undefined
    const [first, second] = this.#head as unknown as readonly [number, number]
    const length = second & 0x7f
    const opcode = first & 0x0f
    const isFinal = (first & final) !== 0
    if (this.#headSize === 2) {
      const fault = this.#faultOf(opcode, isFinal, length, first & 0x70)
      if (fault !== undefined) return fault
    }
    const extended = length === 126 ? 2 : length === 127 ? 8 : 0
    const maskAt = 2 + extended
    const size = maskAt + (second > 0x7f ? 4 : 0)
    if (this.#headSize < size) return undefined
    let left = extended === 0 ? length : 0
    for (let at = 2; at < maskAt; at++) left = left * 0x100 + this.#head[at]!
    if (opcode < Opcode.CLOSE && this.#message.size + left > this.#maxSize) {
      return { code: 1009, reason: `a message of more than ${this.#maxSize} bytes` }
    }
    this.#headSize = 0
    this.#unmasked = 0
    this.#frame = { opcode, isFinal, left, mask: size > maskAt ? this.#head.slice(maskAt, size) : undefined }
    return undefined
  }

  #faultOf(opcode: number, isFinal: boolean, length: number, reserved: number): Fault | undefined {
    if (reserved !== 0) return violated("reserved bits are set")
    if (opcode >= Opcode.CLOSE) {
      if (opcode > Opcode.PONG) return violated(`the unknown opcode ${opcode}`)
      return isFinal && length <= maxControl ? undefined : violated("a control frame is too long or in fragments")
    }
    if (opcode > Opcode.BINARY) return violated(`the unknown opcode ${opcode}`)
    return (opcode === Opcode.CONTINUATION) === (this.#opcode !== undefined)
      ? undefined
      : violated("a fragment where none belongs, or none where one does")
  }

  #keep(frame: FrameHead, part: Uint8Array): void {
    if (part.length === 0) return
    frame.left -= part.length
    let data = part
    if (frame.mask !== undefined) {
      data = new Uint8Array(part)
      mask(data, frame.mask, this.#unmasked)
      this.#unmasked += data.length
    }
    const parts = frame.opcode >= Opcode.CLOSE ? this.#control : this.#message
    parts.add(data, frame.left === 0 && frame.isFinal)
  }

  #end({ isFinal, opcode }: FrameHead, onReceived: (received: Received) => void): Fault | undefined {
    this.#frame = undefined
    if (opcode >= Opcode.CLOSE) return this.#endControl(opcode, onReceived)
    const kind = opcode === Opcode.CONTINUATION ? this.#opcode! : opcode
    this.#opcode = isFinal ? undefined : kind
    if (!isFinal) return undefined
    const bytes = this.#message.takeWhole()
    const data = kind === Opcode.TEXT ? textOf(bytes) : bytes
    if (data === undefined) return notUtf8
    onReceived({ _tag: "Message", data })
    return undefined
  }

  #endControl(opcode: number, onReceived: (received: Received) => void): Fault | undefined {
    const data = this.#control.takeWhole()
    if (opcode === Opcode.PING) onReceived({ _tag: "Ping", data })
    if (opcode !== Opcode.CLOSE) return undefined
    const code = data.length === 0 ? 1005 : data.length === 1 ? 0 : data[0]! * 0x100 + data[1]!
    if (data.length > 0 && !isCloseCode(code)) return violated("a close frame without a valid code")
    const reason = textOf(data.subarray(2))
    if (reason === undefined) return notUtf8
    this.#isDone = true
    onReceived({ _tag: "Close", code, reason })
    return undefined
  }
}
