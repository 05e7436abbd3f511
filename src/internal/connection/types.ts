/**
 * Types shared by the connection's driver and those who make connections.
 */
import type * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Connection from "../../Connection.ts"
import type { Limits } from "../../Limits.ts"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import type { Link } from "../link/link.ts"
import type { Session } from "../session/session.ts"
import type { Settings } from "../streams/settings.ts"
import type { Identity } from "./observed.ts"
import type { Apps, Peer } from "./peer.ts"
import type { Parts } from "./replaceableParts.ts"
import type { Unsent } from "./unsentBytes.ts"

/** A link, as a connection gets it from a handshake. @internal */
export interface Attachment {
  readonly link: Link
  /** Measured by the handshake, in milliseconds. */
  readonly roundTrip: number
  /** Counted messages of this end that the peer has received. */
  readonly received: number
  /** The connection has let go of the link. */
  readonly release: Effect.Effect<void>
}

/** @internal */
export interface ConnectionOptions<M, P> extends Parts, Identity<M, P> {
  readonly clock: Clock.Clock
  /** Where its hooks run. */
  readonly scope: Scope.Scope
  readonly limits: Limits
  /** What the peer announced. */
  readonly remote: Settings
  /** Absent: the connection ends with its link. */
  readonly session: Session | undefined
  /** How long the connection waits for another link, in milliseconds. */
  readonly windowMillis: number
  readonly apps: Apps
  /** Shared by the connections of a server. */
  readonly unsent: Unsent
}

/** How a connection gets its links, and who is told. @internal */
export interface Links {
  /** Another link for the connection; a failure ends it. It is given up when the connection ends, or after the window. */
  readonly renew: (lost: SwaggerSocketError) => Effect.Effect<Attachment, SwaggerSocketError>
  /** The first link is in use. */
  readonly onOpen: () => void
  readonly onInterrupted: (error: SwaggerSocketError) => void
  readonly onResumed: (gapMillis: number, replayed: number) => void
}

/** @internal */
export interface ConnectionDriver<M, P> extends Connection.Connection<M, P>, Peer {
  readonly now: Connection.Status
  /** No end has begun to drain it, or to close it; it may have lost its link. */
  readonly takesRequests: boolean
  /**
   * Takes the first link into use, at once, and runs the connection on its links to its end. To be uninterruptible, so that
   * the end is told whatever happens; interruption ends the connection with 1001.
   */
  readonly run: (first: Attachment, links: Links) => Effect.Effect<Connection.CloseReason>
  /** Acts at once on the rest of a message that was taken in parts, so that the session counts it. */
  readonly finishMessage: () => void
  /** Drops the link, which interrupts the connection or ends it; nothing more is read from it. */
  readonly dropLink: (code: number, error: SwaggerSocketError) => void
  /** Waits until one of the ends says that it takes no more requests; answers the fault that the peer found, if it did. */
  readonly retired: Effect.Effect<SwaggerSocketError | undefined>
  /** Takes no more requests, lets calls finish for so long, and closes the connection. */
  readonly drain: (duration: Duration.Duration, code: number, reason: string) => Effect.Effect<void>
  /** Counts signs of life of all peers: of two connections, that with the higher one was heard of later. */
  readonly lastSign: number
  /**
   * Ends the connection at once, with a close code. Says no GOAWAY, after which the client would open another connection.
   */
  readonly expel: (code: number, reason: string) => void
  /** Says goodbye, without waiting for anything. */
  readonly leave: (code: number, reason: string) => void
}
