/**
 * Buffers that messages are written to, of all connections together. They are garbage that engines collect soon: with new ones
 * a body costs its sender 1.6 times as much processor time.
 */

/** Large enough for a full message and the room that a writer asks for beyond it. */
const bufferSize = 20 * 1024

/** Larger messages are given away in the buffer that they were written to. @internal */
export const largeMessage = bufferSize / 2

/** Of all connections together: 5 MiB. */
const maxPooled = 256
const pool: Array<Uint8Array<ArrayBuffer>> = []

/** A buffer to write a message to. @internal */
export const takeBuffer = (): Uint8Array<ArrayBuffer> => pool.pop() ?? new Uint8Array(bufferSize)

/** Nobody needs a message any more: another may be written to its buffer, if that is one of the pool. @internal */
export const recycle = (message: Uint8Array<ArrayBuffer>): void => {
  if (message.buffer.byteLength === bufferSize && pool.length < maxPooled) pool.push(new Uint8Array(message.buffer))
}
