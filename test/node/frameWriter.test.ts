/**
 * Frames of messages, as they are written to a TCP socket.
 */
import { assert, describe, it } from "@effect/vitest"
import { bufferSize } from "../../src/internal/frame/bufferPool.ts"
import { FrameReader } from "../../src/internal/http/webSocketReader.ts"
import type { TcpSocket } from "../../src/internal/link/platformSockets.ts"
import { FrameWriter, type Sent } from "../../src/node/frameWriter.ts"

interface Write {
  readonly bytes: Uint8Array
  readonly sent: Sent | undefined
}

/** A TCP socket that keeps what is written to it. */
const keeping = () => {
  const writes: Array<Write> = []
  const tcp = {
    write: (bytes: Uint8Array, sent?: Sent) => {
      writes.push({ bytes, sent })
      return true
    },
    cork() {},
    uncork() {}
  }
  return { writes, tcp: tcp as unknown as TcpSocket }
}

const bytesOf = (writes: ReadonlyArray<Write>) => new Uint8Array(Buffer.concat(writes.map(({ bytes }) => bytes)))

/** The messages in bytes. */
const read = (bytes: Uint8Array): ReadonlyArray<Uint8Array | string> => {
  const messages: Array<Uint8Array | string> = []
  const reader = new FrameReader(1 << 24)
  for (let at = 0; at < bytes.length;) {
    at = reader.read(bytes, at, (received) => {
      if (received._tag === "Message") messages.push(received.data)
    })
  }
  assert.isUndefined(reader.fault)
  assert.strictEqual(reader.size, 0)
  return messages
}

const sizes = [0, 1, 90, 125, 126, 127, 2048, 2049, 16_896, bufferSize - 16, bufferSize, 65_535, 65_536, 70_001]

describe.each([{ end: "the end that has dialled", isMasked: true }, { end: "the other end", isMasked: false }])(
  "messages of $end",
  ({ isMasked }) => {
    it("messages of all sizes arrive, text and bytes", () => {
      const { tcp, writes } = keeping()
      const writer = new FrameWriter(tcp, isMasked)
      const messages = sizes.flatMap((size) => [new Uint8Array(size).map((_, at) => at * 7), "é".repeat(size)])
      for (const message of messages) writer.write(message)
      assert.deepStrictEqual(read(bytesOf(writes)), messages)
    })

    it("each frame is masked, or none", () => {
      const { tcp, writes } = keeping()
      const writer = new FrameWriter(tcp, isMasked)
      for (const size of sizes) {
        writer.write(new Uint8Array(size))
        assert.strictEqual(bytesOf(writes.splice(0))[1]! >= 0x80, isMasked)
      }
    })

    it("the caller learns once that a message has left, or that it has not", () => {
      for (const size of sizes) {
        for (const failure of [undefined, null, new Error("gone")]) {
          const { tcp, writes } = keeping()
          const ended: Array<unknown> = []
          new FrameWriter(tcp, isMasked).write(new Uint8Array(size), (error) => ended.push(error))
          assert.deepStrictEqual(ended, [])
          for (const { sent } of writes) sent?.(failure)
          assert.deepStrictEqual(ended, [failure])
        }
      }
    })

    it("the bytes of a message are its sender's own: they are not changed", () => {
      for (const size of sizes) {
        const message = new Uint8Array(size).fill(5)
        new FrameWriter(keeping().tcp, isMasked).write(message)
        assert.isTrue(message.every((byte) => byte === 5))
      }
    })
  }
)

describe("masked messages", () => {
  const write = (sent: ReadonlyArray<Write>) => {
    const { tcp, writes } = keeping()
    new FrameWriter(tcp, true).write(new Uint8Array(10_000))
    const { buffer } = writes[0]!.bytes
    return { writes, isUsedAgain: sent.some(({ bytes }) => bytes.buffer === buffer) }
  }

  it("each has a key of its own", () => {
    const { tcp, writes } = keeping()
    const writer = new FrameWriter(tcp, true)
    for (let count = 0; count < 5000; count++) writer.write(new Uint8Array(1))
    const keys = new Set(writes.map(({ bytes }) => Buffer.from(bytes.subarray(2, 6)).toString("hex")))
    assert.isAbove(keys.size, 4990)
  })

  it("a buffer is used again once the socket has written it, and not before", () => {
    const { writes } = write([])
    const meanwhile = write(writes)
    assert.isFalse(meanwhile.isUsedAgain)
    writes[0]!.sent!()
    assert.isTrue(write(writes).isUsedAgain)
  })

  it("a buffer that a failed socket may still hold is not used again", () => {
    const { writes } = write([])
    writes[0]!.sent!(new Error("gone"))
    for (let count = 0; count < 300; count++) assert.isFalse(write(writes).isUsedAgain)
  })
})
