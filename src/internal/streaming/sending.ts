/**
 * Sends many small messages on a link, and waits for room. The messages of one turn of the event loop leave in one write.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Link } from "../link/link.ts"
import { eventLoop } from "../scheduling/eventLoop.ts"
import { Gate } from "../scheduling/gate.ts"

/** Sends messages. The TCP socket is corked until the current task has run, so that they leave in one write. @internal */
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
      eventLoop.requestMicrotask(uncork)
    }
    link.send(message)
  }
}

/** Waits until a full link has room. @internal */
export const untilRoom = (link: Link): Effect.Effect<void> => {
  const gate = new Gate()
  const notify = () => gate.notify()
  return gate.until(() => {
    if (!link.isFull()) return true
    link.onRoom(notify)
    return false
  })
}

/** Whether the link has ended: what is written to it is lost. @internal */
export const hasEnded = ({ tcp }: Link): boolean => tcp?.destroyed === true

/**
 * Waits until a full link has room, or has ended: a link that has ended never gets room. Make it once for a link,
 * because it adds a listener to the socket.
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

/** Ends when the link has taken nothing of what waits to be sent for a whole period. @internal */
export const untilStuck = (link: Link, period: Duration.Duration): Effect.Effect<void> =>
  Effect.suspend(() => {
    const before = link.taken()
    return Effect.andThen(
      Effect.sleep(period),
      Effect.suspend(() => link.taken() === before ? Effect.void : untilStuck(link, period))
    )
  })
