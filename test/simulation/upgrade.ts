/**
 * Upgrades of a simulation: what each end does with its socket, as the plan says, and what it sees.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Socket from "effect/socket/Socket"
import { bytesOf, isPart } from "./bytes.ts"
import type { Read } from "./log.ts"
import type { Body, Reading, Upgrade } from "./plan.ts"
import { Planned } from "./planned.ts"
import type { Process } from "./process.ts"

/** With which code an end closes its WebSocket when it has sent everything. */
const closeCodes = { caller: 4001, handler: 4002 } as const

/** With which one it breaks off. */
const brokenOff = 4009

/** An end of an upgrade. */
export interface SocketUse {
  readonly upgrade: Upgrade
  readonly role: "caller" | "handler"
  /** What it sends, with the number of its bytes. */
  readonly written: Body
  readonly writtenNumber: number
  readonly readNumber: number
  readonly reading: Reading
  readonly read: Read
  readonly process: Process
}

type Pull = Socket.Reader["pull"]

/** Notes an end of what was read. */
const noteEnd = ({ read, role, upgrade: { protocol } }: SocketUse, { reason }: Socket.SocketError): void => {
  const code = reason._tag === "SocketCloseError" ? reason.code : undefined
  const isWebSocket = protocol === "websocket"
  if (code === 1000 || (isWebSocket && code === closeCodes[role === "caller" ? "handler" : "caller"])) {
    read.isWhole = true
  } else if (!isWebSocket || code !== closeCodes[role]) {
    read.isLost = true
  }
}

/** Reads to the end. */
const readAll = (use: SocketUse, pull: Pull): Effect.Effect<void> => {
  const { process, read, readNumber, reading: { pause, stopsAt = Infinity } } = use
  const mayRead = Effect.suspend(() => read.bytes < stopsAt ? Effect.void : Deferred.await(process.released))
  const next = Effect.flatMap(Effect.andThen(mayRead, pull), (pieces) =>
    Effect.suspend(() => {
      for (const piece of pieces) {
        if (typeof piece === "string" || !isPart(readNumber, read.bytes, piece)) read.isWrong = true
        read.bytes += piece.length
      }
      return pause === 0 || process.isReleased ? Effect.void : Effect.sleep(pause)
    }))
  return Effect.catch(Effect.forever(next), (end) =>
    Effect.suspend(() => {
      noteEnd(use, end)
      // An end that sends on behind it, or breaks off, may end its own direction meanwhile.
      const isAlone = !use.upgrade[use.role].answers && use.written.failsAt === undefined
      return isAlone ? readAgain(pull, end, read) : Effect.void
    }))
}

/** The end stays what it was. */
const readAgain = (pull: Pull, end: Socket.SocketError, read: Read): Effect.Effect<void> =>
  Effect.match(pull, {
    onFailure: ({ message }) => {
      if (message !== end.message) read.isWrong = true
    },
    onSuccess: () => {
      read.isWrong = true
    }
  })

/** Breaks off, as the plan says. */
const breakOff = (
  { role, upgrade }: SocketUse,
  writer: Socket.Writer
): Effect.Effect<void, Planned | Socket.SocketError> => {
  const failure = new Planned(`the ${role} breaks off`)
  switch (upgrade[role].breaks) {
    case "fails":
      return Effect.fail(failure)
    case "dies":
      return Effect.die(failure)
    case "closes":
      return writer.write(new Socket.CloseEvent(brokenOff))
  }
}

/** Sends everything. A peer that reads no more does not fail this end, which may read on. */
const writeAll = (use: SocketUse, writer: Socket.Writer): Effect.Effect<void, Planned> => {
  const { role, upgrade: { protocol }, written: { failsAt = Infinity, pause, piece, size }, writtenNumber } = use
  const next = (at: number): Effect.Effect<void, Planned | Socket.SocketError> => {
    if (at >= failsAt) return breakOff(use, writer)
    if (at >= size) return protocol === "bytes" ? Effect.void : writer.write(new Socket.CloseEvent(closeCodes[role]))
    const end = Math.min(at + piece, size)
    const write = Effect.suspend(() => writer.write(bytesOf(writtenNumber, at, end)))
    const written = pause === 0 ? write : Effect.andThen(Effect.sleep(pause), write)
    return Effect.flatMap(written, () => next(end))
  }
  return Effect.catchTag(Effect.suspend(() => next(0)), "SocketError", () => Effect.void)
}

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** Uses a socket to its end. `restore`: what is done once it is open; `onOpen` is told of that. */
export const useSocket = (
  socket: Socket.Socket,
  use: SocketUse,
  onOpen: () => void,
  restore: Restore = (effect) => effect
): Effect.Effect<void, Planned | Socket.SocketError> => {
  const { answers, leaves } = use.upgrade[use.role]
  return Effect.scoped(Effect.flatMap(socket.reader, ({ pull }) => {
    onOpen()
    return restore(Effect.gen(function*() {
      const ended = Deferred.makeUnsafe<void>()
      const reading = yield* Effect.forkScoped(Effect.ensuring(readAll(use, pull), Deferred.succeed(ended, undefined)))
      if (answers) yield* Deferred.await(ended)
      yield* Effect.scoped(Effect.flatMap(socket.writer, (writer) => writeAll(use, writer)))
      if (!leaves) yield* Fiber.join(reading)
    }))
  }))
}
