/**
 * A server under attack, with a healthy client that must not notice.
 */
import { assert, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type * as Handshake from "effect-swaggersocket/Handshake"
import * as Heartbeat from "effect-swaggersocket/Heartbeat"
import type * as Limits from "effect-swaggersocket/Limits"
import * as Multiplexer from "effect-swaggersocket/Multiplexer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import type * as Quotas from "effect-swaggersocket/Quotas"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Http from "node:http"
import type * as Net from "node:net"
import { record, type Recorded } from "./events.ts"
import { dial as dialRaw, type DialOptions, type RawPeer } from "./rawPeer.ts"
import { within } from "./waiting.ts"

/** What the hub's clients may say of themselves. */
const Metadata = Schema.NullOr(
  Schema.Struct({
    name: Schema.String,
    tags: Schema.optionalKey(Schema.Array(Schema.String))
  })
)

class Hub extends SwaggerSocketServer.Service<Hub, string>()("hostile/Hub", { metadata: Metadata }) {}

export interface HubOptions {
  readonly limits?: Limits.Options
  readonly quotas?: Quotas.Options
  readonly origins?: "*" | ReadonlyArray<string> | ((origin: string) => boolean)
  readonly hosts?: ReadonlyArray<string>
  readonly wires?: ReadonlyArray<"v1" | "v2">
  readonly authenticate?: SwaggerSocketServer.Authenticate<typeof Metadata.Type, string>
  readonly addressOf?: (upgrade: Handshake.Upgrade) => string | undefined
  readonly identity?: (client: { readonly principal: string }) => string | undefined
  readonly isSamePrincipal?: (before: string, now: string) => boolean
  readonly heartbeat?: Heartbeat.Options
  readonly multiplexer?: typeof Multiplexer.Multiplexer.Service
  /** Whether an API is served. */
  readonly serves?: boolean
}

/** Its events are without those of the healthy client. */
export interface Fixture extends Recorded<typeof Metadata.Type> {
  /** Of the socket, as `ws:`. */
  readonly url: string
  readonly server: Context.Service.Shape<typeof Hub>
  /** Opens a bare WebSocket. */
  readonly dial: (options?: DialOptions) => Effect.Effect<RawPeer, Error, Scope.Scope>
  /** Opens a bare WebSocket and does the handshake. */
  readonly connect: (hello?: Readonly<Record<string, unknown>>) => Effect.Effect<RawPeer, Error, Scope.Scope>
  /** TCP sockets of the server's side that are open, oldest first; the first is the healthy client's. */
  readonly sockets: ReadonlySet<Net.Socket>
  /** How many handlers have been interrupted. */
  readonly interrupted: () => number
  /** Bytes that `/endless` has produced. */
  readonly produced: () => number
  /** How often `/heavy` has answered. */
  readonly answered: () => number
  readonly seen: Seen
  /** A call of the healthy client, which must have been connected all the time. */
  readonly healthyCall: Effect.Effect<void>
}

export const quiet = { disableLogger: true, disableListenLog: true }

/** What programs fail of, with what is not for their peers. */
export const secret = new Error("s3cret: no such table", { cause: new Error("s3cret cause") })

/** What the API has done. */
export class Seen {
  interrupted = 0
  produced = 0
  answered = 0
  /** Handlers of `/stubborn` that run now, and what lets them end. */
  stubborn = 0
  readonly release = Deferred.makeUnsafe<void>()
}

export const api = (seen: Seen) =>
  Layer.mergeAll(
    HttpRouter.add("GET", "/ping", HttpServerResponse.text("pong")),
    HttpRouter.add("GET", "/empty", HttpServerResponse.empty()),
    HttpRouter.add(
      "*",
      "/echo",
      Effect.map(HttpServerRequest.HttpServerRequest, (request) => HttpServerResponse.stream(request.stream))
    ),
    HttpRouter.add(
      "*",
      "/length",
      Effect.gen(function*() {
        const request = yield* HttpServerRequest.HttpServerRequest
        return HttpServerResponse.text(String((yield* request.arrayBuffer).byteLength))
      })
    ),
    HttpRouter.add("*", "/headers", (request) => Effect.succeed(HttpServerResponse.jsonUnsafe({ ...request.headers }))),
    // Die of an error that nobody else may read: before the answer, and within it, when more has left than is buffered.
    HttpRouter.add("GET", "/dies", Effect.die(secret)),
    HttpRouter.add(
      "GET",
      "/breaks",
      Effect.succeed(HttpServerResponse.stream(Stream.concat(Stream.make(new Uint8Array(200_000)), Stream.die(secret))))
    ),
    // The URL that a handler of the web sees.
    HttpRouter.add("*", "/web/*", ApiServer.fromWebHandler((request) => Promise.resolve(new Response(request.url)))),
    // Reads nothing and answers nothing.
    HttpRouter.add("*", "/never", Effect.onInterrupt(Effect.never, () => Effect.sync(() => seen.interrupted++))),
    // Upgraded to an echo, and to what is never read.
    HttpRouter.add(
      "*",
      "/upgrade",
      Effect.gen(function*() {
        const socket = yield* (yield* HttpServerRequest.HttpServerRequest).upgrade
        const writer = yield* socket.writer
        const { pull } = yield* socket.reader
        return yield* Effect.forever(Effect.flatMap(pull, writer.writeAll))
      }).pipe(Effect.catchReason("SocketError", "SocketCloseError", () => Effect.succeed(HttpServerResponse.empty())))
    ),
    HttpRouter.add(
      "*",
      "/unread-upgrade",
      Effect.gen(function*() {
        const socket = yield* (yield* HttpServerRequest.HttpServerRequest).upgrade
        yield* socket.reader
        return yield* Effect.onInterrupt(Effect.never, () => Effect.sync(() => seen.interrupted++))
      })
    ),
    // Can't be interrupted.
    HttpRouter.add(
      "GET",
      "/stubborn",
      Effect.uninterruptible(Effect.gen(function*() {
        seen.stubborn++
        yield* Deferred.await(seen.release)
        seen.stubborn--
        return HttpServerResponse.empty()
      }))
    ),
    // Answers as much as it is asked for.
    HttpRouter.add(
      "GET",
      "/endless",
      HttpServerResponse.stream(Stream.forever(Stream.fromEffect(Effect.sync(() => {
        seen.produced += 16384
        return new Uint8Array(16384)
      }))))
    ),
    // 1 MiB in memory.
    HttpRouter.add("GET", "/large", Effect.sync(() => HttpServerResponse.uint8Array(new Uint8Array(1024 * 1024)))),
    // A head of 8 KB that shares no memory with another, and no body.
    HttpRouter.add(
      "GET",
      "/heavy",
      Effect.sync(() => {
        const filler = Buffer.alloc(8000, "x").toString("latin1")
        return HttpServerResponse.empty({ headers: { "x-filler": `${filler}${seen.answered++}` } })
      })
    )
  )

/** Longer than any test waits: nothing that should happen at once passes because time is up. */
const longLimits = { closeTimeout: "2 minutes", handshakeTimeout: "2 minutes" } as const

const start = Effect.fnUntraced(function*(options: HubOptions) {
  const limits = { ...longLimits, ...options.limits }
  const seen = new Seen()
  const sockets = new Set<Net.Socket>()
  const createServer = () =>
    Http.createServer().on("connection", (socket: Net.Socket) => {
      sockets.add(socket)
      socket.on("close", () => sockets.delete(socket))
    })
  const Socket = HttpRouter.serve(
    Hub.layer({
      path: "/socket",
      authenticate: options.authenticate ?? (() => Effect.succeed("somebody")),
      isSamePrincipal: options.isSamePrincipal,
      limits,
      quotas: options.quotas,
      addressOf: options.addressOf,
      identity: options.identity,
      origins: options.origins,
      hosts: options.hosts,
      wires: options.wires
    }),
    quiet
  )
  const Api = options.serves === false
    ? Layer.empty
    : HttpRouter.serve(api(seen), quiet).pipe(Layer.provide(ApiServer.layerServer(Hub)))
  const context = yield* Layer.build(Api.pipe(
    Layer.provideMerge(Socket),
    Layer.provideMerge(
      NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1", createServer, limits })
    ),
    Layer.provide(options.heartbeat === undefined ? Layer.empty : Heartbeat.layer(options.heartbeat)),
    Layer.provide(options.multiplexer === undefined ? Layer.empty : Multiplexer.layer(options.multiplexer))
  ))
  const server = Context.get(context, Hub)
  const url = NetAddress.formatUrlUnsafe(Context.get(context, HttpServer.HttpServer).address).replace("http", "ws")
  return { url: `${url}/socket`, server, sockets, seen }
})

/** A server, and a healthy client that is connected to it. */
export const startFixture = Effect.fnUntraced(
  function*(options: HubOptions): Effect.fn.Return<Fixture, unknown, Scope.Scope> {
    const { seen: counts, server, sockets, url } = yield* start(options)

    const healthy = yield* Layer.build(ApiClient.layer.pipe(
      Layer.provideMerge(SwaggerSocketClient.layer({ url, metadata: { name: "healthy" } })),
      Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
    ))
    const client = Context.get(healthy, SwaggerSocketClient.SwaggerSocketClient)
    const http = Context.get(healthy, HttpClient.HttpClient)
    const { id } = yield* within("the healthy client connects", client.connection)

    const recorded = yield* record(
      Stream.filter(server.events, (event) => !("connectionId" in event && event.connectionId === id))
    )

    const dial = (dialOptions?: DialOptions) => dialRaw(url, dialOptions)
    return {
      url,
      server,
      sockets,
      interrupted: () => counts.interrupted,
      produced: () => counts.produced,
      answered: () => counts.answered,
      seen: counts,
      dial,
      connect: (hello) => Effect.tap(dial(), (peer) => peer.handshake(hello)),
      ...recorded,
      healthyCall: Effect.gen(function*() {
        const call = options.serves === false ? Effect.void : Effect.gen(function*() {
          const answer = yield* http.get("/ping")
          assert.strictEqual(yield* answer.text, "pong")
        })
        yield* within("a call on the healthy connection", Effect.orDie(call))
        const connection = yield* within("the healthy connection", Effect.orDie(client.connection))
        assert.strictEqual(connection.id, id, "the healthy client had to connect anew")
        assert.strictEqual(yield* connection.status, "open")
      })
    }
  }
)

/**
 * A hostile case: whatever the peer does, a client that was connected before is served afterwards, on the same
 * connection.
 */
export const hostile = (
  title: string,
  body: (hub: Fixture) => Effect.Effect<unknown, unknown, Scope.Scope>,
  options: HubOptions = {}
): void =>
  it.live(title, () =>
    Effect.scoped(Effect.gen(function*() {
      const hub = yield* startFixture(options)
      yield* body(hub)
      yield* hub.healthyCall
    })))
