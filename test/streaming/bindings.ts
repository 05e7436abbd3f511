/**
 * All that carries streaming endpoints: a WebSocket for each call, and connections with the API on either end.
 */
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as StreamingClient from "effect-swaggersocket/StreamingClient"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import type * as HttpApi from "effect/http-api/HttpApi"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import type * as Scope from "effect/Scope"
import { type Ends, join } from "../support/connections.ts"
import { type serve, Weather } from "./weather.ts"

export type Client = typeof Weather extends HttpApi.HttpApi<string, infer Groups> ? StreamingClient.Client<Groups>
  : never

export type App = ReturnType<typeof serve>

export interface Binding {
  readonly name: string
  /** Serves the API, and gives a client of it. */
  readonly start: (app: App, changeClient?: ChangeClient) => Effect.Effect<Client, never, Scope.Scope>
}

type ClientOptions = Omit<Parameters<typeof StreamingClient.makeWebSocket>[1], "baseUrl">

export interface WebSocketServer {
  readonly url: string
  readonly client: (options?: ClientOptions) => Effect.Effect<Client>
}

/** A server on a port of its own, and clients with a WebSocket for each call. */
export const listen = (
  app: App,
  changeClient: ChangeClient = identity
): Effect.Effect<WebSocketServer, never, Scope.Scope> =>
  Effect.gen(function*() {
    const context = yield* Layer.build(Layer.merge(
      app.pipe(Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" }))),
      Layer.merge(FetchHttpClient.layer, NodeSwaggerSocket.layerWebSocketConstructor)
    ))
    const url = NetAddress.formatUrlUnsafe(Context.get(context, HttpServer.HttpServer).address)
    return {
      url,
      client: (options?: ClientOptions) =>
        StreamingClient.makeWebSocket(Weather, { baseUrl: url, ...options }).pipe(
          Effect.updateService(HttpClient.HttpClient, changeClient),
          Effect.provideContext(context)
        )
    }
  }).pipe(Effect.orDie)

type ChangeClient = (client: HttpClient.HttpClient) => HttpClient.HttpClient

/** Serves the API on one end of a connection, and gives a client on the other. */
export const startOn = (
  ends: Ends,
  serving: "client" | "server",
  app: App,
  changeClient: ChangeClient = identity
): Effect.Effect<Client, never, Scope.Scope> =>
  Effect.gen(function*() {
    yield* Layer.build(Layer.provide(app, [ApiServer.layerConnection(ends[serving]), HttpServer.layerServices]))
    const calling = serving === "server" ? ends.client : ends.server
    return yield* Effect.provideService(
      StreamingClient.make(Weather),
      HttpClient.HttpClient,
      changeClient(ApiClient.make(calling))
    )
  }).pipe(Effect.orDie)

const connection = (
  name: string,
  serving: "client" | "server",
  ends: Effect.Effect<Ends, unknown, Scope.Scope>
): Binding => ({
  name: `a connection, ${name}`,
  start: (app, changeClient) => Effect.flatMap(Effect.orDie(ends), (ends) => startOn(ends, serving, app, changeClient))
})

const webSocket: Binding = {
  name: "a WebSocket for each call",
  start: (app, changeClient) => Effect.flatMap(listen(app, changeClient), ({ client }) => client())
}

export const bindings: ReadonlyArray<Binding> = [
  webSocket,
  connection("API on the server", "server", join()),
  connection("API on the client", "client", join()),
  connection("in memory", "server", SwaggerSocketTest.makePair())
]
