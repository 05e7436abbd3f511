/**
 * Bytes of strings.
 */
const encoder = new TextEncoder()

/** @internal */
// oxlint-disable-next-line no-control-regex
export const beyondAscii = /[^\x00-\x7f]/

/** Bytes of a string in UTF-8. @internal */
export const utf8Length = (value: string): number =>
  beyondAscii.test(value) ? encoder.encode(value).length : value.length
