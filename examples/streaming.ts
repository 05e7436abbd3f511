/**
 * Bodies that never end: up, down, and both at once, typed as NDJSON and as server-sent events.
 *
 *     npx tsx examples/streaming.ts
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import type * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiClient from "effect/http-api/HttpApiClient"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

const Sample = Schema.Struct({ celsius: Schema.Number })

class Overheated extends Schema.TaggedError<Overheated>()("Overheated", { celsius: Schema.Number }) {}

class Thermometer extends HttpApi.make("Thermometer").add(
  HttpApiGroup.make("samples").add(
    // down: server-sent events; an error of the stream reaches the reader as it is
    HttpApiEndpoint.get("watch", "/samples", { success: HttpApiSchema.StreamSse({ data: Sample, error: Overheated }) }),
    // up: one JSON value a line
    HttpApiEndpoint.post("record", "/samples", {
      payload: HttpApiSchema.StreamNdjson({ schema: Sample }),
      success: Schema.Struct({ count: Schema.Int })
    }),
    // both at once: the answer begins, and goes on, while the question is still being asked
    HttpApiEndpoint.post("convert", "/convert", {
      payload: HttpApiSchema.StreamNdjson({ schema: Sample }),
      success: HttpApiSchema.StreamNdjson({ schema: Schema.Struct({ fahrenheit: Schema.Number }) })
    })
  )
) {}

const SamplesLive = HttpApiBuilder.group(Thermometer, "samples", (handlers) =>
  handlers.handleAll({
    watch: () =>
      Effect.succeed(
        Stream.make({ celsius: 60 }, { celsius: 90 }).pipe(Stream.concat(Stream.fail(new Overheated({ celsius: 120 }))))
      ),
    record: ({ payload }) => Effect.map(Effect.orDie(Stream.runCount(payload)), (count) => ({ count })),
    convert: ({ payload }) => Effect.succeed(Stream.map(payload, ({ celsius }) => ({ fahrenheit: celsius * 1.8 + 32 })))
  }))

const quiet = { disableLogger: true, disableListenLog: true }

const url = HttpServer.addressFormattedWith((http) => Effect.succeed(`${http.replace("http", "ws")}/socket`))

const Device = HttpRouter.serve(HttpApiBuilder.layer(Thermometer).pipe(Layer.provide(SamplesLive)), quiet).pipe(
  Layer.provide(ApiServer.layer),
  Layer.provide(SwaggerSocketClient.layer({ url })),
  Layer.provide([NodeSwaggerSocket.layerWebSocketConstructor, NodeHttpServer.layerHttpServices])
)

class Devices extends SwaggerSocketServer.Service<Devices>()("Devices") {}

const Hub = HttpRouter.serve(Devices.layer({ path: "/socket" }), quiet).pipe(
  Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" }))
)

const program = Effect.gen(function*() {
  const device = yield* (yield* Devices).awaitConnection()
  const { samples } = yield* HttpApiClient.make(Thermometer).pipe(Effect.provide(ApiClient.layerConnection(device)))

  yield* (yield* samples.watch()).pipe(
    Stream.runForEach(({ celsius }) => Console.log(`down  ${celsius} °C`)),
    Effect.catchTag("Overheated", ({ celsius }) => Console.log(`down  overheated at ${celsius} °C`))
  )

  const payload = Stream.range(1, 100_000).pipe(Stream.map((celsius) => ({ celsius })))
  yield* Console.log(`up    ${(yield* samples.record({ payload })).count} samples recorded`)

  // A conversation: each question is asked only when the answer to the one before is there.
  const questions = yield* Queue.unbounded<typeof Sample.Type, Cause.Done>()
  const ask = (celsius: number) =>
    Effect.andThen(Console.log(`both  ${celsius} °C?`), Queue.offer(questions, { celsius }))
  yield* ask(0)
  yield* (yield* samples.convert({ payload: Stream.fromQueue(questions) })).pipe(
    Stream.tap(({ fahrenheit }) => Console.log(`both  … is ${fahrenheit} °F`)),
    Stream.runForEach(({ fahrenheit }) => fahrenheit < 100 ? ask(fahrenheit) : Queue.end(questions))
  )
})

program.pipe(Effect.provide(Layer.provideMerge(Device, Hub)), NodeRuntime.runMain)
