/**
 * A connection of this node, as one of all nodes.
 */
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type * as Connection from "../../Connection.ts"
import type { Statistics } from "../../ConnectionEvent.ts"
import type { Apps, Peer } from "../connection/peer.ts"
import { TypeId } from "../connection/typeId.ts"
import type { ConnectionDriver } from "../connection/types.ts"
import type { Multiplexed } from "../streams/multiplexed.ts"
import type { FleetConnection } from "./model.ts"
import type { Node } from "./node.ts"

/** @internal */
export class LocalConnection<M, P> implements FleetConnection<M, P>, Peer {
  readonly driver: ConnectionDriver<M, P>
  readonly node: Node
  groups: ReadonlySet<string> = new Set()

  constructor(driver: ConnectionDriver<M, P>, node: Node) {
    this.driver = driver
    this.node = node
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  get id(): string {
    return this.driver.id
  }

  get metadata(): M {
    return this.driver.metadata
  }

  get principal(): P {
    return this.driver.principal
  }

  get wire(): "v1" | "v2" {
    return this.driver.wire
  }

  get role(): "client" | "server" {
    return this.driver.role
  }

  get remoteAddress(): Option.Option<string> {
    return this.driver.remoteAddress
  }

  get status(): Effect.Effect<Connection.Status> {
    return this.driver.status
  }

  get changes(): Stream.Stream<Connection.Status> {
    return this.driver.changes
  }

  get roundTrip(): Effect.Effect<Duration.Duration> {
    return this.driver.roundTrip
  }

  get statistics(): Effect.Effect<Statistics> {
    return this.driver.statistics
  }

  get active(): Connection.Connection["active"] {
    return this.driver.active
  }

  close(options?: Connection.CloseOptions): Effect.Effect<void> {
    return this.driver.close(options)
  }

  get closed(): Effect.Effect<Connection.CloseReason> {
    return this.driver.closed
  }

  // --- for the API roles -----------------------------------------------------------------------------------------------

  get now(): Connection.Status {
    return this.driver.now
  }

  get lastSign(): number {
    return this.driver.lastSign
  }

  get mux(): Multiplexed {
    return this.driver.mux
  }

  get session(): Peer["session"] {
    return this.driver.session
  }

  get apps(): Apps {
    return this.driver.apps
  }

  get calls(): Peer["calls"] {
    return this.driver.calls
  }

  get ownerScope(): Scope.Scope {
    return this.driver.ownerScope
  }

  get isSecure(): boolean {
    return this.driver.isSecure
  }

  mayCall(context: Context.Context<never>): boolean {
    return this.driver.mayCall(context)
  }

  provide<R>(context: Context.Context<R>): Context.Context<R> {
    return this.driver.provide(context)
  }

  /** As for all connections: Effect would else compare all that is reachable from two of them. */
  [Hash.symbol](): number {
    return Hash.random(this)
  }

  [Equal.symbol](that: Equal.Equal): boolean {
    return this === that
  }
}
