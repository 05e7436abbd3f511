/**
 * What a connection needs of a transport, and a link that is made of one; `Link` shows them to users.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import type * as Effect from "effect/Effect"
import type * as Socket from "effect/socket/Socket"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"

/**
 * What a connection needs of a transport (PROTOCOL.md, "Links"): whole messages, in order, each of them text or bytes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Transport {
  /**
   * The messages that have arrived, oldest first; waits while there are none. Interrupting the wait loses nothing.
   *
   * Once the link has ended, and all that arrived before was given, it fails, and goes on to fail: with a
   * `SocketCloseError` that has the code and the reason of the end that has closed the link, or with a close code of 1006,
   * or another reason, where the link was lost. A lost link interrupts a connection that has a session; others end it.
   */
  readonly pull: Effect.Effect<NonEmptyReadonlyArray<Uint8Array | string>, Socket.SocketError>
  /**
   * Takes over a message, or answers what went wrong. It never waits. The bytes are not to be changed, and may be used
   * again once `isEmpty` has answered `true`.
   */
  readonly send: (message: Uint8Array<ArrayBuffer> | string) => Socket.SocketError | undefined
  /**
   * Whether more waits to be sent than is good for latency: 128 KiB or so. The connection then sends no more bodies until
   * `onRoom` calls it back. A link that has ended is full for good.
   */
  readonly isFull: () => boolean
  /** Calls back once when a full link has room again. A later callback takes the place of one that waits. */
  readonly onRoom: (resume: () => void) => void
  /**
   * Tells the other end, behind all that was sent before, why it closes the link: a code from 1000 to 4999, and a reason
   * of at most 123 bytes. `pull` gives what the other end still sends, until that has closed the link as well.
   */
  readonly close: (code: number, reason: string) => void
  /** Gives the link up at once. What waits to be sent is lost, and the other end sees a lost link. */
  readonly terminate: () => void
  /**
   * Whether the transport holds no byte of what was sent any more, so that their memory can be used again. Absent: that is
   * never known.
   */
  readonly isEmpty?: (() => boolean) | undefined
  /**
   * A number that grows as the transport takes what waits. A full link whose number stands still for `sendTimeout` is
   * lost. Absent: it counts what was sent, so that a full link has to have room again within `sendTimeout`.
   */
  readonly taken?: (() => number) | undefined
  /** What is sent from now on may be held back until `uncork`, to leave in one piece. */
  readonly cork?: (() => void) | undefined
  /** Sends what was held back. */
  readonly uncork?: (() => void) | undefined
  /** Whether nobody between the ends can read it: the URLs of requests on it are then `https:`. Default `false`. */
  readonly isSecure?: boolean | undefined
}

/** @internal */
export const TypeId = "~effect-swaggersocket/Link"

/**
 * One live link of two ends, made by `make` or one of the other constructors. A link is for one connection, and used once.
 *
 * @since 0.1.0
 * @category models
 */
export interface Link extends Transport {
  /** How a connection takes it into use, once. */
  readonly [TypeId]: Effect.Effect<unknown, SwaggerSocketError>
}
