/**
 * What PROTOCOL.md, "Settings", says of each setting: what holds where it is not announced, and what may be announced.
 */
import type { Settings } from "../streams/settings.ts"

/** What holds where an end announces nothing. `Limits` has the same defaults, so what is announced is what differs. @internal */
export const defaultSettings: Settings = {
  maxMessageSize: 65536,
  maxFrameSize: 32768,
  maxHeadSize: 16384,
  maxConcurrentStreams: 100,
  streamWindow: 262144,
  connectionWindow: 1048576,
  headTableSize: 4096
}

/** The least and the most of each. @internal */
export const settingRanges = {
  maxMessageSize: [32768, 16777216],
  maxFrameSize: [17408, 16777216],
  maxHeadSize: [1024, 1048576],
  maxConcurrentStreams: [0, 1000000],
  streamWindow: [0, 2147483647],
  connectionWindow: [65535, 2147483647],
  headTableSize: [0, 65536]
} as const

/** Bytes (PROTOCOL.md, "Sessions"). @internal */
export const minReplayBuffer = 32768
