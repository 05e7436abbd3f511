/**
 * Keeps at most one connection for each identity: a second one replaces the first, or is refused.
 */
import type { ConnectionDriver } from "../connection/types.ts"
import { RefusalCode as Refusals } from "../frame/codes.ts"
import { refused } from "../link/refusal.ts"

/** @internal */
export interface IdentityOptions<M, P> {
  readonly of: (client: { readonly metadata: M; readonly principal: P }) => string | undefined
  readonly policy: "replace-older" | "refuse-newer"
}

/** How many connections that it has replaced, one after the other, a connection remembers. A guess. */
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
  /** For each connection that has an identity, the number of its handshake. */
  readonly #handshakes = new Map<ConnectionDriver<M, P>, number>()
  /** Connections whose clients had another one before. */
  readonly #continued = new Set<ConnectionDriver<M, P>>()
  readonly #identities = new Map<ConnectionDriver<M, P>, string>()
  /** For each connection that has an identity, the ids of the last ones that it has replaced. */
  readonly #predecessors = new Map<ConnectionDriver<M, P>, ReadonlyArray<string>>()
  readonly #onReplaced: (driver: ConnectionDriver<M, P>) => void

  /** Without `options` no connection has an identity. `onReplaced` is told of a connection that ends because it is replaced. */
  constructor(options: IdentityOptions<M, P> | undefined, onReplaced: (driver: ConnectionDriver<M, P>) => void) {
    this.#options = options
    this.#onReplaced = onReplaced
  }

  #holderOf(client: { readonly metadata: M; readonly principal: P }): ConnectionDriver<M, P> | undefined {
    const identity = this.#options?.of(client)
    return identity === undefined ? undefined : this.#holders.get(identity)
  }

  /**
   * Why a client can't resume a connection: another one has replaced it, perhaps while it had no link to tell the client on.
   * Without this the client would get a new connection, and replace its successor with that.
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
    // A connection that has lost its link may be dead, and one that is draining ends soon: both make way.
    return holder?.now === "open" ? inUse : undefined
  }

  /** Whether a new connection of the client takes the place of another one. */
  replaces(client: { readonly metadata: M; readonly principal: P }): boolean {
    return this.#holderOf(client)?.takesRequests === true
  }

  /**
   * A new connection is about to open: it replaces an older one of its identity, or is refused. `handshake` counts the
   * handshakes of the server: the older connection is the one whose handshake began earlier. `hadAnother`: its client wanted to
   * resume another one.
   */
  take(driver: ConnectionDriver<M, P>, handshake: number, hadAnother = false): typeof inUse | undefined {
    const identity = this.#options?.of(driver)
    if (identity === undefined) return undefined
    const refusal = this.refusal(driver)
    if (refusal !== undefined) return refusal
    const holder = this.#holders.get(identity)
    if (holder?.takesRequests && this.#options!.policy === "replace-older") {
      // Its client may be gone, which nobody has noticed while it was authenticated.
      if (handshake < this.#handshakes.get(holder)!) return replaced
      // Perhaps a program that leaves, which goes on to dial while its calls end, and whose successor is there already. Or the client
      // comes from another server, and its connection here is dead: it may come again, and replaces that once this is known.
      if (hadAnother && !this.#continued.has(holder) && holder.now === "open") return inUse
    }
    this.#handshakes.set(driver, handshake)
    if (hadAnother) this.#continued.add(driver)
    this.#holders.set(identity, driver)
    this.#identities.set(driver, identity)
    if (holder === undefined) return undefined
    // A connection that is draining may finish its calls: it is not closed.
    const isReplaced = holder.takesRequests
    // Only for `replace-older`: where newer connections are refused, a client that comes back replaces none.
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
    this.#handshakes.delete(driver)
    this.#continued.delete(driver)
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
