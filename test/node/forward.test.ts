/**
 * Requests of connections that go on over HTTP/1.1: to a handler for Node in this process, and to a server on a port.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as ApiWebSocket from "effect-swaggersocket/ApiWebSocket"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import { outcomeOf } from "effect-swaggersocket/SwaggerSocketError"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import * as Http from "node:http"
import * as Https from "node:https"
import * as Net from "node:net"
import { Duplex } from "node:stream"
import { gzipSync } from "node:zlib"
import * as WS from "ws"
import { forward } from "../../src/node/forward.ts"
import { MiB } from "../support/bodies.ts"
import { certificate } from "../support/certificate.ts"
import { settled, turn, until, within } from "../support/waiting.ts"

const { makePair } = SwaggerSocketTest
const start = Effect.forkChild({ startImmediately: true })

/** Listens on loopback until the test ends. */
const listen = (server: Net.Server) =>
  Effect.acquireRelease(
    Effect.callback<number>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed((server.address() as Net.AddressInfo).port)))
    }),
    () =>
      Effect.sync(() => {
        server.close()
        if (server instanceof Http.Server) server.closeAllConnections()
      })
  )

/** Serves a handler on one end of a connection in memory, and gives the other end. */
const makeServing = Effect.fnUntraced(function*(
  handler: ReturnType<typeof NodeSwaggerSocket.proxy>,
  wire: "v1" | "v2" = "v2"
) {
  const { client, server } = yield* makePair({ wire })
  yield* Layer.build(Layer.provide(HttpServer.serve(handler), ApiServer.layerConnection(server)))
  return client
})

/** The ways in which requests reach a server of Node. */
const ways = {
  "a handler for Node": (server: Http.Server, wire?: "v1" | "v2") =>
    makeServing(NodeSwaggerSocket.fromNodeHandler(server), wire),
  "a server behind a proxy": (server: Http.Server, wire?: "v1" | "v2") =>
    Effect.flatMap(listen(server), (port) => makeServing(NodeSwaggerSocket.proxy(`http://127.0.0.1:${port}`), wire))
} as const

/** Ends of a request and a response, as a handler sees them. */
const watchCloses = () => {
  const closed: Array<string> = []
  return {
    closed,
    watch(request: Http.IncomingMessage, response: Http.ServerResponse) {
      request.on("error", () => {})
      request.on("close", () => closed.push(`request${request.complete ? "" : ", incomplete"}`))
      response.on("close", () => closed.push(`response${response.writableFinished ? "" : ", unfinished"}`))
    }
  }
}

const utf8 = (text: string) => new TextEncoder().encode(text)

for (const [name, serve] of Object.entries(ways)) {
  describe(name, () => {
    for (const wire of ["v1", "v2"] as const) {
      it.live(`a request arrives as it was sent, and its answer as well, on wire ${wire}`, () =>
        Effect.gen(function*() {
          const body = gzipSync("hello")
          const connection = yield* serve(
            Http.createServer((request, response) => {
              const parts: Array<Buffer> = []
              request.on("data", (part: Buffer) => parts.push(part))
              request.on("end", () => {
                response.setHeader("set-cookie", ["a=1; Path=/", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT"])
                response.writeHead(207, "Multi", {
                  "Content-Encoding": "gzip",
                  "X-Latin": "caf\u00e9",
                  Connection: "close, x-hop",
                  "X-Hop": "1"
                })
                response.end(Buffer.concat([
                  utf8(JSON.stringify([request.method, request.url, request.headers])),
                  Buffer.concat(parts)
                ]))
              })
            }),
            wire
          )
          const response = yield* ApiClient.make(connection).execute(
            HttpClientRequest.patch("http://device:81/a/%2e%2E/b%20c?q=%zz&q=1", {
              headers: {
                "accept-encoding": "gzip",
                "x-latin": "caf\u00e9",
                authorization: "Bearer 1",
                cookie: "a=1; b=2"
              },
              body: HttpBody.uint8Array(body, "application/gzip")
            })
          )
          assert.strictEqual(response.status, 207)
          assert.strictEqual(response.headers["content-encoding"], "gzip")
          assert.strictEqual(response.headers["x-latin"], "caf\u00e9")
          assert.isUndefined(response.headers.connection)
          assert.isUndefined(response.headers["x-hop"])
          assert.deepStrictEqual(Object.keys(response.cookies.cookies), ["a", "b"])
          const whole = new Uint8Array(yield* response.arrayBuffer)
          const head = whole.subarray(0, whole.length - body.length)
          assert.deepStrictEqual(whole.subarray(head.length), new Uint8Array(body))
          const [method, url, headers] = JSON.parse(new TextDecoder().decode(head)) as [
            string,
            string,
            Http.IncomingHttpHeaders
          ]
          assert.deepStrictEqual([method, url], ["PATCH", "/b%20c?q=%zz&q=1"])
          assert.include(headers, {
            host: "device:81",
            "accept-encoding": "gzip",
            "x-latin": "caf\u00e9",
            authorization: "Bearer 1",
            cookie: "a=1; b=2",
            "content-length": String(body.length),
            "content-type": "application/gzip"
          })
        }).pipe(Effect.scoped))
    }

    it.live("bodies flow both ways at once: the answer begins, and ends, before the request has ended", () =>
      Effect.gen(function*() {
        const connection = yield* serve(Http.createServer((request, response) => {
          request.on("error", () => {})
          request.setEncoding("utf8")
          request.on(
            "data",
            (text: string) => text === "end" ? response.end("last") : response.write(text.toUpperCase())
          )
        }))
        const may = yield* Deferred.make<void>()
        const response = yield* within(
          "the head",
          ApiClient.make(connection).post("/", {
            body: HttpBody.stream(
              Stream.concat(Stream.make("first"), Stream.fromEffect(Effect.as(Deferred.await(may), "end"))).pipe(
                Stream.rechunk(1),
                Stream.concat(Stream.never),
                Stream.encodeText
              )
            )
          })
        )
        const texts: Array<string> = []
        yield* within(
          "the answer",
          Stream.runForEach(Stream.decodeText(response.stream), (text) => {
            texts.push(text)
            return Deferred.succeed(may, undefined)
          })
        )
        assert.deepStrictEqual(texts, ["FIRST", "last"])
      }).pipe(Effect.scoped))

    it.live("large bodies arrive whole, both ways", () =>
      Effect.gen(function*() {
        const connection = yield* serve(Http.createServer((request, response) => void request.pipe(response)))
        const body = new Uint8Array(8 * MiB).map((_, at) => at * 31 >> 3)
        const response = yield* ApiClient.make(connection).put("/", {
          body: HttpBody.stream(Stream.rechunk(Stream.make(body.subarray(0, 5 * MiB), body.subarray(5 * MiB)), 1))
        })
        const hash = createHash("sha256")
        yield* Stream.runForEach(response.stream, (chunk) => Effect.sync(() => void hash.update(chunk)))
        assert.strictEqual(hash.digest("hex"), createHash("sha256").update(body).digest("hex"))
      }).pipe(Effect.scoped))

    it.live("a caller that reads no answer stops the handler's writes, and a handler that reads no body its caller's", () =>
      Effect.gen(function*() {
        let written = 0
        const chunk = Buffer.alloc(64 * 1024)
        const connection = yield* serve(Http.createServer((request, response) => {
          if (request.method === "POST") return
          const write = () => {
            while (response.write(chunk)) written += chunk.length
            response.once("drain", write)
          }
          write()
        }))
        const api = ApiClient.make(connection)
        const { stream } = yield* api.get("/")
        const reading = yield* start(Stream.runForEach(stream, () => Effect.never))
        let sent = 0
        const endless = Stream.fromEffectRepeat(Effect.sync(() => {
          sent += chunk.length
          return chunk
        }))
        const sending = yield* start(api.post("/", { body: HttpBody.stream(endless) }))
        assert.isAtMost(yield* settled("what the handler has written", () => written), 8 * MiB)
        assert.isAtMost(yield* settled("what the caller has sent", () => sent), 8 * MiB)
        yield* Fiber.interrupt(reading)
        yield* Fiber.interrupt(sending)
      }).pipe(Effect.scoped))

    it.live("a caller that gives up closes the request and the response: before the answer, in it, and in its own body", () =>
      Effect.gen(function*() {
        const { closed, watch } = watchCloses()
        let requests = 0
        const connection = yield* serve(Http.createServer((request, response) => {
          requests++
          watch(request, response)
          if (request.url === "/answer") response.write("a part")
        }))
        const api = ApiClient.make(connection)
        const waiting = yield* start(api.get("/wait"))
        yield* until("the request is there", () => requests === 1)
        yield* Fiber.interrupt(waiting)
        yield* until("both are closed", () => closed.length === 2)
        const reading = yield* start(Effect.flatMap(api.get("/answer"), ({ stream }) => Stream.runDrain(stream)))
        yield* until("the request is there", () => requests === 2)
        yield* Fiber.interrupt(reading)
        yield* until("both are closed", () => closed.length === 4)
        const body = HttpBody.stream(Stream.concat(Stream.make(utf8("a part")), Stream.never))
        const sending = yield* start(api.post("/body", { body }))
        yield* until("the request is there", () => requests === 3)
        yield* Fiber.interrupt(sending)
        yield* until("both are closed", () => closed.length === 6)
        assert.deepStrictEqual([...closed].sort(), [
          "request",
          "request",
          "request, incomplete",
          "response, unfinished",
          "response, unfinished",
          "response, unfinished"
        ])
      }).pipe(Effect.scoped))

    for (const [name, fields] of Object.entries({ chunks: {}, "a length": { "content-length": 1000 } })) {
      it.live(`an answer with ${name} that is destroyed in its middle makes its reader fail`, () =>
        Effect.gen(function*() {
          const connection = yield* serve(Http.createServer((_request, response) => {
            response.writeHead(200, fields).write("a part", () => response.destroy())
          }))
          const response = yield* ApiClient.make(connection).get("/")
          assert.isTrue(Exit.isFailure(yield* within("the failure", Effect.exit(response.text))))
        }).pipe(Effect.scoped))
    }

    it.live("answers without a body keep their fields", () =>
      Effect.gen(function*() {
        const connection = yield* serve(Http.createServer((request, response) => {
          const status = Number(request.url!.slice(1))
          response.writeHead(status, status === 200 ? { "content-length": "5" } : { etag: "\"1\"" }).end()
        }))
        const api = ApiClient.make(connection)
        const head = yield* api.head("/200")
        assert.deepStrictEqual([head.status, head.headers["content-length"], yield* head.text], [200, "5", ""])
        for (const status of [204, 304]) {
          const response = yield* api.get(`/${status}`)
          assert.deepStrictEqual([response.status, response.headers.etag, yield* response.text], [status, "\"1\"", ""])
        }
      }).pipe(Effect.scoped))

    it.live("requests without a body have none, and a DELETE may have one", () =>
      Effect.gen(function*() {
        const connection = yield* serve(Http.createServer((request, response) => {
          let text = ""
          request.setEncoding("utf8").on("data", (part: string) => text += part)
          request.on("end", () => {
            const { "content-length": length, "transfer-encoding": coding } = request.headers
            response.end(JSON.stringify([length, coding, text]))
          })
        }))
        const api = ApiClient.make(connection)
        const body = HttpBody.stream(Stream.make(utf8("body")))
        assert.deepStrictEqual(yield* (yield* api.get("/")).json, [null, null, ""])
        assert.deepStrictEqual(yield* (yield* api.post("/")).json, ["0", null, ""])
        assert.deepStrictEqual(yield* (yield* api.del("/", { body })).json, [null, "chunked", "body"])
      }).pipe(Effect.scoped))

    it.live("a field with text that HTTP/1.1 can't carry is answered 400, and reaches no handler", () =>
      Effect.gen(function*() {
        let requests = 0
        const connection = yield* serve(Http.createServer(() => void requests++))
        const response = yield* ApiClient.make(connection).get("/", { headers: { "x-name": "\u0141\u00f3d\u017a" } })
        assert.deepStrictEqual([response.status, requests], [400, 0])
      }).pipe(Effect.scoped))

    it.live("bytes of an upgrade flow both ways, and each direction ends by itself", () =>
      Effect.gen(function*() {
        const connection = yield* serve(
          Http.createServer().on("upgrade", (request: Http.IncomingMessage, socket: Duplex) => {
            let size = 0
            socket.write(
              `HTTP/1.1 101 OK\r\nConnection: Upgrade\r\nUpgrade: ${request.headers.upgrade}\r\nX-More: 1\r\n\r\nhello`
            )
            socket.on("data", (data: Buffer) => size += data.length)
            socket.on("end", () => socket.end(` ${size} bytes`))
          })
        )
        const asking = HttpClientRequest.get("/up").pipe(HttpClientRequest.upgrade("bytes"))
        const response = yield* ApiClient.make(connection).execute(asking)
        assert.deepInclude(response.headers, { upgrade: "bytes", "x-more": "1" })
        const socket = yield* response.upgrade
        const writing = yield* Scope.make()
        const writer = yield* Scope.provide(socket.writer, writing)
        const { pull } = yield* socket.reader
        yield* writer.write(new Uint8Array(3 * MiB))
        yield* Scope.close(writing, Exit.void)
        let text = ""
        const { reason } = yield* within(
          "the end",
          Effect.flip(Effect.forever(Effect.map(pull, (chunks) => {
            for (const chunk of chunks) text += Buffer.from(chunk as Uint8Array).toString()
          })))
        )
        assert.strictEqual(text, `hello ${3 * MiB} bytes`)
        assert.strictEqual(reason._tag === "SocketCloseError" ? reason.code : reason._tag, 1000)
      }).pipe(Effect.scoped))

    it.live("a server of an upgrade that ends first gets what the caller writes last, however late it reads", () =>
      Effect.gen(function*() {
        let read: (() => void) | undefined = undefined
        let received: number | undefined = undefined
        const connection = yield* serve(
          Http.createServer().on("upgrade", (_request: Http.IncomingMessage, socket: Duplex) => {
            socket.pause().end("HTTP/1.1 101 OK\r\nConnection: Upgrade\r\nUpgrade: bytes\r\n\r\n")
            let size = 0
            socket.on("data", (data: Buffer) => size += data.length)
            socket.on("end", () => received = size)
            socket.pause()
            read = () => socket.resume()
          })
        )
        const asking = HttpClientRequest.get("/up").pipe(HttpClientRequest.upgrade("bytes"))
        const socket = yield* (yield* ApiClient.make(connection).execute(asking)).upgrade
        const writing = yield* Scope.make()
        const writer = yield* Scope.provide(socket.writer, writing)
        const { pull } = yield* socket.reader
        yield* within("the end of the server's bytes", Effect.flip(pull))
        const sent = 12_345
        yield* writer.write(new Uint8Array(sent))
        yield* Scope.close(writing, Exit.void)
        yield* until("the server may read", () => read !== undefined)
        yield* turn
        read!()
        yield* until("the server has it all", () => received === sent)
      }).pipe(Effect.scoped))

    it.live("a caller of an upgrade that gives up closes the socket without an end", () =>
      Effect.gen(function*() {
        const events: Array<string> = []
        const connection = yield* serve(
          Http.createServer().on("upgrade", (_request: Http.IncomingMessage, socket: Duplex) => {
            socket.write("HTTP/1.1 101 OK\r\nConnection: Upgrade\r\nUpgrade: bytes\r\n\r\nhello")
            socket.resume().on("error", () => {})
            socket.on("end", () => events.push("end"))
            socket.on("close", () => events.push("close"))
          })
        )
        const asking = HttpClientRequest.get("/up").pipe(HttpClientRequest.upgrade("bytes"))
        const failing = Effect.gen(function*() {
          const socket = yield* (yield* ApiClient.make(connection).execute(asking)).upgrade
          const { pull } = yield* socket.reader
          yield* pull
          return yield* Effect.fail("given up")
        })
        yield* Effect.ignore(Effect.scoped(failing))
        yield* until("the socket is closed", () => events.length > 0)
        assert.deepStrictEqual(events, ["close"])
      }).pipe(Effect.scoped))

    it.live("a WebSocket of a ws server passes messages of all sizes both ways, its subprotocol and its close code", () =>
      Effect.gen(function*() {
        const server = Http.createServer()
        const webSockets = new WS.WebSocketServer({ server, perMessageDeflate: true })
        webSockets.on("connection", (ws) =>
          ws.on("message", (data, isBinary) => {
            if (String(data) === "bye") ws.close(4321, "as you like")
            else ws.send(data, { binary: isBinary })
          }))
        const connection = yield* serve(server)
        const socket = yield* Effect.provide(
          ApiWebSocket.make("/chat", { protocols: ["chat.v1"] }),
          ApiClient.layerConnection(connection)
        )
        const writer = yield* socket.writer
        const { pull } = yield* socket.reader
        const messages = [
          "hello",
          new Uint8Array(0),
          new Uint8Array(200).fill(1),
          new Uint8Array(70_000).fill(2),
          "\u0141".repeat(1000)
        ]
        const received: Array<Uint8Array | string> = []
        for (const message of messages) yield* writer.write(message)
        while (received.length < messages.length) received.push(...yield* within("an echo", pull))
        assert.deepStrictEqual(
          received.map((message) => typeof message === "string" ? message : new Uint8Array(message)),
          messages
        )
        yield* writer.write("bye")
        const { reason } = yield* within("the end", Effect.flip(pull))
        assert.deepInclude(reason, { _tag: "SocketCloseError", code: 4321 })
      }).pipe(Effect.scoped))

    it.live("extensions of WebSockets are not offered to the server", () =>
      Effect.gen(function*() {
        const server = Http.createServer()
        const extensions: Array<string> = []
        new WS.WebSocketServer({ server, perMessageDeflate: true })
          .on("connection", (ws) => extensions.push(ws.extensions))
        const connection = yield* serve(server)
        const headers = { "sec-websocket-extensions": "permessage-deflate" }
        const asking = HttpClientRequest.get("/", { headers }).pipe(HttpClientRequest.upgrade("websocket"))
        const response = yield* ApiClient.make(connection).execute(asking)
        assert.strictEqual(response.status, 101)
        assert.isUndefined(response.headers["sec-websocket-accept"])
        yield* until("the WebSocket is open", () => extensions.length === 1)
        assert.deepStrictEqual(extensions, [""])
        // Nobody ends the WebSocket: a drain would wait for that.
        yield* connection.close()
      }).pipe(Effect.scoped))

    it.live("a caller of a WebSocket that goes away ends that of the server", () =>
      Effect.gen(function*() {
        const server = Http.createServer()
        const codes: Array<number> = []
        const webSockets = new WS.WebSocketServer({ server })
        webSockets.on("connection", (ws) => {
          ws.on("close", (code) => codes.push(code))
          ws.send("welcome")
        })
        const connection = yield* serve(server)
        yield* Effect.gen(function*() {
          const socket = yield* Effect.provide(ApiWebSocket.make("/chat"), ApiClient.layerConnection(connection))
          const { pull } = yield* socket.reader
          yield* within("a message", pull)
        }).pipe(Effect.scoped)
        yield* until("the server's WebSocket is closed", () => codes.length === 1)
        assert.deepStrictEqual(codes, [1000])
      }).pipe(Effect.scoped))

    it.live("an upgrade that the server does not take is answered as it answers", () =>
      Effect.gen(function*() {
        const connection = yield* serve(Http.createServer((request, response) => {
          response.writeHead(426, { upgrade: "other" }).end(`no ${request.headers.upgrade}`)
        }))
        const asking = HttpClientRequest.get("/up").pipe(HttpClientRequest.upgrade("bytes"))
        const response = yield* ApiClient.make(connection).execute(asking)
        assert.deepStrictEqual([response.status, yield* response.text], [426, "no bytes"])
      }).pipe(Effect.scoped))
  })
}

describe("fromNodeHandler", () => {
  it.live("a handler is told where the peer is, and its socket takes what sockets take", () =>
    Effect.gen(function*() {
      const connection = yield* makeServing(NodeSwaggerSocket.fromNodeHandler((request, response) => {
        const socket = request.socket.setNoDelay(true).setKeepAlive(true).setTimeout(0).ref().unref()
        request.setTimeout(1000)
        response.setTimeout(1000)
        response.end(JSON.stringify([socket.remoteAddress ?? null, "encrypted" in socket && socket.encrypted]))
      }))
      assert.deepStrictEqual(yield* (yield* ApiClient.make(connection).get("/")).json, [null, false])
    }).pipe(Effect.scoped))

  it.live("a handler that destroys its response makes the call fail, with an unknown outcome", () =>
    Effect.gen(function*() {
      const connection = yield* makeServing(NodeSwaggerSocket.fromNodeHandler((_request, response) => {
        response.destroy()
      }))
      const error = yield* within("the failure", Effect.flip(ApiClient.make(connection).post("/")))
      assert.strictEqual(outcomeOf(error), "unknown")
    }).pipe(Effect.scoped))

  it.live("a request that came over plain HTTP is answered 500", () =>
    Effect.gen(function*() {
      const response = yield* HttpClient.get("/")
      assert.strictEqual(response.status, 500)
    }).pipe(
      Effect.provide(
        HttpServer.serve(NodeSwaggerSocket.fromNodeHandler(() => {})).pipe(Layer.provideMerge(NodeHttpServer.layerTest))
      ),
      Effect.scoped
    ))
})

describe("proxy", () => {
  /** What a proxy to a URL answers, and what it logs. */
  const ask = Effect.fnUntraced(function*(handler: ReturnType<typeof NodeSwaggerSocket.proxy>) {
    const logged: Array<string> = []
    const logger = Logger.make(({ message }) => void logged.push(String(message)))
    const connection = yield* Effect.provide(makeServing(handler), Logger.layer([logger]))
    const response = yield* within("an answer", ApiClient.make(connection).post("/"))
    return { status: response.status, text: yield* response.text, log: logged.join("\n") }
  })

  it.live("a server that can't be reached is answered for with 502, and the log says that nothing was sent", () =>
    Effect.gen(function*() {
      const server = Net.createServer()
      const port = yield* Effect.scoped(listen(server))
      const { log, status, text } = yield* ask(NodeSwaggerSocket.proxy(`http://127.0.0.1:${port}`))
      assert.strictEqual(status, 502)
      assert.include(text, "has not received the request")
      assert.match(log, /answered 502 for a server; outcome: not-sent; connect ECONNREFUSED/)
    }).pipe(Effect.scoped))

  it.live("a server that closes the socket is answered for with 502, and the log says that the outcome is unknown", () =>
    Effect.gen(function*() {
      const port = yield* listen(
        Net.createServer((socket) => void socket.on("data", () => socket.destroy()).on("error", () => {}))
      )
      const { log, status } = yield* ask(NodeSwaggerSocket.proxy(`http://127.0.0.1:${port}`))
      assert.strictEqual(status, 502)
      assert.match(log, /answered 502 for a server; outcome: unknown; /)
    }).pipe(Effect.scoped))

  it.live("what is no HTTP is answered for with 502", () =>
    Effect.gen(function*() {
      const port = yield* listen(
        Net.createServer((socket) => void socket.end("SSH-2.0-OpenSSH_9.9\r\n").on("error", () => {}))
      )
      assert.strictEqual((yield* ask(NodeSwaggerSocket.proxy(`http://127.0.0.1:${port}`))).status, 502)
    }).pipe(Effect.scoped))

  it.live("an answer that can be none to the request is answered for with 502: an upgrade, or a status beyond 599", () =>
    Effect.gen(function*() {
      for (const head of ["101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other", "999 Odd"]) {
        const port = yield* listen(
          Net.createServer((socket) => void socket.on("error", () => {}).write(`HTTP/1.1 ${head}\r\n\r\n`))
        )
        const { log, status } = yield* within("the answer", ask(NodeSwaggerSocket.proxy(`http://127.0.0.1:${port}`)))
        assert.strictEqual(status, 502)
        assert.match(log, /answered 502 for a server; outcome: unknown; the server's (answer is none|status is 999)/)
      }
    }).pipe(Effect.scoped))

  it.live("a server whose handshake for a WebSocket is wrong is answered for with 502", () =>
    Effect.gen(function*() {
      const port = yield* listen(
        Http.createServer().on("upgrade", (_request: Http.IncomingMessage, socket: Duplex) => {
          const fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x"
          socket.on("error", () => {}).write(`HTTP/1.1 101 OK\r\n${fields}\r\n\r\n`)
        })
      )
      const connection = yield* makeServing(NodeSwaggerSocket.proxy(`http://127.0.0.1:${port}`))
      const asking = HttpClientRequest.get("/").pipe(HttpClientRequest.upgrade("websocket"))
      assert.strictEqual((yield* ApiClient.make(connection).execute(asking)).status, 502)
    }).pipe(Effect.scoped))

  it.live("a server that does not answer in time is answered for with 504", () =>
    Effect.gen(function*() {
      const { closed, watch } = watchCloses()
      const port = yield* listen(Http.createServer(watch))
      const url = `http://127.0.0.1:${port}`
      const { log, status } = yield* ask(NodeSwaggerSocket.proxy(url, { answerTimeout: "20 millis" }))
      assert.strictEqual(status, 504)
      assert.match(log, /answered 504 for a server; outcome: unknown; /)
      yield* until("the server knows", () => closed.length === 2)
    }).pipe(Effect.scoped))

  it.live("a server that accepts no connection in time is known not to have the request", () =>
    Effect.gen(function*() {
      const failures: Array<unknown> = []
      const socket = new Duplex({ read() {}, write() {} })
      const handler = forward({
        connect: () => socket,
        opened: "connect",
        openTimeout: "1 millis",
        answerTimeout: undefined,
        headers: {},
        failed: ({ isTimeout, outcome }) => {
          failures.push([outcome, isTimeout])
          return Effect.interrupt
        },
        broken: () => Effect.void
      })
      const connection = yield* makeServing(handler)
      yield* Effect.exit(ApiClient.make(connection).post("/"))
      assert.deepStrictEqual(failures, [["not-sent", true]])
      yield* until("the socket is closed", () => socket.destroyed)
    }).pipe(Effect.scoped))

  it.live("a server of https whose certificate nobody trusts gets no request", () =>
    Effect.gen(function*() {
      let requests = 0
      const port = yield* listen(Https.createServer(certificate, () => void requests++))
      const { log, status } = yield* ask(NodeSwaggerSocket.proxy(`https://127.0.0.1:${port}`))
      assert.deepStrictEqual([status, requests], [502, 0])
      assert.match(log, /outcome: not-sent; self.signed certificate/)
    }).pipe(Effect.scoped))

  it.live("the authority of a URL, and the host of a request, lead to no other server than that of the proxy", () =>
    Effect.gen(function*() {
      let others = 0
      const other = yield* listen(Http.createServer((_request, response) => void response.end(String(others++))))
      const port = yield* listen(Http.createServer((_request, response) => void response.end("this one")))
      const api = ApiClient.make(yield* makeServing(NodeSwaggerSocket.proxy(`http://127.0.0.1:${port}`)))
      const headers = { host: `127.0.0.1:${other}` }
      for (
        const url of [
          `http://127.0.0.1:${other}/`,
          `//127.0.0.1:${other}/`,
          `/http://127.0.0.1:${other}/`,
          "/@127.0.0.1"
        ]
      ) {
        assert.strictEqual(yield* (yield* api.get(url, { headers })).text, "this one")
      }
      assert.strictEqual(others, 0)
    }).pipe(Effect.scoped))

  it.live("the option host replaces the host of the request", () =>
    Effect.gen(function*() {
      const port = yield* listen(Http.createServer((request, response) => void response.end(request.headers.host)))
      const url = `http://127.0.0.1:${port}`
      assert.strictEqual((yield* ask(NodeSwaggerSocket.proxy(url))).text, "peer.invalid")
      assert.strictEqual((yield* ask(NodeSwaggerSocket.proxy(url, { host: "localhost:1" }))).text, "localhost:1")
    }).pipe(Effect.scoped))

  it.live("a thousand failures a second are no thousand lines of the log", () =>
    Effect.gen(function*() {
      const port = yield* Effect.scoped(listen(Net.createServer()))
      const logged: Array<string> = []
      const logger = Logger.make(({ message }) => void logged.push(String(message)))
      const handler = NodeSwaggerSocket.proxy(`http://127.0.0.1:${port}`)
      const connection = yield* Effect.provide(makeServing(handler), Logger.layer([logger]))
      const api = ApiClient.make(connection)
      const call = Effect.map(api.get("/"), ({ status }) => assert.strictEqual(status, 502))
      yield* Effect.all(Array.from({ length: 50 }, () => call), { concurrency: "unbounded" })
      assert.strictEqual(logged.filter((line) => line.includes("answered 502")).length, 10)
    }).pipe(Effect.scoped))

  it("a URL with more than scheme, host and port is a RangeError", () => {
    for (
      const url of [
        "http://localhost/api",
        "http://a:b@localhost",
        "http://localhost?a",
        "http://localhost#a",
        "ftp://localhost"
      ]
    ) {
      assert.throws(() => NodeSwaggerSocket.proxy(url), RangeError)
    }
    NodeSwaggerSocket.proxy(new URL("http://[::1]:8080/"))
  })
})
