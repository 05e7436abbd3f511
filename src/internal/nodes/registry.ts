/**
 * The connections of all nodes, as this one knows them: its own, and those that other nodes tell of.
 */
import type * as Clock from "effect/Clock"
import * as Option from "effect/Option"
import type * as Stream from "effect/Stream"
import type * as Connection from "../../Connection.ts"
import type { ConnectionEvent } from "../../ConnectionEvent.ts"
import type { ConnectionDriver } from "../connection/types.ts"
import { Changes } from "../observe/changes.ts"
import { EventHub } from "../observe/eventHub.ts"
import type { Acceptor } from "../server/acceptor.ts"
import { Groups } from "./groups.ts"
import { LocalConnection } from "./localConnection.ts"
import type { FleetConnection, FleetEvent } from "./model.ts"
import type { Node } from "./node.ts"
import type { RemoteConnection } from "./remoteConnection.ts"

/** @internal */
export type Entry<M, P> = LocalConnection<M, P> | RemoteConnection<M, P>

/** @internal */
export class Registry<M, P> {
  readonly self: Node
  readonly clock: Clock.Clock
  readonly groups = new Groups()
  readonly #acceptor: Acceptor<M, P>
  readonly #locals = new WeakMap<object, LocalConnection<M, P>>()
  readonly #remotes = new Map<string, RemoteConnection<M, P>>()
  readonly #hub = new EventHub<M>()
  /** What a new subscriber is told first. */
  readonly #currentEvents = new Map<string, ReadonlyArray<ConnectionEvent<M>>>()
  readonly changes: Changes<ReadonlyArray<FleetConnection<M, P>>> = new Changes(() => this.all)

  constructor(acceptor: Acceptor<M, P>, self: Node, clock: Clock.Clock) {
    this.#acceptor = acceptor
    this.self = self
    this.clock = clock
  }

  local(driver: ConnectionDriver<M, P>): LocalConnection<M, P> {
    const known = this.#locals.get(driver)
    if (known !== undefined) return known
    const made = new LocalConnection(driver, this.self)
    this.#locals.set(driver, made)
    return made
  }

  /** Those of this node first, and of each node the oldest first. */
  get all(): ReadonlyArray<Entry<M, P>> {
    return [...this.#acceptor.connections().map((driver) => this.local(driver)), ...this.#remotes.values()]
  }

  localWith(id: string): LocalConnection<M, P> | undefined {
    const driver = this.#acceptor.connection(id)
    return driver === undefined ? undefined : this.local(driver as ConnectionDriver<M, P>)
  }

  get(id: string): Entry<M, P> | undefined {
    return this.localWith(id) ?? this.#remotes.get(id)
  }

  /** Of the connections that fit, the one that is open and was heard of last. */
  find(fits: (connection: FleetConnection<M, P>) => boolean): Option.Option<FleetConnection<M, P>> {
    let best: Entry<M, P> | undefined = undefined
    const look = (entry: Entry<M, P>) => {
      if (fits(entry) && (best === undefined || isPreferred(entry, best))) best = entry
    }
    for (const driver of this.#acceptor.connections()) look(this.local(driver))
    for (const remote of this.#remotes.values()) look(remote)
    return Option.fromUndefinedOr(best as Entry<M, P> | undefined)
  }

  get events(): Stream.Stream<FleetEvent<M>> {
    return this.#hub.stream(() => [...this.#currentEvents.values()].flat()) as Stream.Stream<FleetEvent<M>>
  }

  add(connection: RemoteConnection<M, P>): void {
    this.#remotes.set(connection.id, connection)
    this.changes.notify()
  }

  /** Ends a connection of another node. */
  end(connection: RemoteConnection<M, P>, reason: Connection.CloseReason): void {
    // Its client may have gone on with it on another node.
    if (this.#remotes.get(connection.id) === connection) this.#remotes.delete(connection.id)
    connection.end(reason)
    this.changes.notify()
  }

  /** Tells subscribers what has happened on a node. */
  publish(node: Node, event: ConnectionEvent<M>): void {
    const told: ConnectionEvent<M> = Object.assign({ node }, event)
    this.#hub.publish(told)
    switch (told._tag) {
      case "ConnectionReceived":
      case "ConnectionResumed":
        this.#currentEvents.set(told.connectionId, this.#receivedOf(told))
        break
      case "ConnectionInterrupted":
        this.#currentEvents.set(told.connectionId, [...this.#receivedOf(told), told])
        break
      case "ConnectionClosed":
      case "ConnectionFailure":
        this.#currentEvents.delete(told.connectionId)
        break
      default:
    }
  }

  /** Events of this node were dropped: new subscribers are told of no connection that has ended meanwhile. */
  eventsDropped(): void {
    for (const id of this.#currentEvents.keys()) if (this.get(id) === undefined) this.#currentEvents.delete(id)
  }

  #receivedOf(event: ConnectionEvent<M> & { readonly connectionId: string }): ReadonlyArray<ConnectionEvent<M>> {
    return event._tag === "ConnectionReceived"
      ? [event]
      : this.#currentEvents.get(event.connectionId)?.slice(0, 1) ?? []
  }

  /** A node is lost, whose connections have ended. */
  nodeLost(node: Node, connections: number): void {
    const event = { _tag: "NodeLost", node, connections, at: this.clock.currentTimeMillisUnsafe() } as const
    this.#hub.publish(event as unknown as ConnectionEvent<M>)
  }
}

const isPreferred = <M, P>(one: Entry<M, P>, other: Entry<M, P>): boolean =>
  (one.now === "open") === (other.now === "open") ? one.lastSign > other.lastSign : one.now === "open"
