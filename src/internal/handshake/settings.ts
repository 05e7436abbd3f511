/**
 * What PROTOCOL.md, "Settings", says of each setting.
 */
import type { Settings } from "../streams/settings.ts"

type Range = readonly [least: number, most: number, standard: number]

/** The least and the most that may be announced, and the default of a setting that is left out. @internal */
export const settingRanges: { readonly [Name in keyof Settings]: Range } = {
  maxMessageSize: [32768, 16777216, 65536],
  maxFrameSize: [17408, 16777216, 32768],
  maxHeadSize: [1024, 1048576, 16384],
  maxConcurrentStreams: [0, 1000000, 100],
  streamWindow: [0, 2147483647, 262144],
  connectionWindow: [65535, 2147483647, 1048576],
  headTableSize: [0, 65536, 4096],
  upgrade: [0, 1, 0]
}

/** One value for each setting. @internal */
export const mapSettings = <A>(
  f: (range: Range, name: keyof Settings) => A
): { readonly [Name in keyof Settings]: A } =>
  Object.fromEntries(
    Object.entries(settingRanges).map(([name, range]) => [name, f(range, name as keyof Settings)])
  ) as { readonly [Name in keyof Settings]: A }

/** Bytes (PROTOCOL.md, "Sessions"). @internal */
export const minReplayBuffer = 32768
