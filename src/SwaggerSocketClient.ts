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
import * as Duration from "effect/Duration"
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
import { Dial, type Welcomed } from "./Handshake.ts"
import { Changes } from "./internal/changes.ts"
import * as driver from "./internal/connection.ts"
import type { Attachment, Driven } from "./internal/driven.ts"
import { closedLocally, sessionLost } from "./internal/endings.ts"
import { EventHub } from "./internal/eventHub.ts"
import { CloseCode } from "./internal/frame/errorCode.ts"
import { refused } from "./internal/handshake/refusal.ts"
import { closeRefused, dial, forHandshake, isUnknownProtocol, type Link } from "./internal/link.ts"
import * as metrics from "./internal/metrics.ts"
import { Apps } from "./internal/peer.ts"
import { Session } from "./internal/session/session.ts"
import { subprotocol } from "./internal/subprotocol.ts"
import * as wires from "./internal/wire.ts"
import * as Limits from "./Limits.ts"
import { Reconnection } from "./Reconnection.ts"
import { ConnectionClosed, LinkError, SwaggerSocketError } from "./SwaggerSocketError.ts"

/**
 * - `Connecting`: an attempt is under way; `attempt` counts from 1 and starts anew with each established link
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
   * The connection, be it interrupted or not; waits while there is none. Fails only when the client has stopped dialling:
   * with the refusal that made it, or because its scope has closed.
   */
  readonly connection: Effect.Effect<Connection.Connection, SwaggerSocketError>
  readonly status: Effect.Effect<Status>
  /** The status now and after each change; a slow subscriber skips states that were superseded. */
  readonly changes: Stream.Stream<Status>
  /** What happens, in order; see `SwaggerSocketServer.events`. */
  readonly events: Stream.Stream<ConnectionEvent.ConnectionEvent>
  /**
   * Dials at once: ends the wait for the next attempt, or gives up the link, for instance because the network has changed.
   * A connection that can be resumed goes on with the new link.
   */
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
  /**
   * What is spoken: `"v2"`, or `"v1"`, that of Go's swaggersocket. By default v2, and v1 where the server turns the offer of
   * v2 away; each new connection tries v2 first. Browsers don't tell why a socket was not opened: say `"v1"` there.
   */
  readonly wire?: "v1" | "v2" | undefined
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
    wire: options.wire,
    attempt: Effect.gen(function*() {
      const url = yield* perAttempt(options.url)
      const headers = options.headers === undefined ? undefined : yield* perAttempt(options.headers)
      const metadata = options.metadata === undefined ? undefined : yield* perAttempt(options.metadata)
      return {
        metadata,
        // Metadata that its own schema does not encode is a mistake of the program.
        encoded: encode === undefined ? metadata : yield* Effect.orDie(encode(metadata as M)),
        link: (wire) => dial({ url, protocol: wire === "v2" ? subprotocol : undefined, headers, v1: wire === "v1" })
      }
    })
  })
}

interface Attempt<R> {
  readonly metadata: unknown
  readonly encoded: unknown
  readonly link: (wire: "v1" | "v2") => Effect.Effect<Link, SwaggerSocketError, R | Scope.Scope>
}

/** A link through its handshake, for a new connection or to go on with one. */
interface Dialled {
  readonly metadata: unknown
  readonly wire: wires.Wire
  readonly welcomed: Welcomed
  readonly attachment: Attachment
}

/** A connection of this client. */
interface Held {
  readonly driven: Driven<unknown, undefined>
  /** What its events have in common. */
  readonly about: { readonly connectionId: string; readonly metadata: unknown }
  /** What the last welcome said. */
  session: Welcomed["session"]
  /** Waits between attempts to resume; starts anew when a link has brought something. */
  wait: Wait | undefined
  /** What had been received when the last link came. */
  received: number
}

type Wait = (error: SwaggerSocketError) => Effect.Effect<unknown, unknown>

/** @internal */
export const stayConnected = Effect.fnUntraced(function*<R>(options: {
  readonly limits: Limits.Limits
  /** Absent: v2, and v1 where that is turned away. */
  readonly wire: "v1" | "v2" | undefined
  readonly attempt: Effect.Effect<Attempt<R>, never, R>
}): Effect.fn.Return<SwaggerSocketClient["Service"], never, R | Scope.Scope> {
  const { limits } = options
  const clock = yield* Clock.Clock
  const scope = yield* Effect.scope
  // Closes behind the connections, which say goodbye on their links.
  const links = yield* Scope.fork(scope)
  const standardDial = yield* Dial
  const parts = yield* driver.parts
  const reconnection = yield* Reconnection
  const context = yield* Effect.context<R>()
  const hub = new EventHub<unknown>()
  const apps = new Apps(limits.drainTimeout)
  const windowMillis = Duration.toMillis(limits.resumeWindow)
  const wish = windowMillis > 0 ? { windowMillis, replayBuffer: limits.replayBuffer } : undefined
  let status: Status = { _tag: "Connecting", attempt: 1 }
  /** The connection that calls go to; one that the server has retired finishes by itself. */
  let current: Held | undefined = undefined
  /** What a new subscriber is told first. */
  let standing: ReadonlyArray<ConnectionEvent.ConnectionEvent> = []
  let live = Deferred.makeUnsafe<Connection.Connection, SwaggerSocketError>()
  /** When the last connection was established. */
  let since = 0
  /** Ends the wait between attempts, or the next one. */
  let hurry = Deferred.makeUnsafe<void>()
  /** A new connection that the server gave where an old one was to be resumed. */
  let offered: Dialled | undefined = undefined
  const changes = new Changes<Status>(() => status)
  const now = () => clock.currentTimeMillisUnsafe()
  const makeWait: Effect.Effect<Wait> = Schedule.toStepWithSleep(reconnection.schedule)

  const become = (next: Status) => {
    status = next
    changes.notify()
  }

  const withinTime = Effect.timeoutOrElse({
    duration: limits.handshakeTimeout,
    orElse: () => Effect.fail(timedOut)
  })

  /** A link through the handshake of a wire. */
  const enter = Effect.fnUntraced(function*(
    { encoded, link: open, metadata }: Attempt<R>,
    wireName: "v1" | "v2",
    held: Held | undefined,
    own: Scope.Closeable
  ): Effect.fn.Return<Dialled, SwaggerSocketError, R> {
    const opened = yield* withinTime(Scope.provide(open(wireName), own))
    const wire = wireName === "v1"
      ? yield* wires.v1(opened, "client", limits)
      : { name: wireName, dial: standardDial, multiplexer: parts.multiplexer, link: opened }
    const { handshake: io, rest, roundTrip } = forHandshake(wire.link, clock)
    const resume = held?.session && {
      connectionId: held.about.connectionId,
      token: held.session.token,
      epoch: held.session.epoch,
      received: held.driven.session!.received
    }
    const welcomed = yield* Effect.tapError(
      withinTime(wire.dial(io, { settings: limits, limits, metadata: encoded, session: wish, resume })),
      (error) => Effect.sync(() => closeRefused(wire.link, error))
    )
    const received = welcomed.session?.received ?? 0
    const attachment = { link: rest(), roundTrip: roundTrip(), received, release: Scope.close(own, Exit.void) }
    return { metadata, wire, welcomed, attachment }
  })

  const connect = (held?: Held): Effect.Effect<Dialled, SwaggerSocketError> =>
    Effect.gen(function*() {
      const own = yield* Scope.fork(links)
      return yield* Effect.gen(function*() {
        const attempt = yield* withinTime(Scope.provide(options.attempt, own))
        const first = enter(attempt, options.wire ?? "v2", held, own)
        // What the first dial has left behind is closed with the connection.
        return yield* options.wire === undefined
          ? Effect.catch(first, (error) =>
            isUnknownProtocol(error) ? enter(attempt, "v1", held, own) : Effect.fail(error))
          : first
      }).pipe(
        Effect.interruptible,
        Effect.onError((cause) =>
          Scope.close(own, Exit.failCause(cause))
        )
      )
    }).pipe(Effect.provideContext(context), Effect.uninterruptible)

  /** Waits for the next attempt, which somebody may hurry; `false`: there shall be none. */
  const pause = (wait: Wait, error: SwaggerSocketError) =>
    Effect.onExit(
      Effect.raceFirst(
        Effect.match(wait(error), { onSuccess: () => true, onFailure: () => false }),
        Effect.as(Deferred.await(hurry), true)
      ),
      () =>
        Effect.sync(() => {
          // Connections that the server has retired may be waiting too.
          if (Deferred.isDoneUnsafe(hurry)) hurry = Deferred.makeUnsafe()
        })
    )

  const attemptFailed = (attempt: number, error: SwaggerSocketError, willRetry: boolean) => {
    hub.publish({ _tag: "ConnectionAttemptFailed", attempt, willRetry, error, at: now() })
    return Effect.logDebug("connection attempt failed", error.message)
  }

  /** Another link for a connection that has lost its own. */
  const renew = Effect.fnUntraced(function*(
    held: Held,
    lost: SwaggerSocketError
  ): Effect.fn.Return<Attachment, SwaggerSocketError> {
    const received = held.driven.session!.received
    if (received > held.received) held.wait = undefined
    held.received = received
    const wait = held.wait ??= yield* makeWait
    const show = (next: Status) => held === current ? become(next) : undefined
    let error = lost
    for (let attempt = 1;; attempt++) {
      show({ _tag: "Waiting", attempt, error })
      if (!(yield* pause(wait, error))) return yield* error
      show({ _tag: "Connecting", attempt })
      metrics.reconnects.updateUnsafe(1, context)
      const result = yield* Effect.result(connect(held))
      if (result._tag === "Success") {
        const { attachment, welcomed } = result.success
        if (welcomed.resumed) {
          held.session = welcomed.session
          return attachment
        }
        if (held === current) offered = result.success
        else yield* attachment.release
        return yield* sessionLost(
          welcomed.session?.epoch === held.session!.epoch ? "expired" : "restarted",
          lost
        )
      }
      error = result.failure
      const { reason } = error
      if (reason._tag === "HandshakeRefused" && reason.code === "RESUME_REJECTED") {
        return yield* sessionLost("rejected", lost)
      }
      const retry = reconnection.retry(error)
      yield* attemptFailed(attempt, error, retry)
      if (!retry) return yield* error
    }
  })

  /** A connection to its end, which it tells. */
  const follow = Effect.fnUntraced(function*(held: Held, first: Attachment, own: Scope.Closeable) {
    const { about, driven } = held
    const tell = (event: ConnectionEvent.ConnectionEvent, last?: ConnectionEvent.ConnectionEvent) => {
      if (held === current) standing = last === undefined ? standing.slice(0, 1) : [standing[0]!, last]
      hub.publish(event)
    }
    const end = yield* driven.run(first, {
      renew: (lost) => renew(held, lost),
      onOpen() {
        become({ _tag: "Connected", connection: driven })
        hub.publish(standing[0]!)
        Deferred.doneUnsafe(live, Effect.succeed(driven))
      },
      onInterrupted(error) {
        const event = { _tag: "ConnectionInterrupted", ...about, at: now(), error } as const
        tell(event, event)
      },
      onResumed(gapMillis, replayed) {
        if (held === current) become({ _tag: "Connected", connection: driven })
        tell({ _tag: "ConnectionResumed", ...about, at: now(), gapMillis, replayed })
      }
    })
    yield* Scope.close(own, Exit.void)
    const common = { ...about, statistics: yield* driven.statistics, at: now() }
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
  const retire = (driven: Driven<unknown, undefined>) => Effect.as(Effect.forkIn(driven.retire, scope), goneAway)

  /**
   * One connection, until another one is needed: this one has ended, or the server takes no more requests on it and it is
   * left to finish what it has. Answers why.
   */
  const session = ({ attachment, metadata, welcomed, wire }: Dialled) =>
    Effect.gen(function*() {
      const own = yield* Scope.fork(scope)
      const { connectionId, session } = welcomed
      const driven = yield* driver.make<unknown, undefined>({
        clock,
        scope: own,
        heartbeat: parts.heartbeat,
        multiplexer: wire.multiplexer,
        wire: wire.name,
        id: connectionId,
        metadata,
        principal: undefined,
        role: "client",
        remoteAddress: Option.none(),
        limits,
        remote: welcomed.settings,
        session: session && new Session(limits.replayBuffer, session.replayBuffer),
        windowMillis: Math.min(windowMillis, session?.windowMillis ?? 0),
        apps: new Apps(limits.drainTimeout, apps)
      })
      const about = { connectionId, metadata }
      const held: Held = { driven, about, session, wait: undefined, received: 0 }
      const opened = { _tag: "ConnectionReceived", ...about, wire: driven.wire, at: now() } as const
      current = held
      standing = [opened]
      since = opened.at
      const end = yield* follow(held, attachment, own).pipe(
        Effect.forkIn(scope, { startImmediately: true, uninterruptible: true })
      )
      return yield* Effect.interruptible(
        Effect.raceFirst(Fiber.join(end), Effect.andThen(driven.retired, retire(driven)))
      ).pipe(Effect.ensuring(Effect.sync(() => {
        live = Deferred.makeUnsafe()
        current = undefined
        standing = []
      })))
    }).pipe(Effect.uninterruptible)

  const stop = (error: SwaggerSocketError) => {
    become({ _tag: "Stopped", error })
    Deferred.doneUnsafe(live, Effect.fail(error))
  }

  const takeOffered = () => {
    const dialled = offered
    offered = undefined
    return dialled
  }

  const run = Effect.gen(function*() {
    let attempt = 1
    let wait = yield* makeWait
    while (true) {
      let dialled = takeOffered()
      let error: SwaggerSocketError
      if (dialled === undefined) {
        become({ _tag: "Connecting", attempt })
        const result = yield* Effect.result(connect())
        if (result._tag === "Success") dialled = result.success
        else error = result.failure
      }
      if (dialled !== undefined) {
        error = yield* session(dialled)
        attempt = 0
        wait = yield* makeWait
      }
      const retry = reconnection.retry(error!)
      yield* dialled === undefined
        ? attemptFailed(attempt, error!, retry)
        : Effect.logDebug("connection ended", error!.message)
      if (!retry) {
        yield* takeOffered()?.attachment.release ?? Effect.void
        return stop(error!)
      }
      attempt++
      if (offered !== undefined || (isElsewhere(error!) && now() - since >= minLife)) continue
      become({ _tag: "Waiting", attempt, error: error! })
      if (!(yield* pause(wait, error!))) return stop(error!)
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
    events: hub.stream(() => standing),
    reconnect: Effect.suspend(() => {
      Deferred.doneUnsafe(hurry, Effect.void)
      if (status._tag !== "Connected") return Effect.void
      if (current?.session === undefined) return status.connection.close({ reason: "reconnecting" })
      current.driven.dropLink(CloseCode.RESUMING, reconnecting)
      return Effect.void
    }),
    apps
  }
})

/** There is nothing to wait for: the server has said where calls still go, to the next connection. */
const isElsewhere = (error: SwaggerSocketError): boolean =>
  error === goneAway || (error.reason._tag === "SessionLost" && error.reason.because !== "expired")

/** A connection that the server gives up sooner is not followed by another one at once. */
const minLife = 1000

const goneAway = new SwaggerSocketError({
  reason: new ConnectionClosed({ initiator: "remote", code: 1001, closeReason: "the server takes no more requests" })
})

const reconnecting = new SwaggerSocketError({
  reason: new LinkError({ phase: "read", description: "reconnecting" })
})

const left = closedLocally(CloseCode.GOING_AWAY, "the client's scope has closed")

const timedOut = refused("local", "HANDSHAKE_TIMEOUT", "the connection was not established in time")
