/**
 * Many devices in one process: each dials the hub, serves it the API, and calls it now and then.
 */
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { main, type Program, type Tools } from "./child.ts"
import type { DevicesRole } from "./messages.ts"
import { pace } from "./pace.ts"
import { makeRoutes, quiet } from "./routes.ts"

/** So many dial at once when a process starts. */
const concurrency = 32

interface Device {
  readonly name: string
  readonly api: HttpClient.HttpClient
  readonly scope: Scope.Closeable
  isConnected: boolean
}

const any = <A>(all: ReadonlyArray<A>): A | undefined => all[Math.floor(Math.random() * all.length)]

class Devices {
  readonly all: Array<Device> = []
  readonly counts: Record<string, number> = {}
  #named = 0
  readonly #role: DevicesRole
  readonly #tools: Tools

  constructor(role: DevicesRole, tools: Tools) {
    this.#role = role
    this.#tools = tools
  }

  /** A new device, once it is connected. */
  readonly add = Effect.gen({ self: this }, function*() {
    const { kind, number, url } = this.#role
    const index = this.#named++
    const name = `${this.#role.name}-${index}`
    const headers = { "x-forwarded-for": `10.${number % 256}.${index >> 8}.${index % 256}` }
    const scope = yield* Scope.make()
    const context = yield* Scope.provide(
      Layer.build(
        HttpRouter.serve(makeRoutes(this.#tools.executions), quiet).pipe(
          Layer.provide(ApiServer.layer),
          Layer.provideMerge(ApiClient.layer),
          Layer.provideMerge(Layer.fresh(SwaggerSocketClient.layer({ url, headers, metadata: { name, kind } })))
        )
      ),
      scope
    )
    const client = Context.get(context, SwaggerSocketClient.SwaggerSocketClient)
    yield* client.connection
    const device: Device = { name, api: Context.get(context, HttpClient.HttpClient), scope, isConnected: true }
    yield* Effect.forkIn(
      Stream.runForEach(client.events, ({ _tag }) =>
        Effect.sync(() => {
          this.counts[_tag] = (this.counts[_tag] ?? 0) + 1
        })),
      scope
    )
    yield* Effect.forkIn(
      Stream.runForEach(client.changes, ({ _tag }) =>
        Effect.sync(() => {
          device.isConnected = _tag === "Connected"
        })),
      scope
    )
    this.all.push(device)
  })

  /** One says goodbye, which drains its connection, and another takes its place. */
  readonly churn = Effect.suspend(() => {
    const index = Math.floor(Math.random() * this.all.length)
    const [device] = this.all.splice(index, 1)
    if (device === undefined) return Effect.void
    return Effect.andThen(Scope.close(device.scope, Exit.void), this.add)
  })
}

main(Effect.fnUntraced(function*(role: DevicesRole, tools: Tools) {
  const devices = new Devices(role, tools)
  const services = yield* Layer.build(NodeSwaggerSocket.layerWebSocketConstructor)
  yield* Effect.provide(
    Effect.forEach(Array.from({ length: role.count }), () => devices.add, { concurrency, discard: true }),
    services
  )
  yield* Effect.addFinalizer(() =>
    Effect.forEach(devices.all, ({ scope }) => Scope.close(scope, Exit.void), {
      concurrency: "unbounded",
      discard: true
    })
  )
  const isSteady = role.steadyHub && role.kind === "cut"
  return {
    url: role.url,
    act(times) {
      for (let index = 0; index < times; index++) {
        const device = any(devices.all)
        if (device !== undefined) Effect.runFork(tools.caller.call(device.api, isSteady))
      }
    },
    connections: () => devices.all.filter(({ isConnected }) => isConnected).length,
    counts: devices.counts,
    disturb: () =>
      pace(() => role.churn, (times) => {
        for (let index = 0; index < times; index++) Effect.runForkWith(services)(devices.churn)
      })
  } satisfies Program
}))
