/**
 * Keys that mask the frames of WebSockets. They must not be guessed (RFC 6455 section 5.3). Drawing them one by one would take
 * longer than the frames.
 */
import { randomFillSync } from "node:crypto"

/** @internal */
export const keySize = 4

const keys = new Uint8Array(8 * 1024)
let used = keys.length

/** Writes a key that nobody has used. @internal */
export const writeKey = (target: Uint8Array, at: number): void => {
  if (used === keys.length) {
    randomFillSync(keys)
    used = 0
  }
  for (let i = 0; i < keySize; i++) target[at + i] = keys[used++]!
}
