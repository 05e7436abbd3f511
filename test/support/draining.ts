/**
 * What the tests of drains share: a server that can be told to go, a client of whatever the proxy leads to, and calls that
 * end when the test says so.
 */
import { assert } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type * as Connection from "effect-swaggersocket/Connection"
import type * as Limits from "effect-swaggersocket/Limits"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as FaultProxy from "effect-swaggersocket/testing/FaultProxy"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Hub, layerHub, socketUrl } from "./connections.ts"
import { keepEvents } from "./events.ts"
import { dial } from "./proxied.ts"

/** A server, and an API on it, each of which closes when it is told to. */
export const serve = Effect.fnUntraced(function*<A, E, R>(
  routes: Layer.Layer<A, E, R>,
  options: { readonly limits?: Limits.Options | undefined; readonly port?: number } = {}
) {
  const scope = yield* Scope.make()
  yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
  const context = yield* Scope.provide(Layer.build(layerHub(options)), scope)
  const serveApi = <A, E, R>(routes: Layer.Layer<A, E, R>) =>
    Effect.gen(function*() {
      const own = yield* Scope.fork(scope)
      yield* HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
        Layer.provide(ApiServer.layerServer(Hub)),
        Layer.build,
        Effect.provide(context),
        Scope.provide(own)
      )
      return Scope.close(own, Exit.void)
    })
  const closeApi = yield* serveApi(routes)
  return {
    hub: Context.get(context, Hub),
    url: yield* Effect.provide(socketUrl, context),
    serveApi,
    closeApi,
    close: Scope.close(scope, Exit.void)
  }
})

/** A client, what happens to it, and calls that go to whatever it is connected with. */
export const connect = Effect.fnUntraced(function*(options: Parameters<typeof dial>[0]) {
  const { client } = yield* dial(options)
  const events = yield* keepEvents(client.events)
  const provided = Layer.succeed(SwaggerSocketClient.SwaggerSocketClient, client)
  const services = yield* Layer.build(Layer.provide(ApiClient.layer, provided))
  const serveApi = <A, E, R>(routes: Layer.Layer<A, E, R>) =>
    Effect.gen(function*() {
      const own = yield* Scope.fork(yield* Effect.scope)
      yield* HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
        Layer.provide(ApiServer.layer),
        Layer.provide(provided),
        Layer.build,
        Scope.provide(own)
      )
      return Scope.close(own, Exit.void)
    })
  return { client, events, serveApi, api: Context.get(services, HttpClient.HttpClient) }
})

/** A server behind a fault proxy, and a client that came through it. */
export const behindProxy = Effect.fnUntraced(function*<A, E, R>(
  routes: Layer.Layer<A, E, R>,
  limits?: Limits.Options
) {
  const server = yield* serve(routes, { limits })
  const proxy = yield* FaultProxy.make({ target: server.url })
  const caller = yield* connect({ url: proxy.url, limits })
  const near = yield* caller.client.connection
  const far = yield* server.hub.awaitConnection(({ id }) => id === near.id)
  return { server, proxy, ...caller, near, far }
})

export const start = Effect.forkChild({ startImmediately: true })

export const isDone = (fiber: Fiber.Fiber<unknown, unknown>): boolean => fiber.pollUnsafe() !== undefined

/** Waits until a connection has a status. */
export const until = (connection: Connection.Connection, status: Connection.Status) =>
  Effect.flatMap(
    Stream.runHead(Stream.filter(connection.changes, (now) => now === status)),
    (found) => Effect.sync(() => assert.isTrue(found._tag === "Some", `the connection was never ${status}`))
  )

/** Keeps the statuses of a connection, to its end. */
export const statuses = Effect.fnUntraced(function*(connection: Connection.Connection) {
  const seen: Array<Connection.Status> = []
  yield* Effect.forkScoped(
    Stream.runForEach(connection.changes, (status) => Effect.sync(() => seen.push(status))),
    { startImmediately: true }
  )
  return seen
})

/** Waits for the connection that a client has in place of another. */
export const successor = (client: SwaggerSocketClient.SwaggerSocketClient["Service"], before: Connection.Connection) =>
  Effect.map(
    Stream.runHead(Stream.filter(
      client.changes,
      (status) => status._tag === "Connected" && status.connection.id !== before.id
    )),
    (status) => status._tag === "Some" && status.value._tag === "Connected" ? status.value.connection : assert.fail()
  )

/** A handler that answers when it may. */
export const slow = Effect.fnUntraced(function*(
  answer: Effect.Effect<HttpServerResponse.HttpServerResponse, unknown> = Effect.succeed(
    HttpServerResponse.text("at last")
  )
) {
  const started = yield* Deferred.make<void>()
  const may = yield* Deferred.make<void>()
  const handler = { executions: 0, interruptions: 0 }
  return {
    handler,
    routes: HttpRouter.add(
      "POST",
      "/slow",
      Effect.suspend(() => {
        handler.executions++
        Deferred.doneUnsafe(started, Exit.void)
        return Effect.andThen(Deferred.await(may), answer)
      }).pipe(Effect.onInterrupt(() => Effect.sync(() => handler.interruptions++)))
    ),
    /** The handler runs. */
    started: Deferred.await(started),
    finish: Deferred.succeed(may, undefined)
  }
})

/** An API that counts who was executed how often. */
export const counting = (name: string) => {
  const executions = new Map<string, number>()
  const routes = HttpRouter.add(
    "POST",
    "/count/:id",
    Effect.map(HttpRouter.params, ({ id }) => {
      executions.set(id!, (executions.get(id!) ?? 0) + 1)
      return HttpServerResponse.text(name)
    })
  )
  return { executions, routes }
}

/** Calls the peer of a connection, and repeats nothing. */
export const once = (connection: Connection.Connection) =>
  Effect.map(
    Layer.build(Layer.provide(
      ApiClient.layerConnection(connection),
      ApiClient.layerRetryPolicy({ schedule: Schedule.recurs(0) })
    )),
    (services) => Context.get(services, HttpClient.HttpClient)
  )

export const text = <E, R>(response: Effect.Effect<{ readonly text: Effect.Effect<string, E> }, E, R>) =>
  Effect.flatMap(response, ({ text }) => text)
