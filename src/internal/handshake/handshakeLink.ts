/**
 * A link during its handshake: it gives messages one by one, and tells its end as soon as it comes. Messages that were read
 * ahead for that are kept for the connection.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import type { Link } from "../link/link.ts"
import { linkError } from "../link/linkErrors.ts"
import type { HandshakeLink } from "./model.ts"
import { readAhead } from "./readAhead.ts"

/** @internal */
export interface Handshaking {
  readonly handshake: HandshakeLink
  /** Runs an effect while the link lives; fails, and interrupts the effect, when the link ends first. */
  readonly whileOpen: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E | SwaggerSocketError>
  /** The link after the handshake. */
  readonly rest: () => Link
  /** From the last message sent to the next one received, in milliseconds. */
  readonly roundTrip: () => number
}

/** Reads at most `maxAhead` bytes, or characters, ahead to see the end of the link. `scope` is that of the link. @internal */
export const forHandshake = (
  link: Link,
  clock: Clock.Clock,
  maxAhead: number,
  scope: Scope.Scope
): Handshaking => {
  const now = () => clock.monotonicTimeNanosUnsafe()
  const { arrivedAt, ended, rest, take } = readAhead(link, maxAhead, now, scope)
  let sentAt = now()
  let roundTrip = 0

  return {
    handshake: {
      receive: Effect.map(take, (message) => {
        roundTrip = Math.max(0, Number(arrivedAt() - sentAt) / 1_000_000)
        return message
      }),
      send: (message) =>
        Effect.suspend(() => {
          sentAt = now()
          const error = link.send(message)
          if (error === undefined) return Effect.void
          // A write mostly fails because the peer has closed the link: its close code tells why, and comes in a moment.
          return Effect.timeoutOrElse(ended, {
            duration: "1 second",
            orElse: () => Effect.fail(linkError("write", error))
          })
        })
    },
    whileOpen: (effect) => Effect.raceFirst(effect, ended),
    rest,
    roundTrip: () => roundTrip
  }
}
