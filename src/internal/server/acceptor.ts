/**
 * Puts the parts of a server together: what accepts links, the sessions that it keeps, and the registry of its connections.
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type * as Connection from "../../Connection.ts"
import type { ConnectionEvent } from "../../ConnectionEvent.ts"
import type { Limits } from "../../Limits.ts"
import type { Quotas } from "../../Quotas.ts"
import { Apps } from "../connection/peer.ts"
import { replaceableParts } from "../connection/replaceableParts.ts"
import type { ConnectionDriver } from "../connection/types.ts"
import * as CloseCode from "../frame/CloseCode.ts"
import { Accept } from "../handshake/accept.ts"
import type { Refusal, Upgrade } from "../handshake/model.ts"
import type { Link } from "../link/link.ts"
import type { Changes } from "../observe/changes.ts"
import * as metrics from "../observe/metrics.ts"
import { RefusalLog } from "../observe/refusalLog.ts"
import type { Exceeded } from "../quota/party.ts"
import { type Counting, ServerQuotas } from "../quota/serverQuotas.ts"
import { Backlog } from "../scheduling/backlog.ts"
import { randomness } from "../scheduling/random.ts"
import { delay } from "../scheduling/timers.ts"
import { AcceptedLinks, type OnUse } from "./acceptedLinks.ts"
import { Admissions } from "./admission.ts"
import { Departure } from "./departure.ts"
import { Entrance } from "./entrance.ts"
import { tellLimit } from "./exceededLimits.ts"
import { Identities, type IdentityOptions } from "./identities.ts"
import { InterruptedSessions } from "./interruptedSessions.ts"
import { KeptSessions } from "./keptSessions.ts"
import { Lifetimes } from "./lifetimes.ts"
import { Registry } from "./registry.ts"

/** @internal */
export interface AcceptorOptions<M, P> extends Counting<M, P> {
  readonly limits: Limits
  readonly quotas: Quotas
  readonly decodeMetadata: (metadata: unknown) => Effect.Effect<M, Schema.SchemaError>
  /** The scope is that of the connection that begins with this link; of the link, where it resumes a connection. */
  readonly authenticate: (client: Upgrade & { readonly metadata: M }, scope: Scope.Scope) => Effect.Effect<P, Refusal>
  /** Whether a client that resumes a connection is the one that has begun it. */
  readonly isSamePrincipal: (before: P, now: P) => boolean
  /** Absent: connections have no identity. */
  readonly identity?: IdentityOptions<M, P> | undefined
}

/** @internal */
export interface Acceptor<M, P> {
  readonly limits: Limits
  /** Oldest first. */
  readonly connections: () => ReadonlyArray<ConnectionDriver<M, P>>
  readonly connection: (id: string) => Connection.Connection<M, P> | undefined
  readonly changes: Changes<ReadonlyArray<Connection.Connection<M, P>>>
  readonly events: Stream.Stream<ConnectionEvent<M>>
  readonly apps: Apps
  readonly quotas: ServerQuotas<M, P>
  /** The quota that leaves no room for the handshake of an upgrade request. */
  readonly refusal: (upgrade: Upgrade) => Exceeded | undefined
  /**
   * Runs a link, and a connection that begins with it, in a fiber of the acceptor's scope: connections are drained before that
   * closes. `onUse` is told which connection the link is used for.
   */
  readonly accept: <E>(
    link: Effect.Effect<Link, E, Scope.Scope>,
    upgrade: Upgrade,
    wire: "v1" | "v2",
    onUse?: OnUse<M, P>
  ) => Effect.Effect<Fiber.Fiber<void>>
  /** Lets a connection finish its calls, and closes it. */
  readonly drain: (driver: ConnectionDriver<M, P>) => Effect.Effect<void>
  /** No new connections are made now, or any more. */
  readonly isLeaving: () => boolean
}

/** Members of a server that its public type does not show. @internal */
export interface Accepting<M, P> {
  readonly apps: Apps
  readonly acceptor: Acceptor<M, P>
}

/** @internal */
export const acceptorOf = <M, P>(
  server: { readonly connections: Effect.Effect<ReadonlyArray<Connection.Connection<M, P>>> }
): Acceptor<M, P> => {
  if (!Predicate.hasProperty(server, "acceptor")) {
    throw new TypeError("this server was not made by effect-swaggersocket")
  }
  return server.acceptor as Acceptor<M, P>
}

/** @internal */
export const make = Effect.fnUntraced(function*<M, P>(
  options: AcceptorOptions<M, P>
): Effect.fn.Return<Acceptor<M, P>, never, Scope.Scope> {
  const { authenticate, decodeMetadata, limits } = options
  const clock = yield* Clock.Clock
  const random = yield* randomness
  const parts = yield* replaceableParts
  const context = yield* Effect.context<never>()
  const scope = yield* Scope.fork(yield* Effect.scope, "parallel")
  const forkIn = (effect: Effect.Effect<void>) => Fiber.runIn(Effect.runForkWith(context)(effect), scope)
  const quotas: ServerQuotas<M, P> = new ServerQuotas<M, P>({
    ...options,
    context,
    now: () => clock.currentTimeMillisUnsafe(),
    monotonic: () => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000,
    delay: (millis, run) => delay(forkIn, millis, run),
    log: (line) => forkIn(annotated(line)),
    publish: (event) => registry.publish(event),
    areNamed: options.principalOf !== undefined
  })
  const interrupted = new InterruptedSessions<M, P>(
    (driver) => quotas.partyOf(driver),
    (millis, run) => delay(forkIn, millis, run),
    new Backlog().add
  )
  const sessions = new KeptSessions<M, P>(yield* random.uuidV4(), interrupted, options.isSamePrincipal)
  const identities = new Identities<M, P>(options.identity, ({ id }) => sessions.replaced(id))
  const departure = new Departure(limits, () => registry.all)
  const registry: Registry<M, P> = new Registry(clock, context, sessions, identities, (driver) => {
    if (departure.isUnderWay) forkIn(departure.drain(driver))
    lifetimes.add(driver)
  }, (driver, error) => tellLimit(quotas.partyOf(driver), driver.id, error))
  const lifetimes = lifetimesOf<ConnectionDriver<M, P>>(limits, clock, context, forkIn, () => registry.all)
  // Drains when the last API is removed, and not in the finalizer below: nobody listens for next links by then.
  const apps = new Apps(limits, undefined, departure.drainAllForNow)
  const admissions = new Admissions<M, P>(
    {
      clock,
      parts,
      limits,
      random,
      scope,
      sessions,
      apps,
      identities,
      quotas,
      delay: (millis, run) => delay(forkIn, millis, run),
      isLeaving: () => departure.isUnderWay
    },
    Duration.toMillis(limits.resumeWindow)
  )
  const accept = yield* Accept
  const entrance = new Entrance<M, P>({
    clock,
    accept,
    parts,
    limits,
    random,
    quotas,
    admissions,
    decodeMetadata,
    authenticate
  })
  const log = new RefusalLog("clients", (effect) => forkIn(annotated(effect)))
  const links = new AcceptedLinks(entrance, sessions, identities, registry, log)
  yield* Effect.addFinalizer(() => departure.drainAll)
  return {
    limits,
    connections: () => registry.all,
    connection: (id) => registry.get(id),
    changes: registry.changes,
    events: registry.events,
    apps,
    quotas,
    refusal: (upgrade) => entrance.refusal(upgrade),
    accept: (opening, upgrade, wire, onUse) => annotated(fork(links.run(opening, upgrade, wire, onUse), scope)),
    drain: (driver) => departure.drain(driver),
    isLeaving: () => departure.isUnderWay
  }
})

const annotated = <A>(effect: Effect.Effect<A>): Effect.Effect<A> =>
  Effect.annotateLogs(effect, { module: "SwaggerSocketServer", method: "accept" })

const lifetimesOf = <D extends ConnectionDriver<unknown, unknown>>(
  limits: Limits,
  clock: Clock.Clock,
  context: Context.Context<never>,
  fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>,
  connections: () => ReadonlyArray<D>
): Lifetimes<D> =>
  new Lifetimes<D>({
    limits,
    now: () => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000,
    delay: (millis, run) => void delay(fork, millis, run),
    inTurn: new Backlog().add,
    connections,
    retire: (driver, because) => {
      metrics.retirements(because).updateUnsafe(1, context)
      const reason = `the connection has reached its maximum ${because}`
      fork(driver.drain(limits.drainTimeout, CloseCode.NORMAL, reason))
    }
  })

/** By hand, and not `Effect.forkIn`: its fiber keeps the effect that it was given, for as long as the connection lives. */
const fork = (effect: Effect.Effect<void>, scope: Scope.Scope) =>
  Effect.contextWith((context: Context.Context<never>) =>
    Effect.sync(() => Fiber.runIn(Effect.runForkWith(context)(Effect.uninterruptible(effect)), scope))
  )
