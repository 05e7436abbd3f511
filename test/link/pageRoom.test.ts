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
import { PageRoom } from "../../src/internal/link/pageRoom.ts"
import { eventLoop } from "../../src/internal/scheduling/eventLoop.ts"
import { turn } from "../support/waiting.ts"

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

describe("looking for room", () => {
  /** Turns and time pass as the test says. */
  const inTurns = (isAnswered: boolean) =>
    Effect.gen(function*() {
      // A turn that somebody has requested before comes first.
      yield* turn
      const { now, requestTurn } = eventLoop
      yield* Effect.addFinalizer(() => Effect.sync(() => Object.assign(eventLoop, { now, requestTurn })))
      let time = 5
      let tasks: Array<() => void> = []
      Object.assign(eventLoop, { now: () => time, requestTurn: (task: () => void) => void tasks.push(task) })
      const state = { isFull: true, isClosed: false, looked: 0 }
      const isFull = () => {
        state.looked++
        return state.isFull
      }
      const next = (millis: number) => {
        time += millis
        const now = tasks
        tasks = []
        for (const task of now) task()
      }
      return {
        state,
        next,
        isIdle: () => tasks.length === 0,
        room: new PageRoom(isFull, () => state.isClosed, isAnswered)
      }
    })

  it.effect("goes on each turn for 10 ms where a pong will come, and waits for a message then", () =>
    Effect.gen(function*() {
      const { isIdle, room, state, next } = yield* inTurns(true)
      let told = 0
      room.onRoom(() => told++)
      next(9)
      assert.isFalse(isIdle())
      next(1)
      assert.isTrue(isIdle())
      assert.strictEqual(state.looked, 2)
      room.look()
      assert.strictEqual(told, 0)
      state.isFull = false
      room.look()
      room.look()
      assert.strictEqual(told, 1)
    }))

  it.effect("goes on for as long as it takes where no pong will come, until the WebSocket has closed", () =>
    Effect.gen(function*() {
      const { isIdle, room, state, next } = yield* inTurns(false)
      room.onRoom(() => {})
      for (let turns = 0; turns < 5; turns++) next(60_000)
      assert.isFalse(isIdle())
      state.isClosed = true
      next(1)
      assert.isTrue(isIdle())
    }))

  it.effect("tells the last who waits, looks once in a turn, and no more once there was room", () =>
    Effect.gen(function*() {
      const { isIdle, room, state, next } = yield* inTurns(false)
      const told: Array<string> = []
      room.onRoom(() => told.push("first"))
      room.onRoom(() => told.push("second"))
      next(1)
      assert.strictEqual(state.looked, 1)
      state.isFull = false
      next(1)
      assert.deepStrictEqual(told, ["second"])
      assert.isTrue(isIdle())
      // A message has told already: nobody waits in the next turn.
      room.onRoom(() => told.push("third"))
      room.look()
      state.isFull = true
      next(1)
      assert.isTrue(isIdle())
      assert.deepStrictEqual(told, ["second", "third"])
    }))
})
