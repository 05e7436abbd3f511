/**
 * WebSockets that a client asks its peer for (PROTOCOL.md, "WebSockets").
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import type * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Socket from "effect/socket/Socket"
import { OpenedSocket } from "./rawSocket.ts"
import { openError } from "./rawStream.ts"
import { SwitchedSocket } from "./upgrades.ts"
import { maxMessageSize, WebSocketStream } from "./webSocketStream.ts"

/** @internal */
export interface WebSocketOptions {
  readonly protocols?: string | ReadonlyArray<string> | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly openTimeout?: Duration.Input | undefined
  readonly maxMessageSize?: number | undefined
}

/** A WebSocket that is open. @internal */
export interface Connected {
  readonly webSocket: WebSocketStream
  /** The subprotocol, if one was chosen. */
  readonly protocol: string
}

const requestOf = (url: string, offered: ReadonlyArray<string>, options: WebSocketOptions) =>
  HttpClientRequest.get(url.replace(/^ws(?=s?:)/i, "http"), {
    headers: Headers.fromInput({
      ...options.headers,
      "sec-websocket-version": "13",
      ...(offered.length === 0 ? undefined : { "sec-websocket-protocol": offered.join(", ") })
    })
  }).pipe(HttpClientRequest.upgrade("websocket"))

const failed = (cause: unknown, kind: "Unknown" | "Timeout" = "Unknown") =>
  new Socket.SocketError({ reason: new Socket.SocketOpenError({ kind, cause }) })

/** The WebSocket of a response with the status 101. @internal */
export const fromResponse = (
  response: HttpClientResponse.HttpClientResponse,
  maxSize: number
): Effect.Effect<WebSocketStream, Socket.SocketError> =>
  response.upgrade.pipe(
    Effect.mapError(() => openError(`answered ${response.status}, not 101`)),
    Effect.flatMap((socket) =>
      socket instanceof SwitchedSocket
        ? socket.open
        : Effect.fail(openError("the HttpClient is not one of effect-swaggersocket/ApiClient"))
    ),
    Effect.map((raw) => new WebSocketStream(raw, maxSize, true))
  )

/** Asks for a WebSocket. What waits for the peer goes into `restore`, and can be interrupted. @internal */
export const connect = (
  client: HttpClient.HttpClient,
  url: string,
  options: WebSocketOptions,
  restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
): Effect.Effect<Connected, Socket.SocketError> =>
  Effect.gen(function*() {
    const offered = typeof options.protocols === "string" ? [options.protocols] : options.protocols ?? []
    const response = yield* restore(
      client.execute(requestOf(url, offered, options)).pipe(
        Effect.mapError((error) => failed(error)),
        Effect.timeoutOrElse({
          duration: options.openTimeout ?? "10 seconds",
          orElse: () => Effect.fail(failed(new Error("the peer has not answered in time"), "Timeout"))
        })
      )
    )
    const webSocket = yield* fromResponse(response, options.maxMessageSize ?? maxMessageSize)
    const protocol = response.headers["sec-websocket-protocol"] ?? ""
    if (protocol === "" || offered.includes(protocol)) return { webSocket, protocol }
    webSocket.end(1002, "a subprotocol that was not offered")
    return yield* openError(`the peer has chosen the subprotocol ${protocol}, which was not offered`)
  })

/** A socket of messages: each reader asks for another WebSocket, and writers wait while the peer does not read. @internal */
export const makeSocket = (
  client: HttpClient.HttpClient,
  url: Effect.Effect<string>,
  options: WebSocketOptions
): Socket.Socket =>
  new OpenedSocket(
    (restore) =>
      Effect.flatMap(restore(url), (url) =>
        Effect.map(connect(client, url, options, restore), ({ webSocket }) => webSocket)),
    true
  )
