/**
 * Pages that were loaded over plain HTTP have no `crypto.randomUUID` and no `crypto.subtle` (Secure Contexts, W3C).
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as Idempotency from "effect-swaggersocket/Idempotency"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import { goServer, startClient, startHub } from "../v1/peers.ts"

const secureOnly = ["randomUUID", "subtle"] as const

beforeAll(() => {
  for (const name of secureOnly) {
    Object.defineProperty(globalThis.crypto, name, { value: undefined, configurable: true })
  }
})

afterAll(() => {
  for (const name of secureOnly) Reflect.deleteProperty(globalThis.crypto, name)
})

const Hello = HttpRouter.add("GET", "/hello", HttpServerResponse.text("hello"))

const Orders = Layer.suspend(() => {
  let orders = 0
  return Layer.merge(
    HttpRouter.add("POST", "/order", Effect.sync(() => HttpServerResponse.text(`order ${++orders}`))),
    Idempotency.layerGlobal
  ).pipe(Layer.provide(Idempotency.layer()))
})

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

describe("insecure context of a browser", () => {
  it.live("a client of wire v1 in an insecure context calls a Go server, each call with an id of its own", () =>
    Effect.gen(function*() {
      assert.isUndefined(globalThis.crypto.randomUUID)
      const server = yield* goServer()
      const { http } = yield* startClient(server.url, { wire: "v1" })
      const { peer } = yield* server.accept
      const ids = new Set<string>()
      for (let i = 0; i < 3; i++) {
        const call = yield* Effect.forkChild(http.get("/x"))
        const request = yield* peer.next
        const id = /^x-correlation-id: (.*)\r$/im.exec(request)?.[1] ?? "none"
        assert.match(id, uuid)
        ids.add(id)
        peer.answer(request, "fine")
        assert.strictEqual((yield* Fiber.join(call)).status, 200)
      }
      assert.strictEqual(ids.size, 3)
    }))

  for (const wire of ["v1", "v2"] as const) {
    it.live(`both ends connect, serve and call in an insecure context on wire ${wire}`, () =>
      Effect.gen(function*() {
        const { hub, url } = yield* startHub({ api: Hello })
        const { http } = yield* startClient(url, { wire, api: Hello })
        assert.strictEqual(yield* (yield* http.get("/hello")).text, "hello")
        const connection = yield* hub.awaitConnection()
        assert.match(connection.id, uuid)
        assert.strictEqual(yield* (yield* ApiClient.make(connection).get("/hello")).text, "hello")
      }))
  }

  it.live("a request with an idempotency key is executed once in an insecure context", () =>
    Effect.gen(function*() {
      const { url } = yield* startHub({ api: Orders })
      const { http } = yield* startClient(url)
      const order = http.execute(
        HttpClientRequest.post("/order", { headers: { "idempotency-key": "a" }, body: HttpBody.text("a pump") })
      )
      for (let i = 0; i < 2; i++) assert.strictEqual(yield* (yield* order).text, "order 1")
    }))
})
