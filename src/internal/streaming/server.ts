/**
 * A call with a WebSocket of its own, on the server: an upgrade request becomes the request that the endpoint's handler
 * knows, with the messages as its body, and the response's body becomes messages.
 *
 * ```
 *  offered --101--> open --null--> reading done
 *     |               |                 |
 *     | refused       +---- closed -----+
 * ```
 *
 * The 101 is sent when the handler takes its first message or answers with a status below 300. Until then the handler can
 * still refuse the call with an HTTP status.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Fiber from "effect/Fiber"
import * as Headers from "effect/http/Headers"
import * as HttpEffect from "effect/http/HttpEffect"
import { ClientAbort, type HttpServerError } from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Predicate from "effect/Predicate"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import type { Link } from "../link/link.ts"
import { fromRequest } from "../link/upgrade.ts"
import * as hook from "../scheduling/hook.ts"
import { awaitStep, awaitTurn, isTurnOver } from "../scheduling/turn.ts"
import { CloseCode, type CloseCodes, closeOf, closeWithError, isComplete } from "./closing.ts"
import { type Pings, untilSilent } from "./heartbeat.ts"
import { type Failure, makeEventReader, toBytes, toLine } from "./messages.ts"
import { hasEnded, makeSender, untilRoomOrEnd, untilStuck } from "./sending.ts"

/** @internal */
export interface ServerCallOptions {
  readonly takesMessages: boolean
  /** What a stream may fail with, for the status of each. */
  readonly errors: ReadonlyArray<Schema.Top>
  /** Fields of the 101. */
  readonly headers: Readonly<Record<string, string>>
  readonly maxMessageSize: number
  readonly sendBuffer: number
  readonly sendTimeout: Duration.Duration
  readonly closeTimeout: Duration.Duration
  readonly ping: Pings | undefined
  readonly closeCodes: CloseCodes
  /** Counts what the WebSocket holds, until the scope closes. */
  readonly countLink: (link: Link) => Effect.Effect<void, never, Scope.Scope>
  readonly onOpen: ((link: Link) => Effect.Effect<void, never, Scope.Scope>) | undefined
}

/**
 * At most so many messages are handed to the handler at once. Each time that it takes some counts as progress, so a
 * handler that is slow is not taken for one that is stuck.
 */
const portion = 32

class ServerCall {
  state: "offered" | "open" | "reading-done" | "closed" = "offered"
  link: Link | undefined
  readonly #request: HttpServerRequest.HttpServerRequest
  readonly #scope: Scope.Scope
  readonly #options: ServerCallOptions
  readonly #input: Queue.Queue<Uint8Array, Cause.Done>
  /** How often the handler has taken messages. */
  #taken = 0
  /** The fiber of the call: it runs the handler, then it sends the answer. */
  #work: Fiber.Fiber<unknown, unknown> | undefined
  #opening: Fiber.Fiber<Link, HttpServerError | Socket.SocketError> | undefined

  constructor(
    request: HttpServerRequest.HttpServerRequest,
    scope: Scope.Scope,
    options: ServerCallOptions,
    input: Queue.Queue<Uint8Array, Cause.Done>
  ) {
    this.#request = request
    this.#scope = scope
    this.#options = options
    this.#input = input
  }

  /**
   * Sends the 101, once. It runs in a fiber of the call, because those who wait for it may be interrupted: a handler
   * may give up waiting for its first message, and a request can't be upgraded a second time.
   */
  get open(): Effect.Effect<Link, HttpServerError | Socket.SocketError> {
    return Effect.contextWith((context: Context.Context<never>) => {
      this.#opening ??= Fiber.runIn(Effect.runForkWith(context)(this.#upgrade()), this.#scope)
      return Fiber.join(this.#opening)
    })
  }

  #upgrade() {
    const { countLink, headers, maxMessageSize, onOpen, ping, sendBuffer } = this.#options
    return Effect.gen({ self: this }, function*() {
      const link = yield* fromRequest(this.#request, { maxPayload: maxMessageSize, headers, buffer: sendBuffer })
      this.link = link
      this.state = "open"
      yield* countLink(link)
      if (onOpen !== undefined) yield* hook.logged("StreamingServer.onOpen", onOpen(link))
      yield* Effect.forkIn(this.#read(link), this.#scope)
      const silent = Effect.sync(() => this.#noPong(link))
      yield* Effect.forkIn(Effect.andThen(untilSilent(link, ping), silent), this.#scope)
      return link
    }).pipe(Scope.provide(this.#scope))
  }

  /** The messages of the client, as the body of its request. */
  get body(): Stream.Stream<Uint8Array, HttpServerError> {
    // The WebSocket did not open. The call is interrupted then, so this need not fail.
    const opened = Effect.catchTag(this.open, "SocketError", () => Effect.never)
    const input = Stream.map(Stream.fromQueue(this.#input), (lines) => {
      this.#taken++
      return lines
    })
    return Stream.unwrap(Effect.as(opened, input))
  }

  /** Runs an effect until the client is gone. A handler may still finish what the client sent before it hung up. */
  run<A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    // Many calls may come at once, and all forked fibers would start in one turn of the event loop: each waits for its
    // turn.
    const inTurn = Effect.andThen(awaitStep, work)
    return Effect.flatMap(Effect.forkIn(Effect.interruptible(inTurn), this.#scope), (fiber) => {
      this.#work = fiber
      return Effect.onExit(Effect.interruptible(Fiber.join(fiber)), (exit) => {
        if (fiber.pollUnsafe() !== undefined) return Effect.void
        // The platform interrupts the call before everything is read. The reader will see whether the client had ended
        // its input: the handler may then finish.
        const read = exit._tag === "Failure" && isClientAbort(exit.cause) && this.state !== "offered"
          ? Effect.raceFirst(Effect.interruptible(Fiber.await(fiber)), Effect.interruptible(this.#stuck()))
          : Effect.void
        return Effect.andThen(read, Fiber.interrupt(fiber))
      })
    })
  }

  /** Ends when the handler has taken nothing for `closeTimeout`. */
  #stuck(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const taken = this.#taken
      return Effect.flatMap(
        Effect.sleep(this.#options.closeTimeout),
        () => this.#taken === taken ? Effect.void : this.#stuck()
      )
    })
  }

  /** Reads without waiting for the handler, so that a close is noticed while the handler is busy. */
  #read(link: Link): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      while (true) {
        const lines: Array<string> = []
        for (const message of yield* link.pull) {
          if (this.state !== "open") continue
          const line = toLine(message)
          if (line !== undefined && !this.#options.takesMessages) return this.#unexpected(link)
          if (line !== undefined) lines.push(line)
          else this.state = "reading-done"
        }
        for (let at = 0; at < lines.length; at += portion) {
          yield* Queue.offer(this.#input, toBytes(lines.slice(at, at + portion)))
        }
        if (this.state === "reading-done") Queue.endUnsafe(this.#input)
      }
    }).pipe(
      Effect.catch((error) => this.#gone(closeOf(error).code)),
      Effect.asVoid
    )
  }

  #unexpected(link: Link): void {
    this.#end(() => link.close(this.#options.closeCodes.unexpectedMessage, "this endpoint takes no messages"))
    this.#work?.interruptUnsafe(undefined, ClientAbort.annotation)
  }

  /** The client has closed the WebSocket, or the connection was lost. */
  #gone(code: number): Effect.Effect<void> {
    const isDone = this.state === "reading-done" ? code !== CloseCode.CANCELLED : isComplete(code)
    const mayFinish = this.#options.takesMessages && isDone
    this.state = mayFinish ? "reading-done" : "closed"
    if (mayFinish) Queue.endUnsafe(this.#input)
    const stop = Effect.sync(() => {
      this.state = "closed"
      this.#work?.interruptUnsafe(undefined, ClientAbort.annotation)
      // A handler that can't be interrupted must not take a stream that broke off for a complete one.
      Queue.failCauseUnsafe(this.#input, Cause.interrupt())
    })
    return mayFinish ? Effect.andThen(this.#stuck(), stop) : stop
  }

  #noPong(link: Link): void {
    this.#end(() => link.close(this.#options.closeCodes.noPong, "no pong"))
    this.#work?.interruptUnsafe(undefined, ClientAbort.annotation)
  }

  /** Ends the WebSocket, unless it has ended already. */
  #end(end: (link: Link) => void): void {
    const { link } = this
    if (link === undefined || this.state === "closed") return
    this.state = "closed"
    end(link)
  }

  /**
   * Sends the handler's answer over the WebSocket; before the 101, an answer of 300 or above is sent as an HTTP
   * response.
   */
  readonly answer = (
    response: HttpServerResponse.HttpServerResponse
  ): Effect.Effect<HttpServerResponse.HttpServerResponse, HttpServerError> => {
    if (this.state === "offered" && (response.status >= 300 || response.status < 200)) return Effect.succeed(response)
    return this.run(Effect.flatMap(this.open, (link) => this.#send(link, response))).pipe(
      Effect.onError((cause) => Effect.sync(() => this.#end((link) => this.#abandon(link, cause)))),
      Effect.catchTag("SocketError", () => Effect.void),
      // A client that leaves is not a failure of the server.
      Effect.catchCauseIf(isClientAbort<HttpServerError>, () => Effect.void),
      Effect.as(HttpServerResponse.empty())
    )
  }

  #send(link: Link, { body, status }: HttpServerResponse.HttpServerResponse): Effect.Effect<void> {
    const { closeCodes } = this.#options
    if (status >= 400) {
      return Effect.sync(() => this.#end(() => this.#refuse(link, status, body)))
    }
    switch (body._tag) {
      case "Stream":
        return this.#stream(link, body.stream)
      case "Empty":
        return Effect.sync(() => this.#end(() => link.close(closeCodes.complete, complete)))
      case "Uint8Array":
        return Effect.sync(() =>
          this.#end(() => {
            link.send(`${new TextDecoder().decode(body.body).trim()}\n`)
            link.close(closeCodes.complete, complete)
          })
        )
      default:
        return Effect.die(new Error(`a streaming endpoint can't answer with a body of kind ${body._tag}`))
    }
  }

  #abandon(link: Link, cause: Cause.Cause<unknown>): void {
    const { closeCodes } = this.#options
    if (Cause.hasInterruptsOnly(cause)) link.close(closeCodes.goingAway, "")
    else link.close(closeCodes.failed, "internal error")
  }

  /** The handler failed with a status when the WebSocket was open already: the status becomes a close code. */
  #refuse(link: Link, status: number, body: HttpServerResponse.HttpServerResponse["body"]): void {
    if (body._tag === "Uint8Array") closeWithError(link, status, new TextDecoder().decode(body.body).trim())
    else if (status === 499 || status === 503) link.close(this.#options.closeCodes.goingAway, "")
    else if (status >= 500) link.close(this.#options.closeCodes.failed, "internal error")
    else closeWithError(link, status, "")
  }

  #stream(link: Link, body: Stream.Stream<Uint8Array, unknown>): Effect.Effect<void> {
    const { closeCodes, sendTimeout } = this.#options
    let failure: Failure | undefined = undefined
    const send = makeSender(link)
    const read = makeEventReader((text) => send(`${text}\n`), (failed) => {
      failure = failed
    })
    const room = Effect.raceFirst(
      untilRoomOrEnd(link),
      Effect.flatMap(untilStuck(link, sendTimeout), () => {
        this.#end(() => link.close(closeCodes.tooSlow, "the messages are not read"))
        return Effect.interrupt
      })
    )
    // It waits for room after each chunk, so that `untilStuck` sees the progress of a client that reads a burst slowly.
    const sendFrom = (chunks: ReadonlyArray<Uint8Array>, start: number): Effect.Effect<void> => {
      for (let index = start; index < chunks.length; index++) {
        const chunk = chunks[index]!
        read(chunk)
        const isOver = isTurnOver(chunk.length)
        // When the client is gone nothing is sent any more, but the handler goes on to take what the client has sent.
        const needsRoom = link.isFull() && !hasEnded(link)
        if (!needsRoom && !isOver) continue
        return Effect.andThen(needsRoom ? room : awaitTurn, Effect.suspend(() => sendFrom(chunks, index + 1)))
      }
      return Effect.void
    }
    return Stream.runForEachArray(body, (chunks) => sendFrom(chunks, 0)).pipe(
      // The errors that the endpoint declares have come as events, which `failure` has. Any other one is a defect of
      // the handler.
      Effect.orDie,
      Effect.andThen(Effect.suspend(() => this.#close(link, failure)))
    )
  }

  #close(link: Link, failure: Failure | undefined): Effect.Effect<void> {
    const { closeCodes, errors } = this.#options
    if (failure === undefined) return Effect.sync(() => this.#end(() => link.close(closeCodes.complete, complete)))
    const { error } = failure
    if (error === undefined) return Effect.sync(() => this.#end(() => link.close(closeCodes.failed, "internal error")))
    return Effect.map(
      statusOfError(errors, error.json),
      (status) => this.#end(() => closeWithError(link, status, JSON.stringify(error.json)))
    )
  }
}

const complete = "server closing connection"

/** Whether the platform interrupted the call because its TCP connection is gone. */
const isClientAbort = <E>(cause: Cause.Cause<E>): boolean =>
  cause.reasons.length > 0 &&
  cause.reasons.every((reason) => reason._tag === "Interrupt" && reason.annotations.has(ClientAbort.key))

/** The status of the first declared error whose schema accepts this JSON. */
const statusOfError = (errors: ReadonlyArray<Schema.Top>, json: unknown): Effect.Effect<number> =>
  Effect.gen(function*() {
    for (const schema of errors) {
      const decoded = yield* Effect.exit(Schema.decodeUnknownEffect(Schema.toCodecJson(schema))(json))
      if (decoded._tag === "Success") return statusOfSchema(schema)
    }
    return 500
  }) as Effect.Effect<number>

const statusOfSchema = (schema: Schema.Top): number =>
  Schema.resolveAnnotations(schema)?.httpApiStatus ?? Schema.resolveAnnotationsKey(schema)?.httpApiStatus ?? 500

/** Whether this asks for a WebSocket (RFC 6455 section 4.1). @internal */
export const isUpgrade = ({ headers, method }: HttpServerRequest.HttpServerRequest): boolean =>
  method === "GET" && headers.upgrade?.toLowerCase() === "websocket"

/**
 * The request as the handler of a streaming endpoint sees it: a POST, because `effect/http-api` reads no body of a GET.
 *
 * @internal
 */
export const withBody = (
  request: HttpServerRequest.HttpServerRequest,
  overrides: Partial<HttpServerRequest.HttpServerRequest> = {}
): HttpServerRequest.HttpServerRequest => {
  // Errors hold this request, and errors are compared by structure: that would walk through the whole server.
  Equal.byReferenceUnsafe(request)
  const replaced: Readonly<Record<PropertyKey, unknown>> = { method: "POST", ...overrides }
  return new Proxy(request, {
    get(target, key) {
      if (Object.hasOwn(replaced, key)) return replaced[key]
      // Requests have private members, so their methods must run on the request itself and not on the proxy.
      const value: unknown = Reflect.get(target, key, target)
      return Predicate.isFunction(value) ? value.bind(target) : value
    }
  })
}

/**
 * Runs a handler for an upgrade request.
 *
 * @internal
 */
export const serve = <E, R>(
  handler: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>,
  options: ServerCallOptions
): Effect.Effect<
  HttpServerResponse.HttpServerResponse,
  E,
  R | HttpServerRequest.HttpServerRequest | Scope.Scope
> =>
  Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    const input = yield* Queue.bounded<Uint8Array, Cause.Done>(1)
    const call = new ServerCall(request, yield* Effect.scope, options, input)
    yield* HttpEffect.appendPreResponseHandler((_request, response) => call.answer(response))
    return yield* call.run(Effect.provideService(
      handler,
      HttpServerRequest.HttpServerRequest,
      withBody(request, {
        stream: call.body,
        headers: Headers.set(request.headers, "content-type", "application/x-ndjson")
      })
    ))
  })
