/**
 * The connections of one other node, from what it tells of them.
 */
import * as Option from "effect/Option"
import type { ConnectionEvent, ConnectionReceived } from "../../ConnectionEvent.ts"
import { LinkError, SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { zeroCounters } from "../streams/settings.ts"
import type { Record } from "./record.ts"
import type { Registry } from "./registry.ts"
import { type Owner, RemoteConnection } from "./remoteConnection.ts"

const untold = new SwaggerSocketError({
  reason: new LinkError({ phase: "read", description: "its node has not told of it any more" })
})

/** @internal */
export class NodeConnections<M, P> {
  readonly #owner: Owner
  readonly #registry: Registry<M, P>
  readonly #connections = new Map<string, RemoteConnection<M, P>>()
  /** Connections that were not told of yet since the node has begun to tell of all. */
  #untold = new Set<string>()

  constructor(owner: Owner, registry: Registry<M, P>) {
    this.#owner = owner
    this.#registry = registry
  }

  take(record: Record<M, P>): void {
    switch (record._tag) {
      case "Began":
        this.#untold = new Set(this.#connections.keys())
        return
      case "Current":
        for (const id of this.#untold) this.#fail(id, untold)
        this.#untold.clear()
        return
      case "Groups": {
        const connection = this.#connections.get(record.connectionId)
        if (connection === undefined) return
        connection.groups = new Set(record.groups)
        this.#registry.changes.notify()
        return
      }
      case "Event":
        this.#happened(record.event, record.principal)
    }
  }

  #happened(event: ConnectionEvent<M>, principal: P | undefined): void {
    if (event._tag === "EventsDropped") return
    if (!("metadata" in event)) return this.#registry.publish(this.#owner.node, event)
    const id = event.connectionId
    this.#untold.delete(id)
    const connection = this.#connections.get(id)
    if (event._tag === "ConnectionReceived") {
      // Known, and told of once more.
      if (connection !== undefined) return void connection.become("open")
      this.#add(event, principal as P)
    } else if (connection === undefined) return
    else if (event._tag === "ConnectionInterrupted") {
      if (!connection.become("interrupted")) return
    } else if (event._tag === "ConnectionResumed") connection.become("open")
    else {
      this.#connections.delete(id)
      this.#registry.end(
        connection,
        event._tag === "ConnectionFailure" ? { _tag: "Failed", error: event.error } : { ...event, _tag: "Closed" }
      )
    }
    this.#registry.publish(this.#owner.node, event)
    this.#registry.changes.notify()
  }

  #add(event: ConnectionReceived<M>, principal: P): void {
    const { connectionId: id, metadata, remoteAddress, wire } = event
    const identity = {
      id,
      metadata,
      principal,
      wire,
      role: "server",
      remoteAddress: Option.fromUndefinedOr(remoteAddress)
    } as const
    const connection = new RemoteConnection<M, P>(this.#owner, identity)
    this.#connections.set(id, connection)
    this.#registry.add(connection)
  }

  #fail(id: string, error: SwaggerSocketError): void {
    const connection = this.#connections.get(id)!
    this.#connections.delete(id)
    this.#registry.end(connection, { _tag: "Failed", error })
    this.#registry.publish(this.#owner.node, {
      _tag: "ConnectionFailure",
      connectionId: id,
      metadata: connection.metadata,
      at: this.#registry.clock.currentTimeMillisUnsafe(),
      error,
      statistics: zeroCounters()
    })
  }

  /** The node tells of no connections any more. */
  forget(): void {
    for (const id of this.#connections.keys()) this.#fail(id, untold)
  }

  /** The link was lost, or is there again: calls wait meanwhile. */
  linkChanged(): void {
    for (const connection of this.#connections.values()) connection.linkChanged()
    this.#registry.changes.notify()
  }

  /** The node is lost, or tells of its connections no more. */
  lost(error: SwaggerSocketError): void {
    const count = this.#connections.size
    for (const id of this.#connections.keys()) this.#fail(id, error)
    this.#registry.nodeLost(this.#owner.node, count)
  }
}
