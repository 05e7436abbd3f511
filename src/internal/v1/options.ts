/**
 * Options of wire v1's exchanges besides those of every multiplexer.
 */
import type { Controls } from "../link/controls.ts"
import type { MultiplexerOptions } from "../streams/options.ts"

/** @internal */
export interface ExchangesOptions extends MultiplexerOptions {
  /** The largest request with a body that the peer accepts, in bytes. */
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
