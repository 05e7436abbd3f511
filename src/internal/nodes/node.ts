/**
 * What a directory says of a node.
 */
import * as Schema from "effect/Schema"

/**
 * The schema of a node, for engines that keep nodes as text.
 *
 * **Example** (A node as JSON)
 *
 * ```ts
 * import * as Directory from "effect-swaggersocket/Directory"
 * import * as Schema from "effect/Schema"
 *
 * export const encode = Schema.encodeEffect(Schema.fromJsonString(Directory.Node))
 * ```
 *
 * @since 0.1.0
 * @category schemas
 */
export const Node = Schema.Struct({
  /** Names one life of the node: it is another one after a restart. A fixed list has the name here. */
  instance: Schema.String,
  /** Its name, for people and for logs. */
  name: Schema.String,
  /** Where the other nodes dial it. */
  url: Schema.String,
  /** `draining`: it is about to go away. */
  state: Schema.Literals(["up", "draining"])
})

/**
 * What a directory says of a node.
 *
 * @since 0.1.0
 * @category models
 */
export interface Node {
  /** Names one life of the node: it is another one after a restart. A fixed list has the name here. */
  readonly instance: string
  /** Its name, for people and for logs. Two lives of a node may have the same one for a while. */
  readonly name: string
  /** Where the other nodes dial it. */
  readonly url: string
  /** `draining`: it is about to go away. */
  readonly state: "up" | "draining"
}
