/**
 * The bytes of simulated bodies: each body's own, and any part of them can be checked by itself.
 */
const period = 251
const largest = 1024 * 1024

/** Bytes at these distances differ from each other. */
const pattern = Uint8Array.from({ length: largest + 256 * period }, (_, index) => (index % period) ^ (index >> 10))

/** A part of body number `body`. */
export const bytesOf = (body: number, from: number, to: number): Uint8Array => {
  const start = (body % 256) * period + (body % period)
  return pattern.subarray(start + from, start + to)
}

/** Whether `part` is what body number `body` has from `from` on. */
export const isPart = (body: number, from: number, part: Uint8Array): boolean =>
  Buffer.compare(part, bytesOf(body, from, from + part.length)) === 0

/** A number that all bytes and texts given to it decide. */
export class Digest {
  value = 0x811c9dc5

  add(data: Uint8Array | string | number): void {
    let value = this.value
    if (typeof data === "number") value = Math.imul(value ^ data, 0x01000193)
    else if (typeof data === "string") {
      for (let at = 0; at < data.length; at++) value = Math.imul(value ^ data.charCodeAt(at), 0x01000193)
    } else for (let at = 0; at < data.length; at++) value = Math.imul(value ^ data[at]!, 0x01000193)
    this.value = value
  }
}
