/**
 * One direction of a simulated link. What is sent waits in the socket until there is room under way, and arrives in order.
 */
import type { Control } from "./controls.ts"
import type { Loop } from "./loop.ts"
import { nobody } from "./loop.ts"

export type Direction = "up" | "down"

export type Message = Uint8Array<ArrayBuffer> | string

/** What travels: a message, a ping or pong, a close frame, or the end of the TCP connection. */
export type Parcel =
  | { readonly _tag: "Message"; readonly message: Message }
  | { readonly _tag: "Control"; readonly control: Control; readonly data: Uint8Array }
  | { readonly _tag: "Close"; readonly code: number; readonly reason: string }
  | { readonly _tag: "Reset" }

/** What links are like. */
export interface Conditions {
  /** Milliseconds that a message takes at least, and how many more at most. */
  readonly latency: number
  readonly jitter: number
  /** Bytes a millisecond. */
  readonly rate: number
}

/** Is told what happens on links. */
export interface Observer {
  readonly onSend: (link: number, direction: Direction, parcel: Parcel) => void
  readonly onEvent: (text: string) => void
}

/** What a way needs of its network and of the end that it leads to. */
export interface WayOptions {
  readonly loop: Loop
  readonly conditions: Conditions
  readonly delay: () => number
  readonly onTaken: (parcel: Parcel) => void
  readonly arrive: (parcel: Parcel) => void
  /** The operating system gives up: what was sent is not acknowledged. */
  readonly giveUp: () => void
  /** Bytes that have arrived and were not read. */
  readonly unread: () => number
}

/**
 * How long an operating system sends again what is not acknowledged, in milliseconds. Linux does for a quarter of an hour by
 * default; this is shorter, so that a simulation is.
 */
export const retransmission = 300_000

/** Bytes that wait in a socket before it asks its writer to wait. */
const maxWaiting = 128 * 1024

/** Bytes that are under way or unread before more of them wait in the socket. */
const maxUnderWay = 64 * 1024

interface UnderWay {
  readonly parcel: Parcel
  readonly size: number
  readonly due: number
}

const sizeOf = (parcel: Parcel): number => parcel._tag === "Message" ? parcel.message.length : 16

/** The sender may use the memory of a message again once it has left the socket. */
const copied = (parcel: Parcel): Parcel =>
  parcel._tag === "Message" && typeof parcel.message !== "string"
    ? { _tag: "Message", message: parcel.message.slice() }
    : parcel

export class Way {
  readonly #options: WayOptions
  #waiting: Array<Parcel> = []
  #waitingBytes = 0
  #underWay: Array<UnderWay> = []
  #underWayBytes = 0
  /** When the last parcel has left, and when it arrives. */
  #lastLeft = 0
  #lastDue = 0
  #stalledUntil = 0
  /** What is sent on it does not arrive. */
  isLost = false
  #isGivingUp = false
  #cancel: (() => void) | undefined = undefined
  #onRoom: (() => void) | undefined = undefined
  /** Grows with the bytes that have left the socket. */
  taken = 0

  constructor(options: WayOptions) {
    this.#options = options
  }

  get isFull(): boolean {
    return this.#waitingBytes > maxWaiting
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0
  }

  /** Nothing waits, and nothing is under way. */
  get isQuiet(): boolean {
    return !this.isLost && this.#waiting.length + this.#underWay.length === 0
  }

  onRoom(resume: () => void): void {
    this.#onRoom = resume
  }

  send(parcel: Parcel): void {
    this.#waiting.push(parcel)
    this.#waitingBytes += sizeOf(parcel)
    this.move()
    if (this.isLost) this.#giveUp()
  }

  /** What is sent from now on never arrives, and what is under way does not. */
  lose(): void {
    this.isLost = true
    this.#cancel?.()
    this.#cancel = undefined
    if (this.#waiting.length + this.#underWay.length > 0) this.#giveUp()
  }

  #giveUp(): void {
    if (this.#isGivingUp) return
    this.#isGivingUp = true
    this.#options.loop.after(retransmission, nobody, this.#options.giveUp)
  }

  /** What was sent and has not left is dropped. */
  drop(): void {
    this.#waiting = []
    this.#waitingBytes = 0
  }

  stall(millis: number): void {
    this.#stalledUntil = Math.max(this.#stalledUntil, this.#options.loop.now + millis)
    this.#arm()
  }

  heal(): void {
    this.#stalledUntil = 0
    this.#arm()
  }

  /** Takes out of the socket what there is room for. */
  move(): void {
    const { conditions, delay, loop, onTaken, unread } = this.#options
    while (this.#waiting.length > 0 && this.#underWayBytes + unread() < maxUnderWay) {
      const parcel = copied(this.#waiting.shift()!)
      onTaken(parcel)
      const size = sizeOf(parcel)
      this.#waitingBytes -= size
      this.#underWayBytes += size
      this.taken += size
      this.#lastLeft = Math.max(this.#lastLeft, loop.now) + size / conditions.rate
      this.#lastDue = Math.max(this.#lastDue, this.#lastLeft + delay())
      this.#underWay.push({ parcel, size, due: this.#lastDue })
    }
    if (this.#cancel === undefined) this.#arm()
    if (this.#waiting.length === 0 && this.#onRoom !== undefined) {
      const resume = this.#onRoom
      this.#onRoom = undefined
      loop.add(nobody, resume)
    }
  }

  #arm(): void {
    this.#cancel?.()
    this.#cancel = undefined
    const next = this.#underWay[0]
    if (next === undefined || this.isLost) return
    const { loop } = this.#options
    this.#cancel = loop.after(Math.max(next.due, this.#stalledUntil) - loop.now, nobody, this.#arrive)
  }

  readonly #arrive = (): void => {
    this.#cancel = undefined
    const { parcel, size } = this.#underWay.shift()!
    this.#underWayBytes -= size
    this.#arm()
    this.#options.arrive(parcel)
    this.move()
  }
}
