/**
 * Logs defects of the streams that endpoints answer with. `effect/http-api` sends them to the client, in the last event
 * of the body, but does not log them.
 */
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import { failureIn } from "./messages.ts"

/** What a defect is logged as: the stack of an error, else its message, else the defect itself. */
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
