/**
 * Many clients whose server goes away and comes back on the same port.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type * as ConnectionEvent from "effect-swaggersocket/ConnectionEvent"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import { outcomeOf } from "effect-swaggersocket/SwaggerSocketError"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { peerOf } from "../../src/internal/connection/peer.ts"
import { Hub, layerHub, serveRoutes, socketUrl } from "../support/connections.ts"
import { report, round, timed } from "../support/measurements.ts"
import { eventually } from "../support/waiting.ts"

const count = 200

/**
 * A call that is never answered keeps all others of its client in the queue. A server that waited for anybody's goodbye
 * would not close within the test's time.
 */
const limits = { maxConcurrentStreams: 1, drainTimeout: "200 millis", closeTimeout: "10 minutes" } as const

/** A server whose clients are told its generation. */
const serve = Effect.fnUntraced(function*(generation: number, port: number) {
  const scope = yield* Scope.make()
  let stuck = 0
  const context = yield* Layer.build(Layer.provideMerge(
    Layer.provide(
      HttpRouter.serve(
        Layer.merge(
          HttpRouter.add(
            "GET",
            "/generation/:name",
            Effect.map(HttpRouter.params, ({ name }) => HttpServerResponse.text(`${generation} for ${name}`))
          ),
          HttpRouter.add(
            "GET",
            "/stuck",
            Effect.suspend(() => {
              stuck++
              return Effect.never
            })
          )
        ),
        { disableLogger: true, disableListenLog: true }
      ),
      ApiServer.layerServer(Hub)
    ),
    layerHub({ port, limits })
  )).pipe(Scope.provide(scope))
  yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
  return {
    hub: Context.get(context, Hub),
    url: yield* Effect.provide(socketUrl, context),
    stuck: () => stuck,
    close: Scope.close(scope, Exit.void)
  }
})

describe("clients of a server that restarts", () => {
  it.live(
    "200 clients of a server that restarts dial again, and their calls meanwhile succeed",
    (context) =>
      Effect.gen(function*() {
        const first = yield* serve(1, 0)
        const port = Number(new URL(first.url).port)
        const clients = yield* Effect.forEach(
          Array.from({ length: count }, (_, name) => name),
          (name) =>
            Effect.gen(function*() {
              const services = yield* Layer.build(
                ApiClient.layer.pipe(
                  Layer.provideMerge(Layer.fresh(SwaggerSocketClient.layer({ url: first.url, metadata: { name } }))),
                  Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor),
                  Layer.provide(Reconnection.layer({
                    schedule: Reconnection.fullJitter({ base: "20 millis", cap: "200 millis" })
                  }))
                )
              )
              const client = Context.get(services, SwaggerSocketClient.SwaggerSocketClient)
              const connection = yield* client.connection
              yield* serveRoutes(connection, HttpRouter.add("GET", "/", HttpServerResponse.text("unused")))
              const lost = yield* Deferred.make<void>()
              const events: Array<ConnectionEvent.ConnectionEvent> = []
              yield* Effect.forkScoped(
                Stream.runForEach(client.events, (event) => {
                  events.push(event)
                  return event._tag === "ConnectionReceived" ? Effect.void : Deferred.succeed(lost, undefined)
                }),
                { startImmediately: true }
              )
              const api = Context.get(services, HttpClient.HttpClient)
              return {
                client,
                connection,
                lost,
                events,
                call: Effect.flatMap(
                  api.get(`/generation/${name}`),
                  (response) => response.status === 200 ? response.text : Effect.succeed(`status ${response.status}`)
                ),
                stuck: Effect.exit(api.get("/stuck"))
              }
            }),
          { concurrency: "unbounded" }
        )
        const callAll = Effect.forEach(clients, ({ call }) => call, { concurrency: "unbounded" })
        const expected = (generation: number) => clients.map((_, name) => `${generation} for ${name}`)
        assert.deepStrictEqual(yield* callAll, expected(1))
        assert.strictEqual((yield* first.hub.connections).length, count)

        const stuck = yield* Effect.forEach(clients, ({ stuck }) => Effect.forkChild(stuck))
        const callEach = Effect.forEach(clients, ({ call }) => Effect.forkChild(Effect.timeout(call, "2 minutes")))
        // In the queue of a connection that is lost,
        const queued = yield* callEach
        yield* eventually(() => {
          assert.strictEqual(first.stuck(), count)
          for (const { connection } of clients) {
            assert.deepStrictEqual(peerOf(connection).mux.active, { local: 1, remote: 0, waiting: 1 })
          }
        })
        const [, closing] = yield* timed(first.close)
        // while it is lost,
        const early = yield* callEach
        yield* Effect.forEach(clients, ({ lost }) => Deferred.await(lost))
        // and while there is none.
        const late = yield* callEach
        // Every client has found out that nobody listens.
        const failed = ({ _tag }: ConnectionEvent.ConnectionEvent) => _tag === "ConnectionAttemptFailed"
        yield* Effect.forEach(
          clients,
          ({ client, events }) => Stream.runHead(Stream.filter(client.changes, () => events.some(failed)))
        )
        const waiting = [queued, early, late]
        assert.isTrue(
          waiting.flat().every((fiber) => fiber.pollUnsafe() === undefined),
          "calls that did not wait"
        )

        const start = performance.now()
        const second = yield* serve(2, port)
        for (const fibers of waiting) assert.deepStrictEqual(yield* Effect.forEach(fibers, Fiber.join), expected(2))
        const back = performance.now() - start
        // What had begun is not repeated: the server says that it stopped, or the connection is lost.
        assert.strictEqual(second.stuck(), 0)
        for (const fiber of stuck) {
          const exit = yield* Fiber.join(fiber)
          assert.isTrue(
            Exit.isSuccess(exit) ? exit.value.status === 503 : outcomeOf(Cause.squash(exit.cause)) === "unknown"
          )
        }
        assert.deepStrictEqual(yield* callAll, expected(2))
        assert.strictEqual((yield* second.hub.connections).length, count)
        const ends: Record<string, number> = {}
        for (const { connection, events } of clients) {
          const end = yield* connection.closed
          const name = end._tag === "Closed" ? `closed by ${end.initiator} with ${end.code}` : end.error.reason._tag
          ends[name] = (ends[name] ?? 0) + 1
          assert.strictEqual(events.filter(({ _tag }) => _tag === "ConnectionReceived").length, 2)
        }
        const attempts = clients.map(({ events }) => events.filter(failed).length)
        report(context, {
          closeMillis: round(closing),
          backMillis: round(back),
          ends,
          failedAttempts: { least: Math.min(...attempts), most: Math.max(...attempts) }
        })
        assert.deepStrictEqual(ends, { "closed by remote with 1001": count })
        yield* second.close
      }),
    180_000
  )
})
