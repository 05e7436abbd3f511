/**
 * What a shared worker does with the calls of its tabs: it passes them on to its own connection.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as ApiServer from "../ApiServer.ts"
import * as Relay from "../Relay.ts"
import { SwaggerSocketClient } from "../SwaggerSocketClient.ts"
import type { SwaggerSocketServer } from "../SwaggerSocketServer.ts"

/** Calls are joined to the connection of the client; where there is none yet, a handler waits for one. */
export const layerRelay = <I, M, P>(
  tabs: Context.Service<I, SwaggerSocketServer<M, P>>
): Layer.Layer<never, never, I | SwaggerSocketClient> =>
  Layer.unwrap(Effect.map(SwaggerSocketClient, (client) => {
    // A tab that gives up ends the wait: the call must not begin when there is a connection.
    const waiting = Effect.interruptible(Effect.matchEffect(client.connection, {
      onSuccess: (connection) => Relay.to(connection),
      onFailure: ({ message }) => Effect.succeed(HttpServerResponse.text(`${message}\n`, { status: 503 }))
    }))
    const relays = Relay.layerServer(tabs, () => {
      const status = Effect.runSync(client.status)
      return status._tag === "Connected" ? { connection: status.connection } : undefined
    })
    return Layer.provideMerge(relays, Layer.provide(HttpServer.serve(waiting), ApiServer.layerServer(tabs)))
  }))
