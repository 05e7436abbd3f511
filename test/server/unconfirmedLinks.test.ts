/**
 * PROTOCOL.md, "Resuming": links whose client has given them up before the server has its `ready`. The server may not have seen
 * yet that they are gone.
 */
import { assert, describe, it } from "@effect/vitest"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { acceptorOf } from "../../src/internal/server/acceptor.ts"
import { greet, type MemoryPeer, open, settle } from "../support/memoryPeer.ts"

class Devices extends SwaggerSocketServer.Service<Devices>()("test/Unconfirmed", {}) {}

const serving = Effect.map(Layer.build(Devices.layerNoRoute({})), (context) => {
  const server = Context.get(context, Devices)
  return { server, acceptor: acceptorOf(server) }
})

const welcomed = (peer: MemoryPeer) =>
  Effect.map(peer.next, ([welcome]) => welcome as unknown as NonNullable<Parameters<typeof greet>[1]["resume"]>)

const ready = ({ link }: MemoryPeer) => link.send(JSON.stringify({ type: "ready" }))

describe("link whose ready has not come", () => {
  it.effect("a client that resumes before the server has the ready of its first link goes on at once, and for good", () =>
    Effect.gen(function*() {
      const { acceptor, server } = yield* serving
      const first = yield* open(acceptor)
      greet(first, {})
      const welcome = yield* welcomed(first)
      const second = yield* open(acceptor)
      greet(second, { resume: welcome })
      assert.deepInclude(yield* welcomed(second), { connectionId: welcome.connectionId, resumed: true })
      assert.deepStrictEqual(yield* Effect.flip(first.next), { code: 4109 })
      ready(second)
      const connection = yield* server.awaitConnection()
      assert.strictEqual(connection.id, welcome.connectionId)
      // Until the handshake of the first link has run out of time.
      yield* TestClock.adjust("11 seconds")
      assert.strictEqual(yield* connection.status, "open")
    }))

  it.effect("a link that resumes a connection is closed when a later one does, before its ready has come", () =>
    Effect.gen(function*() {
      const { acceptor, server } = yield* serving
      const first = yield* open(acceptor)
      greet(first, {})
      const welcome = yield* welcomed(first)
      ready(first)
      const connection = yield* server.awaitConnection()
      first.cut()
      const second = yield* open(acceptor)
      greet(second, { resume: welcome })
      const again = yield* welcomed(second)
      const third = yield* open(acceptor)
      greet(third, { resume: again })
      assert.deepInclude(yield* welcomed(third), { resumed: true })
      assert.deepStrictEqual(yield* Effect.flip(second.next), { code: 4109 })
      ready(third)
      yield* settle
      assert.strictEqual(yield* connection.status, "open")
    }))

  it.effect("a server leaves while it waits for another link of a client whose first one was lost", () => {
    const errors: Array<unknown> = []
    const logger = Logger.make(({ cause, logLevel }) => {
      if (logLevel === "Error") errors.push(Cause.pretty(cause))
    })
    return Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { acceptor } = yield* Scope.provide(serving, scope)
      const first = yield* open(acceptor)
      greet(first, {})
      yield* welcomed(first)
      first.cut()
      yield* settle
      const leaving = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("2 minutes")
      yield* Fiber.join(leaving)
      yield* settle
      assert.deepStrictEqual(errors, [])
    }).pipe(Effect.provide(Logger.layer([logger])))
  })
})
