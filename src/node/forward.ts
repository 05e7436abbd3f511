/**
 * Passes a request of a connection on to an HTTP server, over HTTP/1.1 on a socket of its own. Node's client writes it, and reads
 * the answer: nothing is decoded, and nothing is kept in memory beyond what the two sockets hold.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { HttpServerError, InternalError, RequestParseError } from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { PreventSchedulerYield } from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import type * as Stream from "effect/Stream"
import { randomBytes } from "node:crypto"
import * as Http from "node:http"
import * as Net from "node:net"
import type { Duplex } from "node:stream"
import * as Tls from "node:tls"
import * as forwarded from "../internal/http/forwarded.ts"
import { joinBytes } from "../internal/http/spliced.ts"
import { FrameMasker } from "./frameMasker.ts"
import { acceptanceOf, isWebSocket } from "./webSocketHandshake.ts"
import { writeBody } from "./writeBody.ts"

/** Why a server has not answered. @internal */
export interface Failure {
  readonly cause: unknown
  /** Whether the server may have the request. */
  readonly outcome: "not-sent" | "unknown"
  readonly isTimeout: boolean
}

/** The server that requests are passed on to. @internal */
export interface Upstream {
  /** Opens the socket of one request. `isUpgrade`: each direction may end by itself. */
  readonly connect: (caller: {
    readonly request: HttpServerRequest.HttpServerRequest
    readonly isSecure: boolean
    readonly isUpgrade: boolean
  }) => Duplex
  /** The event that tells that the socket is open. Absent: it is from the beginning. */
  readonly opened: "connect" | "secureConnect" | undefined
  readonly openTimeout: Duration.Input | undefined
  readonly answerTimeout: Duration.Input | undefined
  /** Keeps sockets for requests that may be sent again. Absent: each request has one of its own. */
  readonly agent?: Http.Agent | undefined
  /** Fields that are set beside those of the request, or instead of them. */
  readonly headers: Readonly<Record<string, string>>
  /** Answers the request when the server has not. */
  readonly failed: (failure: Failure) => Effect.Effect<HttpServerResponse.HttpServerResponse>
  /** The body of the answer broke off. */
  readonly broken: (cause: unknown) => Effect.Effect<void>
}

interface Answer {
  readonly response: Http.IncomingMessage
  /** What is left of the connection behind a 101. */
  readonly socket: Duplex | undefined
}

/** As large as the heads that others of Node's limits let through: what is too large for the wire fails there. */
const maxHeaderSize = 64 * 1024

const ignore = () => {}

/** The fields that are sent. `key`: that of the handshake of a WebSocket. */
const headersOf = (
  request: HttpServerRequest.HttpServerRequest,
  { hasBody, protocol }: forwarded.Arrival,
  { headers }: Upstream,
  key: string | undefined
): Record<string, string> => {
  const fields = { ...forwarded.endToEnd(request), ...headers }
  if (hasBody && fields["content-length"] === undefined) fields["transfer-encoding"] = "chunked"
  if (protocol !== undefined) Object.assign(fields, { connection: "Upgrade", upgrade: protocol })
  if (key !== undefined) {
    // Inside a connection WebSockets have neither a key nor extensions.
    delete fields["sec-websocket-extensions"]
    Object.assign(fields, { "sec-websocket-key": key, "sec-websocket-version": "13" })
  }
  return fields
}

/** Sends the body as fast as the server takes it. The server must not take a part for the whole. */
const upload = (body: Stream.Stream<Uint8Array, unknown>, to: Http.ClientRequest): Effect.Effect<void> =>
  Effect.catch(writeBody(body, to), () => Effect.sync(() => void to.destroy()))

/** A request on its way, and what its events tell. */
class Exchange {
  readonly sent: Http.ClientRequest
  readonly #open = Deferred.makeUnsafe<void, Failure>()
  readonly #answer = Deferred.makeUnsafe<Answer, Failure>()
  #isOpen = false
  /** The socket, where the request has one of its own. */
  #socket: Duplex | undefined
  /** What is left of the connection behind a 101. */
  #switched: Duplex | undefined
  /** Both directions of that have ended in good order. */
  isOver = false

  constructor(
    sent: Http.ClientRequest,
    opened: Upstream["opened"],
    asksForUpgrade: boolean,
    agent: Http.Agent | undefined
  ) {
    this.sent = sent
    sent.once("socket", (socket) => {
      if (agent === undefined) this.#socket = socket
      if (opened === undefined || sent.reusedSocket) this.#onOpen()
      else socket.once(opened, () => this.#onOpen())
    })
    sent.on("error", (cause) => this.#fail(cause))
    // Node tells no error of an upgrade that nobody has asked for.
    sent.on("close", () => this.#fail(new Error("the server's answer is none to this request")))
    sent.on("response", (response) => {
      // Until it is read its errors have no other listener.
      response.on("error", ignore)
      Deferred.doneUnsafe(this.#answer, Effect.succeed({ response, socket: undefined }))
    })
    // Without a listener Node closes the socket of an upgrade that nobody has asked for.
    if (asksForUpgrade) sent.on("upgrade", (response, socket, head) => this.#onUpgrade(response, socket, head))
  }

  #onOpen(): void {
    this.#isOpen = true
    Deferred.doneUnsafe(this.#open, Effect.void)
  }

  /** Tells that there is no answer, unless there was one. */
  #fail(cause: unknown): void {
    const failure = Effect.fail<Failure>({ cause, outcome: this.#isOpen ? "unknown" : "not-sent", isTimeout: false })
    Deferred.doneUnsafe(this.#open, failure)
    Deferred.doneUnsafe(this.#answer, failure)
  }

  #onUpgrade(response: Http.IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", ignore)
    if (head.length > 0) socket.unshift(head)
    this.#switched = socket
    Deferred.doneUnsafe(this.#answer, Effect.succeed({ response, socket }))
  }

  /** Waits for the head of the answer. */
  answered({ answerTimeout, openTimeout }: Upstream): Effect.Effect<Answer, Failure> {
    return Effect.andThen(
      within(Deferred.await(this.#open), openTimeout, "accepted the connection", "not-sent"),
      within(Deferred.await(this.#answer), answerTimeout, "answered", "unknown")
    )
  }

  /** Closes the socket. */
  end(): void {
    this.sent.destroy()
    if (this.#switched !== undefined) close(this.#switched, this.isOver)
    // Node lets go of the socket of an answer that does not say that it closes, also where no agent takes it.
    else this.#socket?.destroy()
  }
}

/** `waiting`, but for so long at most. */
const within = <A>(
  waiting: Effect.Effect<A, Failure>,
  duration: Duration.Input | undefined,
  what: string,
  outcome: Failure["outcome"]
): Effect.Effect<A, Failure> => {
  if (duration === undefined) return waiting
  const failure: Failure = { cause: new Error(`the server has not ${what} in time`), outcome, isTimeout: true }
  return Effect.timeoutOrElse(waiting, { duration, orElse: () => Effect.fail(failure) })
}

/** Masks what is written to a WebSocket. */
const masked = (socket: Socket.Socket): Socket.Socket => {
  const masker = new FrameMasker()
  const mask = (chunk: Uint8Array | string) => typeof chunk === "string" ? chunk : masker.mask(chunk)
  return Socket.make({
    reader: socket.reader,
    writer: Effect.map(socket.writer, ({ write, writeAll }) => ({
      write: (chunk) => write(Socket.isCloseEvent(chunk) ? chunk : mask(chunk)),
      writeAll: ([first, ...others]) => writeAll([mask(first), ...others.map(mask)])
    }))
  })
}

/** Closes a socket. What was written leaves before, if all went well; otherwise the server must not take it for the whole. */
const close = (socket: Duplex, isOver: boolean): void => {
  if (isOver && socket.writableEnded && !socket.writableFinished) socket.once("finish", () => socket.destroy())
  else if (!isOver && socket instanceof Net.Socket && !(socket instanceof Tls.TLSSocket)) socket.resetAndDestroy()
  else socket.destroy()
}

/** Nobody gets it. */
const upgraded = HttpServerResponse.empty({ status: 101 })

/** Joins both directions of an upgrade, until both have ended. */
const join = Effect.fnUntraced(function*(
  arrival: forwarded.Arrival,
  protocol: string,
  { headers, rawHeaders }: Http.IncomingMessage,
  socket: Duplex
): Effect.fn.Return<void, Socket.SocketError, Scope.Scope> {
  const opened = Effect.suspend(() =>
    socket.destroyed
      ? Effect.fail(new Socket.SocketError({ reason: new Socket.SocketCloseError({ code: 1006 }) }))
      : Effect.succeed(socket)
  )
  const far = yield* NodeSocket.fromDuplex(opened)
  // Events of the socket must not come before there are listeners.
  const fromFar = yield* Effect.provideService(far.reader, PreventSchedulerYield, true)
  const near = forwarded.switchTo(arrival, headers.upgrade ?? protocol, rawHeaders)
  yield* joinBytes(near, isWebSocket(protocol) ? masked(far) : far, fromFar)
})

const foreign = (request: HttpServerRequest.HttpServerRequest) =>
  new HttpServerError({
    reason: new InternalError({ request, description: "only requests of connections can be passed on" })
  })

/** The methods of requests that may be sent twice (RFC 9110 section 9.2.2). */
const idempotent: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"])

/** Sends the request: on a socket of its own, or by the agent. */
const send = (
  upstream: Upstream,
  request: HttpServerRequest.HttpServerRequest,
  arrival: forwarded.Arrival,
  key: string | undefined,
  agent: Http.Agent | undefined
): Effect.Effect<Exchange, HttpServerError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({
      try: () => {
        const isUpgrade = arrival.protocol !== undefined
        const sent = Http.request({
          method: request.method,
          path: request.url,
          headers: headersOf(request, arrival, upstream, key),
          maxHeaderSize,
          ...(agent === undefined
            ? { createConnection: () => upstream.connect({ request, isSecure: arrival.isSecure, isUpgrade }) }
            : { agent })
        })
        return new Exchange(sent, upstream.opened, isUpgrade, agent)
      },
      // A field with text that HTTP/1.1 can't carry.
      catch: (cause) => new HttpServerError({ reason: new RequestParseError({ request, cause }) })
    }),
    (exchange) => Effect.sync(() => exchange.end())
  )

/** Waits for the end of an answer that has no body: only then its socket is free for another request. */
const ended = (response: Http.IncomingMessage): Effect.Effect<void> =>
  Effect.callback((resume) => {
    response.once("close", () => resume(Effect.void))
    response.resume()
  })

const isBodiless = (method: string, status: number): boolean => method === "HEAD" || status === 204 || status === 304

/** Passes the current request on. When its caller gives up, the socket to the server is closed. @internal */
export const forward = (
  upstream: Upstream
): Effect.Effect<
  HttpServerResponse.HttpServerResponse,
  HttpServerError,
  HttpServerRequest.HttpServerRequest | Scope.Scope
> =>
  Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    const arrival = forwarded.arrivalOf(request)
    if (arrival === undefined) return yield* foreign(request)
    const { hasBody, protocol } = arrival
    const key = isWebSocket(protocol) ? randomBytes(16).toString("base64") : undefined
    const mayRepeat = !hasBody && protocol === undefined && idempotent.has(request.method)
    let exchange = yield* send(upstream, request, arrival, key, mayRepeat ? upstream.agent : undefined)
    if (hasBody) yield* Effect.forkScoped(upload(request.stream, exchange.sent))
    else exchange.sent.end()
    let answer = yield* Effect.result(exchange.answered(upstream))
    // The server may have closed the socket just when it was taken (RFC 9112 section 9.3.1).
    if (answer._tag === "Failure" && !answer.failure.isTimeout && exchange.sent.reusedSocket) {
      exchange = yield* send(upstream, request, arrival, key, undefined)
      exchange.sent.end()
      answer = yield* Effect.result(exchange.answered(upstream))
    }
    if (answer._tag === "Failure") return yield* upstream.failed(answer.failure)
    const { response, socket } = answer.success
    if (socket === undefined) {
      const { rawHeaders, statusCode } = response
      if (statusCode! > 599) {
        const cause = new Error(`the server's status is ${statusCode}`)
        return yield* upstream.failed({ cause, outcome: "unknown", isTimeout: false })
      }
      if (exchange.sent.shouldKeepAlive && isBodiless(request.method, statusCode!)) yield* ended(response)
      return forwarded.answer({ status: statusCode!, rawHeaders, body: response }, upstream.broken)
    }
    if (key !== undefined && response.headers["sec-websocket-accept"] !== acceptanceOf(key)) {
      const cause = new Error("the server's handshake for a WebSocket is invalid")
      return yield* upstream.failed({ cause, outcome: "unknown", isTimeout: false })
    }
    const switched = exchange
    yield* Effect.match(Effect.scoped(join(arrival, protocol!, response, socket)), {
      // Both sides were released, with the failure.
      onFailure: ignore,
      onSuccess: () => {
        switched.isOver = true
      }
    })
    return upgraded
  }).pipe(Effect.interruptible)
