/**
 * What requests and responses share as `HttpIncomingMessage`s: fields and a body that is read once.
 */
import * as Effect from "effect/Effect"
import type * as Headers from "effect/http/Headers"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as UrlParams from "effect/http/UrlParams"
import * as Inspectable from "effect/Inspectable"
import type * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Fields } from "../frame/Frame.ts"
import { toHeaders } from "./fields.ts"
import type { IncomingBody } from "./incomingBody.ts"

const decoder = new TextDecoder()
const formDecoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** @internal */
export abstract class IncomingMessage<E> extends Inspectable.Class
  implements HttpIncomingMessage.HttpIncomingMessage<E>
{
  readonly [HttpIncomingMessage.TypeId]: typeof HttpIncomingMessage.TypeId = HttpIncomingMessage.TypeId
  protected readonly body: IncomingBody
  protected readonly fields: Fields
  private cachedHeaders: Headers.Headers | undefined
  private cachedBytes: Effect.Effect<Uint8Array, E> | undefined = undefined

  constructor(body: IncomingBody, fields: Fields, headers?: Headers.Headers) {
    super()
    this.body = body
    this.fields = fields
    this.cachedHeaders = headers
  }

  abstract readonly remoteAddress: Option.Option<string>

  /** A body that could not be read, or not be understood. */
  protected abstract readError(cause: unknown): E

  /** The whole body, as it is read the first time. */
  protected abstract collect(): Effect.Effect<Uint8Array, E>

  get headers(): Headers.Headers {
    return this.cachedHeaders ??= toHeaders(this.fields)
  }

  private get bytes(): Effect.Effect<Uint8Array, E> {
    return this.cachedBytes ??= Effect.runSync(Effect.cached(this.collect()))
  }

  get arrayBuffer(): Effect.Effect<ArrayBuffer, E> {
    return Effect.map(this.bytes, (bytes) =>
      bytes.byteLength === bytes.buffer.byteLength
        ? bytes.buffer as ArrayBuffer
        : bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer)
  }

  get text(): Effect.Effect<string, E> {
    return Effect.map(this.bytes, (bytes) => decoder.decode(bytes))
  }

  get json(): Effect.Effect<Schema.Json, E> {
    return this.parse((bytes) => bytes.length === 0 ? null : JSON.parse(decoder.decode(bytes)) as Schema.Json)
  }

  get urlParamsBody(): Effect.Effect<UrlParams.UrlParams, E> {
    return this.parse((bytes) =>
      // A leading "?" is data here; URLSearchParams would drop it as the mark of a query.
      UrlParams.fromInput(new URLSearchParams(formDecoder.decode(bytes).replace(/^\?/, "%3F")))
    )
  }

  private parse<A>(parse: (bytes: Uint8Array) => A): Effect.Effect<A, E> {
    return Effect.flatMap(this.bytes, (bytes) =>
      Effect.try({
        try: () => parse(bytes),
        catch: (cause) => this.readError(cause)
      }))
  }

  get stream(): Stream.Stream<Uint8Array, E> {
    return Stream.mapError(Stream.fromPull(Effect.succeed(this.body.pull)), (cause) => this.readError(cause))
  }
}
