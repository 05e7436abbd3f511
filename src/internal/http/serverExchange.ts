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
import type { App, CallCounter, Peer } from "../connection/peer.ts"
import type { Violation } from "../frame/codes.ts"
import * as ErrorCode from "../frame/ErrorCode.ts"
import type { Request } from "../frame/Frame.ts"
import { switchingProtocols, upgradeField } from "../frame/grammar.ts"
import type { Field } from "../frame/headTable.ts"
import type { Multiplexed } from "../streams/multiplexed.ts"
import type { HttpStream, StreamFailure, StreamHandler } from "../streams/stream.ts"
import { dateField, declaredLength, isRefused } from "./arrival.ts"
import { UnusableBody } from "./chunks.ts"
import { toError } from "./failure.ts"
import { contentLengthOf, toFields } from "./fields.ts"
import { IncomingBody } from "./incomingBody.ts"
import { InProgress, type Served } from "./inProgress.ts"
import { cancel, fromHttpBody, send } from "./outgoingBody.ts"
import type { Calling, Relayed } from "./relayed.ts"
import { Room } from "./room.ts"
import { ServerRequest, type Source } from "./serverRequest.ts"
import { TakenOver } from "./takenOver.ts"
import type { Raw } from "./upgradable.ts"
import { asDecoded } from "./webHandler.ts"

class ServerExchange implements StreamHandler, Source, Calling, Served {
  readonly mux: Multiplexed
  readonly stream: HttpStream
  readonly request: Request
  readonly body: IncomingBody
  readonly remoteAddress: Option.Option<string>
  readonly isSecure: boolean
  /** Present while a streamed body is sent. */
  room: Room | undefined
  readonly inProgress: InProgress
  isAnswered = false
  /** What the stream was upgraded to. */
  raw: Raw | undefined
  readonly #calls: CallCounter | undefined
  readonly #clock: Clock.Clock
  #fiber: Fiber.Fiber<void> | undefined
  #isStopped = false
  /** The answer of the peer that the request was passed on to. */
  #diverted: Relayed | undefined
  #controller: AbortController | undefined

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
    this.#calls = peer.calls
    this.stream = stream
    // As over HTTP/1.1, whose servers look for it. It is not on the wire.
    this.request = stream.asksForUpgrade === true
      ? { ...request, fields: [...request.fields, ["connection", "Upgrade"]] }
      : request
    this.remoteAddress = peer.remoteAddress
    this.isSecure = peer.isSecure
    this.body = new IncomingBody(peer.mux, stream, declared, request.end || stream.asksForUpgrade === true)
  }

  get signal(): AbortSignal {
    return (this.#controller ??= new AbortController()).signal
  }

  /** The `date` field of a response that is made now. */
  get date(): Field {
    return dateField(this.#clock)
  }

  onResponse(): undefined {}

  onData(data: Uint8Array, end: boolean): Violation | undefined {
    return this.body.push(data, end)
  }

  onFailure(failure: StreamFailure): void {
    this.body.fail(toError(failure))
    this.onStopSending()
  }

  /** The peer no longer waits for the response. */
  onStopSending(): void {
    this.#isStopped = true
    this.#fiber?.interruptUnsafe(undefined, ClientAbort.annotation)
    this.#controller?.abort()
  }

  onWritable(): void {
    this.room?.free()
  }

  divert(handler: StreamHandler, relayed: Relayed): ReturnType<IncomingBody["divert"]> {
    this.stream.handler = handler
    this.#diverted = relayed
    return this.body.divert()
  }

  /** The bytes of the response that have left, if it waits for its reader. Otherwise `undefined`. */
  get sentToReader(): number | undefined {
    return this.room?.sentToReader(this.stream)
  }

  /** Takes the handler's fiber, which ends with the scope `fibers`. */
  runIn(fiber: Fiber.Fiber<void>, fibers: Scope.Scope): void {
    if (fiber.pollUnsafe() !== undefined) return this.#settle()
    this.#fiber = fiber
    this.stream.handled = true
    fiber.addObserver(this.#settle)
    Fiber.runIn(fiber, fibers)
    // The first step of the handler may have ended the exchange.
    if (this.#isStopped) this.onStopSending()
  }

  upgraded(raw: Raw): void {
    this.raw = raw
    this.room = raw.room
  }

  /** Something of the application may still use what the stream was upgraded to, though the handler has ended. */
  abort(): void {
    this.raw?.abort(ErrorCode.CANCELLED, "this end is going away")
  }

  /** Both directions have ended. */
  upgradeEnded(): void {
    if (this.#fiber?.pollUnsafe() !== undefined) this.#settle()
  }

  /** The handler has ended. It may not have answered, or not have read the whole request. */
  readonly #settle = (): void => {
    // Something else of the application still uses the socket.
    if (this.raw?.hasEnded === false) return
    this.inProgress.end(this)
    this.#calls?.end()
    if (this.stream.isWritten) this.mux.stopReading(this.stream)
    else this.mux.reset(this.stream, ErrorCode.INTERNAL_ERROR, "the handler failed")
    this.#diverted?.cancel()
  }
}

/**
 * Runs an Effect HTTP app for the requests of peers, as `NodeHttpServer` does for a Node server. Each request runs in its own
 * fiber and scope, and is interrupted when the peer goes away. `idle` waits until no request is in progress, except for
 * responses of which nothing was read for a period.
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
  const make = (services: Context.Context<Scope.Scope>, scope: Scope.Scope, inProgress: InProgress) => {
    const clock = Context.get(services, Clock.Clock)
    const fibers = Scope.forkUnsafe(scope, "parallel")
    const app: App = (peer, stream, request) => {
      const declared = declaredLength(stream, request)
      if (typeof declared === "object") return declared
      if (isRefused(peer, stream, clock)) return undefined
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
    return { app, idle: (period: Duration.Duration) => inProgress.idle(period) }
  }
  return Effect.contextWith((services: Context.Context<Scope.Scope>) => {
    const scope = Context.get(services, Scope.Scope)
    const inProgress = new InProgress()
    // Runs behind the end of the handlers' fibers, which are a part of the scope later: they may end their upgrades in good order.
    const aborted = Scope.addFinalizer(scope, Effect.sync(() => inProgress.abort()))
    return Effect.map(aborted, () => make(services, scope, inProgress))
  })
}

/** Reported to middlewares instead of the handler's response, which is not sent. */
const switched = HttpServerResponse.empty({ status: 101 })

const respond = (
  request: HttpServerRequest.HttpServerRequest,
  response: HttpServerResponse.HttpServerResponse,
  webCookies: ReadonlyArray<string> = []
): Effect.Effect<unknown, HttpServerError> => {
  const exchange = ServerRequest.sourceOf(request) as ServerExchange
  const { mux, stream } = exchange
  if (exchange.raw !== undefined) {
    cancel(response.body)
    return Effect.succeed(switched)
  }
  exchange.isAnswered = true
  const fail = (description: string, cause?: unknown) => {
    cancel(response.body)
    return Effect.fail(new HttpServerError({ reason: new ResponseError({ request, response, description, cause }) }))
  }
  const refuse = (description: string, cause?: unknown) => {
    mux.respond(stream, 500, [exchange.date], true)
    return fail(description, cause)
  }
  const body = response.body
  const own = body._tag === "Raw" && body.body instanceof TakenOver ? body.body : undefined
  const isUpgrade = own !== undefined && response.status === switchingProtocols && stream.asksForUpgrade === true
  if (!isUpgrade && !(response.status >= 200 && response.status <= 599)) {
    return refuse(`invalid final status ${response.status}`)
  }
  if (body._tag === "Raw" && body.body instanceof Response) {
    // It would be read as an empty one.
    if (body.body.bodyUsed) return refuse("the body was read before")
    return respond(request, mergeWeb(response, body.body), body.body.headers.getSetCookie())
  }
  const withoutBody = HttpServerResponse.omitsBody(response, request.method === "HEAD")
  const outgoing = withoutBody || own !== undefined ? undefined : fromHttpBody(body)
  if (outgoing instanceof UnusableBody) return refuse(outgoing.message, outgoing)
  let headers = response.headers
  if (response.status === 204 || response.status === 205) headers = Headers.remove(headers, "content-length")
  if (outgoing?.contentType !== undefined && headers["content-type"] === undefined) {
    headers = Headers.set(headers, "content-type", outgoing.contentType)
  }
  const cookies = own === undefined ? webCookies : own.cookies
  const fields = toFields(
    headers,
    Cookies.isEmpty(response.cookies) ? cookies : [...cookies, ...Cookies.toSetCookieHeaders(response.cookies)],
    isUpgrade ? upgradeField : undefined
  )
  if (typeof fields === "string") return refuse(fields)
  // Node's HTTP server adds it too.
  if (headers.date === undefined) fields.push(exchange.date)
  if (own !== undefined) return own.respond(exchange, response.status, fields, withoutBody)
  const bytes = outgoing?._tag === "Bytes" ? outgoing.bytes : undefined
  const declared = outgoing && contentLengthOf(fields)
  if (typeof declared === "string") return refuse(declared)
  if (declared !== undefined && bytes !== undefined && declared !== bytes.length) {
    return refuse(`the body has ${bytes.length} bytes, content-length says ${declared}`)
  }
  const refused = mux.respond(stream, response.status, fields, outgoing === undefined || bytes?.length === 0)
  if (refused !== undefined) return fail(refused.reason)
  if (outgoing?._tag !== "Stream") {
    if (bytes === undefined) cancel(body)
    else {
      mux.write(stream, bytes)
      mux.finish(stream)
    }
    return Effect.void
  }
  exchange.room = new Room()
  return send(mux, stream, outgoing.stream, declared, exchange.room).pipe(
    Effect.interruptible,
    Effect.catchCause((cause) => {
      // The body's stream may not have begun.
      cancel(body)
      // A reset, and no END: the reader must not take a part for the whole body.
      mux.reset(stream, ErrorCode.INTERNAL_ERROR, "the body failed")
      // Not by `Cause.combine`, which compares reasons by structure. They may refer to any object of the program.
      const withResponse = Cause.fromReasons([...cause.reasons, Cause.makeDieReason(response)])
      return Effect.flatMap(causeResponse(cause), () => Effect.failCause(withResponse) as Effect.Effect<never>)
    })
  )
}

/** A web `Response` given as the body. Its status and fields are used where the handler's response has none. */
const mergeWeb = (
  response: HttpServerResponse.HttpServerResponse,
  web: Response
): HttpServerResponse.HttpServerResponse => {
  // The cookies of the web response are sent separately: Effect's `Cookies` have one for each name.
  const converted = HttpServerResponse.replaceCookies(HttpServerResponse.fromWeb(asDecoded(web)), response.cookies)
  return HttpServerResponse.setHeaders(converted, response.headers)
}
