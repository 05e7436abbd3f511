/**
 * Makes links connections of a server, or gives them to those that lost theirs, and keeps the registry.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Connection from "../../Connection.ts"
import type { ConnectionEvent } from "../../ConnectionEvent.ts"
import { Accept, type Refusal, type Upgrade } from "../../Handshake.ts"
import type { Limits } from "../../Limits.ts"
import { LinkError, SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { sessionLost } from "../connection/endErrors.ts"
import { Apps } from "../connection/peer.ts"
import { replaceableParts } from "../connection/replaceableParts.ts"
import type { Attachment, Driven } from "../connection/types.ts"
import { CloseCode } from "../frame/errorCode.ts"
import { closeRefused, type Link } from "../link/link.ts"
import type { Changes } from "../observe/changes.ts"
import * as metrics from "../observe/metrics.ts"
import { later } from "../scheduling/timers.ts"
import { Admissions, noMoreRequests } from "./admission.ts"
import { type Entered, Entrance } from "./entrance.ts"
import { Identities, type IdentityOptions } from "./identities.ts"
import { InterruptedSessions } from "./interruptedSessions.ts"
import { closeAs, type KeptSession, KeptSessions } from "./keptSessions.ts"
import { Life, Registry } from "./registry.ts"

/** @internal */
export interface AcceptorOptions<M, P> {
  readonly limits: Limits
  readonly decodeMetadata: (metadata: unknown) => Effect.Effect<M, Schema.SchemaError>
  /** What it acquires in the scope lives as long as the connection that begins with it, or as its link. */
  readonly authenticate: (client: Upgrade & { readonly metadata: M }, scope: Scope.Scope) => Effect.Effect<P, Refusal>
  /** Whether who resumes a connection is who it belongs to. */
  readonly isSamePrincipal: (before: P, now: P) => boolean
  /** Absent: connections have no identity. */
  readonly identity?: IdentityOptions<M, P> | undefined
}

/** @internal */
export interface Acceptor<M, P> {
  /** Oldest first. */
  readonly connections: () => ReadonlyArray<Driven<M, P>>
  readonly connection: (id: string) => Connection.Connection<M, P> | undefined
  readonly changes: Changes<ReadonlyArray<Connection.Connection<M, P>>>
  readonly events: Stream.Stream<ConnectionEvent<M>>
  readonly apps: Apps
  readonly pending: () => number
  /**
   * Runs a link from its handshake to its end, and a connection that begins with it to the connection's end, in a fiber of
   * its own: connections are drained before the scope of the acceptor closes. `onUse` is told which connection the link is
   * used for.
   */
  readonly accept: <E>(
    link: Effect.Effect<Link, E, Scope.Scope>,
    upgrade: Upgrade,
    wire: "v1" | "v2",
    onUse?: (driven: Driven<M, P>) => void
  ) => Effect.Effect<Fiber.Fiber<void>>
  /** Lets a connection finish what it has, and closes it. */
  readonly drain: (driven: Driven<M, P>) => Effect.Effect<void>
}

/** @internal */
export const make = Effect.fnUntraced(function*<M, P>(
  options: AcceptorOptions<M, P>
): Effect.fn.Return<Acceptor<M, P>, never, Scope.Scope> {
  const { limits } = options
  const clock = yield* Clock.Clock
  const parts = yield* replaceableParts
  const context = yield* Effect.context<never>()
  const scope = yield* Scope.fork(yield* Effect.scope, "parallel")
  const forkIn = (effect: Effect.Effect<void>) => Fiber.runIn(Effect.runForkWith(context)(effect), scope)
  const interrupted = new InterruptedSessions<M, P>(limits, (millis, run) => later(forkIn, millis, run))
  const sessions = new KeptSessions<M, P>(interrupted, options.isSamePrincipal)
  const identities = new Identities<M, P>(options.identity, ({ id }) => sessions.replaced(id))
  const registry = new Registry<M, P>(clock, context, sessions, identities, (driven) => {
    if (leaving > 0) forkIn(drain(driven))
  })
  /** Nobody new is let in while this is above 0. */
  let leaving = 0

  const drain = (driven: Driven<M, P>) => driven.drain(limits.drainTimeout, CloseCode.GOING_AWAY, noMoreRequests)

  const drainAll = Effect.suspend(() => {
    leaving++
    return Effect.forEach(registry.all, drain, { concurrency: "unbounded", discard: true })
  })

  // All of it while the links of interrupted connections can still come: below, nobody listens any more.
  const onEmpty = Effect.ensuring(
    drainAll,
    Effect.sync(() => {
      leaving--
    })
  )
  const apps = new Apps(limits, undefined, onEmpty)

  const admissions = new Admissions<M, P>(
    { clock, parts, limits, sessions, apps, identities, isLeaving: () => leaving > 0 },
    Duration.toMillis(limits.resumeWindow)
  )
  const entrance = new Entrance<M, P>({
    clock,
    accept: yield* Accept,
    parts,
    limits,
    admissions,
    decodeMetadata: options.decodeMetadata,
    authenticate: options.authenticate
  })

  const refused = (cause: Cause.Cause<SwaggerSocketError>) => {
    if (Cause.hasInterruptsOnly(cause)) return Effect.void
    const failure = Cause.findErrorOption(cause)
    const error = Option.getOrElse(failure, () =>
      new SwaggerSocketError({
        reason: new LinkError({ phase: "open", description: "the handshake died", cause: Cause.squash(cause) })
      }))
    metrics.refusals.updateUnsafe(1, context)
    registry.publish({
      _tag: "ConnectionAttemptFailed",
      attempt: 1,
      willRetry: error.reason._tag === "HandshakeRefused" && error.reason.retry,
      error,
      at: clock.currentTimeMillisUnsafe()
    })
    // The user's own code may have died: the client is not to blame, and somebody must know.
    if (Option.isNone(failure)) return Effect.logError("handshake died", cause)
    // What stays as it is, because nobody tries again, should not go unnoticed.
    return error.reason._tag === "HandshakeRefused" && error.reason.initiator === "local" && !error.reason.retry
      ? Effect.logWarning(`turned a client away: ${error.message}`)
      : Effect.logDebug("handshake failed", error.message)
  }

  /** The life of a new connection, unless there is one of its identity that it must not replace. */
  const begin = (
    driven: Driven<M, P>,
    kept: KeptSession<M, P> | undefined,
    first: Attachment,
    onUse: ((driven: Driven<M, P>) => void) | undefined
  ): Effect.Effect<Effect.Effect<void>, SwaggerSocketError> => {
    const refusal = identities.take(driven)
    if (refusal !== undefined) {
      closeRefused(first.link, refusal)
      return Effect.andThen(first.release, Effect.fail(refusal))
    }
    onUse?.(driven)
    return Effect.succeed(new Life(driven, kept, registry).run(first))
  }

  /** What becomes of a link that has passed its handshake. Answers the life of a connection that begins with it. */
  const use = Effect.fnUntraced(function*(
    { attachment, driven, handshake, kept, lost, welcome }: Entered<M, P>,
    onUse: ((driven: Driven<M, P>) => void) | undefined
  ): Effect.fn.Return<Effect.Effect<void>, SwaggerSocketError> {
    if (kept === undefined) return yield* begin(driven, kept, attachment, onUse)
    const released = Deferred.makeUnsafe<void>()
    const leased = welcome.resumed
      ? { ...attachment, release: Effect.andThen(Deferred.succeed(released, undefined), attachment.release) }
      : attachment
    const unwanted = lost ? "REPLACED" : kept.hand(handshake, leased)
    if (unwanted !== undefined) {
      closeAs(attachment.link, unwanted)
      yield* leased.release
    }
    // The connection runs where it began.
    if (welcome.resumed) {
      if (unwanted === undefined) onUse?.(driven)
      yield* Effect.onInterrupt(
        Effect.interruptible(Deferred.await(released)),
        () => Effect.sync(() => driven.leave(CloseCode.GOING_AWAY, ""))
      )
      return Effect.void
    }
    if (unwanted !== undefined) sessions.interrupted(kept)
    const first = yield* Effect.onInterrupt(
      Effect.interruptible(Effect.timeoutOrElse(kept.awaitNext(), {
        duration: Duration.millis(kept.windowMillis),
        orElse: () => Effect.fail(sessionLost("expired", undefined))
      })),
      () => Effect.sync(() => attachment.link.close(CloseCode.GOING_AWAY, ""))
    )
    sessions.resumed(kept)
    return yield* begin(driven, kept, first, onUse)
  })

  /** A link from its handshake to its end. A step follows within the one before, so that it keeps nothing of that. */
  const through = <E>(
    opening: Effect.Effect<Link, E, Scope.Scope>,
    upgrade: Upgrade,
    wire: "v1" | "v2",
    onUse: ((driven: Driven<M, P>) => void) | undefined
  ): Effect.Effect<void> => {
    const linkScope = Scope.makeUnsafe()
    const own = Scope.makeUnsafe()
    const entered = Effect.interruptible(entrance.enter({ opening, upgrade, wire, linkScope, own }))
    return Effect.flatMap(
      Effect.exit(Effect.flatMap(entered, (entered) => use(entered, onUse))),
      (life) =>
        Effect.flatMap(
          Effect.exit(Exit.isSuccess(life) ? life.value : Effect.failCause(life.cause)),
          (lived) =>
            (Exit.isFailure(lived) ? refused(lived.cause) : Effect.void).pipe(
              Effect.andThen(Scope.close(linkScope, Exit.asVoid(life))),
              Effect.andThen(Scope.close(own, Exit.void))
            )
        )
    )
  }

  /** Not `Effect.forkIn`, whose fiber keeps the effect that it began with. */
  const fork = (effect: Effect.Effect<void>) =>
    Effect.contextWith((context: Context.Context<never>) =>
      Effect.sync(() => Fiber.runIn(Effect.runForkWith(context)(Effect.uninterruptible(effect)), scope))
    )

  const accept: Acceptor<M, P>["accept"] = (opening, upgrade, wire, onUse) =>
    Effect.annotateLogs(fork(through(opening, upgrade, wire, onUse)), {
      module: "SwaggerSocketServer",
      method: "accept"
    })

  yield* Effect.addFinalizer(() => drainAll)

  return {
    connections: () => registry.all,
    connection: (id) => registry.get(id),
    changes: registry.changes,
    events: registry.events,
    apps,
    pending: () => entrance.pending,
    accept,
    drain
  }
})

/** Waits for an open connection that fits. @internal */
export const awaitConnection = <M, P>(
  acceptor: Acceptor<M, P>,
  predicate: (connection: Connection.Connection<M, P>) => boolean
): Effect.Effect<Connection.Connection<M, P>> =>
  Effect.map(
    Stream.runHead(Stream.filter(
      Stream.map(
        acceptor.changes.stream,
        () =>
          preferred(acceptor.connections().filter((connection) => connection.now === "open" && predicate(connection)))
      ),
      Option.isSome
    )),
    (found) => Option.getOrThrow(found).value
  )

/** Of the connections that fit one that is open, and was heard of last. @internal */
export const find = <M, P>(
  acceptor: Acceptor<M, P>,
  predicate: (connection: Connection.Connection<M, P>) => boolean
): Option.Option<Connection.Connection<M, P>> => {
  return preferred(acceptor.connections().filter(predicate))
}

/**
 * A client that has lost power dials anew, and its older connection is open until its silence is noticed: calls on that one
 * would hang for so long.
 */
const preferred = <M, P>(
  [first, ...others]: ReadonlyArray<Driven<M, P>>
): Option.Option<Connection.Connection<M, P>> =>
  first === undefined
    ? Option.none()
    : Option.some(others.reduce((best, next) => isPreferred(next, best) ? next : best, first))

const isPreferred = <M, P>(one: Driven<M, P>, other: Driven<M, P>): boolean =>
  (one.now === "open") === (other.now === "open") ? one.lastSign > other.lastSign : one.now === "open"
