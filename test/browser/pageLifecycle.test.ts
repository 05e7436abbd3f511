/**
 * What the events of a page make of its client, with a page and links in the hands of the test.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type * as Limits from "effect-swaggersocket/Limits"
import * as Link from "effect-swaggersocket/Link"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as TestClock from "effect/testing/TestClock"
import { follow, type Page } from "../../src/browser/pageLifecycle.ts"
import { keepEvents } from "../support/events.ts"
import * as memoryPeer from "../support/memoryPeer.ts"

class Hub extends SwaggerSocketServer.Service<Hub>()("test/browser/pageLifecycle/Hub") {}

/** A handshake takes many turns where fibers have few steps in each. */
const settle = Effect.repeat(memoryPeer.settle, { times: 5 })

/** A page whose events the test makes. */
class TestPage extends EventTarget {
  readonly document = Object.assign(new EventTarget(), { visibilityState: "visible" })
  listeners = 0

  constructor() {
    super()
    for (const target of [this, this.document]) {
      const { addEventListener, removeEventListener } = target
      target.addEventListener = (...parameters: Parameters<EventTarget["addEventListener"]>) => {
        this.listeners++
        addEventListener.apply(target, parameters)
      }
      target.removeEventListener = (...parameters: Parameters<EventTarget["removeEventListener"]>) => {
        this.listeners--
        removeEventListener.apply(target, parameters)
      }
    }
  }

  turnsOnline(): void {
    this.dispatchEvent(new Event("online"))
  }

  transition(type: "pageshow" | "pagehide", persisted: boolean): void {
    this.dispatchEvent(Object.assign(new Event(type), { persisted }))
  }

  thaws(): void {
    this.document.dispatchEvent(new Event("resume"))
  }

  becomes(visibilityState: "visible" | "hidden"): void {
    this.document.visibilityState = visibilityState
    this.document.dispatchEvent(new Event("visibilitychange"))
  }
}

/** The network between the client and the hub. */
class Network {
  isDown = false
  /** Attempts that were made. */
  attempts = 0
  /** Messages are lost, and nobody is told. */
  isSilent = false
  /** An attempt waits for it before it fails or succeeds. */
  hold: Deferred.Deferred<void> | undefined
  link: Link.Link | undefined

  cut(): void {
    this.link?.terminate()
  }
}

/** A client whose delays are an hour, its hub, and their network. */
const start = Effect.fnUntraced(function*(limits?: Limits.Options) {
  const network = new Network()
  const page = new TestPage()
  const hub = yield* Hub
  const scope = yield* Effect.scope
  const client = yield* SwaggerSocketClient.make({
    limits: limits ?? {},
    link: Effect.gen(function*() {
      network.attempts++
      if (network.hold !== undefined) yield* Deferred.await(network.hold)
      if (network.isDown) return yield* Effect.fail(new Error("the network is down"))
      const [near, far] = yield* Link.makePair
      yield* Effect.forkIn(hub.accept(Effect.succeed(far)), scope)
      network.link = near
      network.isSilent = false
      return Link.make({
        pull: near.pull,
        send: (message) => network.isSilent && network.link === near ? undefined : near.send(message),
        isFull: () => near.isFull(),
        onRoom: (resume) => near.onRoom(resume),
        close: (code, reason) => near.close(code, reason),
        terminate: () => near.terminate()
      })
    })
  }).pipe(Effect.provideService(Reconnection.Reconnection, {
    schedule: Schedule.spaced("1 hour"),
    retry: Reconnection.isRetryable
  }))
  yield* Effect.forkScoped(follow(client, page as Page))
  yield* settle
  return { client, hub, network, page }
})

/** Loses the connection while nobody can dial. */
const lose = ({ network }: { readonly network: Network }) =>
  Effect.gen(function*() {
    network.isDown = true
    network.cut()
    yield* settle
    network.attempts = 0
    network.isDown = false
  })

const slow = Deferred.makeUnsafe<void>()

const Live = HttpRouter.serve(
  Layer.mergeAll(
    HttpRouter.add("GET", "/", HttpServerResponse.text("of the hub")),
    HttpRouter.add("GET", "/slow", Effect.as(Deferred.await(slow), HttpServerResponse.text("at last")))
  ),
  { disableListenLog: true, disableLogger: true }
).pipe(
  Layer.provide(ApiServer.layerServer(Hub)),
  Layer.provideMerge(Hub.layerNoRoute({})),
  Layer.provide(HttpServer.layerServices)
)

const back: Record<string, (page: TestPage) => void> = {
  "is online": (page) => page.turnsOnline(),
  "is restored from the back-forward cache": (page) => page.transition("pageshow", true),
  "is shown": (page) => page.becomes("visible"),
  "is thawed": (page) => page.thaws()
}

const others: Record<string, (page: TestPage) => void> = {
  "is loaded": (page) => page.transition("pageshow", false),
  "is hidden": (page) => page.becomes("hidden"),
  "is left": (page) => page.transition("pagehide", false)
}

describe("page lifecycle", () => {
  for (const [what, happens] of Object.entries(back)) {
    it.effect(`a client that waits dials at once when its page ${what}`, () =>
      Effect.gen(function*() {
        const { client, network, page } = yield* start()
        yield* lose({ network })
        assert.strictEqual((yield* client.status)._tag, "Waiting")
        happens(page)
        yield* settle
        assert.strictEqual((yield* client.status)._tag, "Connected")
        assert.strictEqual(network.attempts, 1)
      }).pipe(Effect.provide(Live)))
  }

  for (const [what, happens] of Object.entries(others)) {
    it.effect(`a client does nothing when its page ${what}`, () =>
      Effect.gen(function*() {
        const { client, network, page } = yield* start()
        happens(page)
        yield* settle
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(network.attempts, 1)
        yield* lose({ network })
        happens(page)
        yield* settle
        assert.strictEqual((yield* client.status)._tag, "Waiting")
        assert.strictEqual(network.attempts, 0)
      }).pipe(Effect.provide(Live)))
  }

  it.effect("a client dials once a second at most, however many events come", () =>
    Effect.gen(function*() {
      const { network, page } = yield* start()
      yield* lose({ network })
      network.isDown = true
      for (let second = 1; second <= 3; second++) {
        for (let event = 0; event < 100; event++) {
          for (const happens of Object.values(back)) happens(page)
          yield* settle
        }
        assert.strictEqual(network.attempts, second)
        yield* TestClock.adjust("1 second")
        yield* settle
      }
      // The events after the third attempt are answered by a fourth one, and then it is quiet.
      assert.strictEqual(network.attempts, 4)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(network.attempts, 4)
    }).pipe(Effect.provide(Live)))

  it.effect("an attempt that was under way, and fails, is followed by another one at once", () =>
    Effect.gen(function*() {
      const { client, network, page } = yield* start()
      yield* lose({ network })
      const hold = network.hold = Deferred.makeUnsafe<void>()
      network.isDown = true
      page.turnsOnline()
      yield* settle
      yield* TestClock.adjust("1 second")
      page.turnsOnline()
      yield* settle
      assert.strictEqual(network.attempts, 1)
      network.hold = undefined
      yield* Deferred.succeed(hold, undefined)
      yield* settle
      assert.strictEqual(network.attempts, 2)
      assert.strictEqual((yield* client.status)._tag, "Waiting")
    }).pipe(Effect.provide(Live)))

  it.effect("a link that is silent after an event is given up within 3 seconds, and calls go on with the next one", () =>
    Effect.gen(function*() {
      const { client, network, page } = yield* start()
      const call = yield* Effect.forkChild(
        Effect.flatMap(
          client.connection,
          (connection) => Effect.flatMap(ApiClient.make(connection).get("/slow"), ({ text }) => text)
        )
      )
      yield* settle
      network.isSilent = true
      page.becomes("visible")
      yield* settle
      yield* TestClock.adjust("2900 millis")
      yield* settle
      assert.strictEqual(network.attempts, 1)
      yield* TestClock.adjust("100 millis")
      yield* settle
      assert.strictEqual(network.attempts, 2)
      yield* Deferred.succeed(slow, undefined)
      assert.strictEqual(yield* Fiber.join(call), "at last")
    }).pipe(Effect.provide(Live)))

  it.effect("a link that answers after an event stays, and no heartbeat is disturbed", () =>
    Effect.gen(function*() {
      const { client, network, page } = yield* start()
      const events = yield* keepEvents(client.events)
      for (let event = 0; event < 5; event++) {
        page.becomes("visible")
        yield* settle
        yield* TestClock.adjust("10 seconds")
        yield* settle
      }
      assert.strictEqual(network.attempts, 1)
      assert.deepStrictEqual(events.map(({ _tag }) => _tag), ["ConnectionReceived"])
    }).pipe(Effect.provide(Live)))

  it.effect("a link that breaks while it is checked is replaced at once", () =>
    Effect.gen(function*() {
      const { client, network, page } = yield* start()
      network.isSilent = true
      page.becomes("visible")
      yield* settle
      network.cut()
      yield* settle
      assert.strictEqual(network.attempts, 2)
      assert.strictEqual((yield* client.status)._tag, "Connected")
    }).pipe(Effect.provide(Live)))

  it.effect("a connection that would end with its link is left to its heartbeat", () =>
    Effect.gen(function*() {
      const { network, page } = yield* start({ resumeWindow: 0 })
      network.isSilent = true
      page.becomes("visible")
      yield* settle
      yield* TestClock.adjust("10 seconds")
      yield* settle
      assert.strictEqual(network.attempts, 1)
    }).pipe(Effect.provide(Live)))

  it.effect("a page that is put away gives up its link, and its session goes on when it is restored", () =>
    Effect.gen(function*() {
      const { client, hub, network, page } = yield* start()
      const events = yield* keepEvents(hub.events)
      page.transition("pagehide", true)
      yield* settle
      assert.strictEqual(network.attempts, 1)
      yield* TestClock.adjust("1 minute")
      page.transition("pageshow", true)
      yield* settle
      assert.strictEqual(network.attempts, 2)
      assert.strictEqual((yield* client.status)._tag, "Connected")
      assert.deepStrictEqual(
        events.map(({ _tag }) => _tag),
        ["ConnectionReceived", "ConnectionInterrupted", "ConnectionResumed"]
      )
    }).pipe(Effect.provide(Live)))

  it.effect("a client that has stopped stays stopped", () =>
    Effect.gen(function*() {
      const page = new TestPage()
      let attempts = 0
      const client = yield* SwaggerSocketClient.make({
        link: Effect.suspend(() => {
          attempts++
          return Effect.fail(new Error("no link"))
        })
      }).pipe(Effect.provideService(Reconnection.Reconnection, { schedule: Schedule.recurs(0), retry: () => false }))
      yield* Effect.forkScoped(follow(client, page as Page))
      yield* settle
      assert.strictEqual((yield* client.status)._tag, "Stopped")
      page.turnsOnline()
      yield* settle
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(attempts, 1)
    }))

  it.effect("the page is not listened to any more once the client is gone", () =>
    Effect.gen(function*() {
      const page = yield* Effect.scoped(Effect.gen(function*() {
        const { page } = yield* start()
        assert.strictEqual(page.listeners, 5)
        return page
      }))
      assert.strictEqual(page.listeners, 0)
    }).pipe(Effect.provide(Live)))

  it.effect("where there is no page nothing is listened to", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const following = yield* Effect.forkChild(follow(client, {} as Page))
      yield* settle
      assert.isUndefined(following.pollUnsafe())
    }).pipe(Effect.provide(Live)))
})
