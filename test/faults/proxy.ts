/**
 * A TCP proxy on loopback between the two ends of links, which does to them what networks do.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"

/** `up`: from the client to the server. */
export type Direction = "up" | "down"

/** How a socket is closed: by RST, or by FIN. */
export type How = "reset" | "end"

/**
 * - `cut`: both sockets are closed; what is on its way is lost
 * - `truncate`: exactly the bytes up to the position arrive, and then the end of the socket; that of the sender is closed
 * - `stall`: nothing passes for a time, then everything does
 * - `halfOpen`: nothing passes any more, not even the end of a socket
 * - `delay`: everything behind the position takes longer, and keeps its order
 * - `fragment`: what is behind the position arrives in small pieces, all of it or as many as `pieces`
 */
export type Fault =
  | { readonly _tag: "cut"; readonly how?: How | undefined }
  | { readonly _tag: "truncate"; readonly how?: How | undefined }
  | { readonly _tag: "stall"; readonly millis: number; readonly directions?: ReadonlyArray<Direction> | undefined }
  | { readonly _tag: "halfOpen"; readonly directions?: ReadonlyArray<Direction> | undefined }
  | { readonly _tag: "delay"; readonly millis: number; readonly directions?: ReadonlyArray<Direction> | undefined }
  | {
    readonly _tag: "fragment"
    readonly size: number
    readonly pieces?: number | undefined
    readonly directions?: ReadonlyArray<Direction> | undefined
  }

/** A fault that happens once `at` bytes have passed in a direction. */
export interface Planned {
  readonly direction: Direction
  readonly at: number
  /** Where bytes are counted from: the beginning, or behind the HTTP head of the upgrade. Default `upgrade`. */
  readonly from?: "link" | "upgrade" | undefined
  readonly fault: Fault
}

export interface Options {
  /** Where the server listens; any URL with a port. */
  readonly target: string
  /** The faults of each link, by how many there were before it. Default none. */
  readonly faults?: ((index: number, proxy: FaultProxy) => ReadonlyArray<Planned>) | undefined
}

const both: ReadonlyArray<Direction> = ["up", "down"]

/** Bytes that a direction holds before it stops reading. */
const maxHeld = 1024 * 1024

/** How long those whose scope has closed may take to say goodbye to each other. */
const farewell = "1 second"

const endOfHead = Buffer.from("\r\n\r\n")

interface Piece {
  /** `undefined` is the end of the stream. */
  data: Buffer | undefined
  readonly due: number
}

const close = (socket: Net.Socket, how: How): void => {
  if (how === "reset") socket.resetAndDestroy()
  else socket.destroy()
}

/** One direction of a link. */
class Pipe {
  /** Bytes that were handed on. */
  forwarded = 0
  /** Bytes of the HTTP head, once all of it was read. */
  head: number | undefined = undefined
  readonly #source: Net.Socket
  readonly #destination: Net.Socket
  readonly #strike: (fault: Fault) => void
  readonly #planned: Array<Planned> = []
  readonly #pieces: Array<Piece> = []
  /** What was read of a head that is not complete. */
  #partOfHead = Buffer.alloc(0)
  #held = 0
  #delay = 0
  #lastDue = 0
  #fragment = Number.POSITIVE_INFINITY
  #fragments = 0
  #stalledUntil = 0
  #state: "flowing" | "silent" | "done" = "flowing"
  #pumping = false
  #timer: NodeJS.Timeout | undefined = undefined

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
      this.#held += data.length
      if (this.#held > maxHeld) this.#source.pause()
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
      this.#held -= size
      if (this.#held <= maxHeld / 2 && this.#source.isPaused()) this.#source.resume()
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

/** What the proxy carries of one link. */
export class ProxiedLink {
  readonly index: number
  readonly #near: Net.Socket
  readonly #far: Net.Socket
  readonly #pipes: { readonly [D in Direction]: Pipe }
  readonly #struck: (fault: Fault) => void

  constructor(index: number, near: Net.Socket, far: Net.Socket, struck: (fault: Fault) => void, closed: () => void) {
    this.index = index
    this.#near = near
    this.#far = far
    this.#struck = struck
    const pipe = (direction: Direction, source: Net.Socket, destination: Net.Socket) =>
      new Pipe(source, destination, (fault) => this.#strike(fault, direction))
    this.#pipes = { up: pipe("up", near, far), down: pipe("down", far, near) }
    let open = 2
    for (const [socket, other, direction] of [[near, far, "up"], [far, near, "down"]] as const) {
      socket.setNoDelay(true)
      socket.on("error", () => {})
      socket.on("close", (broken) => {
        if (broken && !this.#pipes[direction].isSilent) other.resetAndDestroy()
        if (--open === 0) closed()
      })
    }
  }

  /** Bytes handed on in a direction, from the beginning of the link. */
  bytes(direction: Direction): number {
    return this.#pipes[direction].forwarded
  }

  /** Bytes handed on in a direction, behind the upgrade. */
  bytesOfWebSocket(direction: Direction): number {
    const { forwarded, head } = this.#pipes[direction]
    return head === undefined ? 0 : forwarded - head
  }

  plan(planned: Planned): void {
    this.#pipes[planned.direction].plan(planned)
  }

  /** Nothing passes in at least one direction, for good. */
  get isSilent(): boolean {
    return both.some((direction) => this.#pipes[direction].isSilent)
  }

  /** Closes both sockets. */
  close(how: How): void {
    for (const direction of both) this.#pipes[direction].stop()
    for (const socket of [this.#near, this.#far]) close(socket, how)
  }

  /** Lets a fault happen now; `direction` is that of a `truncate`. */
  strike(fault: Fault, direction: Direction = "up"): void {
    this.#strike(fault, direction)
    for (const direction of both) this.#pipes[direction].pump()
  }

  #strike(fault: Fault, direction: Direction): void {
    switch (fault._tag) {
      case "cut":
        this.close(fault.how ?? "reset")
        break
      case "truncate":
        this.#pipes[direction === "up" ? "down" : "up"].stop()
        this.#pipes[direction].truncate(fault.how ?? "reset")
        break
      case "stall":
        for (const direction of fault.directions ?? both) this.#pipes[direction].stall(fault.millis)
        break
      case "halfOpen":
        for (const direction of fault.directions ?? both) this.#pipes[direction].silence()
        break
      case "delay":
        for (const direction of fault.directions ?? both) this.#pipes[direction].delay(fault.millis)
        break
      case "fragment":
        for (const direction of fault.directions ?? both) {
          this.#pipes[direction].fragment(fault.size, fault.pieces ?? Number.POSITIVE_INFINITY)
        }
    }
    this.#struck(fault)
  }
}

/** A proxy that listens until its scope closes. */
export class FaultProxy {
  /** The target, through the proxy. */
  readonly url: string
  /** When links were accepted or refused, by `performance.now()`. */
  readonly attempts: Array<number> = []
  /** How many of them were refused. */
  refused = 0
  /** Faults that have happened, those that `cut` makes included. */
  readonly struck: { [T in Fault["_tag"]]: number } = {
    cut: 0,
    truncate: 0,
    stall: 0,
    halfOpen: 0,
    delay: 0,
    fragment: 0
  }
  readonly #links = new Set<ProxiedLink>()
  readonly #past = { up: 0, down: 0 }
  readonly #faults: NonNullable<Options["faults"]>
  readonly #waiting = new Set<() => void>()
  #target: number
  #refuses = false
  #count = 0

  constructor(options: Options, port: number) {
    this.url = withPort(options.target, port)
    this.#target = portOf(options.target)
    this.#faults = options.faults ?? (() => [])
  }

  /** Where both sockets are open, or one that waits for the other's silence. */
  get links(): ReadonlyArray<ProxiedLink> {
    return [...this.#links]
  }

  /** Links that a fault has ended, or silenced for good. */
  get broken(): number {
    return this.struck.cut + this.struck.truncate + this.struck.halfOpen
  }

  /** Bytes handed on in a direction, over all links. */
  bytes(direction: Direction): number {
    let sum = this.#past[direction]
    for (const link of this.#links) sum += link.bytes(direction)
    return sum
  }

  /** Closes all links; what is on its way is lost. */
  cut(how: How = "reset"): Effect.Effect<void> {
    return this.strike({ _tag: "cut", how })
  }

  /** Lets a fault happen to all links. */
  strike(fault: Fault, direction?: Direction): Effect.Effect<void> {
    return Effect.sync(() => {
      for (const link of this.links) link.strike(fault, direction)
    })
  }

  /** Where later links lead. */
  target(url: string): Effect.Effect<void> {
    return Effect.sync(() => {
      this.#target = portOf(url)
    })
  }

  /** Whether later links are reset as soon as they come. */
  refuse(refuses: boolean): Effect.Effect<void> {
    return Effect.sync(() => {
      this.#refuses = refuses
    })
  }

  /** Waits until something is so that faults, attempts or ends of links bring about. */
  until(predicate: () => boolean): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const look = () => {
        if (!predicate()) return
        this.#waiting.delete(look)
        resume(Effect.void)
      }
      this.#waiting.add(look)
      look()
      return Effect.sync(() => this.#waiting.delete(look))
    })
  }

  /** Waits until faults have broken so many links. */
  untilBroken(count: number): Effect.Effect<void> {
    return this.until(() => this.broken >= count)
  }

  /** @internal */
  accept(near: Net.Socket): void {
    this.attempts.push(performance.now())
    if (this.#refuses) {
      this.refused++
      near.on("error", () => {})
      near.resetAndDestroy()
    } else {
      const far = Net.connect({ port: this.#target, host: "127.0.0.1", allowHalfOpen: true })
      const link = new ProxiedLink(
        this.#count,
        near,
        far,
        (fault) => {
          this.struck[fault._tag]++
          this.#notify()
        },
        () => {
          for (const direction of both) this.#past[direction] += link.bytes(direction)
          this.#links.delete(link)
          this.#notify()
        }
      )
      this.#links.add(link)
      for (const planned of this.#faults(this.#count++, this)) link.plan(planned)
    }
    this.#notify()
  }

  /** @internal */
  get close(): Effect.Effect<void> {
    return Effect.interruptible(this.until(() => this.links.every(({ isSilent }) => isSilent))).pipe(
      Effect.timeoutOption(farewell),
      Effect.andThen(this.cut())
    )
  }

  #notify(): void {
    for (const look of this.#waiting) look()
  }
}

const portOf = (url: string): number => Number(new URL(url).port)

const withPort = (url: string, port: number): string => url.replace(/:\d+/, `:${port}`)

/** Listens on a port of its own until the scope closes. */
export const make = (options: Options): Effect.Effect<FaultProxy, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<{ readonly server: Net.Server; readonly proxy: FaultProxy }>((resume) => {
        const server = Net.createServer({ allowHalfOpen: true }, (near) => proxy.accept(near))
        let proxy!: FaultProxy
        server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
          proxy = new FaultProxy(options, (server.address() as Net.AddressInfo).port)
          resume(Effect.succeed({ server, proxy }))
        })
      }),
      ({ proxy, server }) =>
        Effect.andThen(
          Effect.sync(() => server.close()),
          proxy.close
        )
    ),
    ({ proxy }) => proxy
  )
