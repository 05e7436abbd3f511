/**
 * Reads a link, as fast as the connection takes it, and lets others have their turn.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import type { Multiplexed } from "../Multiplexer.ts"
import type { SwaggerSocketError } from "../SwaggerSocketError.ts"
import type { Gate } from "./gate.ts"
import { endOf, type Link } from "./link.ts"
import { awaitTurn, isTurnOver } from "./turn.ts"

type Message = Uint8Array | string

/** What a frame besides the first of a message counts for, in bytes: those of a byte of DATA each wake their reader. */
const frameCost = 256

/** Until the link ends, or `receive` answers what is wrong with a message. `room` is notified when `mux` can be read for again. @internal */
export const readAll = (
  link: Link,
  mux: Multiplexed,
  room: Gate,
  receive: (message: Message) => SwaggerSocketError | undefined
): Effect.Effect<never, SwaggerSocketError> => {
  const take = (batch: NonEmptyReadonlyArray<Message>, from: number): Effect.Effect<void, SwaggerSocketError> => {
    for (let at = from; at < batch.length; at++) {
      const message = batch[at]!
      const before = mux.counters.framesReceived
      const error = receive(message)
      if (error !== undefined) return Effect.fail(error)
      const others = Math.max(0, mux.counters.framesReceived - before - 1)
      if (isTurnOver(message.length + others * frameCost)) return Effect.flatMap(awaitTurn, () => take(batch, at + 1))
    }
    return Effect.void
  }
  const next = Effect.flatMap(Effect.mapError(link.pull, endOf), (batch) => take(batch, 0))
  const { isReadable } = mux
  if (isReadable === undefined) return Effect.forever(next, { disableYield: true })
  // A link that has ended is read to its end, whether or not there is room: nothing else would tell of the end.
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
