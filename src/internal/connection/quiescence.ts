/**
 * Waiting until nothing is left on a connection: no stream, and no message that the peer has not received.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Link } from "../link/link.ts"
import { eventLoop } from "../scheduling/eventLoop.ts"
import { Gate } from "../scheduling/gate.ts"
import { logDefect } from "../scheduling/hook.ts"
import { standstill } from "../scheduling/standstill.ts"
import { question, type Session } from "../session/session.ts"
import type { Multiplexed } from "../streams/multiplexed.ts"

/** @internal */
export class Quiescence {
  readonly #mux: Multiplexed
  readonly #session: Session | undefined
  readonly #gate = new Gate()

  constructor(mux: Multiplexed, session: Session | undefined) {
    this.#mux = mux
    this.#session = session
  }

  /** A stream has closed, or the peer has received something: those who wait look again. */
  check(): void {
    this.#gate.notify()
  }

  /** As `check`, once what is queued in this turn has been sent: a stream closes before its last message leaves. */
  checkLater(): void {
    if (this.#gate.isAwaited) eventLoop.requestMicrotask(() => this.check())
  }

  get reached(): Effect.Effect<void> {
    return Effect.suspend(() => {
      let hasSent = false
      eventLoop.requestMicrotask(() => {
        hasSent = true
        this.check()
      })
      return this.#gate.until(() => hasSent && this.#isReached())
    }).pipe(
      // A multiplexer of the program's own may throw. The time of the drain bounds the wait.
      Effect.catchDefect((defect) => Effect.andThen(Effect.sync(() => logDefect(defect)), Effect.never))
    )
  }

  /** Waits for quiescence, at most for `duration`, and no longer than the connection lives. */
  within(duration: Duration.Duration, closed: Effect.Effect<unknown>): Effect.Effect<unknown> {
    return Effect.timeoutOption(Effect.raceFirst(this.reached, closed), duration)
  }

  /**
   * Waits until it has been so for a period, on one link, in which the peer has opened no stream; or as `within`. Requests that
   * the peer has not sent yet may follow those that have ended.
   */
  lasts(
    period: Duration.Duration,
    duration: Duration.Duration,
    closed: Effect.Effect<unknown>,
    link: () => Link | undefined
  ): Effect.Effect<unknown> {
    const { counters } = this.#mux
    const lasted: Effect.Effect<void> = Effect.flatMap(this.reached, () => {
      const { streamsAccepted } = counters
      const before = link()
      return Effect.flatMap(
        Effect.sleep(period),
        () =>
          before !== undefined && before === link() && counters.streamsAccepted === streamsAccepted
            ? Effect.void
            : lasted
      )
    })
    return Effect.timeoutOption(Effect.raceFirst(lasted, closed), duration)
  }

  /** No stream is left, and no call waits. */
  get isIdle(): boolean {
    const { local, remote, waiting } = this.#mux.active
    return local + remote + waiting === 0
  }

  #isReached(): boolean {
    if (!this.isIdle) return false
    if (this.#session === undefined || this.#session.unacknowledged === 0) return true
    // Asks for an ACK.
    this.#mux.ping(question)
    return false
  }

  /**
   * Waiting is of no use where nothing is left but a peer that is silent, a link that has not come back, or answers that
   * nobody reads. Ends when one of these has lasted for `period`.
   */
  stuck(link: () => Link | undefined, period: Duration.Duration): Effect.Effect<void> {
    return standstill(() => this.#progress(link()), period)
  }

  /** A value that changes as long as bytes move; `undefined` while a handler is at work, which may take its time. */
  #progress(link: Link | undefined): number | string | undefined {
    if (link === undefined) return "no link"
    return this.isIdle ? `${this.#session?.unacknowledged} ${link.isEmpty()}` : this.#mux.waitingForReaders
  }
}
