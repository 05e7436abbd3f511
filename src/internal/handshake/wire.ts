/**
 * The types of a wire: its handshake, the multiplexer that its exchanges share a connection by, and its use of a link.
 */
import type { Accept, Dial } from "../../Handshake.ts"
import type { Multiplexer } from "../../Multiplexer.ts"
import type { Link } from "../link/link.ts"

/** For one link. @internal */
export interface Wire {
  readonly name: "v1" | "v2"
  readonly multiplexer: typeof Multiplexer.Service
  /** The link as this wire uses it. */
  readonly link: Link
}

/** @internal */
export interface ServerWire extends Wire {
  readonly accept: typeof Accept.Service
}

/** @internal */
export interface ClientWire extends Wire {
  readonly dial: typeof Dial.Service
}
