/**
 * Links that a server takes, from their opening to their end, in memory.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type * as Limits from "effect-swaggersocket/Limits"
import * as Link from "effect-swaggersocket/Link"
import type * as Quotas from "effect-swaggersocket/Quotas"
import { LinkError, SwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"
import { acceptorOf } from "../../src/internal/server/acceptor.ts"
import { record } from "../support/events.ts"
import { connect, greet, open, settle } from "../support/memoryPeer.ts"

class Peers extends SwaggerSocketServer.Service<Peers>()("test/Arrivals") {}

const serving = (
  options: {
    readonly quotas?: Quotas.Options
    readonly wires?: ReadonlyArray<"v1" | "v2">
    readonly limits?: Limits.Options
  } = {}
) =>
  Effect.gen(function*() {
    const server = Context.get(yield* Layer.build(Peers.layerNoRoute(options)), Peers)
    const { events } = yield* record(server.events)
    return { server, acceptor: acceptorOf(server), events, tags: () => events().map(({ _tag }) => _tag) }
  })

describe("a link", () => {
  it.effect("that can't be opened is told with why", () =>
    Effect.gen(function*() {
      const { events, server } = yield* serving()
      const own = new SwaggerSocketError({ reason: new LinkError({ phase: "open", description: "own" }) })
      const ofSocket = new Socket.SocketError({
        reason: new Socket.SocketOpenError({ kind: "Unknown", cause: new Error("of the socket") })
      })
      for (const error of [own, ofSocket, new Error("another")]) yield* server.accept(Effect.fail(error))
      yield* settle
      const told = events().map((event) => event._tag === "ConnectionAttemptFailed" ? event.error.reason : undefined)
      const descriptions = ["own", "of the socket", "Error: another"]
      for (const [index, description] of descriptions.entries()) {
        assert.deepInclude(told[index], { _tag: "LinkError", phase: "open", description })
      }
    }))

  it.effect("that carries no wire which is spoken is a mistake of the program", () =>
    Effect.gen(function*() {
      const { server } = yield* serving({ wires: ["v1"] })
      const [near] = yield* Link.makePair
      assert.isTrue(Exit.hasDies(yield* Effect.exit(server.accept(Effect.succeed(near)))))
    }))

  it.effect("that says nothing is closed when the handshake has taken its time", () =>
    Effect.gen(function*() {
      const { acceptor, events } = yield* serving({ limits: { handshakeTimeout: "10 seconds" } })
      const peer = yield* open(acceptor)
      yield* TestClock.adjust("9999 millis")
      yield* settle
      assert.deepStrictEqual(events(), [])
      yield* TestClock.adjust("1 millis")
      yield* settle
      assert.deepStrictEqual(yield* Effect.flip(peer.next), { code: 4101 })
      assert.deepInclude(events()[0], { _tag: "ConnectionAttemptFailed", willRetry: true })
    }))

  it.effect("that is lost before the client is ready begins no connection until another link resumes it", () =>
    Effect.gen(function*() {
      const { acceptor, server, tags } = yield* serving()
      const first = yield* open(acceptor)
      greet(first, {})
      const [welcome] = yield* first.next
      first.cut()
      yield* settle
      assert.deepStrictEqual([yield* server.connections, tags()], [[], []])
      const second = yield* connect(acceptor, { resume: welcome as never })
      assert.isTrue(second.welcome.resumed)
      assert.deepStrictEqual(tags(), ["ConnectionReceived"])
      assert.strictEqual((yield* server.connections).length, 1)
    }))

  it.effect("that has resumed a connection leaves only its own token valid", () =>
    Effect.gen(function*() {
      const { acceptor } = yield* serving()
      const first = yield* connect(acceptor)
      first.cut()
      yield* settle
      const second = yield* connect(acceptor, { resume: first.welcome })
      second.cut()
      yield* settle
      const stale = yield* open(acceptor)
      greet(stale, { resume: first.welcome })
      const [refusal] = yield* stale.next
      assert.deepInclude(refusal, { type: "refuse", code: "RESUME_REJECTED" })
      assert.isTrue((yield* connect(acceptor, { resume: second.welcome })).welcome.resumed)
    }))

  it.effect("that is lost so counts as an interrupted session", () =>
    Effect.gen(function*() {
      const { acceptor, events } = yield* serving({ quotas: { perAddress: { interruptedSessions: 1 } } })
      for (let links = 0; links < 2; links++) {
        assert.deepStrictEqual(events(), [])
        const peer = yield* open(acceptor, { remoteAddress: "1.1.1.1" })
        greet(peer, {})
        yield* peer.next
        peer.cut()
        yield* settle
      }
      // The server looks a moment later for what is too much.
      yield* TestClock.adjust("100 millis")
      const [event] = events().filter(({ _tag }) => _tag === "ConnectionAttemptFailed")
      assert.deepInclude(event?._tag === "ConnectionAttemptFailed" && event.error.reason, { because: "expired" })
    }))

  it.effect("that resumes a connection makes room for another interrupted session", () =>
    Effect.gen(function*() {
      const { acceptor, tags } = yield* serving({ quotas: { perAddress: { interruptedSessions: 1 } } })
      const remoteAddress = "1.1.1.1"
      const lose = (peer: { readonly cut: () => void }) => Effect.andThen(Effect.sync(peer.cut), settle)
      const one = yield* connect(acceptor, { remoteAddress })
      yield* lose(one)
      const again = yield* connect(acceptor, { remoteAddress, resume: one.welcome })
      const other = yield* connect(acceptor, { remoteAddress })
      yield* lose(other)
      assert.isTrue((yield* connect(acceptor, { remoteAddress, resume: other.welcome })).welcome.resumed)
      yield* lose(again)
      assert.isTrue((yield* connect(acceptor, { remoteAddress, resume: again.welcome })).welcome.resumed)
      assert.notInclude(tags(), "ConnectionFailure")
    }))

  it.effect("that is lost so is given up after the window, and told as an attempt that failed", () =>
    Effect.gen(function*() {
      const { acceptor, events } = yield* serving({ limits: { resumeWindow: "30 seconds" } })
      const first = yield* open(acceptor)
      greet(first, {})
      yield* first.next
      first.cut()
      yield* settle
      yield* TestClock.adjust("29999 millis")
      yield* settle
      assert.deepStrictEqual(events(), [])
      yield* TestClock.adjust("1 millis")
      yield* settle
      const [event] = events()
      assert.deepInclude(event?._tag === "ConnectionAttemptFailed" && event.error.reason, { because: "expired" })
    }))

  it.effect("that is accepted is left when nobody waits for its end any more: its calls finish", () =>
    Effect.gen(function*() {
      const { server } = yield* serving()
      const [near, far] = yield* Link.makePair
      const accepted = yield* Effect.forkChild(server.accept(Effect.succeed(far)), { startImmediately: true })
      near.send(JSON.stringify({ type: "hello", version: 2 }))
      yield* near.pull
      near.send(JSON.stringify({ type: "ready" }))
      const connection = yield* server.awaitConnection()
      const leaving = yield* Effect.forkChild(Fiber.interrupt(accepted), { startImmediately: true })
      yield* settle
      assert.notStrictEqual(yield* connection.status, "open")
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(leaving)
      assert.deepInclude(yield* connection.closed, { _tag: "Closed", initiator: "local", code: 1001 })
    }))
})

it.effect("a server that goes away lets the calls finish that it has made", () =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(Peers.layerNoRoute({}), scope)
    const answer = yield* Deferred.make<void>()
    const Api = HttpRouter.serve(
      HttpRouter.add("GET", "/", Effect.as(Deferred.await(answer), HttpServerResponse.text("at last"))),
      { disableLogger: true, disableListenLog: true }
    )
    yield* Layer.build(Api.pipe(
      Layer.provide(ApiServer.layer),
      Layer.provide(SwaggerSocketTest.layerClient(Peers, { metadata: null })),
      Layer.provide(Layer.succeedContext(context))
    ))
    const connection = yield* Context.get(context, Peers).awaitConnection()
    const call = yield* Effect.forkChild(Effect.flatMap(ApiClient.make(connection).get("/"), ({ text }) => text))
    yield* settle
    const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
    yield* settle
    assert.isUndefined(closing.pollUnsafe())
    assert.strictEqual(yield* connection.status, "draining")
    yield* Deferred.succeed(answer, undefined)
    assert.strictEqual(yield* Fiber.join(call), "at last")
    yield* Fiber.join(closing)
    assert.deepInclude(yield* connection.closed, { _tag: "Closed", code: 1001 })
  }))
