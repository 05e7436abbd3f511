/**
 * A client of the chatter service over either binding, for a program that makes one call.
 */
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as StreamingClient from "effect-swaggersocket/StreamingClient"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketError from "effect-swaggersocket/SwaggerSocketError"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as HttpApiError from "effect/http-api/HttpApiError"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import type { IncomingMessage } from "node:http"
import type { WebSocket } from "ws"
import { Chatter } from "./api.ts"
import { InvalidScopesError, TokenExpiredError, UnauthorizedError } from "./errors.ts"
import { Stopped } from "./terminal.ts"

/** `websocket`: one for each streaming call, as goa has it. `connection`: one for all calls, which survives its links. */
type Binding = "websocket" | "connection"

export interface Options {
  readonly url: URL
  readonly binding: Binding
  /** Tells on the standard error what is asked and answered. */
  readonly verbose: boolean
  readonly authorize: (request: HttpClientRequest.HttpClientRequest) => HttpClientRequest.HttpClientRequest
  /** Runs when the server can be spoken with: when the WebSocket of a call, or the connection, is open. */
  readonly onOpen: () => void
}

/** A summary is one message, with all that was sent in its call. */
const maxMessageSize = 64 * 1024 * 1024

/** The client's methods. What needs a connection lives as long as the scope. */
export const make = Effect.fnUntraced(function*(options: Options) {
  const change = HttpClient.mapRequestEffect((request: HttpClientRequest.HttpClientRequest) => {
    const authorized = options.authorize(request)
    return options.verbose ? Effect.as(tellRequest(authorized), authorized) : Effect.succeed(authorized)
  })
  const context = yield* Layer.build(options.binding === "websocket" ? FetchHttpClient.layer : layerConnection(options))
  return yield* (options.binding === "websocket"
    ? StreamingClient.makeWebSocket(Chatter, {
      baseUrl: options.url,
      maxMessageSize,
      configure: (webSocket) => watch(webSocket as unknown as WebSocket, options)
    })
    : StreamingClient.make(Chatter)).pipe(
      Effect.updateService(HttpClient.HttpClient, (client) => change(options.verbose ? tellResponses(client) : client)),
      Effect.provideContext(context),
      Effect.provide(NodeSwaggerSocket.layerWebSocketConstructor),
      Effect.map(({ chatter }) => chatter)
    )
})

/** A connection that is there, or the reason why the first attempt has failed. Later losses are got over. */
const layerConnection = ({ onOpen, url }: Options) => {
  const socket = new URL("/socket", url.href.replace(/^http/, "ws"))
  return ApiClient.layer.pipe(
    Layer.tap(() =>
      Effect.gen(function*() {
        const { changes } = yield* SwaggerSocketClient.SwaggerSocketClient
        const first = yield* changes.pipe(
          Stream.filter((status) => status._tag !== "Connecting"),
          Stream.runHead
        )
        if (Option.isSome(first) && first.value._tag !== "Connected") {
          return yield* new Stopped({ reason: reasonOf(first.value.error) })
        }
        onOpen()
      })
    ),
    Layer.provide(SwaggerSocketClient.layer({ url: socket.href })),
    Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
  )
}

const watch = (webSocket: WebSocket, { onOpen, verbose }: Options): void => {
  webSocket.once("open", onOpen)
  if (!verbose) return
  const tell = ({ headers, statusCode }: IncomingMessage) =>
    Effect.runFork(tellResponse(statusCode, Object.entries(headers)))
  webSocket.once("upgrade", tell)
  webSocket.once("unexpected-response", (_request, response) => tell(response))
}

const tellRequest = ({ headers, method, url }: HttpClientRequest.HttpClientRequest): Effect.Effect<void> =>
  Console.error(
    [
      `> ${method} ${url}`,
      ...Object.entries(headers).map(([name, value]) =>
        `> ${name}: ${name === "authorization" ? value.replace(/ .*/, " <redacted>") : value}`
      )
    ].join("\n")
  )

const tellResponse = (status: number | undefined, headers: Iterable<readonly [string, unknown]>): Effect.Effect<void> =>
  Console.error([`< ${status}`, ...Array.from(headers, ([name, value]) => `< ${name}: ${value}`)].join("\n"))

const tellResponses: (client: HttpClient.HttpClient) => HttpClient.HttpClient = HttpClient.tap((
  { headers, status }: HttpClientResponse.HttpClientResponse
) => tellResponse(status, Object.entries(headers)))

/** What the user needs to know of an error, in a line. */
export const reasonOf = (error: unknown): string => {
  if (error instanceof UnauthorizedError) return `Credentials are invalid: ${error.reason}`
  if (error instanceof TokenExpiredError) return `Credentials are invalid: ${error.message}`
  if (error instanceof InvalidScopesError) return `Not allowed: ${error.reason}`
  if (HttpApiError.HttpApiPayloadTooLarge.is(error)) return "The message is too large"
  if (HttpClientError.isHttpClientError(error) || SwaggerSocketError.isSwaggerSocketError(error)) {
    const { reason } = error
    const cause = "cause" in reason ? reason.cause : undefined
    const description = "description" in reason ? reason.description : undefined
    if (cause !== undefined) return reasonOf(cause)
    return "response" in reason ? `the server answered ${reason.response.status}` : description ?? error.message
  }
  if (Socket.isSocketError(error)) return "cause" in error.reason ? reasonOf(error.reason.cause) : error.message
  // What a WebSocket tells, and what there is for each of the several addresses of a name.
  if (Predicate.hasProperty(error, "error")) return reasonOf(error.error)
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0])
  if (!(error instanceof Error)) return String(error)
  return error.cause === undefined ? error.message.split("\n", 1)[0]! : reasonOf(error.cause)
}
