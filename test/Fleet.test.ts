/**
 * The connections of all nodes: who knows of which, and what becomes of calls from one node to a device of another.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type * as Fleet from "effect-swaggersocket/Fleet"
import { failureOf, outcomeOf } from "effect-swaggersocket/SwaggerSocketError"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { Choosy, Devices, makeNode, makeNodes, named } from "./nodes/fleets.ts"
import { eventually } from "./support/waiting.ts"

const quiet = { disableLogger: true, disableListenLog: true }

const hello = HttpRouter.add("GET", "/hello", HttpServerResponse.text("hello"))

const stuck = Effect.gen(function*() {
  const begun = yield* Deferred.make<void>()
  const interrupted = yield* Deferred.make<void>()
  const handler = Effect.andThen(Deferred.succeed(begun, undefined), Effect.never).pipe(
    Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
  )
  return {
    routes: HttpRouter.add("POST", "/stuck", handler),
    begun: Deferred.await(begun),
    interrupted: Deferred.await(interrupted)
  }
})

const namesOf = (connections: ReadonlyArray<Fleet.FleetConnection<{ readonly name: string }>>) =>
  connections.map(({ metadata, node }) => `${metadata.name}@${node.name}`).sort()

describe("who is connected", () => {
  it.live("every node lists the devices of all, with what is known of them", () =>
    Effect.gen(function*() {
      const { nodes } = yield* makeNodes("a", "b", "c")
      const [a, b, c] = nodes
      yield* a!.device("one")
      yield* b!.device("two")
      yield* b!.device("three")
      for (const { fleet } of [a!, b!, c!]) {
        yield* fleet.awaitConnection(named("one"))
        yield* fleet.awaitConnection(named("two"))
        const device = yield* fleet.awaitConnection(named("three"))
        assert.deepStrictEqual(namesOf(yield* fleet.connections), ["one@a", "three@b", "two@b"])
        assert.strictEqual(device.metadata.since.toISOString(), "2026-01-02T03:04:05.000Z")
        assert.deepStrictEqual(device.principal, { user: "user of three" })
        assert.strictEqual(yield* device.status, "open")
        assert.strictEqual(yield* fleet.connection(device.id), device)
        assert.lengthOf(yield* fleet.filter(({ node }) => node.name === "b"), 2)
      }
    }).pipe(Effect.scoped))

  it.live("a device that leaves is gone on every node, and its connection there has ended as on its own", () =>
    Effect.gen(function*() {
      const { nodes } = yield* makeNodes("a", "b")
      const [a, b] = nodes
      const own = yield* b!.device("one")
      const device = yield* a!.fleet.awaitConnection(named("one"))
      yield* own.close({ code: 4300, reason: "enough" })
      assert.deepInclude(yield* device.closed, { _tag: "Closed", initiator: "remote", code: 4300, reason: "enough" })
      assert.strictEqual(yield* device.status, "closed")
      assert.isTrue(Option.isNone(yield* a!.fleet.find(named("one"))))
      const error = yield* Effect.flip(ApiClient.make(device).get("/hello"))
      assert.strictEqual(outcomeOf(error), "not-sent")
      assert.strictEqual((yield* Effect.flip(a!.fleet.connection(device.id))).reason._tag, "ConnectionNotFound")
    }).pipe(Effect.scoped))

  it.live("any node closes the connection of a device", () =>
    Effect.gen(function*() {
      const { nodes } = yield* makeNodes("a", "b")
      const [a, b] = nodes
      const own = yield* b!.device("one")
      yield* (yield* a!.fleet.awaitConnection(named("one"))).close({ code: 4300, reason: "enough" })
      assert.deepInclude(yield* own.closed, { _tag: "Closed", initiator: "remote", code: 4300, reason: "enough" })
    }).pipe(Effect.scoped))

  it.live("events tell of the devices of all nodes, first of those that there are", () =>
    Effect.gen(function*() {
      const { nodes } = yield* makeNodes("a", "b")
      const [a, b] = nodes
      yield* a!.device("one")
      yield* b!.device("two")
      yield* a!.fleet.awaitConnection(named("two"))
      const seen: Array<string> = []
      yield* Effect.forkScoped(Stream.runForEach(a!.fleet.events, (event) =>
        Effect.sync(() => {
          if ("metadata" in event) seen.push(`${event._tag} ${event.metadata.name}@${event.node.name}`)
        })))
      yield* eventually(() => assert.deepStrictEqual(seen, ["ConnectionReceived one@a", "ConnectionReceived two@b"]))
      yield* (yield* b!.device("three")).close()
      yield* eventually(() =>
        assert.deepStrictEqual(seen.slice(2), ["ConnectionReceived three@b", "ConnectionClosed three@b"])
      )
    }).pipe(Effect.scoped))

  it.live("a node that joins later knows the devices of the others, and they know its own", () =>
    Effect.gen(function*() {
      const { directory, network, nodes } = yield* makeNodes("a")
      yield* nodes[0]!.device("one")
      const late = yield* makeNode("late", network, directory)
      yield* late.device("two")
      yield* late.fleet.awaitConnection(named("one"))
      yield* nodes[0]!.fleet.awaitConnection(named("two"))
    }).pipe(Effect.scoped))

  it.effect("the status of a device of another node is that of its connection, and of the link to its node", () =>
    Effect.gen(function*() {
      const { network, nodes } = yield* makeNodes("a", "b")
      const [a, b] = nodes
      const own = yield* b!.device("one")
      const device = yield* a!.fleet.awaitConnection(named("one"))
      const statuses: Array<string> = []
      yield* Effect.forkScoped(Stream.runForEach(device.changes, (status) => Effect.sync(() => statuses.push(status))))
      yield* TestClock.adjust("1 millis")
      network.break("b")
      yield* TestClock.adjust("3 seconds")
      network.mend("b")
      yield* TestClock.adjust("6 seconds")
      yield* own.close()
      yield* device.closed
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(statuses, ["open", "interrupted", "open", "closed"])
    }))

  it.live("of two connections of a device, on two nodes, the one that was heard of last is found on both", () =>
    Effect.gen(function*() {
      const { nodes } = yield* makeNodes("a", "b")
      const [a, b] = nodes
      const foundBy = (node: typeof a) =>
        Effect.map(node!.fleet.find(named("one")), Option.map(({ node }) => node.name))
      yield* a!.device("one")
      yield* b!.fleet.awaitConnection(named("one"))
      yield* b!.device("one")
      yield* a!.fleet.awaitConnection(({ node }) => node.name === "b")
      for (const node of [a, b]) assert.deepStrictEqual(yield* foundBy(node), Option.some("b"))
    }).pipe(Effect.scoped))

  it.live("a device that does not fit the schema of another node is left out there, and the others are not", () =>
    Effect.gen(function*() {
      const { directory, network, nodes } = yield* makeNodes("a")
      const [a] = nodes
      yield* a!.device("one")
      yield* a!.device("another")
      const lines: Array<unknown> = []
      const logger = Logger.make(({ message }) => void lines.push(message))
      const choosy = yield* Effect.provide(
        makeNode("choosy", network, directory, { fleet: Choosy.layer }),
        Logger.layer([logger])
      )
      yield* a!.device("two")
      yield* choosy.fleet.awaitConnection(named("two"))
      assert.deepStrictEqual(namesOf(yield* choosy.fleet.connections), ["one@a", "two@a"])
      assert.include(JSON.stringify(lines), "can't read")
    }).pipe(Effect.scoped))

  it.effect("a node that is cut off is lost after 10 seconds, its devices with it, and both are back when it is", () =>
    Effect.gen(function*() {
      const { network, nodes } = yield* makeNodes("a", "b", "c")
      const [a, b] = nodes
      yield* a!.device("one")
      yield* b!.device("two")
      const two = yield* a!.fleet.awaitConnection(named("two"))
      yield* b!.fleet.awaitConnection(named("one"))
      const events: Array<Fleet.FleetEvent> = []
      yield* Effect.forkScoped(Stream.runForEach(a!.fleet.events, (event) =>
        Effect.sync(() => {
          events.push(event)
        })))
      network.break("b")
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* two.status, "interrupted")
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* two.closed)._tag, "Failed")
      assert.deepStrictEqual(namesOf(yield* a!.fleet.connections), ["one@a"])
      assert.deepStrictEqual(namesOf(yield* b!.fleet.connections), ["two@b"])
      const tags = events.map(({ _tag }) => _tag)
      assert.deepStrictEqual(tags.slice(2), ["ConnectionFailure", "NodeLost"])
      network.mend("b")
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(namesOf(yield* a!.fleet.connections), ["one@a", "two@b"])
      assert.deepStrictEqual(namesOf(yield* b!.fleet.connections), ["one@a", "two@b"])
    }))
})

describe("calls from one node to a device of another", () => {
  // PROTOCOL.md NODE-3
  it.live("arrive, with their body, and are answered", () =>
    Effect.gen(function*() {
      const { nodes } = yield* makeNodes("a", "b")
      const [a, b] = nodes
      const echo = Effect.map(
        Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
          Effect.zip(Effect.succeed(request), request.text)),
        ([{ headers }, text]) =>
          HttpServerResponse.text(`${text} ${headers["x-color"]} ${headers["swaggersocket-connection"]}`)
      )
      yield* b!.device("one", HttpRouter.add("POST", "/echo", echo))
      const api = ApiClient.make(yield* a!.fleet.awaitConnection(named("one")))
      const request = HttpClientRequest.post("/echo").pipe(
        HttpClientRequest.bodyText("ahoy"),
        HttpClientRequest.setHeaders({ "x-color": "blue", "swaggersocket-connection": "another" })
      )
      const response = yield* api.execute(request)
      assert.strictEqual(yield* response.text, "ahoy blue undefined")
    }).pipe(Effect.scoped))

  // PROTOCOL.md NODE-4
  it.live("can't be made by a device, whose requests are for the node that it is connected to", () =>
    Effect.gen(function*() {
      const { nodes } = yield* makeNodes("a", "b")
      const [a, b] = nodes
      yield* b!.device("one", hello)
      const one = yield* a!.fleet.awaitConnection(named("one"))
      const own = yield* a!.device("two")
      yield* Layer.build(
        HttpRouter.serve(HttpRouter.add("GET", "/hello", HttpServerResponse.text("of the node")), quiet).pipe(
          Layer.provide(ApiServer.layerServer(Devices)),
          Layer.provide(Layer.succeed(Devices, a!.devices))
        )
      )
      const response = yield* ApiClient.make(own).get("/hello", { headers: { "swaggersocket-connection": one.id } })
      assert.strictEqual(yield* response.text, "of the node")
    }).pipe(Effect.scoped))

  // PROTOCOL.md NODE-2
  it.live("to a connection that its node does not have were not processed, which takes one round trip", () =>
    Effect.gen(function*() {
      const { nodes } = yield* makeNodes("a", "b")
      const [a, b] = nodes
      yield* b!.device("one", hello)
      const device = yield* a!.fleet.awaitConnection(named("one"))
      const [link] = yield* a!.links.links
      // As if the node had not told yet that the device is gone.
      Object.defineProperty((device as unknown as { readonly mux: object }).mux, "connectionId", { value: "gone" })
      const before = (yield* link!.connection.statistics).streamsOpened
      const error = yield* Effect.flip(ApiClient.make(device).get("/hello"))
      assert.strictEqual(outcomeOf(error), "not-processed")
      assert.strictEqual(failureOf(error)?.reason._tag, "ConnectionNotFound")
      assert.strictEqual((yield* link!.connection.statistics).streamsOpened, before + 1)
    }).pipe(Effect.scoped))

  it.live("a caller that gives up interrupts the handler of the device", () =>
    Effect.gen(function*() {
      const { nodes } = yield* makeNodes("a", "b")
      const [a, b] = nodes
      const { begun, interrupted, routes } = yield* stuck
      yield* b!.device("one", routes)
      const api = ApiClient.make(yield* a!.fleet.awaitConnection(named("one")))
      const call = yield* Effect.forkChild(api.post("/stuck"))
      yield* begun
      yield* Fiber.interrupt(call)
      yield* interrupted
    }).pipe(Effect.scoped))

  it.live("a device that is lost during a call leaves its outcome unknown, there and nowhere else", () =>
    Effect.gen(function*() {
      const { nodes } = yield* makeNodes("a", "b")
      const [a, b] = nodes
      const { begun, routes } = yield* stuck
      const own = yield* b!.device("one", routes)
      yield* b!.device("two", hello)
      const api = ApiClient.make(yield* a!.fleet.awaitConnection(named("one")))
      const call = yield* Effect.forkChild(Effect.flip(api.post("/stuck")))
      yield* begun
      yield* own.close()
      const error = yield* Fiber.join(call)
      assert.strictEqual(outcomeOf(error), "unknown")
      assert.strictEqual(failureOf(error)?.reason._tag, "ConnectionLost")
      const other = ApiClient.make(yield* a!.fleet.awaitConnection(named("two")))
      assert.strictEqual((yield* other.get("/hello")).status, 200)
    }).pipe(Effect.scoped))

  it.effect("a node that is lost during a call leaves its outcome unknown, and calls to other nodes alone", () =>
    Effect.gen(function*() {
      const { network, nodes } = yield* makeNodes("a", "b", "c")
      const [a, b, c] = nodes
      const { begun, routes } = yield* stuck
      yield* b!.device("one", routes)
      yield* c!.device("two", hello)
      const api = ApiClient.make(yield* a!.fleet.awaitConnection(named("one")))
      const other = ApiClient.make(yield* a!.fleet.awaitConnection(named("two")))
      const call = yield* Effect.forkChild(Effect.flip(api.post("/stuck")))
      yield* begun
      network.break("b")
      yield* TestClock.adjust("15 seconds")
      assert.strictEqual(outcomeOf(yield* Fiber.join(call)), "unknown")
      assert.strictEqual((yield* other.get("/hello")).status, 200)
    }))

  it.live("finish when the node of the device leaves, and calls that come later are not processed", () =>
    Effect.gen(function*() {
      const { nodes } = yield* makeNodes("a", "b")
      const [a, b] = nodes
      const begun = yield* Deferred.make<void>()
      const mayEnd = yield* Deferred.make<void>()
      const slow = Deferred.succeed(begun, undefined).pipe(
        Effect.andThen(Deferred.await(mayEnd)),
        Effect.as(HttpServerResponse.text("done"))
      )
      yield* b!.device("one", HttpRouter.add("POST", "/slow", slow))
      const device = yield* a!.fleet.awaitConnection(named("one"))
      const call = yield* Effect.forkChild(ApiClient.make(device).post("/slow"))
      yield* Deferred.await(begun)
      const leaving = yield* Effect.forkChild(b!.leave)
      yield* eventually(() => assert.isEmpty(Effect.runSync(a!.fleet.connections)))
      yield* Deferred.succeed(mayEnd, undefined)
      assert.strictEqual(yield* (yield* Fiber.join(call)).text, "done")
      yield* Fiber.join(leaving)
      assert.strictEqual(outcomeOf(yield* Effect.flip(ApiClient.make(device).post("/slow"))), "not-sent")
    }).pipe(Effect.scoped))

  it.effect("wait while the link between the nodes is cut, and are executed once", () =>
    Effect.gen(function*() {
      const { network, nodes } = yield* makeNodes("a", "b")
      const [a, b] = nodes
      let executed = 0
      const count = Effect.sync(() => HttpServerResponse.text(String(++executed)))
      yield* b!.device("one", HttpRouter.add("POST", "/count", count))
      const api = ApiClient.make(yield* a!.fleet.awaitConnection(named("one")))
      network.break("a")
      const call = yield* Effect.forkChild(api.post("/count"))
      yield* TestClock.adjust("4 seconds")
      network.mend("a")
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* (yield* Fiber.join(call)).text, "1")
      assert.strictEqual(executed, 1)
    }))
})

describe("groups", () => {
  it.live("any node adds a device of any node to a group, and calls all of them", () =>
    Effect.gen(function*() {
      const { nodes } = yield* makeNodes("a", "b")
      const [a, b] = nodes
      for (const [node, name] of [[a!, "one"], [b!, "two"], [b!, "three"]] as const) {
        yield* node.device(name, HttpRouter.add("GET", "/name", HttpServerResponse.text(name)))
      }
      yield* a!.fleet.join(yield* a!.fleet.awaitConnection(named("one")), "blue")
      yield* a!.fleet.join(yield* a!.fleet.awaitConnection(named("two")), "blue")
      yield* b!.fleet.join(yield* b!.fleet.awaitConnection(named("three")), "blue")
      const ask = (node: typeof a) =>
        Stream.runCollect(Stream.mapEffect(
          node!.fleet.callAll("blue", HttpClientRequest.get("/name")),
          (result) => result._tag === "Answered" ? result.response.text : Effect.succeed(result.outcome)
        ))
      yield* Effect.repeat(ask(b), { until: (names) => names.length === 3 })
      assert.deepStrictEqual((yield* ask(a)).sort(), ["one", "three", "two"])
      yield* a!.fleet.leave(yield* a!.fleet.awaitConnection(named("three")), "blue")
      assert.deepStrictEqual((yield* ask(a)).sort(), ["one", "two"])
    }).pipe(Effect.scoped))

  it.live("of calls to all some may fail, each with its outcome", () =>
    Effect.gen(function*() {
      const { nodes } = yield* makeNodes("a", "b")
      const [a, b] = nodes
      yield* a!.device("one", hello)
      const { begun, routes } = yield* stuck
      const own = yield* b!.device("two", routes)
      yield* a!.fleet.awaitConnection(named("two"))
      const request = (device: Fleet.FleetConnection<{ readonly name: string }>) =>
        device.metadata.name === "one" ? HttpClientRequest.get("/hello") : HttpClientRequest.post("/stuck")
      const calling = yield* Effect.forkChild(Stream.runCollect(a!.fleet.callAll(() => true, request)))
      yield* begun
      yield* own.close()
      const results = yield* Fiber.join(calling)
      assert.deepStrictEqual(
        results.map((result) => [
          result.connection.metadata.name,
          result._tag === "Failed" ? result.outcome : result.response.status
        ]),
        [["one", 200], ["two", "unknown"]]
      )
    }).pipe(Effect.scoped))

  it.effect("a call that takes too long is given up, and its outcome is unknown", () =>
    Effect.gen(function*() {
      const { nodes } = yield* makeNodes("a", "b")
      const [a, b] = nodes
      const { begun, interrupted, routes } = yield* stuck
      yield* b!.device("one", routes)
      yield* a!.fleet.awaitConnection(named("one"))
      const request = HttpClientRequest.post("/stuck")
      const calling = yield* Effect.forkChild(
        Stream.runCollect(a!.fleet.callAll(() => true, request, { timeout: "3 seconds" }))
      )
      yield* begun
      yield* TestClock.adjust("3 seconds")
      const [result] = yield* Fiber.join(calling)
      assert.deepInclude(result, { _tag: "Failed", outcome: "unknown" })
      yield* interrupted
    }))
})
