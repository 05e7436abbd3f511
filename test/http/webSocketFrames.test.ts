/**
 * Frames of WebSockets, against those of another library: what one writes, the other reads.
 */
import { assert, describe, it } from "@effect/vitest"
import { type Duplex, PassThrough, type Writable } from "node:stream"
import * as WS from "ws"
import * as frames from "../../src/internal/http/webSocketFrames.ts"
import { type Fault, FrameReader, type Received } from "../../src/internal/http/webSocketReader.ts"
import { Random } from "../support/random.ts"

interface SenderOptions {
  readonly binary: boolean
  readonly mask: boolean
  readonly fin: boolean
  readonly compress: boolean
}

interface Sender {
  send(data: Buffer, options: SenderOptions): void
  ping(data: Buffer, mask: boolean): void
  pong(data: Buffer, mask: boolean): void
}

/** Which the types of `ws` leave out. */
const { Receiver, Sender } = WS as unknown as {
  readonly Receiver: new(options: { readonly isServer: boolean; readonly maxPayload: number }) => Writable
  readonly Sender: new(socket: Duplex) => Sender
}

const sizes = [0, 1, 2, 125, 126, 127, 128, 65_535, 65_536, 65_537, 300_000]
const bytesOf = (size: number): Uint8Array => Uint8Array.from({ length: size }, (_, index) => index * 7)
const textOf = (size: number): string => "aé€🙂".repeat(size).slice(0, size)

/** What a reader makes of bytes that arrive in portions. */
const read = (bytes: Uint8Array, portion = Infinity, maxSize = 1024 * 1024) => {
  const received: Array<Received> = []
  const reader = new FrameReader(maxSize)
  let fault: Fault | undefined = undefined
  for (let at = 0; at < bytes.length && fault === undefined; at += portion) {
    const part = bytes.subarray(at, at + portion)
    for (let read = 0; read < part.length;) read = reader.read(part, read, (one) => received.push(one))
    fault = reader.fault
  }
  return { received, fault: fault as Fault | undefined }
}

const concat = (parts: ReadonlyArray<Uint8Array>): Uint8Array => new Uint8Array(Buffer.concat(parts))

/** What `ws` reads. */
const readByWs = (bytes: Uint8Array): Promise<ReadonlyArray<Uint8Array | string>> =>
  new Promise((resolve, reject) => {
    const messages: Array<Uint8Array | string> = []
    const receiver = new Receiver({ isServer: false, maxPayload: 0 })
    receiver.on("message", (data: Buffer, isBinary: boolean) => {
      messages.push(isBinary ? new Uint8Array(data) : data.toString())
    })
    receiver.on("conclude", (code: number, reason: Buffer) => {
      messages.push(`${code} ${reason.toString()}`)
      resolve(messages)
    })
    receiver.on("error", reject)
    receiver.write(bytes)
  })

/** What `ws` writes. */
const writtenByWs = async (write: (sender: Sender) => void): Promise<Uint8Array> => {
  const socket = new PassThrough()
  const chunks: Array<Uint8Array> = []
  socket.on("data", (chunk: Uint8Array) => chunks.push(chunk))
  write(new Sender(socket))
  socket.end()
  await new Promise((resolve) => socket.on("end", resolve))
  return concat(chunks)
}

describe("frames that are written", () => {
  // PROTOCOL.md WS-1
  it("another library reads each message as it was, and the close frame behind them", async () => {
    const messages = sizes.flatMap((size) => [bytesOf(size), textOf(size)])
    const written = concat([...messages.flatMap(frames.message), ...frames.close(4321, "done")])
    assert.deepStrictEqual(await readByWs(written), [...messages, "4321 done"])
  })

  it("a reason that is too long is cut at a character, and 1005 is sent as no code", async () => {
    const written = concat(frames.close(1000, "€".repeat(100)))
    assert.deepStrictEqual(await readByWs(written), [`1000 ${"€".repeat(41)}`])
    assert.deepStrictEqual(await readByWs(concat(frames.close(1005, "ignored"))), ["1005 "])
  })
})

describe("frames that are read", () => {
  for (const mask of [false, true]) {
    // PROTOCOL.md WS-2
    it(`messages that another library has written ${mask ? "with" : "without"} masks, in portions of any size`, async () => {
      const messages = sizes.flatMap((size) => [bytesOf(size), textOf(size)])
      const written = await writtenByWs((sender) => {
        for (const message of messages) {
          const binary = typeof message !== "string"
          sender.send(Buffer.from(message as string), { binary, mask, fin: true, compress: false })
        }
      })
      const expected = messages.map((data) => ({ _tag: "Message", data }))
      for (const portion of [1, 2, 3, 7, 125, 16_384, Infinity]) {
        const { fault, received } = read(written, portion)
        assert.isUndefined(fault)
        assert.deepStrictEqual<unknown>(received, expected)
      }
    })
  }

  it("fragments make one message, with control frames between them", async () => {
    const written = await writtenByWs((sender) => {
      const send = (data: string, fin: boolean) =>
        sender.send(Buffer.from(data), { binary: false, mask: true, fin, compress: false })
      send("one ", false)
      sender.ping(Buffer.from("are you there?"), true)
      send("", false)
      send("€", false)
      sender.pong(Buffer.from("yes"), true)
      send(" two", true)
    })
    for (const portion of [1, 5, Infinity]) {
      const { received } = read(written, portion)
      assert.deepStrictEqual<unknown>(received, [
        { _tag: "Ping", data: new TextEncoder().encode("are you there?") },
        { _tag: "Message", data: "one € two" }
      ])
    }
  })

  it("a character may be cut by a fragment", () => {
    const euro = new TextEncoder().encode("€")
    const written = Uint8Array.of(0x01, 2, euro[0]!, euro[1]!, 0x80, 1, euro[2]!)
    assert.deepStrictEqual<unknown>(read(written).received, [{ _tag: "Message", data: "€" }])
  })

  it("nothing is read behind a close frame", () => {
    const written = concat([...frames.close(1000, "bye"), ...frames.message("late")])
    assert.deepStrictEqual<unknown>(read(written), {
      received: [{ _tag: "Close", code: 1000, reason: "bye" }],
      fault: undefined
    })
    assert.deepStrictEqual<unknown>(read(Uint8Array.of(0x88, 0)).received, [{ _tag: "Close", code: 1005, reason: "" }])
  })

  const faults: Readonly<Record<string, readonly [code: number, bytes: ReadonlyArray<number>]>> = {
    "a reserved bit": [1002, [0xc1, 0]],
    "an unknown opcode": [1002, [0x83, 0]],
    "an unknown control opcode": [1002, [0x8b, 0]],
    "a fragment that continues nothing": [1002, [0x80, 0]],
    "a message within another one": [1002, [0x01, 1, 0x61, 0x81, 0]],
    "a ping in fragments": [1002, [0x09, 0]],
    "a ping of 126 bytes": [1002, [0x89, 126, 0, 126]],
    "a close frame of one byte": [1002, [0x88, 1, 3]],
    "the close code 999": [1002, [0x88, 2, 0x03, 0xe7]],
    "the close code 1004": [1002, [0x88, 2, 0x03, 0xec]],
    "the close code 1005": [1002, [0x88, 2, 0x03, 0xed]],
    "the close code 1006": [1002, [0x88, 2, 0x03, 0xee]],
    "the close code 1015": [1002, [0x88, 2, 0x03, 0xf7]],
    "the close code 2999": [1002, [0x88, 2, 0x0b, 0xb7]],
    "the close code 5000": [1002, [0x88, 2, 0x13, 0x88]],
    "a reason that is not UTF-8": [1007, [0x88, 3, 0x03, 0xe8, 0xff]],
    "text that is not UTF-8": [1007, [0x81, 2, 0xc3, 0x28]],
    "text that ends within a character": [1007, [0x81, 1, 0xe2]],
    "a frame above the limit": [1009, [0x82, 127, 0, 0, 0, 0, 0, 16, 0, 1]],
    "a length of 63 bits": [1009, [0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]]
  }
  for (const [title, [code, bytes]] of Object.entries(faults)) {
    // PROTOCOL.md WS-3
    it(`${title} is a fault ${code}, whatever the portions`, () => {
      for (const portion of [1, Infinity]) {
        const { fault, received } = read(Uint8Array.from([...bytes, 0x81, 0]), portion)
        assert.strictEqual(fault?.code, code)
        assert.deepStrictEqual(received, [])
      }
    })
  }

  it("fragments above the limit together are a fault 1009, and control frames don't count", () => {
    const part = [0x02, 10, ...bytesOf(10)]
    assert.strictEqual(read(Uint8Array.from([...part, 0x00, 10, ...bytesOf(10), 0x80, 1, 0]), 3, 20).fault?.code, 1009)
    assert.isUndefined(
      read(Uint8Array.from([...part, 0x89, 11, ...bytesOf(11), 0x80, 10, ...bytesOf(10)]), 3, 20).fault
    )
  })

  it("any bytes give messages or a fault, and never throw", () => {
    const random = new Random(42)
    for (let left = 5000; left > 0; left--) {
      const bytes = random.bytes(random.int(64))
      // Most of random bytes have reserved bits.
      if (bytes.length > 0 && random.int(4) > 0) bytes[0]! &= 0x8f
      read(bytes, 1 + random.int(9), 100)
    }
  })
})
