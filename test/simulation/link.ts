/**
 * A simulated link, with its two ends as the package uses them.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Socket from "effect/socket/Socket"
import * as CloseCode from "../../src/internal/frame/CloseCode.ts"
import type { Link } from "../../src/internal/link/link.ts"
import { Gate } from "../../src/internal/scheduling/gate.ts"
import { type Control, Controls } from "./controls.ts"
import { nobody, type Owner } from "./loop.ts"
import type { Network } from "./network.ts"
import { type Direction, type Message, type Parcel, Way } from "./way.ts"

/** How long a WebSocket waits for the close frame of its peer, in milliseconds; then it drops the socket. */
const closeTimeout = 30_000

const closeError = (code: number, closeReason: string) =>
  new Socket.SocketError({ reason: new Socket.SocketCloseError({ code, closeReason }) })

/** One end of a link. */
export class End implements Link {
  readonly owner: Owner
  readonly #network: Network
  readonly #out: Way
  #in!: Way
  readonly #gate = new Gate()
  #messages: Array<Message> = []
  unread = 0
  #end: Socket.SocketError | undefined = undefined
  #hasClosed = false
  readonly #controls = new Controls(this)
  /** Pings and pongs that have arrived behind messages which were not read. */
  #waiting: Array<{ readonly control: Control; readonly data: Uint8Array }> = []

  constructor(owner: Owner, network: Network, out: Way) {
    this.owner = owner
    this.#network = network
    this.#out = out
  }

  reads(way: Way): void {
    this.#in = way
  }

  get isOver(): boolean {
    return this.#end !== undefined || !this.owner.isAlive
  }

  /** Nothing is on its way to this end, and its program has acted on all that has arrived. */
  get isQuiet(): boolean {
    return !this.isOver && this.#gate.isAwaited && this.#messages.length === 0 && this.#in.isQuiet
  }

  // --- as the package uses it ---------------------------------------------------------------------------------------

  readonly pull: Effect.Effect<NonEmptyReadonlyArray<Message>, Socket.SocketError> = Effect.andThen(
    this.#gate.until(() => this.#messages.length > 0 || this.#end !== undefined),
    Effect.suspend(() => this.#messages.length > 0 ? Effect.succeed(this.#take()) : Effect.fail(this.#end!))
  )

  #take(): NonEmptyReadonlyArray<Message> {
    // Messages that arrive together are read together, or one by one.
    const count = this.#network.random.chance(0.7) ? this.#messages.length : 1
    const taken = this.#messages.splice(0, count)
    for (const { length } of taken) this.unread -= length
    if (this.#messages.length === 0) {
      for (const { control, data } of this.#waiting.splice(0)) this.#controls.arrive(control, data)
    }
    this.#network.loop.add(nobody, () => this.#in.move())
    return taken as unknown as NonEmptyReadonlyArray<Message>
  }

  get webSocket(): Socket.WebSocketLike {
    return this.#controls as unknown as Socket.WebSocketLike
  }

  sendControl(control: Control, data: Uint8Array): void {
    if (!this.#hasClosed && !this.isOver) this.#out.send({ _tag: "Control", control, data })
  }

  send(message: Message): undefined {
    if (!this.#hasClosed && !this.isOver) this.#out.send({ _tag: "Message", message })
  }

  isFull(): boolean {
    return this.#out.isFull || this.#end !== undefined
  }

  isEmpty(): boolean {
    return this.#out.isEmpty
  }

  taken(): number {
    return this.#out.taken
  }

  onRoom(resume: () => void): void {
    this.#out.onRoom(() =>
      this.#network.loop.tell(this.owner, () => {
        if (!this.isOver) resume()
      })
    )
  }

  close(code: number, reason: string): void {
    if (this.#hasClosed || this.isOver) return
    this.#hasClosed = true
    this.#out.send({ _tag: "Close", code, reason })
    this.#network.loop.after(closeTimeout, this.owner, () => this.terminate())
  }

  terminate(): void {
    if (this.isOver) return
    this.#out.drop()
    this.hangUp()
  }

  hangUp(): void {
    if (this.isOver) return
    this.#hasClosed = true
    this.#out.send({ _tag: "Reset" })
    this.#network.loop.add(this.owner, () => this.endWith(CloseCode.ABNORMAL, ""))
  }

  // --- as the network uses it ---------------------------------------------------------------------------------------

  arrive(parcel: Parcel): void {
    // Nobody has the socket any more.
    if (this.isOver) {
      if (parcel._tag !== "Reset") this.#out.send({ _tag: "Reset" })
      return
    }
    switch (parcel._tag) {
      case "Message":
        this.#messages.push(parcel.message)
        this.unread += parcel.message.length
        return this.#wake()
      case "Control":
        return this.#network.loop.tell(this.owner, () => {
          if (this.#messages.length > 0) this.#waiting.push(parcel)
          else this.#controls.arrive(parcel.control, parcel.data)
        })
      case "Close":
        if (!this.#hasClosed) this.#out.send(parcel)
        this.#hasClosed = true
        return this.endWith(parcel.code, parcel.reason)
      case "Reset":
        return this.break()
    }
  }

  /** The TCP connection has failed: what was not read may be lost with it. */
  break(): void {
    if (this.#network.random.chance(0.5)) {
      this.#messages = []
      this.unread = 0
    }
    this.#out.drop()
    this.endWith(CloseCode.ABNORMAL, "")
  }

  endWith(code: number, reason: string): void {
    if (this.isOver) return
    this.#end = code === CloseCode.ABNORMAL && this.#network.random.chance(0.3)
      ? new Socket.SocketError({ reason: new Socket.SocketReadError({ cause: new Error("ECONNRESET") }) })
      : closeError(code, reason)
    this.#wake()
  }

  #wake(): void {
    this.#network.loop.tell(this.owner, () => {
      this.#gate.notify()
      if (this.isOver) this.#controls.closed()
    })
  }

  /** The program has ended. Its system closes the socket, if it can. */
  abandon(isTold: boolean): void {
    this.#out.drop()
    if (isTold) this.#out.send({ _tag: "Reset" })
    else {
      this.#out.lose()
      this.#in.lose()
    }
  }
}

export class SimulatedLink {
  readonly number: number
  readonly #network: Network
  readonly client: End
  readonly server: End
  readonly #up: Way
  readonly #down: Way

  constructor(network: Network, number: number, client: Owner, server: Owner) {
    const { conditions, loop, observer } = network
    this.number = number
    this.#network = network
    const wayTo = (direction: Direction, from: () => End, to: () => End) =>
      new Way({
        loop,
        conditions,
        delay: () => network.delay(),
        onTaken: (parcel) => observer.onSend(number, direction, parcel),
        arrive: (parcel) => to().arrive(parcel),
        giveUp: () => from().break(),
        unread: () => to().unread
      })
    this.#up = wayTo("up", () => this.client, () => this.server)
    this.#down = wayTo("down", () => this.server, () => this.client)
    this.client = new End(client, network, this.#up)
    this.server = new End(server, network, this.#down)
    this.client.reads(this.#down)
    this.server.reads(this.#up)
  }

  way(direction: Direction): Way {
    return direction === "up" ? this.#up : this.#down
  }

  get isOver(): boolean {
    return this.client.isOver && this.server.isOver
  }

  /** What is sent on it does not arrive. */
  get isLost(): boolean {
    return this.#up.isLost || this.#down.isLost
  }

  /** Both ends have acted on all that was sent. */
  get isQuiet(): boolean {
    return this.client.isQuiet && this.server.isQuiet
  }

  cut(tells: ReadonlyArray<Direction>): void {
    this.#up.lose()
    this.#down.lose()
    const { loop } = this.#network
    // "up" tells the server, "down" the client.
    if (tells.includes("up")) loop.after(this.#network.delay(), nobody, () => this.server.break())
    if (tells.includes("down")) loop.after(this.#network.delay(), nobody, () => this.client.break())
  }

  heal(): void {
    this.#up.heal()
    this.#down.heal()
  }

  abandon(owner: Owner, isTold: boolean): void {
    if (this.client.owner === owner) this.client.abandon(isTold)
    if (this.server.owner === owner) this.server.abandon(isTold)
  }
}
