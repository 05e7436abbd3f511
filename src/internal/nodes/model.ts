/**
 * Connections of all nodes, as their users see them.
 */
import type * as Connection from "../../Connection.ts"
import type { ConnectionEvent } from "../../ConnectionEvent.ts"
import type { Node } from "./node.ts"

/**
 * A connection of one of the nodes: `ApiClient.make` takes it, and so do the functions of `Relay`.
 *
 * **Details**
 *
 * Of a connection of another node, `status` and `changes` say what that node has told last, and `interrupted` while the link to it is.
 * `roundTrip` is that of the link. `active` and `statistics` are about the calls of this node, and those by number alone.
 *
 * @since 0.1.0
 * @category models
 */
export interface FleetConnection<out M = unknown, out P = unknown> extends Connection.Connection<M, P> {
  /** The node that its device is connected to. */
  readonly node: Node
  /** The groups that it has joined. */
  readonly groups: ReadonlySet<string>
}

/**
 * A node can be reached no more: its connections have ended with a `ConnectionFailure` each.
 *
 * @since 0.1.0
 * @category models
 */
export interface NodeLost {
  /** Tells it from other events. */
  readonly _tag: "NodeLost"
  /** Which one. */
  readonly node: Node
  /** How many connections it had. */
  readonly connections: number
  /** Unix time in milliseconds. */
  readonly at: number
}

/**
 * What happens to connections of any node, and which nodes are lost. `EventsDropped` is about this subscriber, and so of no node.
 *
 * @since 0.1.0
 * @category models
 */
export type FleetEvent<M = unknown> =
  | (Exclude<ConnectionEvent<M>, { readonly _tag: "EventsDropped" }> & { readonly node: Node })
  | Extract<ConnectionEvent<M>, { readonly _tag: "EventsDropped" }>
  | NodeLost
