/**
 * The way in without Effect: connections whose two ends have a `fetch` for the other one's API and serve handlers of the web.
 * This is the entry for Node; pages get `connect` alone, under the same name.
 *
 * @since 0.1.0
 */
import * as NodeSwaggerSocket from "../node/index.ts"
import { makeConnect } from "./connect.ts"
import * as created from "./createHub.ts"
import * as hub from "./listen.ts"
import type { Connect, CreateHub, Listen } from "./model.ts"

export { Refusal } from "../internal/handshake/model.ts"
export { failureOf, outcomeOf } from "../SwaggerSocketError.ts"
export type {
  Client,
  ClientEvents,
  CloseConnectionOptions,
  CloseOptions,
  Connect,
  ConnectOptions,
  CreatedHub,
  CreateHub,
  Handler,
  Hub,
  HubConnection,
  HubConnectionEvents,
  HubEvents,
  HubOptions,
  Listen,
  ListenerOptions,
  Listening,
  ListenOptions,
  Newcomer,
  NodeServer,
  PerAttempt
} from "./model.ts"

/**
 * Dials a server, and stays connected until the client is closed. Resolves when there is a connection.
 *
 * **Details**
 *
 * Rejects with a `TypeError` for a URL that is none, with a `RangeError` for limits that are out of range, with the reason of a
 * signal that is aborted, and with a `SwaggerSocketError` when the client has stopped to dial, or `timeout` is over. Until then it
 * dials again, and the log says why it can't connect and what to check.
 *
 * **Example** (A device)
 *
 * ```ts
 * import { connect } from "effect-swaggersocket/promise"
 *
 * const { closed, fetch, serve } = await connect("ws://localhost:3000", { metadata: { name: "pump 7" } })
 *
 * serve((request) => new Response(`${request.method} ${new URL(request.url).pathname}`))
 *
 * const time = await fetch("/time", { signal: AbortSignal.timeout(5000) })
 * console.log(await time.text())
 *
 * console.log(await closed)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const connect: Connect = makeConnect(NodeSwaggerSocket.layerWebSocketConstructor)

/**
 * Accepts connections on a port of this machine, until the hub is closed. Resolves when it listens.
 *
 * **Details**
 *
 * Rejects with Node's own error when it can't listen (`EADDRINUSE`, `EACCES`), with a `RangeError` or `TypeError` for options that
 * are none, and with the reason of a signal that is aborted.
 *
 * **Example** (A hub that asks each device)
 *
 * ```ts
 * import { listen } from "effect-swaggersocket/promise"
 *
 * const hub = await listen({ port: 3000 })
 *
 * hub.serve(() => new Response(new Date().toISOString()))
 *
 * hub.on("connection", async ({ fetch, metadata }) => {
 *   const temperature = await fetch("/temperature")
 *   console.log(metadata, await temperature.text())
 * })
 *
 * console.log(`devices dial ${hub.url}`)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const listen: Listen = hub.listen

/**
 * Makes a hub that listens nowhere by itself: `acceptHub` of `effect-swaggersocket/bun`, `/deno`, `/workers` or `/hono` gives it the
 * upgrade requests of their servers.
 *
 * **Details**
 *
 * Rejects with a `RangeError` or `TypeError` for options that are none, and with the reason of a signal that is aborted.
 *
 * **Example** (A hub on Deno)
 *
 * ```ts
 * import { acceptHub } from "effect-swaggersocket/deno"
 * import { createHub } from "effect-swaggersocket/promise"
 *
 * const hub = await createHub()
 *
 * hub.on("connection", async ({ fetch, metadata }) => {
 *   const temperature = await fetch("/temperature")
 *   console.log(metadata, await temperature.text())
 * })
 *
 * Deno.serve({ port: 3000 }, acceptHub(hub))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const createHub: CreateHub = created.createHub
