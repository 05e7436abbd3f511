/**
 * What both ends of the connection of a page use: bytes, and WebSockets inside the connection.
 */
import * as Effect from "effect/Effect"
import type * as Socket from "effect/socket/Socket"

/** Sends messages back. */
export const echo = (socket: Socket.Socket) =>
  Effect.scoped(Effect.gen(function*() {
    const writer = yield* socket.writer
    const { pull } = yield* socket.reader
    yield* Effect.forever(Effect.flatMap(pull, writer.writeAll))
  })).pipe(Effect.catchReason("SocketError", "SocketCloseError", () => Effect.void))

const count = 20

/** What has to come back. */
export const expected = Array.from({ length: count }, (_, n) => `message ${n}`)

/** Sends messages, cuts the link among them, and answers with what comes back. */
export const talk = <E, R>(socket: Socket.Socket, cut: Effect.Effect<unknown, E, R>) =>
  Effect.scoped(Effect.gen(function*() {
    const writer = yield* socket.writer
    const { pull } = yield* socket.reader
    const echoed: Array<unknown> = []
    for (const [n, message] of expected.entries()) {
      if (n === count / 2) yield* Effect.forkScoped(cut)
      yield* writer.write(message)
    }
    while (echoed.length < count) echoed.push(...yield* pull)
    return echoed
  }))

/** Bytes that don't repeat soon. */
export const patternOf = (size: number): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(size)
  for (let at = 0; at < size; at++) bytes[at] = (at * 31) >>> 7
  return bytes
}
