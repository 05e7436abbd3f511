/**
 * The server's side of an exchange: runs an Effect HTTP app for each request of the peer.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Cookies from "effect/http/Cookies"
import * as Headers from "effect/http/Headers"
import * as HttpEffect from "effect/http/HttpEffect"
import type { HttpMiddleware } from "effect/http/HttpMiddleware"
import { causeResponse, ClientAbort, HttpServerError, ResponseError } from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { App, Peer } from "../connection/peer.ts"
import { ErrorCode, type Violation, violation } from "../frame/errorCode.ts"
import type { Request } from "../frame/Frame.ts"
import type { Field } from "../frame/headTable.ts"
import { Gate } from "../scheduling/gate.ts"
import { standstill } from "../scheduling/standstill.ts"
import type { Multiplexed } from "../streams/multiplexed.ts"
import type { HttpStream, StreamFailure, StreamHandler } from "../streams/stream.ts"
import { UnusableBody } from "./chunks.ts"
import { formatDate } from "./date.ts"
import { toError } from "./failure.ts"
import { contentLengthOf, toFields } from "./fields.ts"
import { IncomingBody } from "./incomingBody.ts"
import { cancel, fromHttpBody, Room, send } from "./outgoingBody.ts"
import { ServerRequest, type Source } from "./serverRequest.ts"
import { asDecoded } from "./webHandler.ts"

class ServerExchange implements StreamHandler, Source {
  readonly mux: Multiplexed
  readonly stream: HttpStream
  readonly request: Request
  readonly body: IncomingBody
  readonly remoteAddress: Option.Option<string>
  readonly isSecure: boolean
  /** Present while the answer's body is a stream. */
  room: Room | undefined = undefined
  readonly inProgress: InProgress
  readonly #clock: Clock.Clock
  #fiber: Fiber.Fiber<void> | undefined = undefined
  #isStopped = false
  #controller: AbortController | undefined = undefined

  constructor(
    peer: Peer,
    stream: HttpStream,
    request: Request,
    declared: number | undefined,
    inProgress: InProgress,
    clock: Clock.Clock
  ) {
    this.inProgress = inProgress
    this.#clock = clock
    this.mux = peer.mux
    this.stream = stream
    this.request = request
    this.remoteAddress = peer.remoteAddress
    this.isSecure = peer.isSecure
    this.body = new IncomingBody(peer.mux, stream, declared, request.end)
  }

  get signal(): AbortSignal {
    return (this.#controller ??= new AbortController()).signal
  }

  /** The field of a response that is made now. */
  get date(): Field {
    return ["date", formatDate(this.#clock.currentTimeMillisUnsafe())]
  }

  onResponse(): undefined {}

  onData(data: Uint8Array, end: boolean): Violation | undefined {
    return this.body.push(data, end)
  }

  onFailure(failure: StreamFailure): void {
    this.body.fail(toError(failure))
    this.onStopSending()
  }

  /** Nobody waits for the answer any more. */
  onStopSending(): void {
    this.#isStopped = true
    this.#fiber?.interruptUnsafe(undefined, ClientAbort.annotation)
    this.#controller?.abort()
  }

  onWritable(): void {
    this.room?.free()
  }

  /** Bytes of the answer that have left, while it waits for its reader; `undefined` while that can't be said. */
  get sentToReader(): number | undefined {
    const { buffered } = this.stream
    return this.room?.isFull && buffered !== undefined ? this.room.written - buffered : undefined
  }

  /** The handler runs in a fiber, which ends with `fibers`. */
  runIn(fiber: Fiber.Fiber<void>, fibers: Scope.Scope): void {
    if (fiber.pollUnsafe() !== undefined) return this.#settle()
    this.#fiber = fiber
    this.stream.handled = true
    fiber.addObserver(this.#settle)
    Fiber.runIn(fiber, fibers)
    // Its own beginning may have ended the exchange.
    if (this.#isStopped) this.onStopSending()
  }

  /** The handler is done, whether or not it answered and read everything. */
  readonly #settle = (): void => {
    this.inProgress.end(this)
    if (this.stream.isWritten) this.mux.stopReading(this.stream)
    else this.mux.reset(this.stream, ErrorCode.INTERNAL_ERROR, "the handler failed")
  }
}

/** The requests that are being handled. */
class InProgress {
  readonly #gate = new Gate()
  readonly #exchanges = new Set<ServerExchange>()

  begin(exchange: ServerExchange): void {
    this.#exchanges.add(exchange)
  }

  end(exchange: ServerExchange): void {
    this.#exchanges.delete(exchange)
    if (this.#gate.isAwaited) this.#gate.notify()
  }

  /** Waits until there are none, or for `period` no more than answers that nobody reads. */
  idle(period: Duration.Duration): Effect.Effect<void> {
    const none = this.#gate.until(() => this.#exchanges.size === 0)
    return Effect.raceFirst(none, standstill(() => this.#sentToReaders(), period))
  }

  /** Grows while answers get on; `undefined` while that is up to a handler, which may take its time. */
  #sentToReaders(): number | undefined {
    let sum = 0
    for (const { sentToReader } of this.#exchanges) {
      if (sentToReader === undefined) return undefined
      sum += sentToReader
    }
    return sum
  }
}

/**
 * An app for every request of a peer, as `NodeHttpServer` makes one of a Node server: each request runs in a fiber and a
 * scope of its own, and is interrupted when the peer goes away. `idle` waits until none is in progress, but for answers of which
 * nobody has read anything for a period.
 *
 * @internal
 */
export const makeApp = (
  httpApp: Effect.Effect<
    HttpServerResponse.HttpServerResponse,
    unknown,
    HttpServerRequest.HttpServerRequest | Scope.Scope
  >,
  middleware: HttpMiddleware | undefined
): Effect.Effect<{ readonly app: App; readonly idle: InProgress["idle"] }, never, Scope.Scope> => {
  const handled = HttpEffect.toHandled(httpApp, respond, middleware)
  return Effect.contextWith((services: Context.Context<Scope.Scope>) => {
    const clock = Context.get(services, Clock.Clock)
    const fibers = Scope.forkUnsafe(Context.get(services, Scope.Scope), "parallel")
    const inProgress = new InProgress()
    const app: App = (peer, stream, request) => {
      const declared = contentLengthOf(request.fields)
      if (typeof declared === "string") return violation(ErrorCode.MALFORMED, declared)
      if (request.end && declared !== undefined && declared > 0) return lengthWithoutBody(declared)
      const exchange = new ServerExchange(peer, stream, request, declared, inProgress, clock)
      stream.handler = exchange
      const context = Context.add(
        peer.provide(services),
        HttpServerRequest.HttpServerRequest,
        new ServerRequest(exchange)
      )
      inProgress.begin(exchange)
      exchange.runIn(Effect.runForkWith(context)(handled), fibers)
      return undefined
    }
    return Effect.succeed({ app, idle: (period) => inProgress.idle(period) })
  })
}

const lengthWithoutBody = (declared: number): Violation =>
  violation(ErrorCode.MALFORMED, `there is no body, content-length says ${declared}`)

const respond = (
  request: HttpServerRequest.HttpServerRequest,
  response: HttpServerResponse.HttpServerResponse,
  webCookies: ReadonlyArray<string> = []
): Effect.Effect<void, HttpServerError> => {
  const exchange = ServerRequest.sourceOf(request) as ServerExchange
  const { mux, stream } = exchange
  const fail = (description: string, cause?: unknown) => {
    cancel(response.body)
    return Effect.fail(new HttpServerError({ reason: new ResponseError({ request, response, description, cause }) }))
  }
  const refuse = (description: string, cause?: unknown) => {
    mux.respond(stream, 500, [exchange.date], true)
    return fail(description, cause)
  }
  if (!(response.status >= 200 && response.status <= 599)) return refuse(`invalid final status ${response.status}`)
  const body = response.body
  if (body._tag === "Raw" && body.body instanceof Response) {
    return respond(request, mergeWeb(response, body.body), body.body.headers.getSetCookie())
  }
  const withoutBody = HttpServerResponse.omitsBody(response, request.method === "HEAD")
  const outgoing = withoutBody ? undefined : fromHttpBody(body)
  if (outgoing instanceof UnusableBody) return refuse(outgoing.message, outgoing)
  let headers = response.headers
  if (response.status === 204 || response.status === 205) headers = Headers.remove(headers, "content-length")
  if (outgoing?.contentType !== undefined && headers["content-type"] === undefined) {
    headers = Headers.set(headers, "content-type", outgoing.contentType)
  }
  const fields = toFields(
    headers,
    Cookies.isEmpty(response.cookies) ? webCookies : [...webCookies, ...Cookies.toSetCookieHeaders(response.cookies)]
  )
  if (typeof fields === "string") return refuse(fields)
  // As Node's server does, on which handlers run elsewhere.
  if (headers.date === undefined) fields.push(exchange.date)
  if (outgoing === undefined) {
    const refused = mux.respond(stream, response.status, fields, true)
    if (refused !== undefined) return fail(refused.reason)
    cancel(body)
    return Effect.void
  }
  const declared = contentLengthOf(fields)
  if (typeof declared === "string") return refuse(declared)
  if (outgoing._tag === "Bytes") {
    const bytes = outgoing.bytes
    if (declared !== undefined && declared !== bytes.length) {
      return refuse(`the body has ${bytes.length} bytes, content-length says ${declared}`)
    }
    const refused = mux.respond(stream, response.status, fields, bytes.length === 0)
    if (refused !== undefined) return fail(refused.reason)
    mux.write(stream, bytes)
    mux.finish(stream)
    return Effect.void
  }
  const refused = mux.respond(stream, response.status, fields, false)
  if (refused !== undefined) return fail(refused.reason)
  exchange.room = new Room()
  return send(mux, stream, outgoing.stream, declared, exchange.room).pipe(
    Effect.interruptible,
    Effect.catchCause((cause) => {
      // It may not have begun.
      cancel(body)
      // Ending the body in good order would make a part look like the whole.
      mux.reset(stream, ErrorCode.INTERNAL_ERROR, "the body failed")
      // Not `Cause.combine`, which compares by structure what may lead to anything that lives.
      const withResponse = Cause.fromReasons([...cause.reasons, Cause.makeDieReason(response)])
      return Effect.flatMap(causeResponse(cause), () => Effect.failCause(withResponse) as Effect.Effect<never>)
    })
  )
}

/** A `Response` of the web as the body: its head is the answer's, where the answer says nothing else. */
const mergeWeb = (
  response: HttpServerResponse.HttpServerResponse,
  web: Response
): HttpServerResponse.HttpServerResponse => {
  // Its cookies are sent as they are: `Cookies` have one for each name.
  const converted = HttpServerResponse.replaceCookies(HttpServerResponse.fromWeb(asDecoded(web)), response.cookies)
  return HttpServerResponse.setHeaders(converted, response.headers)
}
