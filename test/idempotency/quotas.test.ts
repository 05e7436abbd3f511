/**
 * Callers who send many keys, or other credentials with each, make room for others, and not the others for them.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type { QuotaExceeded } from "effect-swaggersocket/ConnectionEvent"
import * as Idempotency from "effect-swaggersocket/Idempotency"
import * as Quotas from "effect-swaggersocket/Quotas"
import { SwaggerSocketClient } from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { exceededCount } from "../support/flood.ts"
import { type App, ask, assertAnswer, eventually, fork, limits, makeCounter, settle } from "./keyed.ts"

class Hub extends SwaggerSocketServer.Service<Hub, string | undefined>()("test/idempotency/quotas/Hub") {}

const bytes = (size: number) => new Uint8Array(size).fill(97)

const attacker = "6.6.6.6"

/** A hub that executes each key once, and clients of it that say from where they come, and as whom. */
const start = Effect.fnUntraced(function*(options: Idempotency.Options, app: App) {
  const events: Array<QuotaExceeded> = []
  const hub = yield* Layer.build(Hub.layerNoRoute({
    limits,
    addressOf: Quotas.forwardedAddress(),
    authenticate: ({ headers }) => Effect.succeed(headers["x-user"])
  }))
  const once = yield* Idempotency.make({
    ...options,
    onQuotaExceeded: (event) => Effect.sync(() => void events.push(event))
  })
  yield* Layer.build(
    HttpServer.serve(once(app)).pipe(
      Layer.provide(ApiServer.layerServer(Hub)),
      Layer.provide(Layer.succeedContext(hub))
    )
  )
  const connect = Effect.fnUntraced(function*(address: string, user?: string) {
    const headers = { "x-forwarded-for": address, ...(user === undefined ? undefined : { "x-user": user }) }
    const client = yield* Layer.build(
      SwaggerSocketTest.layerClient(Hub, { headers, limits }).pipe(Layer.provide(Layer.succeedContext(hub)))
    )
    return ApiClient.make(yield* Context.get(client, SwaggerSocketClient).connection)
  })
  const { connections } = Context.get(hub, Hub)
  const closeAll = Effect.flatMap(connections, Effect.forEach((connection) => connection.close()))
  return { events, connect, closeAll }
})

/** With metrics of its own. */
const counted = (title: string, body: () => Effect.Effect<unknown, unknown, Scope.Scope>) =>
  it.effect(title, () => Effect.provideService(body(), Metric.MetricRegistry, new Map()))

/** Other credentials with each request. */
const varied = (api: HttpClient.HttpClient, n: number) =>
  HttpClient.mapRequest(api, HttpClientRequest.setHeaders({ authorization: `Bearer ${n}`, cookie: `id=${n}` }))

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)

const answered = (size = 0) => makeCounter(() => Effect.succeed(HttpServerResponse.uint8Array(bytes(size))))

describe("callers who vary their credentials", () => {
  for (
    const [what, quotas] of [
      ["keys", { idempotencyKeys: 40 }],
      ["bytes", { idempotencyBytes: 40_000 }]
    ] as const
  ) {
    counted(
      `an address without principal that sends other credentials with each key takes no kept answer of others (${what})`,
      () =>
        Effect.gen(function*() {
          const counter = answered(1000)
          const { connect, events } = yield* start({ quotas: { server: quotas } }, counter.app)
          const honest = yield* connect("10.0.0.1")
          const rogue = yield* connect(attacker)
          for (const n of numbers(10)) yield* ask(honest, `${n}`)
          const flood = yield* fork(Effect.forEach(numbers(200), (n) => ask(varied(rogue, n), "k")))
          const times: Array<number> = []
          while (flood.pollUnsafe() === undefined || times.length < 20) {
            const since = performance.now()
            assertAnswer(yield* ask(honest, `${times.length % 10}`), { status: 200, replayed: true })
            times.push(performance.now() - since)
          }
          for (const answer of yield* Fiber.join(flood)) assertAnswer(answer, { status: 200 })
          for (const n of numbers(10)) assertAnswer(yield* ask(honest, `${n}`), { status: 200, replayed: true })
          // eslint-disable-next-line no-console
          console.log(
            `idempotency ${what}: honest callers ${times.length}/${times.length} replayed, slowest ${
              Math.round(Math.max(...times))
            } ms; the flood was answered 200 200 times, and its own answers were forgotten`
          )
          assert.strictEqual(counter.count, 210)
          // Its last ones are kept, and its first ones are not.
          assertAnswer(yield* ask(varied(rogue, 199), "k"), { status: 200, replayed: true })
          assertAnswer(yield* ask(varied(rogue, 0), "k"), { status: 200 })
          const [quota] = Object.keys(quotas)
          assert.deepStrictEqual([events[0]!.quota, events[0]!.holder], [quota, "server"])
          assert.isAtLeast(yield* exceededCount(quota!, "server"), 150)
        })
    )
  }

  counted(
    "keys in progress with other credentials each leave room for others; further ones are answered 429",
    () =>
      Effect.gen(function*() {
        const gate = Deferred.makeUnsafe<void>()
        const counter = makeCounter(() => Effect.as(Deferred.await(gate), HttpServerResponse.text("done")))
        const { connect, events } = yield* start({ quotas: { server: { idempotencyKeys: 20 } } }, counter.app)
        const rogue = yield* connect(attacker)
        const calls = yield* Effect.forEach(numbers(50), (n) => fork(ask(varied(rogue, n), "k")))
        yield* eventually(() => calls.filter((call) => call.pollUnsafe() !== undefined).length === 40)
        assert.strictEqual(counter.count, 10)
        const honest = yield* connect("10.0.0.1")
        const honestCalls = yield* Effect.forEach(numbers(3), (n) => fork(ask(honest, `${n}`)))
        yield* eventually(() => counter.count === 13)
        assert.deepInclude(events[0], { quota: "idempotencyKeys", holder: "address", address: attacker })
        yield* Deferred.succeed(gate, undefined)
        for (const call of honestCalls) assertAnswer(yield* Fiber.join(call), { status: 200, text: "done" })
        const statuses = yield* Effect.forEach(calls, (call) => Effect.map(Fiber.join(call), ({ status }) => status))
        assert.strictEqual(statuses.filter((status) => status === 429).length, 40)
        // Those that were executed are kept.
        assert.strictEqual(counter.count, 13)
      })
  )

  counted(
    "request bodies that an address announces and does not send leave room for those of others",
    () =>
      Effect.gen(function*() {
        const seen: Array<string> = []
        const app: App = Effect.gen(function*() {
          const request = yield* HttpServerRequest.HttpServerRequest
          seen.push(request.headers["x-who"]!)
          return yield* Effect.as(Effect.orDie(request.arrayBuffer), HttpServerResponse.empty())
        })
        const { closeAll, connect } = yield* start({ quotas: { server: { idempotencyBytes: 30_000 } } }, app)
        const as = (who: string, api: HttpClient.HttpClient) =>
          HttpClient.mapRequest(api, HttpClientRequest.setHeader("x-who", who))
        const rogue = as("rogue", yield* connect(attacker))
        const body = () => HttpBody.stream(Stream.never, "text/plain", 1000)
        yield* Effect.forEach(numbers(60), (n) => fork(Effect.exit(ask(varied(rogue, n), "k", { body: body() }))))
        // The handlers of those that found no room read the body themselves.
        yield* eventually(() => seen.length === 45)
        yield* settle
        const waiting = seen.length
        const honest = as("honest", yield* connect("10.0.0.1"))
        const announced = yield* fork(Effect.exit(ask(honest, "k", { body: body() })))
        yield* settle
        const found = [...seen]
        yield* closeAll
        yield* Fiber.await(announced)
        assert.strictEqual(waiting, 45)
        assert.notInclude(found, "honest")
      })
  )
})

describe("quotas of an address and of a principal", () => {
  for (const holder of ["address", "principal"] as const) {
    const part = holder === "address" ? "perAddress" : "perPrincipal"
    counted(
      `an ${holder} with too many keys, or bytes, loses its own oldest answers, on however many connections`,
      () =>
        Effect.gen(function*() {
          for (const [quota, most] of [["idempotencyKeys", 3], ["idempotencyBytes", 3500]] as const) {
            const counter = answered(1000)
            const { connect, events } = yield* start({ quotas: { [part]: { [quota]: most } } }, counter.app)
            const name = (n: number) => holder === "address" ? connect(attacker) : connect(`10.1.0.${n}`, "eve")
            const other = yield* connect("10.0.0.1", "ada")
            yield* ask(other, "k")
            for (const n of numbers(6)) yield* ask(yield* name(n), `${n}`)
            const last = yield* name(9)
            for (const n of [3, 4, 5]) assertAnswer(yield* ask(last, `${n}`), { status: 200, replayed: true })
            assertAnswer(yield* ask(other, "k"), { status: 200, replayed: true })
            assert.strictEqual(counter.count, 7)
            assertAnswer(yield* ask(last, "0"), { status: 200 })
            assert.deepStrictEqual([events[0]!.quota, events[0]!.holder], [quota, holder])
            assert.strictEqual(yield* exceededCount(quota, holder), 4)
          }
        })
    )
  }

  counted(
    "a holder whose keys are all in progress loses none of them: its next one is answered 429",
    () =>
      Effect.gen(function*() {
        const gate = Deferred.makeUnsafe<void>()
        const counter = makeCounter(() => Effect.as(Deferred.await(gate), HttpServerResponse.text("done")))
        const { connect } = yield* start({ quotas: { perPrincipal: { idempotencyKeys: 2 } } }, counter.app)
        const eve = yield* connect(attacker, "eve")
        const calls = yield* Effect.forEach(["a", "b"], (key) => fork(ask(eve, key)))
        yield* eventually(() => counter.count === 2)
        assertAnswer(yield* ask(eve, "c"), { status: 429 })
        const repetition = yield* fork(ask(eve, "a"))
        yield* settle
        yield* Deferred.succeed(gate, undefined)
        for (const call of calls) assertAnswer(yield* Fiber.join(call), { status: 200, text: "done" })
        assertAnswer(yield* Fiber.join(repetition), { status: 200, text: "done", replayed: true })
        assert.strictEqual(counter.count, 2)
      })
  )

  counted(
    "over plain HTTP addresses count, those that a proxy tells where it is asked for, and principals that the program names",
    () =>
      Effect.gen(function*() {
        const exceeded: Array<string> = []
        const counter = answered()
        const call = (once: Idempotency.Middleware, headers: Record<string, string>) =>
          Effect.scoped(once(counter.app)).pipe(
            Effect.provideService(
              HttpServerRequest.HttpServerRequest,
              HttpServerRequest.fromWeb(new Request("http://hub/orders", { method: "POST", headers }))
            )
          )
        const once = yield* Idempotency.make({
          quotas: { perAddress: { idempotencyKeys: 2 }, perPrincipal: { idempotencyKeys: 1 } },
          addressOf: Quotas.forwardedAddress(),
          principalOf: ({ headers }) => Effect.succeed(headers["x-user"]),
          onQuotaExceeded: ({ address, holder, principal }) =>
            Effect.sync(() => void exceeded.push(`${holder} ${address ?? principal}`))
        })
        for (const n of numbers(3)) {
          yield* call(once, { "idempotency-key": `${n}`, "x-forwarded-for": attacker, authorization: `${n}` })
        }
        for (const n of numbers(2)) {
          yield* call(once, { "idempotency-key": `${n}`, "x-forwarded-for": `10.0.0.${n}`, "x-user": "eve" })
        }
        yield* eventually(() => exceeded.length === 2)
        assert.deepStrictEqual(exceeded, [`address ${attacker}`, "principal eve"])
      })
  )
})

describe("memory of the process", () => {
  counted(
    "answers that are kept count, and whoever keeps the most gives up half of them",
    () =>
      Effect.gen(function*() {
        const counter = answered(10_000)
        const { connect, events } = yield* start({ quotas: { process: { memory: 500_000 } } }, counter.app)
        const honest = yield* connect("10.0.0.1")
        for (const n of numbers(10)) yield* ask(honest, `${n}`)
        const rogue = yield* connect(attacker)
        for (const n of numbers(100)) yield* ask(varied(rogue, n), "k")
        for (const n of numbers(10)) assertAnswer(yield* ask(honest, `${n}`), { status: 200, replayed: true })
        assertAnswer(yield* ask(varied(rogue, 99), "k"), { status: 200, replayed: true })
        assert.deepStrictEqual([events[0]!.quota, events[0]!.holder], ["memory", "process"])
      })
  )
})
