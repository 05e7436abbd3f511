/**
 * The `date` field of responses (RFC 9110 section 6.6.1).
 */

let lastSecond = -1
let lastText = ""

/** Formats a time in milliseconds since 1970. The text is made once a second: formatting takes 0.4 us (Node 20). @internal */
export const formatDate = (millis: number): string => {
  const second = Math.floor(millis / 1000)
  if (second !== lastSecond) {
    lastSecond = second
    lastText = new Date(second * 1000).toUTCString()
  }
  return lastText
}
