/**
 * One direction of a link: bytes are handed on in order, and faults happen at their positions.
 */
import type * as Net from "node:net"
import type { Fault, How, Planned } from "./faults.ts"

/** Bytes that a direction holds before it stops reading. */
const maxHeld = 1024 * 1024

const endOfHead = Buffer.from("\r\n\r\n")

interface Piece {
  /** `undefined` is the end of the stream. */
  data: Buffer | undefined
  readonly due: number
}

export const close = (socket: Net.Socket, how: How): void => {
  if (how === "reset") socket.resetAndDestroy()
  else socket.destroy()
}

export class FaultyPipe {
  /** Bytes that were handed on. */
  forwarded = 0
  /** Bytes of the HTTP head, once all of it was read. */
  head: number | undefined
  readonly #source: Net.Socket
  readonly #destination: Net.Socket
  readonly #strike: (fault: Fault) => void
  readonly #planned: Array<Planned> = []
  readonly #pieces: Array<Piece> = []
  /** What was read of a head that is not complete. */
  #partOfHead = Buffer.alloc(0)
  #heldBytes = 0
  #delay = 0
  #lastDue = 0
  #fragment = Number.POSITIVE_INFINITY
  #fragments = 0
  #stalledUntil = 0
  #state: "flowing" | "silent" | "done" = "flowing"
  #pumping = false
  #timer: NodeJS.Timeout | undefined

  constructor(source: Net.Socket, destination: Net.Socket, strike: (fault: Fault) => void) {
    this.#source = source
    this.#destination = destination
    this.#strike = strike
    source.on("data", (data: Buffer) => this.#receive(data))
    source.on("end", () => this.#receive(undefined))
  }

  get isSilent(): boolean {
    return this.#state === "silent"
  }

  plan(planned: Planned): void {
    this.#planned.push(planned)
    this.pump()
  }

  stall(millis: number): void {
    this.#stalledUntil = performance.now() + millis
  }

  delay(millis: number): void {
    this.#delay = millis
  }

  fragment(size: number, pieces: number): void {
    this.#fragment = size
    this.#fragments = pieces
  }

  silence(): void {
    this.#stop("silent")
    this.#source.pause()
  }

  /** Ends what was forwarded so far. */
  truncate(how: How): void {
    this.#stop("done")
    close(this.#source, how)
    // A RST would overtake what the receiver has not read yet.
    this.#destination.end()
    this.#destination.resume()
    this.#destination.once("end", () => this.#destination.destroy())
  }

  stop(): void {
    this.#stop("done")
  }

  #stop(state: "silent" | "done"): void {
    if (this.#state === "flowing") this.#state = state
    clearTimeout(this.#timer)
    this.#pieces.length = 0
    this.#planned.length = 0
  }

  #receive(data: Buffer | undefined): void {
    if (this.#state !== "flowing") return
    if (data !== undefined) {
      this.#findHead(data)
      this.#heldBytes += data.length
      if (this.#heldBytes > maxHeld) this.#source.pause()
    }
    // A delay that shrinks must not let later bytes overtake.
    this.#lastDue = Math.max(this.#lastDue, performance.now() + this.#delay)
    this.#pieces.push({ data, due: this.#lastDue })
    this.pump()
  }

  #findHead(data: Buffer): void {
    if (this.head !== undefined) return
    this.#partOfHead = Buffer.concat([this.#partOfHead, data])
    const at = this.#partOfHead.indexOf(endOfHead)
    if (at < 0) return
    this.head = at + endOfHead.length
    this.#partOfHead = Buffer.alloc(0)
  }

  #positionOf({ at, from = "upgrade" }: Planned): number {
    if (from === "link") return at
    return this.head === undefined ? Number.POSITIVE_INFINITY : this.head + at
  }

  /** Lets the faults happen whose position is reached; answers how many bytes it is to the next one. */
  #toNextFault(): number {
    while (this.#state === "flowing") {
      let next = Number.POSITIVE_INFINITY
      let due: Planned | undefined = undefined
      for (const planned of this.#planned) {
        const position = this.#positionOf(planned)
        if (position > this.forwarded) next = Math.min(next, position)
        else due ??= planned
      }
      if (due === undefined) return next - this.forwarded
      this.#planned.splice(this.#planned.indexOf(due), 1)
      this.#strike(due.fault)
    }
    return 0
  }

  #later(millis: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(this.pump, millis)
  }

  #after(event: "connect" | "drain"): void {
    if (this.#destination.listeners(event).includes(this.pump)) return
    this.#destination.once(event, this.pump)
  }

  readonly pump = (): void => {
    if (this.#pumping) return
    this.#pumping = true
    this.#forward()
    this.#pumping = false
  }

  #forward(): void {
    while (true) {
      const room = this.#toNextFault()
      const piece = this.#pieces[0]
      if (this.#state !== "flowing" || piece === undefined) return
      const wait = Math.max(piece.due, this.#stalledUntil) - performance.now()
      if (wait > 0) return this.#later(Math.ceil(wait))
      if (this.#destination.connecting) return this.#after("connect")
      if (this.#destination.writableNeedDrain) return this.#after("drain")
      if (piece.data === undefined) {
        this.#stop("done")
        this.#destination.end()
        return
      }
      const isFragment = this.#fragments > 0
      const size = Math.min(piece.data.length, room, isFragment ? this.#fragment : room)
      const data = piece.data.subarray(0, size)
      if (size === piece.data.length) this.#pieces.shift()
      else piece.data = piece.data.subarray(size)
      this.forwarded += size
      this.#heldBytes -= size
      if (this.#heldBytes <= maxHeld / 2 && this.#source.isPaused()) this.#source.resume()
      this.#destination.write(data)
      if (isFragment) {
        this.#fragments--
        this.#toNextFault()
        // In a later turn: the other end reads the pieces one by one.
        setImmediate(this.pump)
        return
      }
    }
  }
}
