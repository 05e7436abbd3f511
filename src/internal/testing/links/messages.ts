/**
 * Claims about the messages of a link: order, boundaries, kinds and back-pressure.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as assert from "../assert.ts"
import {
  assertMessages,
  bytes,
  type Case,
  makeCase,
  type Message,
  receive,
  send,
  sendAll,
  turn,
  untilRoom,
  waiting,
  within
} from "./ends.ts"

/** As many as a connection sends by default at most. */
const longest = 65_536

/** Around the lengths at which headers of WebSockets and of others change, and pieces of networks end. */
const lengths = [1, 2, 125, 126, 127, 4095, 4096, 4097, 16_384, 65_535, longest]

/** So many bytes may be between two ends: the buffers of both operating systems are among them. */
const mostBetween = 32 * 1024 * 1024

const sizes = (title: string, make: (length: number) => Message): Case =>
  makeCase(title, ({ far, near }) =>
    Effect.gen(function*() {
      const messages = lengths.map(make)
      yield* sendAll(near, messages)
      assertMessages(yield* receive(far, messages.length), messages)
    }))

const texts = [
  "{\"type\":\"hello\"}",
  "\u0000\u007f\u0080\u07ff\u0800\uffff",
  "\ufeffa byte order mark is a character",
  "\u{10000}\u{10ffff} 😀"
]

export const messageCases: ReadonlyArray<Case> = [
  sizes("bytes of 1 to 65,536 arrive as they were sent", (length) => bytes(length, length)),
  sizes("text of 1 to 65,536 characters arrives as it was sent", (length) => "x".repeat(length)),
  makeCase(
    "text of any characters arrives as text, between bytes that could be text",
    ({ far, near }) =>
      Effect.gen(function*() {
        const messages = texts.flatMap((text): Array<Message> => [text, new TextEncoder().encode(text)])
        yield* sendAll(near, messages)
        assertMessages(yield* receive(far, messages.length), messages)
      })
  ),
  makeCase("an empty message is a message", ({ far, near }) =>
    Effect.gen(function*() {
      const messages = ["", bytes(0), "end"]
      yield* sendAll(near, messages)
      assertMessages(yield* receive(far, messages.length), messages)
    })),
  makeCase("5,000 messages that are sent at once arrive in order", ({ far, near }) =>
    Effect.gen(function*() {
      const messages = Array.from({ length: 5000 }, (_, index) =>
        index % 3 === 0 ? `${index}` : bytes(1 + index % 40, index))
      for (const message of messages) {
        send(near, message)
      }
      assertMessages(yield* receive(far, messages.length), messages)
    })),
  makeCase("both ends send at once, and each gets what the other has sent", ({ far, near }) =>
    Effect.gen(function*() {
      const up = Array.from({ length: 200 }, (_, index) => bytes(1 + index * 300 % longest, index))
      const down = Array.from({ length: 200 }, (_, index) => bytes(1 + index * 211 % longest, index + 7))
      const [, , atFar, atNear] = yield* Effect.all(
        [sendAll(near, up), sendAll(far, down), receive(far, up.length), receive(near, down.length)],
        { concurrency: "unbounded" }
      )
      assertMessages(atFar, up)
      assertMessages(atNear, down)
    })),
  makeCase("what is sent between cork and uncork arrives, in order", ({ far, near }) =>
    Effect.gen(function*() {
      near.cork?.()
      for (const length of [1, 2, 3]) send(near, bytes(length))
      near.uncork?.()
      send(near, "end")
      assertMessages(yield* receive(far, 4), [bytes(1), bytes(2), bytes(3), "end"])
    })),
  makeCase("a reader that is interrupted while it waits loses nothing", ({ far, near }) =>
    Effect.gen(function*() {
      yield* Fiber.interrupt(yield* waiting(far))
      send(near, "first")
      assertMessages(yield* receive(far, 1), ["first"])
    })),
  makeCase(
    "readers that are interrupted while messages arrive lose nothing",
    ({ far, near }) =>
      Effect.gen(function*() {
        const messages = Array.from({ length: 100 }, (_, index) => `${index}`)
        const received: Array<Uint8Array | string> = []
        for (const [index, message] of messages.entries()) {
          const reader = yield* Effect.forkChild(far.pull)
          if (index % 2 === 0) yield* turn
          send(near, message)
          for (let turns = index % 4; turns > 0; turns--) yield* turn
          yield* Fiber.interrupt(reader)
          const exit = reader.pollUnsafe()
          if (exit?._tag === "Success") received.push(...exit.value)
        }
        received.push(...(yield* receive(far, messages.length - received.length)))
        assertMessages(received, messages)
      })
  ),
  makeCase(
    "a reader that stops makes the link full, and one that goes on gives it room",
    ({ far, near }) =>
      Effect.gen(function*() {
        assert.isFalse(near.isFull(), "a new link is full")
        const messages: Array<Message> = []
        let size = 0
        while (size < mostBetween) {
          // What waits in the link moves on while there is room behind it.
          for (let turns = 0; near.isFull() && turns < 50; turns++) yield* turn
          if (near.isFull()) break
          const message = bytes(16_384, messages.length)
          send(near, message)
          messages.push(message)
          size += message.length
        }
        assert.isTrue(near.isFull(), `not full with ${size} bytes that nobody reads`)
        const [, received] = yield* Effect.all([
          within("there is room", untilRoom(near)),
          receive(far, messages.length)
        ], { concurrency: "unbounded" })
        assertMessages(received, messages)
      })
  ),
  makeCase("16 MiB arrive at a slow reader, and the sender waits for it", ({ far, near }) =>
    Effect.gen(function*() {
      const messages = Array.from({ length: 1024 }, (_, index) => bytes(16_384, index))
      const received: Array<Uint8Array | string> = []
      const slow = Effect.gen(function*() {
        while (received.length < messages.length) {
          received.push(...(yield* far.pull))
          yield* turn
        }
      })
      yield* Effect.all([sendAll(near, messages), within("everything arrives", slow)], { concurrency: "unbounded" })
      assertMessages(received, messages)
    })),
  makeCase(
    "bytes whose memory is used again once the link says that it is empty arrive as they were",
    ({ far, near }) =>
      Effect.gen(function*() {
        const messages = Array.from({ length: 50 }, (_, index) => bytes(20_000, index))
        const sending = Effect.gen(function*() {
          for (const message of messages) {
            if (near.isFull()) yield* untilRoom(near)
            const reused = message.slice()
            send(near, reused)
            if (near.isEmpty?.() === true) reused.fill(0xff)
          }
        })
        const [, received] = yield* Effect.all([
          within("everything is sent", sending),
          receive(far, messages.length)
        ], { concurrency: "unbounded" })
        assertMessages(received, messages)
      })
  )
]
