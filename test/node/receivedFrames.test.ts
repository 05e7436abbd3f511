/**
 * Frames as both ends read them from a socket.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Limits from "effect-swaggersocket/Limits"
import { Duplex } from "node:stream"
import type * as WS from "ws"
import { close, message } from "../../src/internal/http/webSocketFrames.ts"
import { FrameMasker } from "../../src/node/frameMasker.ts"
import { webSocketOf } from "../../src/node/wireWebSocket.ts"
import { Random } from "../support/random.ts"

/** A WebSocket over a socket that takes anything, and what it receives. */
const open = (isServer: boolean, maxPayload = 1 << 20) => {
  const socket = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() })
  const WebSocket = webSocketOf(Limits.defaults)
  const ws: WS.WebSocket = Reflect.construct(WebSocket, [null, undefined, {}])
  Reflect.set(ws, "_isServer", isServer)
  ws.binaryType = "nodebuffer"
  const received: Array<Buffer> = []
  ws.on("message", (data: Buffer) => received.push(data))
  const setSocket = Reflect.get(ws, "setSocket") as (socket: Duplex, head: Buffer, options: object) => void
  setSocket.call(ws, socket, Buffer.alloc(0), { maxPayload, skipUTF8Validation: false })
  return { socket, ws, received }
}

describe.each([{ end: "server", isServer: true }, { end: "client", isServer: false }])("a $end", ({ isServer }) => {
  it("reads messages of all sizes, wherever their bytes are cut, and none behind a close frame", async () => {
    const random = new Random(1)
    for (let round = 0; round < 20; round++) {
      const { received, socket, ws } = open(isServer)
      const messages = [0, 1, 95, 96, 97, 125, 126, 4000, 65_535, 65_536, 70_001, 3, 200].map((size) =>
        Buffer.alloc(size).map(() => random.int(256)) as Buffer
      )
      const plain = Buffer.concat([
        ...messages.flatMap((data) => [...message(data)]),
        ...close(1000, "over"),
        ...message(Buffer.of(1))
      ])
      const bytes = isServer ? new FrameMasker().mask(plain) : plain
      for (let at = 0; at < bytes.length;) {
        const size = 1 + random.int(random.chance(0.5) ? 8 : 100_000)
        // In a buffer of its own, as Node reads.
        socket.push(Buffer.from(bytes.subarray(at, at + size)))
        at += size
      }
      socket.push(null)
      await new Promise((resolve) => ws.once("close", resolve))
      assert.strictEqual(received.length, messages.length)
      for (const [at, data] of received.entries()) assert.strictEqual(Buffer.compare(data, messages[at]!), 0)
    }
  })

  it("refuses a message that is masked, or not, against the rule, and one that is too large", async () => {
    const whole = (size: number) => Buffer.concat([...message(Buffer.alloc(size))])
    const masked = (bytes: Uint8Array) => new FrameMasker().mask(bytes)
    const asPeer = isServer ? masked : (bytes: Uint8Array) => bytes
    const against = isServer ? (bytes: Uint8Array) => bytes : masked
    for (const bytes of [against(whole(10)), asPeer(whole(2000))]) {
      const { received, socket, ws } = open(isServer, 1000)
      const failed = new Promise((resolve) => ws.once("error", resolve))
      socket.push(Buffer.from(asPeer(whole(5))))
      socket.push(Buffer.from(bytes))
      assert.instanceOf(await failed, RangeError)
      assert.strictEqual(received.length, 1)
      ws.terminate()
    }
  })
})
