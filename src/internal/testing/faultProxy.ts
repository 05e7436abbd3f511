/**
 * The fault proxy: a TCP proxy on loopback, each of whose links has a pipe for either direction.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import type { Direction, Fault, FaultProxy, How, Options, Planned, ProxiedLink } from "./faults.ts"
import { close, FaultyPipe } from "./faultyPipe.ts"

const both: ReadonlyArray<Direction> = ["up", "down"]

/** How long peers may take for their closing handshakes once the scope has closed. A guess: on loopback it takes a turn or two. */
const farewell = "1 second"

class Link implements ProxiedLink {
  readonly index: number
  readonly #near: Net.Socket
  readonly #far: Net.Socket
  readonly #pipes: { readonly [D in Direction]: FaultyPipe }
  readonly #struck: (fault: Fault) => void

  constructor(index: number, near: Net.Socket, far: Net.Socket, struck: (fault: Fault) => void, closed: () => void) {
    this.index = index
    this.#near = near
    this.#far = far
    this.#struck = struck
    const pipe = (direction: Direction, source: Net.Socket, destination: Net.Socket) =>
      new FaultyPipe(source, destination, (fault) => this.#strike(fault, direction))
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

  bytes(direction: Direction): number {
    return this.#pipes[direction].forwarded
  }

  bytesOfWebSocket(direction: Direction): number {
    const { forwarded, head } = this.#pipes[direction]
    return head === undefined ? 0 : forwarded - head
  }

  plan(planned: Planned): void {
    this.#pipes[planned.direction].plan(planned)
  }

  get isSilent(): boolean {
    return both.some((direction) => this.#pipes[direction].isSilent)
  }

  close(how: How): void {
    for (const direction of both) this.#pipes[direction].stop()
    for (const socket of [this.#near, this.#far]) close(socket, how)
  }

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

class Proxy implements FaultProxy {
  readonly url: string
  readonly attempts: Array<number> = []
  refused = 0
  readonly struck: { [T in Fault["_tag"]]: number } = {
    cut: 0,
    truncate: 0,
    stall: 0,
    halfOpen: 0,
    delay: 0,
    fragment: 0
  }
  readonly #links = new Set<Link>()
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

  get links(): ReadonlyArray<Link> {
    return [...this.#links]
  }

  get broken(): number {
    return this.struck.cut + this.struck.truncate + this.struck.halfOpen
  }

  bytes(direction: Direction): number {
    let sum = this.#past[direction]
    for (const link of this.#links) sum += link.bytes(direction)
    return sum
  }

  cut(how: How = "reset"): Effect.Effect<void> {
    return this.strike({ _tag: "cut", how })
  }

  strike(fault: Fault, direction?: Direction): Effect.Effect<void> {
    return Effect.sync(() => {
      for (const link of this.links) link.strike(fault, direction)
    })
  }

  target(url: string): Effect.Effect<void> {
    return Effect.sync(() => {
      this.#target = portOf(url)
    })
  }

  refuse(refuses: boolean): Effect.Effect<void> {
    return Effect.sync(() => {
      this.#refuses = refuses
    })
  }

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

  untilBroken(count: number): Effect.Effect<void> {
    return this.until(() => this.broken >= count)
  }

  accept(near: Net.Socket): void {
    this.attempts.push(performance.now())
    if (this.#refuses) {
      this.refused++
      near.on("error", () => {})
      near.resetAndDestroy()
    } else {
      const far = Net.connect({ port: this.#target, host: "127.0.0.1", allowHalfOpen: true })
      const link = new Link(
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

export const make = (options: Options): Effect.Effect<FaultProxy, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<{ readonly server: Net.Server; readonly proxy: Proxy }>((resume) => {
        const server = Net.createServer({ allowHalfOpen: true }, (near) => proxy.accept(near))
        let proxy!: Proxy
        server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
          proxy = new Proxy(options, (server.address() as Net.AddressInfo).port)
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
