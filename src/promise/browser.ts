/**
 * The way in without Effect, for pages: the same names as in `index.ts`, which is for Node.
 *
 * @since 0.1.0
 */
import * as BrowserSwaggerSocket from "../browser/index.ts"
import { makeConnect } from "./connect.ts"
import type { Connect, CreateHub, Listen } from "./model.ts"

export { Refusal } from "../internal/handshake/model.ts"
export { failureOf, outcomeOf } from "../SwaggerSocketError.ts"

/** As on Node, with the WebSocket of the page, whose life the client follows. */
export const connect: Connect = makeConnect(
  BrowserSwaggerSocket.layerWebSocketConstructor,
  BrowserSwaggerSocket.layerPageLifecycle
)

/** Pages can't accept connections. */
export const listen: Listen = () =>
  Promise.reject(new TypeError("listen: needs Node; a page can't accept connections, but connects and serves"))

/** Nor can a hub in a page be given any. */
export const createHub: CreateHub = () => listen()
