/**
 * What exchanges and their upgrades know of each other.
 */
import type { Multiplexed } from "../streams/multiplexed.ts"
import type { HttpStream } from "../streams/stream.ts"
import type { IncomingBody } from "./incomingBody.ts"
import type { Room } from "./room.ts"

/** What an exchange knows of what its stream was upgraded to. @internal */
export interface Raw {
  /** Both directions have ended, or this end has. */
  readonly hasEnded: boolean
  /** Shows a drain how far the peer has read. */
  readonly room: Room
  /** Ends both directions at once. */
  readonly abort: (code: number, reason: string) => void
}

/** The exchange of a request that asks for an upgrade. @internal */
export interface Asking {
  readonly mux: Multiplexed
  readonly stream: HttpStream
  /** An answer was sent, or is being sent. */
  readonly isAnswered: boolean
  /** What the stream was upgraded to. */
  readonly raw: Raw | undefined
  /** The answer is 101: the exchange goes on until `upgradeEnded`. */
  readonly upgraded: (raw: Raw) => void
  readonly upgradeEnded: () => void
  readonly onStopSending: () => void
}

/** The exchange of a response with the status 101. @internal */
export interface Switched {
  readonly mux: Multiplexed
  readonly stream: HttpStream
  /** What has arrived behind the response. */
  readonly incoming: IncomingBody | undefined
  /** What has taken the stream over. */
  raw: Raw | undefined
}
