/**
 * Links of requests that were upgraded, on platforms that are in the hands of the test.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Socket from "effect/socket/Socket"
import { takenBy } from "../../src/internal/link/bytesTaken.ts"
import {
  maxPayloads,
  type NodeWebSocket,
  ofWireV1,
  type TcpSocket,
  upgraded
} from "../../src/internal/link/platformSockets.ts"
import { fromRequest } from "../../src/internal/link/upgrade.ts"

/** A TCP socket of Node, which notes how it is called. */
const tcpLike = () => {
  const calls: Array<unknown> = []
  const note = (name: string) => (...rest: ReadonlyArray<unknown>): void => void calls.push([name, ...rest])
  const tcp = {
    destroyed: false,
    writableLength: 0,
    writableHighWaterMark: 0,
    write: note("write"),
    cork: note("cork"),
    uncork: note("uncork"),
    once: note("once"),
    destroy: note("destroy"),
    destroySoon: note("destroySoon")
  }
  return { calls, tcp: tcp as typeof tcp & TcpSocket }
}

interface Written {
  readonly chunks: Array<unknown>
  /** What becomes of a write. */
  result: Effect.Effect<void, Socket.SocketError>
}

const requestLike = (source: object, members: object = {}) => {
  const written: Written = { chunks: [], result: Effect.void }
  const socket = Socket.make({
    reader: Effect.succeed({ pull: Effect.never, upgrade: Socket.SocketUpgradeError.unsupported }),
    writer: Effect.succeed({
      write: (chunk) =>
        Effect.suspend(() => {
          written.chunks.push(chunk)
          return written.result
        }),
      writeAll: () => Effect.void
    })
  })
  const request = { source, originalUrl: "/a", protocol: "http", upgrade: Effect.succeed(socket), ...members }
  return { request: request as unknown as HttpServerRequest.HttpServerRequest, written }
}

describe("a link of an upgraded request", () => {
  it.effect("is full above its mark, or above that of the socket, and once the socket is destroyed", () =>
    Effect.gen(function*() {
      const { tcp } = tcpLike()
      const { request } = requestLike({ socket: tcp })
      const link = yield* fromRequest(request, { buffer: 1000 })
      tcp.writableLength = 1000
      assert.isFalse(link.isFull())
      tcp.writableLength = 1001
      assert.isTrue(link.isFull())
      tcp.writableHighWaterMark = 2000
      const wide = yield* fromRequest(request, { buffer: 1000 })
      assert.isFalse(wide.isFull())
      tcp.destroyed = true
      assert.isTrue(wide.isFull())
    }))

  it.effect("does with the socket what it is told", () =>
    Effect.gen(function*() {
      const { calls, tcp } = tcpLike()
      const link = yield* fromRequest(requestLike({ socket: tcp }).request, {})
      const resume = () => {}
      link.onRoom(resume)
      link.cork?.()
      link.uncork?.()
      link.hangUp()
      link.terminate()
      assert.deepStrictEqual(calls, [["once", "drain", resume], ["cork"], ["uncork"], ["destroySoon"], ["destroy"]])
      Object.assign(tcp, { bytesWritten: 9, writableLength: 2 })
      assert.strictEqual(link.taken(), 7)
    }))

  it.effect("sends with the WebSocket of the platform where that is known", () =>
    Effect.gen(function*() {
      const { tcp } = tcpLike()
      const sent: Array<unknown> = []
      const ws = { binaryType: "blob", bufferedAmount: 1, send: (message: unknown) => void sent.push(message) }
      upgraded.set(tcp, ws as unknown as NodeWebSocket)
      const { request, written } = requestLike({ socket: tcp })
      const link = yield* fromRequest(request, {})
      assert.strictEqual(ws.binaryType, "nodebuffer")
      assert.isUndefined(link.send("a"))
      assert.deepStrictEqual([sent, written.chunks], [["a"], []])
      assert.isFalse(link.isEmpty())
      ws.bufferedAmount = 0
      assert.isTrue(link.isEmpty())
    }))

  it.effect("has no room to know of, and nothing to hold back, on a platform without sockets of Node", () =>
    Effect.gen(function*() {
      for (const source of [{}, { socket: {} }, { socket: { destroy: () => {} } }, { socket: { writableLength: 1 } }]) {
        const { request, written } = requestLike(source)
        const link = yield* fromRequest(request, { wire: "v1", maxPayload: 1, headers: { a: "b" } })
        assert.isUndefined(link.tcp)
        assert.isUndefined(link.webSocket)
        assert.isFalse(link.isFull() || link.isEmpty())
        assert.strictEqual(link.taken(), 0)
        link.onRoom(() => {})
        link.cork?.()
        link.uncork?.()
        link.hangUp()
        link.terminate()
        assert.isUndefined(link.send("a"))
        link.close(1000, "why")
        const [message, close] = written.chunks as [string, Socket.CloseEvent]
        assert.deepStrictEqual([message, close.code, close.reason], ["a", 1000, "why"])
      }
    }))

  it.effect("answers why it could not write, also when the writer dies or waits", () =>
    Effect.gen(function*() {
      const { request, written } = requestLike({})
      const link = yield* fromRequest(request, {})
      const error = new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause: new Error("why") }) })
      written.result = Effect.fail(error)
      assert.strictEqual(link.send("a"), error)
      for (const result of [Effect.die(new Error("a bug")), Effect.never]) {
        written.result = result
        const { reason } = link.send("a")!
        assert.strictEqual(reason._tag, "SocketWriteError")
        assert.property((reason as { readonly cause: unknown }).cause, "reasons")
      }
    }))

  it.effect("is secure where the platform says so, or else the URL", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [protocol: string | undefined, originalUrl: string, isSecure: boolean]> = [
        ["https", "http://h", true],
        ["http", "https://h", false],
        [undefined, "HTTPS://h", true],
        [undefined, "http://h?https:", false]
      ]
      for (const [protocol, originalUrl, isSecure] of cases) {
        const { request } = requestLike({}, { protocol, originalUrl })
        assert.strictEqual((yield* fromRequest(request, {})).isSecure, isSecure)
      }
    }))

  it.effect("tells the platform what it has to know before the WebSocket opens", () =>
    Effect.gen(function*() {
      const [plain, v1] = [tcpLike().tcp, tcpLike().tcp]
      yield* fromRequest(requestLike({ socket: plain }).request, { wire: "v2" })
      yield* fromRequest(requestLike({ socket: v1 }).request, { wire: "v1", maxPayload: 99 })
      assert.deepStrictEqual([ofWireV1.has(plain), ofWireV1.has(v1)], [false, true])
      assert.deepStrictEqual([maxPayloads.has(plain), maxPayloads.get(v1)], [false, 99])
    }))

  it.effect("adds its fields to the 101 and to nothing else", () =>
    Effect.gen(function*() {
      const answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
      const written = (chunk: string | Uint8Array, headers: Readonly<Record<string, string>> | undefined) =>
        Effect.gen(function*() {
          const { calls, tcp } = tcpLike()
          yield* fromRequest(requestLike({ socket: tcp }).request, { headers })
          tcp.write(chunk, "latin1")
          tcp.write(answer)
          return calls
        })
      const second = ["write", answer]
      assert.deepStrictEqual(yield* written(answer, { a: "1", b: "2" }), [
        ["write", answer.replace("\r\n\r\n", "\r\na: 1\r\nb: 2\r\n\r\n"), "latin1"],
        second
      ])
      assert.deepStrictEqual(yield* written(answer, undefined), [["write", answer, "latin1"], second])
      const refusal = "HTTP/1.1 400 Bad Request\r\n\r\nHTTP/1.1 101 "
      assert.deepStrictEqual(yield* written(refusal, { a: "1" }), [["write", refusal, "latin1"], second])
      assert.deepStrictEqual(
        yield* written(Uint8Array.of(1), { a: "1" }),
        [["write", Uint8Array.of(1), "latin1"], second]
      )
    }))
})

describe("bytes that the operating system has taken", () => {
  const counted = (members: object) => takenBy({ writableLength: 3, bytesWritten: 10, ...members } as TcpSocket)

  it("are counted by Node's handle, below TLS where there is TLS", () => {
    const handle = { bytesWritten: 100, writeQueueSize: 30 }
    assert.strictEqual(counted({ _handle: handle }), 70)
    assert.strictEqual(counted({ _handle: { bytesWritten: 1, writeQueueSize: 1, _parent: handle } }), 70)
  })

  it("are those of writes that are done where there is no handle", () => {
    assert.strictEqual(counted({}), 7)
    assert.strictEqual(counted({ _handle: null }), 7)
    assert.strictEqual(counted({ _handle: { bytesWritten: 100 } }), 7)
    assert.strictEqual(counted({ _handle: { writeQueueSize: 100 } }), 7)
    assert.strictEqual(counted({ bytesWritten: undefined }), -3)
  })
})
