/**
 * Links over WebSockets that a runtime has accepted: what any link has to keep, over sockets of `ws` that are shown as those of Deno and
 * as those of Bun; and what a client may make this end keep.
 */
import { assert, describe, it } from "@effect/vitest"
import * as BunSwaggerSocket from "effect-swaggersocket/bun"
import * as Link from "effect-swaggersocket/Link"
import * as LinkConformance from "effect-swaggersocket/testing/LinkConformance"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Net from "node:net"
import * as WS from "ws"
import { partialIn } from "../../src/internal/link/heldBytes.ts"
import { fromRuntime, type RuntimeSocket, RuntimeWebSocket } from "../../src/internal/link/runtimeWebSocket.ts"
import { shown } from "../../src/internal/link/transportLink.ts"
import { copied, type EventWebSocket, followEvents } from "../../src/internal/link/webSocketEvents.ts"

const roomy = { unauthenticated: 64 * 1024 * 1024, authenticated: 64 * 1024 * 1024 }

type Follow = (ws: WS.WebSocket, webSocket: RuntimeWebSocket, tcp: Net.Socket) => void

const asOnDeno: Follow = (ws, webSocket) => followEvents(ws as unknown as EventWebSocket, webSocket)

const asOnBun: Follow = (ws, webSocket, tcp) => {
  ws.on("message", (data, isBinary) => webSocket.received(isBinary ? data : String(data)))
  ws.on("close", (code, reason) => webSocket.closed(code, String(reason)))
  ws.on("error", () => {})
  tcp.on("drain", webSocket.drained)
  webSocket.opened({
    send: (message) => ws.send(message),
    close: (code, reason) => ws.close(code, reason),
    terminate: () => ws.terminate(),
    bufferedAmount: () => ws.bufferedAmount,
    takesAnyCode: true,
    tellsRoom: true
  })
}

const makeEnds = (follow: Follow): LinkConformance.MakeEnds =>
  Effect.gen(function*() {
    const arrived = Deferred.makeUnsafe<RuntimeWebSocket>()
    const server = yield* Effect.acquireRelease(
      Effect.callback<WS.WebSocketServer>((resume) => {
        const server: WS.WebSocketServer = new WS.WebSocketServer({ port: 0, host: "127.0.0.1" }, () =>
          resume(Effect.succeed(server)))
        server.on("connection", (ws, { socket }) => {
          const webSocket = new RuntimeWebSocket(roomy)
          follow(ws, webSocket, socket)
          Deferred.doneUnsafe(arrived, Effect.succeed(webSocket))
        })
      }),
      (server) =>
        Effect.sync(() => server.close())
    )
    const { port } = server.address() as Net.AddressInfo
    const near = yield* Link.fromWebSocket(Effect.sync(() => new WS.WebSocket(`ws://127.0.0.1:${port}`)))
    return { near, far: shown(yield* fromRuntime(yield* Deferred.await(arrived), false)) }
  })

const skip = {
  "a reader that stops makes the link full, and one that goes on gives it room":
    "these WebSockets can't be paused; what is not read has a bound"
}

LinkConformance.suite({ describe, it }, "accepted as on Deno", makeEnds(asOnDeno), { skip })
LinkConformance.suite({ describe, it }, "accepted as on Bun", makeEnds(asOnBun), { skip })

/** A socket in the hands of the test. */
const make = (unread = roomy, options: Partial<RuntimeSocket> = {}) => {
  const log: Array<string> = []
  let buffered = 0
  const socket: RuntimeSocket = {
    send: (message) => void log.push(`send ${message.length}`),
    close: (code, reason = "") => void log.push(`close ${code} ${reason}`.trim()),
    bufferedAmount: () => buffered,
    ...options
  }
  const webSocket = new RuntimeWebSocket(unread)
  return { log, socket, webSocket, wait: (bytes: number) => buffered = bytes }
}

const text = (length: number) => "x".repeat(length)

describe("a WebSocket of a runtime", () => {
  it.live("keeps messages that come before anybody reads, in order, and its end behind them", () =>
    Effect.gen(function*() {
      const { socket, webSocket } = make()
      webSocket.opened(socket)
      webSocket.received("a")
      webSocket.received(new Uint8Array([1, 2]).buffer)
      const link = yield* fromRuntime(webSocket, true)
      assert.isTrue(link.isSecure)
      webSocket.received("b")
      webSocket.closed(4000, "why")
      assert.deepStrictEqual(yield* link.pull, ["a", new Uint8Array([1, 2]), "b"])
      assert.deepInclude((yield* Effect.flip(link.pull)).reason, { _tag: "SocketCloseError", code: 4000 })
    }))

  it.live("a client that sends more than a hello before it is known is closed with 4100", () =>
    Effect.gen(function*() {
      const { log, socket, webSocket } = make({ ...roomy, unauthenticated: 300 })
      webSocket.opened(socket)
      const link = yield* fromRuntime(webSocket, false)
      webSocket.received(text(100))
      webSocket.received(text(100))
      assert.deepStrictEqual(log, ["close 4100 more than 300 bytes"])
      assert.lengthOf(yield* link.pull, 1)
      assert.strictEqual((yield* Effect.flip(link.pull)).reason._tag, "SocketReadError")
    }))

  it.live("messages without bytes are counted before a client is known: each takes memory", () =>
    Effect.gen(function*() {
      const { log, socket, webSocket } = make({ ...roomy, unauthenticated: 6400 })
      webSocket.opened(socket)
      yield* fromRuntime(webSocket, false)
      for (let sent = 0; sent < 100; sent++) webSocket.received(new Uint8Array(0))
      assert.deepStrictEqual(log, [])
      webSocket.received("")
      assert.deepStrictEqual(log, ["close 4100 more than 6400 bytes"])
    }))

  it.live("a message that can't be read at once, and is not counted, ends it", () =>
    Effect.gen(function*() {
      const { log, socket, webSocket } = make({ ...roomy, unauthenticated: 100 })
      webSocket.opened(socket)
      const link = yield* fromRuntime(webSocket, false)
      webSocket.received(new Blob([text(1000)]))
      webSocket.received(text(1000))
      assert.deepStrictEqual(log, ["close 1000 a message that is neither text nor an ArrayBuffer"])
      assert.strictEqual((yield* Effect.flip(link.pull)).reason._tag, "SocketReadError")
    }))

  it.live("what is not read is counted, and is bounded once the client is known", () =>
    Effect.gen(function*() {
      const { log, socket, webSocket } = make({ unauthenticated: 300, authenticated: 200_000 })
      webSocket.opened(socket)
      const link = yield* fromRuntime(webSocket, false)
      link.send("welcome")
      // 64 KiB wait in Effect's reader before it pauses.
      for (let sent = 0; sent < 4; sent++) webSocket.received(text(60_000))
      assert.isAtLeast(partialIn(link), 120_000)
      yield* link.pull
      assert.isBelow(partialIn(link), 120_000)
      for (let sent = 0; sent < 5; sent++) webSocket.received(text(60_000))
      assert.deepStrictEqual(log, ["send 7", "close 4110"])
      assert.strictEqual(partialIn(link), 0)
    }))

  it.live("is full above 128 KiB, and has room when the runtime says so", () =>
    Effect.gen(function*() {
      const { socket, wait, webSocket } = make(roomy, { tellsRoom: true })
      webSocket.opened(socket)
      const link = yield* fromRuntime(webSocket, false)
      assert.isFalse(link.isFull())
      wait(131_073)
      assert.isTrue(link.isFull())
      let calls = 0
      link.onRoom(() => calls++)
      wait(0)
      webSocket.drained()
      webSocket.drained()
      assert.strictEqual(calls, 1)
    }))

  it.live("is given up without a close frame where the runtime can do that", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const { socket, webSocket } = make(roomy, { terminate: () => log.push("terminate") })
      webSocket.opened(socket)
      const link = yield* fromRuntime(webSocket, false)
      link.terminate()
      assert.deepStrictEqual(log, ["terminate"])
      assert.deepInclude((yield* Effect.flip(link.pull)).reason, { _tag: "SocketCloseError", code: 1006 })
      assert.isDefined(link.send("late"))
    }))

  it.live("one that is closed before it opens is closed as soon as it does", () =>
    Effect.gen(function*() {
      const { log, socket, webSocket } = make()
      webSocket.close()
      webSocket.opened(socket)
      assert.deepStrictEqual(log, ["close 1000"])
      assert.strictEqual(
        (yield* Effect.flip(Effect.scoped(fromRuntime(webSocket, false)))).reason._tag,
        "SocketCloseError"
      )
    }))

  it.live("an end without a code, as Deno tells it, is a lost link", () =>
    Effect.gen(function*() {
      const { socket, webSocket } = make()
      webSocket.opened(socket)
      const link = yield* fromRuntime(webSocket, false)
      webSocket.closed(0, "")
      assert.deepInclude((yield* Effect.flip(link.pull)).reason, { _tag: "SocketCloseError", code: 1006 })
    }))

  it("a message that Bun has dropped is lost, and one without bytes is not", () => {
    const webSocket = new RuntimeWebSocket(roomy)
    let sends = 0
    BunSwaggerSocket.websocket.open({
      data: webSocket,
      // Bun answers how many bytes it has sent.
      send: () => (sends++, 0),
      close() {},
      terminate() {},
      getBufferedAmount: () => 0
    })
    webSocket.send("")
    assert.throws(() => webSocket.send("text"), /Bun has dropped a message/)
    assert.strictEqual(sends, 2)
  })

  it("a WebSocket of Workers is given bytes that do not change with those of the message", () => {
    const message = new Uint8Array([1, 2])
    const given = copied(message)
    message[0] = 3
    assert.deepStrictEqual(given, new Uint8Array([1, 2]))
    assert.strictEqual(copied("text"), "text")
  })
})
