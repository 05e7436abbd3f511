/**
 * A TCP proxy on loopback between the two ends of links, which does to them what networks do: it cuts, truncates, stalls,
 * silences, delays and fragments, at a byte that is given or at once.
 *
 * **When to use**
 *
 * To see what your program makes of lost links: let the client dial `url`, and strike. `SwaggerSocketTest.makePair` cuts a
 * link in memory, which is quicker where a cut is enough.
 *
 * **Gotchas**
 *
 * It is for WebSockets without TLS, and needs Node's `net`. It holds up to 1 MiB in each direction of a link before it
 * stops reading, besides what the sockets hold.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as internal from "../internal/testing/faultProxy.ts"
import type { FaultProxy, Options } from "../internal/testing/faults.ts"

export type { Direction, Fault, FaultProxy, How, Options, Planned, ProxiedLink } from "../internal/testing/faults.ts"

/**
 * Listens on a port of its own until the scope closes. Then peers may take a second to close their links in good order.
 *
 * **Example** (A call whose link is cut)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as NodeSwaggerSocket from "effect-swaggersocket/node"
 * import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
 * import * as FaultProxy from "effect-swaggersocket/testing/FaultProxy"
 *
 * export const program = Effect.gen(function*() {
 *   const proxy = yield* FaultProxy.make({ target: "ws://127.0.0.1:3000/socket" })
 *   const context = yield* Layer.build(SwaggerSocketClient.layer({ url: proxy.url }).pipe(
 *     Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
 *   ))
 *   yield* proxy.until(() => proxy.bytes("down") > 10_000)
 *   yield* proxy.cut()
 *   yield* proxy.untilBroken(1)
 *   return context
 * })
 * ```
 *
 * **Example** (Each of the first 100 links breaks at another byte of the WebSocket)
 *
 * ```ts
 * import * as FaultProxy from "effect-swaggersocket/testing/FaultProxy"
 *
 * export const proxy = FaultProxy.make({
 *   target: "ws://127.0.0.1:3000/socket",
 *   faults: (index) => index < 100 ? [{ direction: "up", at: index, fault: { _tag: "truncate" } }] : []
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (options: Options) => Effect.Effect<FaultProxy, never, Scope.Scope> = internal.make
