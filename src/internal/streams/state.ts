/**
 * The life of a stream (PROTOCOL.md, "States"; RFC 9113 section 5.1 without push).
 *
 * Each half goes through `head -> body -> end`; the half of the requester is past its head as soon as the stream is
 * open. The state of RFC 9113 follows from both halves:
 *
 * ```text
 *                      REQUEST
 *                 idle --------> open -------------------.
 *                                 |  END sent             | END received
 *                                 v                       v
 *                      half-closed (local)      half-closed (remote)
 *                                 |  END received         | END sent
 *                                 '-------> closed <------'
 *                                             ^
 *                 RESET sent or received -----'  (from every state)
 * ```
 */

/** How far one end has got with what it sends. @internal */
export type Half = "head" | "body" | "end"

/** @internal */
export type StreamState = "open" | "half-closed (local)" | "half-closed (remote)" | "closed"

/** @internal */
export const stateOf = (local: Half, remote: Half): StreamState =>
  local === "end"
    ? remote === "end" ? "closed" : "half-closed (local)"
    : remote === "end"
    ? "half-closed (remote)"
    : "open"

/** A half after its head, or after a DATA frame; `undefined` when the frame is not legal now. @internal */
export const afterHead = (half: Half, end: boolean): Half | undefined =>
  half === "head" ? (end ? "end" : "body") : undefined

/** @internal */
export const afterData = (half: Half, end: boolean): Half | undefined =>
  half === "body" ? (end ? "end" : "body") : undefined
