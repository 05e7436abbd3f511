/**
 * A response of the peer as Effect's `HttpClientResponse`.
 */
import * as Effect from "effect/Effect"
import * as Cookies from "effect/http/Cookies"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import type * as Option from "effect/Option"
import { type Pipeable, pipeArguments } from "effect/Pipeable"
import type * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import type { Fields } from "../frame/Frame.ts"
import { setCookiesOf } from "./fields.ts"
import type { IncomingBody } from "./incomingBody.ts"
import { IncomingMessage } from "./incomingMessage.ts"
import { loadUpgrades } from "./loadUpgrades.ts"
import type { Switched } from "./upgradable.ts"

/** @internal */
export interface ClientResponseOptions {
  readonly request: HttpClientRequest.HttpClientRequest
  /** Without a fragment. */
  readonly url: string
  readonly status: number
  readonly fields: Fields
  readonly body: IncomingBody
  readonly remoteAddress: Option.Option<string>
  /** Called when the rest of the body will not be read. */
  readonly abandon: () => void
  /** The exchange of a response with the status 101. */
  readonly switched: Switched | undefined
}

/** @internal */
export class ClientResponse extends IncomingMessage<HttpClientError.HttpClientError>
  implements HttpClientResponse.HttpClientResponse, Pipeable
{
  readonly [HttpClientResponse.TypeId]: typeof HttpClientResponse.TypeId = HttpClientResponse.TypeId
  readonly request: HttpClientRequest.HttpClientRequest
  readonly url: string
  readonly status: number
  readonly remoteAddress: Option.Option<string>
  readonly #abandon: () => void
  readonly #switched: Switched | undefined
  #cachedCookies: Cookies.Cookies | undefined
  #cachedFormData: Effect.Effect<FormData, HttpClientError.HttpClientError> | undefined

  constructor(options: ClientResponseOptions) {
    super(options.body, options.fields)
    this.request = options.request
    this.url = options.url
    this.status = options.status
    this.remoteAddress = options.remoteAddress
    this.#abandon = options.abandon
    this.#switched = options.switched
  }

  get cookies(): Cookies.Cookies {
    return this.#cachedCookies ??= Cookies.fromSetCookie(setCookiesOf(this.fields))
  }

  protected limit(): undefined {
    return undefined
  }

  protected abandoned(): void {
    this.#abandon()
  }

  protected readError(cause: unknown): HttpClientError.HttpClientError {
    return new HttpClientError.HttpClientError({
      reason: new HttpClientError.DecodeError({ request: this.request, response: this, cause })
    })
  }

  override get stream(): Stream.Stream<Uint8Array, HttpClientError.HttpClientError> {
    return Stream.onExit(super.stream, () =>
      Effect.sync(() => {
        if (this.body.state === "open") this.#abandon()
      }))
  }

  get formData(): Effect.Effect<FormData, HttpClientError.HttpClientError> {
    return this.#cachedFormData ??= Effect.flatMap(this.arrayBuffer, (body) =>
      Effect.tryPromise({
        try: () => new Response(body, { headers: { ...this.headers } }).formData(),
        catch: (cause) => this.readError(cause)
      })).pipe(Effect.cached, Effect.runSync)
  }

  get upgrade(): Effect.Effect<Socket.Socket, HttpClientError.HttpClientError> {
    const switched = this.#switched
    if (switched !== undefined) return Effect.map(loadUpgrades, ({ connect }) => connect(switched, this))
    return Effect.fail(
      new HttpClientError.HttpClientError({
        reason: new HttpClientError.StatusCodeError({
          request: this.request,
          response: this,
          description: "expected 101 Switching Protocols"
        })
      })
    )
  }

  pipe(): unknown {
    // oxlint-disable-next-line prefer-rest-params
    return pipeArguments(this, arguments)
  }

  toJSON(): unknown {
    return HttpIncomingMessage.inspect(this, {
      _id: "HttpClientResponse",
      request: this.request.toJSON(),
      status: this.status
    })
  }
}
