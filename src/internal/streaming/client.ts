/**
 * A call with a WebSocket of its own, on the client: the request's body leaves as messages, and what comes back becomes
 * the response that `HttpApiClient` decodes.
 */
import * as Arr from "effect/Array"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Bytes from "effect/Bytes"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Predicate from "effect/Predicate"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import { whenAborted } from "../http/unreadResponses.ts"
import { dial } from "../link/dial.ts"
import { isNodeWebSocket, type Link } from "../link/link.ts"
import type { HttpAnswer } from "../link/platformSockets.ts"
import { awaitTurn, isTurnOver } from "../scheduling/turn.ts"
import { CloseCode, closeOf, errorOf, statusOf } from "./closing.ts"
import { type Pings, untilSilent } from "./heartbeat.ts"
import { endOfInput, makeLineSplitter, toEvents, toFailureEvent } from "./messages.ts"
import { makeSender, untilRoom } from "./sending.ts"

/** @internal */
export interface ClientCallOptions {
  readonly result: "none" | "value" | "stream"
  readonly maxMessageSize: number
  readonly sendBuffer: number
  readonly openTimeout: Duration.Duration
  readonly ping: Pings | undefined
  readonly configure: ((webSocket: Socket.WebSocketLike) => void) | undefined
}

/** The streaming call that the current fiber makes, if it makes one. @internal */
export const CurrentCall = Context.Reference<ClientCallOptions | undefined>(
  "effect-swaggersocket/internal/CurrentCall",
  { defaultValue: () => undefined }
)

/** A server's answer to a dial that it refused. */
interface Refusal {
  readonly status: number
  readonly headers: Headers
  readonly body: Uint8Array<ArrayBuffer>
}

/** Bytes of a refusal's body that are kept; the rest is cut off. */
const maxRefusal = 1024 * 1024

const toWebHeaders = (headers: HttpAnswer["headers"]): Headers => {
  const result = new Headers()
  for (const [name, value] of Object.entries(headers)) {
    for (const item of Array.isArray(value) ? value : value === undefined ? [] : [value]) result.append(name, item)
  }
  return result
}

/** Dials. Where the server refuses and the platform tells why, it gives the server's HTTP answer instead of a link. */
const open = Effect.fnUntraced(function*(
  request: HttpClientRequest.HttpClientRequest,
  url: URL,
  options: ClientCallOptions
) {
  const refused = Deferred.makeUnsafe<Refusal>()
  let upgraded = new Headers()
  const link = dial({
    url: url.href.replace(/^http/, "ws"),
    protocol: undefined,
    headers: request.headers,
    maxPayload: options.maxMessageSize,
    buffer: options.sendBuffer,
    openTimeout: options.openTimeout,
    configure(ws) {
      options.configure?.(ws)
      if (!isNodeWebSocket(ws)) return
      ws.on("upgrade", (response) => {
        upgraded = toWebHeaders(response.headers)
      })
      ws.on("unexpected-response", (_request, response) => collect(response, refused))
    }
  })
  return yield* Effect.raceFirst(
    Effect.map(link, (link) => ({ link, headers: upgraded })),
    Deferred.await(refused)
  )
})

const collect = (response: HttpAnswer, refused: Deferred.Deferred<Refusal>): void => {
  const chunks: Array<Uint8Array> = []
  let length = 0
  const done = () => {
    const headers = toWebHeaders(response.headers)
    Deferred.doneUnsafe(refused, Exit.succeed({ status: response.statusCode, headers, body: Bytes.concat(chunks) }))
  }
  response.on("data", (chunk) => {
    length += chunk.length
    chunks.push(chunk)
    if (length < maxRefusal) return
    done()
    response.destroy()
  })
  response.on("end", done)
  response.on("close", done)
}

/** How a call ended: the close code, and the error that the server sent with it. */
interface CallEnd {
  readonly code: number
  readonly error: string
}

class ClientCall {
  readonly #request: HttpClientRequest.HttpClientRequest
  readonly #link: Link
  #end: CallEnd | undefined
  /**
   * The server's error, where it was too long for the close frame: it came in the last message, and the close frame
   * follows.
   */
  #announced: string | undefined
  #bodyFailure: Cause.Cause<unknown> | undefined

  constructor(request: HttpClientRequest.HttpClientRequest, link: Link) {
    this.#request = request
    this.#link = link
  }

  /** Sends the request's body. */
  get upload(): Effect.Effect<void> {
    const { body } = this.#request
    if (body._tag !== "Stream") return Effect.void
    const link = this.#link
    const send = makeSender(link)
    const split = makeLineSplitter()
    return Stream.runForEachArray(body.stream, (chunks) => {
      let bytes = 0
      for (const chunk of chunks) {
        bytes += chunk.length
        for (const line of split(chunk)) send(line)
      }
      const isOver = isTurnOver(bytes)
      return link.isFull() ? untilRoom(link) : isOver ? awaitTurn : Effect.void
    }).pipe(
      Effect.andThen(Effect.sync(() => send(endOfInput))),
      Effect.catchCause((cause) =>
        Effect.sync(() => {
          if (Cause.hasInterruptsOnly(cause)) return
          this.#bodyFailure = cause
          this.cancel()
        })
      ),
      Effect.asVoid
    )
  }

  /** The messages of the server. */
  readonly pull: Effect.Effect<NonEmptyReadonlyArray<Uint8Array | string>, CallEnd> = Effect.suspend(() =>
    Effect.matchEffect(this.#link.pull, {
      onFailure: (cause) => {
        const { code, reason } = closeOf(cause)
        this.#end = { code, error: this.#announced ?? reason }
        return Effect.fail(this.#end)
      },
      onSuccess: (batch) => {
        this.#announced = errorOf(batch[batch.length - 1]!)
        if (this.#announced === undefined) return Effect.succeed(batch)
        const messages = batch.slice(0, -1)
        return Arr.isReadonlyArrayNonEmpty(messages) ? Effect.succeed(messages) : this.pull
      }
    })
  )

  /** The caller wants nothing more. */
  readonly cancel = (): void => {
    if (this.#end === undefined) this.#link.close(CloseCode.CANCELLED, "")
  }

  /** The typed error that the server ended the call with, as JSON. */
  errorOf({ code, error }: CallEnd): { readonly status: number; readonly json: string } | undefined {
    const status = statusOf(code)
    const json = status === undefined ? undefined : oneLine(error)
    return status === undefined || json === undefined ? undefined : { status, json }
  }

  failure({ code, error }: CallEnd): HttpClientError.HttpClientError {
    return this.#bodyFailure === undefined
      ? failed(this.#request, `the stream ended with ${code}${error === "" ? "" : `: ${error}`}`)
      : new HttpClientError.HttpClientError({
        reason: new HttpClientError.EncodeError({
          request: this.#request,
          cause: Cause.squash(this.#bodyFailure),
          description: "the request body failed"
        })
      })
  }
}

/** JSON without line breaks, as the data of an event must be. */
const oneLine = (text: string): string | undefined => {
  try {
    return JSON.stringify(JSON.parse(text))
  } catch {
    return undefined
  }
}

const failed = (request: HttpClientRequest.HttpClientRequest, description: string, cause?: unknown) =>
  new HttpClientError.HttpClientError({
    reason: new HttpClientError.TransportError({ request, description, cause })
  })

const isBodiless = (status: number): boolean => status === 204 || status === 205 || status === 304

const respond = (
  request: HttpClientRequest.HttpClientRequest,
  status: number,
  body: Uint8Array<ArrayBuffer> | string,
  headers: Headers
) => {
  // A `Blob` copies the bytes. Reading a body of bytes would detach them, and an error that holds the response could
  // not be hashed.
  const init = isBodiless(status) ? null : Predicate.isString(body) ? body : new Blob([body])
  return HttpClientResponse.fromWeb(request, new Response(init, { status, headers }))
}

/**
 * goa's servers send the 101 with the first message. Of a stream without messages they make an empty answer with status
 * 200.
 */
const isEmptyStream = ({ body, status }: Refusal, options: ClientCallOptions): boolean =>
  status === 200 && options.result === "stream" && body.length === 0

const isEvents = ({ headers }: Refusal): boolean =>
  headers.get("content-type")?.startsWith("text/event-stream") === true

/**
 * Whether the server has completed the call. A close frame without a code may come from a proxy in between, so it is no
 * sign.
 */
const isWhole = ({ code }: CallEnd): boolean => code === CloseCode.NORMAL

/** The server's messages as the SSE body that the endpoint has over HTTP. */
const toStream = (call: ClientCall): Stream.Stream<Uint8Array, HttpClientError.HttpClientError> => {
  let done = false
  return Stream.fromPull(Effect.succeed(Effect.suspend(() =>
    done ? Cause.done() : Effect.matchEffect(call.pull, {
      onSuccess: (messages) => Effect.succeed([toEvents(messages)] as const),
      onFailure: (end): Effect.Effect<readonly [Uint8Array], HttpClientError.HttpClientError | Cause.Done> => {
        const error = call.errorOf(end)
        if (error === undefined) return isWhole(end) ? Cause.done() : Effect.fail(call.failure(end))
        done = true
        return Effect.succeed([toFailureEvent(error.json)])
      }
    })
  )))
}

/** Waits for the one result, or for the end where there is none. */
const awaitResult = (
  request: HttpClientRequest.HttpClientRequest,
  call: ClientCall,
  headers: Headers,
  hasValue: boolean
): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError> => {
  headers.set("content-type", "application/json")
  return Effect.matchEffect(hasValue ? call.pull : Effect.forever(call.pull), {
    onSuccess: ([message]) =>
      Effect.succeed(respond(request, 200, message as Uint8Array<ArrayBuffer> | string, headers)),
    onFailure: (end) => {
      const error = call.errorOf(end)
      if (error !== undefined) return Effect.succeed(respond(request, error.status, error.json, headers))
      return isWhole(end) && !hasValue
        ? Effect.succeed(respond(request, 204, "", headers))
        : Effect.fail(call.failure(end))
    }
  })
}

/** Makes streaming calls over WebSockets of their own, and all others as `httpClient` does. @internal */
export const make = (
  httpClient: HttpClient.HttpClient,
  construct: Socket.WebSocketConstructor["Service"]
): HttpClient.HttpClient => {
  const overWebSocket = HttpClient.make((request, url, signal, fiber) => {
    const options = fiber.getRef(CurrentCall)!
    const scope = Scope.makeUnsafe()
    let call: ClientCall | undefined = undefined
    const close = Effect.suspend(() => {
      call?.cancel()
      return Scope.close(scope, Exit.void)
    })
    whenAborted(signal, () => Effect.runFork(close))
    return Effect.gen(function*() {
      const opened = yield* open(request, url, options)
      if ("status" in opened) {
        yield* close
        // A `Response` can't have a status outside of 200 to 599.
        const isAnswer = opened.status >= (isEvents(opened) ? 200 : 300) && opened.status < 600
        if (!isAnswer && !isEmptyStream(opened, options)) {
          return yield* failed(request, `the server answered ${opened.status}, and not with a WebSocket`)
        }
        return respond(request, opened.status, opened.body, opened.headers)
      }
      const { headers, link } = opened
      call = new ClientCall(request, link)
      yield* Effect.forkIn(call.upload, scope)
      yield* Effect.forkIn(Effect.andThen(untilSilent(link, options.ping), Effect.sync(link.terminate)), scope)
      if (options.result === "stream") {
        headers.set("content-type", "text/event-stream")
        const stream = Stream.onExit(toStream(call), () => close)
        return Object.defineProperty(respond(request, 200, "", headers), "stream", { value: stream })
      }
      return yield* Effect.ensuring(awaitResult(request, call, headers, options.result === "value"), close)
    }).pipe(
      Effect.provideService(Socket.WebSocketConstructor, construct),
      Scope.provide(scope),
      Effect.mapError((error) =>
        HttpClientError.isHttpClientError(error) ? error : failed(request, error.message, error)
      ),
      Effect.onError(() => close)
    )
  })
  // Requests of streaming calls are prepared by `httpClient` too: it may add a token, for instance.
  return HttpClient.makeWith(
    (effect: Effect.Effect<HttpClientRequest.HttpClientRequest, HttpClientError.HttpClientError>) =>
      Effect.flatMap(
        effect,
        (request) =>
          Effect.flatMap(CurrentCall, (call) =>
            call === undefined ? httpClient.postprocess(Effect.succeed(request)) : overWebSocket.execute(request))
      ),
    httpClient.preprocess
  )
}
