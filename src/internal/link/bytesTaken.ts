/**
 * How many of the bytes written to a socket the operating system has taken. Node's own count of bytes that wait falls only
 * when a whole write is done. One write may have all of them, so that count would stand still for minutes on a slow link.
 */
import type { TcpSocket } from "./platformSockets.ts"

/** The members of Node's handles that are used here. They are internal to Node, whose socket timeouts use them as well. */
interface Handle {
  /** Bytes that were given to the handle. */
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
