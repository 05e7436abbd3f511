/**
 * The client's side of an exchange: sends one request with its body, and receives the response.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Headers from "effect/http/Headers"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import { InvalidMessage, StreamReset, SwaggerSocketError } from "../../SwaggerSocketError.ts"
import type { Peer } from "../connection/peer.ts"
import { type Violation, violation } from "../frame/codes.ts"
import * as ErrorCode from "../frame/ErrorCode.ts"
import type { Fields } from "../frame/Frame.ts"
import { methods, switchingProtocols, upgradeField } from "../frame/grammar.ts"
import { isMethod } from "../frame/head.ts"
import { atEndOfTurn } from "../scheduling/endOfTurn.ts"
import type { Multiplexed } from "../streams/multiplexed.ts"
import { type HttpStream, leaving, type StreamFailure, type StreamHandler } from "../streams/stream.ts"
import { UnusableBody } from "./chunks.ts"
import { ClientResponse } from "./clientResponse.ts"
import { toError } from "./failure.ts"
import { contentLengthOf, toFields } from "./fields.ts"
import { IncomingBody } from "./incomingBody.ts"
import { fromForm, fromHttpBody, type OutgoingBody, send } from "./outgoingBody.ts"
import { parse } from "./requestTarget.ts"
import { Room } from "./room.ts"
import { watch, whenAborted } from "./unreadResponses.ts"
import type { Switched } from "./upgradable.ts"

type Resume = (
  effect: Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>
) => void

class ClientExchange implements StreamHandler, Switched {
  readonly peer: Peer
  readonly mux: Multiplexed
  readonly request: HttpClientRequest.HttpClientRequest
  readonly url: string
  /** Present while a streamed body is sent. */
  room: Room | undefined
  stream!: HttpStream
  /** What has taken the stream over, once it was upgraded. */
  raw: Switched["raw"]
  /**
   * Begins to send a streamed body, at the end of the turn in which the request has left. A request that has not left may still
   * be sent on another connection, which needs the whole body.
   */
  onSent: (() => void) | undefined
  upload: Fiber.Fiber<void, unknown> | undefined
  /** What arrives behind the head of the response. */
  incoming: IncomingBody | undefined
  readonly #signal: AbortSignal | undefined
  /** The response, until the caller has it. */
  #response: ClientResponse | undefined
  #resume: Resume | undefined

  constructor(
    peer: Peer,
    request: HttpClientRequest.HttpClientRequest,
    url: string,
    signal: AbortSignal | undefined,
    resume: Resume
  ) {
    this.peer = peer
    this.mux = peer.mux
    this.request = request
    this.url = url
    this.#signal = signal
    this.#resume = resume
  }

  onResponse(status: number, fields: Fields, end: boolean): Violation | undefined {
    const isUpgraded = status === switchingProtocols
    const bodiless = this.request.method === "HEAD" || status === 204 || status === 304
    const declared = contentLengthOf(fields)
    if (typeof declared === "string" || (!bodiless && !isUpgraded && end && declared !== undefined && declared > 0)) {
      return violation(
        ErrorCode.MALFORMED,
        typeof declared === "string" ? declared : `there is no body, content-length says ${declared}`
      )
    }
    // The request has no body.
    if (!isUpgraded && this.stream.asksForUpgrade === true) this.mux.finish(this.stream)
    const incoming = new IncomingBody(this.mux, this.stream, bodiless ? 0 : isUpgraded ? undefined : declared, end)
    this.incoming = incoming
    const body = isUpgraded ? new IncomingBody(this.mux, this.stream, undefined, true) : incoming
    this.#response = new ClientResponse({
      request: this.request,
      url: this.url,
      status,
      fields,
      body,
      remoteAddress: this.peer.remoteAddress,
      abandon: this.cancel,
      switched: isUpgraded ? this : undefined
    })
    // The same message usually has the body, or its beginning. A caller that gets both at once need not wait for the body.
    if (end) this.#deliver()
    else atEndOfTurn(this.#settle)
    return undefined
  }

  #deliver(): void {
    const response = this.#response
    const resume = this.#resume
    this.#response = undefined
    this.#resume = undefined
    if (response !== undefined) resume?.(Effect.succeed(response))
  }

  readonly #settle = (): void => {
    const response = this.#response
    if (response === undefined) return
    if (this.incoming?.state === "open") {
      if (this.#signal === undefined) watch(this.request, response, this.cancel)
      else whenAborted(this.#signal, this.cancel)
    }
    this.#deliver()
  }

  onData(data: Uint8Array, end: boolean): Violation | undefined {
    const fault = this.incoming?.push(data, end)
    if (fault === undefined && end) this.#deliver()
    return fault
  }

  onFailure(failure: StreamFailure): void {
    this.fail(toError(failure))
  }

  fail(cause: unknown): void {
    this.onStopSending()
    const error = cause instanceof SwaggerSocketError ? cause : undefined
    if (this.incoming !== undefined) {
      this.incoming.fail(error ?? uploadFailed(String(cause)))
      this.#deliver()
      return
    }
    const resume = this.#resume
    this.#resume = undefined
    resume?.(Effect.fail(requestError(this.request, cause, error !== undefined)))
  }

  onStopSending(): void {
    this.upload?.interruptUnsafe()
  }

  onWritable(): void {
    this.room?.free()
  }

  readonly cancel = (): void => {
    this.#resume = undefined
    if (this.raw !== undefined) return this.raw.abort(ErrorCode.CANCELLED, "")
    this.mux.reset(this.stream, ErrorCode.CANCELLED, "")
    this.onStopSending()
  }
}

const invalid = (description: string): SwaggerSocketError =>
  new SwaggerSocketError({ reason: new InvalidMessage({ description }) })

/** The request's body failed when the caller already had the head of the response. */
const uploadFailed = (description: string): SwaggerSocketError =>
  new SwaggerSocketError({
    reason: new StreamReset({ initiator: "local", code: "INTERNAL_ERROR", description, outcome: "unknown" })
  })

const requestError = (
  request: HttpClientRequest.HttpClientRequest,
  cause: unknown,
  transport: boolean
): HttpClientError.HttpClientError =>
  new HttpClientError.HttpClientError({
    reason: transport
      ? new HttpClientError.TransportError({ request, cause, description: describe(cause) })
      : new HttpClientError.EncodeError({ request, cause, description: describe(cause) })
  })

const describe = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

/** The error of a request that has no connection. It says why there is none. @internal */
export const notConnected = (
  request: HttpClientRequest.HttpClientRequest,
  { reason }: SwaggerSocketError
): HttpClientError.HttpClientError =>
  requestError(request, new SwaggerSocketError({ reason, outcome: "not-sent" }), true)

/**
 * Sends a request and waits for the head of the response. An interruption on either end ends both. `signal`, if the caller has
 * one, is aborted when the response is no longer read.
 *
 * @internal
 */
export const execute = (
  peer: Peer,
  request: HttpClientRequest.HttpClientRequest,
  signal: AbortSignal | undefined
): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError> => {
  const body = request.body
  if (body._tag !== "FormData") return executeWith(peer, request, fromHttpBody(body), signal)
  return Effect.flatMap(fromForm(body.formData), (outgoing) => executeWith(peer, request, outgoing, signal))
}

const executeWith = (
  peer: Peer,
  request: HttpClientRequest.HttpClientRequest,
  outgoing: OutgoingBody | UnusableBody,
  signal: AbortSignal | undefined
): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError> =>
  Effect.withFiber((fiber) => {
    const where = parse(request)
    if ("_tag" in where) {
      return Effect.fail(
        new HttpClientError.HttpClientError({ reason: new HttpClientError.InvalidUrlError({ request, cause: where }) })
      )
    }
    if (methods.indexOf(request.method) < 1 && !isMethod(request.method)) {
      return refuse(request, `${request.method} is no usable method`)
    }
    if (outgoing instanceof UnusableBody) return Effect.fail(requestError(request, outgoing, false))
    if (where.fault !== undefined) return refuse(request, where.fault)
    const fields = fieldsOf(peer, request, where.authority, outgoing)
    if (typeof fields === "string") return refuse(request, fields)
    const declared = contentLengthOf(fields)
    if (typeof declared === "string") return refuse(request, declared)
    const bytes = outgoing._tag === "Bytes" ? outgoing.bytes : undefined
    const asksForUpgrade = mayAskForUpgrade(peer, request) && request.headers.upgrade !== undefined
    if (asksForUpgrade && bytes?.length !== 0) return refuse(request, "a request for an upgrade can't have a body")
    if (bytes !== undefined && declared !== undefined && declared !== bytes.length) {
      return refuse(request, `the body has ${bytes.length} bytes, content-length says ${declared}`)
    }
    if (!peer.mayCall(fiber.context)) return Effect.fail(requestError(request, toError(leaving), true))
    return Effect.callback<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>((resume) => {
      const { mux } = peer
      const exchange = new ClientExchange(peer, request, where.url, signal, resume)
      const end = bytes?.length === 0 && !asksForUpgrade
      const stream = mux.open(request.method, where.target, fields, end, exchange)
      if ("outcome" in stream) return exchange.onFailure(stream)
      exchange.stream = stream
      if (bytes === undefined) {
        exchange.onSent = () => atEndOfTurn(() => startUpload(exchange, outgoing, declared, fiber.context))
      } else if (bytes.length > 0) {
        try {
          mux.write(stream, bytes)
          mux.finish(stream)
        } catch (defect) {
          // The peer would wait for the rest.
          exchange.cancel()
          throw defect
        }
      }
      return Effect.sync(exchange.cancel)
    })
  })

const refuse = (request: HttpClientRequest.HttpClientRequest, description: string) =>
  Effect.fail(requestError(request, invalid(description), false))

/** Otherwise the field is left out, and the request is an ordinary one. */
const mayAskForUpgrade = ({ mux }: Peer, { method }: HttpClientRequest.HttpClientRequest): boolean =>
  mux.upgrades === true && method !== "HEAD"

const fieldsOf = (
  peer: Peer,
  request: HttpClientRequest.HttpClientRequest,
  authority: string,
  outgoing: OutgoingBody
) => {
  let headers = request.headers
  if (outgoing.contentType !== undefined && headers["content-type"] === undefined) {
    headers = Headers.set(headers, "content-type", outgoing.contentType)
  }
  if (outgoing._tag === "Bytes" && outgoing.bytes.length > 0 && headers["content-length"] === undefined) {
    headers = Headers.set(headers, "content-length", `${outgoing.bytes.length}`)
  }
  const fields = toFields(headers, undefined, mayAskForUpgrade(peer, request) ? upgradeField : undefined)
  if (typeof fields !== "string" && headers.host === undefined) fields.push(["host", authority])
  return fields
}

const startUpload = (
  exchange: ClientExchange,
  outgoing: OutgoingBody,
  declared: number | undefined,
  context: Context.Context<never>
): void => {
  const { mux, stream } = exchange
  if (outgoing._tag !== "Stream" || stream.isClosed) return
  exchange.room = new Room()
  const upload = Effect.catchCause(
    send(mux, stream, outgoing.stream, declared, exchange.room),
    (cause) =>
      Effect.sync(() => {
        // If the exchange has ended, its end has interrupted this upload.
        if (stream.isClosed) return
        mux.reset(stream, ErrorCode.INTERNAL_ERROR, "the request body failed")
        exchange.fail(Cause.squash(cause))
      })
  )
  // The upload has its own fiber: the response may arrive, and be read, while the body is still sent.
  exchange.upload = Fiber.runIn(Effect.runForkWith(context)(upload), exchange.peer.ownerScope)
  // The first step of the body's stream may have ended the exchange.
  if (stream.isClosed) exchange.onStopSending()
}
