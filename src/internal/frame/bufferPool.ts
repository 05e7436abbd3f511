/**
 * Buffers that are used again: messages are written to them, and the frames of WebSockets that mask.
 */

/** Large enough for a full message and the room that a writer asks for beyond it. @internal */
export const bufferSize = 20 * 1024
/** Larger messages are given away in the buffer that they were written to. @internal */
export const largeMessage = bufferSize / 2
/** Of all connections together: 5 MiB. */
const maxPooled = 256
/**
 * Buffers that messages are written to, of all connections together. New ones for each message are garbage that engines collect
 * late: with them a body costs its sender 1.6 times as much processor time.
 */
const pool: Array<Uint8Array<ArrayBuffer>> = []

/** A buffer of the pool, or a new one, of `bufferSize`; its bytes are those of an earlier message. @internal */
export const borrow = (): Uint8Array<ArrayBuffer> => pool.pop() ?? new Uint8Array(bufferSize)

/** Gives back the memory of a message that nobody needs any more, if it is a buffer of the pool. @internal */
export const recycle = (message: Uint8Array<ArrayBuffer>): void => {
  if (message.buffer.byteLength !== bufferSize || pool.length >= maxPooled) return
  pool.push(message.length === bufferSize ? message : new Uint8Array(message.buffer))
}
