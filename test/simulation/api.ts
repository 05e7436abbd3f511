/**
 * The API that both ends of a simulation serve: its handlers do what the plan says, and log it.
 */
import type * as Connection from "effect-swaggersocket/Connection"
import * as Relay from "effect-swaggersocket/Relay"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Stream from "effect/Stream"
import { bytesOf, isPart } from "./bytes.ts"
import type { Loads } from "./loads.ts"
import { type CallLog, type Execution, nothingRead, type Read } from "./log.ts"
import type { Body, Call, Reading, Upgrade } from "./plan.ts"
import { Planned } from "./planned.ts"
import type { Process } from "./process.ts"
import { useSocket } from "./upgrade.ts"

/** Request and response of a call have bytes of their own. */
export const requestOf = (call: number): number => 2 * call
export const responseOf = (call: number): number => 2 * call + 1

/** The number of the call that a request belongs to. */
export const idOf = (target: string): number => Number(target.slice(target.lastIndexOf("/") + 1))

/** A body in its pieces. */
const streamOf = (number: number, body: Body): Stream.Stream<Uint8Array, Planned> => {
  const { failsAt = Infinity, pause, piece, size } = body
  const next = (at: number): Effect.Effect<readonly [Uint8Array, number] | undefined, Planned> =>
    Effect.suspend(() => {
      if (at >= failsAt) return Effect.fail(new Planned("the body fails"))
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
  readonly loads: Loads
  /** The program that serves it. */
  readonly process: Process
  readonly name: string
  /** That of a server to one of its clients, to which it passes calls on. */
  readonly connectionOf: ((client: number) => Effect.Effect<Connection.Connection, Planned>) | undefined
}

/** Upgrades a request, if it asks for that on the wire. */
const answerUpgrade = (
  request: HttpServerRequest.HttpServerRequest,
  id: number,
  call: Call,
  upgrade: Upgrade,
  execution: Execution,
  { loads, name, note, process }: ApiOptions
) =>
  Effect.matchEffect(loads.during(process, request.upgrade), {
    onFailure: () => Effect.succeed(HttpServerResponse.empty({ status: 426 })),
    onSuccess: (socket) => {
      const use = {
        upgrade,
        role: "handler",
        written: call.response,
        writtenNumber: responseOf(id),
        readNumber: requestOf(id),
        reading: call.handling.reading,
        read: execution.request,
        process
      } as const
      const used = useSocket(socket, use, () => {
        execution.isUpgraded = true
        note(`${name} upgrades call ${id}`)
      })
      // The caller may have given it up before.
      return Effect.as(Effect.catchTag(used, "SocketError", () => Effect.void), HttpServerResponse.empty())
    }
  })

/** Passes a call on, as a route of a router does. */
const passOn = (connection: Effect.Effect<Connection.Connection, Planned>) =>
  Effect.interruptible(Effect.matchEffect(connection, {
    onFailure: () => Effect.succeed(HttpServerResponse.empty({ status: 503 })),
    onSuccess: (connection) => Relay.to(connection)
  }))

/** The app of a program. */
export const makeApi = (options: ApiOptions) => {
  const { calls, connectionOf, logs, name, note, process } = options
  return Effect.suspend(() =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
      const id = idOf(request.url)
      const call = calls[id]!
      if (call.to !== undefined && connectionOf !== undefined) return passOn(connectionOf(call.to))
      const execution: Execution = { program: process, request: nothingRead(), isUpgraded: false, end: undefined }
      logs[id]!.executions.push(execution)
      note(`${name} begins call ${id}`)
      const { delay, ends, isInterruptible, reading } = call.handling
      const handled = Effect.gen(function*() {
        if (call.upgrade === undefined) {
          yield* readBody(requestOf(id), request.stream, reading, execution.request, process)
        }
        if (delay > 0) yield* Effect.sleep(delay)
        if (ends === "hangs") yield* Deferred.await(process.released)
        if (ends === "fails") return yield* Effect.fail(new Planned("the handler fails"))
        if (ends === "dies") return yield* Effect.die(new Planned("the handler dies"))
        if (call.upgrade !== undefined) return yield* answerUpgrade(request, id, call, call.upgrade, execution, options)
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
}
