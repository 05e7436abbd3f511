/**
 * Which nodes there are, where several processes serve the same clients: a hub behind a balancer, for instance. An engine keeps
 * that, and nothing else: whatever nodes say to each other goes over connections between them (`NodeLinks`), so that an outage of
 * the engine breaks no call.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as directory from "./internal/nodes/directory.ts"
import type { Engine, Membership } from "./internal/nodes/directory.ts"
import type { Node } from "./internal/nodes/node.ts"

export type { Change, Engine, Membership } from "./internal/nodes/directory.ts"
export { Node } from "./internal/nodes/node.ts"

/**
 * Which nodes there are.
 *
 * **Details**
 *
 * A node that has joined renews its lease every 5 seconds. A reader takes a node for gone when it has not heard of it for 15
 * seconds, while the engine was known to work. So an engine that is dead, or out of reach, freezes what is known: no node is
 * found, and none is lost.
 *
 * **Example** (Logging the nodes)
 *
 * ```ts
 * import * as Directory from "effect-swaggersocket/Directory"
 * import * as Effect from "effect/Effect"
 * import * as Stream from "effect/Stream"
 *
 * export const show = Effect.gen(function*() {
 *   const { nodes } = yield* Directory.Directory
 *   yield* Stream.runForEach(nodes, (nodes) => Effect.log(nodes.map(({ name, state }) => `${name}: ${state}`)))
 * })
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class Directory extends Context.Service<Directory, {
  /**
   * Adds a node of this process, until the scope closes. It waits for nothing: an engine that can't be reached is tried again.
   * `NodeLinks` joins by itself.
   */
  readonly join: (
    node: { readonly name: string; readonly url: string }
  ) => Effect.Effect<Membership, never, Scope.Scope>
  /** The nodes now, those of this process among them, and after each change. A slow subscriber skips states that were superseded. */
  readonly nodes: Stream.Stream<ReadonlyArray<Node>>
}>()("effect-swaggersocket/Directory") {}

/**
 * A directory of the nodes of this process alone: for tests, and for programs whose nodes are parts of one process.
 *
 * **Gotchas**
 *
 * Provide one and the same layer to all nodes: a layer is built once for all that are built together.
 *
 * **Example** (Two nodes of one process)
 *
 * ```ts
 * import * as Directory from "effect-swaggersocket/Directory"
 * import type * as NodeLinks from "effect-swaggersocket/NodeLinks"
 * import * as Layer from "effect/Layer"
 *
 * declare const node: (name: string) => Layer.Layer<NodeLinks.NodeLinks, never, Directory.Directory>
 *
 * export const Both = Layer.mergeAll(Layer.fresh(node("a")), Layer.fresh(node("b"))).pipe(
 *   Layer.provide(Directory.layerMemory)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<Directory> = Layer.sync(Directory, directory.makeMemory)

/**
 * A fixed list of nodes, with names of their own. Nodes that are not there are dialled again and again.
 *
 * **Gotchas**
 *
 * A list with a name twice is a `RangeError`. A node that joins and is not in the list, or there with another URL, is a defect that
 * says so. A list tells nobody that a node is about to go away.
 *
 * **Example** (Three hosts)
 *
 * ```ts
 * import * as Directory from "effect-swaggersocket/Directory"
 *
 * export const Nodes = Directory.layerStatic([
 *   { name: "a", url: "ws://10.0.0.1:7000/nodes" },
 *   { name: "b", url: "ws://10.0.0.2:7000/nodes" },
 *   { name: "c", url: "ws://10.0.0.3:7000/nodes" }
 * ])
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerStatic = (
  list: ReadonlyArray<{ readonly name: string; readonly url: string }>
): Layer.Layer<Directory> => {
  const nodes = list.map(({ name, url }): Node => ({ instance: name, name, url, state: "up" }))
  const names = new Set(nodes.map(({ name }) => name))
  if (names.size < nodes.length) throw new RangeError("Directory: two nodes of the list have the same name")
  return Layer.succeed(Directory, {
    nodes: Stream.concat(Stream.succeed(nodes), Stream.never),
    join: ({ name, url }) => {
      const node = nodes.find((node) => node.name === name)
      if (node === undefined) {
        return Effect.die(new RangeError(`Directory: the list has no node ${name}, it has ${[...names].join(", ")}`))
      }
      return node.url === url
        ? Effect.succeed({ node, drain: Effect.void })
        : Effect.die(new RangeError(`Directory: node ${name} is to be dialled at ${url}, the list says ${node.url}`))
    }
  })
}

/**
 * A directory on an engine of your own: something that keeps a record for each node, and tells of changes.
 *
 * **Details**
 *
 * Leases are no matter of the engine: it need not forget anything by itself. What fails is logged once, and tried again.
 *
 * **Example** (An engine that keeps records in a map)
 *
 * ```ts
 * import * as Directory from "effect-swaggersocket/Directory"
 * import * as Effect from "effect/Effect"
 * import * as PubSub from "effect/PubSub"
 * import * as Stream from "effect/Stream"
 *
 * export const InMap = Directory.layer(Effect.gen(function*() {
 *   const records = new Map<string, Directory.Node>()
 *   const changes = yield* PubSub.unbounded<Directory.Change>()
 *   const engine: Directory.Engine = {
 *     put: (node) => Effect.andThen(Effect.sync(() => records.set(node.instance, node)), PubSub.publish(changes, { _tag: "Put", node })),
 *     remove: (instance) =>
 *       Effect.andThen(Effect.sync(() => records.delete(instance)), PubSub.publish(changes, { _tag: "Removed", instance })),
 *     watch: Stream.concat(
 *       Stream.suspend(() => Stream.fromIterable(Array.from(records.values(), (node) => ({ _tag: "Put", node }) as const))),
 *       Stream.fromPubSub(changes)
 *     )
 *   }
 *   return engine
 * }))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <E, R>(
  engine: Effect.Effect<Engine, E, R>
): Layer.Layer<Directory, E, Exclude<R, Scope.Scope>> => Layer.effect(Directory, Effect.flatMap(engine, directory.make))
