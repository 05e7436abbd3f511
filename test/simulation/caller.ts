/**
 * The calls of a simulation, as their callers make and see them.
 */
import { outcomeOf } from "effect-swaggersocket/SwaggerSocketError"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import { fromResponse } from "../../src/internal/http/clientWebSocket.ts"
import { OpenedSocket } from "../../src/internal/http/rawSocket.ts"
import { maxMessageSize } from "../../src/internal/http/webSocketStream.ts"
import { httpBodyOf, readBody, requestOf, responseOf } from "./api.ts"
import type { Loads } from "./loads.ts"
import { type CallLog, type Ending, nothingRead, type Read } from "./log.ts"
import type { Call, Upgrade } from "./plan.ts"
import type { Process } from "./process.ts"
import { useSocket } from "./upgrade.ts"

/** What calls are made with. */
export interface Caller<E> {
  readonly process: Process
  readonly client: Effect.Effect<HttpClient.HttpClient, E>
  readonly loads: Loads
  readonly note: (text: string) => void
}

/** The end of the caller of an upgrade. */
const useUpgrade = <E>(
  id: number,
  call: Call,
  upgrade: Upgrade,
  answer: HttpClientResponse.HttpClientResponse,
  read: Read,
  { loads, process }: Caller<E>,
  restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
) => {
  const use = {
    upgrade,
    role: "caller",
    written: call.request,
    writtenNumber: requestOf(id),
    readNumber: responseOf(id),
    reading: call.reading,
    read,
    process
  } as const
  // As `ApiWebSocket` does it, which does not tell what the answer is.
  const socket = upgrade.protocol === "websocket"
    ? Effect.succeed(new OpenedSocket(() => loads.during(process, fromResponse(answer, maxMessageSize))))
    : loads.during(process, answer.upgrade)
  return Effect.flatMap(socket, (socket) => useSocket(socket, use, () => {}, restore))
}

/** Makes call `id`; its log says how it has ended. */
export const makeCall = <E>(id: number, call: Call, log: CallLog, caller: Caller<E>): Effect.Effect<void> => {
  const { client, note, process } = caller
  const { upgrade } = call
  const response = nothingRead()
  let status: number | undefined = undefined
  const end = (ending: Pick<Ending, "failure" | "outcome" | "isGivenUp">) => {
    log.endings.push({ status, response, ...ending })
    const how = ending.failure ?? (ending.isGivenUp ? "is given up" : "whole")
    note(`call ${id} ends: ${status ?? "no response"}, ${response.bytes} bytes, ${ending.outcome ?? ""} ${how}`)
  }
  const plain = HttpClientRequest.make(call.method)(`/call/${id}`)
  const request = upgrade === undefined
    ? HttpClientRequest.setBody(plain, httpBodyOf(requestOf(id), call.request))
    : HttpClientRequest.upgrade(plain, upgrade.protocol)
  // A response that is here must not be forgotten before it is read: nobody would end its stream.
  const made = Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      log.caller = process
      note(`call ${id} begins`)
      const answer = yield* restore(Effect.flatMap(client, (client) => client.execute(request)))
      status = answer.status
      if (upgrade === undefined || status !== 101) {
        yield* restore(readBody(responseOf(id), answer.stream, call.reading, response, process))
      } else yield* useUpgrade(id, call, upgrade, answer, response, caller, restore)
      end({ failure: undefined, outcome: undefined, isGivenUp: !response.isWhole })
    })
  )
  const patient = call.patience === undefined ? made : Effect.timeoutOrElse(made, {
    duration: call.patience,
    orElse: () => Effect.sync(() => end({ failure: undefined, outcome: undefined, isGivenUp: true }))
  })
  return Effect.catchCause(patient, (cause) =>
    Effect.sync(() => {
      const error = Cause.squash(cause)
      end({ failure: String(error), outcome: outcomeIn(error), isGivenUp: Cause.hasInterruptsOnly(cause) })
    }))
}

/** The outcome that an error tells, or the error that it was made of. */
const outcomeIn = (error: unknown): Ending["outcome"] => {
  for (let cause = error, depth = 0; depth < 5 && cause instanceof Error; depth++) {
    const outcome = outcomeOf(cause)
    if (outcome !== undefined) return outcome
    cause = "reason" in cause ? cause.reason : cause.cause
  }
  return undefined
}
