/**
 * Connections between the nodes of a `Directory`: one for each pair, of the wire that clients speak. What the nodes do for each other
 * goes over them: see `Fleet`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import type * as Connection from "./Connection.ts"
import * as Directory from "./Directory.ts"
import * as Handshake from "./Handshake.ts"
import * as Heartbeat from "./Heartbeat.ts"
import { urlFault } from "./internal/client/url.ts"
import { peerOf } from "./internal/connection/peer.ts"
import { forEachNew } from "./internal/nodes/forEachNew.ts"
import { isProven, serveBase } from "./internal/nodes/linkBase.ts"
import { type NodeLink, NodeLinkList } from "./internal/nodes/nodeLinkList.ts"
import { minSecretLength, Proofs } from "./internal/nodes/proof.ts"
import * as Limits from "./Limits.ts"
import type * as Link from "./Link.ts"
import type * as Quotas from "./Quotas.ts"
import * as Reconnection from "./Reconnection.ts"
import * as SwaggerSocketClient from "./SwaggerSocketClient.ts"
import * as SwaggerSocketServer from "./SwaggerSocketServer.ts"

export type { NodeLink } from "./internal/nodes/nodeLinkList.ts"

/**
 * The connections of this node to the others.
 *
 * **Example** (Which nodes this one reaches)
 *
 * ```ts
 * import * as NodeLinks from "effect-swaggersocket/NodeLinks"
 * import * as Effect from "effect/Effect"
 *
 * export const reached = Effect.gen(function*() {
 *   const { links } = yield* NodeLinks.NodeLinks
 *   return (yield* links).map(({ node }) => node.name)
 * })
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class NodeLinks extends Context.Service<NodeLinks, {
  /** This node, as the directory has it. */
  readonly node: Directory.Node
  /** The links there are; one that is interrupted may be resumed for 10 seconds. */
  readonly links: Effect.Effect<ReadonlyArray<NodeLink>>
  /** The links now and after each change; a slow subscriber skips states that were superseded. */
  readonly changes: Stream.Stream<ReadonlyArray<NodeLink>>
  /** Says in the directory that this node is about to go away. When the layer closes it does so by itself. */
  readonly drain: Effect.Effect<void>
  /** Answers the upgrade requests of other nodes: for HTTP apps without a router. `layer` mounts it on a path. */
  readonly upgrade: SwaggerSocketServer.SwaggerSocketServer<unknown, undefined>["upgrade"]
  /** Takes a link that another node has made by its option `link`. */
  readonly accept: SwaggerSocketServer.SwaggerSocketServer<unknown, undefined>["accept"]
}>()("effect-swaggersocket/NodeLinks") {}

/**
 * How nodes know each other: by a secret that all of them are given, or by the certificates of their sockets alone.
 *
 * @since 0.1.0
 * @category models
 */
export type Trust =
  | {
    /** The same on all nodes, 16 characters at least. It is proved to the other node, and never sent. */
    readonly secret: Redacted.Redacted
  }
  | {
    /** The server of the node takes connections with client certificates alone, and `url` is `wss:`. */
    readonly clientCertificates: true
  }

/**
 * How this node is called, reached, and known to the others.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = Trust & {
  /** Its name, for people and for logs; in a fixed list its key. */
  readonly name: string
  /** Where the other nodes reach it: `ws:` or `wss:`, best on a port of its own that nobody else reaches. */
  readonly url: string
  /** Limits of the links; for those that are left out see `layer`. */
  readonly limits?: Limits.Options | undefined
}

/**
 * `Options`, for nodes that reach each other otherwise than by WebSockets.
 *
 * @since 0.1.0
 * @category models
 */
export type LinkOptions<R> = Options & {
  /** Makes a link to a node, which gives its other end to `accept`. `url` need not be a URL then. */
  readonly link: (node: Directory.Node) => Effect.Effect<Link.Link, unknown, R>
}

/** What a node says to one that it dials. */
const Hello = Schema.Struct({ node: Directory.Node, to: Schema.String, proof: Schema.optionalKey(Schema.String) })

class NodeServer extends SwaggerSocketServer.Service<NodeServer>()("effect-swaggersocket/NodeLinks/server", {
  metadata: Hello
}) {}

/** What many clients do goes over one link. */
const limitsOf = (given: Limits.Options | undefined, base: Limits.Limits): Limits.Limits => {
  // The name of the connection makes a head longer.
  const maxHeadSize = base.maxHeadSize + 1024
  const maxFrameSize = Math.max(base.maxFrameSize, maxHeadSize + 1024)
  const many = 1_000_000
  return Limits.make({
    maxHeadSize,
    maxFrameSize,
    maxMessageSize: Math.max(base.maxMessageSize, maxFrameSize),
    maxConcurrentStreams: many,
    resetsPerSecond: many,
    refusedPerSecond: many,
    refusedBurst: many,
    controlPerSecond: many,
    controlBurst: many,
    headTableSize: 65_536,
    // Of readers that have stopped, each holds a window of 256 KiB.
    maxUnread: 1024 * 1024 * 1024,
    maxConnectionWindow: 64 * 1024 * 1024,
    replayBuffer: 64 * 1024 * 1024,
    resumeWindow: "10 seconds",
    ...given
  }, base)
}

/** Nodes that know the secret are no strangers. */
const quotas: Quotas.Options = {
  perAddress: { calls: Infinity },
  server: { calls: Infinity, callDelay: Infinity }
}

const checked = (options: Options & { readonly link?: unknown }): Proofs | undefined => {
  const { link, name, url } = options
  if (name === "") throw new RangeError("NodeLinks: a node needs a name")
  const fault = link === undefined ? urlFault(url) : undefined
  if (fault !== undefined) throw new TypeError(`NodeLinks: ${fault}`)
  if ("secret" in options) {
    if (Redacted.value(options.secret).length >= minSecretLength) return new Proofs(options.secret)
    throw new RangeError(`NodeLinks: the secret is shorter than ${minSecretLength} characters`)
  }
  if (link === undefined && !url.startsWith("wss:")) {
    throw new TypeError(
      `NodeLinks: clientCertificates needs a wss: url, and a server that asks for certificates; or give a secret`
    )
  }
  return undefined
}

/** What is wrong with what a node says that has dialled this one. */
const refusalOf =
  (self: Directory.Node, proofs: Proofs | undefined) => ({ metadata }: { readonly metadata: typeof Hello.Type }) => {
    const { node, proof = "", to } = metadata
    if (to !== self.instance) {
      const reason =
        `this is node ${self.name}, and another life of it, or another node, is what the directory has at this URL`
      return Effect.fail(new Handshake.Refusal({ code: "FORBIDDEN", reason }))
    }
    if (proofs === undefined || proofs.isValid(proof, "hello", node.instance, to)) return Effect.succeed(undefined)
    const reason = `node ${self.name} has another secret: all nodes need the same`
    return Effect.fail(new Handshake.Refusal({ code: "UNAUTHENTICATED", reason }))
  }

/** How long a node is not dialled that has refused this one for good: it may be started again. */
const redialAfter = "30 seconds"

/** A node joins while its layers are built, and its server takes requests a moment later. A guess. */
const headStart = "100 millis"

const makeWith = Effect.fnUntraced(function*<R>(
  options: Options & { readonly link?: LinkOptions<R>["link"] | undefined }
) {
  const proofs = checked(options)
  const limits = limitsOf(options.limits, yield* Limits.Limits)
  const directory = yield* Directory.Directory
  const { drain, node: self } = yield* directory.join(options)
  const list = new NodeLinkList()
  const built = yield* Layer.build(NodeServer.layerNoRoute({
    limits,
    quotas,
    wires: ["v2"],
    authenticate: refusalOf(self, proofs),
    identity: ({ metadata }) => metadata.node.instance
  }))
  const server = Context.get(built, NodeServer)

  /** A connection to another node, for as long as it lasts. */
  const linked = (node: Directory.Node, connection: Connection.Connection) =>
    Effect.gen(function*() {
      const peer = peerOf(connection)
      yield* serveBase(peer.apps, proofs, self, node)
      if (proofs !== undefined && !(yield* isProven(peer, proofs, self, node))) {
        if ((yield* connection.status) === "closed") return
        yield* Effect.logError(`node ${node.name} at ${node.url} has not proved that it knows the secret of the nodes`)
        return yield* connection.close({ code: 4200, reason: "the secret was not proved" })
      }
      yield* list.add({ node, connection })
      yield* connection.closed
    })

  const dial = (node: Directory.Node) =>
    Effect.gen(function*() {
      const client = yield* SwaggerSocketClient.make<typeof Hello.Type, R | Socket.WebSocketConstructor>({
        limits,
        metadata: proofs === undefined
          ? { node: self, to: node.instance }
          : { node: self, to: node.instance, proof: proofs.of("hello", self.instance, node.instance) },
        ...(options.link === undefined ? { url: node.url } : { link: options.link(node) })
      } as SwaggerSocketClient.Options<typeof Hello.Type, R>)
      const isGone = Effect.andThen(
        Stream.runHead(Stream.filter(directory.nodes, (nodes) => !nodes.some(isInstance(node)))),
        // A link that works is kept, whatever the directory says.
        Stream.runHead(Stream.filter(client.changes, ({ _tag }) => _tag !== "Connected"))
      )
      const linking = Effect.forever(
        Effect.flatMap(client.connection, (connection) => Effect.scoped(linked(node, connection)))
      )
      return yield* Effect.raceFirst(
        Effect.as(isGone, true),
        Effect.catch(linking, () => Effect.as(Effect.sleep(redialAfter), false))
      )
    })

  const scope = yield* Scope.fork(yield* Effect.scope, "parallel")
  const dialled = new Set<string>()
  yield* Effect.forkScoped(Stream.runForEach(directory.nodes, (nodes) =>
    Effect.forEach(nodes, (node) => {
      if (node.instance <= self.instance || dialled.has(node.instance)) return Effect.void
      dialled.add(node.instance)
      const dialling = Effect.repeat(Effect.scoped(dial(node)), { until: (isGone) => isGone })
      const delayed = options.link === undefined ? Effect.delay(dialling, headStart) : dialling
      return Effect.forkIn(Effect.ensuring(delayed, Effect.sync(() => dialled.delete(node.instance))), scope)
    }, { discard: true })))
  yield* forEachNew(server.changes, (connection) => linked(connection.metadata.node, connection))
  // First of all, before the links close.
  yield* Effect.addFinalizer(() => drain)
  return NodeLinks.of({
    node: self,
    links: Effect.sync(() => list.all),
    changes: list.changes.stream,
    drain,
    upgrade: server.upgrade,
    accept: server.accept
  })
})

const isInstance = ({ instance }: Directory.Node) => (node: Directory.Node): boolean => node.instance === instance

/** A dead node is noticed within 10 seconds, and one that was away for less is back at once. */
const services = Context.make(Heartbeat.Heartbeat, Heartbeat.make({ interval: "5 seconds", timeout: "5 seconds" }))
  .pipe(
    Context.add(Reconnection.Reconnection, {
      ...Reconnection.standard,
      schedule: Reconnection.fullJitter({ base: "100 millis", cap: "5 seconds" })
    })
  )

const make = <R>(options: Options & { readonly link?: LinkOptions<R>["link"] | undefined }) =>
  Effect.provideContext(makeWith<R>(options), services)

/**
 * Joins the directory, dials other nodes, and takes their connections on a path of the `HttpRouter`.
 *
 * **Details**
 *
 * Of two nodes the one with the lower instance dials. Each connection has a heartbeat of 5 seconds and may be resumed for 10; what is
 * called over it waits meanwhile. Its limits are those of `Limits`, but for those that many clients need: a million streams,
 * resets and refusals, 1 GiB of unread bytes, windows of up to 64 MiB.
 *
 * Both ends prove that they know the secret, and neither sends it: a directory that names a wrong URL learns nothing. A node with
 * another secret, and one that answers at the URL of another, are told in the log of both. Nothing is encrypted over `ws:`.
 *
 * With `clientCertificates` give the server of the router an HTTPS server that asks for certificates and rejects all others, and the
 * `WebSocketConstructor` one that has a certificate.
 *
 * **Gotchas**
 *
 * Mount it on a port of its own: who gets at it needs nothing else than the secret. A secret of fewer than 16 characters is a
 * `RangeError`, a `url` that is none a `TypeError`.
 *
 * **Example** (A node with a port for the other nodes)
 *
 * ```ts
 * import * as Directory from "effect-swaggersocket/Directory"
 * import * as NodeLinks from "effect-swaggersocket/NodeLinks"
 * import * as NodeSwaggerSocket from "effect-swaggersocket/node"
 * import * as Config from "effect/Config"
 * import * as Effect from "effect/Effect"
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as Layer from "effect/Layer"
 *
 * const Links = Layer.unwrap(Effect.map(
 *   Config.Redacted("NODE_SECRET"),
 *   (secret) => NodeLinks.layer({ name: "a", url: "ws://10.0.0.1:7000/nodes", path: "/nodes", secret })
 * ))
 *
 * export const Node = HttpRouter.serve(Links).pipe(
 *   Layer.provide(NodeSwaggerSocket.layerHttpServer({ port: 7000 })),
 *   Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor),
 *   Layer.provide(Directory.layerStatic([
 *     { name: "a", url: "ws://10.0.0.1:7000/nodes" },
 *     { name: "b", url: "ws://10.0.0.2:7000/nodes" }
 *   ]))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options & {
    /** Where other nodes are taken: the path of `url`. */
    readonly path: HttpRouter.PathInput
  }
): Layer.Layer<NodeLinks, never, Directory.Directory | HttpRouter.HttpRouter | Socket.WebSocketConstructor> =>
  Layer.effect(
    NodeLinks,
    Effect.gen(function*() {
      const router = yield* HttpRouter.HttpRouter
      const links = yield* make<never>(options)
      yield* router.add("GET", options.path, links.upgrade)
      return links
    })
  )

/**
 * `layer` without a route: mount `upgrade` wherever it belongs, or reach other nodes by links of your own.
 *
 * **Example** (Nodes of one process)
 *
 * ```ts
 * import * as Link from "effect-swaggersocket/Link"
 * import * as NodeLinks from "effect-swaggersocket/NodeLinks"
 * import * as Effect from "effect/Effect"
 * import * as Redacted from "effect/Redacted"
 *
 * const nodes = new Map<string, NodeLinks.NodeLinks["Service"]>()
 *
 * export const node = (name: string) =>
 *   NodeLinks.layerNoRoute({
 *     name,
 *     url: name,
 *     secret: Redacted.make("no secret in one process"),
 *     link: ({ url }) =>
 *       Effect.gen(function*() {
 *         const [near, far] = yield* Link.makePair
 *         yield* Effect.forkScoped(nodes.get(url)!.accept(Effect.succeed(far)))
 *         return near
 *       })
 *   })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNoRoute: {
  <R = never>(options: LinkOptions<R>): Layer.Layer<NodeLinks, never, Directory.Directory | Exclude<R, Scope.Scope>>
  (options: Options): Layer.Layer<NodeLinks, never, Directory.Directory | Socket.WebSocketConstructor>
} = <R>(
  options: Options & { readonly link?: LinkOptions<R>["link"] | undefined }
): Layer.Layer<NodeLinks, never, Directory.Directory | Socket.WebSocketConstructor | Exclude<R, Scope.Scope>> =>
  Layer.effect(NodeLinks, make(options))
