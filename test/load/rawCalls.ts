/**
 * Calls on a socket of TCP and little else, so that a process can make more of them than a hub can serve.
 */
import type * as Net from "node:net"
import { Decoder } from "../../src/internal/frame/decoder.ts"
import { Encoder } from "../../src/internal/frame/encoder.ts"
import * as ErrorCode from "../../src/internal/frame/ErrorCode.ts"
import type { Decoded } from "../../src/internal/frame/Frame.ts"
import * as Limits from "../../src/Limits.ts"
import { connect, dial, message } from "./rawClient.ts"

/** How a call has ended: with a status, refused, reset, or because its socket closed. */
export type Answer = number | "refused" | "reset" | "closed"

export interface RawCall {
  /** Gives the call up, as a caller does whose time is over. */
  readonly cancel: () => void
}

/** One connection, which queues calls beyond `maxConcurrentStreams` as every client has to. */
export class RawCalls {
  readonly socket: Net.Socket
  readonly #encoder = new Encoder(0)
  readonly #decoder = new Decoder(Limits.defaults)
  readonly #open = new Map<number, (answer: Answer) => void>()
  readonly #statuses = new Map<number, number>()
  readonly #waiting = new Set<{ readonly target: string; readonly done: (answer: Answer) => void; id: number }>()
  readonly #maxOpen: number
  #next = 1
  #isDue = false
  #rest: Buffer = Buffer.alloc(0)

  constructor(socket: Net.Socket, maxOpen: number) {
    this.socket = socket
    this.#maxOpen = maxOpen
    socket.on("data", (chunk) => this.#read(chunk))
    socket.on("close", () => {
      for (const done of this.#open.values()) done("closed")
      for (const { done } of this.#waiting) done("closed")
      this.#open.clear()
      this.#waiting.clear()
    })
  }

  static open(url: string, maxOpen = 100): Promise<RawCalls> {
    const socket = connect(url).on("error", () => {})
    return new Promise((resolve, reject) => {
      const done = (isOpen: boolean) =>
        isOpen ? resolve(new RawCalls(socket, maxOpen)) : reject(new Error("a caller was turned away"))
      dial(socket, url, "v2", done)
    })
  }

  get inProgress(): number {
    return this.#open.size + this.#waiting.size
  }

  call(target: string, done: (answer: Answer) => void): RawCall {
    if (this.socket.destroyed) {
      done("closed")
      return { cancel() {} }
    }
    const call = { target, done, id: 0 }
    this.#waiting.add(call)
    this.#send()
    return {
      cancel: () => {
        if (this.#waiting.delete(call) || !this.#open.delete(call.id)) return
        this.#statuses.delete(call.id)
        this.#encoder.frame({ _tag: "Reset", streamId: call.id, code: ErrorCode.CANCELLED, reason: "" })
        this.#send()
      }
    }
  }

  #send(): void {
    for (const call of this.#waiting) {
      if (this.#open.size >= this.#maxOpen) break
      this.#waiting.delete(call)
      call.id = this.#next
      this.#next += 2
      this.#open.set(call.id, call.done)
      this.#encoder.request(call.id, true, "GET", call.target, [["host", "hub"]])
    }
    if (this.#isDue || this.#encoder.length === 0) return
    this.#isDue = true
    queueMicrotask(() => {
      this.#isDue = false
      this.socket.write(message(this.#encoder.take()))
    })
  }

  #read(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    while (this.#rest.length >= 2) {
      const short = this.#rest[1]!
      const head = short < 126 ? 2 : short === 126 ? 4 : 10
      if (this.#rest.length < head) return
      const size = short < 126
        ? short
        : short === 126
        ? this.#rest.readUInt16BE(2)
        : Number(this.#rest.readBigUInt64BE(2))
      if (this.#rest.length < head + size) return
      const payload = this.#rest.subarray(head, head + size)
      const isBinary = (this.#rest[0]! & 15) === 2
      this.#rest = this.#rest.subarray(head + size)
      if (isBinary) this.#decoder.decode(payload, this.#onFrame)
    }
  }

  readonly #onFrame = (frame: Decoded): undefined => {
    if (frame._tag === "Response") {
      if (frame.end) this.#end(frame.streamId, frame.status)
      else this.#statuses.set(frame.streamId, frame.status)
    } else if (frame._tag === "Data" && frame.end) {
      this.#end(frame.streamId, this.#statuses.get(frame.streamId) ?? 0)
    } else if (frame._tag === "Reset") {
      this.#end(frame.streamId, frame.code === ErrorCode.REFUSED_STREAM ? "refused" : "reset")
    } else if (frame._tag === "Ping") {
      this.#encoder.frame({ _tag: "Pong", data: frame.data })
      this.#send()
    }
    return undefined
  }

  #end(streamId: number, answer: Answer): void {
    const done = this.#open.get(streamId)
    this.#open.delete(streamId)
    this.#statuses.delete(streamId)
    done?.(answer)
    this.#send()
  }
}
