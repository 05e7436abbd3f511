/**
 * What a multiplexer is given by the connection that it works for.
 */
import type { Violation } from "../frame/errorCode.ts"
import type { GoAway, Request } from "../frame/Frame.ts"
import type { MultiplexerLimits, Settings } from "./settings.ts"
import type { HttpStream } from "./stream.ts"

/** @internal */
export interface MultiplexerOptions {
  readonly role: "client" | "server"
  readonly local: Settings
  readonly remote: Settings
  readonly limits: MultiplexerLimits
  /** Monotonic, in milliseconds. */
  readonly now: () => number
  /** An integer that the peer can't know. */
  readonly seed: number
  /** In milliseconds, once measured. */
  readonly roundTrip: () => number | undefined
  /** A request of the peer: sets `stream.handler` before anything else, or answers why it is refused. */
  readonly onRequest: (stream: HttpStream, request: Request) => Violation | undefined
  readonly onPong: (data: Uint8Array) => void
  readonly onPing: (data: Uint8Array) => void
  readonly onGoAway: (frame: GoAway) => void
  /** The peer has received so many counted messages; answers what is wrong with that. */
  readonly onAck: (received: number) => Violation | undefined
  /** There is something to `pull`. */
  readonly onPending: () => void
  /** What is pending leaves now. It calls `pull`. */
  readonly flush: () => void
  /** There may be room again for what the peer sends. Only of multiplexers that say when there is none. */
  readonly onReadable: () => void
  /** So much more was written that what waits to be sent may be too much. */
  readonly onUnsent?: (() => void) | undefined
  /** The last open stream has closed. */
  readonly onQuiet: () => void
  /** Whether the frames so far have taken long enough, so that others have their turn: asked now and then. Absent: never. */
  readonly isTurnOver?: ((frames: number) => boolean) | undefined
  /** The connection can't go on, for a reason of this end. */
  readonly onBroken: (reason: string) => void
  /** Runs something later, unless the result is called. */
  readonly later: (millis: number, run: () => void) => () => void
}
