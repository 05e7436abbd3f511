/**
 * When a response was made, as the field `date` tells it (RFC 9110 section 6.6.1).
 */

let lastSecond = -1
let lastText = ""

/** `millis`: since 1970. Formatted once a second, however many responses there are. @internal */
export const formatDate = (millis: number): string => {
  const second = Math.floor(millis / 1000)
  if (second !== lastSecond) {
    lastSecond = second
    lastText = new Date(second * 1000).toUTCString()
  }
  return lastText
}
