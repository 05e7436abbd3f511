/**
 * The way in without Effect, for Bun, Deno and Workers: the same names as in `index.ts`, which is for Node.
 *
 * @since 0.1.0
 */
import * as BunSwaggerSocket from "../runtimes/bun.ts"
import * as WorkersSwaggerSocket from "../runtimes/workers.ts"
import { makeConnect } from "./connect.ts"
import * as created from "./createHub.ts"
import type { Connect, CreateHub, Listen } from "./model.ts"

export { Refusal } from "../internal/handshake/model.ts"
export { failureOf, outcomeOf } from "../SwaggerSocketError.ts"

/** As on Node, with the WebSocket of the runtime: that of Workers sends no header fields, those of Bun and Deno do. */
export const connect: Connect = makeConnect(
  "WebSocketPair" in globalThis
    ? WorkersSwaggerSocket.layerWebSocketConstructor
    : BunSwaggerSocket.layerWebSocketConstructor
)

/** The servers of these runtimes are given a handler: `acceptHub` makes one of a hub. */
export const listen: Listen = () =>
  Promise.reject(
    new TypeError(
      "listen: needs Node; here give a hub of createHub to acceptHub of effect-swaggersocket/bun, /deno or /workers"
    )
  )

/** As on Node. */
export const createHub: CreateHub = created.createHub
