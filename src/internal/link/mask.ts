/**
 * Masks of WebSocket frames (RFC 6455 section 5.3): every fourth byte of a payload is combined with the same byte of a key. Doing
 * it twice gives the payload again.
 */

/** Shorter payloads are masked byte by byte, which takes less time than a view of their words. */
const shortPayload = 96

/** One word, and its bytes in the order of this machine. */
const word = new Int32Array(1)
const wordBytes = new Uint8Array(word.buffer)

const maskBytes = (bytes: Uint8Array, from: number, to: number, key: Uint8Array, phase: number): void => {
  for (let at = from; at < to; at++) bytes[at]! ^= key[(phase + at) & 3]!
}

/** Eight words a step: in single steps it takes twice as long. */
const maskWords = (words: Int32Array, key: number): void => {
  const { length } = words
  let at = 0
  for (; at + 8 <= length; at += 8) {
    words[at]! ^= key
    words[at + 1]! ^= key
    words[at + 2]! ^= key
    words[at + 3]! ^= key
    words[at + 4]! ^= key
    words[at + 5]! ^= key
    words[at + 6]! ^= key
    words[at + 7]! ^= key
  }
  for (; at < length; at++) words[at]! ^= key
}

/**
 * Masks or unmasks bytes where they are. `phase`: how many bytes of the payload came before them.
 *
 * @internal
 */
export const mask = (bytes: Uint8Array, key: Uint8Array, phase = 0): void => {
  const { length } = bytes
  if (length < shortPayload) return maskBytes(bytes, 0, length, key, phase)
  const start = -bytes.byteOffset & 3
  maskBytes(bytes, 0, start, key, phase)
  for (let at = 0; at < 4; at++) wordBytes[at] = key[(phase + start + at) & 3]!
  const words = new Int32Array(bytes.buffer, bytes.byteOffset + start, (length - start) >> 2)
  maskWords(words, word[0]!)
  maskBytes(bytes, start + words.length * 4, length, key, phase)
}
