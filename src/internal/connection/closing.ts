/**
 * Closing a connection: at once, after a drain, or because the peer takes no more requests (PROTOCOL.md, "Drain").
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Connection from "../../Connection.ts"
import type { Limits } from "../../Limits.ts"
import * as CloseCode from "../frame/CloseCode.ts"
import type { Link } from "../link/link.ts"
import { traced } from "../observe/spans.ts"
import type { Multiplexed } from "../streams/multiplexed.ts"
import { closeCodeFault } from "./endErrors.ts"
import type { Quiescence } from "./quiescence.ts"

/** How long the end that goes away has to close a link without streams. @internal */
export const grace = Duration.seconds(1)

/** What closing needs of a connection. @internal */
export interface Closable {
  readonly id: string
  readonly role: "client" | "server"
  readonly limits: Limits
  readonly mux: Multiplexed
  readonly quiescence: Quiescence
  /** None while the connection is interrupted. */
  readonly link: Link | undefined
  readonly closed: Effect.Effect<unknown>
  /** Sends GOAWAY and a close frame, without waiting for anything. */
  readonly leave: (code: number, reason: string) => void
  /** Begins a drain: this end opens no more streams. */
  readonly beginDrain: (reason: string) => void
  /** Drops the link, where there is one, and ends the connection. */
  readonly abandon: (code: number, reason: string) => void
}

/** Closes as the application has asked for; dies of a close code that it can't use. @internal */
export const close = (connection: Closable, options: Connection.CloseOptions = {}): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { code = CloseCode.NORMAL, drain: within = false, reason = "" } = options
    const fault = closeCodeFault(code)
    if (fault !== undefined) return Effect.die(fault)
    if (within === false) return closeNow(connection, code, reason)
    const duration = within === true ? connection.limits.drainTimeout : Duration.fromInputUnsafe(within)
    return drain(connection, duration, code, reason)
  })

/** Sends GOAWAY and a close frame, and waits `patience` for the close frame of the peer. Then the socket is dropped. */
const closeNow = (
  connection: Closable,
  code: number,
  reason: string,
  patience: Duration.Duration = connection.limits.closeTimeout
): Effect.Effect<void> =>
  Effect.suspend(() => {
    connection.leave(code, reason)
    return Effect.asVoid(Effect.timeoutOrElse(connection.closed, {
      duration: patience,
      orElse: () => {
        connection.abandon(code, reason)
        return connection.closed
      }
    }))
  })

/** Takes no more requests, lets calls finish for `duration`, and closes the connection. @internal */
export const drain = (
  connection: Closable,
  duration: Duration.Duration,
  code: number,
  reason: string
): Effect.Effect<void> => {
  const drained = Effect.suspend(() => {
    connection.beginDrain(reason)
    const { limits, mux, quiescence } = connection
    const stuck = quiescence.stuck(() => connection.link, Duration.max(limits.closeTimeout, grace))
    const reached = quiescence.within(duration, connection.closed)
    const isStuck = Effect.raceFirst(Effect.as(reached, false), Effect.as(stuck, true))
    return Effect.flatMap(isStuck, (isStuck) => {
      const { isIdle } = quiescence
      if (!isIdle) mux.cancelAll("the connection is closed before the call is complete")
      // A peer that has not answered the ping that asks for an ACK would not answer a close frame: it is not waited for.
      return closeNow(connection, code, reason, isStuck && isIdle ? Duration.zero : undefined)
    })
  })
  return traced(drained, "drain", connection)
}

/** The peer takes no more requests: lets calls finish, and closes the connection where the peer does not. @internal */
export const retire = (connection: Closable): Effect.Effect<void> => {
  const { closed, limits, quiescence } = connection
  const within = Duration.sum(limits.drainTimeout, grace)
  return Effect.andThen(
    quiescence.lasts(grace, within, closed, () => connection.link),
    closeNow(connection, CloseCode.NORMAL, "going away")
  )
}
