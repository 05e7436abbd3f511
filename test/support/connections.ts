/**
 * Connections over a real WebSocket on loopback, both ends of them in this process.
 */
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type * as Connection from "effect-swaggersocket/Connection"
import * as Limits from "effect-swaggersocket/Limits"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import type * as Quotas from "effect-swaggersocket/Quotas"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import { assertCounted, layerLedgers } from "./credit.ts"

export class Hub extends SwaggerSocketServer.Service<Hub>()("load/Hub") {}

/** The URL of the HTTP server in context, as a WebSocket. */
export const socketUrl = Effect.map(
  HttpServer.HttpServer,
  (server) => `${NetAddress.formatUrlUnsafe(server.address).replace("http", "ws")}/socket`
)

/** On a slow machine the process of a test is late, and its calls are not to be refused for that. */
const patient: Quotas.Options = { server: { callDelay: Infinity } }

/** A server, and the HTTP server below it. Its calls may wait for long, unless `quotas` are given. */
export const layerHub = (options: {
  readonly limits?: Limits.Options | undefined
  readonly quotas?: Quotas.Options | undefined
  readonly port?: number
} = {}) =>
  HttpRouter.serve(Hub.layer({ path: "/socket", limits: options.limits, quotas: options.quotas ?? patient }), {
    disableLogger: true,
    disableListenLog: true
  }).pipe(
    Layer.provideMerge(
      NodeSwaggerSocket.layerHttpServer({ port: options.port ?? 0, host: "127.0.0.1", limits: options.limits })
    )
  )

export interface Ends {
  /** The end that dialled. */
  readonly client: Connection.Connection
  /** The end that was dialled. */
  readonly server: Connection.Connection
}

/** Forwards TCP to the port of a URL, each way `millis` later; gives the URL of its own port. */
const delayed = (url: string, millis: number): Effect.Effect<string, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Net.Server>((resume) => {
        const server = Net.createServer((near) => {
          const far = Net.connect(Number(new URL(url).port), "127.0.0.1")
          for (const [from, to] of [[near, far], [far, near]] as const) {
            from.setNoDelay(true)
            from.on("data", (data) => setTimeout(() => to.write(data), millis))
            from.on("close", () => setTimeout(() => to.destroy(), millis))
            from.on("error", () => {})
          }
        })
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) => Effect.sync(() => server.close())
    ),
    (server) => url.replace(/:\d+/, `:${(server.address() as Net.AddressInfo).port}`)
  )

/**
 * A connection over a real WebSocket on loopback, both ends of it in this process. `delay`: how long everything takes to
 * the other end, in milliseconds.
 */
export const join = Effect.fnUntraced(function*(
  options: {
    readonly serverLimits?: Limits.Options | undefined
    readonly clientLimits?: Limits.Options | undefined
    readonly delay?: number | undefined
    readonly wire?: "v1" | "v2" | undefined
    /** The credit is counted; needs `fixedWindow` on both ends. */
    readonly ledgers?: boolean | undefined
  } = {}
) {
  const context = yield* Layer.build(
    Layer.unwrap(Effect.gen(function*() {
      const direct = yield* socketUrl
      const url = options.delay === undefined ? direct : yield* delayed(direct, options.delay)
      return SwaggerSocketClient.layer({ url, wire: options.wire, limits: options.clientLimits })
    })).pipe(
      Layer.provideMerge(layerHub({ limits: options.serverLimits })),
      Layer.provide(
        Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor, Limits.layer(options.clientLimits ?? {}))
      ),
      Layer.provide(options.ledgers === true ? layerLedgers : Layer.empty)
    )
  )
  return yield* Effect.provide(
    Effect.gen(function*() {
      const hub = yield* Hub
      const client = yield* (yield* SwaggerSocketClient.SwaggerSocketClient).connection
      const server = yield* hub.awaitConnection(({ id }) => id === client.id)
      const ends: Ends = { client, server }
      if (options.ledgers === true) {
        assertCounted(client)
        assertCounted(server)
      }
      return ends
    }),
    context
  )
})

/** Serves routes on one end of a connection. */
export const serveRoutes = <A, E, R>(connection: Connection.Connection, routes: Layer.Layer<A, E, R>) =>
  Layer.build(
    Layer.provide(
      HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }),
      ApiServer.layerConnection(connection)
    )
  )

/** The end that calls and the one that serves, by the socket role of the latter. */
export const roles = (
  ends: Ends,
  serving: "client" | "server"
): {
  readonly serving: Connection.Connection
  readonly calling: Connection.Connection
  readonly api: HttpClient.HttpClient
} => {
  const calling = serving === "client" ? ends.server : ends.client
  return { serving: ends[serving], calling, api: ApiClient.make(calling) }
}
