/**
 * What the chatter service does, whichever binding a call came by.
 */
import * as StreamingServer from "effect-swaggersocket/StreamingServer"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { type ChatSummary, Chatter, type Event } from "./api.ts"
import { TokenExpiredError } from "./errors.ts"
import { issueToken, JwtLive, LoginLive, User } from "./security.ts"
import { Store } from "./store.ts"

const toEvent = ({ message, sent_at }: ChatSummary): Event => ({ message, action: "added", added_at: sent_at })

/** Fails when the caller's token expires, and never if it does not. */
const expiry = Effect.gen(function*() {
  const { expiresAt } = yield* User
  if (expiresAt === undefined) return Effect.never
  const left = expiresAt - (yield* Clock.currentTimeMillis)
  return Effect.delay(Effect.fail(new TokenExpiredError()), left)
})

export const ChatterLive = HttpApiBuilder.group(
  Chatter,
  "chatter",
  Effect.fnUntraced(function*(handlers) {
    const store = yield* Store
    return handlers
      .handle("login", () => Effect.tap(issueToken, Effect.logInfo("user 'goa' logged in")))
      .handle(
        "echoer",
        ({ payload }) =>
          Effect.map(expiry, (expired) =>
            payload.pipe(
              Stream.mapEffect((message) => Effect.as(store.add(message), message)),
              Stream.interruptWhen(expired)
            ))
      )
      .handle(
        "listener",
        ({ payload }) =>
          Effect.flatMap(
            expiry,
            (expired) => Effect.raceFirst(Stream.runForEach(payload, (message) => store.add(message)), expired)
          )
      )
      .handle(
        "summary",
        ({ payload }) =>
          Effect.flatMap(expiry, (expired) =>
            Effect.raceFirst(
              Stream.runCollect(Stream.mapEffect(payload, (message) => store.add(message))),
              expired
            ))
      )
      .handle(
        "subscribe",
        () =>
          // Before the call is answered, so that callers miss nothing that is sent from then on.
          Effect.zipWith(store.added, expiry, (added, expired) =>
            added.pipe(Stream.map(toEvent), Stream.interruptWhen(expired)))
      )
      .handle("history", () => Effect.succeed(store.history))
  })
).pipe(
  Layer.provide(StreamingServer.layer(Chatter, "chatter", {
    endpoints: { subscribe: { pingInterval: "3 seconds", pongTimeout: "6 seconds" } }
  })),
  Layer.provide([JwtLive, LoginLive])
)
