/**
 * The receiver of `ws`, which unmasks faster, stops when the links have had their share of a turn of the event loop, and goes on in
 * the next turn. One read of a socket may bring thousands of messages, and Node reads up to 32 times in a row.
 */
import * as Predicate from "effect/Predicate"
import * as WS from "ws"
import { partials } from "../internal/link/platformSockets.ts"
import { eventLoop } from "../internal/scheduling/eventLoop.ts"
import { isTurnOver, isTurnOverAtStep, nextTurn, wasTurnOver } from "../internal/scheduling/turn.ts"
import { noteFrame, noteRead, partialBytes, watchMessages } from "./partialMessages.ts"
import { closeFrame, type FrameReceiver, mayReadWhole, readWhole, unmaskPayload } from "./receivedFrames.ts"

type Callback = (error?: Error) => void

/** The private members of the receiver of `ws` that are used here. */
interface Receiver extends FrameReceiver {
  /** Whether the parser goes on with the bytes that it has. */
  _loop: boolean
  /** The parser has failed, and reads nothing more. */
  _errored: boolean
  /** `since` is added here: when the bytes that are parsed had to wait for the first time. */
  startLoop(callback: Callback, since?: number): void
  _write(chunk: Uint8Array, encoding: string, callback: Callback, since?: number): void
  getData(callback: Callback): void
  dataMessage(callback: Callback): void
  controlMessage(data: Uint8Array, callback: Callback): void
}

const Base = Reflect.get(WS, "Receiver") as { readonly prototype: Receiver } | undefined

/** Absent for a version of `ws` with another receiver; then only the connections limit what they read in a turn. */
const prototype = Base !== undefined &&
    Predicate.isFunction(Base.prototype.startLoop) && Predicate.isFunction(Base.prototype.dataMessage) &&
    Predicate.isFunction(Base.prototype.controlMessage) && Predicate.isFunction(Base.prototype._write) &&
    Predicate.isFunction(Base.prototype.getData)
  ? timed(Base.prototype)
  : undefined

/** Joining and unmasking a message above this size, in bytes, takes long (a guess): it is handed on in the next turn. */
const large = 1024 * 1024

function timed(base: Receiver): object {
  const interrupted = new WeakSet<object>()
  const complete = new WeakSet<object>()
  /** Close frames that wait for their turn: answering one and closing the socket takes 0.1 ms (measured). */
  const goodbyes = new WeakMap<object, Uint8Array>()
  const sayGoodbye = (receiver: Receiver, data: Uint8Array, callback: Callback) => {
    isTurnOverAtStep()
    goodbyes.delete(receiver)
    base.controlMessage.call(receiver, data, callback)
    // Nothing may follow a close frame.
    if (!receiver._errored) callback()
  }
  const endTurn = (receiver: Receiver) => {
    if (!receiver._loop || !isTurnOver(0)) return
    receiver._loop = false
    interrupted.add(receiver)
  }
  return Object.create(base, {
    startLoop: {
      value(this: Receiver, callback: Callback, since?: number) {
        base.startLoop.call(this, (error) => {
          if (error !== undefined || !interrupted.delete(this)) return callback(error)
          const begun = since ?? eventLoop.now()
          nextTurn(() => {
            const goodbye = goodbyes.get(this)
            if (goodbye !== undefined) return sayGoodbye(this, goodbye, callback)
            if (complete.delete(this)) base.dataMessage.call(this, callback)
            if (!this._errored) this.startLoop(callback, begun)
          }, begun)
        })
      }
    },
    _write: {
      value(this: Receiver, chunk: Buffer, encoding: string, callback: Callback, since?: number) {
        const read = mayReadWhole(this) ? readWhole(this, chunk) : 0
        if (read > 0 && wasTurnOver()) {
          noteRead(this, read)
          const begun = since ?? eventLoop.now()
          const rest = chunk.subarray(read)
          return nextTurn(() => rest.length > 0 ? this._write(rest, encoding, callback, begun) : callback(), begun)
        }
        if (read < chunk.length) base._write.call(this, read > 0 ? chunk.subarray(read) : chunk, encoding, callback)
        else callback()
        noteRead(this, chunk.length)
      }
    },
    getData: {
      value(this: Receiver, callback: Callback) {
        unmaskPayload(this)
        base.getData.call(this, callback)
      }
    },
    dataMessage: {
      value(this: Receiver, callback: Callback) {
        noteFrame(this)
        if (this._loop && this._fin && this._messageLength > large) {
          this._loop = false
          complete.add(this)
          interrupted.add(this)
          return
        }
        base.dataMessage.call(this, callback)
        endTurn(this)
      }
    },
    controlMessage: {
      value(this: Receiver, data: Uint8Array, callback: Callback) {
        if (this._opcode === closeFrame && isTurnOverAtStep()) {
          this._loop = false
          interrupted.add(this)
          return void goodbyes.set(this, data)
        }
        base.controlMessage.call(this, data, callback)
        endTurn(this)
      }
    }
  })
}

/**
 * Limits what the receiver of a WebSocket does in one turn, and how long a message may take to arrive, in milliseconds.
 *
 * @internal
 */
export const limitReceiver = (ws: WS.WebSocket, messageTimeout: number): void => {
  const receiver: unknown = Reflect.get(ws, "_receiver")
  if (prototype === undefined || !Predicate.isObject(receiver)) return
  Object.setPrototypeOf(receiver, prototype)
  watchMessages(receiver as unknown as Receiver, ws, messageTimeout)
  partials.set(ws, () => partialBytes(receiver as unknown as Receiver))
}
