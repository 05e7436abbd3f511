/**
 * The chatter service: its endpoints, what they carry, and what may go wrong. Clients and servers share this file.
 */
import * as StreamingEndpoint from "effect-swaggersocket/StreamingEndpoint"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import { TokenExpired } from "./errors.ts"
import { Jwt, Login, Scopes } from "./security.ts"

/** A message that somebody sent. */
export const ChatSummary = Schema.Struct({
  message: Schema.String.annotate({ description: "Message sent to the server" }),
  length: Schema.optionalKey(Schema.Int.annotate({ description: "Length of the message sent, in bytes of UTF-8" })),
  sent_at: Schema.String.annotate({ description: "Time at which the message was sent", format: "date-time" })
}).annotate({ identifier: "ChatSummary" })
export type ChatSummary = typeof ChatSummary.Type

/** As little of a message as there can be. */
const TinySummary = Schema.Struct({ message: Schema.String }).annotate({ identifier: "ChatSummaryTiny" })

/** Something happened to the messages. */
export const Event = Schema.Struct({
  message: Schema.String.annotate({ description: "Message sent to the server" }),
  action: Schema.Literals(["added"]),
  added_at: Schema.String.annotate({ description: "Time at which the message was added", format: "date-time" })
}).annotate({ identifier: "Event" })
export type Event = typeof Event.Type

/** In the middle of a stream; what may go wrong before is told by the middleware. */
const error = TokenExpired

/** What reads or writes streams: the token must carry the scope. */
const streams = HttpApiGroup.make("chatter")
  .add(
    StreamingEndpoint.get("echoer", "/echoer", {
      streamingPayload: Schema.String,
      streamingResult: Schema.String,
      error
    }).annotate(OpenApi.Description, "Echoes the message sent by the client.").annotate(Scopes, ["stream:write"]),
    StreamingEndpoint.get("listener", "/listener", {
      streamingPayload: Schema.String,
      error
    }).annotate(OpenApi.Description, "Listens to the messages sent by the client.").annotate(Scopes, ["stream:write"]),
    StreamingEndpoint.get("summary", "/summary", {
      streamingPayload: Schema.String,
      result: Schema.Array(ChatSummary),
      error
    }).annotate(OpenApi.Description, "Summarizes the chat messages sent by the client.").annotate(Scopes, [
      "stream:write"
    ]),
    StreamingEndpoint.get("subscribe", "/subscribe", {
      streamingResult: Event,
      error
    }).annotate(OpenApi.Description, "Subscribe to events sent when new chat messages are added.")
      .annotate(Scopes, ["stream:write"]),
    StreamingEndpoint.get("history", "/history", {
      streamingResult: ChatSummary,
      views: { tiny: TinySummary },
      error
    }).annotate(OpenApi.Description, "Returns the chat messages sent to the server.").annotate(Scopes, ["stream:read"])
  )
  .middleware(Jwt)

export class Chatter extends HttpApi.make("chatter").add(
  streams.add(
    HttpApiEndpoint.post("login", "/login", { success: Schema.String })
      .annotate(OpenApi.Description, "Creates a valid JWT token for auth to chat.")
      .middleware(Login)
  )
).annotate(OpenApi.Title, "Chatter service describing the streaming features of effect-swaggersocket.") {}
