/**
 * Our two ends on a real socket, and what stands for a Go program at the other end of one.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type * as Connection from "effect-swaggersocket/Connection"
import * as Handshake from "effect-swaggersocket/Handshake"
import * as Heartbeat from "effect-swaggersocket/Heartbeat"
import * as Limits from "effect-swaggersocket/Limits"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { createServer } from "node:http"
import * as WS from "ws"
import { record } from "../support/events.ts"

const quiet = { disableLogger: true, disableListenLog: true }

const Info = Schema.NullOr(Schema.Struct({ name: Schema.String }))

class Hub extends SwaggerSocketServer.Service<Hub, string>()("test/v1/Hub", { metadata: Info }) {}

type Routes = Layer.Layer<never, never, HttpRouter.HttpRouter>

export interface Options {
  readonly limits?: Limits.Options
  readonly heartbeat?: Heartbeat.Options
  readonly api?: Routes
}

const heartbeat = (options: Heartbeat.Options | undefined) =>
  options === undefined ? Layer.empty : Heartbeat.layer(options)

/** Turns away whoever is called `nobody`, and for the moment whoever is called `later`. */
const authenticate = ({ metadata }: { readonly metadata: typeof Info.Type }) =>
  metadata?.name === "nobody"
    ? Effect.fail(new Handshake.Refusal({ code: "FORBIDDEN", reason: "not you" }))
    : metadata?.name === "later"
    ? Effect.fail(new Handshake.Refusal({ code: "OVERLOADED", reason: "not now" }))
    : Effect.succeed(`principal of ${metadata?.name ?? "a stranger"}`)

export const startHub = Effect.fnUntraced(function*(
  options: Options & {
    readonly wires?: ReadonlyArray<"v1" | "v2">
    /** On the HTTP server of the platform, as it is. */
    readonly plain?: boolean
  } = {}
) {
  const Api = options.api === undefined
    ? Layer.empty
    : HttpRouter.serve(options.api, quiet).pipe(Layer.provide(ApiServer.layerServer(Hub)))
  const context = yield* Layer.build(Api.pipe(
    Layer.provideMerge(
      HttpRouter.serve(
        Hub.layer({ path: "/socket", authenticate, limits: options.limits, wires: options.wires }),
        quiet
      )
    ),
    Layer.provideMerge(
      options.plain === true
        ? NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1", disablePreemptiveShutdown: true })
        : NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1", limits: options.limits })
    ),
    Layer.provide(heartbeat(options.heartbeat))
  ))
  const hub = Context.get(context, Hub)
  const { address } = Context.get(context, HttpServer.HttpServer)
  const { expectEvent } = yield* record(hub.events)
  return { hub, expectEvent, url: `${NetAddress.formatUrlUnsafe(address).replace("http", "ws")}/socket` }
})

export const startClient = Effect.fnUntraced(function*(
  url: string | Effect.Effect<string, never, Scope.Scope>,
  options: Options & { readonly wire?: "v1" | "v2"; readonly metadata?: unknown } = {}
) {
  const Api = options.api === undefined
    ? Layer.empty
    : HttpRouter.serve(options.api, quiet).pipe(Layer.provide(ApiServer.layer))
  const context = yield* Layer.build(
    Layer.merge(ApiClient.layer, Api).pipe(
      Layer.provideMerge(
        SwaggerSocketClient.layer({ url, wire: options.wire, metadata: options.metadata, limits: options.limits })
      ),
      Layer.provide(Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor, Limits.layer(options.limits ?? {}))),
      Layer.provide(Reconnection.layer({ schedule: Schedule.spaced("20 millis") })),
      Layer.provide(heartbeat(options.heartbeat))
    )
  )
  const client = Context.get(context, SwaggerSocketClient.SwaggerSocketClient)
  const { expectEvent } = yield* record(client.events)
  return { client, expectEvent, http: Context.get(context, HttpClient.HttpClient) }
})

// --- Go programs ----------------------------------------------------------------------------------------------------

/** A WebSocket in the hands of the test, which waits for what it receives. */
export class GoPeer {
  readonly ws: WS.WebSocket
  readonly #received: Array<string> = []
  #waiter: (() => void) | undefined = undefined

  constructor(ws: WS.WebSocket) {
    this.ws = ws
    ws.on("error", () => {})
    ws.on("message", (data) => this.#push((data as Buffer).toString("latin1")))
    ws.on("ping", (data) => this.#push(`ping ${data.toString()}`))
    ws.on("pong", (data) => this.#push(`pong ${data.toString()}`))
    ws.on("close", (code, reason) => this.#push(`close ${code} ${reason.toString()}`))
  }

  #push(event: string): void {
    this.#received.push(event)
    this.#waiter?.()
  }

  /** The next message, ping, pong or close. */
  readonly next: Effect.Effect<string> = Effect.callback<string>((resume) => {
    const take = () => {
      const event = this.#received.shift()
      if (event === undefined) return
      this.#waiter = undefined
      resume(Effect.succeed(event))
    }
    this.#waiter = take
    take()
  }).pipe(
    Effect.timeoutOrElse({ duration: "20 seconds", orElse: () => Effect.die(new Error("nothing was received")) })
  )

  /** What was received and not taken. */
  get untaken(): ReadonlyArray<string> {
    return this.#received
  }

  send(text: string): void {
    this.ws.send(text)
  }

  /** The answer to a request, with its correlation id. */
  answer(request: string, body: string, head = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}`): void {
    const id = /^x-correlation-id: (.*)$/im.exec(request)?.[1]?.trim()
    this.send(`${head}\r\nX-Correlation-Id: ${id}\r\n\r\n${body}`)
  }
}

/** Dials as a Go client does, and goes through its handshake. */
export const goClient = Effect.fnUntraced(function*(
  url: string,
  meta: unknown = null,
  options: WS.ClientOptions = {}
): Effect.fn.Return<{ readonly peer: GoPeer; readonly id: string }, never, Scope.Scope> {
  const ws = yield* Effect.acquireRelease(
    Effect.sync(() => new WS.WebSocket(url, options)),
    (ws) => Effect.sync(() => ws.terminate())
  )
  const peer = new GoPeer(ws)
  yield* Effect.callback<void>((resume) => {
    ws.once("open", () => resume(Effect.void))
  })
  peer.send(`${JSON.stringify({ Type: "ClientHandshakeMetaData", Meta: meta })}\n`)
  const { ConnectionID } = JSON.parse(yield* peer.next) as { readonly ConnectionID: string }
  peer.send(`${JSON.stringify({ Type: "ClientHandshakeAckFrame" })}\n`)
  return { peer, id: ConnectionID }
})

/** Listens as a Go server does: it knows no subprotocol, and does not mind the offer of one. */
export const goServer = Effect.fnUntraced(function*() {
  const accepted: Array<GoPeer> = []
  let upgrades = 0
  let waiter: (() => void) | undefined = undefined
  const server = yield* Effect.acquireRelease(
    Effect.callback<WS.WebSocketServer>((resume) => {
      const server = new WS.WebSocketServer({ port: 0, host: "127.0.0.1", handleProtocols: () => false }, () => {
        resume(Effect.succeed(server))
      })
      server.on("connection", (ws) => {
        upgrades++
        const peer = new GoPeer(ws)
        accepted.push(peer)
        waiter?.()
      })
    }),
    (server) =>
      Effect.sync(() => {
        for (const ws of server.clients) ws.terminate()
        server.close()
      })
  )
  const take: Effect.Effect<GoPeer> = Effect.callback((resume) => {
    const look = () => {
      const peer = accepted.shift()
      if (peer === undefined) return
      waiter = undefined
      resume(Effect.succeed(peer))
    }
    waiter = look
    look()
  })
  /** The next WebSocket that speaks, through its handshake. */
  const accept: Effect.Effect<{ readonly peer: GoPeer; readonly metadata: unknown }> = Effect.gen(function*() {
    const peer = yield* take
    const first = yield* peer.next
    // Go offers no subprotocol in return, so that whoever wants one leaves.
    if (first.startsWith("close")) return yield* accept
    const { Meta } = JSON.parse(first) as { readonly Meta: unknown }
    peer.send(`${JSON.stringify({ Type: "ServerHandshakeConnectionID", ConnectionID: `go-${upgrades}` })}\n`)
    yield* peer.next
    return { peer, metadata: Meta }
  })
  const { port } = server.address() as { readonly port: number }
  return { accept, upgrades: () => upgrades, url: `ws://127.0.0.1:${port}/any/path` }
})

/** The connection of a client, once it has one. */
export const connectionOf = (
  { client }: { readonly client: SwaggerSocketClient.SwaggerSocketClient["Service"] }
): Effect.Effect<Connection.Connection> => Effect.orDie(client.connection)
