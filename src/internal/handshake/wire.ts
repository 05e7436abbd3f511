/**
 * What differs between wires v1 and v2: the handshake, the multiplexer, and how a link is used.
 */
import type { Link } from "../link/link.ts"
import type { MakeMultiplexer } from "../streams/multiplexed.ts"
import type { Accept } from "./accept.ts"
import type { Dial } from "./dial.ts"

/** For one link. @internal */
export interface Wire {
  readonly name: "v1" | "v2"
  readonly multiplexer: MakeMultiplexer
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
