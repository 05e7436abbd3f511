/**
 * Nodes on loopback: bodies and back-pressure from one to a device of another, upgrades, callers that come over a relay, and a node that
 * is killed.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiWebSocket from "effect-swaggersocket/ApiWebSocket"
import * as Directory from "effect-swaggersocket/Directory"
import * as Relay from "effect-swaggersocket/Relay"
import { outcomeOf } from "effect-swaggersocket/SwaggerSocketError"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { bytesOf, hashOf, MiB, sha256 } from "../support/bodies.ts"
import { serveRoutes } from "../support/connections.ts"
import { fork } from "../support/fork.ts"
import type { Listening } from "./children/node.ts"
import { named } from "./fleets.ts"
import { connectDevice, makeSocketNode, makeSocketNodes } from "./socketNodes.ts"

const fine = HttpRouter.add("GET", "/fine", HttpServerResponse.text("fine"))

/** A body without end, and how much of it was asked for. */
const makeEndless = () => {
  const chunk = new Uint8Array(64 * 1024)
  const endless = { produced: 0, stream: Stream.empty as Stream.Stream<Uint8Array> }
  endless.stream = Stream.forever(Stream.sync(() => {
    endless.produced += chunk.length
    return chunk
  }))
  return endless
}

describe("bodies between nodes, over WebSockets", () => {
  it.live("arrive whole both ways at once", () =>
    Effect.gen(function*() {
      const [a, b] = yield* makeSocketNodes("a", "b")
      const both = Effect.gen(function*() {
        const request = yield* HttpServerRequest.HttpServerRequest
        return HttpServerResponse.stream(request.stream)
      })
      yield* b!.device("one", HttpRouter.add("POST", "/both", both))
      const api = ApiClient.make(yield* a!.fleet.awaitConnection(named("one")))
      const response = yield* api.post("/both", { body: HttpBody.stream(bytesOf(7, 4 * MiB)) })
      assert.strictEqual(yield* sha256(response.stream), hashOf(7, 4 * MiB))
    }).pipe(Effect.scoped))

  it.live("a reader that stops on one node holds its own body alone, and no more of it than windows have", () =>
    Effect.gen(function*() {
      const [a, b] = yield* makeSocketNodes("a", "b")
      const endless = makeEndless()
      yield* b!.device(
        "one",
        Layer.mergeAll(HttpRouter.add("GET", "/endless", HttpServerResponse.stream(endless.stream)), fine)
      )
      const api = ApiClient.make(yield* a!.fleet.awaitConnection(named("one")))
      const response = yield* api.get("/endless")
      yield* Effect.forkScoped(Stream.runForEach(response.stream, () => Effect.never))
      let before = -1
      while (before !== endless.produced) {
        before = endless.produced
        for (let call = 0; call < 20; call++) assert.strictEqual((yield* api.get("/fine")).status, 200)
      }
      assert.isBelow(endless.produced, 4 * MiB)
    }).pipe(Effect.scoped))

  it.live("a device that does not read a body stops its sender on another node, and no other call", () =>
    Effect.gen(function*() {
      const [a, b] = yield* makeSocketNodes("a", "b")
      const begun = yield* Deferred.make<void>()
      const ignored = Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)
      yield* b!.device("one", Layer.mergeAll(HttpRouter.add("POST", "/ignored", ignored), fine))
      const api = ApiClient.make(yield* a!.fleet.awaitConnection(named("one")))
      const endless = makeEndless()
      yield* Effect.forkScoped(api.post("/ignored", { body: HttpBody.stream(endless.stream) }))
      yield* Deferred.await(begun)
      let before = -1
      while (before !== endless.produced) {
        before = endless.produced
        for (let call = 0; call < 20; call++) assert.strictEqual((yield* api.get("/fine")).status, 200)
      }
      assert.isBelow(endless.produced, 4 * MiB)
    }).pipe(Effect.scoped))
})

describe("what else goes from node to node", () => {
  it.live("a WebSocket inside the connection of a device of another node", () =>
    Effect.gen(function*() {
      const [a, b] = yield* makeSocketNodes("a", "b")
      const echo = Effect.gen(function*() {
        const socket = yield* (yield* HttpServerRequest.HttpServerRequest).upgrade
        const writer = yield* socket.writer
        const { pull } = yield* socket.reader
        yield* Effect.ignore(Effect.forever(Effect.flatMap(pull, writer.writeAll)))
        return HttpServerResponse.empty()
      })
      yield* b!.device("one", HttpRouter.add("GET", "/echo", echo))
      const device = yield* a!.fleet.awaitConnection(named("one"))
      const socket = yield* Effect.provide(ApiWebSocket.make("/echo"), ApiClient.layerConnection(device))
      const writer = yield* socket.writer
      const { pull } = yield* socket.reader
      yield* writer.write("ahoy")
      assert.deepStrictEqual(yield* pull, ["ahoy"])
    }).pipe(Effect.scoped))

  it.live("a request that a caller's connection brings is relayed to a device of another node, and its outcome back", () =>
    Effect.gen(function*() {
      const [a, b] = yield* makeSocketNodes("a", "b")
      const begun = yield* Deferred.make<void>()
      const stuck = Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)
      const own = yield* b!.device("one", Layer.mergeAll(HttpRouter.add("GET", "/stuck", stuck), fine))
      const device = yield* a!.fleet.awaitConnection(named("one"))
      const calling = yield* SwaggerSocketTest.makePair()
      yield* serveRoutes(calling.server, HttpRouter.add("*", "/*", Relay.to(device)))
      const api = ApiClient.make(calling.client)
      assert.strictEqual(yield* (yield* api.get("/fine")).text, "fine")
      const call = yield* Effect.forkChild(Effect.flip(api.get("/stuck")))
      yield* Deferred.await(begun)
      yield* own.close()
      assert.strictEqual(outcomeOf(yield* Fiber.join(call)), "unknown")
    }).pipe(Effect.scoped))
})

describe("a node that is killed", () => {
  it.live("what callers are told of calls to its devices is true, and calls to others go on", () =>
    Effect.gen(function*() {
      const child = yield* fork(new URL("children/node.ts", import.meta.url))
      const { nodes, url } = yield* child.hear<Listening>("listening")
      const a = yield* makeSocketNode(
        "a",
        (own) => Directory.layerStatic([{ name: "a", url: own }, { name: "b", url: nodes }])
      )
      const executed = new Map<string, number>()
      const job = Effect.gen(function*() {
        const { id } = yield* HttpRouter.params
        executed.set(id!, (executed.get(id!) ?? 0) + 1)
        yield* Effect.sleep(5)
        return HttpServerResponse.text(id!)
      })
      yield* connectDevice(url, "far", HttpRouter.add("POST", "/jobs/:id", job))
      yield* a.device("near", fine)
      const far = yield* a.fleet.awaitConnection(named("far"))
      const near = ApiClient.make(yield* a.fleet.awaitConnection(named("near")))

      /** For each call whether it was answered, or what is known of it. */
      const results = new Map<string, string>()
      const many = yield* Deferred.make<void>()
      let calls = 0
      const caller = Effect.gen(function*() {
        while (true) {
          const id = `${calls++}`
          const result = yield* Effect.match(ApiClient.make(far).post(`/jobs/${id}`), {
            onFailure: (error) => outcomeOf(error)!,
            onSuccess: () => "answered"
          })
          results.set(id, result)
          if (results.size === 100) yield* Deferred.succeed(many, undefined)
          if (result !== "answered") return
        }
      })
      const callers = yield* Effect.forEach(Array.from({ length: 16 }), () => Effect.forkChild(caller))
      yield* Deferred.await(many)
      child.process.kill("SIGKILL")
      assert.strictEqual((yield* near.get("/fine")).status, 200)
      yield* Effect.forEach(callers, Fiber.join)
      assert.strictEqual(results.size, calls)
      for (const [id, result] of results) {
        const times = executed.get(id) ?? 0
        if (result === "answered") assert.strictEqual(times, 1)
        else if (result === "unknown") assert.isAtMost(times, 1)
        else assert.strictEqual(times, 0, result)
      }
      assert.include([...results.values()], "unknown")
      assert.strictEqual((yield* far.closed)._tag, "Failed")
      assert.lengthOf(yield* a.fleet.connections, 1)
      assert.strictEqual((yield* near.get("/fine")).status, 200)
    }).pipe(Effect.scoped))
})
