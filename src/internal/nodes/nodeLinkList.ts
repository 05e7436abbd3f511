/**
 * The links of a node that can be used now.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Connection from "../../Connection.ts"
import { Changes } from "../observe/changes.ts"
import type { Node } from "./node.ts"

/**
 * A connection to another node.
 *
 * @since 0.1.0
 * @category models
 */
export interface NodeLink {
  /** The other node, as it was when the link was made. */
  readonly node: Node
  /** The connection. What it serves and asks is for `Fleet` to decide: other requests are answered 404. */
  readonly connection: Connection.Connection
}

/** @internal */
export class NodeLinkList {
  readonly #links = new Set<NodeLink>()
  readonly changes: Changes<ReadonlyArray<NodeLink>> = new Changes(() => this.all)

  get all(): ReadonlyArray<NodeLink> {
    return [...this.#links]
  }

  /** Until the scope closes. */
  add(link: NodeLink): Effect.Effect<void, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.sync(() => {
        this.#links.add(link)
        this.changes.notify()
      }),
      () =>
        Effect.sync(() => {
          this.#links.delete(link)
          this.changes.notify()
        })
    )
  }
}
