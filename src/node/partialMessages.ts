/**
 * Bounds a WebSocket message that is not complete: its fragments hold no more than their own bytes, and it has to go on
 * arriving.
 */
import type * as WS from "ws"

/** What is used of `ws`'s receiver, which its types leave out, and what is kept there. @internal */
export interface PartialMessage {
  /** Whether the frame that was read is the last one of its message. */
  readonly _fin: boolean
  readonly _fragments: Array<Buffer>
  /** The kind of a message of which a fragment has come; 0 for none. */
  readonly _fragmented: number
  /** What the parser waits for; 0 for a frame. */
  readonly _state: number
  readonly _bufferedBytes: number
  /** Bytes that it was given, and has not read yet. */
  readonly writableLength: number
  watched?: Watched | undefined
}

interface Watched {
  readonly ws: WS.WebSocket
  readonly timeout: number
  timer: ReturnType<typeof setTimeout> | undefined
  /** Messages that were complete, and bytes that had arrived. */
  messages: number
  bytes: number
  /** Those when the timer was set. */
  messagesThen: number
  bytesThen: number
}

/** Bytes of a message that have to arrive within the timeout, if the message is not complete by then. */
const progress = 64 * 1024

/** What a timer can count, in milliseconds. */
const longest = 2 ** 31 - 1

/** Fragments that a message may have, whatever its size; and the size of others on average. */
const fewFragments = 64
const fragmentSize = 1024

/** Parts in which a frame may arrive, whatever its size; and the size of others on average. */
const fewParts = 4096
const partSize = 256

/** Options of `ws` that bound what it keeps of a message of this size. @internal */
export const partialMessageOptions = (maxPayload: number) => ({
  maxFragments: fewFragments + Math.ceil(maxPayload / fragmentSize),
  maxBufferedChunks: fewParts + Math.ceil(maxPayload / partSize)
})

/** Watches the messages of a WebSocket; `timeout` in milliseconds. @internal */
export const watchMessages = (receiver: PartialMessage, ws: WS.WebSocket, timeout: number): void => {
  receiver.watched = {
    ws,
    timeout: Math.min(timeout, longest),
    timer: undefined,
    messages: 0,
    bytes: 0,
    messagesThen: 0,
    bytesThen: 0
  }
  ws.once("close", () => clearTimeout(receiver.watched?.timer))
}

const isPartial = (receiver: PartialMessage): boolean =>
  receiver._fragmented !== 0 || receiver._state !== 0 || receiver._bufferedBytes > 0

/** A part of the stream was read. @internal */
export const noteRead = (receiver: PartialMessage, bytes: number): void => {
  const { watched } = receiver
  if (watched === undefined) return
  watched.bytes += bytes
  if (watched.timer === undefined && isPartial(receiver)) startTimer(receiver, watched)
}

/** A frame of a message was read. @internal */
export const noteFrame = (receiver: PartialMessage): void => {
  if (receiver._fin) {
    if (receiver.watched !== undefined) receiver.watched.messages++
    return
  }
  const fragments = receiver._fragments
  const last = fragments.at(-1)
  // It is a part of what was read at once, pings and all: 64 KiB for a byte.
  if (last !== undefined && last.length * 2 < last.buffer.byteLength) {
    const copy = Buffer.allocUnsafeSlow(last.length)
    last.copy(copy)
    fragments[fragments.length - 1] = copy
  }
}

const startTimer = (receiver: PartialMessage, watched: Watched): void => {
  watched.messagesThen = watched.messages
  watched.bytesThen = watched.bytes
  // When this process was busy, what has arrived meanwhile is read before it is judged.
  watched.timer = setTimeout(() => setImmediate(() => judge(receiver, watched)), watched.timeout)
  watched.timer.unref()
}

const judge = (receiver: PartialMessage, watched: Watched): void => {
  const { messages, timeout, ws } = watched
  watched.timer = undefined
  if (ws.readyState === ws.CLOSED || !isPartial(receiver)) return
  // This end may be what does not read on.
  const isMoving = messages !== watched.messagesThen || watched.bytes - watched.bytesThen >= progress ||
    ws.isPaused || receiver.writableLength > 0
  if (isMoving) return startTimer(receiver, watched)
  // First, so that whoever learns of the error says no goodbye, which would end more than the link.
  ws.terminate()
  if (ws.listenerCount("error") > 0) {
    ws.emit("error", new Error(`a message that has begun did not arrive within ${timeout} ms`))
  }
}
