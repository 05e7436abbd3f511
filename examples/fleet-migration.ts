/**
 * A fleet of devices moves from wire v1, that of Go's swaggersocket, to v2, one device at a time. The hub speaks both on one
 * path and reads all of them meanwhile, with the same code.
 *
 *     npx tsx examples/fleet-migration.ts
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type * as Connection from "effect-swaggersocket/Connection"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as WS from "ws"

const quiet = { disableLogger: true, disableListenLog: true }
const names = ["pump-1", "pump-2", "pump-3"]

// 1. The hub accepts both wires, which is the default. `wires: ["v2"]` ends the migration.

class Pumps extends SwaggerSocketServer.Service<Pumps>()("Pumps", {
  metadata: Schema.Struct({ name: Schema.String })
}) {}

type Pump = Connection.Connection<{ readonly name: string }, undefined>

const Hub = HttpRouter.serve(Pumps.layer({ path: "/socket" }), quiet).pipe(
  Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" }))
)

const pressure = (pump: Pump) => Effect.flatMap(ApiClient.make(pump).get("/pressure"), ({ text }) => text)

// 2. A device as the old firmware is: HTTP/1.1 text in WebSocket messages. Here it stands for a program in Go.

const oldFirmware = (url: string, name: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const ws = new WS.WebSocket(url)
      ws.once("open", () => ws.send(`{"Type":"ClientHandshakeMetaData","Meta":{"name":"${name}"}}\n`))
      ws.once("message", () => {
        ws.send("{\"Type\":\"ClientHandshakeAckFrame\"}\n")
        ws.on("message", (request) => {
          const [, id] = /^X-Correlation-Id: (.*)$/m.exec((request as Buffer).toString())!
          ws.send(`HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Correlation-Id: ${id!.trim()}\r\n\r\n4.2`)
        })
      })
      return ws
    }),
    (ws) => Effect.sync(() => ws.close())
  )

// 3. A device with the new firmware. Were the hub still the old one, it would fall back to v1 by itself.

const newFirmware = (url: string, name: string) =>
  Layer.build(
    HttpRouter.serve(HttpRouter.add("GET", "/pressure", HttpServerResponse.text("4.2")), quiet).pipe(
      Layer.provide(ApiServer.layer),
      Layer.provide(SwaggerSocketClient.layer({ url, metadata: { name } })),
      Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
    )
  )

// 4. The migration, while the hub goes on reading.

const program = Effect.gen(function*() {
  const pumps = yield* Pumps
  const { address } = yield* HttpServer.HttpServer
  const url = `${NetAddress.formatUrlUnsafe(address).replace("http", "ws")}/socket`
  let readings = 0

  const readAll = Effect.gen(function*() {
    const all = yield* pumps.connections
    yield* Effect.forEach(all, pressure, { concurrency: "unbounded" })
    readings += all.length
    const on = (wire: "v1" | "v2") => all.filter((pump) => pump.wire === wire).length
    yield* Console.log(`${all.length} pumps read: ${on("v1")} on v1, ${on("v2")} on v2`)
  })

  const devices = yield* Effect.forEach(names, (name) =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      yield* Scope.provide(oldFirmware(url, name), scope)
      const { closed } = yield* pumps.awaitConnection(({ metadata }) => metadata.name === name)
      return { name, scope, closed }
    }))
  yield* readAll

  for (const { closed, name, scope } of devices) {
    yield* Scope.close(scope, Exit.void)
    yield* closed
    yield* newFirmware(url, name)
    const pump = yield* pumps.awaitConnection(({ metadata }) => metadata.name === name)
    yield* Console.log(`${pump.metadata.name} has been updated and speaks ${pump.wire}`)
    yield* readAll
  }
  yield* Console.log(`${readings} readings, none failed`)
})

NodeRuntime.runMain(program.pipe(Effect.provide(Hub), Effect.scoped))
