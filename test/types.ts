/**
 * What the types promise. Checked by the type checker alone: each `@ts-expect-error` must be one.
 */
import type * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Connection from "effect-swaggersocket/Connection"
import * as Limits from "effect-swaggersocket/Limits"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import type { SwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Config from "effect/Config"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Socket from "effect/socket/Socket"

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
const same = <A, B>(_: Equal<A, B>): void => {}

class Info extends Schema.Class<Info>("Info")({ name: Schema.String, since: Schema.DateFromString }) {}
interface User {
  readonly user: string
}

class Devices extends SwaggerSocketServer.Service<Devices>()("Devices", { metadata: Info }) {}
class Users extends SwaggerSocketServer.Service<Users, User>()("Users", { metadata: Info }) {}
class Plain extends SwaggerSocketServer.Service<Plain>()("Plain") {}

// A server's layer needs a router and nothing else.
const layer = Devices.layer({ path: "/" })
same<typeof layer, Layer.Layer<Devices, never, HttpRouter.HttpRouter>>(true)

// Metadata and principal have the declared types, everywhere.
export const typed = Effect.gen(function*() {
  const users = yield* Users
  const connection = yield* users.connection("id")
  same<typeof connection, Connection.Connection<Info, User>>(true)
  const plain = yield* (yield* Plain).awaitConnection()
  same<typeof plain.metadata, unknown>(true)
  same<typeof plain.principal, undefined>(true)
})

// A principal needs somebody who says who it is.
// @ts-expect-error `authenticate` is missing
Users.layer({ path: "/" })
Users.layer({ path: "/", authenticate: ({ metadata }) => Effect.succeed({ user: metadata.name }) })
// @ts-expect-error not a User
Users.layer({ path: "/", authenticate: () => Effect.succeed(1) })

// What authentication needs is what the layer needs.
declare const Store: Context.Service<"Store", { readonly find: Effect.Effect<User> }>
const needs = Users.layer({ path: "/", authenticate: () => Effect.flatMap(Store, (store) => store.find) })
same<typeof needs, Layer.Layer<Users, never, HttpRouter.HttpRouter | "Store">>(true)

// A client's metadata has the type of its schema.
SwaggerSocketClient.layer({ url: "ws://x", schema: Info, metadata: new Info({ name: "a", since: new Date(0) }) })
// @ts-expect-error a name is missing
SwaggerSocketClient.layer({ url: "ws://x", schema: Info, metadata: { since: new Date(0) } })
const dialling = SwaggerSocketClient.layer({ url: "ws://x", metadata: { anything: 1 } })
same<
  typeof dialling,
  Layer.Layer<SwaggerSocketClient.SwaggerSocketClient, never, Socket.WebSocketConstructor>
>(true)

// What is run for each attempt may fail, which is a failed attempt.
declare const token: Effect.Effect<string, "expired", "Tokens">
const failing = SwaggerSocketClient.layer({ url: "ws://x", metadata: token })
same<
  typeof failing,
  Layer.Layer<SwaggerSocketClient.SwaggerSocketClient, never, Socket.WebSocketConstructor | "Tokens">
>(true)

// A layer that waits for a connection may wait in vain.
const waiting = SwaggerSocketClient.layer({ url: "ws://x", waitForConnection: "5 seconds" })
same<
  typeof waiting,
  Layer.Layer<SwaggerSocketClient.SwaggerSocketClient, SwaggerSocketError, Socket.WebSocketConstructor>
>(true)

// A schedule sees why the client dials again.
Reconnection.layer({
  schedule: Schedule.while(
    Reconnection.fullJitter(),
    ({ input }: { readonly input: SwaggerSocketError }) => Effect.succeed(input.reason._tag === "LinkError")
  )
})
// @ts-expect-error nobody gives it numbers
Reconnection.layer({ schedule: Schedule.forever.pipe(Schedule.setInputType<number>()) })

// The API roles are Effect's own services.
same<
  typeof ApiServer.layer,
  Layer.Layer<HttpServer.HttpServer | Connection.Connection, never, SwaggerSocketClient.SwaggerSocketClient>
>(true)
same<
  typeof ApiClient.layer,
  Layer.Layer<HttpClient.HttpClient, never, SwaggerSocketClient.SwaggerSocketClient>
>(true)

// A handler that asks for its connection is served where there is one.
const run = (_: Layer.Layer<never, unknown>): void => {}
const Dialled = SwaggerSocketClient.layer({ url: "ws://x" }).pipe(
  Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
)
const WhoAmI = HttpRouter.serve(HttpRouter.add(
  "GET",
  "/",
  Effect.map(Connection.current, ({ id }) => HttpServerResponse.text(id))
))
run(WhoAmI.pipe(Layer.provide(ApiServer.layer), Layer.provide(Dialled)))
run(WhoAmI.pipe(Layer.provide(ApiServer.layerServer(Plain)), Layer.provide(Plain.layerNoRoute({}))))
declare const connection: Connection.Connection
run(WhoAmI.pipe(Layer.provide(ApiServer.layerConnection(connection))))
// @ts-expect-error requests over HTTP come on no connection
run(WhoAmI.pipe(Layer.provide(NodeSwaggerSocket.layerHttpServer({ port: 0 }))))

// So is an app without a router.
const Alone = HttpServer.serve(Effect.map(Connection.current, ({ id }) => HttpServerResponse.text(id)))
run(Alone.pipe(Layer.provide(ApiServer.layerConnection(connection))))
// @ts-expect-error requests over HTTP come on no connection
run(Alone.pipe(Layer.provide(NodeSwaggerSocket.layerHttpServer({ port: 0 }))))

// A program that handles no request has no connection.
const asking = Effect.asVoid(Connection.current)
same<typeof asking, Effect.Effect<void, never, Connection.Connection>>(true)
// @ts-expect-error nobody is calling
Effect.runSync(asking)
Effect.runSync(Connection.currentOption)

// With the types of a server it is served on the connections of that server alone.
const named = (_: Info) => HttpServerResponse.empty()
const Typed = HttpRouter.serve(HttpRouter.add(
  "GET",
  "/",
  Effect.map(Devices.current, ({ metadata }) => named(metadata))
))
run(Typed.pipe(Layer.provide(ApiServer.layerServer(Devices)), Layer.provide(Devices.layerNoRoute({}))))
// @ts-expect-error connections of another server
run(Typed.pipe(Layer.provide(ApiServer.layerServer(Plain)), Layer.provide(Plain.layerNoRoute({}))))
// @ts-expect-error a client's own connection
run(Typed.pipe(Layer.provide(ApiServer.layer), Layer.provide(Dialled)))
// @ts-expect-error requests over HTTP come on no connection
run(Typed.pipe(Layer.provide(NodeSwaggerSocket.layerHttpServer({ port: 0 }))))

// Options from the configuration: each is a Config, and a missing one fails the layer.
const configured = SwaggerSocketClient.layerConfig({
  url: Config.String("URL"),
  schema: Config.succeed(Info),
  metadata: Config.map(Config.String("NAME"), (name) => new Info({ name, since: new Date(0) })),
  limits: { maxConcurrentStreams: Config.Int("STREAMS") }
})
same<
  typeof configured,
  Layer.Layer<SwaggerSocketClient.SwaggerSocketClient, Config.ConfigError, Socket.WebSocketConstructor>
>(true)
const waitingForConfigured = SwaggerSocketClient.layerConfig({
  url: Config.String("URL"),
  waitForConnection: Config.succeed(true)
})
same<
  typeof waitingForConfigured,
  Layer.Layer<
    SwaggerSocketClient.SwaggerSocketClient,
    Config.ConfigError | SwaggerSocketError,
    Socket.WebSocketConstructor
  >
>(true)
// @ts-expect-error a port is a number
NodeSwaggerSocket.layerHttpServerConfig({ port: Config.String("PORT") })
// @ts-expect-error there is no such limit
Limits.layerConfig({ maxEverything: Config.Int("MAX") })
