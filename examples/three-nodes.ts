/**
 * Three nodes of one hub, in one process but joined as three processes are: over loopback. Each of six devices is connected to one of
 * them, and each node calls all devices. Then a node leaves, and its devices go to the others.
 *
 *     npx tsx examples/three-nodes.ts
 *     npx tsx examples/three-nodes.ts --nats 127.0.0.1:4222
 *
 * By default they find each other in memory. With `--nats` a server of NATS says which nodes there are (`nats-server -js`), and the nodes
 * could be three processes, or three hosts.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Directory from "effect-swaggersocket/Directory"
import * as Fleet from "effect-swaggersocket/Fleet"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as NodeLinks from "effect-swaggersocket/NodeLinks"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

const quiet = { disableLogger: true, disableListenLog: true }

const Info = Schema.Struct({ name: Schema.String })

class Devices extends SwaggerSocketServer.Service<Devices>()("Devices", { metadata: Info }) {}

/** The devices of all nodes. */
class AllDevices extends Fleet.Service<AllDevices>()("AllDevices", Devices, { metadata: Info }) {}

const port = Layer.fresh(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" }))

const webSocketUrl = Effect.map(
  HttpServer.HttpServer,
  ({ address }) => NetAddress.formatUrlUnsafe(address).replace("http", "ws")
)

const nats = process.argv.includes("--nats") ? process.argv[process.argv.indexOf("--nats") + 1] : undefined

const Nodes = nats === undefined
  ? Directory.layerMemory
  : Layer.unwrap(Effect.map(
    Effect.promise(() => import("effect-swaggersocket/nats")),
    (Nats) => Nats.layerDirectory({ connection: { servers: nats } })
  ))

// 1. A node: one port for devices, one for the other nodes, and the fleet over both.

const DevicesServer = HttpRouter.serve(Devices.layer({ path: "/socket" }), quiet).pipe(Layer.provideMerge(port))

const links = (name: string) =>
  HttpRouter.serve(
    Layer.unwrap(Effect.map(webSocketUrl, (url) =>
      NodeLinks.layer({
        name,
        url: `${url}/nodes`,
        path: "/nodes",
        secret: Redacted.make("the same on all nodes, and from their configuration")
      }))),
    quiet
  ).pipe(Layer.provide(port), Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor))

const startNode = (name: string, directory: Context.Context<Directory.Directory>) =>
  Effect.gen(function*() {
    const scope = yield* Scope.fork(yield* Effect.scope)
    const node = AllDevices.layer.pipe(
      Layer.provideMerge(Layer.fresh(links(name))),
      Layer.provideMerge(Layer.fresh(DevicesServer))
    )
    const context = yield* Layer.build(node).pipe(Scope.provide(scope), Effect.provideContext(directory))
    return {
      name,
      url: `${yield* Effect.provideContext(webSocketUrl, context)}/socket`,
      devices: Context.get(context, AllDevices),
      leave: Scope.close(scope, Exit.void)
    }
  })

type Node = Effect.Success<ReturnType<typeof startNode>>

// 2. A device serves its API to whichever node it reaches. The list of URLs stands for a balancer.

let urls: ReadonlyArray<string> = []
let dials = 0

const startDevice = (name: string) =>
  Layer.build(
    HttpRouter.serve(HttpRouter.add("GET", "/name", HttpServerResponse.text(name)), quiet).pipe(
      Layer.provide(ApiServer.layer),
      Layer.provide(
        SwaggerSocketClient.layer({ url: Effect.sync(() => urls[dials++ % urls.length]!), metadata: { name } })
      ),
      Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
    )
  )

// 3. Any node calls all devices.

const names = ["pump", "valve", "lamp", "door", "gate", "fan"]

const ask = ({ devices, name }: Node) =>
  Effect.gen(function*() {
    for (const name of names) yield* devices.awaitConnection(({ metadata }) => metadata.name === name)
    const answers = yield* devices.callAll(() => true, HttpClientRequest.get("/name")).pipe(
      Stream.mapEffect((result) =>
        result._tag === "Answered"
          ? Effect.map(result.response.text, (text) => `${text} (${result.connection.node.name})`)
          : Effect.succeed(`${result.connection.metadata.name}: ${result.outcome}`)
      ),
      Stream.runCollect
    )
    yield* Console.log(`node ${name} asks: ${[...answers].sort().join(", ")}`)
  })

const program = Effect.gen(function*() {
  const directory = yield* Layer.build(Nodes)
  const nodes = yield* Effect.forEach(["a", "b", "c"], (name) => startNode(name, directory))
  const [a, b, c] = nodes as [Node, Node, Node]
  urls = nodes.map(({ url }) => url)
  yield* Effect.forEach(names, startDevice)
  yield* Effect.forEach(nodes, ask)

  yield* Console.log("node c leaves")
  urls = [a.url, b.url]
  yield* c.leave
  yield* Effect.forEach([a, b], ask)

  // A call by name, wherever the device is by now
  const fan = yield* a.devices.awaitConnection(({ metadata }) => metadata.name === "fan")
  const response = yield* ApiClient.make(fan).get("/name")
  yield* Console.log(`node a calls the ${yield* response.text}`)
})

NodeRuntime.runMain(Effect.scoped(program))
