/**
 * What a multiplexer is told, and what it counts.
 */

/** What each end announces in the handshake (PROTOCOL.md, "Settings"). @internal */
export interface Settings {
  readonly maxMessageSize: number
  readonly maxFrameSize: number
  readonly maxHeadSize: number
  readonly maxConcurrentStreams: number
  readonly streamWindow: number
  readonly connectionWindow: number
  readonly headTableSize: number
}

/** Limits of this end that the peer need not know. @internal */
export interface MultiplexerLimits {
  readonly maxStreamWindow: number
  readonly maxConnectionWindow: number
  readonly maxUnread: number
  readonly resetsPerSecond: number
  readonly resetBurst: number
  readonly maxQueuedControl: number
  readonly sendBuffer: number
}

/** Counted since the connection began. @internal */
export interface Counters {
  messagesReceived: number
  messagesSent: number
  bytesReceived: number
  bytesSent: number
  framesReceived: number
  framesSent: number
  streamsOpened: number
  streamsAccepted: number
  resetsReceived: number
  resetsSent: number
}

/** @internal */
export const zeroCounters = (): Counters => ({
  messagesReceived: 0,
  messagesSent: 0,
  bytesReceived: 0,
  bytesSent: 0,
  framesReceived: 0,
  framesSent: 0,
  streamsOpened: 0,
  streamsAccepted: 0,
  resetsReceived: 0,
  resetsSent: 0
})

/** After so many bytes were written it is looked how much waits to be sent. @internal */
export const unsentStep = 1024 * 1024
