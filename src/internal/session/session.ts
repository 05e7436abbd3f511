/**
 * Lets a connection outlive its link (PROTOCOL.md, "Sessions"): counts the messages of both ends, and keeps those that may have to
 * be sent again. It has no runtime, time or sockets, and knows nothing of streams.
 */
import * as MutableList from "effect/MutableList"
import { largeMessage, recycle } from "../frame/bufferPool.ts"
import { ByteReader } from "../frame/decoder.ts"
import { Encoder } from "../frame/encoder.ts"
import { END, EXTENSION, LINK, linkMask } from "../frame/grammar.ts"

type Message = Uint8Array<ArrayBuffer>

/** Bytes that a session keeps until the peer has acknowledged something: enough for 100 Mbit/s at 80 ms. */
const initialCapacity = 1024 * 1024

/**
 * An ACK is due after so many bytes at the latest, even if the peer keeps more than four times as much: less than it keeps at
 * first, and more than a body is given credit for at a time, so that it leaves with the credit.
 */
const maxAckThreshold = 768 * 1024
/** It leaves with other messages from such a part on. */
const early = 1 / 3

/** The data of a PING that asks for an ACK ("ACK?"). PINGs of a heartbeat have other data. @internal */
export const question: Message = Uint8Array.of(0x41, 0x43, 0x4b, 0x3f)

/** Whether a PING, or its PONG, asks for an ACK, and is none of a heartbeat. @internal */
export const isQuestion = (data: Uint8Array): boolean =>
  data.length === question.length && question.every((byte, index) => data[index] === byte)

/** Whether a valid message is of the link alone, so that it is not counted (PROTOCOL.md, "Messages"). @internal */
export const isLinkMessage = (message: Uint8Array): boolean => {
  const first = message[0]! & ~END
  if (first < EXTENSION) return (first & linkMask) === LINK
  // Extension frames may stand before the first frame that tells.
  const reader = new ByteReader(message)
  while (reader.at < reader.end) {
    const type = reader.u8()
    if (type < EXTENSION) return (type & linkMask) === LINK
    const length = reader.varint()
    reader.at += length
  }
  return false
}

/** Shared by all sessions: ACKs have no head, so that it has no state between messages. */
const encoder = new Encoder(0)

/** @internal */
export class Session {
  /** Counted messages of the peer that were acted on. */
  received = 0
  /** Bytes of the messages that are kept. */
  bytes = 0
  /** Messages that are kept and have a buffer to themselves, which may be used again. */
  large = 0
  /** Doubles up to `#maxCapacity` while it is what limits the sender. */
  #capacity: number
  #wasFull = false
  readonly #maxCapacity: number
  readonly #ackThreshold: number
  #isClosing = false
  readonly #kept = MutableList.make<Message>()
  #acknowledged = 0
  /** The link has handed on all messages before this one. */
  #written = 0
  /** Messages before this one may still be held by a link that was lost and is being closed. */
  #firstOnLink = 0
  /** Messages that the lost link had not delivered, in order, and how many of them were sent again. */
  #again: ReadonlyArray<Message> = []
  #next = 0
  /** The count in the last ACK of this end, and the bytes received since. */
  #told = 0
  #owed = 0
  #ackDue = false
  /** How many messages had been sent when the peer was asked for an ACK. */
  #askedAt = -1

  /** The bytes that this end keeps at most, and those that the peer keeps. */
  constructor(capacity: number, peerCapacity: number) {
    this.#maxCapacity = capacity
    this.#capacity = Math.min(capacity, initialCapacity)
    this.#ackThreshold = Math.min(peerCapacity / 4, maxAckThreshold)
  }

  /** Counted messages that the peer has not acknowledged. */
  get unacknowledged(): number {
    return this.#kept.length
  }

  /** Nothing new may be sent until the peer has acknowledged something. */
  get isFull(): boolean {
    if (this.bytes < this.#capacity || this.#isClosing) return false
    this.#wasFull = true
    return true
  }

  /** Whether to ask the peer for an ACK now: the buffer is full, and no question is on its way. */
  mustAsk(): boolean {
    if (this.#acknowledged < this.#askedAt || !this.isFull) return false
    this.#askedAt = this.#sent
    return true
  }

  /** The connection closes: its last messages are sent even if the session is full. */
  close(): void {
    this.#isClosing = true
  }

  /** Messages of a lost link have to be sent before anything new. */
  get isReplaying(): boolean {
    return this.#next < this.#again.length
  }

  /** A new counted message is handed to the link, and kept. */
  sent(message: Message): void {
    MutableList.append(this.#kept, message)
    this.bytes += message.length
    if (message.length > largeMessage) this.large++
  }

  /** A counted message of so many bytes was acted on. Tells whether an ACK is due. */
  receive(size: number): boolean {
    this.received++
    this.#owed += size
    if (this.#owed >= this.#ackThreshold) this.#ackDue = true
    return this.#ackDue
  }

  /** The link has handed on everything that was sent before. */
  written(): void {
    this.#written = this.#sent
  }

  /** Counted messages that were handed to this link, or reached the peer on an earlier one. */
  get #sent(): number {
    return this.#acknowledged + this.#kept.length - (this.#again.length - this.#next)
  }

  /** The peer says that it has received `count` messages. `false`: that is impossible. */
  acknowledge(count: number): boolean {
    if (count < this.#acknowledged || count > this.#sent) return false
    if (this.#wasFull && count > this.#acknowledged) {
      this.#wasFull = false
      this.#capacity = Math.min(this.#capacity * 2, this.#maxCapacity)
    }
    for (; this.#acknowledged < count; this.#acknowledged++) {
      const message = MutableList.take(this.#kept) as Message
      this.bytes -= message.length
      if (message.length <= largeMessage) continue
      this.large--
      // An ACK alone must not free the memory: a peer that acknowledges too early would be sent bytes of other connections
      // that use it again.
      if (this.#acknowledged >= this.#firstOnLink && this.#acknowledged < this.#written) recycle(message)
    }
    return true
  }

  /** An ACK is sent next, as a message of the link is sent anyway. */
  askAck(): void {
    this.#ackDue = true
  }

  /**
   * The next message that has to be sent before anything new: an ACK, or one that a lost link did not deliver. It is asked for when
   * something is to be sent, and to send once more costs both peers more than the bytes of an ACK: so that leaves before it is due.
   */
  pull(): Message | undefined {
    if (this.#ackDue || this.#owed >= this.#ackThreshold * early) {
      this.#ackDue = false
      this.#owed = 0
      if (this.#told < this.received) {
        this.#told = this.received
        encoder.frame({ _tag: "Ack", received: this.received })
        return encoder.take()
      }
    }
    if (this.#next === this.#again.length) return undefined
    const message = this.#again[this.#next++]
    if (this.#next === this.#again.length) this.#forgetAgain()
    return message
  }

  /**
   * The connection goes on with another link, and the peer has received `count` messages: those after them are sent again. Returns
   * how many, or `undefined` if the count is impossible.
   */
  resume(count: number): number | undefined {
    this.#forgetAgain()
    this.#firstOnLink = this.#sent
    if (!this.acknowledge(count)) return undefined
    this.#told = this.received
    this.#owed = 0
    this.#ackDue = false
    this.#askedAt = -1
    this.#again = MutableList.toArray(this.#kept)
    return this.#again.length
  }

  #forgetAgain(): void {
    this.#again = []
    this.#next = 0
  }
}
