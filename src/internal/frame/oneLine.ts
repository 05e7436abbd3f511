/**
 * Text that a peer has chosen, as a part of one line: errors are logged, and a peer must not write lines of its own there.
 */

/** The reason of a refusal may have 64 KiB. A guess: more is not read. */
const maxLength = 1000

/** Control characters, separators of lines, and what makes a terminal show text in another order. */
const unprintable = /[\p{Cc}\p{Bidi_C}\u2028\u2029]/gu

/** @internal */
export const oneLine = (text: string): string => text.slice(0, maxLength).replace(unprintable, encodeURIComponent)
