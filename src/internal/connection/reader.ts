/**
 * Reads a link as fast as its connection takes messages, and lets other links have their turn.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import type { Link } from "../link/link.ts"
import { endOf } from "../link/linkErrors.ts"
import { eventLoop } from "../scheduling/eventLoop.ts"
import type { Gate } from "../scheduling/gate.ts"
import { awaitTurnSince, isTurnOver } from "../scheduling/turn.ts"
import type { Multiplexed } from "../streams/multiplexed.ts"

type Message = Uint8Array | string

/** What a frame counts for, in bytes: a request of thirty bytes starts a handler. A guess. */
const frameCost = 1024

/** Whether links have been busy for long enough in this turn, after so many more frames. @internal */
export const isTurnOverAfter = (frames: number): boolean => isTurnOver(frames * frameCost)

/** What takes the messages of a link; each function answers the error that ends the connection. @internal */
export interface Receiver {
  readonly receive: (message: Message) => SwaggerSocketError | undefined
  /** Goes on with a message of which the multiplexer has taken a part (`isReceiving`). */
  readonly receiveRest: () => SwaggerSocketError | undefined
  /** The peer is not read from for a while (`pauseMillis`). */
  readonly paused: () => void
}

/**
 * Reads until the link ends, or a message is found to be wrong. `room` is notified when `mux` can take messages again.
 *
 * @internal
 */
export const readAll = (
  link: Link,
  mux: Multiplexed,
  room: Gate,
  receiver: Receiver
): Effect.Effect<never, SwaggerSocketError> => {
  /** Waits for the next turn, or for as long as a peer may not be read from. */
  const pause = (since: number) =>
    Effect.suspend(() => {
      const { pauseMillis = 0 } = mux
      if (pauseMillis > 0) receiver.paused()
      return pauseMillis > 0 ? Effect.sleep(pauseMillis) : awaitTurnSince(since)
    })
  const takeRest = (since: number): Effect.Effect<void, SwaggerSocketError> =>
    Effect.flatMap(pause(since), () => {
      const error = mux.isReceiving === true ? receiver.receiveRest() : undefined
      if (error !== undefined) return Effect.fail(error)
      return mux.isReceiving === true ? takeRest(since) : Effect.void
    })
  /** `since`: when the batch had to wait for the first time. */
  const take = (
    batch: NonEmptyReadonlyArray<Message>,
    from: number,
    since?: number
  ): Effect.Effect<void, SwaggerSocketError> => {
    for (let at = from; at < batch.length; at++) {
      const message = batch[at]!
      const error = receiver.receive(message)
      if (error !== undefined) return Effect.fail(error)
      const isOver = isTurnOver(message.length)
      if (isOver || mux.isReceiving === true || (mux.pauseMillis ?? 0) > 0) {
        const begun = since ?? eventLoop.now()
        return Effect.flatMap(takeRest(begun), () => take(batch, at + 1, begun))
      }
    }
    return Effect.void
  }
  const next = Effect.flatMap(Effect.mapError(link.pull, endOf), (batch) => take(batch, 0))
  const { isReadable } = mux
  if (isReadable === undefined) return Effect.forever(next, { disableYield: true })
  // A link that has ended is read even if there is no room: nothing else would tell of its end.
  const readable = room.until(() => isReadable.call(mux) || hasEnded(link))
  return Effect.andThen(
    Effect.sync(() => notifyAtEnd(link, room)),
    Effect.forever(Effect.andThen(readable, next), { disableYield: true })
  )
}

const closed = 3

const hasEnded = ({ tcp, webSocket }: Link): boolean =>
  webSocket === undefined ? tcp?.destroyed === true : webSocket.readyState === closed

const notifyAtEnd = ({ tcp, webSocket }: Link, room: Gate): void => {
  const notify = () => room.notify()
  if (webSocket === undefined) tcp?.once("close", notify)
  else webSocket.addEventListener("close", notify, { once: true })
}
