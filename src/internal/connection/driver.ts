/**
 * Drives one connection on one link after the other: it reads the link, keeps it alive, waits for another one when it is
 * lost, and ends the connection. `state.ts` has what it may be doing at a time.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type * as Connection from "../../Connection.ts"
import type { Limits } from "../../Limits.ts"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import * as CloseCode from "../frame/CloseCode.ts"
import { closeCodeOf, RefusalCode, type Violation, violation } from "../frame/codes.ts"
import { truncate } from "../frame/encoder.ts"
import * as ErrorCode from "../frame/ErrorCode.ts"
import type { GoAway } from "../frame/Frame.ts"
import { awaitStepOf, type Link, maxCloseReason } from "../link/link.ts"
import { isLoss } from "../link/linkErrors.ts"
import * as metrics from "../observe/metrics.ts"
import { traced } from "../observe/spans.ts"
import { Gate } from "../scheduling/gate.ts"
import { randomSeed } from "../scheduling/random.ts"
import { delay } from "../scheduling/timers.ts"
import type { Session } from "../session/session.ts"
import type { Multiplexed } from "../streams/multiplexed.ts"
import type { Attachment } from "./attachment.ts"
import * as closing from "./closing.ts"
import { currentConnection } from "./currentConnection.ts"
import * as endings from "./endErrors.ts"
import type { Beat } from "./heartbeat.ts"
import { Intake } from "./intake.ts"
import { ConnectionHost } from "./multiplexerHost.ts"
import { ObservedConnection } from "./observed.ts"
import type { Apps, CallCounter } from "./peer.ts"
import { Quiescence } from "./quiescence.ts"
import { isTurnOverAfter, readAll } from "./reader.ts"
import { Sender } from "./sender.ts"
import * as state from "./state.ts"
import type { State } from "./state.ts"
import type { ConnectionDriver, ConnectionOptions, Links } from "./types.ts"

/** Counts messages and new links of all peers: `lastSign` tells which of two connections was heard of later. */
let signs = 0

/** Fails with the error that ends the use of a link, or the wait for another one. Whoever finds it first completes this. */
type Cut = Deferred.Deferred<never, SwaggerSocketError>

/** @internal */
export const make = <M, P>(options: ConnectionOptions<M, P>): Effect.Effect<ConnectionDriver<M, P>> =>
  Effect.zipWith(Effect.context<never>(), randomSeed, (context, seed) => new Driver(options, context, seed))

/**
 * A class whose effects are made when they are asked for: a connection keeps for its whole life what is made with it, and
 * most connections are idle. Closures and effects made beforehand were 4 KiB more for each (measured as heap).
 */
class Driver<M, P> extends ObservedConnection<M, P> implements ConnectionDriver<M, P>, closing.Closable {
  readonly session: Session | undefined
  readonly apps: Apps
  readonly calls: CallCounter | undefined
  readonly ownerScope: Scope.Scope
  readonly mux: Multiplexed
  lastSign = 0
  readonly limits: Limits
  readonly #windowMillis: number
  readonly #clock: Clock.Clock
  readonly #context: Context.Context<never>
  readonly #scope: Scope.Scope
  readonly unsent: ConnectionOptions<M, P>["unsent"]
  readonly #makeBeat: Effect.Effect<Beat>
  /** Where the reader waits while the multiplexer can't take more. */
  readonly room = new Gate()
  readonly sender: Sender
  readonly #intake: Intake
  readonly quiescence: Quiescence
  readonly #ended = Deferred.makeUnsafe<Connection.CloseReason>()
  readonly #retired = Deferred.makeUnsafe<SwaggerSocketError | undefined>()
  #state: State = state.initial
  isSecure = false
  /** That of the link in use, or of the wait for the next one. Each interruption makes another. */
  #cut: Cut = Deferred.makeUnsafe()
  beat: Beat | undefined
  /** The peer has taken this end for ready: it has sent something, or gone on with another link. */
  #isEstablished = false

  /** Runs an effect on a fiber of the connection, which ends with it. */
  readonly fork = (effect: Effect.Effect<void>): Fiber.Fiber<void> =>
    Fiber.runIn(Effect.runForkWith(this.#context)(effect), this.#scope)

  constructor(options: ConnectionOptions<M, P>, context: Context.Context<never>, seed: number) {
    super(options)
    const { apps, heartbeat, limits, multiplexer, remote, role, session } = options
    this.session = session
    this.apps = apps
    this.calls = options.calls
    this.ownerScope = options.ownerScope
    this.limits = limits
    this.#windowMillis = options.windowMillis
    this.#clock = options.clock
    this.#context = context
    this.#scope = options.scope
    this.unsent = options.unsent
    this.sender = new Sender(session, this)
    this.mux = multiplexer({
      role,
      local: limits,
      remote,
      limits,
      now: () => this.#millis,
      seed,
      isTurnOver: isTurnOverAfter,
      host: new ConnectionHost(this)
    })
    this.quiescence = new Quiescence(this.mux, session)
    this.#intake = new Intake(this.mux, session, this.sender.schedule)
    this.#makeBeat = heartbeat({
      connectionId: options.id,
      ping: (data) => this.mux.ping(data),
      received: () => this.mux.heard + this.sender.progress,
      roundTrip: (millis) => {
        this.measured.pinged(millis)
        metrics.roundTrip.updateUnsafe(millis, context)
      },
      fork: this.fork
    })
  }

  get link(): Link | undefined {
    return this.#state.link
  }

  provide<R>(context: Context.Context<R>): Context.Context<R> {
    return Context.add(context, currentConnection, this) as typeof context
  }

  get #millis(): number {
    return Number(this.#clock.monotonicTimeNanosUnsafe()) / 1_000_000
  }

  get now(): Connection.Status {
    return state.statusOf(this.#state)
  }

  get takesRequests(): boolean {
    return state.takesRequests(this.#state)
  }

  get closed(): Effect.Effect<Connection.CloseReason> {
    return Deferred.await(this.#ended)
  }

  get retired(): Effect.Effect<SwaggerSocketError | undefined> {
    return Deferred.await(this.#retired)
  }

  mayCall(context: Context.Context<never>): boolean {
    return this.#state.drain !== "own" || Context.getOrUndefined(context, currentConnection) !== undefined
  }

  /** Tells users what has changed, if their status has. */
  #become(next: State): void {
    const before = this.now
    this.#state = next
    if (this.now !== before) this.notify()
  }

  /** The peer takes no more requests, or has found a fault. It closes the link next; this end does if the peer does not. */
  onGoAway(frame: GoAway): void {
    const before = this.#state
    const fault = frame.code === ErrorCode.NO_ERROR ? undefined : endings.accused(frame)
    this.#become(fault === undefined ? state.retire(before) : state.accuse(before, fault))
    if (this.#state === before) return
    Deferred.doneUnsafe(this.#retired, Effect.succeed(fault))
    if (fault === undefined) return void this.fork(closing.retire(this))
    const { link } = this
    delay(this.fork, Duration.toMillis(closing.grace), () => {
      if (this.link === link) this.dropLink(CloseCode.NORMAL, fault)
    })
  }

  /** Ends the connection for a bug: of this package, or of a part that the program has replaced. */
  die(defect: unknown): void {
    Deferred.doneUnsafe(this.#cut, Exit.die(defect))
  }

  /** A write mostly fails because the peer has closed the link. Its close code may not have been read yet, and tells why. */
  onSendError(error: SwaggerSocketError): void {
    const cut = this.#cut
    delay(this.fork, Duration.toMillis(closing.grace), () => this.#end(error, cut))
  }

  /** Peers of wire v1 may take their time. */
  afterSendTimeout(run: () => void): void {
    delay(this.fork, this.wire === "v1" ? Infinity : Duration.toMillis(this.limits.sendTimeout), run)
  }

  #end(error: SwaggerSocketError, cut: Cut = this.#cut): void {
    Deferred.doneUnsafe(cut, Effect.fail(error))
  }

  /** Sends GOAWAY and closes the link. `next` is the transition of the state, made once GOAWAY is queued. */
  #sendGoAway(error: number, reason: string, code: number, next: (state: State) => State): void {
    const { link } = this
    this.mux.goAway(error, reason, true)
    this.session?.close()
    this.#become(next(this.#state))
    this.sender.finish()
    link?.close(code, truncate(reason, maxCloseReason))
  }

  #fail(error: number, reason: string): void {
    if (!state.isEnding(this.#state)) this.#sendGoAway(error, reason, closeCodeOf(error), state.fail)
  }

  /** Tells the peer what it has done wrong, if anything; answers the error that ends the connection then. */
  #violated(fault: Violation | undefined): SwaggerSocketError | undefined {
    if (fault === undefined) return undefined
    this.#fail(fault.code, fault.reason)
    return endings.violated(fault)
  }

  overload(reason: string): void {
    this.#end(this.#violated(violation(ErrorCode.EXCESSIVE_LOAD, reason))!)
  }

  /** Takes in one message of a link; answers the error that ends the connection, if there is one. */
  #receive(own: Link, message: Uint8Array | string): SwaggerSocketError | undefined {
    this.#isEstablished = true
    this.lastSign = ++signs
    const fault = own === this.link ? this.#intake.receive(message) : undefined
    return fault && this.#violated(fault)
  }

  readonly #isEnding = (): boolean => state.isEnding(this.#state)

  untilFinished(): Effect.Effect<void> {
    return this.#intake.untilFinished(this.#isEnding)
  }

  leave(code: number, reason: string): void {
    if (state.isEnding(this.#state)) return
    this.#sendGoAway(ErrorCode.NO_ERROR, reason, code, (now) => state.leave(now, { code, reason }))
    // Without a link there is no peer whose close frame would end the connection.
    if (this.link === undefined) this.#end(endings.closedLocally(code, reason))
  }

  expel(code: number, reason: string): void {
    if (state.isEnding(this.#state)) return
    this.#state = state.expel(this.#state, { code, reason })
    if (this.link === undefined) this.#end(endings.closedLocally(code, reason))
    else this.dropLink(code, endings.closedLocally(code, reason), reason)
  }

  #finish(error: SwaggerSocketError): Connection.CloseReason {
    const reason = error.reason
    // The peer is probably gone, so nobody may read this GOAWAY. If no close frame comes back, the socket is terminated.
    if (reason._tag === "HeartbeatTimeout") this.#fail(ErrorCode.HEARTBEAT_TIMEOUT, "")
    const end: Connection.CloseReason = "farewell" in this.#state
      ? { _tag: "Closed", initiator: "local", ...this.#state.farewell }
      : endings.endOfError(error)
    this.sender.use(undefined)
    this.#become(state.close(this.#state, end))
    this.mux.fail(
      { code: ErrorCode.INTERNAL_ERROR, reason: error.message, cause: error },
      !this.#isEstablished && endings.isUnprocessed(reason, this.wire) ? "not-processed" : "unknown"
    )
    this.unsent.forget(this)
    metrics.untrack(this.mux.counters, this.#context)
    if (end._tag === "Failed") endings.readStacks(error)
    Deferred.doneUnsafe(this.#ended, Effect.succeed(end))
    return end
  }

  dropLink(code: number, error: SwaggerSocketError, reason: string = error.message): void {
    const { link } = this
    if (link === undefined) return
    // In memory the peer may answer before `close` returns, and this end may wait for another link by then.
    const cut = this.#cut
    this.#state = state.detach(this.#state)
    this.sender.use(undefined)
    link.close(code, truncate(reason, maxCloseReason))
    this.#end(error, cut)
  }

  /** Takes a link into use; answers how many messages are sent again, or why it is of no use. */
  #attach(attachment: Attachment): number | SwaggerSocketError {
    const replayed = this.session === undefined ? 0 : this.session.resume(attachment.received)
    if (replayed === undefined) {
      attachment.link.close(RefusalCode.RESUME_REJECTED, "")
      return endings.sessionLost("rejected", undefined)
    }
    this.#state = state.attach(this.#state, attachment.link)
    this.isSecure = attachment.link.isSecure === true
    this.sender.use(this.link)
    this.lastSign = ++signs
    this.measured.shook(attachment.roundTrip)
    this.quiescence.check()
    this.notify()
    return replayed
  }

  #interrupt(lost: SwaggerSocketError): void {
    if (lost.reason._tag === "HeartbeatTimeout") this.link?.close(closeCodeOf(ErrorCode.HEARTBEAT_TIMEOUT), "")
    else this.link?.terminate()
    this.#state = state.interrupt(this.#state)
    this.sender.use(undefined)
    this.beat = undefined
    this.#isEstablished = true
    this.mux.linkLost()
    this.#cut = Deferred.makeUnsafe()
    this.notify()
    metrics.interruptions.updateUnsafe(1, this.#context)
  }

  /** Waits for another link, and goes on with it. `step`: waits for the turn in which to give up. */
  #awaitNextLink(
    step: Effect.Effect<void>,
    lost: SwaggerSocketError,
    links: Links,
    lostAt: number
  ): Effect.Effect<Connection.CloseReason> {
    const window = Duration.millis(this.#windowMillis)
    let found: Attachment | undefined = undefined
    const renewed = Effect.timeoutOrElse(
      Effect.tap(links.renew(lost), (attachment) => Effect.sync(() => found = attachment)),
      {
        duration: this.#state.drain === "own" ? Duration.min(window, this.limits.closeTimeout) : window,
        // The sessions of clients that were lost together expire together.
        orElse: () => Effect.andThen(step, Effect.fail(endings.sessionLost("expired", lost)))
      }
    )
    const race = Effect.raceFirst(renewed, Deferred.await(this.#cut))
    return Effect.flatMap(Effect.exit(traced(Effect.interruptible(race), "resume", this)), (exit) => {
      if (exit._tag === "Success") return this.#run(exit.value, links, lostAt)
      // A link may have come in the turn in which the time was up: nobody else would release it.
      const release = found === undefined ? Effect.void : (found as Attachment).release
      return Effect.map(release, () => this.#finish(this.#endOfCause(exit.cause)))
    })
  }

  /** Reads the link and sends pings on it, until one of these fails or the cut is made. */
  #serve(own: Link): Effect.Effect<Exit.Exit<never, SwaggerSocketError>> {
    const cut = this.#cut
    let fibers: ReadonlyArray<Fiber.Fiber<never, SwaggerSocketError>> = []
    // By hand, and not `Effect.raceAllFirst`: its third fiber, which only waits, takes 1.3 KiB of each connection.
    const served = Effect.flatMap(this.#makeBeat, (beat) => {
      this.beat = beat
      const receiver = {
        receive: (message: Uint8Array | string) => this.#receive(own, message),
        receiveRest: () => this.#violated(this.#intake.receiveRest()),
        paused: () => this.calls?.paused()
      }
      const fork = Effect.runForkWith(this.#context)
      fibers = [fork(readAll(own, this.mux, this.room, receiver)), fork(beat.run)]
      const end = (exit: Exit.Exit<never, SwaggerSocketError>) => {
        Deferred.doneUnsafe(cut, exit)
      }
      for (const fiber of fibers) fiber.addObserver(end)
      return Deferred.await(cut)
    })
    return Effect.tap(Effect.exit(Effect.interruptible(served)), () => Fiber.interruptAll(fibers))
  }

  /** The error of a failed fiber of the connection. The peer is told where neither it nor the link was the reason. */
  #endOfCause(cause: Cause.Cause<SwaggerSocketError>): SwaggerSocketError {
    const { code, error } = endings.endOfCause(cause)
    if (code !== undefined) this.leave(code, "")
    if (Cause.hasDies(cause)) Effect.runForkWith(this.#context)(Effect.logError("a connection has failed", cause))
    return error
  }

  run(first: Attachment, links: Links): Effect.Effect<Connection.CloseReason> {
    // Made when it is asked for: whoever waits for the end keeps what he runs, but not what that goes on with.
    return Effect.suspend(() => this.#run(first, links))
  }

  // Written without a generator, which would keep 0.5 KiB for each connection that waits in it.
  #run(attachment: Attachment, links: Links, before?: number): Effect.Effect<Connection.CloseReason> {
    const replayed = this.#attach(attachment)
    if (typeof replayed !== "number") return Effect.map(attachment.release, () => this.#finish(replayed))
    if (before === undefined) {
      // Counted here, and not when the driver is made: a client that has been welcomed may never say that it is ready.
      metrics.track(this.mux.counters, this.#context)
      metrics.connectionsOpened.updateUnsafe(1, this.#context)
      links.onOpen()
    } else {
      metrics.resumptions.updateUnsafe(1, this.#context)
      links.onResumed(this.#millis - before, replayed)
    }
    const served = Effect.zip(this.#serve(attachment.link), this.#intake.finish(this.#isEnding))
    return Effect.flatMap(served, ([served, fault]) => {
      const violated = this.#violated(fault)
      const end = this.#endOfCause((served as Exit.Failure<never, SwaggerSocketError>).cause)
      const error = violated ?? (this.#state._tag === "Accused" ? this.#state.fault : end)
      if (this.session === undefined || state.isEnding(this.#state) || !isLoss(error, before !== undefined)) {
        return Effect.as(attachment.release, this.#finish(error))
      }
      const lostAt = this.#millis
      const step = awaitStepOf(attachment.link)
      this.#interrupt(error)
      links.onInterrupted(error)
      return Effect.flatMap(attachment.release, () => this.#awaitNextLink(step, error, links, lostAt))
    })
  }

  close(options?: Connection.CloseOptions): Effect.Effect<void> {
    return closing.close(this, options)
  }

  drain(duration: Duration.Duration, code: number, reason: string): Effect.Effect<void> {
    return closing.drain(this, duration, code, reason)
  }

  beginDrain(reason: string): void {
    this.mux.goAway(ErrorCode.NO_ERROR, reason)
    this.#become(state.drain(this.#state))
    Deferred.doneUnsafe(this.#retired, Effect.succeed(undefined))
  }

  abandon(code: number, reason: string): void {
    this.link?.terminate()
    this.#end(endings.closedLocally(code, reason))
  }
}
