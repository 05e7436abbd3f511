/**
 * What the claims about links share: sending as a connection does, reading, and how a link ends.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import { Buffer } from "node:buffer"
import type { Link } from "../../link/model.ts"
import * as assert from "../assert.ts"

export type Message = Uint8Array<ArrayBuffer> | string

/** The two ends of a link, made anew for each claim. */
export interface Ends {
  readonly near: Link
  readonly far: Link
}

/** One claim about links. */
export interface Case {
  readonly title: string
  readonly run: (makeEnds: Effect.Effect<Ends, unknown, Scope.Scope>) => Effect.Effect<void, unknown>
}

/** Shows a claim with two ends, which are released behind it. */
export const makeCase = (title: string, run: (ends: Ends) => Effect.Effect<unknown, unknown, Scope.Scope>): Case => ({
  title,
  run: (makeEnds) => Effect.asVoid(Effect.scoped(Effect.flatMap(makeEnds, run)))
})

/** What takes longer has failed. */
const patience = "20 seconds"

export const within = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.timeoutOrElse(effect, {
    duration: patience,
    orElse: () => Effect.die(new Error(`${what}: not within ${patience}`))
  })

/** Lets the platform do what is due. */
export const turn: Effect.Effect<void> = Effect.sleep(1)

/** Bytes that differ from their neighbours, and from those of other seeds. */
export const bytes = (length: number, seed = 0): Uint8Array<ArrayBuffer> => {
  const made = new Uint8Array(length)
  for (let index = 0; index < length; index++) made[index] = (index * 31 + seed) % 251
  return made
}

/** Sends what must fit. */
export const send = (link: Link, message: Message): void => assert.isUndefined(link.send(message))

/** Waits until a full link has room. */
export const untilRoom = (link: Link): Effect.Effect<void> =>
  Effect.suspend(() =>
    link.isFull()
      ? Effect.andThen(Effect.callback<void>((resume) => link.onRoom(() => resume(Effect.void))), untilRoom(link))
      : Effect.void
  )

/** Sends as a connection does, which waits while the link is full. */
export const sendAll = (link: Link, messages: Iterable<Message>): Effect.Effect<void> =>
  within(
    "everything is sent",
    Effect.gen(function*() {
      for (const message of messages) {
        if (link.isFull()) yield* untilRoom(link)
        send(link, message)
      }
    })
  )

/** The next messages; an `ArrayBuffer` or a `Buffer` would be none. */
export const receive = (link: Link, count: number): Effect.Effect<Array<Uint8Array | string>, Socket.SocketError> =>
  within(
    `${count} messages arrive`,
    Effect.gen(function*() {
      const received: Array<Uint8Array | string> = []
      while (received.length < count) received.push(...(yield* link.pull))
      return received
    })
  )

/** How the link has ended: what is left of its messages, and the error behind them. */
export const untilEnd = (link: Link) =>
  within(
    "the link ends",
    Effect.gen(function*() {
      const received: Array<Uint8Array | string> = []
      const error = yield* Effect.flip(Effect.forever(Effect.map(link.pull, (batch) => void received.push(...batch))))
      return { error, received }
    })
  )

/** Bytes of `Buffer` and of `Uint8Array` are the same; else messages are compared as they are. */
export const assertSame = (actual: Uint8Array | string, expected: Message, which: string): void => {
  if (typeof expected === "string" || typeof actual === "string") return assert.strictEqual(actual, expected, which)
  assert.strictEqual(actual.length, expected.length, `the length of ${which}`)
  if (Buffer.compare(actual, expected) === 0) return
  const at = expected.findIndex((byte, index) => actual[index] !== byte)
  assert.fail(`${which} differs at ${at}`)
}

export const assertMessages = (actual: ReadonlyArray<Uint8Array | string>, expected: ReadonlyArray<Message>): void => {
  assert.strictEqual(actual.length, expected.length, "the number of messages")
  for (const [index, message] of expected.entries()) assertSame(actual[index]!, message, `message ${index}`)
}

/** Close codes that end a connection. Others say that a proxy has closed the link, or that another link takes its place. */
const isFinal = (code: number): boolean =>
  code < 1006 || (code > 1006 && code < 1011) || (code >= 3000 && code !== 4110)

export const assertClosed = ({ reason }: Socket.SocketError, code: number, text?: string): void => {
  if (reason._tag !== "SocketCloseError") return assert.fail(`${reason._tag} instead of a close with ${code}`)
  assert.strictEqual(reason.code, code)
  if (text !== undefined) assert.strictEqual(reason.closeReason ?? "", text)
}

export const assertLost = ({ reason }: Socket.SocketError): void => {
  if (reason._tag === "SocketCloseError" && isFinal(reason.code)) {
    assert.fail(`a close with ${reason.code} instead of a lost link`)
  }
}

/** A fiber that waits for messages which have not been sent. */
export const waiting = (link: Link) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkScoped(link.pull)
    yield* turn
    if (fiber.pollUnsafe() !== undefined) assert.fail("a pull ended without a message")
    return fiber
  })
