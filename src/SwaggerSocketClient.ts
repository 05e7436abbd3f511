/**
 * The socket role of the client: dials, and stays connected. Which API roles it plays is up to `ApiServer` and
 * `ApiClient`.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import type * as Stream from "effect/Stream"
import type * as Connection from "./Connection.ts"
import type * as ConnectionEvent from "./ConnectionEvent.ts"
import { Handshake } from "./Handshake.ts"
import { Changes } from "./internal/changes.ts"
import * as driver from "./internal/connection.ts"
import { EventHub } from "./internal/eventHub.ts"
import { closeRefused, dial, forHandshake, type Link } from "./internal/link.ts"
import * as metrics from "./internal/metrics.ts"
import { Apps } from "./internal/peer.ts"
import { subprotocol } from "./internal/subprotocol.ts"
import * as Limits from "./Limits.ts"
import { Reconnection } from "./Reconnection.ts"
import { ConnectionClosed, HandshakeRefused, SwaggerSocketError } from "./SwaggerSocketError.ts"

/**
 * - `Connecting`: an attempt is under way; `attempt` counts from 1 and starts anew with each established connection
 * - `Connected`
 * - `Waiting`: the next attempt comes after a delay
 * - `Stopped`: no more attempts, because the last failure says that they are of no use
 *
 * @since 0.1.0
 * @category models
 */
export type Status =
  | { readonly _tag: "Connecting"; readonly attempt: number }
  | { readonly _tag: "Connected"; readonly connection: Connection.Connection }
  | { readonly _tag: "Waiting"; readonly attempt: number; readonly error: SwaggerSocketError }
  | { readonly _tag: "Stopped"; readonly error: SwaggerSocketError }

/**
 * A client that dials by itself and dials again whenever its connection is lost.
 *
 * @since 0.1.0
 * @category services
 */
export class SwaggerSocketClient extends Context.Service<SwaggerSocketClient, {
  /**
   * The open connection; waits while there is none. Fails only when the client has stopped dialling: with the refusal
   * that made it, or because its scope has closed.
   */
  readonly connection: Effect.Effect<Connection.Connection, SwaggerSocketError>
  readonly status: Effect.Effect<Status>
  /** The status now and after each change; a slow subscriber skips states that were superseded. */
  readonly changes: Stream.Stream<Status>
  /** What happens, in order; see `SwaggerSocketServer.events`. */
  readonly events: Stream.Stream<ConnectionEvent.ConnectionEvent>
  /** Drops the connection, or ends the wait for the next attempt, and dials at once. */
  readonly reconnect: Effect.Effect<void>
  /** @internal */
  readonly apps: Apps
}>()("effect-swaggersocket/SwaggerSocketClient") {}

/**
 * A value, or an effect that is run anew for each attempt: refresh tokens and look up addresses there.
 *
 * @since 0.1.0
 * @category models
 */
export type PerAttempt<A, R = never> = A | Effect.Effect<A, never, R>

/**
 * @since 0.1.0
 * @category models
 */
export interface Options<M, R> {
  /** Where to dial: `ws:` or `wss:`. */
  readonly url: PerAttempt<string, R>
  /** What this client says of itself; any JSON, or of the type of `schema`. */
  readonly metadata?: PerAttempt<M, R> | undefined
  /** Encodes the metadata. Without one it must be JSON. */
  readonly schema?: Schema.ConstraintCodec<M, unknown, never, never> | undefined
  /** Fields of the upgrade request. Browsers can't send any: authenticate by metadata there. */
  readonly headers?: PerAttempt<Readonly<Record<string, string>>, R> | undefined
  /** Limits and timeouts; see `Limits`. */
  readonly limits?: Limits.Options | undefined
}

/**
 * A client that stays connected while the layer lives. Building the layer does not wait for the first connection.
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
export const layer = <M = unknown, R = never>(
  options: Options<M, R>
): Layer.Layer<SwaggerSocketClient, never, Socket.WebSocketConstructor | Exclude<R, Scope.Scope>> =>
  Layer.effect(SwaggerSocketClient, make(options))

const perAttempt = <A, R>(value: PerAttempt<A, R>): Effect.Effect<A, never, R> =>
  Effect.isEffect(value) ? value as Effect.Effect<A, never, R> : Effect.succeed(value)

/**
 * A client that stays connected until its scope closes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <M = unknown, R = never>(
  options: Options<M, R>
): Effect.Effect<SwaggerSocketClient["Service"], never, Socket.WebSocketConstructor | R | Scope.Scope> => {
  const encode = options.schema === undefined
    ? undefined
    : Schema.encodeEffect(Schema.toCodecJson(options.schema))
  return stayConnected<R | Socket.WebSocketConstructor>({
    limits: Limits.make(options.limits),
    attempt: Effect.gen(function*() {
      const url = yield* perAttempt(options.url)
      const headers = options.headers === undefined ? undefined : yield* perAttempt(options.headers)
      const metadata = options.metadata === undefined ? undefined : yield* perAttempt(options.metadata)
      return {
        metadata,
        // Metadata that its own schema does not encode is a mistake of the program.
        encoded: encode === undefined ? metadata : yield* Effect.orDie(encode(metadata as M)),
        link: dial({ url, protocol: subprotocol, headers })
      }
    })
  })
}

interface Attempt<R> {
  readonly metadata: unknown
  readonly encoded: unknown
  readonly link: Effect.Effect<Link, SwaggerSocketError, R | Scope.Scope>
}

/** @internal */
export const stayConnected = Effect.fnUntraced(function*<R>(options: {
  readonly limits: Limits.Limits
  readonly attempt: Effect.Effect<Attempt<R>, never, R>
}): Effect.fn.Return<SwaggerSocketClient["Service"], never, R | Scope.Scope> {
  const { limits } = options
  const clock = yield* Clock.Clock
  const scope = yield* Effect.scope
  const handshake = yield* Handshake
  const parts = yield* driver.parts
  const reconnection = yield* Reconnection
  const context = yield* Effect.context<never>()
  const hub = new EventHub<unknown>()
  const apps = new Apps()
  let status: Status = { _tag: "Connecting", attempt: 1 }
  let received: ConnectionEvent.ConnectionReceived | undefined = undefined
  let live = Deferred.makeUnsafe<Connection.Connection, SwaggerSocketError>()
  /** When the last connection was established. */
  let since = 0
  /** Ends the wait between attempts, or the next one. */
  let hurry = Deferred.makeUnsafe<void>()
  const changes = new Changes<Status>(() => status)

  const become = (next: Status) => {
    status = next
    changes.notify()
  }

  const withinTime = Effect.timeoutOrElse({
    duration: limits.handshakeTimeout,
    orElse: () => Effect.fail(timedOut)
  })

  const connect = Effect.gen(function*() {
    const { encoded, link: open, metadata } = yield* withinTime(options.attempt)
    const opened = yield* withinTime(open)
    const { handshake: io, link, roundTrip } = forHandshake(opened, clock)
    const welcomed = yield* Effect.tapError(
      withinTime(handshake.dial(io, { settings: limits, limits, metadata: encoded })),
      (error) => Effect.sync(() => closeRefused(link, error))
    )
    return yield* driver.make({
      parts,
      id: welcomed.connectionId,
      metadata,
      principal: undefined,
      role: "client",
      remoteAddress: Option.none(),
      link,
      limits,
      remote: welcomed.settings,
      roundTrip: roundTrip(),
      apps: new Apps(apps)
    })
  })

  /** A connection to its end, which it tells. */
  const follow = Effect.fnUntraced(function*({ connection, run }: driver.Driven<unknown, undefined>) {
    const end = yield* run
    const common = {
      connectionId: connection.id,
      metadata: connection.metadata,
      statistics: yield* connection.statistics,
      at: clock.currentTimeMillisUnsafe()
    }
    if (end._tag === "Closed") {
      const { code, initiator, reason } = end
      hub.publish({ _tag: "ConnectionClosed", ...common, initiator, code, reason })
      return new SwaggerSocketError({ reason: new ConnectionClosed({ initiator, code, closeReason: reason }) })
    }
    metrics.connectionFailures.updateUnsafe(1, context)
    hub.publish({ _tag: "ConnectionFailure", ...common, error: end.error })
    return end.error
  })

  /** Leaves a connection to finish what it has. */
  const retire = (driven: driver.Driven<unknown, undefined>) => Effect.as(Effect.forkIn(driven.retire, scope), goneAway)

  /**
   * One connection, from dialling until another one is needed: this one has ended, or the server takes no more requests
   * on it and it is left to finish what it has. Answers why.
   */
  const session = (attempt: number) =>
    Effect.gen(function*() {
      become({ _tag: "Connecting", attempt })
      const own = yield* Scope.fork(scope)
      const driven = yield* Effect.interruptible(connect).pipe(
        Scope.provide(own),
        Effect.onError((cause) => Scope.close(own, Exit.failCause(cause)))
      )
      const { connection } = driven
      const opened: ConnectionEvent.ConnectionReceived = {
        _tag: "ConnectionReceived",
        connectionId: connection.id,
        metadata: connection.metadata,
        wire: connection.wire,
        at: clock.currentTimeMillisUnsafe()
      }
      received = opened
      since = opened.at
      become({ _tag: "Connected", connection })
      hub.publish(opened)
      Deferred.doneUnsafe(live, Effect.succeed(connection))
      const end = yield* follow(driven).pipe(
        Effect.ensuring(Scope.close(own, Exit.void)),
        Effect.forkIn(scope, { startImmediately: true, uninterruptible: true })
      )
      const error = yield* Effect.interruptible(
        Effect.raceFirst(Fiber.join(end), Effect.andThen(driven.retired, retire(driven)))
      ).pipe(Effect.ensuring(Effect.sync(() => {
        live = Deferred.makeUnsafe()
        received = undefined
      })))
      return error
    }).pipe(Effect.uninterruptible)

  const stop = (error: SwaggerSocketError) => {
    become({ _tag: "Stopped", error })
    Deferred.doneUnsafe(live, Effect.fail(error))
  }

  const run = Effect.gen(function*() {
    let attempt = 1
    let wait = yield* Schedule.toStepWithSleep(reconnection.schedule)
    while (true) {
      const result = yield* Effect.result(session(attempt))
      const established = result._tag === "Success"
      const error = established ? result.success : result.failure
      if (established) {
        attempt = 0
        wait = yield* Schedule.toStepWithSleep(reconnection.schedule)
      }
      const retry = reconnection.retry(error)
      if (!established) {
        hub.publish({
          _tag: "ConnectionAttemptFailed",
          attempt,
          willRetry: retry,
          error,
          at: clock.currentTimeMillisUnsafe()
        })
      }
      yield* Effect.logDebug(established ? "connection ended" : "connection attempt failed", error.message)
      if (!retry) return stop(error)
      attempt++
      // The server has said where calls still go: to the next connection, and that at once, unless it says so to all.
      if (error === goneAway && clock.currentTimeMillisUnsafe() - since >= minLife) continue
      become({ _tag: "Waiting", attempt, error })
      const goOn = yield* Effect.raceFirst(
        Effect.match(wait(error), { onSuccess: () => true, onFailure: () => false }),
        Effect.as(Deferred.await(hurry), true)
      )
      hurry = Deferred.makeUnsafe()
      if (!goOn) return stop(error)
      metrics.reconnects.updateUnsafe(1, context)
    }
  }).pipe(
    // Callers must not wait for a client that a defect has ended.
    Effect.tapCause((cause) =>
      Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.suspend(() => {
        Deferred.doneUnsafe(live, Effect.failCause(Cause.die(Cause.squash(cause))))
        return Effect.logError("the client has died of a defect", cause)
      })
    ),
    Effect.annotateLogs({ module: "SwaggerSocketClient", method: "run" })
  )

  // Added before the fiber is, so that it runs after it: whoever still calls must not wait.
  yield* Effect.addFinalizer(() => Effect.sync(() => stop(left)))
  yield* Effect.forkScoped(run)

  return {
    connection: Effect.suspend(() => Deferred.await(live)),
    status: Effect.sync(() => status),
    changes: changes.stream,
    events: hub.stream(() => received === undefined ? [] : [received]),
    reconnect: Effect.suspend(() => {
      Deferred.doneUnsafe(hurry, Effect.void)
      return status._tag === "Connected" ? status.connection.close({ reason: "reconnecting" }) : Effect.void
    }),
    apps
  }
})

/** A connection that the server gives up sooner is not followed by another one at once. */
const minLife = 1000

const goneAway = new SwaggerSocketError({
  reason: new ConnectionClosed({ initiator: "remote", code: 1001, closeReason: "the server takes no more requests" })
})

const left = new SwaggerSocketError({
  reason: new ConnectionClosed({ initiator: "local", code: 1001, closeReason: "the client's scope has closed" })
})

const timedOut = new SwaggerSocketError({
  reason: new HandshakeRefused({
    initiator: "local",
    code: "HANDSHAKE_TIMEOUT",
    description: "the connection was not established in time",
    retry: true
  })
})
