/**
 * The connections of a server, and their events.
 */
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Stream from "effect/Stream"
import type * as Connection from "../../Connection.ts"
import type { ConnectionEvent } from "../../ConnectionEvent.ts"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import type { Attachment } from "../connection/attachment.ts"
import type { ConnectionDriver, Links } from "../connection/types.ts"
import { Changes } from "../observe/changes.ts"
import { EventHub } from "../observe/eventHub.ts"
import * as metrics from "../observe/metrics.ts"
import type { Identities } from "./identities.ts"
import type { KeptSession } from "./keptSession.ts"
import type { KeptSessions } from "./keptSessions.ts"

/** @internal */
export class Registry<M, P> {
  readonly clock: Clock.Clock
  readonly context: Context.Context<never>
  readonly sessions: KeptSessions<M, P>
  readonly onOpen: (driver: ConnectionDriver<M, P>) => void
  /** A connection has lost its link, or has ended, by an error. */
  readonly onFailure: (driver: ConnectionDriver<M, P>, error: SwaggerSocketError) => void
  readonly #identities: Identities<M, P>
  readonly changes: Changes<ReadonlyArray<Connection.Connection<M, P>>> = new Changes(() => this.all)
  readonly #connections = new Map<string, ConnectionDriver<M, P>>()
  /** What a new subscriber is told first. */
  readonly #currentEvents = new Map<string, ReadonlyArray<ConnectionEvent<M>>>()
  readonly #hub = new EventHub<M>()

  constructor(
    clock: Clock.Clock,
    context: Context.Context<never>,
    sessions: KeptSessions<M, P>,
    identities: Identities<M, P>,
    onOpen: (driver: ConnectionDriver<M, P>) => void,
    onFailure: (driver: ConnectionDriver<M, P>, error: SwaggerSocketError) => void
  ) {
    this.clock = clock
    this.context = context
    this.sessions = sessions
    this.#identities = identities
    this.onOpen = onOpen
    this.onFailure = onFailure
  }

  /** Oldest first. */
  get all(): ReadonlyArray<ConnectionDriver<M, P>> {
    return [...this.#connections.values()]
  }

  get(id: string): ConnectionDriver<M, P> | undefined {
    return this.#connections.get(id)
  }

  get events(): Stream.Stream<ConnectionEvent<M>> {
    return this.#hub.stream(() => [...this.#currentEvents.values()].flat())
  }

  add(driver: ConnectionDriver<M, P>): void {
    this.#connections.set(driver.id, driver)
  }

  delete(driver: ConnectionDriver<M, P>): void {
    this.#identities.release(driver)
    this.#connections.delete(driver.id)
    this.#currentEvents.delete(driver.id)
  }

  publish(event: ConnectionEvent<M>): void {
    this.#hub.publish(event)
  }

  /** Publishes an event. New subscribers are told `currentEvents` of this connection from now on. */
  tell(
    { id }: ConnectionDriver<M, P>,
    event: ConnectionEvent<M>,
    currentEvents: ReadonlyArray<ConnectionEvent<M>>
  ): void {
    this.#currentEvents.set(id, currentEvents)
    this.publish(event)
    this.changes.notify()
  }
}

/** One connection, from its first link to its end. @internal */
export class ServerConnection<M, P> implements Links {
  readonly #driver: ConnectionDriver<M, P>
  /** Absent: the connection ends with its link. */
  readonly #kept: KeptSession<M, P> | undefined
  readonly #registry: Registry<M, P>
  readonly #received: ConnectionEvent<M>

  constructor(driver: ConnectionDriver<M, P>, kept: KeptSession<M, P> | undefined, registry: Registry<M, P>) {
    this.#driver = driver
    this.#kept = kept
    this.#registry = registry
    const { remoteAddress, wire } = driver
    this.#received = {
      _tag: "ConnectionReceived",
      ...this.#about,
      wire,
      ...(Option.isSome(remoteAddress) ? { remoteAddress: remoteAddress.value } : undefined)
    }
  }

  get #about() {
    const { id, metadata } = this.#driver
    return { connectionId: id, metadata, at: this.#registry.clock.currentTimeMillisUnsafe() }
  }

  run(first: Attachment): Effect.Effect<void> {
    return Effect.flatMap(this.#driver.run(first, this), (end) => this.#ended(end))
  }

  renew(lost: SwaggerSocketError): Effect.Effect<Attachment, SwaggerSocketError> {
    return this.#kept === undefined ? Effect.fail(lost) : this.#kept.take()
  }

  onOpen(): void {
    this.#registry.add(this.#driver)
    this.#registry.tell(this.#driver, this.#received, [this.#received])
    this.#registry.onOpen(this.#driver)
    this.#kept?.attached()
  }

  onInterrupted(error: SwaggerSocketError): void {
    this.#registry.sessions.interrupted(this.#kept!)
    this.#registry.onFailure(this.#driver, error)
    const event: ConnectionEvent<M> = { _tag: "ConnectionInterrupted", ...this.#about, error }
    this.#registry.tell(this.#driver, event, [this.#received, event])
  }

  onResumed(gapMillis: number, replayed: number): void {
    this.#registry.sessions.resumed(this.#kept!)
    const event: ConnectionEvent<M> = { _tag: "ConnectionResumed", ...this.#about, gapMillis, replayed }
    this.#registry.tell(this.#driver, event, [this.#received])
    this.#kept!.attached()
  }

  #ended(end: Connection.CloseReason): Effect.Effect<void> {
    this.#registry.delete(this.#driver)
    if (end._tag === "Failed") this.#registry.onFailure(this.#driver, end.error)
    return Effect.flatMap(this.#driver.statistics, (statistics) => {
      const event: ConnectionEvent<M> = end._tag === "Closed"
        ? {
          _tag: "ConnectionClosed",
          ...this.#about,
          statistics,
          initiator: end.initiator,
          code: end.code,
          reason: end.reason
        }
        : { _tag: "ConnectionFailure", ...this.#about, statistics, error: end.error }
      this.#registry.publish(event)
      this.#registry.changes.notify()
      if (end._tag === "Failed") metrics.connectionFailures.updateUnsafe(1, this.#registry.context)
      return Effect.logDebug("connection ended", end._tag === "Failed" ? end.error.message : end)
    })
  }
}
