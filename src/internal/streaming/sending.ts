/**
 * Sending many small messages on a link: those of one turn of the event loop leave in one write.
 */
import * as Effect from "effect/Effect"
import type { Link } from "../link.ts"

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

/** Waits for a link that has enough to send. @internal */
export const untilRoom = (link: Link): Effect.Effect<void> =>
  Effect.callback((resume) => link.onRoom(() => resume(Effect.void)))
