/**
 * Who is connected, and what happens: the registry and the events of a server, and the same from a client's side.
 *
 *     npx tsx examples/events-and-registry.ts
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import type * as ConnectionEvent from "effect-swaggersocket/ConnectionEvent"
import * as Heartbeat from "effect-swaggersocket/Heartbeat"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

class Station extends Schema.Class<Station>("Station")({ name: Schema.String, site: Schema.String }) {}

class Stations extends SwaggerSocketServer.Service<Stations>()("Stations", { metadata: Station }) {}

const Hub = HttpRouter.serve(Stations.layer({ path: "/socket" }), { disableLogger: true, disableListenLog: true }).pipe(
  Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" })),
  // Parts of the protocol are replaced by services below the server or the client that is to use them.
  Layer.provide(Heartbeat.layer({ interval: "10 seconds", timeout: "5 seconds" }))
)

const describe = (event: ConnectionEvent.ConnectionEvent<Station>): string => {
  switch (event._tag) {
    case "ConnectionReceived":
      return `+ ${event.metadata.name} (${event.metadata.site})`
    case "ConnectionInterrupted":
      return `~ ${event.metadata.name}: lost its link, and waits for another`
    case "ConnectionResumed":
      return `= ${event.metadata.name}: goes on after ${Math.round(event.gapMillis)} ms`
    case "ConnectionClosed":
      return `- ${event.metadata.name}: closed by the ${event.initiator} end, ${event.code} "${event.reason}"`
    case "ConnectionFailure":
      return `! ${event.metadata.name}: ${event.error.message}`
    case "ConnectionAttemptFailed":
      return `? a client was turned away: ${event.error.message}`
    case "QuotaExceeded":
      return `! ${event.count} times refused: ${event.quota} of ${event.address ?? `a ${event.holder}`}`
    case "EventsDropped":
      return `… ${event.count} events came too fast`
  }
}

/** A station that is connected until its scope closes. */
const connect = Effect.fnUntraced(function*(name: string, site: string) {
  const url = yield* HttpServer.addressFormattedWith((http) => Effect.succeed(`${http.replace("http", "ws")}/socket`))
  return yield* SwaggerSocketClient.make({ url, schema: Station, metadata: new Station({ name, site }) })
})

const scenario = Effect.gen(function*() {
  const stations = yield* Stations
  const client = yield* connect("buoy-1", "north")
  const buoy1 = yield* stations.awaitConnection(({ metadata }) => metadata.name === "buoy-1")
  // How the client sees it: its status now, and after each change.
  yield* Effect.forkScoped(Stream.runForEach(client.changes, (status) => Console.log(`    buoy-1 is ${status._tag}`)))

  yield* Effect.scoped(Effect.gen(function*() {
    yield* connect("buoy-2", "south")
    yield* stations.awaitConnection(({ metadata }) => metadata.name === "buoy-2")
    const inTheNorth = yield* stations.filter(({ metadata }) => metadata.site === "north")
    yield* Console.log(`  ${(yield* stations.connections).length} connected, ${inTheNorth.length} of them in the north`)
  }))

  yield* buoy1.close({ code: 4321, reason: "please come again" })
  yield* stations.awaitConnection(({ id, metadata }) => metadata.name === "buoy-1" && id !== buoy1.id)
})

const program = Effect.gen(function*() {
  const { events } = yield* Stations
  yield* Effect.forkScoped(scenario)
  // A subscriber may come at any time: it is told first who is connected.
  yield* events.pipe(Stream.take(5), Stream.runForEach((event) => Console.log(describe(event))))
})

program.pipe(
  Effect.scoped,
  Effect.provide([Hub, NodeSwaggerSocket.layerWebSocketConstructor]),
  NodeRuntime.runMain
)
