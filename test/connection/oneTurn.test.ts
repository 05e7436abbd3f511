/**
 * What belongs together on a real socket: what one turn of the event loop sends, an answer's head and its body, and what a
 * link has brought before it was given up.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Net from "node:net"
import { request } from "../support/frames.ts"
import { dial } from "../support/rawPeer.ts"
import { until } from "../support/waiting.ts"
import { startClient, startHub } from "../v1/peers.ts"

const portOf = (url: string): number => Number(new URL(url).port)

/** The pieces in which the sockets of this process have been given their bytes while the effect ran. */
const writesOf = <A, E, R>(use: (writes: () => number) => Effect.Effect<A, E, R>) => {
  interface Write {
    readonly socket: Net.Socket
    readonly bytes: number
  }
  const writes: Array<Write> = []
  const prototype = Net.Socket.prototype as unknown as Record<"_write" | "_writev", (...args: Array<any>) => void>
  const { _write, _writev } = prototype
  return Effect.acquireUseRelease(
    Effect.sync(() => {
      prototype._write = function(this: Net.Socket, chunk: Uint8Array | string, ...rest) {
        writes.push({ socket: this, bytes: chunk.length })
        return _write.call(this, chunk, ...rest)
      }
      prototype._writev = function(this: Net.Socket, chunks: ReadonlyArray<{ readonly chunk: Uint8Array }>, ...rest) {
        writes.push({ socket: this, bytes: chunks.reduce((sum, { chunk }) => sum + chunk.length, 0) })
        return _writev.call(this, chunks, ...rest)
      }
    }),
    () => use(() => writes.length),
    () =>
      Effect.sync(() => {
        Object.assign(prototype, { _write, _writev })
      })
  ).pipe(Effect.map((result) => ({ result, writes })))
}

const body = new Uint8Array(60_000).fill(0x61)

const api = Layer.mergeAll(
  HttpRouter.add("GET", "/large", HttpServerResponse.uint8Array(body)),
  HttpRouter.add("GET", "/small", HttpServerResponse.text("small")),
  HttpRouter.add(
    "POST",
    "/count",
    Effect.gen(function*() {
      const { arrayBuffer } = yield* HttpServerRequest.HttpServerRequest
      return HttpServerResponse.text(String((yield* Effect.orDie(arrayBuffer)).byteLength))
    })
  ),
  // A head that leaves no room for another one in its message, and a body.
  HttpRouter.add(
    "GET",
    "/head",
    HttpServerResponse.uint8Array(new Uint8Array(3000), { headers: { "x-filler": "x".repeat(9000) } })
  )
)

describe("one turn", () => {
  it.live("a body in memory leaves in one turn, although it takes several messages, from either end", () =>
    Effect.gen(function*() {
      const { url } = yield* startHub({ api })
      const { http } = yield* startClient(url)
      yield* http.get("/small")
      const isServers = ({ localPort }: Net.Socket) => localPort === portOf(url)
      const isClients = ({ remotePort }: Net.Socket) => remotePort === portOf(url)

      // Where the machine is busy a turn may be over before all has left, so that there are several tries.
      const largest = { down: 0, up: 0 }
      for (let i = 0; i < 10; i++) {
        const down = yield* writesOf(() => Effect.flatMap(http.get("/large"), ({ arrayBuffer }) => arrayBuffer))
        assert.strictEqual(down.result.byteLength, body.length)
        for (const { bytes, socket } of down.writes) if (isServers(socket)) largest.down = Math.max(largest.down, bytes)
        const up = yield* writesOf(() =>
          Effect.flatMap(http.post("/count", { body: HttpBody.uint8Array(body) }), ({ text }) => text)
        )
        assert.strictEqual(up.result, String(body.length))
        for (const { bytes, socket } of up.writes) if (isClients(socket)) largest.up = Math.max(largest.up, bytes)
      }
      assert.isAbove(largest.down, body.length)
      assert.isAbove(largest.up, body.length)
    }))

  it.live("replies to the first frames of a long message leave before its last frames are handled", () =>
    Effect.gen(function*() {
      let handled = 0
      let before = 0
      let isLast = () => {}
      const { url } = yield* startHub({
        api: HttpRouter.add(
          "GET",
          "/*",
          Effect.sync(() => {
            if (++handled === 64) isLast()
            return HttpServerResponse.empty()
          })
        )
      })
      const peer = yield* dial(url)
      yield* peer.handshake()
      yield* peer.expectAlive()
      yield* writesOf((written) => {
        let asked = 0
        isLast = () => {
          before = written() - asked
        }
        const ask = peer.sendFrames(...Array.from({ length: 64 }, (_, index) => request(2 * index + 3, "/")))
        return Effect.andThen(
          Effect.tap(ask, () =>
            Effect.sync(() => {
              asked = written()
            })),
          until("all are handled", () => handled >= 64)
        )
      })
      assert.isAtLeast(before, 1)
    }))

  it.live("a small response arrives together with its body", () =>
    Effect.gen(function*() {
      const { url } = yield* startHub({ api })
      const { http } = yield* startClient(url)
      const exits = yield* Effect.forEach(
        Array.from({ length: 10 }),
        () => Effect.map(http.get("/small"), ({ text }) => Effect.runSyncExit(text)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(exits, exits.map(() => Exit.succeed("small")))
    }))

  it.live("simultaneous responses arrive whole when their heads don't fit into one message", () =>
    Effect.gen(function*() {
      const { url } = yield* startHub({ api })
      const { http } = yield* startClient(url)
      const bodies = yield* Effect.forEach(
        Array.from({ length: 10 }),
        () => Effect.flatMap(http.get("/head"), ({ arrayBuffer }) => arrayBuffer),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(bodies.map(({ byteLength }) => byteLength), bodies.map(() => 3000))
    }))
})
