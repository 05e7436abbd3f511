/**
 * The socket role of the client: dials, and stays connected. Which API roles it plays is up to `ApiServer` and
 * `ApiClient`.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import type * as Stream from "effect/Stream"
import type * as Connection from "./Connection.ts"
import type * as ConnectionEvent from "./ConnectionEvent.ts"
import { attemptError } from "./internal/client/dialling.ts"
import type { Attempt, PerAttempt, Status } from "./internal/client/model.ts"
import { stayConnected } from "./internal/client/stayConnected.ts"
import { shownUrl, urlFault } from "./internal/client/url.ts"
import { readConfig } from "./internal/config/readConfig.ts"
import { subprotocol } from "./internal/handshake/subprotocol.ts"
import { dial } from "./internal/link/dial.ts"
import { linkFailure } from "./internal/link/linkErrors.ts"
import { TypeId } from "./internal/link/model.ts"
import { metadataUnfit } from "./internal/link/refusal.ts"
import * as Limits from "./Limits.ts"
import type * as Link from "./Link.ts"
import type { SwaggerSocketError } from "./SwaggerSocketError.ts"

export type { PerAttempt, Status } from "./internal/client/model.ts"

/**
 * A client that dials by itself and dials again whenever its connection is lost.
 *
 * **Example** (Showing whether there is a connection)
 *
 * ```ts
 * import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
 * import * as Effect from "effect/Effect"
 * import * as Stream from "effect/Stream"
 *
 * export const show = Effect.gen(function*() {
 *   const client = yield* SwaggerSocketClient.SwaggerSocketClient
 *   yield* Stream.runForEach(client.changes, (status) => Effect.log(status._tag))
 * })
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class SwaggerSocketClient extends Context.Service<SwaggerSocketClient, {
  /**
   * The connection, be it interrupted or not; waits while there is none. Fails only when the client has stopped
   * dialling: with the refusal that made it, or because its scope has closed.
   */
  readonly connection: Effect.Effect<Connection.Connection, SwaggerSocketError>
  readonly status: Effect.Effect<Status>
  /** The status now and after each change; a slow subscriber skips states that were superseded. */
  readonly changes: Stream.Stream<Status>
  /** What happens, in order; see `SwaggerSocketServer.events`. */
  readonly events: Stream.Stream<ConnectionEvent.ConnectionEvent>
  /**
   * Dials at once: ends the wait for the next attempt, or gives up the link, for instance because the network has
   * changed. A connection that can be resumed goes on with the new link. A client that has stopped dials again.
   */
  readonly reconnect: Effect.Effect<void>
}>()("effect-swaggersocket/SwaggerSocketClient") {}

/**
 * What a client says of itself, and its limits.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientOptions<M, R> {
  /** What this client says of itself; any JSON, or of the type of `schema`. */
  readonly metadata?: PerAttempt<M, R> | undefined
  /** Encodes the metadata. Without one it must be JSON. */
  readonly schema?: Schema.ConstraintCodec<M, unknown, never, never> | undefined
  /** Limits and timeouts; see `Limits`. */
  readonly limits?: Limits.Options | undefined
}

/**
 * Where a client dials, what it says of itself, and its limits.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<M, R> extends ClientOptions<M, R> {
  /**
   * Where to dial: `ws:` or `wss:`. A malformed URL, or one of another scheme, throws a `TypeError` at once; if an
   * effect gives it, the attempt fails.
   */
  readonly url: PerAttempt<string, R>
  /** Fields of the upgrade request. Browsers can't send any: authenticate by metadata there. */
  readonly headers?: PerAttempt<Readonly<Record<string, string>>, R> | undefined
  /**
   * The wire that is spoken: `"v2"`, or `"v1"`, that of Go's swaggersocket. Default: v2, or v1 where the server refuses the
   * offer of v2; each new connection tries v2 first. Browsers don't tell why a socket was not opened, so there `"v1"` has
   * to be named.
   */
  readonly wire?: "v1" | "v2" | undefined
}

/**
 * How a client makes its links by itself, instead of dialling a URL; what it says of itself, and its limits.
 *
 * @since 0.1.0
 * @category models
 */
export interface LinkOptions<M, R> extends ClientOptions<M, R> {
  /**
   * Makes a link to the server, for each attempt. It may take `handshakeTimeout`; when it fails, the attempt has failed. Its
   * scope closes when the link is not used any more. The constructors of `Link` have the limits of this client there.
   */
  readonly link: Effect.Effect<Link.Link, unknown, R>
  /** Links carry wire v2 alone. */
  readonly wire?: "v2" | undefined
}

/**
 * A client that stays connected while the layer lives.
 *
 * **Details**
 *
 * Building the layer does not wait for the first connection, unless there is `waitForConnection`. The log says why the
 * client can't connect and what to check: at level WARN at the first failed attempt and whenever the reason changes, at
 * level ERROR when it stops dialling. The program goes on in both cases, and calls fail only when dialling has stopped.
 *
 * **Example** (A device)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
 *
 * declare const token: Effect.Effect<string>
 *
 * export const Connected = SwaggerSocketClient.layer({
 *   url: "wss://hub.example.com/socket",
 *   metadata: { name: "sensor-1", site: "A" },
 *   headers: Effect.map(token, (token) => ({ authorization: `Bearer ${token}` }))
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: {
  <M = unknown, R = never>(
    options: Options<M, R> & {
      /**
       * Building the layer waits for the first connection: as long as the client dials, or for this long. It fails when
       * the client stops dialling before there is one (after a refusal that is final, or when the schedule of
       * `Reconnection` is over), or with the last failure when the time is up.
       */
      readonly waitForConnection: true | Duration.Input
    }
  ): Layer.Layer<SwaggerSocketClient, SwaggerSocketError, Socket.WebSocketConstructor | Exclude<R, Scope.Scope>>
  <M = unknown, R = never>(
    options: Options<M, R>
  ): Layer.Layer<SwaggerSocketClient, never, Socket.WebSocketConstructor | Exclude<R, Scope.Scope>>
  <M = unknown, R = never>(
    options: LinkOptions<M, R> & {
      /** As above. */
      readonly waitForConnection: true | Duration.Input
    }
  ): Layer.Layer<SwaggerSocketClient, SwaggerSocketError, Exclude<R, Scope.Scope>>
  <M = unknown, R = never>(options: LinkOptions<M, R>): Layer.Layer<SwaggerSocketClient, never, Exclude<R, Scope.Scope>>
} = <M, R>(
  options: (Options<M, R> | LinkOptions<M, R>) & { readonly waitForConnection?: true | Duration.Input }
): Layer.Layer<SwaggerSocketClient, never, Socket.WebSocketConstructor | Exclude<R, Scope.Scope>> => {
  const client = make(options as Options<M, R>)
  const { waitForConnection } = options
  return Layer.effect(
    SwaggerSocketClient,
    // Without the option nothing fails, as the second signature says.
    (waitForConnection === undefined
      ? client
      : Effect.tap(client, (client) => connected(client, waitForConnection))) as typeof client
  )
}

/** Each option as a `Config`; those of the limits one by one, too. */
type Configured<O> = {
  readonly [K in keyof O]: K extends "limits" ? Config.Wrap<Limits.Options> : Config.Config<O[K]>
}

/**
 * `layer` with options that are read from the configuration of the program, once. A value that is missing or unfit, such
 * as a malformed URL, is a `ConfigError`.
 *
 * **Details**
 *
 * What is no configuration, such as a schema or an effect that renews a token for each attempt, is wrapped in
 * `Config.succeed`. A `Config` is an effect, so `layer` takes one for `url`, `headers` and `metadata` as well: it is then
 * read for each attempt, and a fault in it is a failed attempt.
 *
 * **Example** (A device whose hub is named by the environment)
 *
 * ```ts
 * import * as Config from "effect/Config"
 * import * as Redacted from "effect/Redacted"
 * import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
 *
 * export const Connected = SwaggerSocketClient.layerConfig({
 *   url: Config.String("HUB_URL"),
 *   metadata: Config.all({ name: Config.String("DEVICE_NAME") }),
 *   headers: Config.Redacted("HUB_TOKEN").pipe(
 *     Config.map((token) => ({ authorization: `Bearer ${Redacted.value(token)}` }))
 *   )
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig: {
  <M = unknown, R = never>(
    options: Configured<Options<M, R>> & {
      /** As for `layer`. */
      readonly waitForConnection: Config.Config<true | Duration.Input>
    }
  ): Layer.Layer<
    SwaggerSocketClient,
    Config.ConfigError | SwaggerSocketError,
    Socket.WebSocketConstructor | Exclude<R, Scope.Scope>
  >
  <M = unknown, R = never>(
    options: Configured<Options<M, R>>
  ): Layer.Layer<SwaggerSocketClient, Config.ConfigError, Socket.WebSocketConstructor | Exclude<R, Scope.Scope>>
} = <M, R>(options: Configured<Options<M, R>>) =>
  Layer.unwrap(
    Effect.flatMap(Limits.Limits, (limits) =>
      readConfig(
        options as Config.Wrap<Options<M, R>>,
        (options) => layer({ ...options, limits: Limits.make(options.limits, limits) })
      ))
  )

/** Waits for the first connection; what it fails with names how the last attempt failed. */
const connected = (client: SwaggerSocketClient["Service"], within: true | Duration.Input) =>
  within === true ? client.connection : Effect.timeoutOrElse(client.connection, {
    duration: within,
    orElse: () =>
      Effect.flatMap(client.status, (status) => {
        const cause = "error" in status ? status.error : undefined
        const description = `no connection within ${Duration.toSeconds(within)} s${
          cause === undefined ? "" : `; the last attempt: ${cause.message}`
        }`
        return Effect.fail(linkFailure("open", description, cause))
      })
  })

/**
 * A client that stays connected until its scope closes.
 *
 * **Example** (A client for as long as a scope)
 *
 * ```ts
 * import * as ApiClient from "effect-swaggersocket/ApiClient"
 * import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
 * import * as Effect from "effect/Effect"
 *
 * export const ask = Effect.scoped(Effect.gen(function*() {
 *   const client = yield* SwaggerSocketClient.make({ url: "ws://localhost:3000/socket" })
 *   const response = yield* ApiClient.make(yield* client.connection).get("/time")
 *   return yield* response.text
 * }))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: {
  <M = unknown, R = never>(
    options: Options<M, R>
  ): Effect.Effect<SwaggerSocketClient["Service"], never, Socket.WebSocketConstructor | R | Scope.Scope>
  <M = unknown, R = never>(
    options: LinkOptions<M, R>
  ): Effect.Effect<SwaggerSocketClient["Service"], never, R | Scope.Scope>
} = <M, R>(
  options: Options<M, R> | LinkOptions<M, R>
): Effect.Effect<SwaggerSocketClient["Service"], never, Socket.WebSocketConstructor | R | Scope.Scope> => {
  const { headers, link, metadata, url } = options as Options<M, R> & LinkOptions<M, R>
  // Each is there unless the other one is, as the types say.
  const fault = link || Effect.isEffect(url) ? undefined : urlFault(url)
  if (fault !== undefined) throw new TypeError(fault)
  // Without a schema it is sent as it is, if it is JSON.
  const encode = options.schema === undefined
    ? (given: M) => Effect.as(asJson(given), given as unknown)
    : Schema.encodeEffect(Schema.toCodecJson(options.schema))
  return Effect.flatMap(Limits.Limits, (inContext) => {
    const limits = Limits.make(options.limits, inContext)
    const made = link && Effect.flatMap(
      Effect.provideService(perAttempt("the link", link), Limits.Limits, limits),
      (link) => link[TypeId] as ReturnType<Attempt<R>["link"]>
    )
    return stayConnected<R | Socket.WebSocketConstructor>({
      limits,
      wire: made ? "v2" : options.wire,
      attempt: Effect.gen(function*() {
        const address = made ? "" : yield* perAttempt("url", url)
        const malformed = made ? undefined : urlFault(address)
        if (malformed !== undefined) {
          return yield* linkFailure("open", malformed)
        }
        const fields = yield* perAttempt("headers", headers)
        const given = yield* perAttempt("metadata", metadata)
        return {
          metadata: given,
          // Metadata that does not change would not fit the next time either.
          encoded: given === undefined
            ? undefined
            : yield* Effect.mapError(encode(given), metadataUnfit(Effect.isEffect(metadata))),
          target: shownUrl(address),
          link: (wire: "v1" | "v2") =>
            made ?? dial({
              url: address,
              protocol: wire === "v2" ? subprotocol : undefined,
              headers: fields,
              v1: wire === "v1",
              // The attempt has a time limit of its own.
              openTimeout: Duration.infinity
            })
        }
      })
    })
  })
}

const asJson = Schema.encodeEffect(Schema.fromJsonString(Schema.Unknown))

const perAttempt = <A, R>(what: string, value: PerAttempt<A, R>): Effect.Effect<A, SwaggerSocketError, R> =>
  Effect.isEffect(value)
    ? Effect.catchCause(
      value as Effect.Effect<A, unknown, R>,
      (cause) => Effect.fail(attemptError(what, cause))
    )
    : Effect.succeed(value)
