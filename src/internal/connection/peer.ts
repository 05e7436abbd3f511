/**
 * What the API roles use of a connection: its multiplexer, and who answers the requests that arrive on it.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import type { Limits } from "../../Limits.ts"
import type { Violation } from "../frame/codes.ts"
import * as ErrorCode from "../frame/ErrorCode.ts"
import type { Request } from "../frame/Frame.ts"
import type { Session } from "../session/session.ts"
import type { Multiplexed } from "../streams/multiplexed.ts"
import type { HttpStream } from "../streams/stream.ts"

/** An app leaves a request to the one that was added before it. @internal */
export const passed = Symbol("passed")

/** @internal */
export interface App {
  /** Takes a request of the peer, or answers why it is refused. */
  (peer: Peer, stream: HttpStream, request: Request): Violation | undefined | typeof passed
}

const notServing: Violation = { code: ErrorCode.NOT_SERVING, reason: "no API is served on this end" }

/**
 * The apps that may answer requests: the one that was added last does. A connection without an app of its own uses those of
 * `below`, its server or client.
 *
 * @internal
 */
export class Apps {
  readonly #stack: Array<App> = []
  readonly #below: Apps | undefined
  /** How long requests go on after their app is removed, and those among them whose answers nobody reads. */
  readonly limits: Pick<Limits, "closeTimeout" | "drainTimeout">
  readonly #onEmpty: Effect.Effect<void>

  /** `onEmpty` runs when the last app is removed. */
  constructor(limits: Apps["limits"], below?: Apps, onEmpty: Effect.Effect<void> = Effect.void) {
    this.limits = limits
    this.#below = below
    this.#onEmpty = onEmpty
  }

  /** Gives a request of the peer to the app that answers it. Answers why it is refused. */
  take(peer: Peer, stream: HttpStream, request: Request): Violation | undefined {
    for (let at = this.#stack.length - 1; at >= 0; at--) {
      const taken = this.#stack[at]!(peer, stream, request)
      if (taken !== passed) return taken
    }
    return this.#below === undefined ? notServing : this.#below.take(peer, stream, request)
  }

  add(app: App): void {
    this.#stack.push(app)
  }

  /** Answers what there is to do besides waiting for the requests that the app has taken. */
  remove(app: App): Effect.Effect<void> {
    const at = this.#stack.indexOf(app)
    if (at >= 0) this.#stack.splice(at, 1)
    return this.#stack.length === 0 ? this.#onEmpty : Effect.void
  }
}

/** Counts the calls of a peer while their handlers run. @internal */
export interface CallCounter {
  /** A call has arrived. Answers the status of a call that is not to be handled. */
  readonly begin: () => number | undefined
  /** The handler of a call that has begun has ended. */
  readonly end: () => void
  /** The peer is not read from for a while: too many of its calls were refused. */
  readonly paused: () => void
  /** Who makes the calls, as far as that is known. */
  readonly client: { readonly address: string | undefined; readonly principal: unknown }
}

/** @internal */
export interface Peer {
  readonly mux: Multiplexed
  /** Absent: the connection ends with its link. */
  readonly session: Session | undefined
  readonly apps: Apps
  /** Absent on clients: servers alone have quotas. */
  readonly calls: CallCounter | undefined
  readonly remoteAddress: Option.Option<string>
  /** Whether a call may be made from this context: while this end goes away, handlers that still run may. */
  readonly mayCall: (context: Context.Context<never>) => boolean
  /**
   * That of the client or server, for fibers that serve a stream and that nobody waits for. The connection does not wait for
   * them: what an application does when it is interrupted may take its time.
   */
  readonly ownerScope: Scope.Scope
  /** Whether the link is one of TLS. */
  readonly isSecure: boolean
  /** Adds the connection to the context of a handler. */
  readonly provide: <R>(context: Context.Context<R>) => Context.Context<R>
}

const foreign = () => new TypeError("not made by effect-swaggersocket")

/**
 * What a connection is besides its public type.
 *
 * @internal
 */
export const peerOf = (connection: object): Peer => {
  if (!Predicate.hasProperty(connection, "mux")) throw foreign()
  return connection as unknown as Peer
}

/**
 * The APIs of a client or server, which its public type does not show.
 *
 * @internal
 */
export const appsOf = (owner: object): Apps => {
  if (!Predicate.hasProperty(owner, "apps")) throw foreign()
  return owner.apps as Apps
}

/** Who has made the call that is handled on a connection, as far as its server knows. @internal */
export const callerOf = (connection: object): CallCounter["client"] =>
  peerOf(connection).calls?.client ?? { address: undefined, principal: undefined }
