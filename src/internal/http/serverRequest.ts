/**
 * A request of the peer as Effect's `HttpServerRequest`.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as FileSystem from "effect/FileSystem"
import * as Cookies from "effect/http/Cookies"
import * as Headers from "effect/http/Headers"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import { HttpServerError, RequestParseError } from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Multipart from "effect/http/Multipart"
import * as UrlParams from "effect/http/UrlParams"
import type * as Option from "effect/Option"
import type * as Path from "effect/Path"
import type { ReadonlyRecord } from "effect/Record"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import type { Fields, Request } from "../frame/Frame.ts"
import * as handlerRequest from "./handlerRequest.ts"
import { BodyTooLarge, type IncomingBody } from "./incomingBody.ts"
import { IncomingMessage } from "./incomingMessage.ts"
import { loadUpgrades } from "./loadUpgrades.ts"
import type { Asking } from "./upgradable.ts"

/** The value of `HttpServerRequest.source`. @internal */
export interface Source extends Asking {
  readonly request: Request
  readonly body: IncomingBody
  readonly remoteAddress: Option.Option<string>
  /** Whether the request came over TLS. */
  readonly isSecure: boolean
  /** Aborted when the peer no longer waits for the response. */
  readonly signal: AbortSignal
}

const sources = new WeakMap<object, Source>()

interface Overrides {
  readonly url?: string | undefined
  readonly headers?: Headers.Headers | undefined
  readonly remoteAddress?: Option.Option<string> | undefined
  readonly peerAddress?: Option.Option<string> | undefined
  readonly protocol?: "http" | "https" | undefined
}

/** @internal */
export class ServerRequest extends IncomingMessage<HttpServerError> implements HttpServerRequest.HttpServerRequest {
  readonly [HttpServerRequest.TypeId]: typeof HttpServerRequest.TypeId = HttpServerRequest.TypeId
  readonly #source: Source
  readonly #overrides: Overrides
  #cachedSource: object | undefined
  #cachedCookies: ReadonlyRecord<string, string> | undefined
  #cachedMultipart:
    | Effect.Effect<
      Multipart.Persisted,
      Multipart.MultipartError,
      Scope.Scope | FileSystem.FileSystem | Path.Path
    >
    | undefined = undefined

  constructor(source: Source, overrides: Overrides = {}) {
    super(source.body, source.request.fields, overrides.headers)
    this.#source = source
    this.#overrides = overrides
  }

  /** The source of a request, whatever it was modified to or wrapped in. */
  static sourceOf(request: HttpServerRequest.HttpServerRequest): Source {
    if (#source in request) return request.#source
    const { source } = request
    return sources.get(source) ?? source as Source
  }

  /** The fields as they came, if a handler has not changed them. */
  get receivedFields(): Fields | undefined {
    return this.#overrides.headers === undefined ? this.fields : undefined
  }

  get source(): object {
    return this.#cachedSource ??= this.#makeSource()
  }

  #makeSource(): object {
    const request = handlerRequest.make(this, () => this.#source.signal)
    if (request !== undefined) sources.set(request, this.#source)
    return request ?? this.#source
  }

  get method(): string {
    return this.#source.request.method
  }

  get url(): string {
    return this.#overrides.url ?? this.#source.request.target
  }

  /** An absolute URL. As on Effect's servers, the authority is that of the `host` field. */
  get originalUrl(): string {
    const { fields, target } = this.#source.request
    const host = fields.find(([name]) => name === "host")?.[1]
    return !host || !target.startsWith("/")
      ? target
      : `${this.#source.isSecure ? "https" : "http"}://${host}${target}`
  }

  get protocol(): "http" | "https" | undefined {
    return this.#overrides.protocol
  }

  get remoteAddress(): Option.Option<string> {
    return this.#overrides.remoteAddress ?? this.#source.remoteAddress
  }

  get peerAddress(): Option.Option<string> {
    return this.#overrides.peerAddress ?? this.remoteAddress
  }

  get cookies(): ReadonlyRecord<string, string> {
    return this.#cachedCookies ??= Cookies.parseHeader(this.headers.cookie ?? "")
  }

  modify(options: Overrides): HttpServerRequest.HttpServerRequest {
    const { headers, peerAddress, protocol, remoteAddress, url } = this.#overrides
    return new ServerRequest(this.#source, {
      url: options.url ?? url,
      headers: options.headers ?? headers,
      // `undefined` removes the address.
      remoteAddress: "remoteAddress" in options ? options.remoteAddress : remoteAddress,
      peerAddress: options.peerAddress ?? peerAddress,
      protocol: options.protocol ?? protocol
    })
  }

  protected limit(fiber: Fiber.Fiber<unknown, unknown>): number | undefined {
    const limit = fiber.getRef(HttpIncomingMessage.MaxBodySize)
    return limit === undefined ? undefined : Number(limit)
  }

  /** Nothing to do: the interruption of the handler ends the exchange. */
  protected abandoned(): void {}

  protected readError(cause: unknown): HttpServerError {
    return new HttpServerError({
      reason: new RequestParseError({
        request: this,
        reason: cause instanceof BodyTooLarge ? "BodyTooLarge" : "Parse",
        cause
      })
    })
  }

  get multipartStream(): Stream.Stream<Multipart.Part, Multipart.MultipartError> {
    return Stream.pipeThroughChannel(
      Stream.mapError(this.stream, (cause) => Multipart.MultipartError.fromReason("InternalError", cause)),
      Multipart.makeChannel(this.headers)
    )
  }

  get multipart(): Effect.Effect<
    Multipart.Persisted,
    Multipart.MultipartError,
    Scope.Scope | FileSystem.FileSystem | Path.Path
  > {
    return this.#cachedMultipart ??= Effect.runSync(Effect.cached(Multipart.toPersisted(this.multipartStream)))
  }

  get upgrade(): Effect.Effect<Socket.Socket, HttpServerError> {
    return this.upgradeWith({})
  }

  upgradeWith(
    options: { readonly headers?: Headers.Input | undefined }
  ): Effect.Effect<Socket.Socket, HttpServerError> {
    if (this.#source.stream.asksForUpgrade === true) {
      const headers = Headers.fromInput(options.headers)
      return Effect.flatMap(loadUpgrades, ({ accept }) => accept(this, this.#source, headers))
    }
    return Effect.fail(
      new HttpServerError({
        reason: new RequestParseError({ request: this, description: "the request does not ask for an upgrade" })
      })
    )
  }

  override toString(): string {
    return `ServerRequest(${this.method} ${UrlParams.redactUrl(this.url)})`
  }

  toJSON(): unknown {
    return HttpIncomingMessage.inspect(this, {
      _id: "HttpServerRequest",
      method: this.method,
      url: UrlParams.redactUrl(this.originalUrl)
    })
  }
}
