/**
 * Counts the bytes that have arrived and were not read. Wire v1 has no credit: reading stops for all streams when they are too
 * many.
 */
import type { MuxStream } from "../streams/stream.ts"

const nothing = new Uint8Array(0)

/** @internal */
export class Unread {
  bytes = 0
  readonly #onLess: () => void

  constructor(onLess: () => void) {
    this.#onLess = onLess
  }

  /** Gives the handler a part of the body; answers what is wrong with it. */
  give(stream: MuxStream, data: Uint8Array): ReturnType<MuxStream["handler"]["onData"]> {
    if (stream.isClosed) return undefined
    stream.unread += data.length
    this.bytes += data.length
    return stream.handler.onData(data, false)
  }

  /** Tells the handler that the body is complete; answers what is wrong with it. */
  end(stream: MuxStream): ReturnType<MuxStream["handler"]["onData"]> {
    const ended = stream.state.endReceived
    if (ended === undefined) return undefined
    stream.state = ended
    return stream.handler.onData(nothing, true)
  }

  consumed(stream: MuxStream, bytes: number): void {
    if (bytes === 0 || stream.unread === 0) return
    stream.unread -= bytes
    this.bytes -= bytes
    this.#onLess()
  }

  /** Releases a body that will not be read, so that it delays nothing. */
  release(stream: MuxStream): void {
    this.bytes -= stream.unread
    stream.unread = 0
    this.#onLess()
  }

  /** Ends a stream before its time. */
  fail(stream: MuxStream, failure: Parameters<MuxStream["handler"]["onFailure"]>[0]): void {
    if (stream.isClosed) return
    stream.state = stream.state.closed
    stream.dropBuffered()
    this.release(stream)
    stream.handler.onFailure(failure)
  }
}
