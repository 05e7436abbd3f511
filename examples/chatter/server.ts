/**
 * The chatter service on a port: HTTP, a WebSocket for each streaming call, and SwaggerSocket connections at `/socket`.
 */
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiScalar from "effect/http-api/HttpApiScalar"
import * as HttpApiSwagger from "effect/http-api/HttpApiSwagger"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import { Chatter } from "./api.ts"
import { ChatterLive } from "./service.ts"

/** Clients that keep one connection for all their calls. */
export class Peers extends SwaggerSocketServer.Service<Peers>()("chatter/Peers") {}

const Api = HttpApiBuilder.layer(Chatter, { openapiPath: "/openapi.json" }).pipe(Layer.provide(ChatterLive))

const Docs = Layer.mergeAll(
  HttpApiSwagger.layer(Chatter, { path: "/docs" }),
  HttpApiScalar.layer(Chatter, { path: "/scalar" })
)

const quiet = { disableListenLog: true }

/**
 * Calls end when the service does: some of them never do by themselves. Goa's clients don't answer a close frame while they
 * wait for their user.
 */
const limits = { drainTimeout: 0, closeTimeout: "1 second" } as const

/** Wants a store. */
export const layer = (options: Omit<NodeSwaggerSocket.ServerOptions, "limits">) =>
  HttpRouter.serve(Api, quiet).pipe(
    Layer.provide(ApiServer.layerServer(Peers)),
    Layer.provideMerge(HttpRouter.serve(Layer.mergeAll(Api, Docs, Peers.layer({ path: "/socket", limits })), quiet)),
    Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ ...options, limits }))
  )
