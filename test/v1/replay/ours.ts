/**
 * The end that is not played: this package, as a server or as a client, with an API and with calls.
 */
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type * as Connection from "effect-swaggersocket/Connection"
import type * as ConnectionEvent from "effect-swaggersocket/ConnectionEvent"
import * as Heartbeat from "effect-swaggersocket/Heartbeat"
import * as Limits from "effect-swaggersocket/Limits"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { record } from "../../support/events.ts"
import { Seen, serve } from "./api.ts"

class Peers extends SwaggerSocketServer.Service<Peers>()("test/v1/replay/Peers") {}

export interface Options {
  readonly limits?: Limits.Options | undefined
  /** Pings all the time. */
  readonly heartbeat?: Heartbeat.Options | undefined
  /** No handler answers. */
  readonly holds?: boolean | undefined
}

export interface Ours {
  readonly events: () => ReadonlyArray<ConnectionEvent.ConnectionEvent>
  readonly seen: Seen
  /** The connection with an id. */
  readonly connection: (id: string | undefined) => Effect.Effect<Connection.Connection, unknown>
}

const heartbeat = (options: Options) =>
  options.heartbeat === undefined ? Layer.empty : Heartbeat.layer(options.heartbeat)

export const startServer = Effect.fnUntraced(
  function*(options: Options): Effect.fn.Return<Ours & { readonly port: number }, unknown, Scope.Scope> {
    const { limits } = options
    const seen = new Seen()
    const context = yield* Layer.build(
      serve(seen, options.holds === true).pipe(
        Layer.provide(ApiServer.layerServer(Peers)),
        // Go's programs upgrade requests for any path.
        Layer.provideMerge(
          HttpRouter.serve(Peers.layer({ path: "*", limits }), { disableLogger: true, disableListenLog: true })
        ),
        Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1", limits })),
        Layer.provide(heartbeat(options))
      )
    )
    const server = Context.get(context, Peers)
    const { address } = Context.get(context, HttpServer.HttpServer)
    const { events } = yield* record(server.events)
    return {
      port: Number(new URL(NetAddress.formatUrlUnsafe(address)).port),
      events,
      seen,
      connection: (id) => server.awaitConnection((connection) => connection.id === id)
    }
  }
)

export interface ClientOptions extends Options {
  readonly url: string
  readonly metadata: unknown
  readonly wire: "v1" | undefined
  /** Whether another link is expected. */
  readonly dialsAgain: () => boolean
}

export const startClient = Effect.fnUntraced(
  function*(options: ClientOptions): Effect.fn.Return<Ours, unknown, Scope.Scope> {
    const { limits, metadata, url, wire } = options
    const seen = new Seen()
    const context = yield* Layer.build(
      serve(seen, options.holds === true).pipe(
        Layer.provide(ApiServer.layer),
        Layer.provideMerge(SwaggerSocketClient.layer({ url, metadata, wire, limits })),
        Layer.provide(Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor, Limits.layer(limits ?? {}))),
        Layer.provide(Reconnection.layer({ schedule: Schedule.spaced("2 millis"), retry: options.dialsAgain })),
        Layer.provide(heartbeat(options))
      )
    )
    const client = Context.get(context, SwaggerSocketClient.SwaggerSocketClient)
    const { events } = yield* record(client.events)
    return { events, seen, connection: () => client.connection }
  }
)

/** A call of this end, as far as it has come. */
export class Call {
  readonly id: string | undefined
  status: number | undefined = undefined
  headers: Readonly<Record<string, string | undefined>> = {}
  body: Buffer = Buffer.alloc(0)
  exit: Exit.Exit<void, unknown> | undefined = undefined

  constructor(id: string | undefined) {
    this.id = id
  }
}

export const call = Effect.fnUntraced(function*(
  connection: Connection.Connection,
  { body, id, method, target }: {
    readonly id: string | undefined
    readonly method: string
    readonly target: string
    readonly body: Buffer
  }
): Effect.fn.Return<Call, never, Scope.Scope> {
  const made = new Call(id)
  const request = HttpClientRequest.make(method.toUpperCase() as "GET")(target, {
    ...(id === undefined ? undefined : { headers: { "x-correlation-id": id } })
  })
  const fiber = yield* Effect.forkScoped(Effect.gen(function*() {
    const response = yield* ApiClient.make(connection).execute(
      body.length === 0 ? request : HttpClientRequest.bodyUint8Array(request, body)
    )
    made.status = response.status
    made.headers = response.headers
    yield* Stream.runForEach(response.stream, (part) =>
      Effect.sync(() => {
        made.body = Buffer.concat([made.body, part])
      }))
  }))
  fiber.addObserver((exit) => {
    made.exit = Exit.asVoid(exit)
  })
  return made
})
