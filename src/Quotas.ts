/**
 * What the connections of one address, of one principal, of a whole server and of a process may do together. Limits say
 * what one connection may do (`Limits`); quotas see to it that many connections can't do more (PROTOCOL.md, "Quotas").
 *
 * `Quotas` is a service with the defaults. `layer` sets some for all servers below it; the option `quotas` of one of
 * them takes precedence.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Upgrade } from "./Handshake.ts"
import { readConfig } from "./internal/config/readConfig.ts"
import { forwardedFor } from "./internal/quota/forwarded.ts"

/**
 * What the clients of one address, or of one principal, may do together. `Infinity` turns a quota off.
 *
 * @since 0.1.0
 * @category models
 */
export interface Share {
  /**
   * Connections, with those that wait to be resumed. Default 10,000: more than the devices of any company behind one
   * address, and few enough that one address can't fill a server. Beyond it a client is refused with OVERLOADED (4106),
   * and for a second after that, but not for the next, further ones of the same address are answered HTTP 429. A client
   * that resumes its connection needs no other one.
   */
  readonly connections: number
  /**
   * Handshakes in progress. Default 256: half of a server's. With a round trip of 0.1 seconds they are enough for 2,500
   * clients a second. Beyond it a client of the address is answered HTTP 429.
   */
  readonly pendingHandshakes: number
  /**
   * Handshakes that may begin each second, lasting. Default 200: a handshake, with the connection that begins and ends
   * with it, takes 2 to 3 ms of a processor (measured on a busy machine), so that one address leaves room for others. A
   * refusal takes a fifth of that. Beyond it a client of the address is answered HTTP 429, and one of the
   * principal is refused with OVERLOADED (4106).
   */
  readonly handshakesPerSecond: number
  /**
   * Handshakes that may begin at once. Default ten times `handshakesPerSecond`: 2,000 devices behind one address come
   * back without delay after a restart.
   */
  readonly handshakeBurst: number
  /**
   * Connections that wait to be resumed. Default 10,000, as many as there may be. Beyond it the largest session is lost.
   */
  readonly interruptedSessions: number
  /**
   * Bytes that connections may hold while they wait to be resumed, counted every second: 16 KiB for each, and the messages
   * that it keeps, the bodies that it has not read and those that it has not sent. Default 128 MiB for an address, 64 MiB
   * for a principal. Beyond it the largest session is lost.
   */
  readonly interruptedBytes: number
  /**
   * WebSockets of streaming endpoints (`StreamingServer`) of one group. Default 5,000. Beyond it an upgrade is answered HTTP
   * 429. For these WebSockets `handshakesPerSecond` holds as well.
   */
  readonly streamingWebSockets: number
  /**
   * Calls in progress: handlers of this server that run, until they have ended, whatever became of their calls and
   * connections. Default 10,000: half of a server's, and a hundred connections whose limit is reached. Beyond it a call is
   * answered 429.
   */
  readonly calls: number
  /**
   * Calls each second, lasting. Default `Infinity`: only the program knows what its calls cost. Beyond it a call is
   * answered 429.
   */
  readonly callsPerSecond: number
  /** Calls that may begin at once. Default ten times `callsPerSecond`. */
  readonly callBurst: number
  /**
   * Idempotency keys in memory of one `Idempotency`, in progress or kept. Default 5,000: half of all. Beyond it the oldest
   * of the holder's own answers is forgotten, and its request would be executed again; where all are in progress, a new
   * one is answered 429.
   */
  readonly idempotencyKeys: number
  /**
   * Bytes of answers that are kept for idempotency keys, and as many of request bodies that are read beforehand. Default
   * 16 MiB: half of all. Beyond it answers are forgotten as above; if there is still no room, an answer is sent but not
   * kept, and a request body is not read beforehand.
   */
  readonly idempotencyBytes: number
}

/**
 * What all clients of a server may do together. `Infinity` turns a quota off.
 *
 * @since 0.1.0
 * @category models
 */
export interface Totals {
  /**
   * Connections, with those that wait to be resumed. Default 50,000: they take 2 GiB when they are idle. Beyond it the
   * principal, or the address, that has the most loses its newest one to a client of one that has fewer; others are
   * refused with OVERLOADED (4106).
   */
  readonly connections: number
  /**
   * Handshakes in progress. Default 512. Beyond it the address that has the most loses its oldest one to a client of an
   * address that has fewer; others are answered 503. On `NodeSwaggerSocket.layerHttpServer` upgrades that come at once, on
   * any path, share the event loop with everything else: up to twice as many wait for their turn.
   */
  readonly pendingHandshakes: number
  /**
   * Bytes that connections may hold while they wait to be resumed, counted as those of an address. Default 256 MiB. Beyond
   * it the principal, or the address, that holds the most loses its largest session.
   */
  readonly interruptedBytes: number
  /**
   * WebSockets of streaming endpoints of one group. Default 20,000. Beyond it the principal, or the address, that has the
   * most loses its newest one, with 1001, to a client of one that has fewer; others are answered HTTP 503.
   */
  readonly streamingWebSockets: number
  /**
   * Bytes that all connections may hold: metadata, messages that have not arrived whole or that may have to be sent again,
   * bodies that were not read, and bodies that were not sent. Default 1 GiB; set it to what the process may have for them. Beyond it the principal, or the
   * address, that holds the most loses the connection that does, with EXCESSIVE_LOAD.
   */
  readonly memory: number
  /**
   * Calls in progress: handlers that run. Default 20,000: some 200 MB. A principal, or an address, may have as many as
   * there is room left for others: half of them when it is alone, a third of them each when there are two. Beyond that
   * its calls are answered 503. Set it to what your handlers can do in the time that callers wait, if they wait for
   * something slower than this process.
   */
  readonly calls: number
  /**
   * How late this process may be, in milliseconds: how long calls that have arrived may wait for their turn. Default 500:
   * half of what callers of an API wait at least. When it has lasted for a second that there was more to do than time,
   * calls that have waited longer are answered 503, those of principals or addresses last that were served less than
   * half of what others were. So the others are answered in time, and the process has time for them.
   */
  readonly callDelay: number
  /**
   * Idempotency keys in memory of one `Idempotency`, in progress or kept. Default 10,000. Beyond it the principal, or the
   * address, that has the most loses its oldest answer, whose request would be executed again. It may have as many in
   * progress as there is room left for others: half of them when it is alone, a third of them each when there are two.
   * Beyond that its own new ones are answered 429. When all are in progress, which takes many of them, new ones are
   * answered 503.
   */
  readonly idempotencyKeys: number
  /**
   * Bytes of answers that are kept for idempotency keys, and as many of request bodies that are read beforehand. Default
   * 32 MiB. Beyond it the principal, or the address, that has the most loses its oldest answers; nobody loses one to
   * somebody who has as much.
   */
  readonly idempotencyBytes: number
}

/**
 * What the clients of all servers of a process may do together. `Infinity` turns a quota off.
 *
 * @since 0.1.0
 * @category models
 */
export interface ProcessTotals {
  /**
   * Connections, with those that wait to be resumed. Default 50,000, as for a server. Beyond it the principal, or the
   * address, that has the most on any server loses its newest one to a client of one that has fewer; others are refused
   * with OVERLOADED (4106).
   */
  readonly connections: number
  /**
   * Bytes that all connections may hold, counted as those of a server, and those that `Idempotency` keeps in memory, 1 KiB
   * for each key included. Default 1 GiB, as for a server; set it to what the process may have for them. Beyond it
   * whoever holds the most on any server loses the connection that does, with EXCESSIVE_LOAD, or half of the answers that
   * are kept.
   */
  readonly memory: number
}

/**
 * All quotas of a server, each with a value.
 *
 * @since 0.1.0
 * @category models
 */
export interface Quotas {
  /**
   * Those of each address. A client whose address is not known, because the platform does not tell it or `addressOf`
   * answers `undefined`, has none of them.
   */
  readonly perAddress: Share
  /**
   * Those of each principal. A client without one, because the server has no `authenticate` or `principalOf` answers
   * `undefined`, has none of them.
   */
  readonly perPrincipal: Share
  /** Those of all clients of a server together. */
  readonly server: Totals
  /**
   * Those of all clients of a process together. All servers that are given the same ones share them: by default all
   * servers of the process, and with `layer` all servers below it.
   */
  readonly process: ProcessTotals
}

/**
 * Quotas that are set; for those that are left out the defaults hold.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = {
  readonly [K in keyof Quotas]?: { readonly [N in keyof Quotas[K]]?: number | undefined } | undefined
}

/** Tokens of a burst for each one a second. */
const burstFactor = 10

/** Rates whose burst follows from them where none is given. */
const bursts = { handshakesPerSecond: "handshakeBurst", callsPerSecond: "callBurst" } as const

const mebibyte = 1024 * 1024

const share = {
  connections: 10_000,
  pendingHandshakes: 256,
  handshakesPerSecond: 200,
  handshakeBurst: 200 * burstFactor,
  interruptedSessions: 10_000,
  streamingWebSockets: 5000,
  calls: 10_000,
  callsPerSecond: Infinity,
  callBurst: Infinity,
  idempotencyKeys: 5000,
  idempotencyBytes: 16 * mebibyte
}

/**
 * The default quotas.
 *
 * **Example** (Twice the connections from one address)
 *
 * ```ts
 * import * as Quotas from "effect-swaggersocket/Quotas"
 *
 * export const roomy = Quotas.layer({ perAddress: { connections: 2 * Quotas.defaults.perAddress.connections } })
 * ```
 *
 * @since 0.1.0
 * @category constants
 */
export const defaults: Quotas = {
  perAddress: { ...share, interruptedBytes: 128 * mebibyte },
  perPrincipal: { ...share, interruptedBytes: 64 * mebibyte },
  server: {
    connections: 50_000,
    pendingHandshakes: 512,
    interruptedBytes: 256 * mebibyte,
    streamingWebSockets: 20_000,
    memory: 1024 * mebibyte,
    calls: 20_000,
    callDelay: 500,
    idempotencyKeys: 10_000,
    idempotencyBytes: 32 * mebibyte
  },
  process: { connections: 50_000, memory: 1024 * mebibyte }
}

const assertQuota = (name: string, value: number): void => {
  if (value === Infinity || (Number.isSafeInteger(value) && value >= 1)) return
  throw new RangeError(
    `Quotas: ${name} must be a whole number from 1, or Infinity where there shall be no such quota, not ${
      String(value)
    }`
  )
}

const merge = <A extends object>(
  part: string,
  options: { readonly [N in keyof A]?: number | undefined },
  base: A
): A => {
  const made: Record<string, number> = { ...base as Readonly<Record<string, number>> }
  const given = options as Readonly<Record<string, number | undefined>>
  for (const name of Object.keys(base)) {
    const value = given[name]
    if (value === undefined) continue
    assertQuota(`${part}.${name}`, value)
    made[name] = value
  }
  for (const [rate, burst] of Object.entries(bursts)) {
    if (given[rate] !== undefined && given[burst] === undefined) made[burst] = burstFactor * given[rate]
  }
  return made as A
}

/**
 * Quotas, with those of `base` for what `options` leaves out.
 *
 * **Gotchas**
 *
 * A value that is neither a whole number from 1 nor `Infinity` is a mistake of the program and throws a `RangeError`.
 *
 * **Example** (A small server for a few households)
 *
 * ```ts
 * import * as Quotas from "effect-swaggersocket/Quotas"
 *
 * export const quotas = Quotas.make({ perAddress: { connections: 50 }, server: { connections: 1000 } })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}, base: Quotas = defaults): Quotas => ({
  perAddress: merge("perAddress", options.perAddress ?? {}, base.perAddress),
  perPrincipal: merge("perPrincipal", options.perPrincipal ?? {}, base.perPrincipal),
  server: merge("server", options.server ?? {}, base.server),
  // Servers share the totals of the same object.
  process: options.process === undefined ? base.process : merge("process", options.process, base.process)
})

/**
 * The quotas of servers that are given no others.
 *
 * **Example** (Which quotas hold here)
 *
 * ```ts
 * import * as Quotas from "effect-swaggersocket/Quotas"
 * import * as Effect from "effect/Effect"
 *
 * export const mostConnections = Effect.map(Quotas.Quotas, ({ server }) => server.connections)
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const Quotas: Context.Reference<Quotas> = Context.Reference<Quotas>("effect-swaggersocket/Quotas", {
  defaultValue: () => defaults
})

/**
 * Quotas for all servers that this layer is provided to, for each of them; those of the `process` for all of them
 * together. The option `quotas` of a server takes precedence. Values that `options` leaves out are the defaults; those that are out of range throw a `RangeError`, see
 * `make`.
 *
 * **Example** (A hub whose users have few devices each)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as Layer from "effect/Layer"
 * import * as Quotas from "effect-swaggersocket/Quotas"
 * import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
 * import * as NodeSwaggerSocket from "effect-swaggersocket/node"
 *
 * class Devices extends SwaggerSocketServer.Service<Devices, string>()("Devices") {}
 *
 * const authenticate = () => Effect.succeed("ada")
 *
 * export const Hub = HttpRouter.serve(Devices.layer({ path: "/socket", authenticate })).pipe(
 *   Layer.provide(NodeSwaggerSocket.layerHttpServer({ port: 3000 })),
 *   Layer.provide(Quotas.layer({ perPrincipal: { connections: 20 } }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<never> => Layer.succeed(Quotas, make(options))

/**
 * `layer` with quotas that are read from the configuration of the program. A value that is missing or out of range is a
 * `ConfigError`.
 *
 * **Example** (Fewer connections, if the environment says so)
 *
 * ```ts
 * import * as Config from "effect/Config"
 * import * as Quotas from "effect-swaggersocket/Quotas"
 *
 * export const quotas = Quotas.layerConfig({
 *   server: { connections: Config.Int("MAX_CONNECTIONS").pipe(Config.withDefault(50_000)) }
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<never, Config.ConfigError> =>
  Layer.unwrap(readConfig(options, layer))

/**
 * The address of a client behind proxies, for `addressOf` of a server: the one that the outermost of your own proxies
 * has seen. Without the field it is the address of the TCP connection.
 *
 * **Gotchas**
 *
 * `proxies` is the number of proxies that a request passes and that you trust. With a number that is too high, or where
 * clients can reach the server without them, a client can choose the address that it counts as. The field has to be one
 * that each of your proxies appends to: most do so to `x-forwarded-for`.
 *
 * **Example** (A hub behind one proxy)
 *
 * ```ts
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as Layer from "effect/Layer"
 * import * as Quotas from "effect-swaggersocket/Quotas"
 * import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
 * import * as NodeSwaggerSocket from "effect-swaggersocket/node"
 *
 * class Devices extends SwaggerSocketServer.Service<Devices>()("Devices") {}
 *
 * export const Hub = HttpRouter.serve(
 *   Devices.layer({ path: "/socket", addressOf: Quotas.forwardedAddress() })
 * ).pipe(Layer.provide(NodeSwaggerSocket.layerHttpServer({ port: 3000, host: "127.0.0.1" })))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const forwardedAddress = (options: {
  /** How many proxies there are one behind the other. Default 1. */
  readonly proxies?: number | undefined
  /** The field that they append to. Default `x-forwarded-for`. */
  readonly field?: "x-forwarded-for" | "forwarded" | undefined
} = {}): (upgrade: Upgrade) => string | undefined => {
  const { field = "x-forwarded-for", proxies = 1 } = options
  if (!Number.isSafeInteger(proxies) || proxies < 1) {
    throw new RangeError(`Quotas: proxies must be a whole number from 1, not ${String(proxies)}`)
  }
  return ({ headers, remoteAddress }) => {
    const sent = headers[field]
    return sent === undefined
      ? Option.getOrUndefined(remoteAddress)
      : forwardedFor(sent, field === "forwarded", proxies)
  }
}
