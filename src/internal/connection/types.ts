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
import type { Attachment } from "./attachment.ts"
import type { Identity } from "./observed.ts"
import type { Apps, CallCounter, Peer } from "./peer.ts"
import type { Parts } from "./replaceableParts.ts"
import type { Sender } from "./sender.ts"
import type { Unsent } from "./unsentBytes.ts"

/** @internal */
export interface ConnectionOptions<M, P> extends Parts, Identity<M, P> {
  readonly clock: Clock.Clock
  /**
   * Where the connection's own fibers run, such as timers and the hooks of its heartbeat. It is closed when the connection has
   * ended.
   */
  readonly scope: Scope.Scope
  /** That of the client or server which it belongs to. */
  readonly ownerScope: Scope.Scope
  readonly limits: Limits
  /** What the peer announced. */
  readonly remote: Settings
  /** Absent: the connection ends with its link. */
  readonly session: Session | undefined
  /** How long the connection waits for another link, in milliseconds. */
  readonly windowMillis: number
  readonly apps: Apps
  readonly calls?: CallCounter | undefined
  /** Shared by the connections of a server. */
  readonly unsent: Pick<Unsent, "forget" | "grown">
}

/** Gives a connection its next link, and is told what happens to it. @internal */
export interface Links {
  /** Waits for another link. A failure ends the connection. Interrupted when the connection ends, or the window is over. */
  readonly renew: (lost: SwaggerSocketError) => Effect.Effect<Attachment, SwaggerSocketError>
  /** The first link is in use. */
  readonly onOpen: () => void
  readonly onInterrupted: (error: SwaggerSocketError) => void
  readonly onResumed: (gapMillis: number, replayed: number) => void
}

/** @internal */
export interface ConnectionDriver<M, P> extends Connection.Connection<M, P>, Peer {
  readonly now: Connection.Status
  readonly sender: Pick<Sender, "progress">
  /** Absent while it is interrupted. */
  readonly link: Link | undefined
  /** No end has begun to drain it, or to close it; it may have lost its link. */
  readonly takesRequests: boolean
  /**
   * Takes the first link into use at once, and runs the connection on its links until it ends. To be run uninterruptibly, so
   * that its end is told whatever happens. An interruption is seen where it waits, and ends the connection with 1001.
   */
  readonly run: (first: Attachment, links: Links) => Effect.Effect<Connection.CloseReason>
  /**
   * Waits, once the link was dropped, until a message is acted on whole of which only a part was taken: the session counts it
   * then.
   */
  readonly untilFinished: () => Effect.Effect<void>
  /** Drops the link, which interrupts the connection or ends it; nothing more is read from it. */
  readonly dropLink: (code: number, error: SwaggerSocketError) => void
  /** Waits until one of the ends says that it takes no more requests; answers the fault that the peer found, if it did. */
  readonly retired: Effect.Effect<SwaggerSocketError | undefined>
  /** Takes no more requests, lets calls finish for so long, and closes the connection. */
  readonly drain: (duration: Duration.Duration, code: number, reason: string) => Effect.Effect<void>
  /** Grows with each message of any peer: of two connections, the one with the higher number was heard of later. */
  readonly lastSign: number
  /**
   * Closes the link with a code and ends the connection, without a GOAWAY: a client opens another connection after one.
   */
  readonly expel: (code: number, reason: string) => void
  /** Ends the connection because it takes too much: GOAWAY EXCESSIVE_LOAD and a close frame. */
  readonly overload: (reason: string) => void
  /** Sends GOAWAY and a close frame, without waiting for anything. */
  readonly leave: (code: number, reason: string) => void
}
