/**
 * Settings, limits and counters of a multiplexer.
 */

/**
 * What each end announces in the handshake (PROTOCOL.md, "Settings").
 *
 * @since 0.1.0
 * @category models
 */
export interface Settings {
  /** Bytes of a message that this end accepts. */
  readonly maxMessageSize: number
  /** Bytes of a frame that it accepts. */
  readonly maxFrameSize: number
  /** Bytes of a head that it accepts. */
  readonly maxHeadSize: number
  /** Requests that its peer may have in progress. */
  readonly maxConcurrentStreams: number
  /** Credit of a stream at first, in bytes. */
  readonly streamWindow: number
  /** Credit of the connection at first, in bytes. */
  readonly connectionWindow: number
  /** Bytes of recently used fields that it remembers for its peer's heads. */
  readonly headTableSize: number
  /** 1: it knows upgrades inside a connection. */
  readonly upgrade: number
}

/**
 * Limits of this end that the peer need not know. `Limits` says more of each.
 *
 * @since 0.1.0
 * @category models
 */
export interface MultiplexerLimits {
  /** As far as the credit of a stream grows, in bytes. */
  readonly maxStreamWindow: number
  /** As far as the credit of the connection grows, in bytes. */
  readonly maxConnectionWindow: number
  /** Unread bytes of unfinished bodies that don't hold back other streams. */
  readonly maxUnread: number
  /** Resets that the peer may send a second, lasting. */
  readonly resetsPerSecond: number
  /** Resets that it may send at once. */
  readonly resetBurst: number
  /** Control frames that the peer may send a second, lasting, besides those that traffic gives reason for. */
  readonly controlPerSecond: number
  /** Those that it may send at once. */
  readonly controlBurst: number
  /** Requests of the peer that may be refused a second, lasting. */
  readonly refusedPerSecond: number
  /** Those that may be refused at once. */
  readonly refusedBurst: number
  /** Answers provoked by the peer that may wait to be written. */
  readonly maxQueuedControl: number
  /** Bytes of a body that wait for credit before its writer has to. */
  readonly sendBuffer: number
}

/**
 * What a multiplexer has done, counted since the connection began; `Connection.statistics` shows it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Counters {
  messagesReceived: number
  messagesSent: number
  bytesReceived: number
  bytesSent: number
  framesReceived: number
  framesSent: number
  /** Requests of this end. */
  streamsOpened: number
  /** Requests of the peer. */
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

/** Each time so many bytes were written, the connection checks how many wait to be sent (`onUnsent`). @internal */
export const unsentStep = 1024 * 1024
