/**
 * The API that both ends of a simulation serve: its handlers do what the plan says, and log it.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Stream from "effect/Stream"
import { bytesOf, isPart } from "./bytes.ts"
import { type CallLog, type Execution, nothingRead, type Read } from "./log.ts"
import type { Body, Call, Reading } from "./plan.ts"
import type { Process } from "./process.ts"

/** Fails on purpose, as the plan says. */
class Planned extends Error {}

/** What all errors on purpose say. */
export const planned = "as planned"

/** Request and response of a call have bytes of their own. */
export const requestOf = (call: number): number => 2 * call
export const responseOf = (call: number): number => 2 * call + 1

/** A body in its pieces. */
const streamOf = (number: number, body: Body): Stream.Stream<Uint8Array, Planned> => {
  const { failsAt = Infinity, pause, piece, size } = body
  const next = (at: number): Effect.Effect<readonly [Uint8Array, number] | undefined, Planned> =>
    Effect.suspend(() => {
      if (at >= failsAt) return Effect.fail(new Planned(`the body fails ${planned}`))
      if (at >= size) return Effect.succeed(undefined)
      const end = Math.min(at + piece, size)
      const taken = Effect.succeed([bytesOf(number, at, end), end] as const)
      return pause === 0 ? taken : Effect.andThen(Effect.sleep(pause), taken)
    })
  return Stream.unfold(0, next)
}

/** A body with its size, if it comes at once. */
export const httpBodyOf = (number: number, body: Body): HttpBody.HttpBody => {
  if (body.size === 0 && body.failsAt === undefined) return HttpBody.empty
  const isWhole = body.pause === 0 && body.piece >= body.size && body.failsAt === undefined
  return isWhole ? HttpBody.uint8Array(bytesOf(number, 0, body.size)) : HttpBody.stream(streamOf(number, body))
}

/**
 * Reads a body as the plan says, and notes what it sees. Answers whether it has read to the end. A process that is released does
 * not pause any more.
 */
export const readBody = <E, R>(
  number: number,
  stream: Stream.Stream<Uint8Array, E, R>,
  { pause, stopsAt = Infinity }: Reading,
  read: Read,
  process: Process
): Effect.Effect<boolean, E, R> => {
  const take = (piece: Uint8Array) =>
    Effect.suspend(() => {
      if (!isPart(number, read.bytes, piece)) read.isWrong = true
      read.bytes += piece.length
      return pause === 0 || process.isReleased ? Effect.void : Effect.sleep(pause)
    })
  const all = stopsAt === Infinity ? stream : Stream.takeUntil(stream, () => read.bytes >= stopsAt)
  return Effect.map(stopsAt === 0 ? Effect.void : Stream.runForEach(all, take), () => {
    if (read.bytes >= stopsAt) return false
    read.isWhole = true
    return true
  })
}

export interface ApiOptions {
  readonly calls: ReadonlyArray<Call>
  readonly logs: ReadonlyArray<CallLog>
  readonly note: (text: string) => void
  /** The program that serves it. */
  readonly process: Process
  readonly name: string
}

/** The app of a program. */
export const makeApi = ({ calls, logs, name, note, process }: ApiOptions) =>
  Effect.suspend(() =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
      const id = Number(request.url.slice(request.url.lastIndexOf("/") + 1))
      const call = calls[id]!
      const execution: Execution = { program: process, request: nothingRead(), end: undefined }
      logs[id]!.executions.push(execution)
      note(`${name} begins call ${id}`)
      const { delay, ends, isInterruptible, reading } = call.handling
      const handled = Effect.gen(function*() {
        yield* readBody(requestOf(id), request.stream, reading, execution.request, process)
        if (delay > 0) yield* Effect.sleep(delay)
        if (ends === "hangs") yield* Deferred.await(process.released)
        if (ends === "fails") return yield* Effect.fail(new Planned(`the handler fails ${planned}`))
        if (ends === "dies") return yield* Effect.die(new Planned(`the handler dies ${planned}`))
        return HttpServerResponse.raw(null).pipe(
          HttpServerResponse.setBody(httpBodyOf(responseOf(id), call.response))
        )
      })
      return Effect.onExit(isInterruptible ? Effect.interruptible(handled) : handled, (exit) =>
        Effect.sync(() => {
          execution.end = Exit.isSuccess(exit) ? "answered" : Exit.hasInterrupts(exit) ? "interrupted" : "failed"
          note(`${name} ends call ${id}: ${execution.end}`)
        }))
    })
  )
