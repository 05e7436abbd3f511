/**
 * The faults of links, and what the fault proxy shows of itself and of its links.
 */
import type * as Effect from "effect/Effect"

/**
 * `up`: from the client to the server.
 *
 * @since 0.1.0
 * @category models
 */
export type Direction = "up" | "down"

/**
 * How a socket is closed: by RST, or by FIN.
 *
 * @since 0.1.0
 * @category models
 */
export type How = "reset" | "end"

/**
 * What happens to a link.
 *
 * - `cut`: both sockets are closed; what is on its way is lost
 * - `truncate`: exactly the bytes up to the position arrive, and then the end of the socket; that of the sender is closed
 * - `stall`: nothing passes for `millis`, then everything does
 * - `halfOpen`: nothing passes any more, not even the end of a socket
 * - `delay`: everything behind the position takes `millis` longer, and keeps its order
 * - `fragment`: what is behind the position arrives in pieces of `size` bytes, all of it or as many as `pieces`
 *
 * Default `how`: `reset`. Default `directions`: both.
 *
 * @since 0.1.0
 * @category models
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

/**
 * A fault that happens once `at` bytes have passed in a direction.
 *
 * @since 0.1.0
 * @category models
 */
export interface Planned {
  /** The direction whose bytes are counted. */
  readonly direction: Direction
  /** How many bytes pass before it. */
  readonly at: number
  /** Where bytes are counted from: the beginning, or behind the HTTP head of the upgrade. Default `upgrade`. */
  readonly from?: "link" | "upgrade" | undefined
  /** What happens. */
  readonly fault: Fault
}

/**
 * What the proxy carries of one link.
 *
 * @since 0.1.0
 * @category models
 */
export interface ProxiedLink {
  /** How many links there were before it. */
  readonly index: number
  /** Bytes handed on in a direction, from the beginning of the link. */
  readonly bytes: (direction: Direction) => number
  /** Bytes handed on in a direction, behind the upgrade. */
  readonly bytesOfWebSocket: (direction: Direction) => number
  /** Nothing passes in at least one direction, for good. */
  readonly isSilent: boolean
  /** Plans a fault; positions count from the beginning. */
  readonly plan: (planned: Planned) => void
  /** Lets a fault happen now; `direction`, default `up`, is that of a `truncate`. */
  readonly strike: (fault: Fault, direction?: Direction) => void
}

/**
 * A proxy that listens until its scope closes.
 *
 * @since 0.1.0
 * @category models
 */
export interface FaultProxy {
  /** The target, through the proxy. */
  readonly url: string
  /** When links were accepted or refused, by `performance.now()`. */
  readonly attempts: ReadonlyArray<number>
  /** How many of them were refused. */
  readonly refused: number
  /** Faults that have happened, those that `cut` makes included. */
  readonly struck: { readonly [T in Fault["_tag"]]: number }
  /** Links with an open socket, or with one whose end was held back by `halfOpen`. */
  readonly links: ReadonlyArray<ProxiedLink>
  /** Links that a fault has ended, or silenced for good. */
  readonly broken: number
  /** Bytes handed on in a direction, over all links. */
  readonly bytes: (direction: Direction) => number
  /** Closes all links; what is on its way is lost. Default `reset`. */
  readonly cut: (how?: How) => Effect.Effect<void>
  /** Lets a fault happen to all links. */
  readonly strike: (fault: Fault, direction?: Direction) => Effect.Effect<void>
  /** Where later links lead. */
  readonly target: (url: string) => Effect.Effect<void>
  /** Whether later links are reset as soon as they come. */
  readonly refuse: (refuses: boolean) => Effect.Effect<void>
  /** Waits until something is so that faults, attempts or ends of links bring about. */
  readonly until: (predicate: () => boolean) => Effect.Effect<void>
  /** Waits until faults have broken so many links. */
  readonly untilBroken: (count: number) => Effect.Effect<void>
}

/**
 * Where a proxy leads, and what happens to its links.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Where the server listens, on loopback; any URL with a port. */
  readonly target: string
  /** The faults of each link, by how many there were before it. Default none. */
  readonly faults?: ((index: number, proxy: FaultProxy) => ReadonlyArray<Planned>) | undefined
}
