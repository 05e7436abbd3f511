/**
 * Reads a link ahead of whoever takes its messages, so that the end of the link is seen as soon as it comes.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import * as CloseCode from "../frame/CloseCode.ts"
import { awaitStepOf, type Link } from "../link/link.ts"
import { endOf } from "../link/linkErrors.ts"
import { refused } from "../link/refusal.ts"
import { Gate } from "../scheduling/gate.ts"

type Message = Uint8Array | string

/** How the link has ended, once all of it was read. */
type Ended = Effect.Effect<never, SwaggerSocketError>

/** How many messages are read ahead to see the end of the link. More than one: a peer of wire v1 may send its first request. */
const maxMessagesAhead = 16

/** A WebSocket library may close a link for a message that is too long. That is final: the next attempt would send it again. */
const endOfHandshake = (error: Socket.SocketError): SwaggerSocketError =>
  error.reason._tag === "SocketCloseError" && error.reason.code === CloseCode.TOO_LONG
    ? refused("remote", "HANDSHAKE_INVALID", "a handshake message is too long for the peer (1009)")
    : endOf(error)

/** @internal */
export interface ReadAhead {
  /** Waits for the next message. Fails when the link has ended, and all its messages were taken. */
  readonly take: Effect.Effect<Message, SwaggerSocketError>
  /** Fails when the link ends. A peer that sends more than a handshake has messages is not read any further. */
  readonly ended: Effect.Effect<never, SwaggerSocketError>
  /** When the last message arrived, in nanoseconds. */
  readonly arrivedAt: () => bigint
  /** The link for the connection, which gives first what was read ahead. */
  readonly rest: () => Link
}

/** `maxAhead`: bytes, or characters. `scope`: that of the link; it ends the reading. @internal */
export const readAhead = (
  link: Link,
  maxAhead: number,
  now: () => bigint,
  scope: Scope.Scope
): ReadAhead => {
  const { pull } = link
  const gate = new Gate()
  let messages: Array<Message> = []
  let size = 0
  let reader: "idle" | "reading" | Ended = "idle"
  let arrivedAt = 0n

  /** Reads in a fiber of its own: a message would be lost with a fiber that waits for it and is interrupted. */
  const read = () => {
    if (reader !== "idle") return
    reader = "reading"
    Fiber.runIn(Effect.runFork(pull), scope).addObserver((exit) => {
      arrivedAt = now()
      if (exit._tag === "Failure") {
        reader = Effect.mapError(Effect.failCause(exit.cause), endOfHandshake)
      } else {
        reader = "idle"
        for (const message of exit.value) {
          messages.push(message)
          size += message.length
        }
      }
      gate.notify()
    })
  }

  const isEnded = () => typeof reader === "object"

  const mayReadAhead = () => reader === "idle" && size <= maxAhead && messages.length < maxMessagesAhead

  const isAhead = () => messages.length > 0 || reader === "reading"

  const next = Effect.suspend(() =>
    isAhead()
      ? Effect.flatMap(gate.until(() => messages.length > 0 || reader !== "reading"), () => {
        if (messages.length === 0) return pull
        const batch = messages as unknown as NonEmptyReadonlyArray<Message>
        messages = []
        return Effect.succeed(batch)
      })
      : pull
  )

  return {
    take: Effect.suspend(() => {
      if (messages.length === 0) read()
      const arrived = gate.until(() => messages.length > 0 || isEnded())
      return Effect.flatMap(Effect.andThen(arrived, awaitStepOf(link)), () => {
        const message = messages.shift()
        if (message === undefined) return reader as Ended
        size -= message.length
        return Effect.succeed(message)
      })
    }),
    ended: Effect.flatMap(
      gate.until(() => {
        while (mayReadAhead()) read()
        return isEnded()
      }),
      () => reader as Ended
    ),
    arrivedAt: () => arrivedAt,
    rest: () => isAhead() ? Object.assign(link, { pull: next }) : link
  }
}
