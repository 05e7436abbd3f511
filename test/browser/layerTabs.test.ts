/**
 * What a shared worker makes of ports, greetings and calls, without a browser: its ports are those of Node.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import { Tabs } from "effect-swaggersocket/browser"
import * as Link from "effect-swaggersocket/Link"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { MessageChannel, MessagePort } from "node:worker_threads"
import { afterEach, beforeEach, vi } from "vitest"
import { makeLayer } from "../../src/browser/tabs.ts"
import { eventually } from "../support/waiting.ts"

class Hub extends SwaggerSocketServer.Service<Hub>()("test/browser/layerTabs/Hub") {}

/** Locks of one process: whoever asks for a name waits until those before have let go of it. */
class Locks {
  readonly #held = new Map<string, Promise<unknown>>()

  request(name: string, first: unknown, second?: () => unknown): Promise<unknown> {
    const { signal } = (second === undefined ? {} : first) as { signal?: AbortSignal }
    const run = (second ?? first) as () => unknown
    const next = (this.#held.get(name) ?? Promise.resolve()).then(() => signal?.aborted === true ? undefined : run())
    this.#held.set(name, next)
    return next
  }
}

let locks = new Locks()

beforeEach(() => {
  locks = new Locks()
  vi.stubGlobal("navigator", { locks })
})
afterEach(() => vi.unstubAllGlobals())

/** A shared worker, as its script sees it. */
class TestWorker extends EventTarget {
  /** A tab connects, and says something; answers its control port. */
  connect(...said: ReadonlyArray<unknown>): MessagePort {
    const { port1, port2 } = new MessageChannel()
    this.dispatchEvent(Object.assign(new Event("connect"), { ports: [port2] }))
    for (const value of said) port1.postMessage(value, portsOf(value))
    return port1
  }
}

const portsOf = (value: unknown): Array<MessagePort> => {
  const { port } = Object(value) as { port?: unknown }
  return port instanceof MessagePort ? [port] : []
}

/** What a tab says; `release` lets go of the lock that it holds, as the browser does when the tab is gone. */
const greet = (name: string) => {
  const { port1, port2 } = new MessageChannel()
  let release!: () => void
  void locks.request(name, () => new Promise<void>((resolve) => release = resolve))
  return { port: port1, greeting: { port: port2, lock: name }, release: () => release() }
}

/** The worker with a client of a hub in memory, which answers "of the hub" once `links` makes links. */
const start = Effect.fnUntraced(function*(
  worker: TestWorker,
  links: Effect.Effect<unknown, Error> = Effect.void,
  before: () => void = () => {},
  api: Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest.HttpServerRequest> = Effect
    .succeed(HttpServerResponse.text("of the hub"))
) {
  const layer = makeLayer(worker)
  before()
  const hub = HttpServer.serve(api).pipe(
    Layer.provide(ApiServer.layerServer(Hub)),
    Layer.provideMerge(Hub.layerNoRoute({}))
  )
  const client = Layer.unwrap(Effect.map(Hub, (hub) =>
    SwaggerSocketClient.layer({
      link: Effect.gen(function*() {
        yield* links
        const [near, far] = yield* Link.makePair
        yield* Effect.forkScoped(hub.accept(Effect.succeed(far)))
        return near
      })
    })))
  const context = yield* Layer.build(layer.pipe(Layer.provideMerge(client), Layer.provide(hub)))
  return Context.get(context, Tabs)
})

/** The client of a tab on the other end of the port that it has greeted with. */
const tabOn = (port: MessagePort) =>
  Effect.flatMap(
    SwaggerSocketClient.make({
      link: Link.fromMessagePort(port as unknown as Link.MessagePortLike),
      limits: { resumeWindow: 0 }
    }),
    ({ connection }) => connection
  )

const ask = (connection: Effect.Success<ReturnType<typeof tabOn>>) =>
  Effect.flatMap(ApiClient.make(connection).get("/"), ({ text }) => text)

describe("layerTabs", () => {
  it.live("tabs that have come before the layer is built are heard, and then forgotten when they are gone", () =>
    Effect.gen(function*() {
      const worker = new TestWorker()
      const early = greet("early")
      const tabs = yield* start(worker, Effect.void, () => worker.connect(early.greeting))
      const connection = yield* tabOn(early.port)
      assert.strictEqual(yield* ask(connection), "of the hub")
      assert.strictEqual((yield* tabs.connections).length, 1)
      early.release()
      yield* connection.closed
      yield* eventually(() => assert.strictEqual(Effect.runSync(tabs.connections).length, 0))
    }))

  it.live("what is no greeting is passed over, and a second one as well", () =>
    Effect.gen(function*() {
      const worker = new TestWorker()
      const tabs = yield* start(worker)
      const [first, second] = [greet("first"), greet("second")]
      const control = worker.connect("back", null, 7, {}, { port: 7, lock: "x" }, first.greeting, second.greeting)
      const answers: Array<unknown> = []
      control.on("message", (answer) => answers.push(answer))
      assert.strictEqual(yield* ask(yield* tabOn(first.port)), "of the hub")
      control.close()
      assert.strictEqual(answers.length, 1)
      assert.strictEqual((yield* tabs.connections).length, 1)
      second.port.close()
    }))

  it.live("calls of a tab wait while the worker has no connection", () =>
    Effect.gen(function*() {
      const worker = new TestWorker()
      const isThere = yield* Deferred.make<void>()
      yield* start(worker, Deferred.await(isThere))
      const tab = greet("tab")
      worker.connect(tab.greeting)
      const connection = yield* tabOn(tab.port)
      const call = yield* Effect.forkChild(ask(connection), { startImmediately: true })
      yield* eventually(() => assert.strictEqual(Effect.runSync(connection.active).local, 1))
      assert.isUndefined(call.pollUnsafe())
      yield* Deferred.succeed(isThere, undefined)
      assert.strictEqual(yield* Fiber.join(call), "of the hub")
    }))

  it.live("a call of a tab that gives up while the worker has no connection does not begin when there is one", () =>
    Effect.gen(function*() {
      const worker = new TestWorker()
      const isThere = yield* Deferred.make<void>()
      const targets: Array<string> = []
      const api = Effect.map(HttpServerRequest.HttpServerRequest, ({ url }) => {
        targets.push(url)
        return HttpServerResponse.text("of the hub")
      })
      const tabs = yield* start(worker, Deferred.await(isThere), () => {}, api)
      const tab = greet("tab")
      worker.connect(tab.greeting)
      const connection = yield* tabOn(tab.port)
      const calls = ApiClient.make(connection)
      const call = yield* Effect.forkChild(calls.post("/given-up"), { startImmediately: true })
      yield* eventually(() => assert.strictEqual(Effect.runSync(connection.active).local, 1))
      yield* Fiber.interrupt(call)
      // It comes behind the end of the other one.
      const next = yield* Effect.forkChild(calls.post("/next"), { startImmediately: true })
      const [accepted] = yield* tabs.connections
      yield* eventually(() => assert.strictEqual(Effect.runSync(accepted!.statistics).streamsAccepted, 2))
      yield* Deferred.succeed(isThere, undefined)
      assert.strictEqual((yield* Fiber.join(next)).status, 200)
      assert.deepStrictEqual(targets, ["/next"])
    }))

  it.live("calls of a tab are answered 503 once the worker dials no more", () =>
    Effect.gen(function*() {
      const worker = new TestWorker()
      yield* start(worker, Effect.fail(new Error("no link"))).pipe(
        Effect.provideService(Reconnection.Reconnection, { schedule: Schedule.recurs(0), retry: () => false })
      )
      const tab = greet("tab")
      worker.connect(tab.greeting)
      const answer = yield* ApiClient.make(yield* tabOn(tab.port)).get("/")
      assert.strictEqual(answer.status, 503)
      assert.include(yield* answer.text, "no link")
    }))

  it.live("256 tabs are heard that come before the layer is built, and all that come later", () =>
    Effect.gen(function*() {
      const worker = new TestWorker()
      let taken = 0
      const controls: Array<MessagePort> = []
      const tabs: Array<ReturnType<typeof greet>> = []
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          for (const port of [...controls, ...tabs.map(({ port }) => port)]) port.close()
        })
      )
      const come = (name: string) => {
        const tab = greet(name)
        tabs.push(tab)
        const control = worker.connect(tab.greeting)
        control.on("message", () => taken++)
        controls.push(control)
      }
      yield* start(worker, Effect.void, () => {
        for (let tab = 0; tab < 300; tab++) come(`early ${tab}`)
      })
      come("late")
      yield* eventually(() => assert.strictEqual(taken, 257))
      assert.strictEqual(yield* ask(yield* tabOn(tabs.at(-1)!.port)), "of the hub")
      assert.strictEqual(taken, 257)
    }))
})
