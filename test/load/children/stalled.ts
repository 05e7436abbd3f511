/**
 * A hub under attack, which says how long its event loop stood still: `stalled.ts`.
 */
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type { ConnectionEvent } from "effect-swaggersocket/ConnectionEvent"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Stream from "effect/Stream"
import { once } from "node:events"
import type { AddressInfo } from "node:net"
import { WebSocketServer } from "ws"
import { listen } from "../../streaming/bindings.ts"
import { serve } from "../../streaming/weather.ts"
import { MiB } from "../../support/bodies.ts"
import { hear, main, type Message, tell } from "../../support/child.ts"
import { heapBytes } from "../../support/measurements.ts"

export interface Listening extends Message {
  readonly type: "listening"
  readonly urls: Readonly<Record<"v1" | "v2" | "streaming" | "bare", string>>
}

export interface Begin extends Message {
  readonly type: "begin"
  /** Links that the hub will lose, or whose clients will say goodbye: it tells of its stalls once it has noticed. */
  readonly losing?: number
  /** Connections that will end: likewise. */
  readonly ending?: number
}

export interface Stalls extends Message {
  readonly type: "stalls"
  /** The longest time between two turns of the event loop: what the process itself used of it, in milliseconds. */
  readonly longest: number
  /** Bytes above the heap before, without garbage where they are many. */
  readonly heap: number
}

class Hub extends SwaggerSocketServer.Service<Hub>()("Hub") {}

const quiet = { disableLogger: true, disableListenLog: true }
const chunk = new Uint8Array(64 * 1024)

const api = Layer.mergeAll(
  HttpRouter.add("GET", "/ping", HttpServerResponse.text("pong")),
  HttpRouter.add("GET", "/never", Effect.never),
  HttpRouter.add("GET", "/endless", HttpServerResponse.stream(Stream.forever(Stream.sync(() => chunk)))),
  HttpRouter.add(
    "POST",
    "/echo",
    Effect.map(HttpServerRequest.HttpServerRequest, ({ stream }) => HttpServerResponse.stream(stream))
  ),
  HttpRouter.add(
    "POST",
    "/upload",
    Effect.gen(function*() {
      const request = yield* HttpServerRequest.HttpServerRequest
      yield* Stream.runDrain(request.stream)
      return HttpServerResponse.empty()
    })
  )
)

/** Bytes of the heap above which what is garbage among them is collected before they count. */
const unsure = 48 * MiB

/** In milliseconds. */
const betweenCollections = 200

const watch = () => {
  globalThis.gc!()
  const before = heapBytes()
  let [longest, heap, collected] = [0, 0, 0]
  const grown = () => heapBytes() - before
  let last = performance.now()
  let used = process.cpuUsage()
  const look = () => {
    const now = performance.now()
    const { system, user } = process.cpuUsage(used)
    // Other processes of a busy machine are not this one's fault.
    longest = Math.max(longest, Math.min(now - last, (system + user) / 1000))
    if (grown() > unsure && now - collected > betweenCollections) {
      globalThis.gc!()
      collected = now
      heap = Math.max(heap, grown())
    } else if (grown() <= unsure) heap = Math.max(heap, grown())
    last = performance.now()
    used = process.cpuUsage()
  }
  const timer = setInterval(look, 2)
  return (): Stalls => {
    clearInterval(timer)
    look()
    return { type: "stalls", longest, heap }
  }
}

const isLoss = ({ _tag }: ConnectionEvent): boolean =>
  _tag === "ConnectionInterrupted" || _tag === "ConnectionClosed" || _tag === "ConnectionFailure"

const isEnd = ({ _tag }: ConnectionEvent): boolean => _tag === "ConnectionClosed" || _tag === "ConnectionFailure"

type Hubs = SwaggerSocketServer.SwaggerSocketServer<unknown, undefined>

const untilTold = ({ events }: Hubs, is: (event: ConnectionEvent) => boolean, count: number) =>
  count === 0 ? Effect.void : Stream.runDrain(Stream.take(Stream.filter(events, is), count))

/** What Node and `ws` do without this package. */
const bareServer = Effect.gen(function*() {
  const server = yield* Effect.acquireRelease(
    Effect.sync(() => new WebSocketServer({ port: 0, host: "127.0.0.1" })),
    (server) => Effect.sync(() => server.close())
  )
  yield* Effect.promise(() => once(server, "listening"))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
})

main(Effect.gen(function*() {
  const context = yield* Layer.build(
    HttpRouter.serve(api, quiet).pipe(
      Layer.provide(ApiServer.layerServer(Hub)),
      Layer.provideMerge(
        HttpRouter.serve(Hub.layer({ path: "/socket", wires: ["v2", "v1"] }), quiet)
      ),
      Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" }))
    )
  )
  const { address } = Context.get(context, HttpServer.HttpServer)
  const reading = { celsius: 1, at: "x".repeat(16 * 1024) }
  const streaming = yield* listen(serve({ watch: () => Effect.succeed(Stream.forever(Stream.make(reading))) }))
  const socket = `${NetAddress.formatUrlUnsafe(address)}/socket`
  const bare = yield* bareServer
  yield* tell<Listening>({
    type: "listening",
    urls: { v1: socket, v2: socket, streaming: `${streaming.url}/watch`, bare }
  })
  const hub = Context.get(context, Hub)
  while (true) {
    const { ending = 0, losing = 0 } = yield* hear<Begin>("begin")
    const lost = yield* Effect.forkChild(
      Effect.andThen(untilTold(hub, isLoss, losing), untilTold(hub, isEnd, ending)),
      { startImmediately: true }
    )
    const stop = watch()
    yield* tell({ type: "watching" })
    yield* hear("end")
    yield* Fiber.join(lost)
    yield* tell(stop())
  }
}))
