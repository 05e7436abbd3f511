/**
 * Calls streaming endpoints: over a WebSocket for each call, or over any `HttpClient` that is full duplex, such as
 * those of `ApiClient`. Both have the same type.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Sse from "effect/encoding/Sse"
import type * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiClient from "effect/http-api/HttpApiClient"
import type * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import type * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import type * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import type * as Schema from "effect/Schema"
import * as Socket from "effect/socket/Socket"
import type * as Stream from "effect/Stream"
import { maxBuffered } from "./internal/link/link.ts"
import { type ClientCallOptions, CurrentCall, make as makeHttpClient } from "./internal/streaming/client.ts"
import { pingsOf } from "./internal/streaming/heartbeat.ts"
import { defaultMaxMessageSize } from "./internal/streaming/messages.ts"
import { assertOnlyGet, shapeOf } from "./internal/streaming/shape.ts"
import { CurrentView, type OnlyGet, type StreamingIdentifier, type Viewed, type Views } from "./StreamingEndpoint.ts"

/**
 * A client of a whole API: its streaming endpoints take and give `Stream`s, and the view that a call asks for is the
 * type of what it gets.
 *
 * @since 0.1.0
 * @category models
 */
export type Client<Groups extends HttpApiGroup.Constraint> =
  & {
    readonly [Group in Extract<Groups, { readonly topLevel: false }> as HttpApiGroup.Identifier<Group>]: Methods<
      HttpApiGroup.Endpoints<Group>
    >
  }
  & Methods<HttpApiGroup.Endpoints<Extract<Groups, { readonly topLevel: true }>>>

/**
 * The client of an API, by the API's own type.
 *
 * @since 0.1.0
 * @category models
 */
export type ForApi<Api extends HttpApi.Constraint> = Api extends HttpApi.HttpApi<infer _Id, infer Groups> ?
  Client<Groups>
  : never

type Methods<Endpoints> = {
  readonly [Endpoint in Extract<Endpoints, HttpApiEndpoint.ConstraintRequest> as Endpoint["identifier"]]: Method<
    Endpoint
  >
}

type Method<Endpoint extends HttpApiEndpoint.ConstraintRequest> = Views extends Endpoint["~Middleware"]
  ? Endpoint["~Success"] extends HttpApiSchema.StreamSse<
    HttpApiSchema.SseEventFromData<Viewed<infer _Whole, infer ByName>>,
    infer Error,
    infer _Value
  > ? ViewedMethod<Endpoint, ByName, StreamError<Error>>
  : Endpoint["~Success"] extends Viewed<infer _Whole, infer ByName> ? ViewedMethod<Endpoint, ByName, "no stream">
  : never
  : HttpApiClient.Client.Method<Endpoint, never, never>

type StreamError<Error extends Schema.Constraint> =
  | Error["Type"]
  | HttpClientError.HttpClientError
  | Schema.SchemaError
  | Sse.Retry
  | Sse.SseError

type ViewedMethod<Endpoint extends HttpApiEndpoint.ConstraintRequest, ByName, Error> = <
  const View extends keyof ByName = "default" & keyof ByName,
  PayloadR = never
>(
  ...request: OptionalIfEmpty<ViewedRequest<Endpoint, View, PayloadR>>
) => Effect.Effect<
  ViewedResult<Extract<ByName[View], Schema.Constraint>["Type"], Error>,
  | Endpoint["~Error"]["Type"]
  | HttpApiMiddleware.Error<Endpoint["~Middleware"]>
  | HttpApiMiddleware.ClientError<Endpoint["~Middleware"]>
  | HttpClientError.HttpClientError
  | Schema.SchemaError,
  PayloadR | HttpApiEndpoint.ClientServices<Endpoint>
>

type ViewedResult<A, Error> = [Error] extends ["no stream"] ? A : Stream.Stream<A, Error>

type ViewedRequest<Endpoint extends HttpApiEndpoint.ConstraintRequest, View, PayloadR> =
  & Omit<
    Exclude<
      HttpApiEndpoint.ClientRequest<
        Endpoint["~Params"],
        Endpoint["~Query"],
        Endpoint["~Payload"],
        Endpoint["~Headers"],
        "decoded-only",
        PayloadR
      >,
      void
    >,
    "query" | "responseMode"
  >
  & WithQuery<Omit<Endpoint["~Query"]["Type"] & {}, "view"> & { readonly view?: View }>

type WithQuery<Query> = {} extends Query ? { readonly query?: Query } : { readonly query: Query }

type OptionalIfEmpty<Request> = {} extends Request ? [request?: Request] : [request: Request]

/**
 * Settings of the WebSockets of calls.
 *
 * @since 0.1.0
 * @category models
 */
export interface WebSocketOptions {
  /** Bytes of a message that is accepted. Default 1 MiB. Applied by `NodeSwaggerSocket.layerWebSocketConstructor`. */
  readonly maxMessageSize?: number | undefined
  /** Bytes that may wait in the socket before the payload's stream is suspended. Default 128 KiB. */
  readonly sendBuffer?: number | undefined
  /**
   * How long a server may take to answer the upgrade. Default 45 seconds, as goa's clients: its servers answer with the
   * first message.
   */
  readonly openTimeout?: Duration.Input | undefined
  /** Time between pings. Default: no pings. Needs `NodeSwaggerSocket.layerWebSocketConstructor`, as pages can't ping. */
  readonly pingInterval?: Duration.Input | undefined
  /** A server that does not answer a ping for this long is gone, and the call fails. Default 20 seconds. */
  readonly pongTimeout?: Duration.Input | undefined
  /** Sees each WebSocket before it opens: the platform's own object. */
  readonly configure?: ((webSocket: Socket.WebSocketLike) => void) | undefined
}

/**
 * Settings of a client whose streaming calls have a WebSocket each.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<Identifier extends string = string> extends WebSocketOptions {
  /** What the paths of the API are under, such as `http://localhost:3000`. */
  readonly baseUrl: URL | string
  /** What is different for some streaming endpoints. */
  readonly endpoints?: { readonly [I in Identifier]?: WebSocketOptions } | undefined
}

type Call = (
  request: { readonly query?: { readonly view?: string } } | undefined
) => Effect.Effect<unknown, unknown, unknown>

const makeWith = (
  api: HttpApi.Top,
  options: { readonly httpClient: HttpClient.HttpClient; readonly baseUrl?: URL | string | undefined },
  toOptions: (endpoint: string) => Omit<ClientCallOptions, "result">
): Effect.Effect<unknown> =>
  Effect.map(
    HttpApiClient.makeWith(api, options) as Effect.Effect<Record<string, Record<string, Call> & Call>>,
    (client) => {
      for (const group of Object.values(api.groups)) {
        const methods: Record<string, Call> = group.topLevel ? client : client[group.identifier]!
        for (const endpoint of Object.values(group.endpoints as Readonly<Record<string, HttpApiEndpoint.Top>>)) {
          const { identifier } = endpoint
          const call = methods[identifier]!
          const shape = shapeOf(endpoint)
          methods[identifier] = shape === undefined
            ? ordinaryCall(call)
            : streamingCall(call, { result: shape.result, ...toOptions(identifier) }, shape.views.length > 0)
        }
      }
      return client
    }
  )

/** An ordinary call may be made in the middle of a streaming one, whose options must not apply to it. */
const ordinaryCall = (call: Call): Call => (request) => Effect.provideService(call(request), CurrentCall, undefined)

const streamingCall = (call: Call, options: ClientCallOptions, hasViews: boolean): Call => (request) =>
  Effect.provideContext(
    call(hasViews ? { query: {}, ...request } : request),
    Context.make(CurrentCall, options).pipe(Context.add(CurrentView, request?.query?.view ?? "default"))
  )

const settings = (options: WebSocketOptions): Omit<ClientCallOptions, "result"> => ({
  configure: options.configure,
  maxMessageSize: options.maxMessageSize ?? defaultMaxMessageSize,
  sendBuffer: options.sendBuffer ?? maxBuffered,
  openTimeout: Duration.fromInputUnsafe(options.openTimeout ?? "45 seconds"),
  ping: pingsOf(options)
})

/**
 * A client of an API with streaming endpoints, on the `HttpClient` in context.
 *
 * **Details**
 *
 * On `ApiClient.layer` each call is a stream of the connection: full duplex, with its flow control, resumable, and the
 * same on either end. Ordinary HTTP clients can make the calls that only the server streams in.
 *
 * **Example** (On a connection)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 * import * as Stream from "effect/Stream"
 * import * as HttpApi from "effect/http-api/HttpApi"
 * import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
 * import * as ApiClient from "effect-swaggersocket/ApiClient"
 * import * as StreamingClient from "effect-swaggersocket/StreamingClient"
 * import * as StreamingEndpoint from "effect-swaggersocket/StreamingEndpoint"
 *
 * class Chat extends HttpApi.make("Chat").add(
 *   HttpApiGroup.make("chat").add(
 *     StreamingEndpoint.get("echo", "/echo", { streamingPayload: Schema.String, streamingResult: Schema.String })
 *   )
 * ) {}
 *
 * export const program = Effect.gen(function*() {
 *   const client = yield* StreamingClient.make(Chat)
 *   const echoes = yield* client.chat.echo({ payload: Stream.make("hello", "world") })
 *   yield* Stream.runForEach(echoes, (echo) => Effect.log(echo))
 * }).pipe(Effect.provide(ApiClient.layer))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <ApiId extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<ApiId, Groups>,
  options?: { readonly baseUrl?: URL | string | undefined }
): Effect.Effect<Client<Groups>, never, HttpClient.HttpClient | HttpApiGroup.MiddlewareClient<Groups>> =>
  Effect.flatMap(
    HttpClient.HttpClient,
    (httpClient) => makeWith(api as unknown as HttpApi.Top, { ...options, httpClient }, () => settings({}))
  ) as never

/**
 * A client of an API whose streaming calls have a WebSocket each; its other calls are made by the `HttpClient` in
 * context.
 *
 * **Details**
 *
 * PROTOCOL-streaming.md, "Over a WebSocket of its own", has the bytes. It speaks with `StreamingServer.layer` and with servers
 * that goa has generated. A server that refuses a call with a status fails it with the error that the API declares for
 * that; pages can't see why they were refused.
 *
 * **Example** (A conversation with a server of goa)
 *
 * ```ts
 * import * as NodeSwaggerSocket from "effect-swaggersocket/node"
 * import * as StreamingClient from "effect-swaggersocket/StreamingClient"
 * import * as StreamingEndpoint from "effect-swaggersocket/StreamingEndpoint"
 * import * as Effect from "effect/Effect"
 * import * as HttpApi from "effect/http-api/HttpApi"
 * import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
 * import * as FetchHttpClient from "effect/http/FetchHttpClient"
 * import * as Schema from "effect/Schema"
 * import * as Stream from "effect/Stream"
 *
 * class Chat extends HttpApi.make("Chat").add(
 *   HttpApiGroup.make("chat").add(
 *     StreamingEndpoint.get("echo", "/echo", { streamingPayload: Schema.String, streamingResult: Schema.String })
 *   )
 * ) {}
 *
 * export const program = Effect.gen(function*() {
 *   const client = yield* StreamingClient.makeWebSocket(Chat, {
 *     baseUrl: "http://localhost:8080",
 *     pingInterval: "25 seconds"
 *   })
 *   const echoes = yield* client.chat.echo({ payload: Stream.make("hello", "world") })
 *   yield* Stream.runForEach(echoes, (echo) => Effect.log(echo))
 * }).pipe(Effect.provide([FetchHttpClient.layer, NodeSwaggerSocket.layerWebSocketConstructor]))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeWebSocket = <ApiId extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<ApiId, Groups> & OnlyGet<Groups>,
  options: Options<StreamingIdentifier<Groups>>
): Effect.Effect<
  Client<Groups>,
  never,
  HttpClient.HttpClient | Socket.WebSocketConstructor | HttpApiGroup.MiddlewareClient<Groups>
> => {
  const { baseUrl, endpoints, ...ofAll } = options as Options
  const top = api as unknown as HttpApi.Top
  assertOnlyGet(top.groups)
  return Effect.gen(function*() {
    const httpClient = makeHttpClient(yield* HttpClient.HttpClient, yield* Socket.WebSocketConstructor)
    return yield* makeWith(
      top,
      { baseUrl, httpClient },
      (endpoint) => settings({ ...ofAll, ...endpoints?.[endpoint] })
    )
  }) as never
}
