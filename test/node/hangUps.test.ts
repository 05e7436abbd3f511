/**
 * Clients that reset their TCP connection before their upgrade is answered, or keep it once that is refused.
 */
import { assert, it } from "@effect/vitest"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import { listen } from "effect-swaggersocket/promise"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import { once } from "node:events"
import * as NodeHttp from "node:http"
import * as Net from "node:net"
import { until } from "../support/waiting.ts"

const upgrade = [
  "GET /socket HTTP/1.1",
  "host: h",
  "upgrade: websocket",
  "connection: upgrade",
  "sec-websocket-version: 13",
  "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
  "",
  ""
].join("\r\n")

/** Dials, and is gone before it can be answered. */
const hangUp = (port: number) =>
  Effect.callback<void>((resume) => {
    const socket = Net.connect(port, "127.0.0.1", () => {
      socket.write(upgrade)
      setImmediate(() => socket.resetAndDestroy())
    })
    socket.on("error", () => {})
    socket.on("close", () => resume(Effect.void))
  })

it.live("clients that hang up while nothing is served cause no uncaught exception", () =>
  Effect.gen(function*() {
    const uncaught: Array<unknown> = []
    const listener = (error: unknown) => uncaught.push(error)
    yield* Effect.acquireRelease(
      Effect.sync(() => process.on("uncaughtException", listener)),
      () => Effect.sync(() => process.off("uncaughtException", listener))
    )
    let open = 0
    let seen = 0
    const createServer = () =>
      NodeHttp.createServer().on("connection", (socket: Net.Socket) => {
        open++
        seen++
        socket.on("close", () => open--)
      })
    const context = yield* Layer.build(
      NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1", createServer })
    )
    const { address } = Context.get(context, HttpServer.HttpServer)
    const { port } = address as { readonly port: number }
    yield* Effect.forEach(Array.from({ length: 200 }), () => hangUp(port), { concurrency: 20, discard: true })
    yield* until("all are gone", () => seen === 200 && open === 0)
    assert.deepStrictEqual(uncaught, [])
  }))

for (const way of ["on its own server", "on a server that is there"] as const) {
  it.live(`the socket of an upgrade that a hub ${way} refuses is closed, though the client keeps its side open`, () =>
    Effect.gen(function*() {
      const server = NodeHttp.createServer()
      const hub = yield* Effect.acquireRelease(
        Effect.promise(() =>
          way === "on its own server"
            ? listen({ host: "127.0.0.1", createServer: () => server })
            : once(server.listen(0, "127.0.0.1"), "listening").then(() => listen({ server }))
        ),
        (hub) => Effect.promise(() => hub.close({ drain: false }))
      )
      yield* Effect.addFinalizer(() => Effect.sync(() => server.close()))
      let open = 0
      server.on("connection", (socket: Net.Socket) => {
        open++
        socket.on("close", () => open--)
      })
      const socket = yield* Effect.acquireRelease(
        Effect.sync(() => Net.connect({ port: Number(new URL(hub.url).port), host: "127.0.0.1", allowHalfOpen: true })),
        (socket) => Effect.sync(() => socket.destroy())
      )
      let answer = ""
      socket.on("error", () => {}).on("data", (part) => answer += part)
      socket.write(upgrade.replace("/socket", "/").replace("host: h", "host: h\r\norigin: http://elsewhere.example"))
      yield* until("the answer", () => answer.includes("\r\n\r\n"))
      assert.match(answer, /^HTTP\/1.1 403 /)
      yield* until("the socket is closed", () => open === 0)
    }))
}
