/**
 * Links over WebSockets of browsers and of `ws`, which are in the hands of the test.
 */
import { assert, describe, it } from "@effect/vitest"
import type { SwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"
import { controlsOf } from "../../src/internal/link/controls.ts"
import { dial, isUnknownProtocol } from "../../src/internal/link/dial.ts"
import { closeRefused, type Link } from "../../src/internal/link/link.ts"
import { describe as describeError, linkFailure, protocolViolation } from "../../src/internal/link/linkErrors.ts"
import { maxPayloads, ofWireV1, sockets, type TcpSocket } from "../../src/internal/link/platformSockets.ts"
import { refused } from "../../src/internal/link/refusal.ts"
import { fromWebSocket } from "../../src/internal/link/webSocketLink.ts"

/** What browsers have. Every call is noted. */
class PageWebSocket extends EventTarget implements Socket.WebSocketLike {
  binaryType = "blob"
  bufferedAmount = 0
  readyState = 1
  protocol = ""
  readonly calls: Array<unknown> = []
  readonly listeners: Array<string> = []

  send(...message: ReadonlyArray<unknown>): void {
    this.calls.push(["send", ...message])
  }

  close(...why: ReadonlyArray<unknown>): void {
    this.calls.push(["close", ...why])
    this.readyState = 3
  }

  override addEventListener(type: string, listener: unknown, options?: AddEventListenerOptions): void {
    this.listeners.push(type)
    super.addEventListener(type, listener as EventListener, options)
  }

  override removeEventListener(type: string, listener: unknown): void {
    this.listeners.splice(this.listeners.indexOf(type), 1)
    super.removeEventListener(type, listener as EventListener)
  }
}

/** What `ws` has besides. */
class NodeLike extends PageWebSocket {
  terminate(): void {
    this.calls.push(["terminate"])
  }

  ping(data: Uint8Array): void {
    this.calls.push(["ping", data])
  }

  on(event: string, listener: unknown): void {
    this.calls.push([event, listener])
  }
}

const tcpLike = (calls: Array<unknown>) =>
  ({
    destroyed: false,
    cork: () => void calls.push("cork"),
    uncork: () => void calls.push("uncork"),
    destroySoon: () => void calls.push("destroySoon")
  }) as unknown as TcpSocket & { destroyed: boolean }

const linkOf = <A extends PageWebSocket>(ws: A, isAnswered = true) =>
  Effect.map(fromWebSocket(() => ws, isAnswered, false, { buffer: 1000 }), (link): Link => link)

const bytes = (length: number) => new Uint8Array(length)

describe("a link over a WebSocket of a browser", () => {
  it.effect("is full above its mark, and once it has closed or begun to", () =>
    Effect.gen(function*() {
      const ws = new PageWebSocket()
      const link = yield* linkOf(ws)
      assert.isFalse(link.isFull())
      assert.isTrue(link.isEmpty())
      ws.bufferedAmount = 1000
      assert.isFalse(link.isFull())
      assert.isFalse(link.isEmpty())
      ws.bufferedAmount = 1001
      assert.isTrue(link.isFull())
      ws.bufferedAmount = 0
      ws.readyState = 2
      assert.isTrue(link.isFull())
    }))

  it.effect("has taken what was sent and does not wait", () =>
    Effect.gen(function*() {
      const ws = new PageWebSocket()
      const link = yield* linkOf(ws)
      link.send(bytes(300))
      link.send("ab")
      ws.bufferedAmount = 100
      assert.strictEqual(link.taken(), 202)
      ws.bufferedAmount = 2000
      link.send("c")
      assert.deepStrictEqual(ws.calls, [["send", bytes(300)], ["send", "ab"], ["send", "c"]])
    }))

  it.effect("asks the peer for a pong where that answers pings of wire v2", () =>
    Effect.gen(function*() {
      assert.isTrue((yield* linkOf(new PageWebSocket())).asks)
      assert.isFalse((yield* linkOf(new PageWebSocket(), false)).asks)
      assert.isFalse((yield* linkOf(new NodeLike())).asks)
    }))

  it.effect("tells of room when a message comes", () =>
    Effect.gen(function*() {
      const ws = new PageWebSocket()
      const link = yield* linkOf(ws)
      ws.bufferedAmount = 2000
      let told = 0
      link.onRoom(() => told++)
      ws.dispatchEvent(new MessageEvent("message", { data: "a" }))
      assert.strictEqual(told, 0)
      ws.bufferedAmount = 0
      ws.dispatchEvent(new MessageEvent("message", { data: "b" }))
      assert.strictEqual(told, 1)
    }))

  it.effect("calls nobody back by itself where it is Bun's, which has `terminate` as that of `ws` has", () =>
    Effect.gen(function*() {
      const ws = Object.assign(new PageWebSocket(), { terminate() {} })
      const link = yield* linkOf(ws)
      ws.bufferedAmount = 2000
      link.send("a")
      assert.deepStrictEqual(ws.calls, [["send", "a"]])
      assert.isTrue(link.asks)
    }))

  it.effect("closes with the codes that pages may send, and is given up with 4110", () =>
    Effect.gen(function*() {
      const close = (end: (link: Link) => void) =>
        Effect.gen(function*() {
          const ws = new PageWebSocket()
          end(yield* linkOf(ws))
          return ws.calls
        })
      assert.deepStrictEqual(yield* close((link) => link.close(1001, "a")), [["close", 1000, "a"]])
      assert.deepStrictEqual(yield* close((link) => link.close(2999, "a")), [["close", 1000, "a"]])
      assert.deepStrictEqual(yield* close((link) => link.close(3000, "a")), [["close", 3000, "a"]])
      assert.deepStrictEqual(yield* close((link) => link.terminate()), [["close", 4110]])
      assert.deepStrictEqual(yield* close((link) => link.hangUp()), [["close", 4110]])
    }))

  it.effect("counts nothing that waits where the platform does not tell", () =>
    Effect.gen(function*() {
      const ws = new PageWebSocket()
      Reflect.deleteProperty(ws, "bufferedAmount")
      const link = yield* linkOf(ws)
      link.send("ab")
      assert.isTrue(link.isEmpty() && !link.isFull())
      assert.strictEqual(link.taken(), 2)
    }))

  it.effect("hears why it can't be opened, however often other fibers run", () =>
    Effect.gen(function*() {
      for (let steps = 4; steps < 40; steps++) {
        const ws = Object.assign(new PageWebSocket(), { readyState: 0 })
        const failing = fromWebSocket(
          () => {
            queueMicrotask(() => ws.dispatchEvent(Object.assign(new Event("error"), { message: "why" })))
            return ws
          },
          true,
          false,
          {}
        )
        const error = yield* Effect.flip(Effect.provideService(failing, References.MaxOpsBeforeYield, steps))
        assert.strictEqual(describeError(error), "why", `after every ${steps} steps`)
      }
    }))

  it.effect("opens in time or not at all", () =>
    Effect.gen(function*() {
      const ws = Object.assign(new PageWebSocket(), { readyState: 0 })
      const opening = yield* Effect.forkScoped(
        Effect.flip(fromWebSocket(() => ws, true, false, { openTimeout: Duration.seconds(1) })),
        { startImmediately: true }
      )
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(opening.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.deepInclude((yield* Fiber.join(opening)).reason, { _tag: "SocketOpenError", kind: "Timeout" })
    }))

  it.effect("has nothing to hold back, and no pings", () =>
    Effect.gen(function*() {
      const link = yield* linkOf(new PageWebSocket())
      link.cork?.()
      link.uncork?.()
      assert.isUndefined(controlsOf(link))
    }))

  it.effect("is closed with its scope", () =>
    Effect.gen(function*() {
      const ws = new PageWebSocket()
      const scope = yield* Scope.make()
      yield* Scope.provide(linkOf(ws), scope)
      assert.deepStrictEqual(ws.calls, [])
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(ws.calls[0], ["close", 1000])
      // What is still connecting then reports an error, which ends the process where nobody listens.
      assert.include(ws.listeners, "error")
    }))

  it.effect("has failed to open when the WebSocket can't be made, and to write when it can't be sent", () =>
    Effect.gen(function*() {
      const cause = new Error("why")
      const unmade = fromWebSocket(
        () => {
          throw cause
        },
        true,
        false,
        {}
      )
      assert.deepInclude((yield* Effect.flip(unmade)).reason, { _tag: "SocketOpenError", cause })
      const ws = new PageWebSocket()
      ws.send = () => {
        throw cause
      }
      assert.deepInclude((yield* linkOf(ws)).send("a")?.reason, { _tag: "SocketWriteError", cause })
    }))
})

describe("a link over a WebSocket of ws", () => {
  it.effect("gets bytes as buffers, closes with any code, and is dropped", () =>
    Effect.gen(function*() {
      const ws = new NodeLike()
      const link = yield* linkOf(ws)
      assert.strictEqual(ws.binaryType, "nodebuffer")
      link.close(1001, "a")
      link.terminate()
      link.hangUp()
      assert.deepStrictEqual(ws.calls, [["close", 1001, "a"], ["terminate"], ["terminate"]])
    }))

  it.effect("is told that a message has left only when the buffer gets full", () =>
    Effect.gen(function*() {
      const ws = new NodeLike()
      const link = yield* linkOf(ws)
      let told = 0
      link.onRoom(() => told++)
      link.send(bytes(1000 - 32))
      assert.deepStrictEqual(ws.calls, [["send", bytes(1000 - 32)]])
      ws.bufferedAmount = 1
      link.send(bytes(1000 - 32))
      const [, , sent] = ws.calls[1] as [string, Uint8Array, () => void]
      assert.strictEqual(told, 0)
      sent()
      sent()
      assert.strictEqual(told, 1)
    }))

  it.effect("holds back, hangs up and counts with the socket below it", () =>
    Effect.gen(function*() {
      const ws = new NodeLike()
      const calls: Array<unknown> = []
      const tcp = tcpLike(calls)
      sockets.set(ws, { tcp, takenBy: (of) => of === tcp ? 77 : 0 })
      const link = yield* linkOf(ws)
      link.cork?.()
      link.uncork?.()
      link.hangUp()
      assert.deepStrictEqual(calls, ["cork", "uncork", "destroySoon"])
      assert.strictEqual(link.taken(), 77)
      assert.strictEqual(link.tcp, tcp)
      tcp.destroyed = true
      assert.isTrue(link.isFull())
    }))

  it.effect("has its pings and pongs", () =>
    Effect.gen(function*() {
      const ws = new NodeLike()
      const controls = controlsOf(yield* linkOf(ws))
      const [onPing, onPong] = [() => {}, () => {}]
      controls?.ping(bytes(1))
      controls?.listen(onPing, onPong)
      assert.deepStrictEqual(ws.calls, [["ping", bytes(1)], ["ping", onPing], ["pong", onPong]])
    }))
})

describe("dialling", () => {
  type Options = Partial<Parameters<typeof dial>[0]>

  /** Dials `ws`, and answers what it was made with. */
  const dialled = (ws: PageWebSocket, options: Options) =>
    Effect.gen(function*() {
      const made: Array<ReadonlyArray<unknown>> = []
      const result = yield* Effect.result(
        Effect.provideService(
          dial({ url: "ws://h", protocol: undefined, headers: undefined, ...options }),
          Socket.WebSocketConstructor,
          (...rest: ReadonlyArray<unknown>) => {
            made.push(rest)
            return ws
          }
        )
      )
      return { made, result }
    })

  // PROTOCOL.md NEG-1
  it.effect("passes on URL, subprotocol and headers", () =>
    Effect.gen(function*() {
      const made = (options: Options) =>
        Effect.map(dialled(Object.assign(new PageWebSocket(), { protocol: "p" }), options), ({ made }) => made[0])
      assert.deepStrictEqual(yield* made({}), ["ws://h", undefined])
      assert.deepStrictEqual(yield* made({ protocol: "p" }), ["ws://h", ["p"]])
      assert.deepStrictEqual(
        yield* made({ protocol: "p", headers: { a: "b" } }),
        ["ws://h", { protocols: ["p"], headers: { a: "b" } }]
      )
      assert.deepStrictEqual(
        yield* made({ headers: { a: "b" } }),
        ["ws://h", { protocols: undefined, headers: { a: "b" } }]
      )
    }))

  it.effect("asks for pongs where a subprotocol is spoken", () =>
    Effect.gen(function*() {
      for (const protocol of ["p", undefined]) {
        const ws = Object.assign(new PageWebSocket(), { protocol })
        const { result } = yield* dialled(ws as PageWebSocket, { protocol })
        assert.strictEqual(result._tag === "Success" && result.success.asks, protocol === "p")
      }
    }))

  it.effect("is secure with wss: and https:", () =>
    Effect.gen(function*() {
      for (
        const [url, isSecure] of [["wss://h", true], ["HTTPS://h", true], ["ws://h", false], ["ws://wss:1", false]]
      ) {
        const { result } = yield* dialled(new PageWebSocket(), { url: url as string })
        assert.strictEqual(result._tag === "Success" && result.success.isSecure, isSecure)
      }
    }))

  it.effect("tells the platform what it has to know before the WebSocket opens", () =>
    Effect.gen(function*() {
      const [plain, v1] = [new PageWebSocket(), new PageWebSocket()]
      const configured: Array<unknown> = []
      yield* dialled(plain, {})
      yield* dialled(v1, { v1: true, maxPayload: 99, configure: (ws) => configured.push(ws) })
      assert.deepStrictEqual([ofWireV1.has(plain), ofWireV1.has(v1)], [false, true])
      assert.deepStrictEqual([maxPayloads.has(plain), maxPayloads.get(v1)], [false, 99])
      assert.deepStrictEqual(configured, [v1])
    }))

  // PROTOCOL.md NEG-3
  it.effect("refuses a server that selects another subprotocol than was offered, or none", () =>
    Effect.gen(function*() {
      for (const [ws, code] of [[new PageWebSocket(), 4100], [new NodeLike(), 1002]] as const) {
        const { result } = yield* dialled(ws, { protocol: "p" })
        assert.isTrue(result._tag === "Failure" && isUnknownProtocol(result.failure))
        assert.deepStrictEqual(ws.calls[0], ["close", code])
      }
      for (const text of ["Server sent no subprotocol", "Server sent an invalid subprotocol"]) {
        const ws = new PageWebSocket()
        const { result } = yield* dialled(ws, {
          protocol: "p",
          configure: () => {
            throw new Error(text)
          }
        })
        assert.isTrue(result._tag === "Failure" && isUnknownProtocol(result.failure))
      }
      const { result } = yield* dialled(new PageWebSocket(), {
        protocol: "p",
        configure: () => {
          throw new Error("No Server sent no subprotocol")
        }
      })
      assert.deepInclude(result._tag === "Failure" && result.failure.reason, { _tag: "LinkError", phase: "open" })
    }))

  it("a server may speak no wire but v1 when it selects no subprotocol, or answers 400", () => {
    const notSelected = "the server did not select the subprotocol p"
    const no: ReadonlyArray<SwaggerSocketError> = [
      refused("remote", "HANDSHAKE_INVALID", notSelected),
      refused("local", "FORBIDDEN", notSelected),
      refused("local", "HANDSHAKE_INVALID", `see: ${notSelected}`),
      linkFailure("read", "Unexpected server response: 400"),
      linkFailure("open", "Unexpected server response: 4000"),
      linkFailure("open", "An Unexpected server response: 400"),
      linkFailure("open", "Unexpected server response: 500"),
      protocolViolation("local", "PROTOCOL_ERROR", notSelected)
    ]
    for (const error of no) assert.isFalse(isUnknownProtocol(error), error.message)
    assert.isTrue(isUnknownProtocol(refused("local", "HANDSHAKE_INVALID", notSelected)))
    assert.isTrue(isUnknownProtocol(linkFailure("open", "Unexpected server response: 400")))
  })

  it.effect("a link is closed for refusals of this end alone", () =>
    Effect.gen(function*() {
      const ws = new NodeLike()
      const link = yield* linkOf(ws)
      closeRefused(link, refused("remote", "FORBIDDEN", "a"))
      closeRefused(link, protocolViolation("local", "PROTOCOL_ERROR", "b"))
      assert.deepStrictEqual(ws.calls, [])
      closeRefused(link, refused("local", "FORBIDDEN", "x".repeat(200)))
      assert.deepStrictEqual(ws.calls, [["close", 4105, "x".repeat(123)]])
    }))
})
