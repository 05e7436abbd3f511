/**
 * What is checked of a request before anything else is done for it.
 */
import type * as Clock from "effect/Clock"
import type { Peer } from "../connection/peer.ts"
import { type Violation, violation } from "../frame/codes.ts"
import * as ErrorCode from "../frame/ErrorCode.ts"
import type { Request } from "../frame/Frame.ts"
import type { Field } from "../frame/headTable.ts"
import type { HttpStream } from "../streams/stream.ts"
import { formatDate } from "./date.ts"
import { contentLengthOf, hostFault } from "./fields.ts"

/** The `date` field of a response that is made now. @internal */
export const dateField = (clock: Clock.Clock): Field => ["date", formatDate(clock.currentTimeMillisUnsafe())]

/** How long the body is, as far as the head says; or what is wrong with the head. @internal */
export const declaredLength = (stream: HttpStream, request: Request): number | undefined | Violation => {
  const declared = hostFault(request.fields) ?? contentLengthOf(request.fields)
  if (typeof declared === "string") return violation(ErrorCode.MALFORMED, declared)
  const isBodiless = request.end || stream.asksForUpgrade === true
  return isBodiless && declared !== undefined && declared > 0
    ? violation(ErrorCode.MALFORMED, `there is no body, content-length says ${declared}`)
    : declared
}

/** Counts a call that has arrived. One too many is answered, without a handler. @internal */
export const isRefused = ({ calls, mux }: Peer, stream: HttpStream, clock: Clock.Clock): boolean => {
  const refused = calls?.begin()
  if (refused === undefined) return false
  // Without a body: a refusal has to cost a tenth of a call at most, or refusals would take the time of other calls.
  mux.respond(stream, refused, [["retry-after", "1"], dateField(clock)], true)
  mux.stopReading(stream)
  return true
}
