/**
 * The end of a WebSocket that is played: frames as they were recorded, on a bare TCP socket.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Crypto from "node:crypto"
import * as Net from "node:net"
import { until } from "../../support/waiting.ts"

const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

export interface Received {
  readonly isText: boolean
  readonly frames: number
  readonly data: Buffer
}

const nothing = Buffer.alloc(0)

const xor = (data: Buffer, mask: Buffer): Buffer => Buffer.from(data.map((byte, at) => byte ^ mask[at % 4]!))

export class GoPeer {
  /** The HTTP head of the other end. */
  head: string | undefined = undefined
  /** Messages that nobody has taken. */
  readonly messages: Array<Received> = []
  readonly pings: Array<Buffer> = []
  readonly pongs: Array<Buffer> = []
  close: { readonly code: number | undefined; readonly reason: string } | undefined = undefined
  /** Nothing comes any more. */
  ended = false
  /** Rules of WebSockets that the other end broke. */
  readonly faults: Array<string> = []
  answersPings = false
  readonly #tcp: Net.Socket
  readonly #dialled: boolean
  #rest: Buffer = nothing
  #partial: Received | undefined = undefined

  constructor(tcp: Net.Socket, dialled: boolean) {
    this.#tcp = tcp
    this.#dialled = dialled
    tcp.setNoDelay(true)
    tcp.on("data", (data: Buffer) => {
      this.#rest = Buffer.concat([this.#rest, data])
      while (this.head === undefined ? this.#readHead() : this.#readFrame());
    })
    const end = () => {
      this.ended = true
    }
    tcp.on("end", end).on("close", end).on("error", end)
  }

  // --- sending ------------------------------------------------------------------------------------------------------

  write(data: string | Buffer): void {
    if (!this.#tcp.destroyed) this.#tcp.write(data)
  }

  sendFrame(opcode: keyof typeof opcodes, data: Buffer, isLast = true): void {
    const size = data.length < 126
      ? Buffer.of(data.length)
      : data.length < 65536
      ? Buffer.of(126, data.length >> 8, data.length & 255)
      : Buffer.concat([Buffer.of(127, 0, 0, 0, 0), Buffer.of(data.length >>> 24), uint24(data.length & 0xffffff)])
    const start = Buffer.of((isLast ? 0x80 : 0) | opcodes[opcode])
    if (!this.#dialled) return this.write(Buffer.concat([start, size, data]))
    const mask = Crypto.randomBytes(4)
    size[0]! |= 0x80
    this.write(Buffer.concat([start, size, mask, xor(data, mask)]))
  }

  sendMessage(opcode: "text" | "binary", data: Buffer, frames: ReadonlyArray<number> = [data.length]): void {
    let at = 0
    for (const [index, size] of frames.entries()) {
      this.sendFrame(index === 0 ? opcode : "continuation", data.subarray(at, at + size), index === frames.length - 1)
      at += size
    }
  }

  sendClose(code: number | undefined, reason: string): void {
    const start = code === undefined ? nothing : Buffer.of(code >> 8, code & 255)
    this.sendFrame("close", Buffer.concat([start, Buffer.from(reason)]))
  }

  /** Sends no more, and reads on. */
  end(): void {
    if (!this.#tcp.destroyed) this.#tcp.end()
  }

  /** As Go does: at once, without waiting for what the other end still has to say. */
  hangUp(): void {
    this.#tcp.destroySoon()
  }

  reset(): void {
    this.#tcp.resetAndDestroy()
  }

  /** What came behind the head where nothing was upgraded. */
  get unread(): Buffer {
    return this.#rest
  }

  // --- receiving ----------------------------------------------------------------------------------------------------

  #readHead(): boolean {
    const end = this.#rest.indexOf("\r\n\r\n")
    if (end === -1) return false
    this.head = this.#rest.toString("latin1", 0, end + 4)
    this.#rest = this.#rest.subarray(end + 4)
    return true
  }

  #readFrame(): boolean {
    const rest = this.#rest
    // What is not upgraded has a body of HTTP.
    if (rest.length < 2 || (this.#dialled && !this.head!.startsWith("HTTP/1.1 101"))) return false
    const isMasked = (rest[1]! & 0x80) !== 0
    const short = rest[1]! & 0x7f
    let at = short === 126 ? 4 : short === 127 ? 10 : 2
    if (rest.length < at + (isMasked ? 4 : 0)) return false
    const size = short === 126 ? rest.readUInt16BE(2) : short === 127 ? Number(rest.readBigUInt64BE(2)) : short
    const mask = isMasked ? rest.subarray(at, at + 4) : undefined
    if (mask !== undefined) at += 4
    if (rest.length < at + size) return false
    const data = rest.subarray(at, at + size)
    this.#rest = rest.subarray(at + size)
    if (isMasked === this.#dialled) this.faults.push(`a frame that is ${isMasked ? "" : "not "}masked`)
    if ((rest[0]! & 0x70) !== 0) this.faults.push("a frame of an extension")
    this.#onFrame(rest[0]! & 0x0f, (rest[0]! & 0x80) !== 0, mask === undefined ? Buffer.from(data) : xor(data, mask))
    return true
  }

  #onFrame(opcode: number, isLast: boolean, data: Buffer): void {
    if (this.close !== undefined) this.faults.push("a frame behind the close frame")
    switch (opcode) {
      case opcodes.ping:
        this.pings.push(data)
        if (this.answersPings) this.sendFrame("pong", data)
        return
      case opcodes.pong:
        this.pongs.push(data)
        return
      case opcodes.close:
        this.close = { code: data.length === 0 ? undefined : data.readUInt16BE(0), reason: data.toString("utf8", 2) }
        return
    }
    const { data: before, frames, isText } = this.#partial ?? { data: nothing, frames: 0, isText: opcode === 1 }
    const whole = { isText, frames: frames + 1, data: Buffer.concat([before, data]) }
    this.#partial = isLast ? undefined : whole
    if (isLast) this.messages.push(whole)
  }
}

const uint24 = (value: number): Buffer => Buffer.of(value >> 16, (value >> 8) & 255, value & 255)

/** Dials with an upgrade request as it was recorded. */
export const dial = (port: number, head: string): Effect.Effect<GoPeer, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Net.Socket>((resume) => {
        const socket = Net.connect(port, "127.0.0.1", () => resume(Effect.succeed(socket)))
        socket.on("error", (error) => resume(Effect.die(error)))
      }),
      (socket) => Effect.sync(() => socket.destroy())
    ),
    (socket) => {
      const peer = new GoPeer(socket, true)
      peer.write(head)
      return peer
    }
  )

export interface Listener {
  readonly port: number
  /** The next one that dials, with its upgrade request. */
  readonly accept: Effect.Effect<GoPeer>
}

export const listen: Effect.Effect<Listener, never, Scope.Scope> = Effect.gen(function*() {
  const arrived: Array<GoPeer> = []
  const sockets = new Set<Net.Socket>()
  const server = yield* Effect.acquireRelease(
    Effect.callback<Net.Server>((resume) => {
      const server = Net.createServer((socket) => {
        sockets.add(socket)
        arrived.push(new GoPeer(socket, false))
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.callback<void>((resume) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resume(Effect.void))
      })
  )
  return {
    port: (server.address() as Net.AddressInfo).port,
    accept: Effect.map(
      until("a client dials", () => arrived[0]?.head !== undefined),
      () => arrived.shift()!
    )
  }
})

/** RFC 6455 section 4.2.2. */
export const acceptOf = (head: string): string =>
  Crypto.createHash("sha1")
    .update(`${fieldOf(head, "sec-websocket-key")}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest("base64")

export const fieldOf = (head: string, name: string): string | undefined =>
  new RegExp(`^${name}: *(.*?)\r$`, "im").exec(head)?.[1]
