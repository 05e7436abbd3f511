/**
 * Nodes that know each other by the certificates of their sockets.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Directory from "effect-swaggersocket/Directory"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as NodeLinks from "effect-swaggersocket/NodeLinks"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Option from "effect/Option"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import * as Https from "node:https"
import { WebSocket } from "ws"
import { certificate } from "../support/certificate.ts"

/** Both ends trust this one certificate, which all nodes have. */
const trust = { ...certificate, ca: certificate.cert }

const constructor = (options: object) =>
  Layer.succeed(Socket.WebSocketConstructor, (url, given) => {
    const { headers, protocols } = typeof given === "object" && !Array.isArray(given) ? given : { protocols: given }
    return new WebSocket(url, protocols, { ...options, headers, perMessageDeflate: false }) as never
  })

const port = Layer.fresh(NodeSwaggerSocket.layerHttpServer({
  port: 0,
  host: "127.0.0.1",
  createServer: () => Https.createServer({ ...trust, requestCert: true, rejectUnauthorized: true })
}))

const makeNode = Effect.fnUntraced(function*(name: string, directory: Directory.Directory["Service"], options: object) {
  const context = yield* Layer.build(
    HttpRouter.serve(
      Layer.unwrap(Effect.map(HttpServer.HttpServer, ({ address }) =>
        NodeLinks.layer({
          name,
          url: `${NetAddress.formatUrlUnsafe(address).replace(/^https?/, "wss")}/nodes`,
          path: "/nodes",
          clientCertificates: true
        }))),
      { disableLogger: true, disableListenLog: true }
    ).pipe(
      Layer.provide(port),
      Layer.provide(constructor(options)),
      Layer.provide(Layer.succeed(Directory.Directory, directory))
    )
  )
  return Context.get(context, NodeLinks.NodeLinks)
})

/** Waits for the first link. */
const reached = ({ changes }: NodeLinks.NodeLinks["Service"]) =>
  Effect.map(
    Stream.runHead(Stream.filter(changes, (links) => links.length > 0)),
    (links) => Option.getOrThrow(links).map(({ node }) => node.name)
  )

describe("nodes with client certificates", () => {
  it.live("reach each other without a secret, and whoever has no certificate gets no link", () =>
    Effect.gen(function*() {
      const directory = Context.get(yield* Layer.build(Layer.fresh(Directory.layerMemory)), Directory.Directory)
      const a = yield* makeNode("a", directory, trust)
      const b = yield* makeNode("b", directory, trust)
      assert.deepStrictEqual(yield* reached(a), ["b"])
      assert.deepStrictEqual(yield* reached(b), ["a"])
      const outcome = yield* Effect.callback<string>((resume) => {
        const stranger = new WebSocket(a.node.url, "swaggersocket.v2", { ca: certificate.cert })
        stranger.on("open", () => resume(Effect.succeed("open")))
        stranger.on("error", () => resume(Effect.succeed("refused")))
        return Effect.sync(() => stranger.terminate())
      })
      assert.strictEqual(outcome, "refused")
    }).pipe(Effect.scoped))
})
