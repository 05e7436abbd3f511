/**
 * Drives one connection: messages of the link into the multiplexer and back, heartbeat, status, and the end.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Scope from "effect/Scope"
import * as Connection from "../Connection.ts"
import type { Statistics } from "../ConnectionEvent.ts"
import { Heartbeat } from "../Heartbeat.ts"
import type { Limits } from "../Limits.ts"
import { Multiplexer, type Settings } from "../Multiplexer.ts"
import { ConnectionClosed, ProtocolViolation, SwaggerSocketError } from "../SwaggerSocketError.ts"
import { truncate } from "./frame/codec.ts"
import { CloseCode, closeCodeOf, ErrorCode, errorCodeName, type Violation } from "./frame/errorCode.ts"
import { endOf, type Link, linkError, maxCloseReason } from "./link.ts"
import * as metrics from "./metrics.ts"
import type { Apps, Peer } from "./peer.ts"

/** The replaceable parts, as they are where the server or client was made. @internal */
export interface Parts {
  readonly heartbeat: typeof Heartbeat.Service
  readonly multiplexer: typeof Multiplexer.Service
}

/** @internal */
export const parts: Effect.Effect<Parts> = Effect.all({ heartbeat: Heartbeat, multiplexer: Multiplexer })

/** @internal */
export interface ConnectionOptions<M, P> {
  readonly parts: Parts
  readonly id: string
  readonly metadata: M
  readonly principal: P
  readonly role: "client" | "server"
  readonly remoteAddress: Option.Option<string>
  readonly link: Link
  readonly limits: Limits
  /** What the peer announced. */
  readonly remote: Settings
  /** Measured by the handshake, in milliseconds. */
  readonly roundTrip: number
  readonly apps: Apps
}

/** @internal */
export interface Driven<M, P> {
  readonly connection: Connection.Connection<M, P>
  /** Reads and beats until the connection ends, which its interruption does with 1001. */
  readonly run: Effect.Effect<Connection.End>
  /** Waits until the peer says that it takes no more requests. */
  readonly retired: Effect.Effect<void>
  /** Lets calls finish, within the time that is given to them, and closes the connection. */
  readonly retire: Effect.Effect<void>
}

/** @internal */
export const make = Effect.fnUntraced(function*<M, P>(
  options: ConnectionOptions<M, P>
): Effect.fn.Return<Driven<M, P>, never, Scope.Scope> {
  const { limits, link } = options
  const clock = yield* Clock.Clock
  const scope = yield* Effect.scope
  const context = yield* Effect.context<never>()
  const ended = Deferred.makeUnsafe<Connection.End>()
  /** Ends `run` without the link's help: it does not answer, or can't be written to. */
  const cut = Deferred.makeUnsafe<never, SwaggerSocketError>()

  const retired = Deferred.makeUnsafe<void>()

  let status: Connection.Status = "open"
  let farewell: { readonly code: number; readonly reason: string } | undefined = undefined
  let roundTrip = options.roundTrip
  let shortest = roundTrip < nearby ? 0 : roundTrip
  let measured = false
  let scheduled = false
  /** Waits for the last stream to close. */
  let quiet: (() => void) | undefined = undefined

  const flush = () => {
    scheduled = false
    // oxlint-disable-next-line no-unmodified-loop-condition -- what is called below ends connections
    while (status !== "closed") {
      if (link.isFull()) {
        scheduled = true
        link.onRoom(flush)
        return
      }
      const message = mux.pull()
      if (message === undefined) return
      const error = link.send(message)
      if (error !== undefined) {
        Deferred.doneUnsafe(cut, Effect.fail(linkError("write", error)))
        return
      }
    }
  }

  const mux = options.parts.multiplexer({
    role: options.role,
    local: limits,
    remote: options.remote,
    limits,
    now: () => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000,
    roundTrip: () => shortest,
    onRequest(stream, request) {
      const app = options.apps.current
      return app === undefined
        ? { code: ErrorCode.NOT_SERVING, reason: "no API is served on this end" }
        : app(peer, stream, request)
    },
    onPing: (data) => beat.onPing(data),
    onPong: (data) => beat.onPong(data),
    onGoAway: () => Deferred.doneUnsafe(retired, Effect.void),
    onPending() {
      if (scheduled) return
      scheduled = true
      // The end of this turn: whatever else is queued in it leaves in the same message.
      queueMicrotask(flush)
    },
    onQuiet: () => quiet?.()
  })

  const beat = yield* options.parts.heartbeat({
    connectionId: options.id,
    ping: (data) => mux.ping(data),
    received: () => mux.counters.messagesReceived,
    roundTrip(millis) {
      roundTrip = millis
      // Queues make it longer than the path is.
      shortest = measured ? Math.min(shortest, millis) : millis
      measured = true
      metrics.roundTrip.updateUnsafe(millis, context)
    },
    fork: (effect) => {
      Effect.runForkWith(context)(Effect.forkIn(effect, scope))
    }
  })

  const say = (code: number, reason: string) => {
    if (status !== "open") return
    status = "closing"
    flush()
    link.close(code, truncate(reason, maxCloseReason))
  }

  const violated = (violation: Violation): SwaggerSocketError => {
    mux.goAway(violation.code, violation.reason)
    say(closeCodeOf(violation.code), violation.reason)
    return new SwaggerSocketError({
      reason: new ProtocolViolation({
        initiator: "remote",
        code: errorCodeName(violation.code),
        description: violation.reason
      })
    })
  }

  const receive = (batch: NonEmptyReadonlyArray<Uint8Array | string>): Effect.Effect<void, SwaggerSocketError> => {
    for (const message of batch) {
      if (status !== "open" && farewell === undefined) break
      const violation = Predicate.isString(message)
        ? { code: ErrorCode.PROTOCOL_ERROR, reason: "a text message after the handshake" }
        : mux.receive(message)
      if (violation !== undefined) return Effect.fail(violated(violation))
    }
    return Effect.void
  }

  const read: Effect.Effect<never, SwaggerSocketError> = Effect.forever(
    Effect.flatMap(Effect.mapError(link.pull, endOf), receive),
    { disableYield: true }
  )

  const leave = (code: number, reason: string) => {
    if (status !== "open") return
    farewell = { code, reason }
    mux.goAway(ErrorCode.NO_ERROR, reason)
    say(code, reason)
  }

  const finish = (error: SwaggerSocketError): Connection.End => {
    const reason = error.reason
    if (reason._tag === "HeartbeatTimeout") {
      // Said to nobody, most likely; the socket is dropped when no answer comes.
      mux.goAway(ErrorCode.HEARTBEAT_TIMEOUT, "")
      say(closeCodeOf(ErrorCode.HEARTBEAT_TIMEOUT), "")
    }
    status = "closed"
    const end: Connection.End = farewell !== undefined
      ? { _tag: "Closed", initiator: "local", ...farewell }
      : reason._tag === "ConnectionClosed"
      ? { _tag: "Closed", initiator: reason.initiator, code: reason.code, reason: reason.closeReason }
      : { _tag: "Failed", error }
    mux.fail(
      { code: ErrorCode.INTERNAL_ERROR, reason: error.message, cause: error },
      // A server that gives up on the handshake has read no request yet.
      reason._tag === "HandshakeRefused" ? "not-processed" : "unknown"
    )
    untrack()
    Deferred.doneUnsafe(ended, Effect.succeed(end))
    return end
  }

  // Uninterruptible around the interruptible race: whatever happens, the end is told.
  const run = Effect.uninterruptible(
    Effect.matchCause(Effect.interruptible(Effect.raceAllFirst([read, beat.run, Deferred.await(cut)])), {
      onSuccess: (never) => never,
      onFailure(cause) {
        const failure = cause.reasons.find((reason) => reason._tag === "Fail")
        if (failure?._tag === "Fail") return finish(failure.error)
        if (Cause.hasInterruptsOnly(cause)) {
          leave(CloseCode.GOING_AWAY, "")
          return finish(closedLocally(CloseCode.GOING_AWAY, ""))
        }
        // A bug of ours: the peer is told that it was not its fault.
        leave(closeCodeOf(ErrorCode.INTERNAL_ERROR), "")
        return finish(closedLocally(closeCodeOf(ErrorCode.INTERNAL_ERROR), Cause.pretty(cause)))
      }
    })
  )

  const peer: Peer = {
    mux,
    apps: options.apps,
    remoteAddress: options.remoteAddress,
    provide: (context) => Context.add(context, Connection.Connection, connection) as typeof context
  }

  const connection: Connection.Connection<M, P> = Connection.fromProperties<M, P>({
    id: options.id,
    metadata: options.metadata,
    principal: options.principal,
    wire: "v2",
    role: options.role,
    remoteAddress: options.remoteAddress,
    status: Effect.sync(() => status),
    roundTrip: Effect.sync(() => Duration.millis(roundTrip)),
    statistics: Effect.sync((): Statistics => ({ ...mux.counters, roundTripMillis: roundTrip })),
    active: Effect.sync(() => mux.active),
    close: (close) =>
      Effect.suspend(() => {
        const code = close?.code ?? CloseCode.NORMAL
        const reason = close?.reason ?? ""
        // WebSockets refuse other codes by throwing, when the connection would be half closed already.
        if (code !== CloseCode.NORMAL && !(code >= 3000 && code <= 4999)) {
          return Effect.die(new RangeError(`close code ${code}: 1000 or 3000-4999`))
        }
        leave(code, reason)
        return Deferred.await(ended).pipe(
          Effect.timeoutOrElse({
            duration: limits.closeTimeout,
            orElse: () =>
              Effect.suspend(() => {
                link.terminate()
                Deferred.doneUnsafe(cut, Effect.fail(closedLocally(code, reason)))
                return Deferred.await(ended)
              })
          }),
          Effect.asVoid
        )
      }),
    closed: Deferred.await(ended),
    peer
  })

  const untrack = metrics.track(mux.counters, context)
  metrics.connectionsOpened.updateUnsafe(1, context)
  yield* Scope.addFinalizer(scope, Effect.sync(untrack))

  const isQuiet = () => mux.active.local + mux.active.remote + mux.active.waiting === 0

  const retire = Effect.callback<void>((resume) => {
    if (isQuiet()) return resume(Effect.void)
    quiet = () => resume(Effect.void)
  }).pipe(
    Effect.timeoutOption(limits.drainTimeout),
    // It is the peer's to close; this end does where the peer does not.
    Effect.andThen(Effect.sleep(grace)),
    Effect.andThen(connection.close({ reason: "going away" }))
  )

  return { connection, run, retired: Deferred.await(retired), retire }
})

/**
 * A handshake that takes less, in milliseconds, has measured the programs rather than the path between them. Until a ping
 * measures better the path counts as short: windows that grow for no reason are queues that small calls wait in.
 */
const nearby = 15

/** How long the end that goes away has to close a link without streams. */
const grace = Duration.seconds(1)

const closedLocally = (code: number, reason: string): SwaggerSocketError =>
  new SwaggerSocketError({ reason: new ConnectionClosed({ initiator: "local", code, closeReason: reason }) })
