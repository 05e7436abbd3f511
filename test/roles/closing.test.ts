/**
 * Who dials a server that closes and serves no API: nobody waits for an answer that never comes.
 */
import { assert, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { dial } from "../faults/ends.ts"
import { dial as dialRaw } from "../hostile/rawPeer.ts"
import { Hub, layerHub, serveRoutes, socketUrl } from "../load/harness.ts"

it.live("a server that closes answers upgrades with 503 while calls that are open finish", () =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(layerHub(), scope)
    const url = yield* Effect.provide(socketUrl, context)
    const { client } = yield* dial({ url })
    const called = yield* Deferred.make<void>()
    const finish = yield* Deferred.make<void>()
    yield* serveRoutes(
      yield* client.connection,
      HttpRouter.add(
        "GET",
        "/slow",
        Effect.andThen(
          Deferred.succeed(called, undefined),
          Effect.as(Deferred.await(finish), HttpServerResponse.empty())
        )
      )
    )
    const connection = yield* Context.get(context, Hub).awaitConnection()
    const call = yield* Effect.forkChild(Effect.exit(ApiClient.make(connection).get("/slow")))
    yield* Deferred.await(called)
    const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
    const refused = yield* Effect.flip(Effect.timeout(dialRaw(url), "20 seconds"))
    assert.include(String(refused), "503")
    assert.isUndefined(closing.pollUnsafe(), "the server did not wait for the call")
    yield* Deferred.succeed(finish, undefined)
    yield* Fiber.join(closing)
    yield* Fiber.join(call)
  }))
