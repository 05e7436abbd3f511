/**
 * Serves the streaming endpoints of a group: over a WebSocket for each call, and on connections of this package.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpApi from "effect/http-api/HttpApi"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import type * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import type * as ConnectionEvent from "./ConnectionEvent.ts"
import type * as Handshake from "./Handshake.ts"
import { type Link, maxBuffered } from "./internal/link/link.ts"
import { makePageCheck, type Origins } from "./internal/server/origin.ts"
import { assertCloseCode, closeAs, CloseCode, type CloseCodes } from "./internal/streaming/closing.ts"
import { logDefect } from "./internal/streaming/defects.ts"
import { pingsOf } from "./internal/streaming/heartbeat.ts"
import { defaultMaxMessageSize } from "./internal/streaming/messages.ts"
import { type CallQuotas, type CountLink, makeCallQuotas } from "./internal/streaming/quotas.ts"
import { isUpgrade, serve, type ServerCallOptions, withBody } from "./internal/streaming/server.ts"
import * as Quotas from "./Quotas.ts"
import {
  CurrentView,
  type OnlyGet,
  Streaming,
  type StreamingIdentifier,
  UnknownView,
  Views
} from "./StreamingEndpoint.ts"

/**
 * A call whose WebSocket has opened, as `onOpen` gets it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Call {
  /** The request that asked for the WebSocket. */
  readonly request: HttpServerRequest.HttpServerRequest
  /**
   * Starts the closing handshake, which ends the handler. Codes are 1000-1003, 1007-1014 and 3000-4999; it throws a
   * `RangeError` for another one. The reason is cut at 123 bytes.
   */
  readonly close: (code: number, reason: string) => void
  /** The platform's own object (of `ws` with `NodeSwaggerSocket.layerHttpServer`), if it is known. */
  readonly webSocket: unknown
}

export type { CloseCodes } from "./internal/streaming/closing.ts"
import { assertOnlyGet, shapeOf } from "./internal/streaming/shape.ts"

/**
 * Settings of the WebSockets of calls.
 *
 * @since 0.1.0
 * @category models
 */
export interface WebSocketOptions {
  /**
   * Bytes of a message that is accepted. Default 1 MiB. Applied by `NodeSwaggerSocket.layerHttpServer` while it
   * arrives.
   */
  readonly maxMessageSize?: number | undefined
  /**
   * Bytes that may wait in the socket before the handler's stream is suspended. Default 128 KiB; what Node's sockets
   * hold themselves (16 or 64 KiB) is the least.
   */
  readonly sendBuffer?: number | undefined
  /**
   * A client whose link takes no byte for this long while the buffer is full is cut off; one that reads slowly stays.
   * Default 30 seconds.
   */
  readonly sendTimeout?: Duration.Input | undefined
  /**
   * A client that said that it was done may hang up; its handler goes on with what it sent, for as long as it takes
   * some of it within this time. Default 5 seconds.
   */
  readonly closeTimeout?: Duration.Input | undefined
  /**
   * Time between pings. Default: no pings, because TCP notices most lost connections. Needs
   * `NodeSwaggerSocket.layerHttpServer`. 0 is a `RangeError`.
   */
  readonly pingInterval?: Duration.Input | undefined
  /** A client that does not answer a ping for this long is gone, and its handler interrupted. Default 20 seconds. */
  readonly pongTimeout?: Duration.Input | undefined
  /** Other codes than the default ones. Those that no close frame may have are a `RangeError`, as in `Call.close`. */
  readonly closeCodes?: Partial<CloseCodes> | undefined
  /**
   * Web pages that may call: origins such as `https://app.example.com`, a predicate, or `"*"` for all; others are
   * answered 403. Default: those of the host that the request is for. A list has to name that host's pages too. An
   * entry that is no origin is a `RangeError`.
   */
  readonly origins?: Origins | undefined
  /**
   * Names under which this server is reached, with or without a port: upgrades for others are answered 421. Default:
   * any. See `SwaggerSocketServer`.
   */
  readonly hosts?: ReadonlyArray<string> | undefined
  /** Runs when the WebSocket has opened, before the first message; its resources live as long as the call. */
  readonly onOpen?: ((call: Call) => Effect.Effect<void, never, Scope.Scope>) | undefined
}

/**
 * Settings of the WebSockets of a group: for all its endpoints, and for single ones, which go before.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<Identifier extends string = string> extends WebSocketOptions {
  /**
   * What the WebSockets of one address, of one principal and of this group may do together, `streamingWebSockets`,
   * `handshakesPerSecond` and `memory`; see `Quotas`. Default: those of `Quotas.layer`.
   */
  readonly quotas?: Quotas.Options | undefined
  /**
   * The address of a client, for the quotas of addresses. Default: that of its TCP connection. Behind a proxy give
   * `Quotas.forwardedAddress()`. See `SwaggerSocketServer`.
   */
  readonly addressOf?: ((upgrade: Handshake.Upgrade) => string | undefined) | undefined
  /** The principal whose quotas a call counts against, by `Equal.equals`. Default: none, no such quota holds. */
  readonly principalOf?: ((upgrade: Handshake.Upgrade) => unknown) | undefined
  /**
   * Runs when a quota is used up: for the first refusal at once, and then once a second for those that there were
   * meanwhile. One at a time: an event that is superseded while the hook runs is left out.
   */
  readonly onQuotaExceeded?: ((event: ConnectionEvent.QuotaExceeded) => Effect.Effect<void>) | undefined
  /** What is different for some endpoints. */
  readonly endpoints?: { readonly [I in Identifier]?: WebSocketOptions } | undefined
}

const toOptions = (
  shape: NonNullable<ReturnType<typeof shapeOf>>,
  view: string | undefined,
  options: WebSocketOptions
): (request: HttpServerRequest.HttpServerRequest, countLink: CountLink) => ServerCallOptions => {
  const { onOpen } = options
  const made = {
    takesMessages: shape.streamingPayload,
    errors: shape.errors,
    // goa's clients read the view from this field.
    headers: view === undefined ? {} : { "goa-view": view },
    maxMessageSize: options.maxMessageSize ?? defaultMaxMessageSize,
    sendBuffer: options.sendBuffer ?? maxBuffered,
    sendTimeout: Duration.fromInputUnsafe(options.sendTimeout ?? "30 seconds"),
    closeTimeout: Duration.fromInputUnsafe(options.closeTimeout ?? "5 seconds"),
    ping: pingsOf(options),
    closeCodes: {
      complete: CloseCode.NORMAL,
      goingAway: CloseCode.GOING_AWAY,
      noPong: CloseCode.TIMEOUT,
      tooSlow: CloseCode.TIMEOUT,
      unexpectedMessage: CloseCode.POLICY_VIOLATION,
      failed: CloseCode.INTERNAL_ERROR,
      ...options.closeCodes
    }
  }
  return (request, countLink) => ({
    ...made,
    countLink,
    onOpen: onOpen &&
      ((link: Link) =>
        onOpen({ request, close: (code, reason) => closeAs(link, code, reason), webSocket: link.webSocket }))
  })
}

const upgradeRequired = HttpServerResponse.empty({
  status: 426,
  headers: { connection: "Upgrade", upgrade: "websocket" }
})

const forbidden = HttpServerResponse.empty({ status: 403 })

const misdirected = HttpServerResponse.empty({ status: 421 })

/** Whether a GET has the client's messages as its body. Only connections do that: HTTP/1.1 has no reliable full duplex. */
const hasMessages = ({ headers }: HttpServerRequest.HttpServerRequest): boolean =>
  headers["content-type"]?.startsWith("application/x-ndjson") === true

const streaming = (
  options: Options | undefined,
  quotas: CallQuotas | undefined
): HttpApiMiddleware.HttpApiMiddleware<never, never, never> => {
  const { endpoints, ...ofAll } = options ?? {}
  return (handled, { endpoint }) => {
    const shape = shapeOf(endpoint)
    if (shape === undefined) return handled
    const handler = Effect.map(handled, (response) => logDefect(response, endpoint.identifier))
    const ofThis = { ...ofAll, ...endpoints?.[endpoint.identifier] }
    const checkPage = makePageCheck(ofThis)
    return Effect.gen(function*() {
      const request = yield* HttpServerRequest.HttpServerRequest
      if (isUpgrade(request)) {
        if (options === undefined) return upgradeRequired
        const refused = checkPage(request.headers)
        if (refused !== undefined) return refused === "host" ? misdirected : forbidden
        const admitted = yield* quotas!.admit(request)
        if (HttpServerResponse.isHttpServerResponse(admitted)) return admitted
        const view = shape.views.length > 0 ? yield* CurrentView : undefined
        return yield* serve(handler, toOptions(shape, view, ofThis)(request, admitted))
      }
      if (!shape.streamingPayload || endpoint.method !== "GET") return yield* handler
      if (!hasMessages(request)) return upgradeRequired
      return yield* Effect.provideService(handler, HttpServerRequest.HttpServerRequest, withBody(request))
    })
  }
}

/** Runs before the query is decoded, so that its answer can name the views. */
const views: HttpApiMiddleware.HttpApiMiddleware<never, typeof UnknownView, never> = (handler, { endpoint }) =>
  Effect.gen(function*() {
    const views = shapeOf(endpoint)?.views ?? []
    const view = String((yield* HttpServerRequest.ParsedSearchParams).view ?? "default")
    if (!views.includes(view)) return yield* new UnknownView({ view, views })
    return yield* Effect.provideService(handler, CurrentView, view)
  })

/** Throws for a code that can't be sent: calls would end with another one than was asked for. */
const assertCloseCodes = (options: Options | undefined): void => {
  const all = [options, ...Object.values<WebSocketOptions | undefined>(options?.endpoints ?? {})]
  for (const { closeCodes = {} } of all.filter(Predicate.isNotUndefined)) {
    for (const [name, code] of Object.entries(closeCodes)) assertCloseCode(code, `closeCodes.${name}`)
  }
}

const layerOf = (options: Options | undefined): Layer.Layer<Streaming | Views> => {
  assertCloseCodes(options)
  const withQuotas = options === undefined
    ? Layer.succeed(Streaming, streaming(undefined, undefined))
    : Layer.effect(
      Streaming,
      Effect.gen(function*() {
        const quotas = Quotas.make(options.quotas, yield* Quotas.Quotas)
        return streaming(options, yield* makeCallQuotas({ ...options, quotas }))
      })
    )
  return Layer.merge(withQuotas, Layer.succeed(Views, views))
}

/**
 * Serves the streaming endpoints of a group over both bindings.
 *
 * **Details**
 *
 * A GET that asks for a WebSocket gets one (PROTOCOL-streaming.md, "Over a WebSocket of its own"); handlers of all other requests
 * answer over HTTP, which on a connection of this package is full duplex. `endpoints` overrides the options for single
 * endpoints.
 *
 * **Gotchas**
 *
 * Provide it to `HttpApiBuilder.group`, as any middleware. On Node the server should be
 * `NodeSwaggerSocket.layerHttpServer`; another one has no pings and its own limit for messages.
 *
 * **Example** (An echo)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as Schema from "effect/Schema"
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as HttpApi from "effect/http-api/HttpApi"
 * import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
 * import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
 * import * as NodeSwaggerSocket from "effect-swaggersocket/node"
 * import * as StreamingEndpoint from "effect-swaggersocket/StreamingEndpoint"
 * import * as StreamingServer from "effect-swaggersocket/StreamingServer"
 *
 * class Chat extends HttpApi.make("Chat").add(
 *   HttpApiGroup.make("chat").add(
 *     StreamingEndpoint.get("echo", "/echo", { streamingPayload: Schema.String, streamingResult: Schema.String })
 *   )
 * ) {}
 *
 * const ChatLive = HttpApiBuilder.group(
 *   Chat,
 *   "chat",
 *   (handlers) => handlers.handle("echo", ({ payload }) => Effect.succeed(payload))
 * ).pipe(Layer.provide(StreamingServer.layer(Chat, "chat", { pingInterval: "25 seconds" })))
 *
 * export const Server = HttpRouter.serve(HttpApiBuilder.layer(Chat).pipe(Layer.provide(ChatLive))).pipe(
 *   Layer.provide(NodeSwaggerSocket.layerHttpServer({ port: 3000 }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <
  ApiId extends string,
  Groups extends HttpApiGroup.Constraint,
  const GroupIdentifier extends HttpApiGroup.Identifier<Groups>
>(
  api: HttpApi.HttpApi<ApiId, Groups>,
  group: GroupIdentifier & OnlyGet<HttpApiGroup.WithIdentifier<Groups, GroupIdentifier>>,
  options: Options<StreamingIdentifier<HttpApiGroup.WithIdentifier<Groups, GroupIdentifier>>> = {}
): Layer.Layer<Streaming | Views> => {
  assertOnlyGet(api.groups as unknown as Readonly<Record<string, HttpApiGroup.Top>>, [group])
  return layerOf(options)
}

/**
 * Serves streaming endpoints of any method on connections of this package, and to ordinary HTTP clients those that only
 * answer with a stream. Who asks for a WebSocket is answered 426.
 *
 * **Example** (An endpoint with another method than GET)
 *
 * ```ts
 * import * as ApiServer from "effect-swaggersocket/ApiServer"
 * import * as StreamingEndpoint from "effect-swaggersocket/StreamingEndpoint"
 * import * as StreamingServer from "effect-swaggersocket/StreamingServer"
 * import * as HttpApi from "effect/http-api/HttpApi"
 * import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
 * import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as HttpServer from "effect/http/HttpServer"
 * import * as Layer from "effect/Layer"
 * import * as Schema from "effect/Schema"
 * import * as Stream from "effect/Stream"
 *
 * class Store extends HttpApi.make("Store").add(
 *   HttpApiGroup.make("readings").add(
 *     StreamingEndpoint.make("POST")("count", "/count", { streamingPayload: Schema.Number, result: Schema.Number })
 *   )
 * ) {}
 *
 * const StoreLive = HttpApiBuilder.group(
 *   Store,
 *   "readings",
 *   (handlers) => handlers.handle("count", ({ payload }) => Stream.runCount(payload))
 * ).pipe(Layer.provide(StreamingServer.layerMultiplexed))
 *
 * export const Server = HttpRouter.serve(HttpApiBuilder.layer(Store).pipe(Layer.provide(StoreLive))).pipe(
 *   Layer.provide([ApiServer.layer, HttpServer.layerServices])
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMultiplexed: Layer.Layer<Streaming | Views> = layerOf(undefined)
