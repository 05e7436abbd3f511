/**
 * Messages in a stream of bytes, each behind its type and its length (PROTOCOL.md, "Length prefix").
 */
import * as Predicate from "effect/Predicate"
import * as CloseCode from "../frame/CloseCode.ts"
import { maxCloseReason } from "./link.ts"

type Message = Uint8Array | string

const textType = 1
const bytesType = 2
const closeType = 8

const headerLength = 5

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Why the stream has no more messages: the peer has closed the link, or has sent what is none. @internal */
export interface StreamEnd {
  readonly code: number
  readonly reason: string
  /** This end closes the link for it. */
  readonly isFault: boolean
}

const fault = (code: number, reason: string): StreamEnd => ({ code, reason, isFault: true })

/** A shorter message is copied behind its header: one piece to write costs less than two. A guess. */
const maxCopied = 4096

const header = (type: number, length: number, room: number): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(headerLength + room)
  bytes[0] = type
  new DataView(bytes.buffer).setUint32(1, length)
  return bytes
}

/** The pieces of a message, as they are written. @internal */
export const encode = (message: Uint8Array<ArrayBuffer> | string): ReadonlyArray<Uint8Array<ArrayBuffer>> => {
  const payload = Predicate.isString(message) ? encoder.encode(message) : message
  const { length } = payload
  const type = Predicate.isString(message) ? textType : bytesType
  if (length > maxCopied) return [header(type, length, 0), payload]
  const bytes = header(type, length, length)
  bytes.set(payload, headerLength)
  return [bytes]
}

/** @internal */
export const encodeClose = (code: number, reason: string): Uint8Array<ArrayBuffer> => {
  const text = encoder.encode(reason)
  const bytes = header(closeType, 2 + text.length, 2 + text.length)
  new DataView(bytes.buffer).setUint16(headerLength, code)
  bytes.set(text, headerLength + 2)
  return bytes
}

/** Finds the messages of a stream. It keeps what has arrived of one, and no more than that has. @internal */
export class MessageReader {
  /** Whole messages that nobody has taken yet. */
  messages: Array<Message> = []
  /** Messages that have begun, those that have ended included. */
  begun = 0
  /** Bytes of the unfinished message, its header included. */
  partial = 0
  readonly #maxSize: number
  readonly #header = new Uint8Array(headerLength)
  readonly #view = new DataView(this.#header.buffer)
  #length = 0
  /** What has arrived of a message that comes in several pieces. Grows with it. */
  #payload: Uint8Array<ArrayBuffer> | undefined = undefined

  /** The bytes that a message may have. */
  constructor(maxSize: number) {
    this.#maxSize = maxSize
  }

  /** Takes in a piece of the stream, which must not be changed later. What is behind the end is left out. */
  feed(piece: Uint8Array): StreamEnd | undefined {
    let at = 0
    while (at < piece.length) {
      if (this.partial < headerLength) {
        if (this.partial === 0) this.begun++
        this.#header[this.partial++] = piece[at++]!
        if (this.partial < headerLength) continue
        const end = this.#checkHeader()
        if (end !== undefined) return end
      }
      const missing = headerLength + this.#length - this.partial
      if (piece.length - at < missing) return this.#keep(piece.subarray(at))
      const rest = piece.subarray(at, at + missing)
      at += missing
      const end = this.#take(this.#payload === undefined ? rest : this.#whole(rest))
      if (end !== undefined) return end
    }
    return undefined
  }

  /** What a length promises is checked before anything is kept for it. */
  #checkHeader(): StreamEnd | undefined {
    const type = this.#header[0]!
    const length = this.#length = this.#view.getUint32(1)
    if (type !== textType && type !== bytesType && type !== closeType) {
      return fault(CloseCode.PROTOCOL_ERROR, `a message of type ${type}`)
    }
    const isTooLong = type === closeType ? length < 2 || length > 2 + maxCloseReason : length > this.#maxSize
    if (!isTooLong) return undefined
    return type === closeType
      ? fault(CloseCode.PROTOCOL_ERROR, `a close of ${length} bytes`)
      : fault(CloseCode.TOO_LONG, `a message of ${length} bytes`)
  }

  #keep(piece: Uint8Array): undefined {
    if (piece.length === 0) return
    const kept = this.partial - headerLength
    const needed = kept + piece.length
    if (this.#payload === undefined || this.#payload.length < needed) {
      // Twice as much, but never more than the message has: pieces may have a byte each.
      const grown = new Uint8Array(Math.min(this.#length, Math.max(2 * needed, 1024)))
      if (this.#payload !== undefined) grown.set(this.#payload.subarray(0, kept))
      this.#payload = grown
    }
    this.#payload.set(piece, kept)
    this.partial += piece.length
  }

  #whole(rest: Uint8Array): Uint8Array {
    this.#keep(rest)
    const payload = this.#payload!
    this.#payload = undefined
    return payload
  }

  #take(payload: Uint8Array): StreamEnd | undefined {
    this.partial = 0
    const type = this.#header[0]
    if (type === bytesType) {
      this.messages.push(payload)
      return undefined
    }
    if (type === closeType) return readClose(payload)
    const text = decodeText(payload)
    if (text === undefined) return fault(CloseCode.NOT_UTF8, "text that is no UTF-8")
    this.messages.push(text)
    return undefined
  }
}

const decodeText = (bytes: Uint8Array): string | undefined => {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

/** Whether a close of the link may have this code (PROTOCOL.md, "Links"): 1004 to 1006 and 1015 are never sent. @internal */
export const isCloseCode = (code: number): boolean =>
  code >= 1000 && code < 5000 && (code < 1004 || code > 1006) && code !== 1015

const readClose = (payload: Uint8Array): StreamEnd => {
  const code = payload[0]! * 256 + payload[1]!
  const reason = decodeText(payload.subarray(2))
  if (isCloseCode(code) && reason !== undefined) return { code, reason, isFault: false }
  return fault(CloseCode.PROTOCOL_ERROR, `a close with the code ${code}`)
}
