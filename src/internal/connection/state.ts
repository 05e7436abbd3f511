/**
 * The state of a connection: one of seven, each with what there is only in it.
 *
 * ```
 *               attach                  accuse
 *   Unlinked ------------> Linked -----------------> Accused
 *    |   ^ ^   detach,       |                        |   |
 *    |   | +-- interrupt ----+                        |   |
 *    |   +---------------------------- interrupt -----+   |
 *    |                       |                            |
 *    +---------+-------------+-------------+--------------+
 *              | leave       | expel       | fail
 *              v             v             v
 *           Leaving       Expelled      Failing
 *              |             |             |
 *              +-------------+-------------+----> Closed
 *                        close, from any state
 * ```
 *
 * A connection is Unlinked before its first link, and again whenever it is interrupted. It is Linked while it is driven on a
 * link. It is Accused once the peer has sent GOAWAY with an error, and closes the link next. This end closes the connection
 * in one of three ways. Leaving: it has sent GOAWAY, and takes what the peer sends until the link is closed. Expelled: it
 * sends no GOAWAY, after which the peer would open another connection. Failing: it has sent GOAWAY with an error, and takes
 * nothing more.
 *
 * `retire` and `drain` change who has said that no more requests are taken, and nothing else; `detach` takes the link from
 * any state. Each transition is defined in every state, and answers the same object where it changes nothing. An object is
 * made for each change, and none for a message.
 */
import type { CloseReason, Status } from "../../Connection.ts"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import type { Link } from "../link/link.ts"

/**
 * Who has said that no more requests are taken: nobody, the peer, or this end, whether or not the peer has as well. It only
 * rises.
 */
type Drain = "none" | "peer" | "own"

/** What this end closes the connection with. */
interface Farewell {
  readonly code: number
  readonly reason: string
}

/** @internal */
export type State =
  | { readonly _tag: "Unlinked"; readonly drain: Drain; readonly link: undefined }
  | { readonly _tag: "Linked"; readonly drain: Drain; readonly link: Link }
  | {
    readonly _tag: "Accused"
    readonly drain: Exclude<Drain, "none">
    /** None once it is lost, until the connection is interrupted or closed. */
    readonly link: Link | undefined
    readonly fault: SwaggerSocketError
  }
  | {
    readonly _tag: "Leaving" | "Expelled"
    readonly drain: Drain
    readonly link: Link | undefined
    readonly farewell: Farewell
  }
  | { readonly _tag: "Failing"; readonly drain: Drain; readonly link: undefined }
  | { readonly _tag: "Closed"; readonly drain: Drain; readonly link: undefined; readonly end: CloseReason }

// --- what there is in a state ---------------------------------------------------------------------------------------

/** Shared by all connections. @internal */
export const initial: State = { _tag: "Unlinked", drain: "none", link: undefined }

/** An expelled connection counts as interrupted: a client that comes to resume it is told that it was replaced. @internal */
export const statusOf = ({ _tag, drain, link }: State): Status => {
  if (_tag === "Closed") return "closed"
  if (_tag === "Leaving" || _tag === "Failing") return "closing"
  if (link === undefined) return "interrupted"
  return drain === "none" ? "open" : "draining"
}

/** This end closes the connection, or it is closed: it waits for no other link. @internal */
export const isEnding = ({ _tag }: State): boolean => _tag !== "Unlinked" && _tag !== "Linked" && _tag !== "Accused"

/** No end has said that it takes no more requests; the link may be lost. @internal */
export const takesRequests = (state: State): boolean => state.drain === "none" && !isEnding(state)

// --- transitions ----------------------------------------------------------------------------------------------------

/** A link is there. One that comes in the turn in which the connection begins to close is not used. @internal */
export const attach = (state: State, link: Link): State =>
  isEnding(state) ? state : { _tag: "Linked", drain: state.drain, link }

const unlinked = ({ drain }: State): State => ({ _tag: "Unlinked", drain, link: undefined })

/** The link is given up. The connection is interrupted or closed next, for what this link has brought. @internal */
export const detach = (state: State): State => {
  if (state._tag === "Linked") return unlinked(state)
  return state.link === undefined ? state : { ...state, link: undefined }
}

/** The connection goes on without a link, and will have another one. @internal */
export const interrupt = (state: State): State => state._tag === "Accused" ? unlinked(state) : detach(state)

/** The peer takes no more requests. @internal */
export const retire = (state: State): State => takesRequests(state) ? { ...state, drain: "peer" } : state

/** This end takes no more requests. @internal */
export const drain = (state: State): State => state.drain === "own" ? state : { ...state, drain: "own" }

/** The peer has found a fault. It counts once. @internal */
export const accuse = (state: State, fault: SwaggerSocketError): State => {
  const { _tag, drain, link } = state
  if (_tag !== "Unlinked" && _tag !== "Linked") return state
  return { _tag: "Accused", drain: drain === "none" ? "peer" : drain, link, fault }
}

/** This end closes the connection with a GOAWAY. The first farewell counts. @internal */
export const leave = (state: State, farewell: Farewell, _tag: "Leaving" | "Expelled" = "Leaving"): State =>
  isEnding(state) ? state : { _tag, drain: state.drain, link: state.link, farewell }

/** This end closes the connection without a GOAWAY. @internal */
export const expel = (state: State, farewell: Farewell): State => leave(state, farewell, "Expelled")

/** This end closes the connection with a GOAWAY that says what is wrong. @internal */
export const fail = (state: State): State =>
  isEnding(state) ? state : { _tag: "Failing", drain: state.drain, link: undefined }

/** The connection is over. The first end counts. @internal */
export const close = (state: State, end: CloseReason): State =>
  state._tag === "Closed" ? state : { _tag: "Closed", drain: state.drain, link: undefined, end }
