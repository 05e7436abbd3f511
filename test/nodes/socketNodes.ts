/**
 * Nodes with ports on loopback: one for devices, and one for the other nodes.
 */
import * as Directory from "effect-swaggersocket/Directory"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as NodeLinks from "effect-swaggersocket/NodeLinks"
import { SwaggerSocketClient } from "effect-swaggersocket/SwaggerSocketClient"
import * as Client from "effect-swaggersocket/SwaggerSocketClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Scope from "effect/Scope"
import { serveRoutes } from "../support/connections.ts"
import { AllDevices, Devices, secret } from "./fleets.ts"

const quiet = { disableLogger: true, disableListenLog: true }

const webSocketUrl = Effect.map(
  HttpServer.HttpServer,
  ({ address }) => NetAddress.formatUrlUnsafe(address).replace("http", "ws")
)

const listen = Layer.fresh(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" }))

/** How long a link that is lost may be resumed. Shorter than by default: some tests wait until it is over. */
const limits = { resumeWindow: "500 millis" } as const

/** One node on loopback. `directory`: by the URL for other nodes. */
export const makeSocketNode = Effect.fnUntraced(function*(
  name: string,
  directory: (url: string) => Layer.Layer<Directory.Directory>
) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const links = HttpRouter.serve(
    Layer.unwrap(
      Effect.map(
        webSocketUrl,
        (url) =>
          NodeLinks.layer({ name, url: `${url}/nodes`, path: "/nodes", secret, limits }).pipe(
            Layer.provide(directory(`${url}/nodes`))
          )
      )
    ),
    quiet
  ).pipe(
    Layer.provide(listen),
    Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
  )
  const devices = HttpRouter.serve(
    Devices.layer({
      path: "/socket",
      authenticate: ({ metadata }) => Effect.succeed({ user: `user of ${metadata.name}` }),
      quotas: { server: { callDelay: Infinity } }
    }),
    quiet
  ).pipe(Layer.provideMerge(listen))
  const context = yield* Scope.provide(
    Layer.build(
      AllDevices.layer.pipe(Layer.provideMerge(Layer.fresh(links)), Layer.provideMerge(Layer.fresh(devices)))
    ),
    scope
  )
  const url = `${yield* Effect.provideContext(webSocketUrl, context)}/socket`
  return {
    name,
    url,
    links: Context.get(context, NodeLinks.NodeLinks),
    fleet: Context.get(context, AllDevices),
    devices: Context.get(context, Devices),
    device: <E = never, R = never>(name: string, routes?: Layer.Layer<never, E, R>) => connectDevice(url, name, routes),
    leave: Scope.close(scope, Exit.void)
  }
})

/** A device that serves routes; gives its own end of the connection. When a test ends, it waits for nothing. */
export const connectDevice = Effect.fnUntraced(function*<E = never, R = never>(
  url: string,
  name: string,
  routes?: Layer.Layer<never, E, R>
) {
  const client = yield* Layer.build(
    Client.layer({
      url,
      metadata: { name, since: "2026-01-02T03:04:05.000Z" },
      limits: { drainTimeout: "1 millis", closeTimeout: "100 millis" }
    }).pipe(
      Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
    )
  )
  const connection = yield* Context.get(client, SwaggerSocketClient).connection
  if (routes !== undefined) yield* serveRoutes(connection, routes)
  return connection
})

/** Nodes on loopback that know each other. */
export const makeSocketNodes = Effect.fnUntraced(function*(...names: ReadonlyArray<string>) {
  const directory = Context.get(yield* Layer.build(Layer.fresh(Directory.layerMemory)), Directory.Directory)
  return yield* Effect.forEach(
    names,
    (name) => makeSocketNode(name, () => Layer.succeed(Directory.Directory, directory))
  )
})
