/**
 * What the exchanges of wire v1 are told besides what every multiplexer is told.
 */
import type { Controls } from "../link/link.ts"
import type { MultiplexerOptions } from "../streams/options.ts"

/** @internal */
export interface ExchangesOptions extends MultiplexerOptions {
  /** Bytes of a request with a body that the peer can take. */
  readonly maxRequestSize: number
  /** How long an answer may take to begin, in milliseconds. */
  readonly responseTimeout: number
  /** How long the first request may have waited before it could be read, in milliseconds. */
  readonly waited: number
  /** How long the peer may take to end the answer of a call that was given up, in milliseconds. */
  readonly stallTimeout: number
  readonly correlationId: () => string
  /** The field `date` of an answer that is made now. */
  readonly date: () => string
  readonly controls: Controls | undefined
}
