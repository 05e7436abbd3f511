/**
 * At most one connection for each identity: what becomes of the second one of a client that is there already.
 */
import type { RefusalCode } from "../../SwaggerSocketError.ts"
import type { Driven } from "../driven.ts"
import { RefusalCode as Refusals } from "../frame/errorCode.ts"
import { refused } from "../handshake/refusal.ts"

/** @internal */
export interface IdentityOptions<M, P> {
  readonly of: (client: { readonly metadata: M; readonly principal: P }) => string | undefined
  readonly policy: "replace-older" | "refuse-newer"
}

const replaced: RefusalCode = "IDENTITY_REPLACED"

const inUse = refused("local", "IDENTITY_IN_USE", "another connection of the same identity is open")

/** @internal */
export class Identities<M, P> {
  readonly #options: IdentityOptions<M, P> | undefined
  readonly #holders = new Map<string, Driven<M, P>>()
  readonly #identities = new Map<Driven<M, P>, string>()

  /** Absent: no connection has an identity. */
  constructor(options: IdentityOptions<M, P> | undefined) {
    this.#options = options
  }

  /** Why a client gets no new connection. */
  refusal(client: { readonly metadata: M; readonly principal: P }): typeof inUse | undefined {
    if (this.#options?.policy !== "refuse-newer") return undefined
    const identity = this.#options.of(client)
    const holder = identity === undefined ? undefined : this.#holders.get(identity)
    // One that has lost its link may be dead, and one that is draining makes way for the next.
    return holder?.now === "open" ? inUse : undefined
  }

  /** A new connection is about to open: it replaces an older one of its identity, or is refused. */
  take(driven: Driven<M, P>): typeof inUse | undefined {
    const identity = this.#options?.of(driven)
    if (identity === undefined) return undefined
    const refusal = this.refusal(driven)
    if (refusal !== undefined) return refusal
    const holder = this.#holders.get(identity)
    this.#holders.set(identity, driven)
    this.#identities.set(driven, identity)
    // What one that is draining has begun may be finished.
    if (holder?.now === "open" || holder?.now === "interrupted") {
      holder.expel(Refusals[replaced], "another connection of the same identity has replaced this one")
    }
    return undefined
  }

  /** A connection has ended. */
  release(driven: Driven<M, P>): void {
    const identity = this.#identities.get(driven)
    if (identity === undefined) return
    this.#identities.delete(driven)
    if (this.#holders.get(identity) === driven) this.#holders.delete(identity)
  }
}
