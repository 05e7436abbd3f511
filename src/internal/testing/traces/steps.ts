/**
 * The steps of a trace: each sends something, or waits for what the peer has to send.
 */
import * as Effect from "effect/Effect"
import { closeCodeOf, ErrorCode } from "../../frame/codes.ts"
import type { Decoded } from "../../frame/Frame.ts"
import type { Conversation } from "./conversation.ts"
import { type Deviation, deviation } from "./end.ts"
import type { Step } from "./model.ts"
import { filled, frameOf, matches, written } from "./values.ts"

type Json = Readonly<Record<string, unknown>>
type Run = Effect.Effect<void, Deviation>

/** The largest DATA that every peer takes. */
const maxData = 16_000

/** Frames that a peer may send whenever it likes; ACK besides, where there is a session. */
const unasked: ReadonlySet<string> = new Set(["Credit", "Ping", "Pong"])

const fromHex = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replaceAll(" ", ""), "hex"))

/** The next frame that a pattern describes. Others are wrong, but for those that come whenever they like. */
const expectFrame = (conversation: Conversation, pattern: Json): Effect.Effect<Decoded, Deviation> => {
  const wanted = filled(pattern, conversation.variables) as Json
  return conversation.end.take(`the frame ${JSON.stringify(wanted)}`, (event) => {
    if (event._tag !== "Frame") return undefined
    const { frame } = event
    if (frame._tag === "Credit" && frame.streamId === 0) conversation.credit += frame.increment
    if (matches(written(frame, conversation.role), wanted)) return frame
    return unasked.has(frame._tag) || (frame._tag === "Ack" && conversation.hasSession) ? "skip" : undefined
  })
}

/** A frame that a pattern describes, whatever frames come before. */
const expectLater = (conversation: Conversation, pattern: Json): Run => {
  const wanted = filled(pattern, conversation.variables) as Json
  return Effect.asVoid(conversation.end.take(`later the frame ${JSON.stringify(wanted)}`, (event) => {
    if (event._tag !== "Frame") return undefined
    return matches(written(event.frame, conversation.role), wanted) ? true : "skip"
  }))
}

const expectResponse = (
  conversation: Conversation,
  { body, bytes, status, stream }: {
    readonly stream: number
    readonly status: number
    readonly body?: string
    readonly bytes?: number
  }
): Run =>
  Effect.gen(function*() {
    const head = yield* expectFrame(conversation, { _tag: "Response", stream, status })
    let text = ""
    let isOver = head._tag === "Response" && head.end
    while (!isOver) {
      const frame = yield* expectFrame(conversation, { _tag: "Data", stream })
      if (frame._tag !== "Data") continue
      text += new TextDecoder("latin1").decode(frame.data)
      isOver = frame.end
    }
    if (body !== undefined && text !== body) {
      yield* deviation(`expected the body ${body}, received ${text.slice(0, 200)}`)
    }
    if (bytes !== undefined && text.length !== bytes) {
      yield* deviation(`expected ${bytes} bytes, received ${text.length}`)
    }
  })

/** A PING is answered before anything else is said. */
const quiet = (conversation: Conversation): Run => {
  const data = `quiet ${conversation.received.length}`
  conversation.end.frames([frameOf({ _tag: "Ping", data }, conversation.role)])
  return Effect.asVoid(expectFrame(conversation, { _tag: "Pong", data }))
}

/** So many bytes of a body, without its END, and then nothing more. */
const expectData = (conversation: Conversation, stream: number, bytes: number): Run =>
  Effect.gen(function*() {
    let count = 0
    while (count < bytes) {
      const frame = yield* expectFrame(conversation, { _tag: "Data", stream, end: false })
      if (frame._tag === "Data") count += frame.data.length
    }
    if (count > bytes) yield* deviation(`expected ${bytes} bytes of DATA, received ${count}`)
    yield* quiet(conversation)
  })

const open = (conversation: Conversation, target: string): number => {
  conversation.streams++
  conversation.end.frames([
    frameOf({ _tag: "Request", stream: conversation.streams, target }, conversation.role)
  ])
  return conversation.streams
}

/** Streams that traces number themselves begin with 1; others are out of their way. */
const aliveStreams = 1000

const alive = (conversation: Conversation): Run =>
  Effect.suspend(() => {
    conversation.streams = Math.max(conversation.streams, aliveStreams)
    const stream = open(conversation, "/ping")
    return expectResponse(conversation, { stream, status: 200, body: "pong" })
  })

/** Sends bytes of a body as the credit of the connection allows, whatever the peer does with them. */
const sendBody = (conversation: Conversation, stream: number, bytes: number): Run =>
  Effect.gen(function*() {
    for (let left = bytes; left > 0;) {
      while (conversation.credit <= 0) yield* expectFrame(conversation, { _tag: "Credit", streamId: 0 })
      const size = Math.min(left, maxData, conversation.credit)
      conversation.credit -= size
      left -= size
      conversation.end.frames([frameOf({ _tag: "Data", stream, data: size }, conversation.role)])
    }
  })

/** As many requests as the peer allows, and one more, which it refuses. */
const requestsBeyondLimit = (conversation: Conversation, target: string): Run =>
  Effect.suspend(() => {
    const limit = Number(conversation.variables.limit)
    for (let index = 0; index < limit; index++) open(conversation, target)
    const stream = open(conversation, target)
    return Effect.asVoid(expectFrame(conversation, { _tag: "Reset", stream, code: "REFUSED_STREAM" }))
  })

const expectClose = (conversation: Conversation, codes: ReadonlyArray<number>, without?: string): Run =>
  conversation.end.take(`the close ${codes.join(" or ")}`, (event) => {
    if (event._tag === "Frame" && event.frame._tag === without) return undefined
    return event._tag !== "Close" ? "skip" : codes.includes(event.code) ? true : undefined
  }).pipe(Effect.asVoid)

/** GOAWAY with the code and the close that belongs to it; or the close of a WebSocket library alone. */
const expectError = (conversation: Conversation, code: keyof typeof ErrorCode, orClose?: number): Run =>
  Effect.gen(function*() {
    const found = yield* conversation.end.take(`GOAWAY ${code}`, (event) => {
      if (event._tag === "Close") return event.code === orClose ? "closed" : undefined
      if (event._tag !== "Frame" || event.frame._tag !== "GoAway") return "skip"
      return event.frame.code === ErrorCode[code] ? "told" : undefined
    })
    if (found === "told") yield* expectClose(conversation, [closeCodeOf(ErrorCode[code])])
  })

/** The next counted messages are those that the peer has sent before, byte for byte. */
const expectReplay = (conversation: Conversation, count: number): Run =>
  Effect.gen(function*() {
    const { kept: from, seen } = conversation
    for (let index = 0; index < count; index++) {
      while (conversation.received.length <= from + index) {
        yield* conversation.end.take(
          "a message that is sent again",
          (event) => event._tag === "Frame" ? true : undefined
        )
      }
      const again = Buffer.from(conversation.received[from + index]!).toString("hex")
      const first = Buffer.from(seen[from + index] ?? []).toString("hex")
      if (again !== first) yield* deviation(`expected the message ${first} again, received ${again}`)
    }
    conversation.end.skip()
  })

/** Sends frames in one message, several times over where the step says so. */
const sendFrames = (conversation: Conversation, frames: ReadonlyArray<Json>, times: number): void => {
  const filledFrames = filled(frames, conversation.variables) as ReadonlyArray<Json>
  const one = filledFrames.map((frame) => frameOf(frame, conversation.role))
  conversation.end.frames(Array.from({ length: times }, () => one).flat())
}

/** Runs one step. @internal */
export const runStep = (conversation: Conversation, step: Step): Run => {
  if ("open" in step) return Effect.asVoid(conversation.open)
  if ("handshake" in step) return conversation.handshake(step.handshake)
  if ("resume" in step) return conversation.resume(step.resume, step.members ?? {}, step.ready ?? true)
  if ("text" in step) {
    const value = filled(step.text, conversation.variables)
    return Effect.sync(() => conversation.end.send(typeof value === "string" ? value : JSON.stringify(value)))
  }
  if ("binary" in step) {
    const bytes = fromHex(step.binary.repeat(step.times ?? 1))
    return Effect.sync(() => conversation.end.send(bytes))
  }
  if ("frames" in step) return Effect.sync(() => sendFrames(conversation, step.frames, step.times ?? 1))
  if ("body" in step) return sendBody(conversation, step.body.stream, step.body.bytes)
  if ("requestsBeyondLimit" in step) return requestsBeyondLimit(conversation, step.requestsBeyondLimit)
  if ("close" in step) return Effect.sync(() => conversation.end.webSocket.close(step.close))
  if ("drop" in step) return Effect.sync(() => conversation.end.webSocket.terminate())
  return runExpectation(conversation, step)
}

const runExpectation = (conversation: Conversation, step: Step): Run => {
  if ("expectText" in step) {
    return Effect.map(conversation.text(step.expectText), (said) => {
      if (said.type === "welcome") conversation.said = said
    })
  }
  if ("expectLater" in step) return expectLater(conversation, step.expectLater)
  if ("expectFrame" in step) return Effect.asVoid(expectFrame(conversation, step.expectFrame))
  if ("expectResponse" in step) return expectResponse(conversation, step.expectResponse)
  if ("expectData" in step) return expectData(conversation, step.expectData.stream, step.expectData.bytes)
  if ("expectReset" in step) return Effect.asVoid(expectFrame(conversation, { _tag: "Reset", ...step.expectReset }))
  if ("expectError" in step) return expectError(conversation, step.expectError, step.orClose)
  if ("expectClose" in step) return expectClose(conversation, step.expectClose, step.without)
  if ("expectReplay" in step) return expectReplay(conversation, step.expectReplay)
  if ("expectHello" in step) {
    return Effect.flatMap(
      conversation.open,
      () => Effect.asVoid(conversation.text({ type: "hello", ...step.expectHello }))
    )
  }
  if ("quiet" in step) return quiet(conversation)
  return alive(conversation)
}
