/**
 * Clients of `node:http` whose agent leads to the peer: what they see of the peer, and the peer of them.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type * as Limits from "effect-swaggersocket/Limits"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import { failureOf, outcomeOf } from "effect-swaggersocket/SwaggerSocketError"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { once } from "node:events"
import * as Http from "node:http"
import * as Https from "node:https"
import type * as Net from "node:net"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import * as WS from "ws"
import { join } from "../promise/ends.ts"
import { MiB } from "../support/bodies.ts"
import { settled, until, within } from "../support/waiting.ts"

type Handler = ReturnType<typeof NodeSwaggerSocket.fromNodeHandler>

/** Serves a handler on one end of a connection in memory; an agent leads to it from the other end. */
const makeAgent = Effect.fnUntraced(function*(
  handler: Handler | Http.RequestListener | Http.Server,
  options: { readonly limits?: Limits.Options } = {}
) {
  const { client, server } = yield* SwaggerSocketTest.makePair(options)
  const isNode = typeof handler === "function" || handler instanceof Http.Server
  const served = isNode ? NodeSwaggerSocket.fromNodeHandler(handler) : handler
  yield* Layer.build(Layer.provide(HttpServer.serve(served), ApiServer.layerConnection(server)))
  return { agent: NodeSwaggerSocket.toAgent(client, yield* Effect.context<never>()), client, server }
})

interface Answer {
  readonly response: Http.IncomingMessage
  readonly body: Buffer
}

/** The whole answer to a request. */
const answerTo = (request: Http.ClientRequest) =>
  within(
    "the answer",
    Effect.callback<Answer, Error>((resume) => {
      request.on("error", (error) => resume(Effect.fail(error)))
      request.on("response", (response) => {
        const parts: Array<Buffer> = []
        response.on("data", (part: Buffer) => parts.push(part))
        response.on("error", (error) => resume(Effect.fail(error)))
        response.on("end", () => resume(Effect.succeed({ response, body: Buffer.concat(parts) })))
      })
    })
  )

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code

describe("requests through an agent", () => {
  it.live("URLs of both schemes lead to the peer, with the host that they name", () =>
    Effect.gen(function*() {
      const { agent } = yield* makeAgent((request, response) => void response.end(request.headers.host))
      const hosts = yield* Effect.forEach([
        () => Http.get("http://device/", { agent }),
        () => Http.get("http://device:8080/", { agent }),
        () => Https.get("https://device/", { agent }),
        () => Https.get("https://device:8443/", { agent })
      ], (get) => Effect.suspend(() => answerTo(get())))
      assert.deepStrictEqual(hosts.map(({ body }) => String(body)), [
        "device",
        "device:8080",
        "device",
        "device:8443"
      ])
    }).pipe(Effect.scoped))

  it.live("the target may be a client, and calls go on the connection that it has then", () =>
    Effect.promise(async () => {
      const { client, connection, hub } = await join()
      hub.serve(() => new Response("from the hub"))
      const agent = NodeSwaggerSocket.toAgent(client.effect)
      const ask = () => Effect.runPromise(answerTo(Http.get("http://hub/", { agent })))
      assert.strictEqual(String((await ask()).body), "from the hub")
      await connection.close({ drain: false })
      assert.strictEqual(String((await ask()).body), "from the hub")
    }))

  it.live("the socket of a request is open from the beginning, as one that is kept alive", () =>
    Effect.gen(function*() {
      const { agent } = yield* makeAgent((_, response) => void response.end())
      const request = Http.get("http://device/", { agent })
      const [socket] = (yield* Effect.promise(() => once(request, "socket"))) as [Net.Socket]
      assert.strictEqual(socket.readyState, "open")
      assert.isFalse(socket.connecting)
      yield* answerTo(request)
      yield* until("the socket is closed", () => socket.readyState === "closed")
    }).pipe(Effect.scoped))

  it.live("fields of an answer arrive as the peer has sent them, and none is added but those of HTTP/1.1", () =>
    Effect.gen(function*() {
      const { agent } = yield* makeAgent((_, response) => {
        response.setHeader("set-cookie", ["a=1", "b=2"])
        response.writeHead(203, {
          "content-encoding": "gzip",
          "x-latin": "caf\u00e9",
          "content-length": 3,
          date: "today"
        })
        response.end(Buffer.from("abc"))
      })
      const { body, response } = yield* answerTo(Http.get("http://device/", { agent }))
      assert.strictEqual(response.statusCode, 203)
      assert.strictEqual(String(body), "abc")
      assert.deepStrictEqual(response.headers, {
        "content-encoding": "gzip",
        "x-latin": "caf\u00e9",
        "content-length": "3",
        date: "today",
        "set-cookie": ["a=1", "b=2"],
        connection: "close"
      })
    }).pipe(Effect.scoped))

  it.live("answers without a body have the fields that speak of one", () =>
    Effect.gen(function*() {
      const { agent } = yield* makeAgent((request, response) => {
        response.writeHead(Number(request.url!.slice(1)), request.url === "/204" ? {} : { "content-length": 7 }).end()
      })
      for (const [method, status] of [["HEAD", 200], ["GET", 304], ["GET", 204]] as const) {
        const { body, response } = yield* answerTo(Http.request(`http://device/${status}`, { agent, method }).end())
        assert.strictEqual(response.statusCode, status)
        assert.strictEqual(response.headers["content-length"], status === 204 ? undefined : "7")
        assert.strictEqual(body.length, 0)
      }
    }).pipe(Effect.scoped))

  it.live("a client that waits for 100 Continue is told to send its body", () =>
    Effect.gen(function*() {
      const { agent } = yield* makeAgent((request, response) => {
        response.setHeader("x-expect", String(request.headers.expect))
        request.pipe(response)
      })
      const request = Http.request("http://device/", {
        agent,
        method: "PUT",
        headers: { expect: "100-continue", "content-length": 5 }
      })
      request.on("continue", () => request.end("hello"))
      request.flushHeaders()
      const { body, response } = yield* answerTo(request)
      assert.strictEqual(String(body), "hello")
      assert.strictEqual(response.headers["x-expect"], "undefined")
    }).pipe(Effect.scoped))

  it.live("an answer that comes before the body was read arrives whole, also to a reader that takes its time", () =>
    Effect.gen(function*() {
      const text = "too large ".repeat(20_000)
      const { agent } = yield* makeAgent((request, response) => {
        request.on("error", () => {})
        request.once("data", () => {
          request.pause()
          response.writeHead(413).end(text)
        })
      })
      const request = Http.request("http://device/", { agent, method: "POST" })
      request.on("error", () => {})
      request.write(Buffer.alloc(2 * MiB))
      const [response] = (yield* Effect.promise(() => once(request, "response"))) as [Http.IncomingMessage]
      yield* settled("what is left of the body", () => request.writableLength)
      request.write("more")
      yield* settled("what is left of the body", () => request.writableLength)
      const parts: Array<Buffer> = []
      response.on("data", (part: Buffer) => parts.push(part))
      yield* within("the end", Effect.promise(() => once(response, "end")))
      assert.strictEqual(response.statusCode, 413)
      assert.strictEqual(String(Buffer.concat(parts)), text)
    }).pipe(Effect.scoped))

  /** Answers a request with a body as soon as the first part of that is there, and any other at once. */
  const answeringEarly = (answer: string) =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ method, stream }) =>
      method === "POST"
        ? Effect.as(Stream.runHead(stream), HttpServerResponse.text(answer, { status: 413 }))
        : Effect.succeed(HttpServerResponse.text("next")))

  for (const size of [10, 300_000]) {
    it.live(`what is left of a body behind an answer of ${size} bytes is dropped, and the next request is read`, () =>
      Effect.gen(function*() {
        const { client } = yield* makeAgent(answeringEarly("x".repeat(size)))
        const socket = yield* Effect.callback<Net.Socket>((resume) =>
          NodeSwaggerSocket.toConnector(client)({}, (_, socket) => resume(Effect.succeed(socket)))
        )
        let received = ""
        socket.setEncoding("latin1").on("data", (text: string) => received += text)
        socket.write(`POST / HTTP/1.1\r\nhost: device\r\ncontent-length: ${2 * MiB}\r\n\r\n`)
        for (let written = 0; written < 2 * MiB; written += 32 * 1024) socket.write(Buffer.alloc(32 * 1024))
        socket.write("GET / HTTP/1.1\r\nhost: device\r\nconnection: close\r\n\r\n")
        yield* within("the end", Effect.promise(() => once(socket, "end")))
        assert.match(received, /^HTTP\/1.1 413 [^]*x\r?\n?HTTP\/1.1 200 [^]*next$/)
        socket.destroy()
      }).pipe(Effect.scoped))
  }

  it.live("a request whose answer came before the end of its body is closed with it, as over TCP", () =>
    Effect.gen(function*() {
      const { agent } = yield* makeAgent(answeringEarly("too large"))
      const request = Http.request("http://device/", { agent, method: "POST" })
      request.on("response", (response) => response.resume())
      const endless = Readable.from((function*() {
        while (true) yield Buffer.alloc(64 * 1024)
      })())
      const error = yield* within("the end", Effect.flip(Effect.tryPromise(() => pipeline(endless, request))))
      assert.strictEqual(codeOf(error.cause), "ERR_STREAM_PREMATURE_CLOSE")
    }).pipe(Effect.scoped))

  it.live("bodies wait for their readers, both ways", () =>
    Effect.gen(function*() {
      let written = 0
      const chunk = Buffer.alloc(64 * 1024)
      const { agent } = yield* makeAgent((request, response) => {
        if (request.method === "POST") return
        const write = () => {
          while (response.write(chunk)) written += chunk.length
          response.once("drain", write)
        }
        write()
      })
      const reading = Http.get("http://device/", { agent })
      const [response] = (yield* Effect.promise(() => once(reading, "response"))) as [Http.IncomingMessage]
      response.pause()
      assert.isAtMost(yield* settled("what the peer has written", () => written), 8 * MiB)
      let sent = 0
      const sending = Http.request("http://device/", { agent, method: "POST" })
      const send = () => {
        while (sending.write(chunk)) sent += chunk.length
        sending.once("drain", send)
      }
      send()
      assert.isAtMost(yield* settled("what the client has sent", () => sent), 8 * MiB)
      for (const request of [reading, sending]) request.on("error", () => {}).destroy()
    }).pipe(Effect.scoped))
})

describe("requests through an agent that end before their time", () => {
  it.live("a request that is destroyed closes that of the peer: before the answer, in it, and in its own body", () =>
    Effect.gen(function*() {
      let begun = 0
      let closed = 0
      const { agent } = yield* makeAgent((request, response) => {
        begun++
        request.on("error", () => {})
        response.on("close", () => closed++)
        if (request.url === "/answer") response.write("a part")
      })
      const destroyed: ReadonlyArray<(request: Http.ClientRequest) => Promise<unknown>> = [
        () => Promise.resolve(),
        (request) => once(request, "response"),
        (request) => Promise.resolve(request.write("a part"))
      ]
      for (const [at, path] of ["/wait", "/answer", "/body"].entries()) {
        const request = Http.request(`http://device${path}`, { agent, method: path === "/body" ? "POST" : "GET" })
        request.on("error", () => {})
        const reached = destroyed[at]!(request)
        if (path !== "/body") request.end()
        yield* Effect.promise(() => reached)
        yield* until("the request is there", () => begun === at + 1)
        request.destroy()
        yield* until("it is closed", () => closed === at + 1)
      }
    }).pipe(Effect.scoped))

  it.effect("a request ends by its own timeout, and not while bytes arrive", () =>
    Effect.gen(function*() {
      let write: ((text: string) => void) | undefined = undefined
      let isClosed = false
      const { agent } = yield* makeAgent((_, response) => {
        write = (text) => void response.write(text)
        response.on("close", () => {
          isClosed = true
        })
      })
      let timeouts = 0
      const texts: Array<string> = []
      const request = Http.get("http://device/", { agent, timeout: 1000 }, (response) => {
        response.setEncoding("utf8").on("data", (text: string) => texts.push(text)).on("error", () => {})
      })
      request.on("timeout", () => {
        timeouts++
        request.destroy()
      }).on("error", () => {})
      yield* until("the request is there", () => write !== undefined)
      for (const text of ["a", "b", "c"]) {
        yield* TestClock.adjust(900)
        write!(text)
        yield* until("it has arrived", () => texts.includes(text))
      }
      assert.strictEqual(timeouts, 0)
      yield* TestClock.adjust(1000)
      assert.strictEqual(timeouts, 1)
      yield* until("the peer's request is closed", () => isClosed)
    }).pipe(Effect.scoped))

  it.live("the peer's failure within a body makes the reader fail, however the body is delimited", () =>
    Effect.gen(function*() {
      for (const headers of [{}, { "content-length": "100" }]) {
        const broken = Stream.concat(Stream.make(Buffer.from("a part")), Stream.fail(new Error("it broke")))
        const { agent } = yield* makeAgent(Effect.succeed(HttpServerResponse.stream(broken, { headers })))
        const error = yield* Effect.flip(answerTo(Http.get("http://device/", { agent })))
        assert.include(["EPIPE", "ECONNRESET"], codeOf(error))
      }
    }).pipe(Effect.scoped))

  it.live("a call that was certainly not processed is refused, and its outcome can be read", () =>
    Effect.gen(function*() {
      const { agent, client } = yield* makeAgent((_, response) => void response.end())
      yield* client.close({ drain: false })
      yield* client.closed
      const error = yield* Effect.flip(answerTo(Http.get("http://device/", { agent })))
      assert.strictEqual(codeOf(error), "ECONNREFUSED")
      assert.strictEqual(outcomeOf(error), "not-sent")
      assert.strictEqual(failureOf(error)?.reason._tag, "ConnectionLost")
    }).pipe(Effect.scoped))

  it.live("a call that the peer may have processed is reset, and its outcome can be read", () =>
    Effect.gen(function*() {
      let isThere = false
      const { agent, client } = yield* makeAgent(() => {
        isThere = true
      })
      const request = Http.get("http://device/", { agent })
      const answer = yield* Effect.forkChild(Effect.flip(answerTo(request)), { startImmediately: true })
      yield* until("the request is there", () => isThere)
      yield* client.close({ drain: false })
      const error = yield* Fiber.join(answer)
      assert.strictEqual(codeOf(error), "ECONNRESET")
      assert.strictEqual(outcomeOf(error), "unknown")
    }).pipe(Effect.scoped))

  it.live("CONNECT leads nowhere, and the error says so", () =>
    Effect.gen(function*() {
      const { agent } = yield* makeAgent((_, response) => void response.end())
      const request = Http.request({ agent, method: "CONNECT", path: "example.com:80" }).end()
      const error = yield* Effect.flip(answerTo(request))
      assert.include(error.message, "no proxy")
    }).pipe(Effect.scoped))
})

describe("upgrades through an agent", () => {
  /** A server of WebSockets that answers each message twice. */
  const makeSockets = () => {
    const server = Http.createServer((_, response) => void response.writeHead(404).end("no socket"))
    new WS.WebSocketServer({ server, path: "/socket", perMessageDeflate: true }).on("connection", (socket) => {
      socket.on("message", (data, isBinary) => {
        socket.send(data, { binary: isBinary })
        socket.send(data, { binary: isBinary })
      })
    })
    return server
  }

  it.live("a WebSocket of `ws` goes through: subprotocol, messages of any size, pings, and both ends of it", () =>
    Effect.gen(function*() {
      const { agent } = yield* makeAgent(makeSockets())
      const socket = new WS.WebSocket("ws://device/socket", ["chat", "other"], { agent })
      yield* within("open", Effect.promise(() => once(socket, "open")))
      assert.strictEqual(socket.protocol, "chat")
      const received: Array<Buffer> = []
      socket.on("message", (data: Buffer) => received.push(data))
      const messages = [Buffer.from("hello"), Buffer.alloc(300, 1), Buffer.alloc(2 * MiB, 2)]
      for (const message of messages) socket.send(message)
      yield* until("all are back", () => received.length === 6)
      assert.deepStrictEqual(received.map((data) => data.length), [5, 5, 300, 300, 2 * MiB, 2 * MiB])
      assert.isTrue(received.at(-1)!.equals(messages[2]!))
      socket.ping()
      yield* within("pong", Effect.promise(() => once(socket, "pong")))
      socket.close(4001, "done")
      const [code, reason] = (yield* within("close", Effect.promise(() => once(socket, "close")))) as [number, Buffer]
      assert.deepStrictEqual([code, String(reason)], [4001, "done"])
    }).pipe(Effect.scoped))

  it.live("a WebSocket that is terminated is lost at the peer", () =>
    Effect.gen(function*() {
      const server = Http.createServer()
      const closes: Array<number> = []
      new WS.WebSocketServer({ server }).on("connection", (socket) => socket.on("close", (code) => closes.push(code)))
      const { agent } = yield* makeAgent(server)
      const socket = new WS.WebSocket("ws://device/", { agent })
      yield* within("open", Effect.promise(() => once(socket, "open")))
      socket.terminate()
      yield* until("the peer has lost it", () => closes.length === 1)
      assert.deepStrictEqual(closes, [1006])
    }).pipe(Effect.scoped))

  it.live("a WebSocket that the peer loses is lost here", () =>
    Effect.gen(function*() {
      const server = Http.createServer()
      new WS.WebSocketServer({ server }).on("connection", (socket) => socket.terminate())
      const { agent } = yield* makeAgent(server)
      const socket = new WS.WebSocket("ws://device/", { agent })
      socket.on("error", () => {})
      const [code] = (yield* within("close", Effect.promise(() => once(socket, "close")))) as [number]
      assert.strictEqual(code, 1006)
    }).pipe(Effect.scoped))

  it.live("an answer with a field that HTTP/1.1 can't carry fails, to an upgrade as well: it is no two fields", () =>
    Effect.gen(function*() {
      // As Latin-1 this would be a line break, and a field behind it.
      const headers = { "x-text": "a\u010d\u010ax-other: b" }
      const { agent } = yield* makeAgent(Effect.succeed(HttpServerResponse.empty({ status: 403, headers })))
      const error = yield* Effect.flip(answerTo(Http.get("http://device/", { agent })))
      assert.strictEqual(codeOf(error), "ECONNRESET")
      const asking = Http.get("http://device/", { agent, headers: { connection: "Upgrade", upgrade: "other" } })
      assert.strictEqual(codeOf(yield* Effect.flip(answerTo(asking))), "ECONNRESET")
    }).pipe(Effect.scoped))

  it.live("the body of an answer that can't be written is given up, so that its handler does not wait for a reader", () =>
    Effect.gen(function*() {
      let given = 0
      const part = Stream.make(Buffer.alloc(64 * 1024))
      const body = Stream.onExit(Stream.forever(part), () => Effect.sync(() => given++))
      const { agent } = yield* makeAgent(Effect.succeed(
        HttpServerResponse.stream(body, { headers: { "x-text": "\u010d" } })
      ))
      for (const [at, headers] of [{}, { connection: "Upgrade", upgrade: "other" }].entries()) {
        const error = yield* Effect.flip(answerTo(Http.get("http://device/", { agent, headers })))
        assert.strictEqual(codeOf(error), "ECONNRESET")
        yield* until("the handler's body has ended", () => given === at + 1)
      }
    }).pipe(Effect.scoped))

  it.live("the socket of an upgrade that is not granted is closed behind the answer", () =>
    Effect.gen(function*() {
      const { agent } = yield* makeAgent((_, response) =>
        void response.writeHead(403, { "content-length": 7 }).end("not you")
      )
      const asking = Http.get("http://device/", { agent, headers: { connection: "Upgrade", upgrade: "other" } })
      assert.strictEqual(String((yield* answerTo(asking)).body), "not you")
      yield* until("the agent has let go of it", () => Object.keys(agent.sockets).length === 0)
    }).pipe(Effect.scoped))

  it.live("an upgrade that is not granted is an ordinary answer", () =>
    Effect.gen(function*() {
      const { agent } = yield* makeAgent((_, response) =>
        void response.writeHead(403, { "x-why": "no" }).end("not you")
      )
      const socket = new WS.WebSocket("ws://device/", { agent })
      socket.on("error", () => {})
      const [, response] = (yield* within(
        "answer",
        Effect.promise(() => once(socket, "unexpected-response"))
      )) as [unknown, Http.IncomingMessage]
      assert.strictEqual(response.statusCode, 403)
      assert.strictEqual(response.headers["x-why"], "no")
      const parts: Array<Buffer> = []
      response.on("data", (part: Buffer) => parts.push(part))
      yield* within("its end", Effect.promise(() => once(response, "end")))
      assert.strictEqual(String(Buffer.concat(parts)), "not you")
    }).pipe(Effect.scoped))
})
