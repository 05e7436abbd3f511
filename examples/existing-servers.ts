/**
 * Programs that have a server already: a hub beside an app of `node:http`, a device whose API is a handler for Node (one of
 * Express would do as well), and a device with a web server of its own, which knows nothing of sockets.
 *
 *     npx tsx examples/existing-servers.ts
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"

/** A server on a free port, until the program ends. */
const listen = (handler: Http.RequestListener) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly server: Http.Server; readonly host: string }>((resume) => {
      const server = Http.createServer(handler).listen(0, "127.0.0.1", () => {
        resume(Effect.succeed({ server, host: `127.0.0.1:${(server.address() as AddressInfo).port}` }))
      })
    }),
    ({ server }) => Effect.sync(() => server.close())
  )

// 1. The hub. Its app goes on as before, and the socket is beside it.

class Devices extends SwaggerSocketServer.Service<Devices>()("Devices", {
  metadata: Schema.Struct({ name: Schema.String })
}) {}

const site: Http.RequestListener = (request, response) => void response.end(`the site answers ${request.url}`)

// 2. Two devices: what each serves is given to it.

const device = (name: string, url: string, served: Layer.Layer<never, never, HttpServer.HttpServer>) =>
  Layer.build(
    served.pipe(
      Layer.provide(ApiServer.layer),
      Layer.provide(SwaggerSocketClient.layer({ url, metadata: { name } })),
      Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
    )
  )

const lamp: Http.RequestListener = (request, response) => {
  if (request.method === "POST") request.pipe(response)
  else response.writeHead(200, { "content-type": "text/plain" }).end("the lamp is on")
}

const camera: Http.RequestListener = (request, response) => void response.end(`the camera shows ${request.url}`)

const program = Effect.gen(function*() {
  const hub = yield* listen(site)
  yield* NodeSwaggerSocket.attach(hub.server, Devices, { path: "/socket" })
  const web = yield* listen(camera)
  yield* device("lamp", `ws://${hub.host}/socket`, NodeSwaggerSocket.layerNode(lamp))
  yield* device("camera", `ws://${hub.host}/socket`, NodeSwaggerSocket.layerProxy(`http://${web.host}`))

  const page = yield* Effect.promise(() => fetch(`http://${hub.host}/welcome`))
  yield* Console.log(yield* Effect.promise(() => page.text()))

  const devices = yield* Devices
  const call = (name: string) =>
    Effect.map(devices.awaitConnection(({ metadata }) => metadata.name === name), (found) => ApiClient.make(found))
  yield* Console.log(yield* (yield* (yield* call("lamp")).get("/")).text)
  yield* Console.log(yield* (yield* (yield* call("camera")).get("/garden?size=small")).text)
})

program.pipe(Effect.scoped, Effect.provide(Devices.layerNoRoute({})), NodeRuntime.runMain)
