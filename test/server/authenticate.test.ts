/**
 * How long things live that `authenticate` acquires.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Handshake from "effect-swaggersocket/Handshake"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { acceptorOf } from "../../src/internal/server/acceptor.ts"
import { connect, settle } from "../support/memoryPeer.ts"

class Devices extends SwaggerSocketServer.Service<Devices, string>()("test/Acquiring", {}) {}

/** A server whose `authenticate` acquires one thing for each client, named by its metadata. */
const acquiring = Effect.gen(function*() {
  const held: Array<unknown> = []
  const server = Devices.layerNoRoute({
    authenticate: ({ metadata }) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          held.push(metadata)
          return String(metadata)
        }),
        () => Effect.sync(() => held.splice(held.indexOf(metadata), 1))
      ).pipe(
        Effect.filterOrFail(
          (name) => name !== "stranger",
          () => new Handshake.Refusal({ code: "FORBIDDEN", reason: "no strangers" })
        )
      )
  })
  return { held, context: yield* Layer.build(server) }
})

describe("authenticate", () => {
  it.effect("resources that authenticate acquired are released when the connection ends, while the server runs on", () =>
    Effect.gen(function*() {
      const { context, held } = yield* acquiring
      const server = Context.get(context, Devices)
      const scope = yield* Scope.make()
      yield* SwaggerSocketTest.layerClient(Devices, { metadata: "pump" }).pipe(
        Layer.buildWithScope(scope),
        Effect.provideContext(context)
      )
      const connection = yield* server.awaitConnection()
      assert.deepStrictEqual(held, ["pump"])
      yield* Scope.close(scope, Exit.void)
      yield* connection.closed
      yield* settle
      assert.deepStrictEqual(held, [])
    }))

  it.effect("resources of a handshake are released when it is refused", () =>
    Effect.gen(function*() {
      const { context, held } = yield* acquiring
      const server = Context.get(context, Devices)
      const failed = yield* Effect.forkChild(Stream.runHead(server.events), { startImmediately: true })
      yield* Effect.provideContext(
        Layer.build(SwaggerSocketTest.layerClient(Devices, { metadata: "stranger" })),
        context
      )
      yield* Fiber.join(failed)
      yield* settle
      assert.deepStrictEqual(held, [])
    }))

  it.effect("resources of a handshake that resumes a connection are released with its link; the first one's are kept", () =>
    Effect.gen(function*() {
      const { context, held } = yield* acquiring
      const acceptor = acceptorOf(Context.get(context, Devices))
      const first = yield* connect(acceptor, { metadata: "pump" })
      const connection = yield* Context.get(context, Devices).awaitConnection()
      assert.deepStrictEqual(held, ["pump"])
      first.cut()
      let welcome = first.welcome
      for (let n = 0; n < 3; n++) {
        const next = yield* connect(acceptor, { metadata: "pump", resume: welcome })
        yield* Stream.runHead(Stream.filter(connection.changes, (status) => status === "open"))
        assert.strictEqual(next.welcome.connectionId, connection.id)
        assert.deepStrictEqual(held, ["pump", "pump"])
        next.cut()
        yield* Stream.runHead(Stream.filter(connection.changes, (status) => status === "interrupted"))
        welcome = next.welcome
      }
      yield* settle
      assert.deepStrictEqual(held, ["pump"])
      yield* connection.close()
      yield* settle
      assert.deepStrictEqual(held, [])
    }))
})
