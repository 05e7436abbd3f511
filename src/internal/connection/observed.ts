/**
 * What users see of a connection: who the peer is, and how the connection is doing.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import type * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Connection, Status } from "../../Connection.ts"
import type { Statistics } from "../../ConnectionEvent.ts"
import { Changes } from "../observe/changes.ts"
import type { Multiplexed } from "../streams/multiplexed.ts"
import { RoundTrip } from "./roundTrip.ts"
import { TypeId } from "./typeId.ts"

/** What is known of a connection from its beginning. @internal */
export type Identity<M, P> = Pick<
  Connection<M, P>,
  "id" | "metadata" | "principal" | "wire" | "role" | "remoteAddress"
>

/** @internal */
export abstract class ObservedConnection<M, P> {
  declare readonly id: string
  declare readonly metadata: M
  declare readonly principal: P
  declare readonly wire: "v1" | "v2"
  declare readonly role: "client" | "server"
  declare readonly remoteAddress: Option.Option<string>
  abstract readonly mux: Multiplexed
  abstract readonly now: Status
  readonly measured: RoundTrip = new RoundTrip()
  /** Made for the first subscriber. */
  #changes: Changes<Status> | undefined

  constructor(identity: Identity<M, P>) {
    this.id = identity.id
    this.metadata = identity.metadata
    this.principal = identity.principal
    this.wire = identity.wire
    this.role = identity.role
    this.remoteAddress = identity.remoteAddress
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  get status(): Effect.Effect<Status> {
    return Effect.sync(() => this.now)
  }

  get changes(): Stream.Stream<Status> {
    return Stream.suspend(() => (this.#changes ??= new Changes(() => this.now)).stream).pipe(
      Stream.takeUntil((status) => status === "closed")
    )
  }

  get roundTrip(): Effect.Effect<Duration.Duration> {
    return Effect.sync(() => Duration.millis(this.measured.last))
  }

  get statistics(): Effect.Effect<Statistics> {
    return Effect.sync(() => ({ ...this.mux.counters, roundTripMillis: this.measured.last }))
  }

  get active(): Effect.Effect<{ readonly local: number; readonly remote: number; readonly waiting: number }> {
    return Effect.sync(() => this.mux.active)
  }

  /** Tells subscribers that `now` has changed. */
  protected notify(): void {
    this.#changes?.notify()
  }

  /** Two connections are never equal. Effect would else compare all that is reachable from them. */
  [Hash.symbol](): number {
    return Hash.random(this)
  }

  [Equal.symbol](that: Equal.Equal): boolean {
    return this === that
  }
}
