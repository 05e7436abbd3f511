/**
 * The base of requests and responses: fields, and a body that is read once.
 */
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import type * as Fiber from "effect/Fiber"
import * as Hash from "effect/Hash"
import type * as Headers from "effect/http/Headers"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as UrlParams from "effect/http/UrlParams"
import * as Inspectable from "effect/Inspectable"
import type * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Fields } from "../frame/Frame.ts"
import { toHeaders } from "./fields.ts"
import { BodyTooLarge, type IncomingBody } from "./incomingBody.ts"

const decoder = new TextDecoder()
const formDecoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** @internal */
export abstract class IncomingMessage<E> extends Inspectable.Class
  implements HttpIncomingMessage.HttpIncomingMessage<E>
{
  readonly [HttpIncomingMessage.TypeId]: typeof HttpIncomingMessage.TypeId = HttpIncomingMessage.TypeId
  protected readonly body: IncomingBody
  protected readonly fields: Fields
  #cachedHeaders: Headers.Headers | undefined
  /** The body after it was read. It can be read again from here. */
  #whole: Uint8Array | undefined
  #reading: Effect.Effect<Uint8Array, E> | undefined

  constructor(body: IncomingBody, fields: Fields, headers?: Headers.Headers) {
    super()
    this.body = body
    this.fields = fields
    this.#cachedHeaders = headers
  }

  /**
   * A message equals only itself. Errors hold messages, and comparing them must not compare everything that a message refers
   * to.
   */
  [Hash.symbol](): number {
    return Hash.random(this)
  }

  [Equal.symbol](that: Equal.Equal): boolean {
    return this === that
  }

  abstract readonly remoteAddress: Option.Option<string>

  /** The error for a body that could not be read or parsed. */
  protected abstract readError(cause: unknown): E

  /** The largest body that the reader allows, in bytes. */
  protected abstract limit(fiber: Fiber.Fiber<unknown, unknown>): number | undefined

  /** Called when the reader was interrupted. */
  protected abstract abandoned(): void

  get headers(): Headers.Headers {
    return this.#cachedHeaders ??= toHeaders(this.fields)
  }

  get arrayBuffer(): Effect.Effect<ArrayBuffer, E> {
    return this.#read((bytes) =>
      bytes.byteLength === bytes.buffer.byteLength
        ? bytes.buffer as ArrayBuffer
        : bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer
    )
  }

  get text(): Effect.Effect<string, E> {
    return this.#read((bytes) => decoder.decode(bytes))
  }

  get json(): Effect.Effect<Schema.Json, E> {
    return this.#read((bytes) => bytes.length === 0 ? null : JSON.parse(decoder.decode(bytes)) as Schema.Json)
  }

  get urlParamsBody(): Effect.Effect<UrlParams.UrlParams, E> {
    return this.#read((bytes) =>
      // A leading "?" is data here; URLSearchParams would drop it as the mark of a query.
      UrlParams.fromInput(new URLSearchParams(formDecoder.decode(bytes).replace(/^\?/, "%3F")))
    )
  }

  /** The whole body, once it has arrived. Whoever gets it has read it. */
  get whole(): Uint8Array | undefined {
    return this.#whole ??= this.body.takeAll()
  }

  #read<A>(parse: (bytes: Uint8Array) => A): Effect.Effect<A, E> {
    return Effect.withFiber((fiber) => {
      const limit = this.limit(fiber)
      // Most bodies are small and have arrived, so that nothing waits.
      const { whole } = this
      if (whole !== undefined) {
        return limit !== undefined && whole.length > limit
          ? Effect.fail(this.readError(new BodyTooLarge(limit)))
          : this.#parse(parse, whole)
      }
      this.#reading ??= this.body.collect(limit).pipe(
        Effect.mapError((cause) => this.readError(cause)),
        Effect.onInterrupt(() => Effect.sync(() => this.abandoned())),
        Effect.cached,
        Effect.runSync
      )
      return Effect.flatMap(this.#reading, (bytes) => this.#parse(parse, this.#whole = bytes))
    })
  }

  #parse<A>(parse: (bytes: Uint8Array) => A, bytes: Uint8Array): Effect.Effect<A, E> {
    try {
      return Effect.succeed(parse(bytes))
    } catch (cause) {
      return Effect.fail(this.readError(cause))
    }
  }

  get stream(): Stream.Stream<Uint8Array, E> {
    return Stream.mapError(Stream.fromPull(Effect.succeed(this.body.pull)), (cause) => this.readError(cause))
  }
}
