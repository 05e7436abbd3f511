/**
 * The runner's end of one link: a WebSocket whose frames are read and written by hand. Every wait has a limit, and fails with what was
 * received instead.
 */
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as WS from "ws"
import { Decoder } from "../../frame/decoder.ts"
import { Encoder } from "../../frame/encoder.ts"
import type { Decoded, Frame } from "../../frame/Frame.ts"
import { isLinkMessage } from "../../session/session.ts"

/** A peer does not do what a trace says. @internal */
export class Deviation extends Data.TaggedError("Deviation")<{ readonly message: string }> {}

/** @internal */
export const deviation = (message: string): Effect.Effect<never, Deviation> => Effect.fail(new Deviation({ message }))

/** @internal */
export type Received =
  | { readonly _tag: "Text"; readonly text: string }
  | { readonly _tag: "Frame"; readonly frame: Decoded }
  | { readonly _tag: "Close"; readonly code: number }

/** How long a peer may take for what it has to do at once. A guess, for peers on slow machines. @internal */
export const patience: Duration.Input = "5 seconds"

/** More than any peer of a trace sends. */
const generous = { maxMessageSize: 1 << 24, maxFrameSize: 1 << 24, maxHeadSize: 1 << 20, headTableSize: 0 }

/** Heads refer to heads before them, but not with tables of no bytes: so a codec serves several links. */
const encoder = new Encoder(0)

const describe = (event: Received): string => {
  switch (event._tag) {
    case "Text":
      return `the text ${event.text.slice(0, 200)}`
    case "Close":
      return `the close ${event.code}`
    case "Frame":
      return JSON.stringify(
        event.frame,
        (_key, value: unknown) => value instanceof Uint8Array ? `${value.length} bytes` : value
      )
  }
}

/** @internal */
export class End {
  readonly webSocket: WS.WebSocket
  /** Counted messages that were received and sent on this link, as they were. */
  readonly received: Array<Uint8Array> = []
  readonly sent: Array<Uint8Array> = []
  /** Where there is a session: how many messages an ACK says that were received. */
  acknowledged: (() => number) | undefined
  readonly #decoder = new Decoder(generous, true)
  readonly #queue: Array<Received> = []
  readonly #log: Array<string> = []
  #waiter: (() => void) | undefined

  readonly #limit: Duration.Input

  constructor(webSocket: WS.WebSocket, limit: Duration.Input) {
    this.webSocket = webSocket
    this.#limit = limit
    webSocket.on("error", () => {})
    webSocket.on("message", (message: Buffer, isBinary: boolean) => {
      if (!isBinary) return this.#push([{ _tag: "Text", text: message.toString() }])
      const whole = Uint8Array.from(message)
      // Before its frames are told of, which may be what somebody waits for.
      if (whole.length > 0 && !isLinkMessage(whole)) this.received.push(whole)
      const events: Array<Received> = []
      const fault = this.#decoder.decode(whole, (frame) => {
        if (frame._tag === "Ping") this.#pong(frame.data)
        events.push({ _tag: "Frame", frame })
        return undefined
      })
      if (fault !== undefined) events.push({ _tag: "Text", text: `a message that can't be read: ${fault.reason}` })
      this.#push(events)
    })
    webSocket.on("close", (code) => this.#push([{ _tag: "Close", code }]))
  }

  #pong(data: Uint8Array): void {
    this.frames([{ _tag: "Pong", data }])
    if (this.acknowledged !== undefined) this.frames([{ _tag: "Ack", received: this.acknowledged() }])
  }

  #push(events: ReadonlyArray<Received>): void {
    this.#log.push(...events.map(describe))
    this.#queue.push(...events)
    const waiter = this.#waiter
    this.#waiter = undefined
    waiter?.()
  }

  /** Sends a message as it is. */
  send(message: Uint8Array | string): void {
    if (this.webSocket.readyState !== this.webSocket.OPEN) return
    if (typeof message !== "string" && message.length > 0 && !isLinkMessage(message)) this.sent.push(message)
    this.webSocket.send(message)
  }

  /** Sends frames in one message. */
  frames(frames: ReadonlyArray<Frame>): void {
    for (const frame of frames) encoder.frame(frame)
    this.send(Uint8Array.from(encoder.take()))
  }

  /** Passes over what has arrived. */
  skip(): void {
    this.#queue.length = 0
  }

  /** The next event of which `pick` answers something; `"skip"` passes one over, `undefined` is the wrong one. */
  take<A>(what: string, pick: (event: Received) => A | "skip" | undefined): Effect.Effect<A, Deviation> {
    const found = Effect.callback<A, Deviation>((resume) => {
      const next = (): void => {
        while (this.#queue.length > 0) {
          const event = this.#queue.shift()!
          const picked = pick(event)
          if (picked === "skip") continue
          return resume(picked === undefined ? this.#instead(what, describe(event)) : Effect.succeed(picked))
        }
        this.#waiter = next
      }
      next()
      return Effect.sync(() => {
        this.#waiter = undefined
      })
    })
    return Effect.timeoutOrElse(found, { duration: this.#limit, orElse: () => this.#instead(what, "nothing more") })
  }

  #instead(what: string, found: string): Effect.Effect<never, Deviation> {
    return deviation(`expected ${what}, received ${found}; all of it: ${this.#log.slice(-8).join(", ") || "nothing"}`)
  }
}
