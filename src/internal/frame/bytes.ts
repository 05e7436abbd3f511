/**
 * Bytes of strings and chunks.
 */
const encoder = new TextEncoder()

/** @internal */
// oxlint-disable-next-line no-control-regex
export const beyondAscii = /[^\x00-\x7f]/

/** Bytes of a string in UTF-8. @internal */
export const utf8Length = (value: string): number =>
  beyondAscii.test(value) ? encoder.encode(value).length : value.length

/** @internal */
export const concat = (parts: ReadonlyArray<Uint8Array>): Uint8Array<ArrayBuffer> => {
  let size = 0
  for (const part of parts) size += part.length
  const whole = new Uint8Array(size)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
