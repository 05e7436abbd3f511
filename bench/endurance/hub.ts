/**
 * A hub that calls each of its devices in turn, as fast as it is told, and serves them the same API.
 */
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type * as Connection from "effect-swaggersocket/Connection"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as Quotas from "effect-swaggersocket/Quotas"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { main, type Program, type Tools } from "./child.ts"
import type { HubRole } from "./messages.ts"
import { makeRoutes, quiet } from "./routes.ts"

const Device = Schema.Struct({ name: Schema.String, kind: Schema.Literals(["cut", "churned", "killed"]) })

class Hub extends SwaggerSocketServer.Service<Hub>()("Hub", { metadata: Device }) {}

type Devices = ReadonlyArray<Connection.Connection<typeof Device.Type>>

/** The list of devices is made anew this often. */
const refreshMillis = 1000

/** Calls the next devices that have no call open. */
const callNext = (caller: Tools["caller"], devices: () => Devices, steadyHub: boolean) => {
  const busy = new Set<string>()
  let next = 0
  return (times: number): void => {
    const all = devices()
    for (let index = 0; index < times && busy.size < all.length; index++) {
      let device = all[next++ % all.length]!
      while (busy.has(device.id)) device = all[next++ % all.length]!
      const { id } = device
      busy.add(id)
      const isSteady = steadyHub && device.metadata.kind === "cut"
      Effect.runFork(Effect.map(caller.call(ApiClient.make(device), isSteady), (what) => {
        // One that has left stays in the list for a moment, and fails each call at once.
        if (what === "completed") busy.delete(id)
        else setTimeout(() => busy.delete(id), 2 * refreshMillis)
      }))
    }
  }
}

const layer = (port: number, tools: Tools) =>
  HttpRouter.serve(makeRoutes(tools.executions), quiet).pipe(
    Layer.provide(ApiServer.layerServer(Hub)),
    Layer.provideMerge(
      HttpRouter.serve(
        Hub.layer({
          path: "/socket",
          identity: ({ metadata }) => metadata.name,
          // As behind a proxy: on loopback all devices would count as one address.
          addressOf: Quotas.forwardedAddress()
        }),
        quiet
      )
    ),
    Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port, host: "127.0.0.1" }))
  )

main(Effect.fnUntraced(function*({ port, steadyHub }: HubRole, tools: Tools) {
  const context = yield* Layer.build(layer(port, tools))
  const hub = Context.get(context, Hub)
  const counts: Record<string, number> = {}
  yield* Effect.forkScoped(Stream.runForEach(hub.events, ({ _tag }) =>
    Effect.sync(() => {
      counts[_tag] = (counts[_tag] ?? 0) + 1
    })))
  let devices: Devices = []
  yield* Effect.forkScoped(Effect.forever(Effect.gen(function*() {
    devices = yield* hub.connections
    yield* Effect.sleep(refreshMillis)
  })))
  const { address } = Context.get(context, HttpServer.HttpServer)
  return {
    url: `${NetAddress.formatUrlUnsafe(address).replace("http", "ws")}/socket`,
    act: callNext(tools.caller, () => devices, steadyHub),
    connections: () => devices.length,
    counts
  } satisfies Program
}))
