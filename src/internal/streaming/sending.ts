/**
 * Sending many small messages on a link: those of one turn of the event loop leave in one write.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Link } from "../link/link.ts"
import { Gate } from "../scheduling/gate.ts"

/** Sends messages, and holds the TCP socket back until the turn is over. @internal */
export const makeSender = (link: Link): (message: string) => void => {
  const { tcp } = link
  if (tcp === undefined) return (message) => void link.send(message)
  let corked = false
  const uncork = () => {
    corked = false
    tcp.uncork()
  }
  return (message) => {
    if (!corked) {
      corked = true
      tcp.cork()
      queueMicrotask(uncork)
    }
    link.send(message)
  }
}

/** Waits for room on a link that has enough to send. @internal */
export const untilRoom = (link: Link): Effect.Effect<void> => {
  const gate = new Gate()
  const notify = () => gate.notify()
  return gate.until(() => {
    if (!link.isFull()) return true
    link.onRoom(notify)
    return false
  })
}

/** Nothing can be sent any more: what is written vanishes. @internal */
export const hasEnded = ({ tcp }: Link): boolean => tcp?.destroyed === true

/**
 * As `untilRoom`, and no longer than the link lives: a link that has ended has room for nothing. Made once for a link, because it
 * listens for the end.
 *
 * @internal
 */
export const untilRoomOrEnd = (link: Link): Effect.Effect<void> => {
  const gate = new Gate()
  const notify = () => gate.notify()
  link.tcp?.once("close", notify)
  return gate.until(() => {
    if (!link.isFull() || hasEnded(link)) return true
    link.onRoom(notify)
    return false
  })
}

/** Waits until a link has taken nothing of what waits in it for so long. @internal */
export const untilStuck = (link: Link, period: Duration.Duration): Effect.Effect<void> =>
  Effect.suspend(() => {
    const before = link.taken()
    return Effect.andThen(
      Effect.sleep(period),
      Effect.suspend(() => link.taken() === before ? Effect.void : untilStuck(link, period))
    )
  })
