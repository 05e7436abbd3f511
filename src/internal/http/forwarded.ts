/**
 * What a platform needs that passes requests of connections on to an HTTP server: what the request asks for, and answers with the
 * fields and bytes of that server.
 */
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Predicate from "effect/Predicate"
import type * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import * as ErrorCode from "../frame/ErrorCode.ts"
import type { Fields } from "../frame/Frame.ts"
import { transportFields } from "../frame/grammar.ts"
import { setCookiesOf, toHeaders } from "./fields.ts"
import { send } from "./outgoingBody.ts"
import { fromRaw, OpenedSocket } from "./rawSocket.ts"
import { Room } from "./room.ts"
import { ServerRequest } from "./serverRequest.ts"
import { type Answered, TakenOver } from "./takenOver.ts"
import type { Asking } from "./upgradable.ts"
import { open } from "./upgrades.ts"

/** A request of a connection, as far as Effect's `HttpServerRequest` does not tell. @internal */
export interface Arrival {
  readonly hasBody: boolean
  /** The protocol that it asks to be upgraded to. */
  readonly protocol: string | undefined
  /** It came over TLS. */
  readonly isSecure: boolean
  readonly exchange: Asking
}

/** Answers `undefined` for a request that came otherwise than on a connection. @internal */
export const arrivalOf = (request: HttpServerRequest.HttpServerRequest): Arrival | undefined => {
  const source: object = ServerRequest.sourceOf(request)
  if (!Predicate.hasProperty(source, "mux")) return undefined
  const exchange = ServerRequest.sourceOf(request)
  const asksForUpgrade = exchange.stream.asksForUpgrade === true
  return {
    hasBody: !exchange.request.end && !asksForUpgrade,
    protocol: asksForUpgrade ? request.headers.upgrade : undefined,
    isSecure: exchange.isSecure,
    exchange
  }
}

/** The fields of the request but those of transports. @internal */
export const endToEnd = ({ headers }: HttpServerRequest.HttpServerRequest): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !transportFields.has(name)))

/** Fields as Node has them, names and values by turns, but those of transports (RFC 9110 section 7.6.1). @internal */
export const fieldsOf = (raw: ReadonlyArray<string>): Fields => {
  const fields: Array<readonly [string, string]> = []
  const named = new Set<string>()
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at]!.toLowerCase()
    if (name === "connection") { for (const one of raw[at + 1]!.split(",")) named.add(one.trim().toLowerCase()) }
    if (!transportFields.has(name)) fields.push([name, raw[at + 1]!])
  }
  return fields.filter(([name]) => !named.has(name))
}

class Forwarded extends TakenOver {
  readonly cookies: ReadonlyArray<string>
  readonly #body: Stream.Stream<Uint8Array, unknown>
  readonly #onBroken: (cause: unknown) => Effect.Effect<void>

  constructor(
    cookies: ReadonlyArray<string>,
    body: Stream.Stream<Uint8Array, unknown>,
    onBroken: (cause: unknown) => Effect.Effect<void>
  ) {
    super()
    this.cookies = cookies
    this.#body = body
    this.#onBroken = onBroken
  }

  respond(exchange: Answered, status: number, fields: Fields, isBodiless: boolean): Effect.Effect<void> {
    const { mux, stream } = exchange
    return Effect.suspend(() => {
      const refused = mux.respond(stream, status, fields, isBodiless)
      if (refused !== undefined) mux.reset(stream, ErrorCode.INTERNAL_ERROR, refused.reason)
      if (isBodiless || refused !== undefined) return Effect.void
      const room = exchange.room = new Room()
      return Effect.interruptible(send(mux, stream, this.#body, undefined, room)).pipe(
        Effect.catch((cause) => {
          // A reset, and no END: the reader must not take a part for the whole body.
          mux.reset(stream, ErrorCode.INTERNAL_ERROR, "the body broke off")
          return this.#onBroken(cause)
        })
      )
    })
  }

  /** The scope of the request releases the answer. */
  cancel(): void {}
}

/**
 * The answer of an HTTP server, with its fields as Node has them. `onBroken` is told when its body breaks off.
 *
 * @internal
 */
export const answer = (
  { body, rawHeaders, status }: {
    readonly status: number
    readonly rawHeaders: ReadonlyArray<string>
    readonly body: AsyncIterable<Uint8Array>
  },
  onBroken: (cause: unknown) => Effect.Effect<void>
): HttpServerResponse.HttpServerResponse => {
  const fields = fieldsOf(rawHeaders)
  const stream = Stream.fromAsyncIterable(body, (cause) => cause)
  const headers = toHeaders(fields.filter(([name]) => name !== "set-cookie"))
  return HttpServerResponse.raw(new Forwarded(setCookiesOf(fields), stream, onBroken), { status, headers })
}

class Unanswered extends TakenOver {
  readonly cookies = []
  readonly #reason: string

  constructor(reason: string) {
    super()
    this.#reason = reason
  }

  respond({ mux, stream }: Answered): Effect.Effect<void> {
    return Effect.sync(() => mux.reset(stream, ErrorCode.INTERNAL_ERROR, this.#reason))
  }

  cancel(): void {}
}

/** No answer: the stream is reset. The status is what logs and metrics of this end show. @internal */
export const unanswered = (reason: string): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.raw(new Unanswered(reason), { status: 502 })

/** Both directions of a request that is upgraded, as raw bytes. The 101, with these fields, is sent when it is read. @internal */
export const switchTo = (
  { exchange }: Arrival,
  protocol: string,
  rawHeaders: ReadonlyArray<string>
): Socket.Socket => {
  const fields = fieldsOf(rawHeaders).filter(([name]) => !ofHandshake.has(name))
  return new OpenedSocket(() => Effect.map(open(exchange, [["upgrade", protocol], ...fields]), fromRaw))
}

/** Fields of a 101 that concern one link, or speak of a body. */
const ofHandshake: ReadonlySet<string> = new Set(["sec-websocket-accept", "sec-websocket-extensions", "content-length"])
