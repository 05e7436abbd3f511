/**
 * A link during its handshake: its messages one by one, its end as soon as it comes, and what was read ahead for those who
 * use the link behind the handshake.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Socket from "effect/socket/Socket"
import type { HandshakeLink } from "../../Handshake.ts"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { CloseCode } from "../frame/errorCode.ts"
import type { Link } from "../link/link.ts"
import { endOf, linkError } from "../link/linkErrors.ts"
import { refused } from "../link/refusal.ts"
import { Gate } from "../scheduling/gate.ts"
import { awaitStep } from "../scheduling/turn.ts"

type Message = Uint8Array | string

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

/** So many messages are read ahead to see the end of the link: a peer of wire v1 may have sent its first request. */
const maxMessagesAhead = 16

/** A WebSocket library may find a message too long before the peer can refuse it in words. The next would be as long. */
const endOfHandshake = (error: Socket.SocketError): SwaggerSocketError =>
  error.reason._tag === "SocketCloseError" && error.reason.code === CloseCode.TOO_LONG
    ? refused("remote", "HANDSHAKE_INVALID", "a handshake message is too long for the peer (1009)")
    : endOf(error)

/** `maxAhead`: bytes, or characters, that are read ahead to see the end of the link. @internal */
export const forHandshake = (link: Link, clock: Clock.Clock, maxAhead: number): Handshaking => {
  const { pull } = link
  const gate = new Gate()
  // A link in memory takes no turn of the event loop, so that tests with a clock of their own know when it is done.
  const turn = link.tcp === undefined ? Effect.void : awaitStep
  let ahead: Array<Message> = []
  let size = 0
  let end: Effect.Effect<never, SwaggerSocketError> | undefined = undefined
  let isReading = false
  let sentAt = clock.monotonicTimeNanosUnsafe()
  let arrivedAt = sentAt
  let roundTrip = 0

  const mayReadAhead = () => !isReading && end === undefined && size <= maxAhead && ahead.length < maxMessagesAhead

  /** A fiber of its own, so that no message is lost with whoever waits for it and is interrupted. */
  const read = () => {
    if (isReading || end !== undefined) return
    isReading = true
    Effect.runFork(pull).addObserver((exit) => {
      isReading = false
      arrivedAt = clock.monotonicTimeNanosUnsafe()
      if (Exit.isFailure(exit)) end = Effect.mapError(Effect.failCause(exit.cause), endOfHandshake)
      else {
        for (const message of exit.value) {
          ahead.push(message)
          size += message.length
        }
      }
      gate.notify()
    })
  }

  const receive = Effect.suspend(() => {
    if (ahead.length === 0) read()
    const arrived = Effect.andThen(gate.until(() => ahead.length > 0 || end !== undefined), turn)
    return Effect.flatMap(arrived, () => {
      const message = ahead.shift()
      if (message === undefined) return end!
      size -= message.length
      roundTrip = Math.max(0, Number(arrivedAt - sentAt) / 1_000_000)
      return Effect.succeed(message)
    })
  })

  /** A peer that sends more than a handshake has is not read any further, and its end is not seen. */
  const ended = Effect.suspend(() => {
    const look = () => {
      while (mayReadAhead()) read()
      return end !== undefined
    }
    return Effect.flatMap(gate.until(look), () => end!)
  })

  return {
    handshake: {
      receive,
      send: (message) =>
        Effect.suspend(() => {
          sentAt = clock.monotonicTimeNanosUnsafe()
          const error = link.send(message)
          if (error === undefined) return Effect.void
          // The peer has closed the link, most likely, and what it said tells more.
          return Effect.timeoutOrElse(ended, {
            duration: "1 second",
            orElse: () => Effect.fail(linkError("write", error))
          })
        })
    },
    whileOpen: (effect) => Effect.raceFirst(effect, ended),
    rest() {
      if (ahead.length === 0 && !isReading) return link
      const next = Effect.suspend(() => {
        if (ahead.length === 0 && !isReading) return pull
        return Effect.flatMap(gate.until(() => !isReading), () => {
          if (ahead.length === 0) return pull
          const batch = ahead as unknown as NonEmptyReadonlyArray<Message>
          ahead = []
          return Effect.succeed(batch)
        })
      })
      return Object.assign(link, { pull: next })
    },
    roundTrip: () => roundTrip
  }
}
