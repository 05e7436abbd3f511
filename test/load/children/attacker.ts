/**
 * A peer that knows no pause. It does one attack after the other, as it is told, and tells when it has sent, or read, so many
 * bytes; or it kills itself by then.
 */
import * as Effect from "effect/Effect"
import type * as Net from "node:net"
import { Encoder } from "../../../src/internal/frame/encoder.ts"
import type { Frame } from "../../../src/internal/frame/Frame.ts"
import { hear, main, type Message, tell } from "../../support/child.ts"
import { connect, dial, message } from "../rawClient.ts"

export interface Attack extends Message {
  readonly type: "attack"
  /** Of the socket. */
  readonly url: string
  readonly wire: "v1" | "v2" | "streaming"
  readonly attack: string
}

const encode = (...frames: ReadonlyArray<Frame>): Uint8Array => {
  const encoder = new Encoder(0)
  for (const frame of frames) encoder.frame(frame)
  return encoder.take()
}

const request = (method: string, target: string, end: boolean): Frame => ({
  _tag: "Request",
  streamId: 1,
  end,
  method,
  target,
  fields: []
})

const repeat = (part: Uint8Array, size: number): Buffer => Buffer.alloc(size - size % part.length, part)

const data = (size: number): Uint8Array => encode({ _tag: "Data", streamId: 1, end: false, data: new Uint8Array(size) })
const ping = encode({ _tag: "Ping", data: new Uint8Array(0) })
const v1Get = message(Buffer.from("GET /endless HTTP/1.1\r\nhost: a\r\n\r\n"), 1)
const v2Get = message(encode(request("GET", "/endless", true)))
const upload = message(encode(request("POST", "/upload", false)))

/** To be sent without reading: nine thousand refusals wait, and in front of them a thousand answers that are reset. */
function* refusals(): Iterable<Buffer> {
  let id = 1
  const next = (target: string) => ({ ...request("GET", target, true), streamId: id += 2 }) as Frame
  const frames = (count: number, make: () => ReadonlyArray<Frame>) =>
    message(encode(...Array.from({ length: count }, make).flat()))
  const reset = (streamId: number): Frame => ({ _tag: "Reset", streamId, code: 7, reason: "" })
  yield frames(50, () => [next("/endless")])
  const waiting = Array.from({ length: 50 }, () => next("/never"))
  yield message(encode(...waiting))
  for (let times = 0; times < 9; times++) yield frames(1000, () => [next("/never")])
  yield message(encode(...waiting.map((frame) => reset("streamId" in frame ? frame.streamId : 0))))
  for (let times = 0; times < 10; times++) {
    yield frames(90, () => {
      const call = next("/ping")
      return [call, reset(id)]
    })
  }
}

/** So many requests, or pairs of a request and its RESET, from a stream on. */
const requests = (count: number, target: string, isReset: boolean, from = 1): Buffer =>
  message(encode(
    ...Array.from({ length: count }, (_, index) => {
      const streamId = from + index * 2
      const frames: Array<Frame> = [{ ...request("GET", target, true), streamId } as Frame]
      if (isReset) frames.push({ _tag: "Reset", streamId, code: 7, reason: "" })
      return frames
    }).flat()
  ))

const mark = "the end"
const lastPing = message(encode({ _tag: "Ping", data: Buffer.from(mark) }))

/** Uploads on so many streams, and then a byte on each of them in turn. */
const uploads = (streams: number, target: string): Buffer =>
  message(encode(...Array.from({ length: streams }, (_, index) => ({
    ...request("POST", target, false),
    streamId: 1 + index * 2
  } as Frame))))

const byteEach = (streams: number, frames: number): Buffer =>
  message(encode(...Array.from({ length: frames }, (_, index) => ({
    _tag: "Data",
    streamId: 1 + (index % streams) * 2,
    end: false,
    data: new Uint8Array(1)
  } as Frame))))

/** A streaming call is a request by its upgrade. */
const readers = { v1: { first: v1Get }, v2: { first: v2Get }, streaming: {} }

interface Plan {
  readonly first?: Buffer
  readonly block?: Buffer
  readonly last?: Buffer
  readonly bytes: number
  readonly dies?: boolean
  /** The hub ends the link before so much was sent. */
  readonly isCut?: boolean
  readonly deaf?: boolean
}

/**
 * What opens the attack, what is sent again and again, and after how many bytes it is over, sent or read; or what is sent `last`:
 * it is over when that comes back, or the link ends.
 */
const plans: Readonly<Record<string, (wire: Attack["wire"]) => Plan>> = {
  "messages of one PING": () => ({ block: repeat(message(ping), 64 * 1024), bytes: 3e6, isCut: true }),
  "messages of many PINGs": () => ({ block: message(repeat(ping, 2000)), bytes: 3e6, isCut: true }),
  "messages of one byte of DATA": () => ({ first: upload, block: repeat(message(data(1)), 64 * 1024), bytes: 2.5e6 }),
  "messages of many bytes of DATA, each alone": () => ({
    first: upload,
    block: message(repeat(data(1), 4000)),
    bytes: 1e6
  }),
  "requests that are refused, and reset, while answers wait": () => ({
    first: Buffer.concat([...refusals()]),
    bytes: 0,
    deaf: true
  }),
  "a message of a thousand requests": () => ({ first: requests(1024, "/ping", false), last: lastPing, bytes: 0 }),
  "a message of requests that are reset": () => ({ first: requests(512, "/never", true), last: lastPing, bytes: 0 }),
  "a byte for each of a hundred echoes": () => ({
    first: uploads(100, "/echo"),
    block: byteEach(100, 1000),
    bytes: 5e5
  }),
  "requests in a message of megabytes": () => ({
    first: message(Buffer.from("GET /ping HTTP/1.1\r\nhost: a\r\n\r\n".repeat(580) + "\r\n".repeat(7.4e6)), 1),
    last: Buffer.alloc(0),
    bytes: 0
  }),
  "WebSocket pongs": () => ({ block: repeat(message(new Uint8Array(0), 10), 64 * 1024), bytes: 6e6 }),
  "empty messages": () => ({ block: repeat(message(new Uint8Array(0), 1), 64 * 1024), bytes: 6e6 }),
  "megabytes of blank lines in one message": () => ({
    block: message(repeat(Buffer.from("\r\n"), 15e6), 1),
    bytes: 6e7
  }),
  "a line of megabytes": () => ({ block: message(Buffer.alloc(15e6, "a"), 1), bytes: 6e7 }),
  "chunks of a byte": () => ({
    first: message(Buffer.from("POST /upload HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"), 1),
    block: message(repeat(Buffer.from("1\r\na\r\n"), 60_000), 1),
    bytes: 2e6
  }),
  "blank lines": () => ({ block: repeat(message(Buffer.from("\r\n"), 1), 64 * 1024), bytes: 6e6 }),
  "a reader without end": (wire) => ({ ...readers[wire], bytes: 3e8 }),
  "a reader that is killed": (wire) => ({ ...readers[wire], bytes: 2e7, dies: true })
}

const run = ({ attack, url, wire }: Attack, socket: Net.Socket): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const { block, bytes, deaf, dies, first, isCut, last } = plans[attack]!(wire)
    let isOver = false
    const over = () => {
      isOver = true
      if (dies === true) process.kill(process.pid, "SIGKILL")
      resume(Effect.void)
    }
    let count = 0
    const flood = () => {
      while (count < bytes) {
        count += block!.length
        if (!socket.write(block!)) return void socket.once("drain", flood)
      }
      over()
    }
    socket.on("error", (error) => {
      // The server drops who has said nonsense, perhaps before all of it has left.
      if (!isOver && last === undefined && isCut !== true) throw error
    })
    if (isCut === true) socket.once("close", () => isOver || over())
    const begin = () => {
      if (deaf === true) return void socket.pause().write(first!, () => setTimeout(over, 1000))
      if (first !== undefined) socket.write(first)
      if (last !== undefined) {
        const ended = () => isOver || over()
        socket.write(last)
        socket.once("close", ended)
        return void socket.on("data", (chunk) => chunk.includes(mark) && ended())
      }
      socket.on("data", (chunk) => {
        if (block !== undefined || count >= bytes) return
        count += chunk.length
        if (count >= bytes) over()
      })
      if (block !== undefined) flood()
    }
    dial(socket, url, wire, (isOpen) => {
      if (!isOpen) throw new Error("the attacker was refused")
      begin()
    })
  })

main(Effect.gen(function*() {
  while (true) {
    const attack = yield* hear<Attack>("attack")
    const socket = connect(attack.url)
    yield* run(attack, socket)
    yield* tell({ type: "over" })
    // The hub has told of its stalls by then.
    yield* hear("leave")
    socket.destroy()
  }
}))
