/**
 * Urgency of a response and its request body (RFC 9218 section 4.1): 0 is the most urgent.
 */
import type { Fields } from "../frame/Frame.ts"

/** @internal */
export const urgencies = 8
const defaultUrgency = 3
const urgencyMember = /(?:^|[,\s])u=([0-7])(?=$|[,;\s])/

/** @internal */
export const urgencyOf = (fields: Fields): number => {
  for (const field of fields) {
    if (field[0] !== "priority") continue
    const match = urgencyMember.exec(field[1])
    if (match !== null) return Number(match[1])
  }
  return defaultUrgency
}
