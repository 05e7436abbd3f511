/**
 * At most one connection for each identity: what becomes of the second one of a client that is there already.
 */
import type { ConnectionDriver } from "../connection/types.ts"
import { RefusalCode as Refusals } from "../frame/errorCode.ts"
import { refused } from "../link/refusal.ts"

/** @internal */
export interface IdentityOptions<M, P> {
  readonly of: (client: { readonly metadata: M; readonly principal: P }) => string | undefined
  readonly policy: "replace-older" | "refuse-newer"
}

/** Connections that one of their identity has replaced, and that it knows of. */
const maxPredecessors = 16

const replaced = refused(
  "local",
  "IDENTITY_REPLACED",
  "another connection of the same identity has replaced this one"
)

const inUse = refused("local", "IDENTITY_IN_USE", "another connection of the same identity is open")

/** @internal */
export class Identities<M, P> {
  readonly #options: IdentityOptions<M, P> | undefined
  readonly #holders = new Map<string, ConnectionDriver<M, P>>()
  readonly #identities = new Map<ConnectionDriver<M, P>, string>()
  /** Ids of connections that were replaced, by the one that has their identity now; the last ones. */
  readonly #predecessors = new Map<ConnectionDriver<M, P>, ReadonlyArray<string>>()
  readonly #onReplaced: (driver: ConnectionDriver<M, P>) => void

  /** No `options`: no connection has an identity. `onReplaced`: a connection ends now, and its client is not to come back. */
  constructor(options: IdentityOptions<M, P> | undefined, onReplaced: (driver: ConnectionDriver<M, P>) => void) {
    this.#options = options
    this.#onReplaced = onReplaced
  }

  #holderOf(client: { readonly metadata: M; readonly principal: P }): ConnectionDriver<M, P> | undefined {
    const identity = this.#options?.of(client)
    return identity === undefined ? undefined : this.#holders.get(identity)
  }

  /**
   * Why a client can't go on with a connection: that was replaced, perhaps while it had no link on which this could be said.
   * The client would get a new one, and replace its successor with that.
   */
  refusalToResume(
    client: { readonly metadata: M; readonly principal: P },
    connectionId: string
  ): typeof replaced | undefined {
    if (this.#predecessors.size === 0) return undefined
    const holder = this.#holderOf(client)
    const predecessors = holder === undefined ? undefined : this.#predecessors.get(holder)
    return predecessors?.includes(connectionId) ? replaced : undefined
  }

  /** Why a client gets no new connection. */
  refusal(client: { readonly metadata: M; readonly principal: P }): typeof inUse | undefined {
    if (this.#options?.policy !== "refuse-newer") return undefined
    const holder = this.#holderOf(client)
    // One that has lost its link may be dead, and one that is draining makes way for the next.
    return holder?.now === "open" ? inUse : undefined
  }

  /** A new connection is about to open: it replaces an older one of its identity, or is refused. */
  take(driver: ConnectionDriver<M, P>): typeof inUse | undefined {
    const identity = this.#options?.of(driver)
    if (identity === undefined) return undefined
    const refusal = this.refusal(driver)
    if (refusal !== undefined) return refusal
    const holder = this.#holders.get(identity)
    this.#holders.set(identity, driver)
    this.#identities.set(driver, identity)
    if (holder === undefined) return undefined
    // What one that is draining has begun may be finished.
    const isReplaced = holder.takesRequests
    // Where newer ones are refused, nobody who comes back replaces anybody.
    if (this.#options?.policy === "replace-older") this.#remember(driver, holder, isReplaced)
    if (isReplaced) {
      holder.expel(Refusals.IDENTITY_REPLACED, "another connection of the same identity has replaced this one")
    }
    return undefined
  }

  #remember(driver: ConnectionDriver<M, P>, holder: ConnectionDriver<M, P>, isReplaced: boolean): void {
    const before = this.#predecessors.get(holder) ?? []
    const predecessors = isReplaced ? [...before, holder.id].slice(-maxPredecessors) : before
    if (predecessors.length > 0) this.#predecessors.set(driver, predecessors)
    if (isReplaced) this.#onReplaced(holder)
  }

  /** A connection has ended. */
  release(driver: ConnectionDriver<M, P>): void {
    this.#predecessors.delete(driver)
    const identity = this.#identities.get(driver)
    if (identity === undefined) return
    this.#identities.delete(driver)
    if (this.#holders.get(identity) === driver) this.#holders.delete(identity)
  }
}

/** As the application gives them: `undefined` where nothing follows from identities. @internal */
export const identityOptions = <M, P>(
  identity: IdentityOptions<M, P>["of"] | undefined,
  onSameIdentity: IdentityOptions<M, P>["policy"] | "keep-both" | undefined
): IdentityOptions<M, P> | undefined => {
  if (identity === undefined && onSameIdentity !== undefined) {
    throw new RangeError("SwaggerSocketServer: onSameIdentity needs an identity, which says who is the same")
  }
  return identity === undefined || onSameIdentity === "keep-both"
    ? undefined
    : { of: identity, policy: onSameIdentity ?? "replace-older" }
}
