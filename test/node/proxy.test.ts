/**
 * How a proxy reaches its server: over TLS with certificates of its own, over a Unix socket, and over sockets that it keeps.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Https from "node:https"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import type * as Tls from "node:tls"
import { certificate } from "../support/certificate.ts"
import { until, within } from "../support/waiting.ts"

/** Listens until the test ends. */
const listen = (server: Net.Server, where: Net.ListenOptions = { port: 0, host: "127.0.0.1" }) =>
  Effect.acquireRelease(
    Effect.callback<number>((resume) => {
      server.listen(where, () => {
        const address = server.address()
        resume(Effect.succeed(typeof address === "object" ? address!.port : 0))
      })
    }),
    () =>
      Effect.sync(() => {
        server.close()
        if (server instanceof Http.Server) server.closeAllConnections()
      })
  )

/** A client of a server that is served on a connection. */
const callerOf = Effect.fnUntraced(function*(url: string, options?: NodeSwaggerSocket.ProxyOptions) {
  const { client, server } = yield* SwaggerSocketTest.makePair()
  yield* Layer.build(
    Layer.provide(NodeSwaggerSocket.layerProxy(url, options), ApiServer.layerConnection(server))
  )
  return ApiClient.make(client)
})

const textOf = (api: HttpClient.HttpClient, path: string) =>
  within("the answer", Effect.flatMap(api.get(path), ({ text }) => text))

describe("a proxy's TLS", () => {
  it.live("the server is trusted by the authority that is named, and told who asks by a certificate", () =>
    Effect.gen(function*() {
      const server = Https.createServer(
        { ...certificate, ca: certificate.cert, requestCert: true, rejectUnauthorized: true },
        ({ socket }, response) => void response.end((socket as Tls.TLSSocket).getPeerCertificate().subject.CN)
      )
      const port = yield* listen(server)
      const tls = { ca: certificate.cert, cert: certificate.cert, key: certificate.key }
      assert.strictEqual(yield* textOf(yield* callerOf(`https://localhost:${port}`, { tls }), "/"), "localhost")
      const unknown = yield* callerOf(`https://localhost:${port}`, { tls: { ca: [certificate.cert] } })
      assert.strictEqual((yield* unknown.get("/")).status, 502)
    }).pipe(Effect.scoped))

  it.live("the certificate must have the name that is asked for", () =>
    Effect.gen(function*() {
      const port = yield* listen(Https.createServer(certificate, (_, response) => void response.end("hello")))
      const ca = certificate.cert
      const named = yield* callerOf(`https://127.0.0.1:${port}`, { tls: { ca, servername: "localhost" } })
      assert.strictEqual(yield* textOf(named, "/"), "hello")
      const other = yield* callerOf(`https://127.0.0.1:${port}`, { tls: { ca, servername: "other.test" } })
      assert.strictEqual((yield* other.get("/")).status, 502)
    }).pipe(Effect.scoped))

  it("certificates that can't be read, and those for http:, are told of at once", () => {
    assert.throws(() => NodeSwaggerSocket.proxy("https://localhost", { tls: { cert: "no certificate" } }), /PEM/i)
    assert.throws(() => NodeSwaggerSocket.proxy("http://localhost", { tls: {} }), RangeError, /https:/)
  })
})

describe("a proxy's Unix socket", () => {
  it.live("the server gets requests there, with the host of the caller", () =>
    Effect.gen(function*() {
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "proxy-"))),
        (folder) => Effect.sync(() => Fs.rmSync(folder, { recursive: true }))
      )
      const socketPath = Path.join(folder, "server")
      const server = Http.createServer(({ headers, url }, response) => void response.end(`${headers.host}${url}`))
      yield* listen(server, { path: socketPath })
      const api = yield* callerOf("http://localhost", { socketPath })
      assert.strictEqual(yield* textOf(api, "http://device/a?b"), "device/a?b")
    }).pipe(Effect.scoped))
})

describe("sockets that a proxy does not keep", () => {
  for (const protocol of [undefined, "other"]) {
    const asking = protocol === undefined ? "a request" : "a request for an upgrade"
    it.live(`that of ${asking} is closed behind its answer, though the server keeps it`, () =>
      Effect.gen(function*() {
        let open = 0
        const answer = "HTTP/1.1 200 Fine\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok"
        const server = Net.createServer((socket) => {
          open++
          socket.on("error", () => {}).on("close", () => open--).on("data", () => socket.write(answer))
        })
        const api = yield* callerOf(`http://127.0.0.1:${yield* listen(server)}`)
        const get = HttpClientRequest.get("/")
        const response = yield* api.execute(
          protocol === undefined ? get : HttpClientRequest.upgrade(get, protocol)
        )
        assert.strictEqual(yield* within("the body", response.text), "ok")
        yield* until("the socket is closed", () => open === 0)
      }).pipe(Effect.scoped))
  }
})

describe("sockets that a proxy keeps", () => {
  /** A server that counts its sockets, and the callers of it. */
  const makeCounted = Effect.fnUntraced(function*(
    options: NodeSwaggerSocket.ProxyOptions,
    handler: Http.RequestListener = (_, response) => void response.end("hello")
  ) {
    const server = Http.createServer(handler)
    let sockets = 0
    server.on("connection", () => sockets++)
    const port = yield* listen(server)
    return { api: yield* callerOf(`http://127.0.0.1:${port}`, options), sockets: () => sockets }
  })

  it.live("each request has a socket of its own, unless some are kept", () =>
    Effect.gen(function*() {
      for (const [options, count] of [[{}, 3], [{ keepAlive: "10 seconds" }, 1]] as const) {
        const { api, sockets } = yield* makeCounted(options)
        for (const path of ["/1", "/2", "/3"]) assert.strictEqual(yield* textOf(api, path), "hello")
        assert.strictEqual(sockets(), count)
      }
    }).pipe(Effect.scoped))

  it.live("they are kept behind answers without a body", () =>
    Effect.gen(function*() {
      const { api, sockets } = yield* makeCounted(
        { keepAlive: "10 seconds" },
        // Node's client keeps no socket behind an answer to HEAD without a length.
        ({ method, url }, response) =>
          void response.writeHead(Number(url!.slice(1)), method === "HEAD" ? { "content-length": 7 } : {}).end()
      )
      for (const [method, status] of [["HEAD", 200], ["GET", 204], ["GET", 304], ["GET", 200]] as const) {
        const response = yield* within("the answer", api.execute(HttpClientRequest.make(method)(`/${status}`)))
        assert.strictEqual(response.status, status)
        assert.strictEqual(yield* within("the body", response.text), "")
      }
      assert.strictEqual(sockets(), 1)
    }).pipe(Effect.scoped))

  it.live("requests that must not be sent twice have sockets of their own", () =>
    Effect.gen(function*() {
      const { api, sockets } = yield* makeCounted({ keepAlive: "10 seconds" })
      assert.strictEqual(yield* textOf(api, "/"), "hello")
      assert.strictEqual((yield* api.post("/")).status, 200)
      assert.strictEqual(sockets(), 2)
      assert.strictEqual(yield* textOf(api, "/"), "hello")
      assert.strictEqual(sockets(), 2)
    }).pipe(Effect.scoped))

  it.live("a request whose kept socket the server has closed is sent again on one of its own", () =>
    Effect.gen(function*() {
      const used = new WeakSet<Net.Socket>()
      const { api, sockets } = yield* makeCounted({ keepAlive: "10 seconds" }, ({ socket }, response) => {
        if (used.has(socket)) return void socket.destroy()
        used.add(socket)
        response.end("hello")
      })
      assert.strictEqual(yield* textOf(api, "/1"), "hello")
      assert.strictEqual(yield* textOf(api, "/2"), "hello")
      assert.strictEqual(sockets(), 2)
    }).pipe(Effect.scoped))

  it.live("a server that closes a new socket without an answer is asked once", () =>
    Effect.gen(function*() {
      const { api, sockets } = yield* makeCounted({ keepAlive: "10 seconds" }, ({ socket }) => void socket.destroy())
      assert.strictEqual((yield* api.get("/")).status, 502)
      assert.strictEqual(sockets(), 1)
    }).pipe(Effect.scoped))
})
