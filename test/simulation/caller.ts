/**
 * The calls of a simulation, as their callers make and see them.
 */
import { outcomeOf } from "effect-swaggersocket/SwaggerSocketError"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import { httpBodyOf, readBody, requestOf, responseOf } from "./api.ts"
import { type CallLog, type Ending, nothingRead } from "./log.ts"
import type { Call } from "./plan.ts"
import type { Process } from "./process.ts"

/** Makes call `id`; its log says how it has ended. */
export const makeCall = <E>(
  id: number,
  call: Call,
  log: CallLog,
  process: Process,
  client: Effect.Effect<HttpClient.HttpClient, E>,
  note: (text: string) => void
): Effect.Effect<void> => {
  const response = nothingRead()
  let status: number | undefined = undefined
  const end = (ending: Pick<Ending, "failure" | "outcome" | "isGivenUp">) => {
    log.endings.push({ status, response, ...ending })
    const how = ending.failure ?? (ending.isGivenUp ? "is given up" : "whole")
    note(`call ${id} ends: ${status ?? "no response"}, ${response.bytes} bytes, ${ending.outcome ?? ""} ${how}`)
  }
  const request = HttpClientRequest.make(call.method)(`/call/${id}`, {
    body: httpBodyOf(requestOf(id), call.request)
  })
  const made = Effect.gen(function*() {
    log.caller = process
    note(`call ${id} begins`)
    const answer = yield* (yield* client).execute(request)
    status = answer.status
    const isWhole = yield* readBody(responseOf(id), answer.stream, call.reading, response, process)
    end({ failure: undefined, outcome: undefined, isGivenUp: !isWhole })
  })
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
