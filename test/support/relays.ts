/**
 * How a hub passes requests on.
 */
import type * as Connection from "effect-swaggersocket/Connection"
import * as Relay from "effect-swaggersocket/Relay"
import type * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { serveRoutes } from "./connections.ts"

/** The hub's route for all requests. */
export const all = (device: Connection.Connection): Layer.Layer<never, never, HttpRouter.HttpRouter> =>
  HttpRouter.add("*", "/*", Relay.to(device))

export type PassOn = (
  near: Connection.Connection,
  device: Connection.Connection
) => Effect.Effect<unknown, unknown, Scope.Scope>

/** How a hub passes all requests of a connection on. */
export const hubs: ReadonlyArray<readonly [name: string, passOn: PassOn]> = [
  ["by a handler", (near, device) => serveRoutes(near, all(device))],
  ["before any handler", (near, device) => Layer.build(Relay.layerConnection(near, () => ({ connection: device })))]
]
