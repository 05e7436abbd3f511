/**
 * What the types of streaming endpoints promise. Checked by the type checker alone: each `@ts-expect-error` must be one.
 */
import * as StreamingClient from "effect-swaggersocket/StreamingClient"
import * as StreamingEndpoint from "effect-swaggersocket/StreamingEndpoint"
import * as StreamingServer from "effect-swaggersocket/StreamingServer"
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Client } from "./bindings.ts"
import { type Gone, type Reading, Weather, type Wordy } from "./weather.ts"

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
const same = <A, B>(_: Equal<A, B>): void => {}

interface Tiny {
  readonly celsius: number
}

type Element<S> = S extends Stream.Stream<infer A, infer _E, infer _R> ? A : never
type Failure<S> = S extends Stream.Stream<infer _A, infer E, infer _R> ? E : never

// --- clients ---------------------------------------------------------------------------------------------------------

export const calls = Effect.fnUntraced(function*({ sensors }: Client) {
  // The view that was asked for is the type of what comes.
  const whole = yield* sensors.watch({ query: {} })
  same<Element<typeof whole>, Reading>(true)
  const named = yield* sensors.watch({ query: { view: "default" } })
  same<Element<typeof named>, Reading>(true)
  const tiny = yield* sensors.watch({ query: { view: "tiny" } })
  same<Element<typeof tiny>, Tiny>(true)
  // @ts-expect-error there is no such view
  yield* sensors.watch({ query: { view: "huge" } })

  const payload = Stream.make({ celsius: 1, at: "noon" })
  const warmest = yield* sensors.warmest({ query: { view: "tiny" }, payload })
  same<typeof warmest, Tiny>(true)
  const averaging = sensors.average({ payload })
  same<Effect.Success<typeof averaging>, number>(true)
  const recorded = yield* sensors.record({ params: { id: 1 }, payload })
  same<typeof recorded, void>(true)
  const converted = yield* sensors.convert({ payload })
  same<Element<typeof converted>, number>(true)

  // What was declared may come before the stream and in its middle.
  const converting = sensors.convert({ payload })
  same<Extract<Effect.Error<typeof converting>, Gone | Wordy>, Gone | Wordy>(true)
  same<Extract<Failure<typeof converted>, Gone | Wordy>, Gone | Wordy>(true)
  const unknownView: StreamingEndpoint.UnknownView extends Effect.Error<ReturnType<typeof sensors.watch>> ? true
    : false = true
  same<typeof unknownView, true>(true)

  // @ts-expect-error a message is not of the payload's type
  yield* sensors.convert({ payload: Stream.make({ celsius: "warm", at: "noon" }) })
  // @ts-expect-error one message is no stream
  yield* sensors.convert({ payload: { celsius: 1, at: "noon" } })
  // @ts-expect-error there is no payload
  yield* sensors.average({})
  // @ts-expect-error the parameter is missing
  yield* sensors.record({ payload })
})

// --- handlers --------------------------------------------------------------------------------------------------------

// @ts-expect-error handlers give the result whole, whatever the view
HttpApiBuilder.handler(Weather, "sensors", "watch", () => Effect.succeed(Stream.make({ celsius: 1 })))
// @ts-expect-error the result is a number
HttpApiBuilder.handler(Weather, "sensors", "average", () => Effect.succeed("warm"))
// @ts-expect-error the endpoint does not declare this error
HttpApiBuilder.handler(Weather, "sensors", "average", () => Effect.fail("broken"))
// @ts-expect-error nor for its stream
HttpApiBuilder.handler(Weather, "sensors", "convert", () => Effect.succeed(Stream.fail("broken")))
HttpApiBuilder.handler(Weather, "sensors", "convert", ({ payload }) => {
  same<Element<typeof payload>, Reading>(true)
  same<Failure<typeof payload>, StreamingEndpoint.BadPayload>(true)
  return Effect.succeed(Stream.map(payload, ({ celsius }) => celsius))
})

// --- declarations ----------------------------------------------------------------------------------------------------

const Whole = Schema.Struct({ celsius: Schema.Number, at: Schema.String })

StreamingEndpoint.get("a", "/a", {
  streamingResult: Whole,
  views: { tiny: Schema.Struct({ celsius: Schema.Number }), none: Schema.Struct({}) }
})
StreamingEndpoint.get("a", "/a", {
  streamingResult: Whole,
  // @ts-expect-error a view has only what the result has
  views: { more: Schema.Struct({ fahrenheit: Schema.Number }) }
})
StreamingEndpoint.get("a", "/a", {
  streamingPayload: Whole,
  result: Whole,
  // @ts-expect-error of the same types
  views: { other: Schema.Struct({ celsius: Schema.String }) }
})

// --- methods ---------------------------------------------------------------------------------------------------------

class Posting extends HttpApi.make("Posting").add(
  HttpApiGroup.make("posts").add(
    StreamingEndpoint.make("POST")("upload", "/upload", { streamingPayload: Schema.String })
  ),
  HttpApiGroup.make("gets").add(StreamingEndpoint.get("watch", "/watch", { streamingResult: Schema.String }))
) {}

export const layers = () => [
  StreamingServer.layer(Posting, "gets"),
  // @ts-expect-error a WebSocket needs GET
  StreamingServer.layer(Posting, "posts"),
  // @ts-expect-error no such group
  StreamingServer.layer(Posting, "others"),
  StreamingServer.layer(Weather, "sensors", { endpoints: { watch: { pingInterval: "1 second" } } }),
  // @ts-expect-error no such endpoint
  StreamingServer.layer(Weather, "sensors", { endpoints: { wotch: { pingInterval: "1 second" } } }),
  // @ts-expect-error not a streaming endpoint
  StreamingServer.layer(Weather, "sensors", { endpoints: { version: { pingInterval: "1 second" } } })
]

export const clients = () => [
  StreamingClient.make(Posting),
  // @ts-expect-error a WebSocket needs GET
  StreamingClient.makeWebSocket(Posting, { baseUrl: "http://localhost" }),
  StreamingClient.makeWebSocket(Weather, { baseUrl: "http://localhost", endpoints: { watch: { sendBuffer: 1 } } }),
  // @ts-expect-error not a streaming endpoint
  StreamingClient.makeWebSocket(Weather, { baseUrl: "http://localhost", endpoints: { version: { sendBuffer: 1 } } })
]
