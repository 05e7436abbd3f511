/**
 * Makes links connections of a server and keeps the registry of those that are open.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Connection from "../Connection.ts"
import type { ConnectionEvent } from "../ConnectionEvent.ts"
import { Handshake, type Refusal, type Upgrade } from "../Handshake.ts"
import type { Limits } from "../Limits.ts"
import { HandshakeRefused, LinkError, SwaggerSocketError } from "../SwaggerSocketError.ts"
import { Changes } from "./changes.ts"
import * as driver from "./connection.ts"
import { EventHub } from "./eventHub.ts"
import { closeRefused, forHandshake, type Link } from "./link.ts"
import * as metrics from "./metrics.ts"
import { Apps } from "./peer.ts"

/** @internal */
export interface AcceptorOptions<M, P> {
  readonly limits: Limits
  readonly decodeMetadata: (metadata: unknown) => Effect.Effect<M, Schema.SchemaError>
  readonly authenticate: (client: Upgrade & { readonly metadata: M }) => Effect.Effect<P, Refusal>
}

/** @internal */
export interface Acceptor<M, P> {
  readonly connections: ReadonlyMap<string, Connection.Connection<M, P>>
  readonly changes: Changes<ReadonlyArray<Connection.Connection<M, P>>>
  readonly events: Stream.Stream<ConnectionEvent<M>>
  readonly apps: Apps
  readonly pending: () => number
  /** Runs a connection from its handshake to its end. */
  readonly accept: <E>(link: Effect.Effect<Link, E, Scope.Scope>, upgrade: Upgrade) => Effect.Effect<void>
}

/** @internal */
export const make = Effect.fnUntraced(function*<M, P>(
  options: AcceptorOptions<M, P>
): Effect.fn.Return<Acceptor<M, P>> {
  const { limits } = options
  const clock = yield* Clock.Clock
  const handshake = yield* Handshake
  const parts = yield* driver.parts
  const context = yield* Effect.context<never>()
  const connections = new Map<string, Connection.Connection<M, P>>()
  const received = new Map<string, ConnectionEvent<M>>()
  const changes = new Changes<ReadonlyArray<Connection.Connection<M, P>>>(() => [...connections.values()])
  const hub = new EventHub<M>()
  const apps = new Apps()
  let pending = 0

  const begin = Effect.fnUntraced(function*<E>(
    open: Effect.Effect<Link, E, Scope.Scope>,
    upgrade: Upgrade
  ): Effect.fn.Return<driver.Driven<M, P>, SwaggerSocketError, Scope.Scope> {
    const opened = yield* Effect.mapError(
      open,
      (cause) => new SwaggerSocketError({ reason: new LinkError({ phase: "open", description: String(cause), cause }) })
    )
    const { handshake: io, link, roundTrip } = forHandshake(opened, clock)
    const id = globalThis.crypto.randomUUID()
    const accepted = yield* handshake.accept<M, P>(io, {
      connectionId: id,
      settings: limits,
      limits,
      upgrade,
      decodeMetadata: options.decodeMetadata,
      authenticate: (metadata) => options.authenticate({ ...upgrade, metadata })
    }).pipe(
      Effect.timeoutOrElse({
        duration: limits.handshakeTimeout,
        orElse: () => Effect.fail(timedOut)
      }),
      Effect.tapError((error) => Effect.sync(() => closeRefused(link, error)))
    )
    return yield* driver.make({
      parts,
      id,
      metadata: accepted.metadata,
      principal: accepted.principal,
      role: "server",
      remoteAddress: upgrade.remoteAddress,
      link,
      limits,
      remote: accepted.settings,
      roundTrip: roundTrip(),
      apps: new Apps(apps)
    })
  })

  const live = ({ connection, run }: driver.Driven<M, P>) => {
    const { id, metadata, remoteAddress } = connection
    const event: ConnectionEvent<M> = {
      _tag: "ConnectionReceived",
      connectionId: id,
      metadata,
      wire: connection.wire,
      at: clock.currentTimeMillisUnsafe(),
      ...(Option.isSome(remoteAddress) ? { remoteAddress: remoteAddress.value } : undefined)
    }
    connections.set(id, connection)
    received.set(id, event)
    hub.publish(event)
    changes.notify()
    return Effect.flatMap(run, (end) =>
      Effect.gen(function*() {
        connections.delete(id)
        received.delete(id)
        const statistics = yield* connection.statistics
        const common = { connectionId: id, metadata, statistics, at: clock.currentTimeMillisUnsafe() }
        hub.publish(
          end._tag === "Closed"
            ? { _tag: "ConnectionClosed", ...common, initiator: end.initiator, code: end.code, reason: end.reason }
            : { _tag: "ConnectionFailure", ...common, error: end.error }
        )
        changes.notify()
        if (end._tag === "Failed") metrics.connectionFailures.updateUnsafe(1, context)
        yield* Effect.logDebug("connection ended", end._tag === "Failed" ? end.error.message : end)
      }))
  }

  const accept: Acceptor<M, P>["accept"] = (open, upgrade) =>
    Effect.suspend(() => {
      pending++
      return Effect.interruptible(begin(open, upgrade)).pipe(
        Effect.onExit(() =>
          Effect.sync(() => {
            pending--
          })
        ),
        // The user's own code may have died: the client is not to blame, and somebody must know.
        Effect.tapCause((cause) => {
          if (Cause.hasInterruptsOnly(cause)) return Effect.void
          const failure = Cause.findErrorOption(cause)
          const error = Option.getOrElse(failure, () =>
            new SwaggerSocketError({
              reason: new LinkError({ phase: "open", description: "the handshake died", cause: Cause.squash(cause) })
            }))
          metrics.refusals.updateUnsafe(1, context)
          hub.publish({
            _tag: "ConnectionAttemptFailed",
            attempt: 1,
            willRetry: error.reason._tag === "HandshakeRefused" && error.reason.retry,
            error,
            at: clock.currentTimeMillisUnsafe()
          })
          return Option.isSome(failure)
            ? Effect.logDebug("handshake failed", error.message)
            : Effect.logError("handshake died", cause)
        }),
        Effect.flatMap(live),
        Effect.scoped,
        Effect.uninterruptible,
        Effect.ignore,
        Effect.annotateLogs({ module: "SwaggerSocketServer", method: "accept" })
      )
    })

  return {
    connections,
    changes,
    events: hub.stream(() => [...received.values()]),
    apps,
    pending: () => pending,
    accept
  }
})

/** Waits for an open connection that fits. @internal */
export const awaitConnection = <M, P>(
  acceptor: Acceptor<M, P>,
  predicate: (connection: Connection.Connection<M, P>) => boolean
): Effect.Effect<Connection.Connection<M, P>> =>
  Effect.map(
    Stream.runHead(Stream.filter(Stream.map(acceptor.changes.stream, () => find(acceptor, predicate)), Option.isSome)),
    (found) => Option.getOrThrow(found).value
  )

/** The oldest open connection that fits. @internal */
export const find = <M, P>(
  acceptor: Acceptor<M, P>,
  predicate: (connection: Connection.Connection<M, P>) => boolean
): Option.Option<Connection.Connection<M, P>> => {
  for (const connection of acceptor.connections.values()) if (predicate(connection)) return Option.some(connection)
  return Option.none()
}

const timedOut = new SwaggerSocketError({
  reason: new HandshakeRefused({
    initiator: "local",
    code: "HANDSHAKE_TIMEOUT",
    description: "the handshake took too long",
    retry: true
  })
})
