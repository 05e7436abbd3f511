/**
 * Pages in hidden tabs: timers come late, and no event tells of room in the WebSocket.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Socket from "effect/socket/Socket"
import * as WS from "ws"

class Hub extends SwaggerSocketServer.Service<Hub>()("test/hiddenTab/Hub") {}

const quiet = { disableLogger: true, disableListenLog: true } as const

type Listener = (event: Socket.WebSocketEvent) => void

const { clearInterval, setInterval, setTimeout } = globalThis

/** What a browser has: no pausing, no event for room. It takes so many bytes in so many milliseconds. */
class PageWebSocket implements Socket.WebSocketLike {
  binaryType = "arraybuffer"
  bufferedAmount = 0
  most = 0
  readonly #ws: WS.WebSocket
  readonly #queue: Array<string | Uint8Array> = []
  readonly #timer: NodeJS.Timeout

  constructor(url: string, protocols: string | Array<string> | undefined, bytes: number, millis: number) {
    this.#ws = new WS.WebSocket(url, protocols)
    this.#ws.binaryType = "arraybuffer"
    this.#timer = setInterval(() => {
      let left = bytes
      while (left > 0 && this.#queue.length > 0) {
        const message = this.#queue.shift()!
        this.#ws.send(message)
        this.bufferedAmount -= message.length
        left -= message.length
      }
    }, millis)
  }

  get readyState(): number {
    return this.#ws.readyState
  }

  get protocol(): string {
    return this.#ws.protocol
  }

  send(message: string | Uint8Array): void {
    this.#queue.push(message)
    this.bufferedAmount += message.length
    this.most = Math.max(this.most, this.bufferedAmount)
  }

  close(code?: number, reason?: string): void {
    clearInterval(this.#timer)
    this.#ws.close(code, reason)
  }

  addEventListener(type: string, listener: Listener, options?: { readonly once?: boolean }): void {
    this.#ws.addEventListener(type as "message", listener as never, options)
  }

  removeEventListener(type: string, listener: Listener): void {
    this.#ws.removeEventListener(type as "message", listener as never)
  }
}

/** Timers come a minute late. */
const hideTab = Effect.acquireRelease(
  Effect.sync(() => {
    globalThis.setTimeout = ((run: () => void, millis: number) =>
      setTimeout(run, Math.max(millis, 60_000))) as typeof setTimeout
  }),
  () =>
    Effect.sync(() => {
      globalThis.setTimeout = setTimeout
    })
)

const size = 4 * 1024 * 1024

describe("upload from a hidden tab", () => {
  for (const [title, bytes, millis] of [["fast", 1024 * 1024, 1], ["slow", 256 * 1024, 25]] as const) {
    it.live(`an upload of 4 MiB from a hidden tab goes on without timers, on a ${title} path`, () =>
      Effect.gen(function*() {
        const Api = HttpRouter.add(
          "POST",
          "/length",
          Effect.gen(function*() {
            const request = yield* HttpServerRequest.HttpServerRequest
            return HttpServerResponse.text(String((yield* request.arrayBuffer).byteLength))
          })
        )
        const server = yield* Layer.build(
          HttpRouter.serve(Api, quiet).pipe(
            Layer.provide(ApiServer.layerServer(Hub)),
            Layer.provideMerge(HttpRouter.serve(Hub.layer({ path: "/socket" }), quiet)),
            Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" }))
          )
        )
        const { address } = Context.get(server, HttpServer.HttpServer)
        const url = `${NetAddress.formatUrlUnsafe(address).replace("http", "ws")}/socket`
        let page!: PageWebSocket
        const construct = Layer.succeed(
          Socket.WebSocketConstructor,
          (url, protocols) => page = new PageWebSocket(url, protocols as Array<string>, bytes, millis)
        )
        const client = yield* Layer.build(ApiClient.layer.pipe(
          Layer.provideMerge(SwaggerSocketClient.layer({ url })),
          Layer.provide(construct)
        ))
        yield* Context.get(client, SwaggerSocketClient.SwaggerSocketClient).connection
        yield* hideTab
        const upload = HttpClientRequest.bodyUint8Array(HttpClientRequest.post("/length"), new Uint8Array(size))
        const answer = yield* Context.get(client, HttpClient.HttpClient).execute(upload)
        assert.strictEqual(yield* answer.text, String(size))
        assert.isAbove(page.most, 128 * 1024, "the WebSocket was full at times")
        assert.isBelow(page.most, 256 * 1024)
      }))
  }
})
