/**
 * Upgrade requests of runtimes whose servers take a function from `Request` to `Response`: each is answered, whatever becomes of its
 * WebSocket. The runtime is in the hands of the test; `test/runtimes` has real ones.
 */
import { assert, describe, it } from "@effect/vitest"
import * as HonoSwaggerSocket from "effect-swaggersocket/hono"
import { type CreatedHub, createHub } from "effect-swaggersocket/promise"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { once } from "node:events"
import * as Http from "node:http"
import type * as Net from "node:net"
import { onTestFinished } from "vitest"
import * as WS from "ws"
import { connecting, deferred, recorder } from "../promise/ends.ts"
import { until } from "../support/waiting.ts"

type UpgradeWebSocket = HonoSwaggerSocket.UpgradeWebSocket

const handshake = {
  host: "hub.example",
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  "sec-websocket-version": "13",
  "sec-websocket-protocol": "swaggersocket.v2"
}

const contextOf = (headers: Record<string, string> = handshake): HonoSwaggerSocket.HonoContext => ({
  req: { raw: new Request("http://hub.example/", { headers }) }
})

/** A hub of a runtime that upgrades in this way. */
const makeHub = async (upgradeWebSocket: UpgradeWebSocket) => {
  const { layer, lines } = recorder()
  const hub = await createHub({ layer })
  onTestFinished(() => hub.close({ drain: false }))
  const accept = HonoSwaggerSocket.acceptHub(hub, upgradeWebSocket)
  const statusOf = async (context = contextOf()) => (await accept(context)).status
  return { hub, lines, statusOf }
}

/** A server on a port whose requests and WebSockets are shown to the hub as those of a runtime. Answers its URL. */
const listening = async (hub: CreatedHub): Promise<string> => {
  const server = Http.createServer()
  const sockets = new WS.WebSocketServer({ noServer: true })
  server.on("upgrade", async (message: Http.IncomingMessage, tcp, head) => {
    const upgradeWebSocket: UpgradeWebSocket = (createEvents) => async () => {
      sockets.handleUpgrade(message, tcp, head, (raw) => {
        const { onClose, onMessage, onOpen } = createEvents()
        const socket: HonoSwaggerSocket.HonoWebSocket = {
          send: (data) => raw.send(data),
          close: (code, reason) => raw.close(code, reason),
          get readyState() {
            return raw.readyState
          },
          raw
        }
        onOpen({}, socket)
        raw.on("message", (data, isBinary) => onMessage({ data: isBinary ? data : String(data) }, socket))
        raw.on("close", (code, reason) => onClose({ code, reason: String(reason) }, socket))
      })
      return new Response("")
    }
    const headers = message.headers as Record<string, string>
    await HonoSwaggerSocket.acceptHub(hub, upgradeWebSocket)({
      req: { raw: new Request("http://hub.example/", { headers }) }
    })
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
    for (const socket of sockets.clients) socket.terminate()
  })
  return `ws://127.0.0.1:${(server.address() as Net.AddressInfo).port}`
}

describe("a hub of a runtime", () => {
  for (const wire of ["v1", "v2"] as const) {
    it(`is called by clients of wire ${wire}, and calls them`, async () => {
      const hub = await createHub({ layer: recorder().layer })
      onTestFinished(() => hub.close({ drain: false }))
      const large = "\u00e9".repeat(100_000)
      const answering = (name: string) => async (request: Request) =>
        new Response(`${name} ${await request.text()} ${large}`)
      hub.serve(answering("hub"))
      const client = await connecting(await listening(hub), { wire })
      client.serve(answering("client"))
      const connection = await hub.awaitConnection()
      for (let call = 0; call < 3; call++) {
        const [ofHub, ofClient] = await Promise.all(
          [client.fetch, connection.fetch].map(async (fetch) => {
            const response = await fetch("/", { method: "POST", body: `\u00e9 ${call}` })
            return response.text()
          })
        )
        assert.deepStrictEqual([ofHub, ofClient], [`hub \u00e9 ${call} ${large}`, `client \u00e9 ${call} ${large}`])
      }
      await client.close()
      const end = await connection.closed
      assert.deepInclude(end, { _tag: "Closed", initiator: "remote" })
    })
  }
})

describe("an upgrade request of a runtime", () => {
  it("that the runtime can't upgrade is answered 501, and the log says why, once", async () => {
    const { lines, statusOf } = await makeHub(() => () => Promise.reject(new TypeError("set `websocket`")))
    assert.deepStrictEqual([await statusOf(), await statusOf()], [501, 501])
    assert.lengthOf(lines, 1)
    assert.match(lines[0]!, /^Warn WebSockets can't be opened: .*\(TypeError: set `websocket`\)/)
  })

  it("that Hono's adapter answers with 500 is answered 501, as it was given no server of WebSockets", async () => {
    const { lines, statusOf } = await makeHub(() => () => Promise.resolve(new Response(null, { status: 500 })))
    assert.strictEqual(await statusOf(), 501)
    assert.lengthOf(lines, 1)
  })

  it.effect("whose WebSocket never opens is given up after 10 seconds, and the log says so", () =>
    Effect.gen(function*() {
      const { layer, lines } = recorder()
      class Devices extends SwaggerSocketServer.Service<Devices>()("test/server/fetchAcceptor") {}
      const context = yield* Layer.build(Layer.provideMerge(Devices.layerNoRoute({}), layer))
      const upgradeWebSocket: UpgradeWebSocket = () => () => Promise.resolve(new Response("a page"))
      const accept = yield* Effect.provideContext(HonoSwaggerSocket.accept(Devices, upgradeWebSocket), context)
      assert.strictEqual((yield* Effect.promise(() => accept(contextOf()))).status, 200)
      yield* TestClock.adjust("10 seconds")
      yield* until("the warning", () => lines.length > 0)
      assert.match(lines[0]!, /^Warn WebSockets can't be opened: .* opened no WebSocket for 10 seconds/)
    }))

  it("that is no handshake is answered 400, and nothing is logged", async () => {
    const { lines, statusOf } = await makeHub(() => () => Promise.resolve())
    const { "sec-websocket-key": _, ...without } = handshake
    assert.strictEqual(await statusOf(contextOf(without)), 400)
    assert.deepStrictEqual(lines, [])
  })

  it("is answered 503 when the hub closes while it is upgraded, and its WebSocket is closed when it opens", async () => {
    const [asked, upgraded] = [deferred(), deferred()]
    const closes: Array<number | undefined> = []
    const { hub, statusOf } = await makeHub((createEvents) => async () => {
      const { onOpen } = createEvents()
      asked.resolve()
      await upgraded.promise
      onOpen({}, { send() {}, close: (code) => closes.push(code), readyState: 1 })
      return new Response("")
    })
    const status = statusOf()
    await asked.promise
    await hub.close({ drain: false })
    assert.strictEqual(await status, 503)
    upgraded.resolve()
    assert.strictEqual(await statusOf(), 503)
    assert.deepStrictEqual(closes, [1000])
  })
})
