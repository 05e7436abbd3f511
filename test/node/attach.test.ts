/**
 * SwaggerSocket servers on HTTP servers that exist already, beside what these serve.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Http from "node:http"
import * as Http2 from "node:http2"
import * as Https from "node:https"
import * as Net from "node:net"
import * as WS from "ws"
import { certificate } from "../support/certificate.ts"
import { serveRoutes } from "../support/connections.ts"
import { slow } from "../support/draining.ts"
import { dial } from "../support/proxied.ts"
import { dial as dialRaw } from "../support/rawPeer.ts"
import { answerOf, upgrade, upgradeFields } from "../support/upgrade.ts"
import { until, within } from "../support/waiting.ts"

class Devices extends SwaggerSocketServer.Service<Devices>()("test/node/attach/Devices") {}

const start = Effect.forkChild({ startImmediately: true })

/** An app as those who know nothing of Effect write them. It counts what it answers. */
const makeApp = () => {
  const seen: Array<string> = []
  const app: Http.RequestListener = (request, response) => {
    seen.push(`${request.method} ${request.url}`)
    let size = 0
    request.on("data", (chunk: Buffer) => size += chunk.length)
    request.on("end", () => response.end(`app: ${size} bytes`))
  }
  return { app, seen }
}

/** Listens on loopback until the test ends. */
const listen = (server: Net.Server) =>
  Effect.acquireRelease(
    Effect.callback<string>((resume) => {
      server.listen(0, "127.0.0.1", () =>
        resume(Effect.succeed(`127.0.0.1:${(server.address() as Net.AddressInfo).port}`)))
    }),
    () =>
      Effect.sync(() =>
        void server.close()
      )
  )

const withDevices = Effect.provide(Devices.layerNoRoute({}))

/** What a device answers when the hub asks it. */
const askDevice = Effect.fnUntraced(function*(url: string) {
  const { client } = yield* dial({ url })
  const near = yield* client.connection
  yield* serveRoutes(near, HttpRouter.add("GET", "/name", HttpServerResponse.text("a device")))
  const device = yield* (yield* Devices).awaitConnection(({ id }) => id === near.id)
  return yield* Effect.flatMap(ApiClient.make(device).get("/name"), ({ text }) => text)
})

/** Echoes messages over a `ws` server. */
const echo = (webSockets: WS.WebSocketServer) =>
  webSockets.on("connection", (ws) => ws.on("message", (data) => ws.send(data)))

/** What comes back of a message to a `ws` server. */
const sendMessage = (url: string) =>
  Effect.callback<string, Error>((resume) => {
    const ws = new WS.WebSocket(url)
    ws.on("open", () => ws.send("hello"))
    ws.on("message", (data) => resume(Effect.succeed(String(data))))
    ws.on("error", (error) => resume(Effect.fail(error)))
    return Effect.sync(() => ws.terminate())
  })

/** The members of a server that mounts change, as they are. */
const stateOf = (server: Http.Server) => ({
  emit: Object.getOwnPropertyDescriptor(server, "emit"),
  decision: Reflect.get(server, "shouldUpgradeCallback") as unknown,
  listeners: server.listeners("upgrade")
})

describe("attach", () => {
  for (const when of ["listens already", "listens later"]) {
    it.live(`a server that ${when} takes connections on the path, and its app answers all else once`, () =>
      Effect.gen(function*() {
        const { app, seen } = makeApp()
        const server = Http.createServer(app)
        const attached = NodeSwaggerSocket.attach(server, Devices, { path: "/socket" })
        if (when === "listens later") yield* attached
        const host = yield* listen(server)
        if (when === "listens already") yield* attached
        assert.strictEqual(yield* askDevice(`ws://${host}/socket?token=1`), "a device")
        assert.deepStrictEqual(seen, [])
        assert.strictEqual((yield* answerOf(`http://${host}/other`, {})).body, "app: 0 bytes")
        assert.strictEqual((yield* answerOf(`http://${host}/socket`, {})).body, "app: 0 bytes")
        assert.deepStrictEqual(seen, ["GET /other", "GET /socket"])
      }).pipe(withDevices, Effect.scoped))
  }

  it.live("a ws server with a path of its own on the same server keeps its clients, and refuses none of ours", () =>
    Effect.gen(function*() {
      const server = Http.createServer()
      echo(new WS.WebSocketServer({ server, path: "/before" }))
      yield* NodeSwaggerSocket.attach(server, Devices, { path: "/socket" })
      const host = yield* listen(server)
      assert.strictEqual(yield* askDevice(`ws://${host}/socket`), "a device")
      assert.strictEqual(yield* within("an echo", sendMessage(`ws://${host}/before`)), "hello")
      // As without this package: the `ws` server refuses what is not for it.
      for (const path of ["/socket/", "/Socket", "/socket/more", "/elsewhere"]) {
        assert.strictEqual((yield* upgrade(`http://${host}${path}`)).status, 400, path)
      }
    }).pipe(withDevices, Effect.scoped))

  it.live("a request for an upgrade that has no listener is an ordinary one, with its body, and so is the next one", () =>
    Effect.gen(function*() {
      const { app, seen } = makeApp()
      const server = Http.createServer(app)
      const host = yield* listen(server)
      yield* NodeSwaggerSocket.attach(server, Devices, { path: "/socket" })
      assert.strictEqual((yield* answerOf(`http://${host}/chat`, upgradeFields)).body, "app: 0 bytes")
      // As Java's HTTP client asks, over a connection that is kept.
      const agent = new Http.Agent({ keepAlive: true, maxSockets: 1 })
      const post = (body: string) =>
        Effect.callback<string>((resume) => {
          const headers = {
            connection: "Upgrade, HTTP2-Settings",
            upgrade: "h2c",
            "http2-settings": "AAEAAEAAAAIAAAAB"
          }
          const request = Http.request(`http://${host}/orders`, { agent, method: "POST", headers }, (response) => {
            const { socket } = response
            response.setEncoding("utf8").on("data", (text: string) => {
              response.on("end", () => resume(Effect.succeed(`${text} from ${socket.localPort}`)))
            })
          })
          request.end(body)
        })
      const first = yield* within("an answer", post("x".repeat(100_000)))
      assert.match(first, /^app: 100000 bytes from \d+$/)
      assert.strictEqual(yield* within("an answer", post("y".repeat(100_000))), first)
      agent.destroy()
      assert.deepStrictEqual(seen, ["GET /chat", "POST /orders", "POST /orders"])
    }).pipe(withDevices, Effect.scoped))

  for (
    const [name, createServer] of [
      ["node:https", (app: Http.RequestListener) => Https.createServer(certificate, app)],
      ["node:http2 with allowHTTP1", () => Http2.createSecureServer({ ...certificate, allowHTTP1: true })]
    ] as const
  ) {
    it.live(`a server of ${name} takes connections over TLS, and answers other requests for an upgrade`, () =>
      Effect.gen(function*() {
        const { app } = makeApp()
        const server = createServer(app)
        if (!(server instanceof Https.Server)) {
          server.on("request", (request, response) => void response.end(request.url))
        }
        const host = yield* listen(server)
        yield* NodeSwaggerSocket.attach(server, Devices, { path: "/socket" })
        const context = yield* Layer.build(
          SwaggerSocketClient.layer({ url: `wss://${host}/socket` }).pipe(
            Layer.provide(Layer.succeed(
              Socket.WebSocketConstructor,
              (url, protocols) =>
                new WS.WebSocket(url, protocols as Array<string>, {
                  ca: certificate.cert
                }) as unknown as Socket.WebSocketLike
            ))
          )
        )
        const { id } = yield* Context.get(context, SwaggerSocketClient.SwaggerSocketClient).connection
        yield* within("the connection", (yield* Devices).awaitConnection((connection) => connection.id === id))
        const status = yield* Effect.callback<number>((resume) => {
          const options = { headers: upgradeFields, ca: certificate.cert, agent: false }
          Https.get(`https://${host}/other`, options, (response) => {
            response.resume()
            resume(Effect.succeed(response.statusCode!))
          })
        })
        assert.strictEqual(status, 200)
      }).pipe(withDevices, Effect.scoped))
  }

  it.live("a scope that closes drains connections, refuses new ones meanwhile, and leaves the server as it was", () =>
    Effect.gen(function*() {
      const { app } = makeApp()
      const server = Http.createServer(app)
      const host = yield* listen(server)
      const before = stateOf(server)
      const scope = yield* Scope.make()
      yield* Scope.provide(NodeSwaggerSocket.attach(server, Devices, { path: "/socket" }), scope)
      const { client } = yield* dial({ url: `ws://${host}/socket` })
      const near = yield* client.connection
      const { finish, routes, started } = yield* slow()
      yield* serveRoutes(near, routes)
      const device = yield* (yield* Devices).awaitConnection(({ id }) => id === near.id)
      const call = yield* start(Effect.flatMap(ApiClient.make(device).post("/slow"), ({ text }) => text))
      yield* started
      const closing = yield* start(Scope.close(scope, Exit.void))
      assert.strictEqual((yield* upgrade(`http://${host}/socket`)).status, 503)
      yield* finish
      assert.strictEqual(yield* within("the call", Fiber.join(call)), "at last")
      yield* within("the end", Fiber.join(closing))
      assert.deepStrictEqual(stateOf(server), before)
      assert.strictEqual((yield* upgrade(`http://${host}/socket`)).body, "app: 0 bytes")
    }).pipe(Effect.provide(Devices.layerNoRoute({ limits: { drainTimeout: "1 hour" } })), Effect.scoped))

  it.live("of two servers on one path the last one answers, while its scope is open", () =>
    Effect.gen(function*() {
      class Others extends SwaggerSocketServer.Service<Others>()("test/node/attach/Others") {}
      const server = Http.createServer()
      const host = yield* listen(server)
      const before = stateOf(server)
      yield* Effect.gen(function*() {
        const connected = Effect.gen(function*() {
          const { client } = yield* dial({ url: `ws://${host}/socket` })
          yield* client.connection
          const [devices, others] = [yield* Devices, yield* Others]
          return yield* within(
            "the connection",
            Effect.raceFirst(
              Effect.as(devices.awaitConnection(), "Devices"),
              Effect.as(others.awaitConnection(), "Others")
            )
          )
        }).pipe(Effect.scoped)
        const scope = yield* Scope.make()
        yield* NodeSwaggerSocket.attach(server, Devices, { path: "/socket" })
        yield* NodeSwaggerSocket.attach(server, Others, { path: "/other" })
        yield* Scope.provide(NodeSwaggerSocket.attach(server, Others, { path: "/socket" }), scope)
        assert.strictEqual(yield* connected, "Others")
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(yield* connected, "Devices")
      }).pipe(Effect.provide(Others.layerNoRoute({})), Effect.scoped)
      assert.deepStrictEqual(stateOf(server), before)
    }).pipe(withDevices, Effect.scoped))

  it.live("what others have put around the server since stays, when the scope closes", () =>
    Effect.gen(function*() {
      const { app, seen } = makeApp()
      const server = Http.createServer(app)
      const host = yield* listen(server)
      const scope = yield* Scope.make()
      yield* Scope.provide(NodeSwaggerSocket.attach(server, Devices, { path: "/socket" }), scope)
      const emit = server.emit.bind(server) as (...args: ReadonlyArray<unknown>) => boolean
      const events: Array<unknown> = []
      server.emit = ((...args: ReadonlyArray<unknown>) => {
        events.push(args[0])
        return emit(...args)
      }) as typeof server.emit
      yield* Scope.close(scope, Exit.void)
      yield* answerOf(`http://${host}/other`, {})
      assert.include(events, "request")
      assert.deepStrictEqual(seen, ["GET /other"])
      yield* NodeSwaggerSocket.attach(server, Devices, { path: "/socket" })
      assert.strictEqual(yield* askDevice(`ws://${host}/socket`), "a device")
    }).pipe(withDevices, Effect.scoped))

  it.live("a client that hangs up while its upgrade is handled does no harm", () =>
    Effect.gen(function*() {
      const server = Http.createServer()
      const host = yield* listen(server)
      yield* NodeSwaggerSocket.attach(server, Devices, { path: "/socket" })
      let closed = 0
      server.on("connection", (socket: Net.Socket) => socket.on("close", () => closed++))
      const head = [
        "GET /socket HTTP/1.1",
        `host: ${host}`,
        ...Object.entries(upgradeFields).map((field) => field.join(": "))
      ]
      for (let count = 0; count < 20; count++) {
        const socket = Net.connect(Number(host.split(":")[1]), "127.0.0.1")
        socket.on("error", () => {})
        socket.write(`${head.join("\r\n")}\r\n\r\n`, () => socket.resetAndDestroy())
      }
      yield* until("all sockets are closed", () => closed === 20)
      assert.strictEqual(yield* askDevice(`ws://${host}/socket`), "a device")
    }).pipe(withDevices, Effect.scoped))

  it.live("a message above the limit is refused while it arrives", () =>
    Effect.gen(function*() {
      const server = Http.createServer()
      const host = yield* listen(server)
      yield* Layer.build(NodeSwaggerSocket.layerAttach(server, Devices, { path: "/socket" }))
      const peer = yield* dialRaw(`ws://${host}/socket`)
      yield* peer.handshake()
      // The header of a frame of 70,000 bytes alone.
      peer.tcp.write(Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 1, 0x11, 0x70, 0, 0, 0, 0]))
      yield* peer.expectClose(1009)
    }).pipe(withDevices, Effect.scoped))
})

describe("layerHttpServer", () => {
  for (
    const [name, createServer] of [
      ["has an app", () => Http.createServer(makeApp().app)],
      ["has upgrades", () => Http.createServer().on("upgrade", () => {})]
    ] as const
  ) {
    it.live(`a server that ${name} already is an error that names attach`, () =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(Layer.build(NodeSwaggerSocket.layerHttpServer({ port: 0, createServer })))
        assert.isTrue(Exit.isFailure(exit))
        if (Exit.isFailure(exit)) assert.match(Cause.pretty(exit.cause), /NodeSwaggerSocket\.attach/)
      }).pipe(Effect.scoped))
  }
})
