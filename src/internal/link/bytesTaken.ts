/**
 * How much of what was written to a socket the operating system has taken. Node's own count of what waits falls only when a
 * whole write is done, and a write may be as long as all that waits: on a slow link it would stand still for minutes.
 */
import type { TcpSocket } from "./platformSockets.ts"

/** The part of Node's handles that is used: Node's own socket timeouts are decided by it as well. */
interface Handle {
  /** Bytes that were handed to it. */
  readonly bytesWritten: number
  /** Those of them that the operating system has not taken yet. */
  readonly writeQueueSize: number
  /** The TCP handle below one of TLS. */
  readonly _parent?: Handle | undefined
}

/** A number that grows with every byte taken. Without a handle of Node it grows with every write that is done. @internal */
export const takenBy = (tcp: TcpSocket): number => {
  const { _handle: handle } = tcp as { readonly _handle?: Handle | null }
  const { bytesWritten, writeQueueSize } = handle?._parent ?? handle ?? {}
  return bytesWritten === undefined || writeQueueSize === undefined
    ? (tcp.bytesWritten ?? 0) - tcp.writableLength
    : bytesWritten - writeQueueSize
}
