/**
 * What is sent in all ways, for both ends.
 */
export interface Item {
  readonly id: number
  readonly name: string
  readonly site: string
  readonly state: string
  readonly temperature: number
  readonly seenAt: string
}

/** The answer of a small call: 110 bytes of JSON. */
export const item = (id: number): Item => ({
  id,
  name: `Sensor ${id}`,
  site: "Lab",
  state: "on",
  temperature: 21.5,
  seenAt: "2026-01-01T12:00Z"
})

export const firstId = 100_000

export const MiB = 1024 * 1024

/** Of bodies and messages, as their sender writes them. */
export const chunkSize = 64 * 1024

/** Parts of a body, each in a buffer of its own. */
export function* chunks(size: number): Generator<Uint8Array<ArrayBuffer>> {
  for (let at = 0; at < size; at += chunkSize) yield new Uint8Array(Math.min(chunkSize, size - at)).fill(7)
}

/** Bytes on a raw WebSocket that wait for an acknowledgement, at most. */
export const window = 4 * MiB

/** What is measured of one way in one round. */
export interface Measured {
  readonly round: number
  readonly way: string
  readonly one: number
  readonly many: number
  readonly up: number
  readonly down: number
}

export interface Report {
  readonly agent: string
  readonly measured: ReadonlyArray<Measured>
  readonly error?: string
}
