/**
 * Drives one connection on one link after the other: messages of the link into the multiplexer and back, heartbeat, what
 * the session sends again, status, and the end.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import { constVoid } from "effect/Function"
import * as Predicate from "effect/Predicate"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Connection from "../Connection.ts"
import type { Statistics } from "../ConnectionEvent.ts"
import { type Beat, Heartbeat } from "../Heartbeat.ts"
import { Multiplexer } from "../Multiplexer.ts"
import { LinkError, ProtocolViolation, SwaggerSocketError } from "../SwaggerSocketError.ts"
import { Changes } from "./changes.ts"
import type { Attachment, ConnectionOptions, Driven, Parts } from "./driven.ts"
import { closedLocally, endOfError, readStacks, sessionLost } from "./endings.ts"
import { isLinkMessage, truncate } from "./frame/codec.ts"
import {
  CloseCode,
  closeCodeOf,
  ErrorCode,
  errorCodeName,
  RefusalCode,
  type Violation,
  violation
} from "./frame/errorCode.ts"
import { later } from "./later.ts"
import { isLoss, type Link, linkError, maxCloseReason } from "./link.ts"
import * as metrics from "./metrics.ts"
import type { Peer } from "./peer.ts"
import { readAll } from "./reading.ts"
import { Settling } from "./settling.ts"

/** @internal */
export const parts: Effect.Effect<Parts> = Effect.all({ heartbeat: Heartbeat, multiplexer: Multiplexer })

/**
 * `draining`: one of the ends takes no more requests. `closing`: this end has said goodbye, and perhaps waits for the
 * peer's.
 */
type Phase = "running" | "draining" | "closing" | "closed"

/** @internal */
export const make = Effect.fnUntraced(function*<M, P>(
  options: ConnectionOptions<M, P>
): Effect.fn.Return<Driven<M, P>, never, Scope.Scope> {
  const { limits, session } = options
  const clock = yield* Clock.Clock
  const scope = yield* Effect.scope
  const context = yield* Effect.context<never>()
  const ended = Deferred.makeUnsafe<Connection.End>()
  const retired = Deferred.makeUnsafe<void>()
  const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000

  let phase: Phase = "running"
  /** None while the connection is interrupted. */
  let link: Link | undefined = undefined
  /** Ends what is under way without the link's help: reading from it, or waiting for another. */
  let cut = Deferred.makeUnsafe<never, SwaggerSocketError>()
  let beat: Beat | undefined = undefined
  let farewell: { readonly code: number; readonly reason: string } | undefined = undefined
  /** Nothing of the peer has been read yet, so that it may not have taken this end for ready. */
  let untried = true
  let roundTrip = 0
  let shortest = 0
  let measured = false
  let scheduled = false
  /** This end closes the connection when nothing is left on it. */
  let draining = false
  let changes: Changes<Connection.Status> | undefined = undefined
  let untrack = constVoid

  const status = (): Connection.Status =>
    phase === "closed" || phase === "closing"
      ? phase
      : link === undefined
      ? "interrupted"
      : phase === "draining"
      ? phase
      : "open"

  const become = (next: Phase) => {
    phase = next
    changes?.notify()
  }

  const next = (): Uint8Array<ArrayBuffer> | string | undefined => {
    if (session === undefined) return mux.pull()
    const owed = session.pull()
    if (owed !== undefined) return owed
    const message = mux.pull(session.isFull)
    // Sessions are of wire v2, whose messages are binary.
    if (message === undefined || Predicate.isString(message)) return message
    if (isLinkMessage(message)) session.askAck()
    else session.sent(message)
    return message
  }

  const flush = () => {
    // What becomes pending meanwhile leaves in this round.
    scheduled = true
    // oxlint-disable-next-line no-unmodified-loop-condition -- what is called below ends connections
    while (link !== undefined) {
      const own: Link = link
      if (own.isFull()) return own.onRoom(flush)
      const message = next()
      // What was called may have ended the link.
      if (message === undefined || own !== link) break
      const error = own.send(message)
      if (error !== undefined) {
        Deferred.doneUnsafe(cut, Effect.fail(linkError("write", error)))
        break
      }
    }
    scheduled = false
  }

  const schedule = () => {
    if (scheduled || link === undefined) return
    scheduled = true
    // The end of this turn: whatever else is queued in it leaves in the same message.
    queueMicrotask(flush)
  }

  const mux = options.parts.multiplexer({
    role: options.role,
    local: limits,
    remote: options.remote,
    limits,
    now,
    roundTrip: () => shortest,
    onRequest(stream, request) {
      const app = options.apps.current
      return app === undefined
        ? { code: ErrorCode.NOT_SERVING, reason: "no API is served on this end" }
        : app(peer, stream, request)
    },
    onPing: (data) => beat?.onPing(data),
    onPong: (data) => beat?.onPong(data),
    onGoAway() {
      if (phase === "running") become("draining")
      Deferred.doneUnsafe(retired, Effect.void)
    },
    onAck(received) {
      if (session === undefined) return undefined
      const wasFull = session.isFull
      if (!session.acknowledge(received)) return violation(ErrorCode.PROTOCOL_ERROR, `an ACK of ${received} messages`)
      if (wasFull) schedule()
      settling.check()
      return undefined
    },
    onPending: schedule,
    onQuiet: () => settling.checkLater(),
    onBroken: (reason) =>
      dropLink(
        closeCodeOf(ErrorCode.INTERNAL_ERROR),
        new SwaggerSocketError({ reason: new LinkError({ phase: "write", description: reason }) })
      ),
    later: later(context, scope)
  })
  const settling = new Settling(mux, session)

  const makeBeat = options.parts.heartbeat({
    connectionId: options.id,
    ping: (data) => mux.ping(data),
    received: () => mux.heard,
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
    if (phase === "closing" || phase === "closed") return
    become("closing")
    flush()
    link?.close(code, truncate(reason, maxCloseReason))
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

  const receive = (
    own: Link,
    batch: NonEmptyReadonlyArray<Uint8Array | string>
  ): Effect.Effect<void, SwaggerSocketError> => {
    untried = false
    for (const message of batch) {
      if (own !== link || (phase === "closing" && farewell === undefined)) break
      const violation = mux.receive(message)
      if (violation !== undefined) return Effect.fail(violated(violation))
      if (session !== undefined && !isLinkMessage(message as Uint8Array) && session.receive(message.length)) schedule()
    }
    return Effect.void
  }

  const leave = (code: number, reason: string) => {
    if (phase === "closing" || phase === "closed") return
    farewell = { code, reason }
    mux.goAway(ErrorCode.NO_ERROR, reason)
    say(code, reason)
    // There is nobody to say it to.
    if (link === undefined) Deferred.doneUnsafe(cut, Effect.fail(closedLocally(code, reason)))
  }

  const finish = (error: SwaggerSocketError): Connection.End => {
    const reason = error.reason
    if (reason._tag === "HeartbeatTimeout") {
      // Said to nobody, most likely; the socket is dropped when no answer comes.
      mux.goAway(ErrorCode.HEARTBEAT_TIMEOUT, "")
      say(closeCodeOf(ErrorCode.HEARTBEAT_TIMEOUT), "")
    }
    link = undefined
    become("closed")
    const end: Connection.End = farewell === undefined
      ? endOfError(error)
      : { _tag: "Closed", initiator: "local", ...farewell }
    mux.fail(
      { code: ErrorCode.INTERNAL_ERROR, reason: error.message, cause: error },
      // A server that gives up on the handshake has read no request yet. On wire v1 it decides behind the handshake.
      untried && reason._tag === "HandshakeRefused" && (options.wire === "v1" || handshakeFailures.has(reason.code))
        ? "not-processed"
        : "unknown"
    )
    untrack()
    if (end._tag === "Failed") readStacks(error)
    Deferred.doneUnsafe(ended, Effect.succeed(end))
    return end
  }

  const dropLink: Driven<M, P>["dropLink"] = (code, error) => {
    const own = link
    if (own === undefined) return
    // In memory the peer may answer before `close` returns, and this end may wait for another link by then.
    const waiting = cut
    link = undefined
    own.close(code, error.message)
    Deferred.doneUnsafe(waiting, Effect.fail(error))
  }

  /** Takes a link into use; answers how many messages are sent again, or why it is of no use. */
  const attach = (attachment: Attachment): number | SwaggerSocketError => {
    const replayed = session === undefined ? 0 : session.resume(attachment.received)
    if (replayed === undefined) {
      attachment.link.close(RefusalCode.RESUME_REJECTED, "")
      return sessionLost("rejected", undefined)
    }
    link = attachment.link
    roundTrip = attachment.roundTrip
    if (!measured) shortest = roundTrip < nearby ? 0 : roundTrip
    scheduled = false
    schedule()
    settling.check()
    changes?.notify()
    return replayed
  }

  const interrupt = (lost: SwaggerSocketError) => {
    if (lost.reason._tag === "HeartbeatTimeout") link?.close(closeCodeOf(ErrorCode.HEARTBEAT_TIMEOUT), "")
    else link?.terminate()
    link = undefined
    beat = undefined
    untried = false
    mux.linkLost()
    cut = Deferred.makeUnsafe()
    changes?.notify()
    metrics.interruptions.updateUnsafe(1, context)
  }

  const another = (lost: SwaggerSocketError, renew: Effect.Effect<Attachment, SwaggerSocketError>) =>
    Effect.raceFirst(
      Effect.timeoutOrElse(renew, {
        duration: draining ? Duration.min(options.window, limits.closeTimeout) : options.window,
        orElse: () => Effect.fail(sessionLost("expired", lost))
      }),
      Deferred.await(cut)
    )

  const serve = (own: Link) =>
    Effect.flatMap(makeBeat, (made) => {
      beat = made
      return Effect.raceAllFirst([readAll(own, mux, (batch) => receive(own, batch)), made.run, Deferred.await(cut)])
    })

  /** What a failure says of the connection's end. */
  const endOfCause = (cause: Cause.Cause<SwaggerSocketError>): SwaggerSocketError => {
    const failure = cause.reasons.find((reason) => reason._tag === "Fail")
    if (failure?._tag === "Fail") return failure.error
    if (Cause.hasInterruptsOnly(cause)) {
      leave(CloseCode.GOING_AWAY, "")
      return closedLocally(CloseCode.GOING_AWAY, "")
    }
    // A bug of ours: the peer is told that it was not its fault.
    leave(closeCodeOf(ErrorCode.INTERNAL_ERROR), "")
    return closedLocally(closeCodeOf(ErrorCode.INTERNAL_ERROR), Cause.pretty(cause))
  }

  // Uninterruptible around what is interruptible: whatever happens, the end is told.
  const run: Driven<M, P>["run"] = (first, links) =>
    Effect.uninterruptible(Effect.gen(function*() {
      let attachment = first
      let lostAt: number | undefined = undefined
      while (true) {
        const replayed = attach(attachment)
        if (!Predicate.isNumber(replayed)) {
          yield* attachment.release
          return finish(replayed)
        }
        if (lostAt === undefined) {
          // Not before: a client that has been welcomed may never be ready.
          untrack = metrics.track(mux.counters, context)
          metrics.connectionsOpened.updateUnsafe(1, context)
          links.onOpen()
        } else {
          metrics.resumptions.updateUnsafe(1, context)
          links.onResumed(now() - lostAt, replayed)
        }
        const served = yield* Effect.exit(Effect.interruptible(serve(attachment.link)))
        const error = endOfCause((served as Exit.Failure<never, SwaggerSocketError>).cause)
        if (session === undefined || phase === "closing" || !isLoss(error, lostAt !== undefined)) {
          const end = finish(error)
          yield* attachment.release
          return end
        }
        lostAt = now()
        interrupt(error)
        links.onInterrupted(error)
        yield* attachment.release
        let found: Attachment | undefined = undefined
        const renew = Effect.tap(links.renew(error), (attachment) => Effect.sync(() => found = attachment))
        const renewed = yield* Effect.exit(Effect.interruptible(another(error, renew)))
        if (renewed._tag === "Failure") {
          // Found in the turn in which the time was up.
          if (found !== undefined) yield* (found as Attachment).release
          return finish(endOfCause(renewed.cause))
        }
        attachment = renewed.value
      }
    }))

  const peer: Peer = {
    mux,
    session,
    apps: options.apps,
    remoteAddress: options.remoteAddress,
    provide: (context) => Context.add(context, Connection.Connection, connection) as typeof context
  }

  const close = (code: number, reason: string) =>
    Effect.suspend(() => {
      leave(code, reason)
      return Deferred.await(ended).pipe(
        Effect.timeoutOrElse({
          duration: limits.closeTimeout,
          orElse: () =>
            Effect.suspend(() => {
              link?.terminate()
              Deferred.doneUnsafe(cut, Effect.fail(closedLocally(code, reason)))
              return Deferred.await(ended)
            })
        }),
        Effect.asVoid
      )
    })

  /** Waits until no stream is left and the peer has received everything, or for as long as may be. */
  const settled = (duration: Duration.Duration) =>
    settling.settled.pipe(
      Effect.raceFirst(Deferred.await(ended)),
      Effect.timeoutOption(duration)
    )

  const goAway = (reason: string) => {
    if (phase === "running") become("draining")
    mux.goAway(ErrorCode.NO_ERROR, reason)
    Deferred.doneUnsafe(retired, Effect.void)
  }

  const drain = (duration: Duration.Duration, code: number, reason: string) =>
    Effect.suspend(() => {
      draining = true
      goAway(reason)
      return Effect.andThen(Effect.raceFirst(settled(duration), abandoned), close(code, reason))
    })

  /** A connection that has lost its link before it is drained is not waited for as long as one that is in use. */
  const abandoned = Effect.suspend(() =>
    link === undefined
      ? Effect.andThen(
        Effect.sleep(limits.closeTimeout),
        Effect.suspend(() => link === undefined ? Effect.void : Effect.never)
      )
      : Effect.never
  )

  const retire = Effect.suspend((): Effect.Effect<unknown> =>
    draining ? Deferred.await(ended) : settled(limits.drainTimeout)
  ).pipe(
    // It is the peer's to close; this end does where the peer does not.
    Effect.andThen(Effect.raceFirst(Effect.sleep(grace), Deferred.await(ended))),
    Effect.andThen(close(CloseCode.NORMAL, "going away"))
  )

  const connection: Connection.Connection<M, P> = Connection.fromProperties<M, P>({
    id: options.id,
    metadata: options.metadata,
    principal: options.principal,
    wire: options.wire,
    role: options.role,
    remoteAddress: options.remoteAddress,
    status: Effect.sync(status),
    changes: Stream.suspend(() => (changes ??= new Changes(status)).stream).pipe(
      Stream.takeUntil((status) => status === "closed")
    ),
    roundTrip: Effect.sync(() => Duration.millis(roundTrip)),
    statistics: Effect.sync((): Statistics => ({ ...mux.counters, roundTripMillis: roundTrip })),
    active: Effect.sync(() => mux.active),
    close: (close_) =>
      Effect.suspend(() => {
        const code = close_?.code ?? CloseCode.NORMAL
        const reason = close_?.reason ?? ""
        // WebSockets refuse other codes by throwing, when the connection would be half closed already.
        if (code !== CloseCode.NORMAL && !(code >= 3000 && code <= 4999)) {
          return Effect.die(new RangeError(`close code ${code}: 1000 or 3000-4999`))
        }
        const within = close_?.drain ?? false
        if (within === false) return close(code, reason)
        return drain(within === true ? limits.drainTimeout : Duration.fromInputUnsafe(within), code, reason)
      }),
    closed: Deferred.await(ended),
    peer
  })

  yield* Scope.addFinalizer(scope, Effect.sync(() => untrack()))

  return { connection, session, status, run, dropLink, drain, leave, retired: Deferred.await(retired), retire }
})

/** What a server says that waits for ready. */
const handshakeFailures: ReadonlySet<string> = new Set(["HANDSHAKE_INVALID", "HANDSHAKE_TIMEOUT"])

/**
 * A handshake that takes less, in milliseconds, has measured the programs rather than the path between them. Until a ping
 * measures better the path counts as short: windows that grow for no reason are queues that small calls wait in.
 */
const nearby = 15

/** How long the end that goes away has to close a link without streams. */
const grace = Duration.seconds(1)
