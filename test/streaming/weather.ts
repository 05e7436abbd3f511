/**
 * The API of these tests: each kind of streaming endpoint, with handlers that a test replaces.
 */
import * as StreamingEndpoint from "effect-swaggersocket/StreamingEndpoint"
import * as StreamingServer from "effect-swaggersocket/StreamingServer"
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiError from "effect/http-api/HttpApiError"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

export const Reading = Schema.Struct({ celsius: Schema.Number, at: Schema.String })
export type Reading = typeof Reading.Type

const Tiny = Schema.Struct({ celsius: Schema.Number })

export class Gone extends Schema.TaggedError<Gone>()("Gone", { id: Schema.Number }, { httpApiStatus: 410 }) {}

/** An error that may be too long for a close frame. */
export class Wordy extends Schema.TaggedError<Wordy>()("Wordy", { words: Schema.String }, { httpApiStatus: 422 }) {}

const error = [Gone, Wordy] as const

/** Lets in who says "in", knows who says "known". */
export class Guard extends HttpApiMiddleware.Service<Guard>()("test/streaming/Guard", {
  security: { bearer: HttpApiSecurity.bearer },
  error: [HttpApiError.Unauthorized, HttpApiError.Forbidden]
}) {}

export class Weather extends HttpApi.make("Weather").add(
  HttpApiGroup.make("sensors").add(
    StreamingEndpoint.get("watch", "/watch", { streamingResult: Reading, views: { tiny: Tiny }, error }),
    StreamingEndpoint.get("record", "/record/:id", {
      params: { id: Schema.FiniteFromString },
      streamingPayload: Reading,
      error
    }),
    StreamingEndpoint.get("average", "/average", { streamingPayload: Reading, result: Schema.Number, error }),
    StreamingEndpoint.get("warmest", "/warmest", { streamingPayload: Reading, result: Reading, views: { tiny: Tiny } }),
    StreamingEndpoint.get("convert", "/convert", { streamingPayload: Reading, streamingResult: Schema.Number, error }),
    HttpApiEndpoint.get("version", "/version", { success: Schema.String })
  ),
  HttpApiGroup.make("secrets").add(
    StreamingEndpoint.get("tell", "/secrets", { streamingResult: Schema.String }).middleware(Guard)
  )
) {}

export type Failure = Gone | Wordy

type Payload = Stream.Stream<Reading, StreamingEndpoint.BadPayload>

type Handled<A, E = Failure> = Effect.Effect<A, E | StreamingEndpoint.BadPayload, Scope.Scope>

/** What the handlers do. */
export interface Behaviour {
  readonly watch: (view: string) => Effect.Effect<Stream.Stream<Reading, Failure>, Failure, Scope.Scope>
  readonly record: (payload: Payload, id: number) => Handled<void>
  readonly average: (payload: Payload) => Handled<number>
  readonly warmest: (payload: Payload) => Handled<Reading, never>
  readonly convert: (payload: Payload) => Handled<Stream.Stream<number, Failure | StreamingEndpoint.BadPayload>>
}

export const readings = (...celsius: ReadonlyArray<number>): ReadonlyArray<Reading> =>
  celsius.map((celsius, index) => ({ celsius, at: `t${index}` }))

const standard: Behaviour = {
  watch: () => Effect.succeed(Stream.fromIterable(readings(1, 2, 3))),
  record: (payload) => Stream.runDrain(payload),
  average: (payload) =>
    Effect.map(Stream.runCollect(payload), (all) => all.reduce((sum, { celsius }) => sum + celsius, 0) / all.length),
  warmest: (payload) =>
    Stream.runFold(
      payload,
      (): Reading => ({ celsius: Number.NEGATIVE_INFINITY, at: "never" }),
      (warmest, next) => next.celsius > warmest.celsius ? next : warmest
    ),
  convert: (payload) => Effect.succeed(Stream.map(payload, ({ celsius }) => celsius * 9 / 5 + 32))
}

export type ServerOptions = StreamingServer.Options<"watch" | "record" | "average" | "warmest" | "convert">

/** The app; an HTTP server is still to be provided. */
export const serve = (behaviour: Partial<Behaviour> = {}, options: ServerOptions = {}) => {
  const { average, convert, record, warmest, watch } = { ...standard, ...behaviour }
  const Sensors = HttpApiBuilder.group(Weather, "sensors", (handlers) =>
    handlers
      .handle("watch", ({ query }) => watch(query.view ?? "default"))
      .handle("record", ({ params, payload }) => record(payload, params.id))
      .handle("average", ({ payload }) => average(payload))
      .handle("warmest", ({ payload }) => warmest(payload))
      .handle("convert", ({ payload }) => convert(payload))
      .handle("version", () => Effect.succeed("v1"))).pipe(
      Layer.provide(StreamingServer.layer(Weather, "sensors", options))
    )
  const Secrets = HttpApiBuilder.group(
    Weather,
    "secrets",
    (handlers) => handlers.handle("tell", () => Effect.succeed(Stream.make("a secret")))
  ).pipe(
    Layer.provide(StreamingServer.layer(Weather, "secrets")),
    Layer.provide(Layer.succeed(Guard, {
      bearer: (handler, { credential }) => {
        const token = Redacted.value(credential)
        if (token === "in") return handler
        return Effect.fail(token === "known" ? new HttpApiError.Forbidden() : new HttpApiError.Unauthorized())
      }
    }))
  )
  return HttpRouter.serve(HttpApiBuilder.layer(Weather).pipe(Layer.provide([Sensors, Secrets])), {
    disableLogger: true,
    disableListenLog: true
  })
}
