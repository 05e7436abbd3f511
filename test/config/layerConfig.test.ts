/**
 * Layers whose options are read from the configuration of the program.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Heartbeat from "effect-swaggersocket/Heartbeat"
import * as Limits from "effect-swaggersocket/Limits"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"

const Device = Schema.Struct({ name: Schema.String })

class Devices extends SwaggerSocketServer.Service<Devices, string>()("test/Configured", { metadata: Device }) {}

const environment = (values: Record<string, unknown>) =>
  Layer.succeed(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(values))

const Hub = HttpRouter.serve(
  Devices.layer({
    path: "/socket",
    authenticate: ({ headers }) => Effect.succeed(headers.authorization ?? "nobody")
  }),
  { disableLogger: true, disableListenLog: true }
).pipe(
  Layer.provideMerge(NodeSwaggerSocket.layerHttpServerConfig({
    port: Config.Port("PORT").pipe(Config.withDefault(0)),
    host: Config.String("HOST")
  }))
)

const Client = SwaggerSocketClient.layerConfig({
  url: Config.String("HUB_URL"),
  schema: Config.succeed(Device),
  metadata: Config.all({ name: Config.String("DEVICE_NAME") }),
  headers: Config.Redacted("HUB_TOKEN").pipe(
    Config.map((token) => ({ authorization: Redacted.value(token) }))
  ),
  limits: { maxConcurrentStreams: Config.Int("MAX_STREAMS").pipe(Config.withDefault(7)) },
  waitForConnection: Config.Duration("WAIT").pipe(Config.withDefault("10 seconds"))
}).pipe(Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor))

/** What building a layer fails with. */
const failure = (layer: Layer.Layer<never, Config.ConfigError>) =>
  Effect.map(Effect.flip(Effect.scoped(Layer.build(layer))), (error) => {
    assert.strictEqual(error._tag, "ConfigError")
    return error.message
  })

describe("options from the configuration", () => {
  it.live("a hub listens where the environment says, and a device dials whom the environment names", () =>
    Effect.gen(function*() {
      const hub = yield* Layer.build(Hub.pipe(Layer.provide(environment({ HOST: "127.0.0.1" }))))
      const { address } = Context.get(hub, HttpServer.HttpServer)
      const url = `${HttpServer.formatAddress(address).replace("http:", "ws:")}/socket`
      assert.match(url, /^ws:\/\/127\.0\.0\.1:\d+\/socket$/)
      yield* Layer.build(Client.pipe(
        Layer.provide(environment({ HUB_URL: url, DEVICE_NAME: "pump 7", HUB_TOKEN: "secret" }))
      ))
      const device = yield* Context.get(hub, Devices).awaitConnection()
      assert.deepStrictEqual(device.metadata, { name: "pump 7" })
      assert.strictEqual(device.principal, "secret")
    }))

  it.effect("a heartbeat has the interval of the environment, and the hook of the program", () =>
    Effect.gen(function*() {
      let pongs = 0
      yield* Effect.gen(function*() {
        yield* SwaggerSocketTest.makePair()
        yield* TestClock.adjust("25 seconds")
      }).pipe(Effect.provide(
        Heartbeat.layerConfig({
          interval: Config.Duration("PING"),
          onPong: Config.succeed(() => Effect.sync(() => void pongs++))
        }).pipe(Layer.provide(environment({ PING: "10 seconds" })))
      ))
      assert.strictEqual(pongs, 4, "two on each end")
    }))

  it.effect("limits and back-off are those of the environment", () =>
    Effect.gen(function*() {
      const limits = yield* Effect.service(Limits.Limits)
      assert.strictEqual(limits.maxConcurrentStreams, 12)
      assert.strictEqual(Duration.toMillis(limits.resumeWindow), 5000)
      assert.strictEqual(limits.maxHeadSize, Limits.defaults.maxHeadSize)
      const { retry } = yield* Effect.service(Reconnection.Reconnection)
      assert.strictEqual(retry, Reconnection.standard.retry)
    }).pipe(Effect.provide(
      Layer.merge(
        Limits.layerConfig({
          maxConcurrentStreams: Config.Int("STREAMS"),
          resumeWindow: Config.Duration("WINDOW")
        }),
        Reconnection.layerConfig({ cap: Config.Duration("CAP") })
      ).pipe(Layer.provide(environment({ STREAMS: "12", WINDOW: "5 seconds", CAP: "1 second" })))
    )))

  it.effect("values that are missing or unfit are errors of the configuration", () =>
    Effect.gen(function*() {
      const layers: ReadonlyArray<readonly [Layer.Layer<never, Config.ConfigError>, RegExp]> = [
        [Limits.layerConfig({ maxHeadSize: Config.Int("MISSING") }), /MISSING/],
        [Limits.layerConfig({ maxHeadSize: Config.succeed(-1) }), /maxHeadSize must be/],
        [Heartbeat.layerConfig({ interval: Config.succeed(0) }), /interval must be above 0/],
        [Reconnection.layerConfig({ base: Config.Duration("MISSING") }), /MISSING/],
        [
          SwaggerSocketClient.layerConfig({ url: Config.succeed("ftp://hub") }).pipe(
            Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor),
            Layer.flatMap(() => Layer.empty)
          ),
          /ftp/
        ],
        [
          SwaggerSocketClient.layerConfig({
            url: Config.succeed("ws://hub"),
            limits: { maxHeadSize: Config.succeed(-1) }
          }).pipe(
            Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor),
            Layer.flatMap(() => Layer.empty)
          ),
          /maxHeadSize must be/
        ]
      ]
      for (const [layer, message] of layers) assert.match(yield* failure(layer), message)
      const exit = yield* Effect.exit(Layer.build(
        NodeSwaggerSocket.layerHttpServerConfig({ limits: { maxHeadSize: Config.succeed(-1) } })
      ))
      assert.isTrue(Exit.isFailure(exit) && String(exit.cause).includes("ConfigError"))
    }))
})
