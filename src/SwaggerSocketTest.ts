/**
 * A client and a server joined in memory: no ports, no sockets, and all of the protocol between them. Works with
 * `TestClock`.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { constVoid } from "effect/Function"
import * as Headers from "effect/http/Headers"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Connection from "./Connection.ts"
import { stayConnected } from "./internal/client/stayConnected.ts"
import * as memoryLink from "./internal/link/memoryLink.ts"
import * as Acceptor from "./internal/server/acceptor.ts"
import { awaitConnection } from "./internal/server/preferred.ts"
import * as Limits from "./Limits.ts"
import * as Quotas from "./Quotas.ts"
import { SwaggerSocketClient } from "./SwaggerSocketClient.ts"
import type { SwaggerSocketError } from "./SwaggerSocketError.ts"
import type { ServiceClass, SwaggerSocketServer } from "./SwaggerSocketServer.ts"

/**
 * What the client of a test says of itself, and its limits.
 *
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
  /** What both ends speak. Default `"v2"`. */
  readonly wire?: "v1" | "v2" | undefined
}

const client = <M, P>(
  acceptor: Acceptor.Acceptor<M, P>,
  options: ClientOptions,
  onDial: (cut: () => void) => void = constVoid
) =>
  Effect.gen(function*() {
    return yield* stayConnected({
      limits: Limits.make(options.limits, yield* Limits.Limits),
      wire: options.wire ?? "v2",
      attempt: Effect.sync(() => ({
        metadata: options.metadata,
        encoded: options.metadata,
        target: "in memory",
        link: (wire) =>
          Effect.gen(function*() {
            const [near, far, cut] = memoryLink.makePair()
            onDial(cut)
            const upgrade = { headers: Headers.fromInput(options.headers), url: "/", remoteAddress: Option.none() }
            yield* acceptor.accept(Effect.as(Effect.yieldNow, far), upgrade, wire)
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
 * To test a server with options of its own, such as an `authenticate`: provide its `layerNoRoute`. `layer` is shorter
 * for the others.
 *
 * **Example** (A server that authenticates)
 *
 * ```ts
 * import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
 * import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * class Users extends SwaggerSocketServer.Service<Users, string>()("Users") {}
 *
 * const Server = Users.layerNoRoute({ authenticate: ({ headers }) => Effect.succeed(headers.authorization ?? "nobody") })
 *
 * export const Test = SwaggerSocketTest.layerClient(Users, { headers: { authorization: "ada" } }).pipe(
 *   Layer.provideMerge(Server)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerClient = <I, M, P>(
  server: Context.Service<I, SwaggerSocketServer<M, P>>,
  options: ClientOptions = {}
): Layer.Layer<SwaggerSocketClient, never, I> =>
  Layer.effect(
    SwaggerSocketClient,
    Effect.flatMap(server, (server) => client(Acceptor.acceptorOf(server), options))
  )

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
 * **Details**
 *
 * `cut` cuts the link, as a network does: what is on its way is lost, and neither end gets a goodbye. With sessions,
 * which are the default, the client dials again after a back-off, and the connection goes on.
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
 * **Example** (A call that outlives its link)
 *
 * ```ts
 * import { assert, it } from "@effect/vitest"
 * import * as Effect from "effect/Effect"
 * import * as Fiber from "effect/Fiber"
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as HttpServerResponse from "effect/http/HttpServerResponse"
 * import * as Layer from "effect/Layer"
 * import * as TestClock from "effect/testing/TestClock"
 * import * as ApiClient from "effect-swaggersocket/ApiClient"
 * import * as ApiServer from "effect-swaggersocket/ApiServer"
 * import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
 *
 * const Bake = HttpRouter.serve(
 *   HttpRouter.add("POST", "/bake", Effect.as(Effect.sleep("45 minutes"), HttpServerResponse.text("bread")))
 * )
 *
 * it.effect("there is bread, whatever the network does", () =>
 *   Effect.gen(function*() {
 *     const { client, cut, server } = yield* SwaggerSocketTest.makePair()
 *     yield* Layer.build(Layer.provide(Bake, ApiServer.layerConnection(server)))
 *     const baking = yield* Effect.forkChild(ApiClient.make(client).post("/bake"))
 *     yield* TestClock.adjust("10 minutes")
 *     yield* cut
 *     yield* TestClock.adjust("35 minutes")
 *     assert.strictEqual((yield* Fiber.join(baking)).status, 200)
 *   }))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const makePair = Effect.fnUntraced(function*(
  options: ClientOptions & { readonly serverLimits?: Limits.Options | undefined } = {}
): Effect.fn.Return<
  {
    readonly client: Connection.Connection
    readonly server: Connection.Connection
    /** Cuts the link, as a network does. */
    readonly cut: Effect.Effect<void>
  },
  SwaggerSocketError,
  Scope.Scope
> {
  const acceptor = yield* Acceptor.make<unknown, undefined>({
    limits: Limits.make(options.serverLimits, yield* Limits.Limits),
    quotas: yield* Quotas.Quotas,
    decodeMetadata: Effect.succeed,
    authenticate: () => Effect.succeed(undefined),
    isSamePrincipal: () => true
  })
  let cut = constVoid
  const dialled = yield* client(acceptor, options, (cutLink) => {
    cut = cutLink
  })
  const near = yield* dialled.connection
  // The server has registered the connection when the client's `ready` arrived, which may be a moment later.
  const server = yield* awaitConnection(acceptor, ({ id }) => id === near.id)
  return { client: near, server, cut: Effect.sync(() => cut()) }
})
