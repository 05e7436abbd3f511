/**
 * Upgrades that are passed on where the two sides share no streams: a caller over plain HTTP, or a request whose body was read. What
 * arrives on one socket is written to the other.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import type * as HttpClient from "effect/http/HttpClient"
import type { HttpClientError } from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpServerError } from "effect/http/HttpServerError"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import { fromResponse } from "./clientWebSocket.ts"
import { passedOn as toAnswer } from "./passedOn.ts"
import { isEnd, OpenedSocket } from "./rawSocket.ts"
import { isCloseCode } from "./webSocketFrames.ts"
import { maxMessageSize } from "./webSocketStream.ts"

/** Fields of a WebSocket's handshake that concern one link alone. */
const ofLink = ["sec-websocket-key", "sec-websocket-extensions"]

/** The platform of the server can't upgrade the request of the caller. */
const notUpgradable = HttpServerResponse.empty({ status: 501 })
/** Nobody gets it. */
const upgraded = HttpServerResponse.empty({ status: 101 })

/** Writes what is read, until that fails. */
const pump = ({ pull }: Socket.Reader, to: Socket.Writer): Effect.Effect<never, Socket.SocketError> =>
  Effect.forever(Effect.flatMap(pull, to.writeAll))

/** What the other side is told: 1005, no code, is an end in good order, and of a lost side it need not know more. */
const passedOn = (code: number): number => code === 1005 ? 1000 : isCloseCode(code) ? code : 1011

/** How long bytes are read that nobody wants. As nginx, which waits five seconds for each of them, and 30 in all. */
const lingering = "10 seconds"

/** TCP destroys what was sent last where a connection is closed while bytes of its other end are unread (RFC 9293 section 3.6.1). */
const discard = ({ pull }: Socket.Reader): Effect.Effect<void> =>
  Effect.asVoid(Effect.timeoutOption(Effect.exit(Effect.forever(pull)), lingering))

/** Joins two sockets of messages: whoever closes closes both. Messages to a side that has closed would arrive nowhere. */
const joinMessages = (near: Socket.Socket, far: Socket.Socket) =>
  Effect.gen(function*() {
    const [toNear, toFar] = [yield* near.writer, yield* far.writer]
    const [fromFar, fromNear] = [yield* far.reader, yield* near.reader]
    const direction = (from: Socket.Reader, to: Socket.Writer) =>
      Effect.catchReason(pump(from, to), "SocketError", "SocketCloseError", ({ closeReason, code }) =>
        // Whoever was told first has closed by then.
        Effect.ignore(to.write(new Socket.CloseEvent(passedOn(code), closeReason))))
    yield* Effect.raceFirst(direction(fromFar, toNear), direction(fromNear, toFar))
  })

/** What is known of the connection of a caller over plain HTTP, on Node. */
interface Connection {
  readonly encrypted?: boolean
  readonly destroyed: boolean
  readonly writableEnded: boolean
  readonly resetAndDestroy?: () => void
}

/** Resets a connection before its socket is released, which would send a FIN: its caller must not take a part for the whole. */
const reset = ({ source }: HttpServerRequest.HttpServerRequest): Effect.Effect<void> =>
  Effect.sync(() => {
    const { socket } = source as { readonly socket?: Connection }
    // TLS has no reset of its own.
    if (socket === undefined || socket.destroyed || socket.writableEnded || socket.encrypted === true) return
    socket.resetAndDestroy?.()
  })

/**
 * Joins two sockets of bytes: each direction ends by itself. `fromFar` is the reader of `far`, and `request` that of `near`, where it
 * may have come over plain HTTP.
 *
 * @internal
 */
export const joinBytes = (
  near: Socket.Socket,
  far: Socket.Socket,
  fromFar: Socket.Reader,
  request?: HttpServerRequest.HttpServerRequest
): Effect.Effect<void, Socket.SocketError, Scope.Scope> =>
  Effect.gen(function*() {
    const fromNear = yield* near.reader
    const direction = Effect.fnUntraced(function*(from: Socket.Reader, to: Socket.Socket) {
      const writing = yield* Scope.make()
      const writer = yield* Scope.provide(to.writer, writing)
      yield* pump(from, writer).pipe(
        Effect.catchIf(isEnd, () => Scope.close(writing, Exit.void)),
        // It wants no more bytes, and may still have sent some. If it is lost, so is what it sends: the other direction fails.
        Effect.catchReason("SocketError", "SocketWriteError", () => discard(from))
      )
    })
    const both = Effect.all([direction(fromFar, near), direction(fromNear, far)], {
      concurrency: "unbounded",
      discard: true
    })
    yield* request === undefined ? both : Effect.onError(both, () => reset(request))
  })

/**
 * Passes a request for an upgrade on. An answer other than 101 is passed on as well.
 *
 * @internal
 */
export const splice = (
  client: HttpClient.HttpClient,
  request: HttpServerRequest.HttpServerRequest,
  passedOn: HttpClientRequest.HttpClientRequest
): Effect.Effect<HttpServerResponse.HttpServerResponse, HttpClientError> => {
  const protocol = request.headers.upgrade!
  const isWebSocket = protocol.toLowerCase() === "websocket"
  const { hash, headers, method, url, urlParams } = passedOn
  const offered = headers["sec-websocket-protocol"]
  const fields = Headers.removeMany(
    // Servers select the first one for the caller, whatever the peer selects.
    offered === undefined ? headers : Headers.set(headers, "sec-websocket-protocol", offered.split(",")[0]!.trim()),
    ofLink
  )
  const asking = HttpClientRequest.makeWith(method, url, urlParams, hash, fields, HttpBody.empty)
  return Effect.flatMap(client.execute(HttpClientRequest.upgrade(asking, protocol)), (response) => {
    if (response.status !== 101) return Effect.succeed(toAnswer(response))
    const joined: Effect.Effect<void, Socket.SocketError | HttpServerError | HttpClientError, Scope.Scope> = isWebSocket
      ? Effect.flatMap(
        request.upgrade,
        (near) => joinMessages(near, new OpenedSocket(() => fromResponse(response, maxMessageSize)))
      )
      : Effect.gen(function*() {
        const far = yield* response.upgrade
        const fromFar = yield* far.reader
        yield* joinBytes(yield* request.upgrade, far, fromFar, request)
      })
    return Effect.match(Effect.scoped(joined), {
      // Both sockets were released, whatever has gone wrong.
      onFailure: ({ _tag }) => _tag === "HttpServerError" ? notUpgradable : upgraded,
      onSuccess: () => upgraded
    })
  })
}
