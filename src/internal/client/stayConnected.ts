/**
 * A client that dials, and dials again whenever its connection is lost.
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type * as Connection from "../../Connection.ts"
import type * as ConnectionEvent from "../../ConnectionEvent.ts"
import type { Limits } from "../../Limits.ts"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import type { Attachment } from "../connection/attachment.ts"
import * as connectionDriver from "../connection/driver.ts"
import { sessionLost } from "../connection/endErrors.ts"
import { Apps } from "../connection/peer.ts"
import { type Parts, replaceableParts } from "../connection/replaceableParts.ts"
import type { Links } from "../connection/types.ts"
import { Unsent } from "../connection/unsentBytes.ts"
import * as CloseCode from "../frame/CloseCode.ts"
import { Dial } from "../handshake/dial.ts"
import { closed } from "../link/linkErrors.ts"
import { EventHub } from "../observe/eventHub.ts"
import * as metrics from "../observe/metrics.ts"
import { Session } from "../session/session.ts"
import { AttemptLog } from "./attemptLog.ts"
import { Backoff } from "./backoff.ts"
import { ClientConnection, ClientConnections, provenLife } from "./clientConnection.ts"
import { attemptError, type Dialled, Dialling } from "./dialling.ts"
import { goneAway, isElsewhere, left, reconnecting } from "./endErrors.ts"
import type { Attempt, Status } from "./model.ts"
import { Reconnection } from "./reconnection.ts"
import { ClientState } from "./state.ts"

type Event = ConnectionEvent.ConnectionEvent

/** How a connection has ended, so that the client needs another one. */
interface Ended {
  readonly error: SwaggerSocketError
  readonly livedMillis: number
  /** A new connection, which the server gave when the old one was to be resumed. */
  readonly offered: Dialled | undefined
}

/** @internal */
export interface ClientOptions<R> {
  readonly limits: Limits
  /** Absent: v2 is tried, and v1 where the server does not select it. */
  readonly wire: "v1" | "v2" | undefined
  readonly attempt: Effect.Effect<Attempt<R>, SwaggerSocketError, R>
}

type Client = Pick<
  StayConnected<unknown>,
  "apps" | "changes" | "connection" | "events" | "reconnect" | "status"
>

/** @internal */
export const stayConnected = Effect.fnUntraced(function*<R>(
  options: ClientOptions<R>
): Effect.fn.Return<Client, never, R | Scope.Scope> {
  // Made first, so that it closes after the connections: they send GOAWAY and close frames on their links.
  const links = yield* Scope.fork(yield* Effect.scope)
  // The finalizers below drain the connections; this scope closes after them.
  const scope = yield* Scope.fork(yield* Effect.scope, "parallel")
  const clock = yield* Clock.Clock
  const parts = yield* replaceableParts
  const context = yield* Effect.context<R>()
  const { limits } = options
  const windowMillis = Duration.toMillis(limits.resumeWindow)
  const dialling = new Dialling({
    ...options,
    clock,
    context,
    links,
    dial: yield* Dial,
    multiplexer: parts.multiplexer,
    session: windowMillis > 0 ? { windowMillis, replayBuffer: limits.replayBuffer } : undefined
  })
  const reconnection = yield* Reconnection
  const client = new StayConnected({ limits, scope, clock, parts, context, dialling, reconnection, windowMillis })
  // Added before the fiber, so that they run after it has ended. New calls fail at once then. Calls and answers in progress
  // have until `drainTimeout`.
  yield* Effect.addFinalizer(() => client.all.drain(limits.drainTimeout))
  yield* Effect.addFinalizer(() => Effect.sync(() => client.state.stop(left)))
  yield* Effect.forkScoped(client.run)
  const { apps, changes, connection, events, reconnect, status } = client
  return { apps, changes, connection, events, reconnect, status }
})

/** What a client is made with. */
interface Setup<R> {
  readonly limits: Limits
  /** The scope of the connections. */
  readonly scope: Scope.Scope
  readonly clock: Clock.Clock
  readonly parts: Parts
  readonly context: Context.Context<R>
  readonly dialling: Dialling<R>
  readonly reconnection: typeof Reconnection.Service
  readonly windowMillis: number
}

class StayConnected<R> {
  readonly apps: Apps
  readonly events: Stream.Stream<Event>
  readonly changes: Stream.Stream<Status>
  readonly all = new ClientConnections()
  readonly #setup: Setup<R>
  readonly #hub = new EventHub<unknown>()
  readonly #unsent: Unsent
  readonly state = new ClientState()
  readonly #log: AttemptLog
  /** Completed by `reconnect`: ends the wait before the next attempt. */
  #hurry = Deferred.makeUnsafe<void>()
  #backoff: Backoff

  constructor(setup: Setup<R>) {
    this.#setup = setup
    this.#backoff = new Backoff(setup.reconnection.schedule)
    this.apps = new Apps(setup.limits)
    this.#unsent = new Unsent(setup.limits.maxUnsentBytes)
    this.#log = new AttemptLog(setup.dialling)
    this.events = this.#hub.stream(() => this.state.told)
    this.changes = this.state.changes.stream
  }

  get status(): Effect.Effect<Status> {
    return Effect.sync(() => this.state.now.status)
  }

  get connection(): Effect.Effect<Connection.Connection, SwaggerSocketError> {
    return Effect.suspend((): Effect.Effect<Connection.Connection, SwaggerSocketError> => {
      const state = this.state.now
      if (state._tag === "Stopped") return Effect.fail(state.status.error)
      return state._tag === "Awaited"
        ? Effect.onInterrupt(Deferred.await(state.found), () => this.#log.gaveUpWaiting())
        : Effect.succeed(state.connection.driver)
    })
  }

  get reconnect(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const before = this.state.now
      if (before._tag === "Stopped" && before.status.error !== left) {
        this.#log.dialsAgain()
        this.state.restart(this.#log.connecting(1))
      }
      Deferred.doneUnsafe(this.#hurry, Effect.void)
      const state = this.state.now
      if (state._tag !== "Connected") return Effect.void
      const { driver, isResumable } = state.connection
      if (!isResumable) return driver.close({ reason: "reconnecting" })
      driver.dropLink(CloseCode.RESUMING, reconnecting)
      return Effect.void
    })
  }

  get #now(): number {
    return this.#setup.clock.currentTimeMillisUnsafe()
  }

  // --- the loop -----------------------------------------------------------------------------------------------------

  /** Dials until an error says that it is of no use, and again when `reconnect` is called. */
  get run(): Effect.Effect<never> {
    const { reconnection } = this.#setup
    return Effect.suspend(() => this.#untilStopped).pipe(
      // The application's schedule may die, or its `retry`.
      Effect.catchCause((cause) =>
        Effect.as(Effect.logError("the client has died of a defect", cause), attemptError("the client", cause))
      ),
      // Logged before calls fail: the program may end with them.
      Effect.tap((error) => this.#log.stopped(error)),
      Effect.map((error) => {
        this.#hurry = Deferred.makeUnsafe()
        this.state.stop(error)
      }),
      Effect.andThen(Effect.suspend(() => Deferred.await(this.#hurry))),
      Effect.andThen(Effect.sync(() => {
        this.#hurry = Deferred.makeUnsafe()
        this.#backoff = new Backoff(reconnection.schedule)
      })),
      Effect.forever,
      Effect.annotateLogs({ module: "SwaggerSocketClient", method: "run" })
    )
  }

  /** One attempt or connection after the other. Answers why there is no further attempt. */
  get #untilStopped(): Effect.Effect<SwaggerSocketError> {
    const { context, dialling, reconnection } = this.#setup
    return Effect.gen({ self: this }, function*() {
      let attempt = 1
      let offered: Dialled | undefined = undefined
      while (true) {
        if (offered === undefined) this.state.dial(this.#log.connecting(attempt))
        const dialled: Effect.Effect<Dialled, SwaggerSocketError> = offered === undefined
          ? dialling.connect()
          : Effect.succeed(offered)
        const result = yield* Effect.result(dialled)
        const ended: Ended = result._tag === "Success"
          ? yield* this.#useConnection(result.success)
          : { error: result.failure, livedMillis: 0, offered: undefined }
        const { error, livedMillis } = ended
        const retry = reconnection.retry(error)
        if (result._tag === "Success") {
          attempt = 0
          yield* Effect.logDebug("connection ended", error.message)
        } else yield* this.#attemptFailed(attempt, error, retry)
        if (!retry) {
          yield* ended.offered?.attachment.release ?? Effect.void
          return error
        }
        attempt++
        offered = ended.offered
        if (offered !== undefined || (isElsewhere(error) && livedMillis >= provenLife)) continue
        this.state.dial({ _tag: "Waiting", attempt, error })
        if (!(yield* this.#pause(this.#backoff, error))) return error
        metrics.reconnects.updateUnsafe(1, context)
      }
    })
  }

  /** Waits until the next attempt is due, or `reconnect` is called. `false`: the schedule has ended. */
  #pause(backoff: Backoff, error: SwaggerSocketError): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      const hurry = this.#hurry
      return Effect.onExit(
        Effect.raceFirst(backoff.wait(error), Effect.as(Deferred.await(hurry), true)),
        () =>
          Effect.sync(() => {
            // Connections that the server has retired may wait as well: the first to go on makes the next Deferred.
            if (hurry === this.#hurry && Deferred.isDoneUnsafe(hurry)) this.#hurry = Deferred.makeUnsafe()
          })
      )
    })
  }

  #attemptFailed(attempt: number, error: SwaggerSocketError, willRetry: boolean): Effect.Effect<void> {
    this.#hub.publish({ _tag: "ConnectionAttemptFailed", attempt, willRetry, error, at: this.#now })
    return this.#log.failed(error, willRetry)
  }

  // --- one connection -----------------------------------------------------------------------------------------------

  /**
   * Uses one connection until another one is needed, and answers why: it has ended, or the server has retired it. It then
   * finishes its calls by itself.
   */
  #useConnection(dialled: Dialled): Effect.Effect<Ended> {
    const { reconnection, scope } = this.#setup
    return Effect.gen({ self: this }, function*() {
      const own = yield* Scope.fork(scope)
      const connection = yield* this.#makeConnection(dialled, own)
      const { about, driver } = connection
      const openedAt = this.#now
      const opened = { _tag: "ConnectionReceived", ...about, wire: driver.wire, at: openedAt } as const
      const offers: Array<Dialled> = []
      const end = yield* this.#follow(connection, dialled.attachment, opened, offers, own).pipe(
        Effect.forkIn(scope, { startImmediately: true, uninterruptible: true })
      )
      const error = yield* Effect.interruptible(
        Effect.raceFirst(Fiber.join(end), Effect.map(driver.retired, (violated) => violated ?? goneAway))
      ).pipe(
        Effect.ensuring(Effect.sync(() => {
          this.state.release()
          connection.unlinked(this.#now, false)
          connection.backoff = new Backoff(reconnection.schedule)
        }))
      )
      return { error, livedMillis: this.#now - openedAt, offered: offers.pop() }
    }).pipe(Effect.uninterruptible)
  }

  #makeConnection({ metadata, welcomed, wire }: Dialled, own: Scope.Scope): Effect.Effect<ClientConnection> {
    const { clock, limits, parts, scope, windowMillis } = this.#setup
    const { connectionId, session } = welcomed
    const driver = connectionDriver.make<unknown, undefined>({
      clock,
      scope: own,
      ownerScope: scope,
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
      apps: new Apps(limits, this.apps),
      unsent: this.#unsent
    })
    return Effect.map(driver, (driver) => this.all.add(new ClientConnection(driver, metadata, session, this.#backoff)))
  }

  /** Runs a connection to its end, and publishes its events. */
  #follow(
    connection: ClientConnection,
    first: Attachment,
    opened: Event,
    offers: Array<Dialled>,
    own: Scope.Closeable
  ): Effect.Effect<SwaggerSocketError> {
    const { about, driver } = connection
    const tell = (event: Event, told: ReadonlyArray<Event>) => {
      this.state.tell(connection, told)
      this.#hub.publish(event)
    }
    const links: Links = {
      renew: (lost) => this.#renew(connection, lost, offers),
      onOpen: () => {
        const before = this.state.now
        this.#linked(connection, [opened])
        this.#hub.publish(opened)
        if (before._tag === "Awaited") Deferred.doneUnsafe(before.found, Effect.succeed(driver))
      },
      onInterrupted: (error) => {
        connection.unlinked(this.#now, true)
        const event = { _tag: "ConnectionInterrupted", ...about, at: this.#now, error } as const
        tell(event, [opened, event])
      },
      onResumed: (gapMillis, replayed) => {
        this.#linked(connection, this.state.isCurrent(connection) ? this.state.told : undefined)
        tell({ _tag: "ConnectionResumed", ...about, at: this.#now, gapMillis, replayed }, [opened])
      }
    }
    return Effect.flatMap(driver.run(first, links), (end) => this.#ended(connection, end, own))
  }

  /** The connection has a link. `told` is absent for one that the server has retired. */
  #linked(connection: ClientConnection, told: ReadonlyArray<Event> | undefined): void {
    connection.linked(this.#now)
    if (told === undefined) return
    this.#log.connected()
    this.state.open(connection, told)
  }

  #ended(
    connection: ClientConnection,
    end: Connection.CloseReason,
    own: Scope.Closeable
  ): Effect.Effect<SwaggerSocketError> {
    const { about, driver } = this.all.delete(connection)
    return Effect.gen({ self: this }, function*() {
      yield* Scope.close(own, Exit.void)
      const common = { ...about, statistics: yield* driver.statistics, at: this.#now }
      if (end._tag === "Closed") {
        const { code, initiator, reason } = end
        this.#hub.publish({ _tag: "ConnectionClosed", ...common, initiator, code, reason })
        return closed(initiator, code, reason)
      }
      metrics.connectionFailures.updateUnsafe(1, this.#setup.context)
      this.#hub.publish({ _tag: "ConnectionFailure", ...common, error: end.error })
      return end.error
    })
  }

  /** Dials until a connection that has lost its link has another one. */
  #renew(
    connection: ClientConnection,
    lost: SwaggerSocketError,
    offers: Array<Dialled>
  ): Effect.Effect<Attachment, SwaggerSocketError> {
    const { context, dialling, reconnection } = this.#setup
    return Effect.gen({ self: this }, function*() {
      let error = lost
      for (let attempt = 1;; attempt++) {
        this.state.dial({ _tag: "Waiting", attempt, error }, connection)
        if (!(yield* this.#pause(connection.backoff, error))) return yield* error
        this.state.dial(this.#log.connecting(attempt), connection)
        metrics.reconnects.updateUnsafe(1, context)
        const { epoch } = connection
        const result = yield* Effect.result(dialling.connect(connection))
        if (result._tag === "Success") {
          const { attachment, welcomed } = result.success
          if (welcomed.resumed) {
            return attachment
          }
          if (this.state.isCurrent(connection)) offers.push(result.success)
          else yield* attachment.release
          return yield* sessionLost(welcomed.session?.epoch === epoch ? "expired" : "restarted", lost)
        }
        error = result.failure
        const { reason } = error
        if (reason._tag === "HandshakeRefused") {
          if (reason.code === "RESUME_REJECTED") return yield* sessionLost("rejected", lost)
          // Another program resumes this connection. The two would take it from each other for ever.
          if (reason.code === "REPLACED" || reason.code === "IDENTITY_REPLACED") return yield* error
        }
        const retry = reconnection.retry(error)
        yield* this.#attemptFailed(attempt, error, retry)
        if (!retry) return yield* error
      }
    })
  }
}
