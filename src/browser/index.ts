/**
 * What browsers add: their own WebSocket, for clients, events that tell when a page is back, and what shared workers and service
 * workers do for their pages.
 *
 * @since 0.1.0
 */
import * as Layer from "effect/Layer"
import * as Socket from "effect/socket/Socket"
import type { SwaggerSocketClient } from "../SwaggerSocketClient.ts"
import { layerPageLifecycle, type Page } from "./pageLifecycle.ts"
import * as sharedWorker from "./sharedWorker.ts"
import * as tabs from "./tabs.ts"

// From modules of their own, so that a page has none of those that it does not use.
export { layerPageLifecycle } from "./pageLifecycle.ts"
export { serviceWorker } from "./serviceWorker.ts"
export type { InstalledServiceWorker, ServiceWorkerOptions } from "./serviceWorker.ts"
export type { SharedWorkerOptions } from "./sharedWorker.ts"
export { Tabs } from "./tabs.ts"

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
 * The client of a page whose connection is that of its shared worker: all tabs of a site have one connection to the hub.
 *
 * **When to use**
 *
 * For sites that people open in many tabs. The worker has `layerTabs`. Whatever runs on `SwaggerSocketClient` in a page runs on
 * this client as well: `ApiClient.layer` calls the API of the hub, as the worker passes calls on.
 *
 * **Details**
 *
 * - Each tab has a connection to the worker, over a `MessagePort`, with wire v2 and its back-pressure. Calls are joined to the
 *   connection of the worker stream to stream (`Relay`): bodies are not kept, and a call that is interrupted is so on the hub.
 * - The status of this client is that of its connection to the worker. Calls wait there while the worker has no connection.
 * - What the page serves (`ApiServer.layer`) is served to the worker. The hub calls the worker.
 * - A tab that is closed, or whose process dies, is noticed at once, and so is a worker that dies: each holds a Web Lock. The calls of
 *   the tab are interrupted, and nothing of them is kept. A worker that has died is started anew, and calls under way fail as
 *   `unknown`.
 * - Where there are no shared workers, or no Web Locks, the page has the client of `otherwise`.
 * - It has `layerPageLifecycle`.
 *
 * **Example** (A page, and the worker of all its tabs)
 *
 * ```ts
 * import * as ApiClient from "effect-swaggersocket/ApiClient"
 * import * as BrowserSwaggerSocket from "effect-swaggersocket/browser"
 * import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * const Hub = SwaggerSocketClient.layer({ url: "wss://hub.example.com/socket" }).pipe(
 *   Layer.provide(BrowserSwaggerSocket.layerWebSocketConstructor)
 * )
 *
 * // In the page
 * export const Page = ApiClient.layer.pipe(
 *   Layer.provide(BrowserSwaggerSocket.layerSharedWorker({
 *     worker: () => new SharedWorker("/worker.js", { type: "module" }),
 *     otherwise: Hub
 *   }))
 * )
 *
 * // In worker.ts
 * export const Worker = BrowserSwaggerSocket.layerTabs().pipe(Layer.provide(Hub))
 * Effect.runFork(Layer.launch(Worker))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerSharedWorker = <E = never, R = never>(
  options: sharedWorker.SharedWorkerOptions<E, R>
): Layer.Layer<SwaggerSocketClient, E, R> =>
  Layer.provideMerge(layerPageLifecycle, sharedWorker.makeLayer(options, globalThis as unknown as Page))

/**
 * Shares the client of a shared worker with all tabs that have `layerSharedWorker`: what they call is passed on to its hub.
 *
 * **When to use**
 *
 * In the script of the worker, called while that runs: tabs that come before it is called are not heard.
 *
 * **Details**
 *
 * - The worker answers what the hub calls, by `ApiServer.layer`. Its handlers may call a tab: `Tabs` has a connection for each,
 *   and `Relay.to(tab)` passes a request on to what that tab serves.
 * - The client follows the network as with `layerPageLifecycle`, and also comes back when one of the tabs is shown.
 * - A tab has the limits and quotas of a client; what it does not read stops its own calls alone.
 *
 * **Example** (The hub asks a tab)
 *
 * ```ts
 * import * as ApiServer from "effect-swaggersocket/ApiServer"
 * import * as BrowserSwaggerSocket from "effect-swaggersocket/browser"
 * import * as Relay from "effect-swaggersocket/Relay"
 * import * as Effect from "effect/Effect"
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as Layer from "effect/Layer"
 *
 * const Api = HttpRouter.add(
 *   "GET",
 *   "/title",
 *   Effect.gen(function*() {
 *     const tabs = yield* BrowserSwaggerSocket.Tabs
 *     return yield* Relay.to(yield* tabs.awaitConnection())
 *   })
 * )
 *
 * // Needs the worker's `SwaggerSocketClient`
 * export const Worker = HttpRouter.serve(Api).pipe(
 *   Layer.provide(ApiServer.layer),
 *   Layer.provide(BrowserSwaggerSocket.layerTabs())
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerTabs = (): Layer.Layer<tabs.Tabs, never, SwaggerSocketClient> => tabs.makeLayer(globalThis)
