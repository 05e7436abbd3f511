/**
 * A client and a server joined in memory: no ports, no sockets, and all of the protocol between them. Works with
 * `TestClock`.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Connection from "./Connection.ts"
import * as Acceptor from "./internal/acceptor.ts"
import * as memoryLink from "./internal/memoryLink.ts"
import * as Limits from "./Limits.ts"
import { stayConnected, SwaggerSocketClient } from "./SwaggerSocketClient.ts"
import type { SwaggerSocketError } from "./SwaggerSocketError.ts"
import type { ServiceClass, SwaggerSocketServer } from "./SwaggerSocketServer.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface ClientOptions {
  /** What the client says of itself, as JSON. */
  readonly metadata?: unknown
  /** Fields of its upgrade request. */
  readonly headers?: Headers.Input | undefined
  /** The client's limits. */
  readonly limits?: Limits.Options | undefined
}

const client = <M, P>(acceptor: Acceptor.Acceptor<M, P>, options: ClientOptions) =>
  Effect.gen(function*() {
    return yield* stayConnected({
      limits: Limits.make(options.limits),
      attempt: Effect.sync(() => ({
        metadata: options.metadata,
        encoded: options.metadata,
        link: Effect.gen(function*() {
          const [near, far] = memoryLink.makePair()
          const upgrade = { headers: Headers.fromInput(options.headers), url: "/", remoteAddress: Option.none() }
          yield* Effect.forkIn(acceptor.accept(Effect.succeed(far), upgrade), acceptor.scope)
          yield* Effect.addFinalizer(() => Effect.sync(near.terminate))
          return near
        })
      }))
    })
  })

/**
 * A client of a server in context, joined in memory.
 *
 * **When to use**
 *
 * To test a server with options of its own, such as an `authenticate`: provide its `layerNoRoute`. `layer` is shorter for
 * the others.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerClient = <I, M, P>(
  server: Context.Service<I, SwaggerSocketServer<M, P>>,
  options: ClientOptions = {}
): Layer.Layer<SwaggerSocketClient, never, I> =>
  Layer.effect(SwaggerSocketClient, Effect.flatMap(server, ({ acceptor }) => client(acceptor, options)))

/**
 * A server and a client of it, joined in memory.
 *
 * **Example** (Testing a call from the hub to a device)
 *
 * ```ts
 * import { assert, it } from "@effect/vitest"
 * import * as Effect from "effect/Effect"
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as HttpServerResponse from "effect/http/HttpServerResponse"
 * import * as Layer from "effect/Layer"
 * import * as ApiClient from "effect-swaggersocket/ApiClient"
 * import * as ApiServer from "effect-swaggersocket/ApiServer"
 * import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
 * import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
 *
 * class Devices extends SwaggerSocketServer.Service<Devices>()("Devices") {}
 *
 * const Test = HttpRouter.serve(HttpRouter.add("GET", "/ping", HttpServerResponse.text("pong"))).pipe(
 *   Layer.provide(ApiServer.layer),
 *   Layer.provideMerge(SwaggerSocketTest.layer(Devices, { metadata: { name: "d1" } }))
 * )
 *
 * it.effect("the device answers", () =>
 *   Effect.gen(function*() {
 *     const device = yield* (yield* Devices).awaitConnection()
 *     const response = yield* ApiClient.make(device).get("/ping")
 *     assert.strictEqual(yield* response.text, "pong")
 *   }).pipe(Effect.provide(Test)))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Self, Id extends string, M>(
  server: ServiceClass<Self, Id, M, undefined>,
  options: ClientOptions & { readonly serverLimits?: Limits.Options | undefined } = {}
): Layer.Layer<Self | SwaggerSocketClient> =>
  Layer.provideMerge(layerClient(server, options), server.layerNoRoute({ limits: options.serverLimits }))

/**
 * Two ends of one connection, without services: serve on either with `ApiServer.layerConnection`, call with
 * `ApiClient.make`.
 *
 * **Example** (Both ends at hand)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
 *
 * export const program = Effect.gen(function*() {
 *   const { client, server } = yield* SwaggerSocketTest.makePair()
 *   return client.id === server.id
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const makePair = Effect.fnUntraced(function*(
  options: ClientOptions & { readonly serverLimits?: Limits.Options | undefined } = {}
): Effect.fn.Return<
  { readonly client: Connection.Connection; readonly server: Connection.Connection },
  SwaggerSocketError,
  Scope.Scope
> {
  const acceptor = yield* Acceptor.make<unknown, undefined>({
    limits: Limits.make(options.serverLimits),
    decodeMetadata: Effect.succeed,
    authenticate: () => Effect.succeed(undefined),
    isSamePrincipal: () => true
  })
  const near = yield* (yield* client(acceptor, options)).connection
  // The server has registered the connection when the client's `ready` arrived, which may be a moment later.
  const server = yield* Acceptor.awaitConnection(acceptor, ({ id }) => id === near.id)
  return { client: near, server }
})
