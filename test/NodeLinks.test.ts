/**
 * Links between nodes: which there are, and who is let in.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as Directory from "effect-swaggersocket/Directory"
import * as Link from "effect-swaggersocket/Link"
import * as NodeLinks from "effect-swaggersocket/NodeLinks"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as Socket from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"
import { makeNode, makeNodes, Network, secret } from "./nodes/fleets.ts"
import { serveRoutes } from "./support/connections.ts"
import { eventually } from "./support/waiting.ts"

class Impostor extends SwaggerSocketServer.Service<Impostor>()("test/NodeLinks/Impostor") {}

const reached = (node: { readonly links: NodeLinks.NodeLinks["Service"] }) =>
  Effect.map(node.links.links, (links) => links.map(({ node }) => node.name).sort().join(" "))

/** What is logged below, line by line. */
const logged = () => {
  const lines: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => void lines.push(`${logLevel} ${JSON.stringify(message)}`))
  return { lines, layer: Logger.layer([logger]) }
}

const memory = Effect.map(Layer.build(Layer.fresh(Directory.layerMemory)), Context.get(Directory.Directory))

describe("links", () => {
  it.live("there is one for each pair of nodes, whichever was first", () =>
    Effect.gen(function*() {
      const { nodes } = yield* makeNodes("a", "b", "c", "d")
      for (const node of nodes) {
        const others = nodes.filter((other) => other !== node).map(({ name }) => name).join(" ")
        yield* Effect.repeat(reached(node), { until: (names) => names === others })
      }
    }).pipe(Effect.scoped))

  it.live("a node that leaves says in the directory that it does, and its links are gone", () =>
    Effect.gen(function*() {
      const { nodes } = yield* makeNodes("a", "b")
      const [a, b] = nodes
      yield* Effect.repeat(reached(a!), { until: (names) => names === "b" })
      yield* b!.leave
      yield* Effect.repeat(reached(a!), { until: (names) => names === "" })
    }).pipe(Effect.scoped))

  it.effect("a link that is lost is resumed when the network is back within 10 seconds", () =>
    Effect.gen(function*() {
      const { network, nodes } = yield* makeNodes("a", "b")
      const [a] = nodes
      const soon = Effect.andThen(TestClock.adjust("100 millis"), reached(a!))
      yield* Effect.repeat(soon, { until: (names) => names === "b" })
      const [before] = yield* a!.links.links
      network.break("b")
      yield* TestClock.adjust("3 seconds")
      network.mend("b")
      yield* TestClock.adjust("6 seconds")
      const [after] = yield* a!.links.links
      assert.strictEqual(after?.connection, before!.connection)
      assert.strictEqual(yield* after!.connection.status, "open")
    }))
})

describe("who is let in", () => {
  it.live("a node with another secret is not, and the log of the one that dials says why", () =>
    Effect.gen(function*() {
      const { layer, lines } = logged()
      const nodes = Effect.gen(function*() {
        const [network, directory] = [new Network(), yield* memory]
        const a = yield* makeNode("a", network, directory)
        const b = yield* makeNode("b", network, directory, { secret: Redacted.make("a secret of other nodes") })
        yield* eventually(() => assert.match(lines.join("\n"), /Error.*has another secret: all nodes need the same/))
        assert.strictEqual(yield* reached(a), "")
        assert.strictEqual(yield* reached(b), "")
      })
      yield* Effect.provide(nodes, layer)
    }).pipe(Effect.scoped))

  // PROTOCOL.md NODE-1
  it.live("a server at the URL of a node, which does not know the secret, learns nothing and gets at nothing", () =>
    Effect.gen(function*() {
      const { layer, lines } = logged()
      const impostor = Context.get(yield* Layer.build(Impostor.layerNoRoute({})), Impostor)
      const list = Directory.layerStatic([{ name: "a", url: "a" }, { name: "b", url: "b" }])
      const link = Effect.gen(function*() {
        const [near, far] = yield* Link.makePair
        yield* Effect.forkDetach(impostor.accept(Effect.succeed(far)))
        return near
      })
      yield* Layer.build(
        NodeLinks.layerNoRoute({ name: "a", url: "a", secret, link: () => link }).pipe(
          Layer.provide(list),
          Layer.provide(layer)
        )
      )
      const connection = yield* impostor.awaitConnection()
      assert.notInclude(JSON.stringify(connection.metadata), Redacted.value(secret))
      yield* serveRoutes(connection, HttpRouter.add("GET", "/proof/*", HttpServerResponse.text("a guess")))
      const fleet = yield* Effect.exit(ApiClient.make(connection).get("/fleets/test/"))
      assert.isFalse(Exit.isSuccess(fleet) && fleet.value.status !== 404)
      yield* connection.closed
      yield* eventually(() => assert.match(lines.join("\n"), /node b at b has not proved that it knows the secret/))
    }).pipe(Effect.scoped))

  it.live("a node that answers at the URL of another one refuses the link, and says who it is", () =>
    Effect.gen(function*() {
      const { layer, lines } = logged()
      const { network, nodes } = yield* makeNodes("b")
      const list = Directory.layerStatic([{ name: "a", url: "a" }, { name: "z", url: "b" }])
      yield* Layer.build(
        NodeLinks.layerNoRoute({ name: "a", url: "a", secret, link: network.link("a") }).pipe(
          Layer.provide(list),
          Layer.provide(layer)
        )
      )
      yield* eventually(() => assert.match(lines.join("\n"), /Error.*this is node b, and another life of it/))
      assert.strictEqual(yield* reached(nodes[0]!), "")
    }).pipe(Effect.scoped))

  it("options that can't work are told at once", () => {
    const layerOf = (options: Partial<Record<"name" | "secret" | "url", string>>) => () =>
      Effect.runSync(Effect.scoped(Layer.build(
        NodeLinks.layerNoRoute({
          name: options.name ?? "a",
          url: options.url ?? "ws://10.0.0.1:7000/nodes",
          ...(options.secret === "none"
            ? { clientCertificates: true }
            : { secret: Redacted.make(options.secret ?? "a secret of all nodes") })
        }).pipe(
          Layer.provide(Directory.layerMemory),
          Layer.provide(Layer.succeed(Socket.WebSocketConstructor, () => assert.fail("dialled")))
        )
      )))
    assert.throws(layerOf({ name: "" }), /a node needs a name/)
    assert.throws(layerOf({ secret: "short" }), /shorter than 16 characters/)
    assert.throws(layerOf({ url: "10.0.0.1:7000" }), /expected ws:\/\/host:port\/path/)
    assert.throws(layerOf({ secret: "none" }), /clientCertificates needs a wss: url/)
    layerOf({})()
  })
})
