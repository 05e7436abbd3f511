/**
 * Connections over links that the program makes: `accept` on a server, `link` on a client.
 */
import { assert, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type * as Handshake from "effect-swaggersocket/Handshake"
import * as Limits from "effect-swaggersocket/Limits"
import * as Link from "effect-swaggersocket/Link"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Socket from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"

class Peers extends SwaggerSocketServer.Service<Peers>()("test/Link/Peers") {}

/** What a client of the server in context dials with; `links` has the client's ends, the newest last. */
const dialling = (
  peers: Peers["Service"],
  links: Array<Link.Link>,
  options?: SwaggerSocketServer.AcceptOptions
) =>
  Effect.gen(function*() {
    const [near, far] = yield* Link.makePair
    links.push(near)
    yield* Effect.forkDetach(peers.accept(Effect.succeed(far), options))
    return near
  })

const serve = (connection: Parameters<typeof ApiServer.layerConnection>[0], body: string) =>
  Layer.build(
    HttpRouter.serve(HttpRouter.add("GET", "/", HttpServerResponse.text(body)), {
      disableLogger: true,
      disableListenLog: true
    }).pipe(Layer.provide(ApiServer.layerConnection(connection)))
  )

const textOf = (connection: Parameters<typeof ApiClient.make>[0]) =>
  Effect.flatMap(ApiClient.make(connection).get("/"), ({ text }) => text)

it.effect("both ends call each other on a link of the program, and go on when it is lost", () =>
  Effect.gen(function*() {
    const peers = yield* Peers
    const links: Array<Link.Link> = []
    const client = yield* SwaggerSocketClient.make({ link: dialling(peers, links) })
    const near = yield* client.connection
    const far = yield* peers.awaitConnection()
    yield* serve(near, "the client")
    yield* serve(far, "the server")
    assert.strictEqual(yield* textOf(near), "the server")
    links[0]!.terminate()
    const call = yield* Effect.forkChild(textOf(far))
    yield* TestClock.adjust("1 minute")
    assert.strictEqual(yield* Fiber.join(call), "the client")
    assert.strictEqual(links.length, 2)
    assert.strictEqual((yield* peers.connections).length, 1)
  }).pipe(Effect.provide(Peers.layerNoRoute({}))))

it.effect("authentication sees what the server is told of a link", () =>
  Effect.gen(function*() {
    const seen: Array<Handshake.Upgrade> = []
    class Users extends SwaggerSocketServer.Service<Users, string>()("test/Link/Users") {}
    yield* Effect.gen(function*() {
      const users = yield* Users
      const [near, far] = yield* Link.makePair
      const options = { headers: { Authorization: "ada" }, url: "/a?b", remoteAddress: "pid 7" }
      yield* Effect.forkScoped(users.accept(Effect.succeed(far), options))
      yield* SwaggerSocketClient.make({ link: Effect.succeed(near) })
      const connection = yield* users.awaitConnection()
      assert.strictEqual(connection.principal, "ada")
      assert.deepStrictEqual(connection.remoteAddress, Option.some("pid 7"))
      assert.deepStrictEqual(seen.map(({ url }) => url), ["/a?b"])
    }).pipe(Effect.provide(Users.layerNoRoute({
      authenticate: (upgrade) => {
        seen.push(upgrade)
        return Effect.succeed(upgrade.headers.authorization ?? "nobody")
      }
    })))
  }))

it.effect("links are made with the limits of the client or server that they are for, and closed when they are not used", () =>
  Effect.gen(function*() {
    const peers = yield* Peers
    const released: Array<string> = []
    const limited = (name: string, link: Effect.Effect<Link.Link>) =>
      Effect.gen(function*() {
        yield* Effect.addFinalizer(() => Effect.sync(() => void released.push(name)))
        const { maxMessageSize } = yield* Limits.Limits
        assert.strictEqual(maxMessageSize, name === "far" ? 100_001 : 100_002)
        return yield* link
      })
    const [near, far] = yield* Link.makePair
    const accepted = yield* Effect.forkChild(peers.accept(limited("far", Effect.succeed(far))))
    const connection = yield* Effect.scoped(Effect.gen(function*() {
      const client = yield* SwaggerSocketClient.make({
        link: limited("near", Effect.succeed(near)),
        limits: { maxMessageSize: 100_002 }
      })
      return yield* client.connection
    }))
    assert.strictEqual(connection.wire, "v2")
    yield* Fiber.join(accepted)
    assert.deepStrictEqual(released.sort(), ["far", "near"])
  }).pipe(Effect.provide(Peers.layerNoRoute({ limits: { maxMessageSize: 100_001 } }))))

it.effect("a client goes on with the next attempt when no link can be made", () =>
  Effect.gen(function*() {
    const peers = yield* Peers
    const links: Array<Link.Link> = []
    let attempts = 0
    const refused = new Socket.SocketError({
      reason: new Socket.SocketOpenError({ kind: "Unknown", cause: new Error("connect ECONNREFUSED") })
    })
    const client = yield* SwaggerSocketClient.make({
      link: Effect.suspend(() => ++attempts < 3 ? Effect.fail(refused) : dialling(peers, links))
    })
    yield* TestClock.adjust("100 millis")
    const status = yield* client.status
    assert.strictEqual(status._tag, "Waiting")
    assert.match(status._tag === "Waiting" ? status.error.message : "", /ECONNREFUSED/)
    yield* TestClock.adjust("1 minute")
    assert.strictEqual((yield* client.status)._tag, "Connected")
    assert.strictEqual(attempts, 3)
  }).pipe(Effect.provide(Peers.layerNoRoute({}))))

it.effect("a link that is used already is a failed attempt, and goes on for the connection that has it", () =>
  Effect.gen(function*() {
    const peers = yield* Peers
    const [near, far] = yield* Link.makePair
    yield* Effect.forkScoped(peers.accept(Effect.succeed(far)))
    const client = yield* SwaggerSocketClient.make({ link: Effect.succeed(near) })
    const connection = yield* client.connection
    const other = yield* SwaggerSocketClient.make({ link: Effect.succeed(near) })
    yield* TestClock.adjust("100 millis")
    const status = yield* other.status
    assert.match(status._tag === "Waiting" ? status.error.message : status._tag, /has been used before/)
    yield* peers.accept(Effect.succeed(far))
    yield* serve(connection, "the client")
    assert.strictEqual(yield* textOf(yield* peers.awaitConnection()), "the client")
  }).pipe(Effect.provide(Peers.layerNoRoute({}))))

it.effect("a link that a quota leaves no room for is closed as overloaded", () =>
  Effect.gen(function*() {
    const peers = yield* Peers
    const [, first] = yield* Link.makePair
    yield* Effect.forkScoped(peers.accept(Effect.succeed(first)))
    yield* Effect.yieldNow
    const [near, second] = yield* Link.makePair
    yield* peers.accept(Effect.succeed(second))
    const { reason } = yield* Effect.flip(near.pull)
    assert.deepInclude(reason, { _tag: "SocketCloseError", code: 4106 })
  }).pipe(Effect.provide(Peers.layerNoRoute({ quotas: { server: { pendingHandshakes: 1 } } }))))

it.effect("interrupting `accept` drains the connection: a call in progress finishes", () =>
  Effect.gen(function*() {
    const peers = yield* Peers
    const [near, far] = yield* Link.makePair
    const accepted = yield* Effect.forkChild(peers.accept(Effect.succeed(far)))
    const client = yield* SwaggerSocketClient.make({ link: Effect.succeed(near) })
    const connection = yield* client.connection
    const begun = yield* Deferred.make<void>()
    const go = yield* Deferred.make<void>()
    const slow = Effect.as(
      Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(go)),
      HttpServerResponse.text("done")
    )
    yield* Layer.build(
      HttpRouter.serve(HttpRouter.add("GET", "/", slow), { disableLogger: true, disableListenLog: true }).pipe(
        Layer.provide(ApiServer.layerConnection(yield* peers.awaitConnection()))
      )
    )
    const call = yield* Effect.forkChild(textOf(connection))
    yield* Deferred.await(begun)
    const interruption = yield* Effect.forkChild(Fiber.interrupt(accepted))
    yield* TestClock.adjust("1 second")
    yield* Deferred.succeed(go, undefined)
    assert.strictEqual(yield* Fiber.join(call), "done")
    yield* TestClock.adjust("10 seconds")
    yield* Fiber.join(interruption)
    assert.deepStrictEqual(yield* peers.connections, [])
  }).pipe(Effect.provide(Peers.layerNoRoute({}))))

it.effect("a server that speaks wire v1 alone accepts no links", () =>
  Effect.gen(function*() {
    const peers = yield* Peers
    const [, far] = yield* Link.makePair
    const exit = yield* Effect.exit(peers.accept(Effect.succeed(far)))
    assert.match(String(exit), /links carry wire v2/)
  }).pipe(Effect.provide(Peers.layerNoRoute({ wires: ["v1"] }))))

it.effect("a transport's exception is an error of the link, and its other members are none of the link's", () =>
  Effect.gen(function*() {
    const calls: Array<string> = []
    const transport = {
      pull: Effect.never,
      send() {
        throw new Error("full")
      },
      isFull: () => false,
      onRoom: () => {},
      close: (code: number) => void calls.push(`close ${code}`),
      terminate: () => void calls.push("terminate"),
      // Those are the names of members that links of WebSockets have.
      asks: true,
      tcp: {},
      webSocket: {}
    }
    const link: Link.Link = Link.make(transport)
    const error = link.send("hello")
    assert.match(error?.reason._tag === "SocketWriteError" ? String(error.reason.cause) : "", /full/)
    link.close(1000, "")
    link.terminate()
    assert.deepStrictEqual(calls, ["close 1000", "terminate"])
    assert.isFalse("tcp" in link || "webSocket" in link || "asks" in link)
    yield* Effect.void
  }))
