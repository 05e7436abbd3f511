/**
 * A connection whose device is connected to another node. Calls on it go over the link to that node.
 */
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Connection from "../../Connection.ts"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { type Identity, ObservedConnection } from "../connection/observed.ts"
import type { Apps, Peer } from "../connection/peer.ts"
import type { ConnectionDriver } from "../connection/types.ts"
import * as ErrorCode from "../frame/ErrorCode.ts"
import type { Multiplexed } from "../streams/multiplexed.ts"
import type { StreamFailure } from "../streams/stream.ts"
import type { FleetConnection } from "./model.ts"
import type { Node } from "./node.ts"
import { RemoteStreams } from "./remoteStreams.ts"

/** The connection to another node. @internal */
export type LinkConnection = Connection.Connection & Peer & Pick<ConnectionDriver<unknown, unknown>, "lastSign" | "now">

/** What is asked of the node that has a connection. @internal */
export interface Owner {
  readonly node: Node
  readonly link: LinkConnection
  readonly close: (id: string, options: Connection.CloseOptions | undefined) => Effect.Effect<void>
  /** Answers 204; 404 without such a connection, and 409 where it is in too many groups. */
  readonly setGroup: (id: string, group: string, isMember: boolean) => Effect.Effect<number>
}

/** @internal */
export class RemoteConnection<M, P> extends ObservedConnection<M, P> implements FleetConnection<M, P>, Peer {
  readonly #owner: Owner
  readonly #streams: RemoteStreams
  readonly #ended = Deferred.makeUnsafe<Connection.CloseReason>()
  readonly session = undefined
  readonly calls = undefined
  groups: ReadonlySet<string> = new Set()
  /** When its node has said last that it is there, as `ConnectionDriver.lastSign` counts. */
  lastSign: number
  #status: "open" | "interrupted" | "closed" = "open"

  constructor(owner: Owner, identity: Identity<M, P>) {
    super(identity)
    this.#owner = owner
    this.#streams = new RemoteStreams(owner.link.mux, identity.id)
    this.lastSign = owner.link.lastSign
  }

  get node(): Node {
    return this.#owner.node
  }

  /** Of all that a connection does with its multiplexer, only what callers do happens here. */
  get mux(): Multiplexed {
    return this.#streams as unknown as Multiplexed
  }

  get now(): Connection.Status {
    return this.#status === "open" && this.#owner.link.now !== "open" ? "interrupted" : this.#status
  }

  /** It may be told of by its node and by the link to that, without being another one. */
  override get changes(): Stream.Stream<Connection.Status> {
    return Stream.changes(super.changes)
  }

  override get roundTrip(): Effect.Effect<Duration.Duration> {
    return this.#owner.link.roundTrip
  }

  get apps(): Apps {
    throw new TypeError(
      `connection ${this.id} is one of node ${this.node.name}: an API is served to its device there, by ApiServer.layerServer`
    )
  }

  get ownerScope(): Scope.Scope {
    return this.#owner.link.ownerScope
  }

  get isSecure(): boolean {
    return this.#owner.link.isSecure
  }

  mayCall(context: Context.Context<never>): boolean {
    return this.#owner.link.mayCall(context)
  }

  provide<R>(context: Context.Context<R>): Context.Context<R> {
    return context
  }

  close(options?: Connection.CloseOptions): Effect.Effect<void> {
    return Effect.andThen(this.#owner.close(this.id, options), Effect.asVoid(this.closed))
  }

  setGroup(group: string, isMember: boolean): Effect.Effect<number> {
    return this.#owner.setGroup(this.id, group, isMember)
  }

  get closed(): Effect.Effect<Connection.CloseReason> {
    return Deferred.await(this.#ended)
  }

  /** What its node says of it, or what has become of the link to that. Answers whether that is new. */
  become(status: "open" | "interrupted"): boolean {
    if (this.#status === "closed") return false
    this.lastSign = this.#owner.link.lastSign
    const isNew = this.#status !== status
    this.#status = status
    this.notify()
    return isNew
  }

  /** The link to its node was lost, or is there again. */
  linkChanged(): void {
    this.notify()
  }

  end(reason: Connection.CloseReason): void {
    this.#status = "closed"
    this.#streams.closedBy = failureOf(reason)
    this.notify()
    Deferred.doneUnsafe(this.#ended, Effect.succeed(reason))
  }
}

const failureOf = (reason: Connection.CloseReason): StreamFailure => {
  const error: SwaggerSocketError | undefined = reason._tag === "Failed" ? reason.error : undefined
  return {
    code: ErrorCode.REFUSED_STREAM,
    reason: error?.message ?? "the connection was closed",
    by: "connection",
    outcome: "not-sent",
    ...(error === undefined ? undefined : { cause: error })
  }
}
