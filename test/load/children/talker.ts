/**
 * A peer that holds conversations at random, some of it right and much of it wrong:
 * `talker.ts <client|server> <v1|v2> <url of the server, or -> <seed> <seconds>`.
 *
 * As a server it tells its URL first. At the end it tells how many conversations there were.
 */
import * as Effect from "effect/Effect"
import type * as Net from "node:net"
import * as WS from "ws"
import { Decoder } from "../../../src/internal/frame/decoder.ts"
import { Encoder } from "../../../src/internal/frame/encoder.ts"
import type { Frame } from "../../../src/internal/frame/Frame.ts"
import { anyMessage } from "../../frame/messages.ts"
import { main, type Message, tell } from "../../support/child.ts"
import * as frames from "../../support/frames.ts"
import { Random } from "../../support/random.ts"
import { handshakeMessage, mutated, validRequest, validResponse } from "../../v1/mutations.ts"

export interface Listening extends Message {
  readonly type: "listening"
  readonly url: string
}

export interface Talked extends Message {
  readonly type: "talked"
  readonly conversations: number
  readonly messages: number
  readonly bytes: number
}

const [role, wire, url, seed, seconds] = process.argv.slice(2) as [
  "client" | "server",
  "v1" | "v2",
  string,
  string,
  string
]
const random = new Random(Number(seed))
const until = performance.now() + Number(seconds) * 1000
const told = { conversations: 0, messages: 0, bytes: 0 }

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

const generous = { maxMessageSize: 1 << 24, maxFrameSize: 1 << 24, maxHeadSize: 1 << 20, headTableSize: 4096 }
const targets = ["/ping", "/empty", "/echo", "/length", "/headers", "/never", "/endless", "/heavy", "/nowhere"]

/** The sessions that were offered, to come back to. */
const sessions: Array<{ readonly connectionId: string; readonly token: string; readonly epoch: string }> = []

/** One side of a conversation. */
class Talker {
  readonly ws: WS.WebSocket
  #encoder = new Encoder(4096)
  readonly #decoder = new Decoder(generous)
  #nextId = role === "client" ? 1 : 2
  /** Streams that may be open, of either end. */
  readonly #open: Array<number> = []
  /** Requests of the peer that have no answer yet. */
  readonly #asked: Array<number> = []
  #counted = 0
  /** Texts of the peer that were not looked at. */
  readonly texts: Array<string> = []
  /** Whether the next messages are for the handshake. */
  shakesHands = true

  constructor(ws: WS.WebSocket) {
    this.ws = ws
    ws.on("error", () => {})
    ws.on("message", (message: WS.RawData, isBinary) => {
      const bytes = message as Buffer
      if (!isBinary) return this.texts.push(bytes.toString())
      this.#counted++
      this.#decoder.decode(Uint8Array.from(bytes), (frame) => {
        if (frame._tag === "Request") this.#asked.push(frame.streamId)
        if (this.#asked.length > 200) this.#asked.shift()
        return undefined
      })
      return undefined
    })
  }

  get isOpen(): boolean {
    return this.ws.readyState === this.ws.OPEN
  }

  send(message: Uint8Array | string): void {
    if (!this.isOpen) return
    told.messages++
    told.bytes += message.length
    this.ws.send(message)
  }

  get #anyId(): number {
    return this.#open.length > 0 && random.chance(0.8)
      ? random.pick(this.#open)
      : random.pick([1, 2, 3, 4, 5, 101, this.#nextId, 2 ** 31 - 1])
  }

  #frame(): Frame {
    switch (random.int(12)) {
      case 0:
      case 1:
      case 2: {
        const id = this.#nextId
        this.#nextId += 2
        this.#open.push(id)
        if (this.#open.length > 120) this.#open.shift()
        return frames.request(id, random.pick(targets), {
          method: random.pick(["GET", "POST", "HEAD"]),
          end: random.chance(0.5),
          fields: random.chance(0.3) ? [["content-length", String(random.skewed(1000))]] : []
        })
      }
      case 3:
      case 4: {
        const id = this.#asked.shift()
        if (id === undefined) return frames.ping("x")
        if (random.chance(0.7)) this.#open.push(id)
        return frames.response(id, random.pick([200, 204, 304, 404, 500]), { end: random.chance(0.5) })
      }
      case 5:
      case 6:
        return frames.data(this.#anyId, "x".repeat(random.skewed(16384)), random.chance(0.3))
      case 7:
        return frames.data(this.#anyId, "", random.chance(0.3))
      case 8:
        return frames.reset(this.#anyId, random.pick(["CANCELLED", "INTERNAL_ERROR", "REFUSED_STREAM"]))
      case 9:
        return frames.credit(
          random.chance(0.5) ? 0 : this.#anyId,
          random.pick([1, 100, 16384, 2 ** 20, 2 ** 31 - 1])
        )
      case 10:
        return frames.ping("p".repeat(random.int(100)))
      default:
        return random.chance(0.1)
          ? frames.goAway(random.int(20), random.pick(["NO_ERROR", "NO_ERROR", "PROTOCOL_ERROR"]), "going")
          : { _tag: "Ack", received: random.chance(0.9) ? this.#counted : random.int(2 ** 31) }
    }
  }

  /** A message of wire v2. */
  #message(wild: number): Uint8Array {
    if (random.chance(wild)) return anyMessage(random, wild, 0)
    // Now and then the same again and again.
    const times = random.chance(0.05) ? random.pick([100, 1000, 3000]) : 1
    const some = Array.from({ length: 1 + random.skewed(10) }, () => this.#frame())
    const repeated = times > 1 ? Array.from({ length: times }, () => some[0]!) : some
    for (const frame of repeated) this.#encoder.frame(frame)
    return this.#encoder.take()
  }

  /** What comes next, on either wire. */
  next(wild: number): Uint8Array | string {
    if (wire === "v2") return this.#message(wild)
    const requestOrAnswer = () => {
      const asked = this.texts.shift()
      if (random.chance(0.5)) return validRequest(random)
      const [, method = "GET"] = /^([A-Z]+) /.exec(asked ?? "") ?? []
      return validResponse(random, method, /^x-correlation-id: (.*)\r$/im.exec(asked ?? "")?.[1])
    }
    const message = mutated(random, requestOrAnswer, wild)
    return random.chance(0.02) ? "\r\n".repeat(random.skewed(20_000)) : message
  }

  handshake(): void {
    const wild = random.chance(0.15)
    if (wire === "v1") {
      const own = role === "client" ? ["meta", "ack"] : ["id"]
      for (const kind of own) {
        this.send(
          wild ? mutated(random, () => handshakeMessage(random, [kind]), 0.5) : handshakeMessage(random, [kind])
        )
      }
      return
    }
    const text = (value: unknown) => {
      const json = JSON.stringify(value)
      return wild && random.chance(0.5) ? json.slice(0, random.int(json.length)) : json
    }
    const session = random.chance(0.7)
      ? { windowMillis: 60_000, replayBuffer: random.pick([32768, 4194304]) }
      : undefined
    if (role === "client") {
      const resume = sessions.length > 0 && random.chance(0.3)
        ? { ...random.pick(sessions), received: random.int(30) }
        : undefined
      this.send(text({ type: "hello", version: 2, metadata: null, session, resume }))
      this.send(text({ type: "ready" }))
    } else {
      this.send(text({
        type: "welcome",
        version: 2,
        connectionId: crypto.randomUUID(),
        resumed: random.chance(0.1),
        session: session && { ...session, token: "t".repeat(43), epoch: "e", received: 0 }
      }))
    }
  }

  /** Keeps what a welcome says, so that another link may go on with it. */
  remember(): void {
    for (const text of this.texts.splice(0)) {
      try {
        const { connectionId, session } = JSON.parse(text)
        if (session?.token === undefined) continue
        sessions.push({ connectionId, token: session.token, epoch: session.epoch })
        if (sessions.length > 50) sessions.shift()
      } catch {
        // A text of wire v1.
      }
    }
  }

  end(): void {
    const tcp = (this.ws as unknown as { readonly _socket: Net.Socket | null })._socket
    switch (random.int(4)) {
      case 0:
        return this.ws.close(random.pick([1000, 1001, 4000, 4001, 4015, 4100, 4109]), "done")
      case 1:
        return void tcp?.resetAndDestroy()
      case 2:
        return this.ws.terminate()
      default:
        // Says nothing more for a while.
        return void setTimeout(() => this.ws.terminate(), random.int(3000))
    }
  }
}

const talk = async (ws: WS.WebSocket) => {
  told.conversations++
  const talker = new Talker(ws)
  const wild = random.pick([0, 0, 0.02, 0.2])
  talker.handshake()
  for (let left = random.skewed(400); left > 0 && talker.isOpen && performance.now() < until; left--) {
    if (random.chance(0.01)) ws.pause()
    else if (random.chance(0.02)) ws.resume()
    talker.send(talker.next(wild))
    if (random.chance(0.3) || ws.bufferedAmount > 1024 * 1024) await turn()
    if (wire === "v2" && role === "client") talker.remember()
  }
  talker.end()
}

const dial = () =>
  new Promise<void>((resolve) => {
    const ws = new WS.WebSocket(url, wire === "v2" ? ["swaggersocket.v2"] : [], { perMessageDeflate: false })
    ws.on("error", () => resolve())
    ws.on("close", () => resolve())
    ws.on("open", () => void talk(ws).then(resolve))
  })

const callers = 4

main(Effect.gen(function*() {
  if (role === "client") {
    yield* Effect.promise(() =>
      Promise.all(Array.from({ length: callers }, async () => {
        while (performance.now() < until) {
          await dial()
          await turn()
        }
      }))
    )
  } else {
    const server = new WS.WebSocketServer({
      port: 0,
      host: "127.0.0.1",
      perMessageDeflate: false,
      handleProtocols: (offered) => [...offered][0] ?? false
    })
    yield* Effect.promise(() => new Promise((resolve) => server.once("listening", resolve)))
    server.on("connection", (ws) => void talk(ws))
    yield* tell<Listening>({
      type: "listening",
      url: `ws://127.0.0.1:${(server.address() as Net.AddressInfo).port}/socket`
    })
    yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, Math.max(0, until - performance.now()))))
  }
  yield* tell<Talked>({ type: "talked", ...told })
}))
