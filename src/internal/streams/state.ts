/**
 * The life of a stream (PROTOCOL.md, "States"; RFC 9113 section 5.1 without push). One value says how far this end has got,
 * how far the peer has got, and whether a handler of this end works on the stream:
 *
 * ```text
 * local    head --headSent--> body --written--> ending --endSent--> end
 *            '------------------written----------^
 * remote   head --headReceived--> body --endReceived--> end
 *
 * handler  none --handlerBegun--> running ------------handlerDone--> done
 *                                    '--failed--> lingering ---------^
 * ```
 *
 * - A request of this end begins with `local: "body"` and `remote: "head"`, one of the peer the other way round.
 * - `closed` and `failed` lead from every state to `end` in both directions. After `failed` a handler that runs is lingering: the
 *   peer has ended the stream, and this end still works on it.
 * - `ending`: the application has written everything, and END has not left yet.
 * - `done`: the handler has ended, so that this end reads no more of the request.
 *
 * The states of RFC 9113 follow: `open` while neither direction is at `end`, `half-closed` with one, `closed` with both.
 */

/** @internal */
export interface StreamState {
  /** What this end sends next. */
  readonly local: "head" | "body" | "ending" | "end"
  /** What the peer sends next. */
  readonly remote: "head" | "body" | "end"
  readonly handler: "none" | "running" | "lingering" | "done"
  /** Both directions are at their end. */
  readonly isClosed: boolean
  // What happens, and the state after it. Of what can't happen in a state nothing changes.
  readonly headSent: StreamState
  readonly written: StreamState
  readonly endSent: StreamState
  readonly handlerBegun: StreamState
  readonly handlerDone: StreamState
  readonly closed: StreamState
  readonly failed: StreamState
  // What the peer sends. Absent: that is an error.
  readonly headReceived: StreamState | undefined
  readonly endReceived: StreamState | undefined
}

type Local = StreamState["local"]
type Remote = StreamState["remote"]
type Handler = StreamState["handler"]

const states = new Map<string, StreamState>()

/**
 * Each state is made once, with those that follow it. So streams share them, and states that nothing leads to don't exist: a
 * head to send and a head to receive, or a handler that lingers on an open stream.
 */
const make = (local: Local, remote: Remote, handler: Handler): StreamState => {
  const key = `${local} ${remote} ${handler}`
  const known = states.get(key)
  if (known !== undefined) return known
  const isClosed = local === "end" && remote === "end"
  const state: { -readonly [Key in keyof StreamState]?: StreamState[Key] } = { local, remote, handler, isClosed }
  states.set(key, state as StreamState)
  return Object.assign(state as StreamState, {
    headSent: make(local === "head" ? "body" : local, remote, handler),
    written: make(local === "end" ? "end" : "ending", remote, handler),
    endSent: make("end", remote, handler),
    handlerBegun: make(local, remote, handler === "none" ? "running" : handler),
    handlerDone: make(local, remote, "done"),
    closed: make("end", "end", handler),
    failed: make("end", "end", handler === "running" ? "lingering" : handler),
    headReceived: remote === "head" ? make(local, "body", handler) : undefined,
    endReceived: remote === "body" ? make(local, "end", handler) : undefined
  })
}

/** A request of this end. @internal */
export const requested: StreamState = make("body", "head", "none")
/** A request of the peer. @internal */
export const accepted: StreamState = make("head", "body", "none")
