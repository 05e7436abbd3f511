/**
 * A directory of nodes that NATS keeps: a bucket of JetStream's key-value store. It needs `@nats-io/transport-node` and `@nats-io/kv`.
 *
 * @since 0.1.0
 */
import { Kvm, type KvWatchEntry } from "@nats-io/kv"
import { connect, type ConnectionOptions } from "@nats-io/transport-node"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Directory from "../Directory.ts"
import { Bucket } from "./bucket.ts"

/**
 * Where NATS is, and where the nodes are kept there.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How to connect: `servers`, and what authenticates. It is tried for ever, and again when the connection is lost. */
  readonly connection: ConnectionOptions
  /** The bucket of the nodes, which is made if it is not there. Default `swaggersocket-nodes`. */
  readonly bucket?: string | undefined
  /** On how many servers of a cluster of NATS it is kept: 1, 3 or 5. Default 1. */
  readonly replicas?: number | undefined
}

const Record = Schema.fromJsonString(Directory.Node)

const encode = Schema.encodeSync(Record)
const decode = Schema.decodeUnknownEffect(Record)

/** The record of an entry. What is none is of somebody else. */
const changeOf = (entry: KvWatchEntry): Effect.Effect<ReadonlyArray<Directory.Change>> =>
  entry.operation === "PUT"
    ? Effect.match(decode(entry.string()), {
      onFailure: () => [],
      onSuccess: (node) => [{ _tag: "Put", node, version: entry.revision }]
    })
    : Effect.succeed([{ _tag: "Removed", instance: entry.key }])

const engine = (options: Options): Effect.Effect<Directory.Engine, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() =>
        new Bucket(
          () => connect({ ...options.connection, maxReconnectAttempts: -1, noAsyncTraces: true }),
          (connection) =>
            new Kvm(connection).create(options.bucket ?? "swaggersocket-nodes", {
              history: 1,
              replicas: options.replicas ?? 1,
              // What killed nodes leave is of no use for long. Nobody is told when it goes: readers time leases themselves.
              ttl: 60_000
            })
        )
      ),
      (bucket) => bucket.close
    ),
    (bucket): Directory.Engine => ({
      put: (node) => bucket.use((kv) => kv.put(node.instance, encode(node))),
      remove: (instance) => bucket.use((kv) => kv.delete(instance)),
      watch: Stream.flatMap(Stream.mapEffect(bucket.watch, changeOf), Stream.fromIterable)
    })
  )

/**
 * A directory in a bucket of NATS (JetStream, from 2.9 on).
 *
 * **Details**
 *
 * A node writes its record every 5 seconds, and watches those of the others. While NATS is down, what is known of the nodes
 * stays as it is, and no call is affected: nothing but these records goes through NATS. A node that starts meanwhile joins when
 * NATS is back. Leases are timed by the readers, so nothing depends on keys that expire, of which watchers are not told.
 *
 * **Example** (A node that finds the others by NATS)
 *
 * ```ts
 * import * as Nats from "effect-swaggersocket/nats"
 * import * as NodeSwaggerSocket from "effect-swaggersocket/node"
 * import * as NodeLinks from "effect-swaggersocket/NodeLinks"
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as Layer from "effect/Layer"
 * import * as Redacted from "effect/Redacted"
 *
 * export const Links = HttpRouter.serve(NodeLinks.layer({
 *   name: "a",
 *   url: "ws://10.0.0.1:7000/nodes",
 *   path: "/nodes",
 *   secret: Redacted.make("read it from the configuration")
 * })).pipe(
 *   Layer.provide(NodeSwaggerSocket.layerHttpServer({ port: 7000 })),
 *   Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor),
 *   Layer.provide(Nats.layerDirectory({ connection: { servers: ["10.0.0.9:4222"] } }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerDirectory = (options: Options): Layer.Layer<Directory.Directory> => Directory.layer(engine(options))
