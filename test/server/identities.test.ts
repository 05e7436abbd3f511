/**
 * A client that connects while an older connection of its own is still known: a device that has lost power, above all.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type * as ConnectionEvent from "effect-swaggersocket/ConnectionEvent"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import { outcomeOf } from "effect-swaggersocket/SwaggerSocketError"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { acceptorOf } from "../../src/internal/server/acceptor.ts"
import { connect, greet, type Greeting, open, settle } from "../support/memoryPeer.ts"

const Metadata = Schema.Struct({ name: Schema.String })

class Devices extends SwaggerSocketServer.Service<Devices>()("test/Identified", { metadata: Metadata }) {}

const metadata = { name: "pump 7" }
const isPump = (connection: { readonly metadata: typeof Metadata.Type }) => connection.metadata.name === "pump 7"
const identity = (client: { readonly metadata: typeof Metadata.Type }) =>
  client.metadata.name === "nobody" ? undefined : client.metadata.name

/** A server, its acceptor and what happens on it. */
const serve = (options: SwaggerSocketServer.Options<typeof Metadata.Type, undefined, never> = {}) =>
  Effect.gen(function*() {
    const context = yield* Layer.build(Devices.layerNoRoute(options))
    const server = Context.get(context, Devices)
    const events: Array<ConnectionEvent.ConnectionEvent> = []
    yield* Effect.forkScoped(
      Stream.runForEach(server.events, (event) => Effect.sync(() => events.push(event))),
      { startImmediately: true }
    )
    return { context, server, acceptor: acceptorOf(server), events }
  })

const ids = (server: Context.Service.Shape<typeof Devices>) =>
  Effect.map(server.connections, (connections) => connections.map(({ id }) => id))

describe("device that has lost power and dials anew", () => {
  it.effect("find and awaitConnection give a device's new connection, though the older one is still open", () =>
    Effect.gen(function*() {
      const { acceptor, server } = yield* serve()
      const older = yield* connect(acceptor, { metadata })
      const other = yield* connect(acceptor, { metadata: { name: "other" } })
      const newer = yield* connect(acceptor, { metadata })
      assert.lengthOf(yield* ids(server), 3)
      const found = Option.getOrThrow(yield* server.find(isPump))
      assert.strictEqual(found.id, newer.welcome.connectionId)
      assert.strictEqual((yield* server.awaitConnection(isPump)).id, newer.welcome.connectionId)
      // A PING, which only one that lives can send.
      older.link.send(Uint8Array.of(0x10, 0x00))
      yield* settle
      assert.strictEqual(Option.getOrThrow(yield* server.find(isPump)).id, older.welcome.connectionId)
      // One that has lost its link comes last.
      older.cut()
      yield* settle
      assert.strictEqual(Option.getOrThrow(yield* server.find(isPump)).id, newer.welcome.connectionId)
      newer.cut()
      other.cut()
      yield* settle
      assert.isTrue(Option.isSome(yield* server.find(isPump)))
    }))
})

describe("onSameIdentity", () => {
  it.effect("replace-older, the default, closes the older connection with 4111 and ends its calls at once", () =>
    Effect.gen(function*() {
      const { acceptor, events, server } = yield* serve({ identity })
      const older = yield* connect(acceptor, { metadata })
      const stranger = yield* connect(acceptor, { metadata: { name: "other" } })
      const connection = yield* server.awaitConnection(isPump)
      const call = yield* Effect.forkChild(Effect.result(ApiClient.make(connection).get("/")), {
        startImmediately: true
      })
      // The request leaves at the end of the turn.
      yield* older.link.pull
      const newer = yield* connect(acceptor, { metadata })
      yield* settle
      assert.deepStrictEqual(yield* ids(server), [stranger.welcome.connectionId, newer.welcome.connectionId])
      const failed = yield* Fiber.join(call)
      assert.strictEqual(Result.isFailure(failed) && outcomeOf(failed.failure), "unknown")
      assert.deepInclude(events.find(({ _tag }) => _tag === "ConnectionClosed"), {
        connectionId: older.welcome.connectionId,
        initiator: "local",
        code: 4111
      })
      let end: { readonly code: number } | undefined = undefined
      while (end === undefined) {
        end = yield* Effect.match(older.link.pull, {
          onSuccess: () => undefined,
          onFailure: ({ reason }) => ({ code: "code" in reason ? Number(reason.code) : 0 })
        })
      }
      assert.strictEqual(end.code, 4111)
    }))

  type Acceptor = ReturnType<typeof acceptorOf<{ readonly name: string }, undefined>>

  /** A client tries to go on with a connection, and is turned away. */
  const isTurnedAway = Effect.fnUntraced(function*(
    acceptor: Acceptor,
    greeting: Greeting,
    expected: { readonly code: string; readonly retry: boolean },
    closeCode: number
  ) {
    const peer = yield* open(acceptor)
    greet(peer, greeting)
    assert.deepInclude((yield* peer.next)[0], { type: "refuse", ...expected })
    assert.strictEqual((yield* Effect.flip(peer.next)).code, closeCode)
    yield* settle
  })

  const isReplaced = (acceptor: Acceptor, greeting: Greeting) =>
    isTurnedAway(acceptor, greeting, { code: "IDENTITY_REPLACED", retry: false }, 4111)

  it.effect("replace-older closes a connection whose handshake began before that of the open one, and ends after it", () =>
    Effect.gen(function*() {
      const { acceptor, server } = yield* serve({ identity })
      const older = yield* open(acceptor)
      greet(older, { metadata })
      assert.deepInclude((yield* older.next)[0], { type: "welcome" })
      const newer = yield* connect(acceptor, { metadata })
      older.link.send(JSON.stringify({ type: "ready" }))
      assert.strictEqual((yield* Effect.flip(older.next)).code, 4111)
      yield* settle
      assert.deepStrictEqual(yield* ids(server), [newer.welcome.connectionId])
      // That one is replaced as any other.
      const newest = yield* connect(acceptor, { metadata })
      yield* settle
      assert.deepStrictEqual(yield* ids(server), [newest.welcome.connectionId])
    }))

  it.effect("replace-older has a client come again that had a connection before, while one is open whose client had none", () =>
    Effect.gen(function*() {
      const { acceptor, server } = yield* serve({ identity })
      const before = yield* connect((yield* serve({ identity })).acceptor, { metadata })
      const resume = before.welcome
      const successor = yield* connect(acceptor, { metadata })
      const leaving = yield* connect(acceptor, { metadata, resume })
      assert.isFalse(leaving.welcome.resumed)
      assert.strictEqual((yield* Effect.flip(leaving.next)).code, 4112)
      yield* settle
      assert.deepStrictEqual(yield* ids(server), [successor.welcome.connectionId])
      // It may be its own, of before it went to another server and back: once that has no link, it is replaced.
      successor.cut()
      yield* settle
      const alone = yield* connect(acceptor, { metadata, resume })
      yield* settle
      assert.deepStrictEqual(yield* ids(server), [alone.welcome.connectionId])
      const twin = yield* connect(acceptor, { metadata, resume })
      assert.strictEqual((yield* Effect.flip(alone.next)).code, 4111)
      yield* connect(acceptor, { metadata })
      assert.strictEqual((yield* Effect.flip(twin.next)).code, 4111)
    }))

  // PROTOCOL.md SES-14
  it.effect("replace-older refuses a client whose interrupted connection was replaced, and that client replaces nobody", () =>
    Effect.gen(function*() {
      const { acceptor, events, server } = yield* serve({ identity })
      const older = yield* connect(acceptor, { metadata })
      older.cut()
      yield* settle
      const newer = yield* connect(acceptor, { metadata })
      yield* settle
      assert.deepInclude(events.find(({ _tag }) => _tag === "ConnectionClosed"), {
        connectionId: older.welcome.connectionId,
        initiator: "local",
        code: 4111
      })
      for (let attempt = 0; attempt < 2; attempt++) yield* isReplaced(acceptor, { metadata, resume: older.welcome })
      assert.deepStrictEqual(yield* ids(server), [newer.welcome.connectionId])
      assert.strictEqual(yield* (yield* server.connection(newer.welcome.connectionId)).status, "open")
      // Of a connection that its successor has replaced in turn, too.
      newer.cut()
      const newest = yield* connect(acceptor, { metadata })
      for (const { welcome } of [older, newer]) yield* isReplaced(acceptor, { metadata, resume: welcome })
      assert.deepStrictEqual(yield* ids(server), [newest.welcome.connectionId])
    }))

  it.effect("replace-older refuses a client whose connection is replaced while it is about to resume it", () =>
    Effect.gen(function*() {
      const { acceptor, server } = yield* serve({ identity })
      const older = yield* connect(acceptor, { metadata })
      older.cut()
      yield* settle
      const resuming = yield* open(acceptor)
      greet(resuming, { metadata, resume: older.welcome })
      assert.deepInclude((yield* resuming.next)[0], { type: "welcome", resumed: true })
      const newer = yield* connect(acceptor, { metadata })
      resuming.link.send(JSON.stringify({ type: "ready" }))
      assert.strictEqual((yield* Effect.flip(resuming.next)).code, 4111)
      yield* settle
      assert.deepStrictEqual(yield* ids(server), [newer.welcome.connectionId])
    }))

  it.effect("replace-older forgets replaced connections when their successor closes, and tells other identities nothing", () =>
    Effect.gen(function*() {
      const { acceptor, server } = yield* serve({ identity })
      const older = yield* connect(acceptor, { metadata })
      older.cut()
      yield* connect(acceptor, { metadata })
      const stranger = yield* connect(acceptor, { metadata: { name: "other" }, resume: older.welcome })
      assert.isFalse(stranger.welcome.resumed)
      yield* (yield* server.awaitConnection(isPump)).close()
      yield* settle
      const again = yield* connect(acceptor, { metadata, resume: older.welcome })
      assert.isFalse(again.welcome.resumed)
    }))

  it.effect("replace-older remembers the last 16 connections that were replaced", () =>
    Effect.gen(function*() {
      const { acceptor } = yield* serve({ identity })
      const replaced: Array<Greeting["resume"]> = []
      for (let i = 0; i < 20; i++) {
        const { cut, welcome } = yield* connect(acceptor, { metadata })
        replaced.push(welcome)
        cut()
      }
      yield* connect(acceptor, { metadata })
      yield* isReplaced(acceptor, { metadata, resume: replaced.at(-1) })
      yield* isReplaced(acceptor, { metadata, resume: replaced.at(-16) })
      assert.isFalse((yield* connect(acceptor, { metadata, resume: replaced.at(-17) })).welcome.resumed)
    }))

  it.effect("refuse-newer replaces an interrupted connection, whose client waits until its successor has gone", () =>
    Effect.gen(function*() {
      const { acceptor, server } = yield* serve({ identity, onSameIdentity: "refuse-newer" })
      const older = yield* connect(acceptor, { metadata })
      yield* server.awaitConnection(isPump)
      older.cut()
      const newer = yield* connect(acceptor, { metadata })
      yield* settle
      assert.deepStrictEqual(yield* ids(server), [newer.welcome.connectionId])
      yield* isTurnedAway(
        acceptor,
        { metadata, resume: older.welcome },
        { code: "IDENTITY_IN_USE", retry: true },
        4112
      )
    }))

  it.effect("a client that resumes its connection does not count as a second one", () =>
    Effect.gen(function*() {
      for (const onSameIdentity of ["replace-older", "refuse-newer"] as const) {
        const { acceptor, server } = yield* serve({ identity, onSameIdentity })
        const first = yield* connect(acceptor, { metadata })
        const connection = yield* server.awaitConnection(isPump)
        first.cut()
        const again = yield* connect(acceptor, { metadata, resume: first.welcome })
        assert.isTrue(again.welcome.resumed)
        yield* settle
        assert.strictEqual(yield* connection.status, "open")
      }
    }))

  it.effect("a draining connection finishes its calls beside its successor", () =>
    Effect.gen(function*() {
      for (const onSameIdentity of ["replace-older", "refuse-newer"] as const) {
        const { acceptor, server } = yield* serve({ identity, onSameIdentity })
        yield* connect(acceptor, { metadata })
        const older = yield* server.awaitConnection(isPump)
        const call = yield* Effect.forkChild(Effect.exit(ApiClient.make(older).get("/")), { startImmediately: true })
        yield* settle
        yield* Effect.forkChild(older.close({ drain: "10 seconds" }), { startImmediately: true })
        const newer = yield* connect(acceptor, { metadata })
        yield* settle
        assert.strictEqual(yield* older.status, "draining")
        assert.isUndefined(call.pollUnsafe())
        const found = Option.getOrThrow(yield* server.find(isPump))
        assert.strictEqual(found.id, newer.welcome.connectionId)
        yield* TestClock.adjust("20 seconds")
        assert.deepStrictEqual(yield* ids(server), [newer.welcome.connectionId])
      }
    }))

  it.effect("a draining connection whose link is lost is resumed and finishes its calls, although its successor is there", () =>
    Effect.gen(function*() {
      for (const onSameIdentity of ["replace-older", "refuse-newer"] as const) {
        const { acceptor, server } = yield* serve({ identity, onSameIdentity })
        const first = yield* connect(acceptor, { metadata })
        const older = yield* server.awaitConnection(isPump)
        const call = yield* Effect.forkChild(Effect.exit(ApiClient.make(older).get("/")), { startImmediately: true })
        yield* settle
        yield* Effect.forkChild(older.close({ drain: "10 seconds" }), { startImmediately: true })
        yield* settle
        first.cut()
        const newer = yield* connect(acceptor, { metadata })
        yield* settle
        assert.deepStrictEqual(yield* ids(server), [older.id, newer.welcome.connectionId])
        const again = yield* connect(acceptor, { metadata, resume: first.welcome })
        assert.isTrue(again.welcome.resumed)
        yield* settle
        assert.strictEqual(yield* older.status, "draining")
        assert.isUndefined(call.pollUnsafe())
        assert.deepStrictEqual(yield* ids(server), [older.id, newer.welcome.connectionId])
        yield* TestClock.adjust("20 seconds")
      }
    }))

  it.effect("keep-both keeps all connections of an identity; clients without an identity are all kept", () =>
    Effect.gen(function*() {
      const { acceptor, server } = yield* serve({ identity, onSameIdentity: "keep-both" })
      yield* connect(acceptor, { metadata })
      yield* connect(acceptor, { metadata })
      yield* settle
      assert.lengthOf(yield* ids(server), 2)
      const second = yield* serve({ identity })
      yield* connect(second.acceptor, { metadata: { name: "nobody" } })
      yield* connect(second.acceptor, { metadata: { name: "nobody" } })
      yield* settle
      assert.lengthOf(yield* ids(second.server), 2)
    }))

  it.effect("refuse-newer refuses the newer connection with 4112 until the older one has closed", () =>
    Effect.gen(function*() {
      const { acceptor, events, server } = yield* serve({ identity, onSameIdentity: "refuse-newer" })
      yield* connect(acceptor, { metadata })
      const older = yield* server.awaitConnection(isPump)
      const refused = yield* open(acceptor)
      greet(refused, { metadata })
      const [message] = yield* refused.next
      assert.deepInclude(message, { type: "refuse", code: "IDENTITY_IN_USE", retry: true })
      assert.strictEqual((yield* Effect.flip(refused.next)).code, 4112)
      yield* settle
      assert.strictEqual(events.at(-1)!._tag, "ConnectionAttemptFailed")
      assert.strictEqual(yield* older.status, "open")
      yield* older.close()
      const newer = yield* connect(acceptor, { metadata })
      yield* settle
      assert.deepStrictEqual(yield* ids(server), [newer.welcome.connectionId])
    }))

  it.effect("refuse-newer refuses the handshake that is done last when two run at once", () =>
    Effect.gen(function*() {
      const { acceptor, server } = yield* serve({ identity, onSameIdentity: "refuse-newer" })
      const [one, other] = [yield* open(acceptor), yield* open(acceptor)]
      for (const peer of [one, other]) {
        greet(peer, { metadata })
        assert.deepInclude((yield* peer.next)[0], { type: "welcome" })
      }
      other.link.send(JSON.stringify({ type: "ready" }))
      yield* settle
      one.link.send(JSON.stringify({ type: "ready" }))
      assert.strictEqual((yield* Effect.flip(one.next)).code, 4112)
      assert.lengthOf(yield* ids(server), 1)
    }))

  it.effect("a Go client that is replaced gets a close frame, so that it does not dial again", () =>
    Effect.gen(function*() {
      const { context, server } = yield* serve({ identity })
      const dial = SwaggerSocketTest.layerClient(Devices, { metadata, wire: "v1" }).pipe(
        Layer.build,
        Effect.provideContext(context),
        Effect.map(Context.get(SwaggerSocketClient.SwaggerSocketClient))
      )
      const older = yield* dial
      yield* older.connection
      const newer = yield* dial
      const connection = yield* newer.connection
      const status = yield* Stream.runHead(Stream.filter(older.changes, ({ _tag }) => _tag === "Stopped"))
      assert.include(JSON.stringify(Option.getOrThrow(status)), "IDENTITY_REPLACED")
      yield* settle
      assert.deepStrictEqual(yield* ids(server), [connection.id])
    }))

  it.effect("a call on wire v1 that the server executes when its client is replaced has an unknown outcome", () =>
    Effect.gen(function*() {
      const { context } = yield* serve({ identity })
      const begun = yield* Deferred.make<void>()
      yield* Layer.build(
        HttpServer.serve(Effect.interruptible(Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))).pipe(
          Layer.provide(ApiServer.layerServer(Devices)),
          Layer.provide(Layer.succeedContext(context))
        )
      )
      const dial = SwaggerSocketTest.layerClient(Devices, { metadata, wire: "v1" }).pipe(
        Layer.build,
        Effect.provideContext(context),
        Effect.map(Context.get(SwaggerSocketClient.SwaggerSocketClient))
      )
      const older = yield* (yield* dial).connection
      const call = yield* Effect.forkChild(Effect.flip(ApiClient.make(older).post("/")), { startImmediately: true })
      yield* Deferred.await(begun)
      yield* (yield* dial).connection
      assert.strictEqual(outcomeOf(yield* Fiber.join(call)), "unknown")
    }))

  it("onSameIdentity without an identity is a mistake", () => {
    const exit = Effect.runSyncExit(Effect.scoped(Layer.build(Devices.layerNoRoute({ onSameIdentity: "keep-both" }))))
    assert.include(String(exit), "onSameIdentity needs an identity")
  })

  // PROTOCOL.md HS-11
  it.live("a client that is replaced stops, and does not replace its successor in turn, on sockets", () =>
    Effect.gen(function*() {
      const Hub = HttpRouter.serve(Devices.layer({ path: "/socket", identity }), {
        disableLogger: true,
        disableListenLog: true
      }).pipe(Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" })))
      const hub = yield* Layer.build(Hub)
      const url = NetAddress.formatUrlUnsafe(Context.get(hub, HttpServer.HttpServer).address).replace("http", "ws")
      const dial = Layer.build(SwaggerSocketClient.layer({ url: `${url}/socket`, metadata })).pipe(
        Effect.provide(NodeSwaggerSocket.layerWebSocketConstructor),
        Effect.map(Context.get(SwaggerSocketClient.SwaggerSocketClient))
      )
      const older = yield* dial
      yield* older.connection
      const newer = yield* dial
      const connection = yield* newer.connection
      const status = yield* Stream.runHead(Stream.filter(older.changes, ({ _tag }) => _tag === "Stopped"))
      assert.include(JSON.stringify(Option.getOrThrow(status)), "IDENTITY_REPLACED")
      assert.strictEqual(yield* connection.status, "open")
      assert.deepStrictEqual(yield* ids(Context.get(hub, Devices)), [connection.id])
    }))
})
