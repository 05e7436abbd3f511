/**
 * The tour: a hub and two devices on this machine, calls both ways, a stream, and a cable that is cut.
 *
 *     npm start
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Connection from "effect-swaggersocket/Connection"
import type { ConnectionEvent, Statistics } from "effect-swaggersocket/ConnectionEvent"
import * as Heartbeat from "effect-swaggersocket/Heartbeat"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiClient from "effect/http-api/HttpApiClient"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Net from "node:net"

// --- the two APIs -----------------------------------------------------------------------------------------------------

const Celsius = Schema.Struct({ celsius: Schema.Number })

class DeviceApi extends HttpApi.make("DeviceApi").add(
  HttpApiGroup.make("sensor").add(
    HttpApiEndpoint.get("read", "/temperature", { success: Celsius }),
    HttpApiEndpoint.get("recording", "/recording", { success: HttpApiSchema.StreamUint8Array() }),
    HttpApiEndpoint.post("calibrate", "/calibration", { success: HttpApiSchema.NoContent })
  )
) {}

class HubApi extends HttpApi.make("HubApi").add(
  HttpApiGroup.make("targets").add(HttpApiEndpoint.get("mine", "/target", { success: Celsius }))
) {}

// --- the hub: accepts devices on /socket, serves its API to them ------------------------------------------------------

const DeviceInfo = Schema.Struct({ name: Schema.String })
type DeviceInfo = typeof DeviceInfo.Type

class Devices extends SwaggerSocketServer.Service<Devices>()("Devices", { metadata: DeviceInfo }) {}

const targets: Record<string, number> = { kitchen: 21, garage: 12 }

const HubApiLive = HttpApiBuilder.layer(HubApi).pipe(
  Layer.provide(
    HttpApiBuilder.group(
      HubApi,
      "targets",
      (handlers) =>
        handlers.handle(
          "mine",
          () =>
            Effect.map(
              Connection.current,
              ({ metadata }) => ({ celsius: targets[(metadata as DeviceInfo).name] ?? 18 })
            )
        )
    )
  )
)

const quiet = { disableLogger: true, disableListenLog: true }

const heartbeat = Heartbeat.layer({ interval: "1 second", timeout: "500 millis" })

const Hub = HttpRouter.serve(HubApiLive, quiet).pipe(
  Layer.provide(ApiServer.layerServer(Devices)),
  Layer.provideMerge(HttpRouter.serve(Devices.layer({ path: "/socket" }), quiet)),
  Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" })),
  Layer.provide(heartbeat)
)

// --- a device: dials the hub, serves its API on that socket, calls the hub's ------------------------------------------

const MiB = 1024 * 1024
const recordingSize = 96 * MiB
const recording = Stream.range(1, recordingSize / 65_536).pipe(Stream.map(() => new Uint8Array(65_536)))

const reconnection = Reconnection.layer({ schedule: Reconnection.fullJitter({ base: "200 millis", cap: "1 second" }) })

const device = (name: string, celsius: number, url: string) => {
  const SensorLive = HttpApiBuilder.group(DeviceApi, "sensor", (handlers) =>
    handlers.handleAll({
      read: () => Effect.succeed({ celsius }),
      recording: () => Effect.succeed(recording),
      calibrate: () => Effect.sleep("3 seconds")
    }))
  return Layer.merge(
    HttpRouter.serve(HttpApiBuilder.layer(DeviceApi).pipe(Layer.provide(SensorLive)), quiet).pipe(
      Layer.provide([ApiServer.layer, NodeHttpServer.layerHttpServices])
    ),
    ApiClient.layer
  ).pipe(
    Layer.provideMerge(SwaggerSocketClient.layer({ url, schema: DeviceInfo, metadata: { name } })),
    Layer.provide([NodeSwaggerSocket.layerWebSocketConstructor, heartbeat, reconnection])
  )
}

// --- a cable that can be cut: TCP, forwarded --------------------------------------------------------------------------

const listen = (server: Net.Server, port: number) =>
  Effect.callback<number>((resume) => {
    server.listen(port, "127.0.0.1", () => resume(Effect.succeed((server.address() as Net.AddressInfo).port)))
  })

const makeCable = Effect.fnUntraced(function*(hubPort: number) {
  const ends = new Set<Net.Socket>()
  const server = Net.createServer({ noDelay: true }, (near) => {
    const far = Net.connect({ port: hubPort, host: "127.0.0.1", noDelay: true })
    for (const [from, to] of [[near, far], [far, near]] as const) {
      ends.add(from.on("error", () => to.destroy()).on("close", () => to.destroy()))
      from.pipe(to)
    }
  })
  const cut = Effect.sync(() => {
    server.close()
    for (const end of ends) end.resetAndDestroy()
    ends.clear()
  })
  const close = Effect.callback<void>((resume) => {
    server.close(() => resume(Effect.void))
  })
  // Those who hang on it say goodbye first.
  const port = yield* Effect.acquireRelease(listen(server, 0), () => Effect.timeoutOption(close, "1 second"))
  return { port, cut, mend: listen(server, port) }
})

// --- what is printed --------------------------------------------------------------------------------------------------

const say = (text: string) => Effect.sync(() => console.log(`\n${text}\n`))

const line = (who: string, what: string, result: string, note = "") =>
  Effect.sync(() => console.log(`  ${who.padEnd(15)}  ${what.padEnd(19)}  ${result.padEnd(22)}  ${note}`.trimEnd()))

const millis = (duration: Duration.Duration) => `${Duration.toMillis(duration).toFixed(1)} ms`

/** Makes a call and tells how it went. */
const call = <A, E, R>(who: string, what: string, effect: Effect.Effect<A, E, R>, show: (value: A) => string) =>
  Effect.flatMap(Effect.timed(effect), ([duration, value]) => line(who, what, show(value), millis(duration)))

const showCelsius = ({ celsius }: typeof Celsius.Type) => `${celsius} °C`

const size = (bytes: number) => bytes < MiB ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / MiB).toFixed(1)} MiB`

/** A bar that is redrawn on a terminal; elsewhere a line for each quarter. */
const progress = (before: number, after: number) => {
  const steps = process.stdout.isTTY ? 40 : 4
  const done = Math.floor((after / recordingSize) * steps)
  if (done === Math.floor((before / recordingSize) * steps)) return
  process.stdout.write(
    process.stdout.isTTY
      ? `\r  ${"#".repeat(done).padEnd(steps, ".")}  ${size(after)}${done === steps ? "\n" : ""}`
      : `  ${String(done * 25).padStart(3)} %  ${size(after)}\n`
  )
}

// --- the tour ---------------------------------------------------------------------------------------------------------

const program = Effect.gen(function*() {
  const devices = yield* Devices
  const { address } = yield* HttpServer.HttpServer
  const hubPort = NetAddress.isUnixPathAddress(address) ? 0 : address.port
  const cable = yield* makeCable(hubPort)

  const ended: Array<Statistics> = []
  let resumptions = 0
  const onEvent = (event: ConnectionEvent<DeviceInfo>) => {
    switch (event._tag) {
      case "ConnectionReceived":
        return line("event", event.metadata.name, "connected")
      case "ConnectionInterrupted":
        return line("event", event.metadata.name, "interrupted")
      case "ConnectionResumed":
        resumptions++
        return line("event", event.metadata.name, `resumed after ${millis(Duration.millis(event.gapMillis))}`)
      case "ConnectionClosed":
      case "ConnectionFailure":
        ended.push(event.statistics)
        return line("event", event.metadata.name, "lost")
      default:
        return Effect.void
    }
  }
  yield* Effect.forkScoped(Stream.runForEach(devices.events, onEvent))

  yield* say(`A hub listens on port ${hubPort}. Two devices dial it; no one could dial them.`)
  const kitchen = yield* Layer.build(device("kitchen", 19.5, `ws://127.0.0.1:${cable.port}/socket`))
  yield* Layer.build(device("garage", 8.2, `ws://127.0.0.1:${hubPort}/socket`))
  const dialler = Context.get(kitchen, SwaggerSocketClient.SwaggerSocketClient)
  const inVain = Stream.filter(dialler.events, ({ _tag }) => _tag === "ConnectionAttemptFailed")
  yield* Effect.forkScoped(Stream.runForEach(inVain, () => line("event", "kitchen", "dials in vain")))
  const api = Effect.fnUntraced(function*(name: string) {
    const connection = yield* devices.awaitConnection(({ metadata }) => metadata.name === name)
    return yield* HttpApiClient.group(DeviceApi, { group: "sensor", httpClient: ApiClient.make(connection) })
  })
  const hub = yield* Effect.provide(HttpApiClient.make(HubApi), kitchen)
  const sensors = { kitchen: yield* api("kitchen"), garage: yield* api("garage") }
  yield* Effect.sleep("300 millis")

  yield* say("The hub calls their APIs, each on the socket that the device has dialled:")
  yield* call("hub → kitchen", "GET /temperature", sensors.kitchen.read(), showCelsius)
  yield* call("hub → garage", "GET /temperature", sensors.garage.read(), showCelsius)
  yield* Effect.sleep("300 millis")

  yield* say("The same socket carries calls the other way, and the hub knows who is calling:")
  yield* call("kitchen → hub", "GET /target", hub.targets.mine(), showCelsius)
  yield* Effect.sleep("300 millis")

  yield* say(`The hub downloads a recording of ${size(recordingSize)} from the garage. Small calls overtake it:`)
  const small = yield* Effect.forkChild(Effect.replicateEffect(Effect.timed(sensors.garage.read()), 50))
  yield* Effect.flatMap(
    sensors.garage.recording(),
    Stream.runFold(() => 0, (received, chunk: Uint8Array) => {
      progress(received, received + chunk.length)
      return received + chunk.length
    })
  )
  const times = (yield* Fiber.join(small)).map(([duration]) => duration).sort(Duration.Order)
  yield* line("hub → garage", "GET /temperature", "50 times meanwhile", `median ${millis(times[25]!)}`)
  yield* Effect.sleep("300 millis")

  yield* say("Now someone cuts the cable of the kitchen, in the middle of a call and of a download:")
  const calibration = yield* Effect.forkChild(
    call("hub → kitchen", "POST /calibration", sensors.kitchen.calibrate(), () => "done")
  )
  yield* line("hub → kitchen", "POST /calibration", "takes 3 seconds …")
  const download = yield* Effect.forkChild(Effect.flatMap(
    sensors.kitchen.recording(),
    Stream.runFold(() => 0, (received, chunk: Uint8Array) => received + chunk.length)
  ))
  yield* line("hub → kitchen", "GET /recording", `sends ${size(recordingSize)} …`)
  yield* Effect.sleep("100 millis")
  yield* cable.cut
  yield* Stream.runHead(Stream.filter(dialler.changes, ({ _tag }) => _tag !== "Connected"))
  const waiting = yield* Effect.forkChild(call("kitchen → hub", "GET /target", hub.targets.mine(), showCelsius))
  yield* line("kitchen → hub", "GET /target", "waits …")
  yield* Effect.sleep("1 second")

  yield* say("The cable is mended. The kitchen dials again, and everything goes on as if nothing had happened:")
  yield* cable.mend
  yield* Fiber.join(waiting)
  yield* line("hub → kitchen", "GET /recording", `${size(yield* Fiber.join(download))} arrived`)
  yield* Fiber.join(calibration)
  yield* Effect.sleep("300 millis")

  const open = yield* devices.connections
  const statistics = [...ended, ...yield* Effect.forEach(open, (connection) => connection.statistics)]
  const sum = (count: (of: Statistics) => number) => statistics.reduce((total, of) => total + count(of), 0)
  yield* say("That was:")
  const [byHub, byDevices] = [sum((of) => of.streamsOpened), sum((of) => of.streamsAccepted)]
  const [received, sent] = [sum((of) => of.bytesReceived), sum((of) => of.bytesSent)]
  yield* line("calls", `${byHub} by the hub`, `${byDevices} by the devices`)
  yield* line("bytes", `${size(received)} to the hub`, `${size(sent)} from it`)
  yield* line("resumed", String(resumptions), "")
  for (const { metadata, roundTrip } of open) yield* line("round trip", metadata.name, millis(yield* roundTrip))
})

program.pipe(Effect.scoped, Effect.provide(Hub), NodeRuntime.runMain)
