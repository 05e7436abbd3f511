/**
 * Bounds for a WebSocket message that is not complete: its fragments hold no more memory than their own bytes, and the
 * message must go on arriving.
 */
import type * as WS from "ws"

/** The private members of the receiver of `ws` that are used here, and one that is added. @internal */
export interface PartialMessage {
  /** Whether the frame that was read is the last one of its message. */
  readonly _fin: boolean
  readonly _fragments: Array<Buffer>
  /** The opcode of the message whose fragments arrive; 0 if none does. */
  readonly _fragmented: number
  /** The state of the parser; 0 between frames. */
  readonly _state: number
  readonly _bufferedBytes: number
  /** Bytes of the fragments that have arrived. */
  readonly _messageLength: number
  /** Bytes that wait to be parsed. */
  readonly writableLength: number
  watched?: Watched | undefined
}

interface Watched {
  readonly ws: WS.WebSocket
  readonly timeout: number
  timer: ReturnType<typeof setTimeout> | undefined
  /** Complete messages, and bytes, that have arrived so far. */
  messages: number
  bytes: number
  /** The same at the time when the timer was set. */
  messagesThen: number
  bytesThen: number
}

/** A message that is not complete at the timeout must have grown by this many bytes. */
const progress = 64 * 1024

/** The longest delay of a timer, in milliseconds. */
const longest = 2 ** 31 - 1

/** Any message may have this many fragments; beyond that they must have this size on average. Both are guesses. */
const fewFragments = 64
const fragmentSize = 1024

/** Any frame may arrive in this many parts; beyond that they must have this size on average. Both are guesses. */
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

/** Bytes that are kept of a message that has begun to arrive. @internal */
export const partialBytes = (receiver: PartialMessage): number =>
  receiver._messageLength + receiver._bufferedBytes + receiver.writableLength

/** Counts bytes that were read, and starts the timer when a message is incomplete. @internal */
export const noteRead = (receiver: PartialMessage, bytes: number): void => {
  const { watched } = receiver
  if (watched === undefined) return
  watched.bytes += bytes
  if (watched.timer === undefined && isPartial(receiver)) startTimer(receiver, watched)
}

/** Counts a message that is complete, and keeps a fragment in no more memory than it needs. @internal */
export const noteFrame = (receiver: PartialMessage): void => {
  if (receiver._fin) {
    if (receiver.watched !== undefined) receiver.watched.messages++
    return
  }
  const fragments = receiver._fragments
  const last = fragments.at(-1)
  // A fragment is a view of the whole buffer that was read from the socket: a byte could keep 64 KiB.
  if (last !== undefined && last.length * 2 < last.buffer.byteLength) {
    const copy = Buffer.allocUnsafeSlow(last.length)
    last.copy(copy)
    fragments[fragments.length - 1] = copy
  }
}

const startTimer = (receiver: PartialMessage, watched: Watched): void => {
  watched.messagesThen = watched.messages
  watched.bytesThen = watched.bytes
  // If this process was busy, bytes have arrived that were not read yet: `setImmediate` lets them be read first.
  watched.timer = setTimeout(() => setImmediate(() => judge(receiver, watched)), watched.timeout)
  watched.timer.unref()
}

const judge = (receiver: PartialMessage, watched: Watched): void => {
  const { messages, timeout, ws } = watched
  watched.timer = undefined
  if (ws.readyState === ws.CLOSED || !isPartial(receiver)) return
  // If this end does not read, the peer is not to blame.
  const isMoving = messages !== watched.messagesThen || watched.bytes - watched.bytesThen >= progress ||
    ws.isPaused || receiver.writableLength > 0
  if (isMoving) return startTimer(receiver, watched)
  // Before the error is emitted: its listener would otherwise send a close frame, which ends the connection and not
  // just the link.
  ws.terminate()
  if (ws.listenerCount("error") > 0) {
    ws.emit("error", new Error(`a message that has begun did not arrive within ${timeout} ms (messageTimeout)`))
  }
}
