/**
 * A peer that does what it is told, right or wrong: a bare WebSocket with wire v2 in the hands of the test.
 *
 * Every wait has a limit, and fails with what was received instead.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import type * as Net from "node:net"
import * as WS from "ws"
import { ErrorCode, errorCodeName } from "../../src/internal/frame/codes.ts"
import { Decoder } from "../../src/internal/frame/decoder.ts"
import { Encoder } from "../../src/internal/frame/encoder.ts"
import type { Decoded, Frame } from "../../src/internal/frame/Frame.ts"
import { type Code, concat, type Fields, hex, ping, request } from "./frames.ts"
import { limit } from "./waiting.ts"

export const subprotocol = "swaggersocket.v2"

export type Received =
  | { readonly _tag: "Text"; readonly text: string }
  | { readonly _tag: "Frame"; readonly frame: Decoded }
  | { readonly _tag: "Close"; readonly code: number; readonly reason: string }

export interface Response {
  readonly status: number
  readonly fields: Fields
  readonly body: Uint8Array
}

const describeFrame = (frame: Decoded): string => {
  const { _tag, ...members } = frame
  return `${_tag} ${
    JSON.stringify(members, (_key, value: unknown) => value instanceof Uint8Array ? `${value.length} bytes` : value)
  }`
}

const describe = (event: Received): string => {
  switch (event._tag) {
    case "Text":
      return `the text ${event.text.slice(0, 200)}`
    case "Frame":
      return describeFrame(event.frame)
    case "Close":
      return `the close ${event.code} "${event.reason}"`
  }
}

// --- the peer -------------------------------------------------------------------------------------------------------

const generous = { maxMessageSize: 1 << 24, maxFrameSize: 1 << 24, maxHeadSize: 1 << 20, headTableSize: 4096 }

export class RawPeer {
  readonly ws: WS.WebSocket
  /** Answer PING, as a healthy peer does. */
  answersPings = true
  /** Everything received, taken or not. */
  readonly log: Array<Received> = []
  private encoder = new Encoder(4096)
  private readonly decoder = new Decoder(generous, true)
  private readonly queue: Array<Received> = []
  private waiter: (() => void) | undefined = undefined

  constructor(ws: WS.WebSocket) {
    this.ws = ws
    ws.on("error", () => {})
    ws.on("message", (message: WS.RawData, isBinary: boolean) => {
      const whole = message as Buffer
      if (!isBinary) return this.push({ _tag: "Text", text: whole.toString() })
      const violation = this.decoder.decode(Uint8Array.from(whole), (frame) => {
        if (frame._tag === "Ping" && this.answersPings) this.sendNow({ _tag: "Pong", data: frame.data })
        this.push({ _tag: "Frame", frame })
        return undefined
      })
      if (violation !== undefined) {
        this.push({ _tag: "Text", text: `a message that can't be decoded: ${violation.reason}` })
      }
    })
    ws.on("close", (code, reason) => this.push({ _tag: "Close", code, reason: reason.toString() }))
  }

  private push(event: Received): void {
    this.log.push(event)
    this.queue.push(event)
    const waiter = this.waiter
    this.waiter = undefined
    waiter?.()
  }

  /** The TCP socket below. */
  get tcp(): Net.Socket {
    return (this.ws as unknown as { readonly _socket: Net.Socket })._socket
  }

  // --- sending ------------------------------------------------------------------------------------------------------

  /** Frames, in one message. */
  encode(...frames: ReadonlyArray<Frame>): Uint8Array {
    for (const frame of frames) this.encoder.frame(frame)
    return this.encoder.take()
  }

  sendNow(...frames: ReadonlyArray<Frame>): void {
    if (this.ws.readyState === this.ws.OPEN) this.ws.send(this.encode(...frames))
  }

  /** Frames, in one message, as they are. */
  sendFrames(...frames: ReadonlyArray<Frame>): Effect.Effect<void> {
    return Effect.suspend(() => this.send(this.encode(...frames)))
  }

  /** A message, binary or text; done once the operating system has it. */
  send(message: Uint8Array | string): Effect.Effect<void> {
    return Effect.callback((resume) => {
      this.ws.send(message, () => resume(Effect.void))
    })
  }

  sendHex(text: string): Effect.Effect<void> {
    return this.send(hex(text))
  }

  /** Bytes below the WebSocket, masked by nobody. */
  sendTcp(part: Uint8Array): Effect.Effect<void> {
    return Effect.callback((resume) => {
      this.tcp.write(part, () => resume(Effect.void))
    })
  }

  /** Cuts the connection with a TCP reset. */
  readonly resetTcp: Effect.Effect<void> = Effect.sync(() => {
    this.tcp.resetAndDestroy()
  })

  close(code?: number, reason?: string): Effect.Effect<void> {
    return Effect.sync(() => this.ws.close(code, reason))
  }

  // --- receiving ----------------------------------------------------------------------------------------------------

  /**
   * Takes events until `pick` answers something for one: `"skip"` passes it over, `undefined` is the wrong event.
   */
  take<A>(what: string, pick: (event: Received) => A | "skip" | undefined, millis = limit): Effect.Effect<A> {
    return Effect.callback<A>((resume) => {
      const failed = (instead: string) => {
        const log = this.log.slice(-12).map(describe).join("\n  ")
        resume(Effect.die(new Error(`expected ${what}, ${instead}; received so far:\n  ${log || "nothing"}`)))
      }
      const timer = setTimeout(() => {
        this.waiter = undefined
        failed(`which did not come within ${millis} ms`)
      }, millis)
      const next = () => {
        while (this.queue.length > 0) {
          const event = this.queue.shift()!
          const picked = pick(event)
          if (picked === "skip") continue
          clearTimeout(timer)
          if (picked === undefined) return failed(`received ${describe(event)}`)
          return resume(Effect.succeed(picked))
        }
        this.waiter = next
      }
      next()
      return Effect.sync(() => {
        clearTimeout(timer)
        this.waiter = undefined
      })
    })
  }

  /** The next frame but for CREDIT and PING, which come whenever they like. */
  readonly nextFrame: Effect.Effect<Decoded> = this.take(
    "a frame",
    (event) =>
      event._tag !== "Frame" ? undefined : event.frame._tag === "Credit" || event.frame._tag === "Ping"
        ? "skip"
        : event.frame
  )

  /** The next frame of a kind; others before it are passed over. */
  expectFrame<Tag extends Decoded["_tag"]>(
    tag: Tag,
    streamId?: number
  ): Effect.Effect<Extract<Decoded, { readonly _tag: Tag }>> {
    return this.take(`a ${tag}${streamId === undefined ? "" : ` on stream ${streamId}`}`, (event) => {
      if (event._tag !== "Frame") return undefined
      const { frame } = event
      return frame._tag === tag && (streamId === undefined || ("streamId" in frame && frame.streamId === streamId))
        ? frame as Extract<Decoded, { readonly _tag: Tag }>
        : "skip"
    })
  }

  /** Text of the handshake, as JSON. */
  expectText<Type extends string>(type: Type): Effect.Effect<{ readonly [member: string]: unknown }> {
    return this.take(`the text message ${type}`, (event) => {
      if (event._tag !== "Text") return undefined
      const message: unknown = JSON.parse(event.text)
      return Predicate.hasProperty(message, "type") && message.type === type
        ? message as { readonly [member: string]: unknown }
        : undefined
    })
  }

  /** A GOAWAY with this code, behind whatever else was under way. */
  expectGoAway(code: Code): Effect.Effect<Extract<Decoded, { readonly _tag: "GoAway" }>> {
    return this.take(
      `GOAWAY ${code} (${ErrorCode[code]})`,
      (event) =>
        event._tag !== "Frame"
          ? undefined
          : event.frame._tag !== "GoAway"
          ? "skip"
          : event.frame.code === ErrorCode[code]
          ? event.frame
          : undefined
    )
  }

  /** The end of the link with one of these codes. */
  expectClose(...codes: ReadonlyArray<number>): Effect.Effect<Extract<Received, { readonly _tag: "Close" }>> {
    return this.take(
      `the close ${codes.join(" or ")}`,
      (event) => event._tag !== "Close" ? "skip" : codes.includes(event.code) ? event : undefined
    )
  }

  /** A connection error: GOAWAY with the code, and the close that belongs to it. */
  expectConnectionError(code: Code): Effect.Effect<Extract<Decoded, { readonly _tag: "GoAway" }>> {
    return Effect.tap(this.expectGoAway(code), () => this.expectClose(4000 + ErrorCode[code]))
  }

  /** A stream error: RESET with this code; no other RESET, and no RESPONSE, comes on the stream before it. */
  expectReset(streamId: number, code: Code): Effect.Effect<void> {
    return this.take(`RESET ${streamId} ${code} (${ErrorCode[code]})`, (event) => {
      if (event._tag !== "Frame") return undefined
      const { frame } = event
      if (frame._tag === "GoAway") return undefined
      if (!("streamId" in frame) || frame.streamId !== streamId) return "skip"
      if (frame._tag !== "Reset" && frame._tag !== "Response") return "skip"
      return frame._tag === "Reset" && errorCodeName(frame.code) === code ? true : undefined
    })
  }

  /** The whole response of a stream. */
  expectResponse(streamId: number): Effect.Effect<Response> {
    const parts: Array<Uint8Array> = []
    let head: Extract<Decoded, { readonly _tag: "Response" }> | undefined = undefined
    return this.take(`a response on stream ${streamId}`, (event): Response | "skip" | undefined => {
      if (event._tag !== "Frame") return undefined
      const { frame } = event
      if (!("streamId" in frame) || frame.streamId !== streamId || frame._tag === "Credit") return "skip"
      if (frame._tag === "Response" && head === undefined) head = frame
      else if (frame._tag === "Data" && head !== undefined) parts.push(frame.data)
      else return undefined
      return frame.end ? { status: head.status, fields: head.fields, body: concat(...parts) } : "skip"
    })
  }

  /** Nothing is reset and nothing closed: the connection still answers a PING, and a call on a stream of this id. */
  expectAlive(streamId?: number): Effect.Effect<void> {
    const mark = `alive ${this.log.length}`
    const pong = this.take("the PONG", (event) =>
      event._tag !== "Frame"
        ? undefined
        : event.frame._tag === "Pong" && Buffer.from(event.frame.data).toString() === mark
        ? true
        : "skip")
    return Effect.gen({ self: this }, function*() {
      yield* this.sendFrames(ping(mark))
      yield* pong
      if (streamId === undefined) return
      yield* this.sendFrames(request(streamId, "/ping"))
      const answer = yield* this.expectResponse(streamId)
      if (answer.status !== 200) return yield* Effect.die(new Error(`expected 200, received ${answer.status}`))
    })
  }

  /** A PING is answered, whatever else comes before. */
  expectAlivePassing(): Effect.Effect<void> {
    const mark = `alive ${this.log.length}`
    return Effect.andThen(
      this.sendFrames(ping(mark)),
      this.take("the PONG", (event) =>
        event._tag === "Close"
          ? undefined
          : event._tag === "Frame" && event.frame._tag === "Pong" && Buffer.from(event.frame.data).toString() === mark
          ? true
          : "skip")
    )
  }

  // --- the handshake ------------------------------------------------------------------------------------------------

  hello(members: Readonly<Record<string, unknown>> = {}): Effect.Effect<void> {
    return this.send(JSON.stringify({ type: "hello", version: 2, ...members }))
  }

  /** The client's side, as it should be. */
  handshake(
    members: Readonly<Record<string, unknown>> = {}
  ): Effect.Effect<{ readonly [member: string]: unknown }> {
    return Effect.gen({ self: this }, function*() {
      yield* this.hello(members)
      const welcome = yield* this.expectText("welcome")
      yield* this.send(`{"type":"ready"}`)
      return welcome
    })
  }

  /** The server's side, as it should be. */
  welcome(members: Readonly<Record<string, unknown>> = {}): Effect.Effect<{ readonly [member: string]: unknown }> {
    return Effect.gen({ self: this }, function*() {
      const hello = yield* this.expectText("hello")
      yield* this.send(
        JSON.stringify({ type: "welcome", version: 2, connectionId: crypto.randomUUID(), resumed: false, ...members })
      )
      yield* this.expectText("ready")
      return hello
    })
  }
}

export interface DialOptions {
  readonly protocols?: ReadonlyArray<string>
  readonly headers?: Readonly<Record<string, string>>
  readonly origin?: string
}

/** An open WebSocket to a server; a server that does not upgrade is an error that names the status. */
export const dial = (url: string, options: DialOptions = {}): Effect.Effect<RawPeer, Error, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<RawPeer, Error>((resume) => {
      const ws = new WS.WebSocket(url, [...options.protocols ?? [subprotocol]], {
        perMessageDeflate: false,
        handshakeTimeout: limit,
        ...(options.headers === undefined ? undefined : { headers: options.headers }),
        ...(options.origin === undefined ? undefined : { origin: options.origin })
      })
      const peer = new RawPeer(ws)
      ws.on("open", () => resume(Effect.succeed(peer)))
      ws.on("error", (error) => resume(Effect.fail(error)))
    }),
    (peer) => Effect.sync(() => peer.ws.terminate())
  )
