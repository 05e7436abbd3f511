/**
 * What browsers add: their own WebSocket, for clients, events that tell when a page is back, and what a service worker does for its
 * pages.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Socket from "effect/socket/Socket"
import { SwaggerSocketClient } from "../SwaggerSocketClient.ts"
import { follow, type Page } from "./pageLifecycle.ts"

export { serviceWorker } from "./serviceWorker.ts"
export type { InstalledServiceWorker, ServiceWorkerOptions } from "./serviceWorker.ts"

/**
 * The WebSocket of the platform. It can't send header fields: authenticate by metadata.
 *
 * **Example** (A page)
 *
 * ```ts
 * import * as BrowserSwaggerSocket from "effect-swaggersocket/browser"
 * import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
 * import * as Layer from "effect/Layer"
 *
 * export const Page = SwaggerSocketClient.layer({ url: "wss://hub.example.com/socket" }).pipe(
 *   Layer.provide(BrowserSwaggerSocket.layerWebSocketConstructor)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWebSocketConstructor: Layer.Layer<Socket.WebSocketConstructor> =
  Socket.layerWebSocketConstructorGlobal

/**
 * Lets the client follow the life of its page: it comes back as soon as the page does, instead of after its next delay or a
 * heartbeat that is missed.
 *
 * **When to use**
 *
 * In every page with a `SwaggerSocketClient`. `effect-swaggersocket/promise` has it by itself. In a worker it follows the
 * network alone, as there are no other events.
 *
 * **Details**
 *
 * - The page is back when it is online again, shown again (`visibilitychange`), thawed (`resume`), or restored from the
 *   back-forward cache (`pageshow`). A client that waits for its next attempt then dials at once. One that has a connection
 *   pings, and dials where nothing has come back within 3 seconds; that holds for connections that can be resumed.
 * - However many events come, it dials or pings at most once a second.
 * - A page that is put into the back-forward cache gives up its link first, so that the server keeps its session. When it is
 *   restored within `Limits.resumeWindow`, its calls and streams go on.
 * - A client that has stopped dialling stays stopped.
 *
 * **Example** (A page)
 *
 * ```ts
 * import * as BrowserSwaggerSocket from "effect-swaggersocket/browser"
 * import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
 * import * as Layer from "effect/Layer"
 *
 * export const Page = BrowserSwaggerSocket.layerPageLifecycle.pipe(
 *   Layer.provideMerge(SwaggerSocketClient.layer({ url: "wss://hub.example.com/socket" })),
 *   Layer.provide(BrowserSwaggerSocket.layerWebSocketConstructor)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerPageLifecycle: Layer.Layer<never, never, SwaggerSocketClient> = Layer.effectDiscard(
  Effect.flatMap(
    SwaggerSocketClient,
    (client) => Effect.forkScoped(follow(client, globalThis as unknown as Page))
  )
)
