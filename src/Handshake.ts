/**
 * The three-way handshake that makes a link a connection (PROTOCOL.md, "Handshake"): `hello` with the client's
 * metadata, `welcome` or `refuse`, `ready`.
 *
 * Both sides are services with a default; provide others to change how connections begin, with peers that know it.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Accept as AcceptService, accept } from "./internal/handshake/accept.ts"
import { Dial as DialService, dial } from "./internal/handshake/dial.ts"
import type { Accepted, AcceptOptions, DialOptions, HandshakeLink, Welcomed } from "./internal/handshake/model.ts"
import type { SwaggerSocketError } from "./SwaggerSocketError.ts"

export { Refusal } from "./internal/handshake/model.ts"
export type {
  Accepted,
  AcceptOptions,
  DialOptions,
  HandshakeLink,
  Hello,
  Resume,
  Session,
  SessionSettings,
  Upgrade,
  Welcome,
  Welcomed
} from "./internal/handshake/model.ts"

/**
 * The handshake of PROTOCOL.md, of both sides: the default of `Accept` and `Dial`, for handshakes that add to it.
 *
 * **Example** (Refusing clients while there is maintenance)
 *
 * ```ts
 * import * as Handshake from "effect-swaggersocket/Handshake"
 * import * as Effect from "effect/Effect"
 *
 * declare const isMaintained: Effect.Effect<boolean>
 *
 * export const careful = Handshake.layer({
 *   accept: (link, options) =>
 *     Handshake.standard.accept(link, {
 *       ...options,
 *       authenticate: (metadata) =>
 *         Effect.flatMap(isMaintained, (maintained) =>
 *           maintained
 *             ? Effect.fail(new Handshake.Refusal({ code: "OVERLOADED", reason: "maintenance" }))
 *             : options.authenticate(metadata))
 *     })
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const standard: { readonly accept: typeof Accept.Service; readonly dial: typeof Dial.Service } = { accept, dial }

/**
 * How a server begins a connection. The default does what PROTOCOL.md says.
 *
 * **Example** (Logging how long handshakes take)
 *
 * ```ts
 * import * as Handshake from "effect-swaggersocket/Handshake"
 * import * as Duration from "effect/Duration"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * export const Timed = Layer.effect(
 *   Handshake.Accept,
 *   Effect.map(Handshake.Accept, (accept) => (link, options) =>
 *     Effect.timed(accept(link, options)).pipe(
 *       Effect.tap(([duration]) => Effect.logDebug("handshake", Duration.format(duration))),
 *       Effect.map(([, accepted]) => accepted)
 *     ))
 * )
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const Accept: Context.Reference<
  <M, P>(link: HandshakeLink, options: AcceptOptions<M, P>) => Effect.Effect<Accepted<M, P>, SwaggerSocketError>
> = AcceptService

/**
 * How a client begins a connection. The default does what PROTOCOL.md says.
 *
 * **Example** (Metadata that every client of a program has)
 *
 * ```ts
 * import * as Handshake from "effect-swaggersocket/Handshake"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * export const Versioned = Layer.effect(
 *   Handshake.Dial,
 *   Effect.map(Handshake.Dial, (dial) => (link, options) =>
 *     dial(link, { ...options, metadata: { version: "1.2.0", device: options.metadata } }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const Dial: Context.Reference<
  (link: HandshakeLink, options: DialOptions) => Effect.Effect<Welcomed, SwaggerSocketError>
> = DialService

/**
 * Another handshake for the connections made below this layer: the sides that are given.
 *
 * **Example** (A server that counts who comes)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Handshake from "effect-swaggersocket/Handshake"
 *
 * export let accepted = 0
 *
 * export const counting = Handshake.layer({
 *   accept: (link, options) =>
 *     Effect.tap(Handshake.standard.accept(link, options), () =>
 *       Effect.sync(() => {
 *         accepted++
 *       }))
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (handshake: {
  readonly accept?: typeof Accept.Service | undefined
  readonly dial?: typeof Dial.Service | undefined
}): Layer.Layer<never> =>
  Layer.merge(
    handshake.accept === undefined ? Layer.empty : Layer.succeed(Accept, handshake.accept),
    handshake.dial === undefined ? Layer.empty : Layer.succeed(Dial, handshake.dial)
  )
