/**
 * Defects of streams that an endpoint answers with. `effect/http-api` tells the client of them in the body's last event, and
 * nobody else: here they are logged.
 */
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import { failureIn } from "./messages.ts"

/** Of errors their text with the stack, where they have one. */
const describe = (json: unknown): unknown =>
  Predicate.hasProperty(json, "stack") && Predicate.isString(json.stack)
    ? json.stack
    : Predicate.hasProperty(json, "message")
    ? json.message
    : json

/** Logs the defect that the response's stream ends with, if it does. @internal */
export const logDefect = (
  response: HttpServerResponse.HttpServerResponse,
  endpoint: string
): HttpServerResponse.HttpServerResponse => {
  const { body } = response
  if (body._tag !== "Stream") return response
  const logged = Stream.mapArrayEffect(body.stream, (chunks) => {
    const defect = failureIn(chunks[chunks.length - 1]!)?.defect
    return defect === undefined
      ? Effect.succeed(chunks)
      : Effect.as(Effect.logError(`the stream of the endpoint ${endpoint} has died`, describe(defect.json)), chunks)
  })
  return HttpServerResponse.setBody(response, HttpBody.stream(logged, body.contentType, body.contentLength))
}
