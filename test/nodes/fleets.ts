/**
 * Several nodes of one process, joined in memory, and devices of theirs.
 */
import type * as Connection from "effect-swaggersocket/Connection"
import * as Directory from "effect-swaggersocket/Directory"
import * as Fleet from "effect-swaggersocket/Fleet"
import * as Link from "effect-swaggersocket/Link"
import * as NodeLinks from "effect-swaggersocket/NodeLinks"
import { SwaggerSocketClient } from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { serveRoutes } from "../support/connections.ts"

const Info = Schema.Struct({ name: Schema.String, since: Schema.DateFromString })

export class Devices
  extends SwaggerSocketServer.Service<Devices, { readonly user: string }>()("test/nodes/Devices", { metadata: Info })
{}

export class AllDevices extends Fleet.Service<AllDevices>()("test/nodes/AllDevices", Devices, {
  metadata: Info,
  principal: Schema.Struct({ user: Schema.String })
}) {}

/** The fleet of a node that has another schema, which some devices don't fit. */
export class Choosy extends Fleet.Service<AllDevices>()("test/nodes/AllDevices", Devices, {
  metadata: Schema.Struct({ name: Schema.String.check(Schema.isMaxLength(3)), since: Schema.DateFromString }),
  principal: Schema.Struct({ user: Schema.String })
}) {}

export type Device = Fleet.FleetConnection<typeof Info.Type, { readonly user: string }>

export const secret = Redacted.make("a secret of all nodes")

/** Links in memory between nodes, which can be cut. */
export class Network {
  readonly #nodes = new Map<string, NodeLinks.NodeLinks["Service"]>()
  readonly #cables = new Set<{ readonly between: ReadonlySet<string>; readonly cut: () => void }>()
  readonly #broken = new Set<string>()

  add(node: NodeLinks.NodeLinks["Service"]): void {
    this.#nodes.set(node.node.url, node)
  }

  /** How a node reaches another one. */
  link(from: string) {
    return ({ url }: Directory.Node) =>
      Effect.gen({ self: this }, function*() {
        const to = this.#nodes.get(url)
        if (to === undefined || this.#broken.has(from) || this.#broken.has(url)) {
          return yield* Effect.fail(new Error(`no way from ${from} to ${url}`))
        }
        const [near, far] = yield* Link.makePair
        const cable = { between: new Set([from, url]), cut: () => near.terminate() }
        yield* Effect.acquireRelease(
          Effect.sync(() => this.#cables.add(cable)),
          () => Effect.sync(() => this.#cables.delete(cable))
        )
        yield* Effect.forkDetach(to.accept(Effect.succeed(far)))
        return near
      })
  }

  /** Cuts all links of a node. */
  cut(name: string): void {
    for (const { between, cut } of this.#cables) if (between.has(name)) cut()
  }

  /** Cuts a node off until it is mended. */
  break(name: string): void {
    this.#broken.add(name)
    this.cut(name)
  }

  mend(name: string): void {
    this.#broken.delete(name)
  }
}

/** One node: its fleet, and devices that are connected to it. */
export const makeNode = Effect.fnUntraced(function*(
  name: string,
  network: Network,
  directory: Directory.Directory["Service"],
  { fleet = AllDevices.layer, ...options }: {
    readonly secret?: Redacted.Redacted
    readonly fleet?: typeof AllDevices.layer
  } = {}
) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const layer = fleet.pipe(
    Layer.provideMerge(NodeLinks.layerNoRoute({ name, url: name, secret, link: network.link(name), ...options })),
    Layer.provideMerge(Devices.layerNoRoute({
      authenticate: ({ metadata }) => Effect.succeed({ user: `user of ${metadata.name}` })
    })),
    Layer.provide(Layer.succeed(Directory.Directory, directory))
  )
  const context = yield* Scope.provide(Layer.build(layer), scope)
  const links = Context.get(context, NodeLinks.NodeLinks)
  network.add(links)
  return {
    name,
    links,
    fleet: Context.get(context, AllDevices),
    devices: Context.get(context, Devices),
    /** A device that serves routes; gives its own end of the connection. */
    device: <E = never, R = never>(name: string, routes?: Layer.Layer<never, E, R>) =>
      Effect.gen(function*() {
        const client = yield* Layer.build(
          SwaggerSocketTest.layerClient(Devices, { metadata: { name, since: "2026-01-02T03:04:05.000Z" } })
        ).pipe(Effect.provideContext(context))
        const connection: Connection.Connection = yield* Context.get(client, SwaggerSocketClient).connection
        if (routes !== undefined) yield* serveRoutes(connection, routes)
        return connection
      }),
    leave: Scope.close(scope, Exit.void)
  }
})

/** Nodes that know each other. */
export const makeNodes = Effect.fnUntraced(function*(...names: ReadonlyArray<string>) {
  const network = new Network()
  const directory = Context.get(yield* Layer.build(Directory.layerMemory), Directory.Directory)
  const nodes = yield* Effect.forEach(names, (name) => makeNode(name, network, directory))
  return { network, directory, nodes }
})

export const named = (name: string) => ({ metadata }: Device): boolean => metadata.name === name
