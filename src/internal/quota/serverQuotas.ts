/**
 * The quotas of one server: finds out whose of them a client counts against.
 */
import * as Option from "effect/Option"
import type { Quotas } from "../../Quotas.ts"
import type { Upgrade } from "../handshake/model.ts"
import { countedAddress, networkOf } from "./address.ts"
import { Holder, type HolderKind, quotasOf } from "./holder.ts"
import { Holders } from "./holders.ts"
import { type Client, Party } from "./party.ts"
import { type ProcessTotals, totalsOf } from "./processTotals.ts"
import { Refusals, type RefusalsOptions } from "./refusals.ts"

/** How clients are told apart. @internal */
export interface Counting<M, P> {
  /** The address of a client; `undefined`: not known. Absent: that of its TCP connection. */
  readonly addressOf?: ((upgrade: Upgrade) => string | undefined) | undefined
  /** Absent: the principal itself. */
  readonly principalOf?: ((client: Upgrade & { readonly metadata: M; readonly principal: P }) => unknown) | undefined
}

/** @internal */
export interface ServerQuotasOptions<M, P> extends Counting<M, P>, Omit<RefusalsOptions, "areProxiesCounted"> {
  readonly quotas: Quotas
  /** Milliseconds that only grow. */
  readonly monotonic: () => number
}

/** @internal */
export class ServerQuotas<M, P> {
  readonly server: Holder
  readonly process: ProcessTotals
  readonly #options: Counting<M, P>
  readonly #addresses: Holders<string>
  /** Networks have no quotas. They make room for others, so that nobody has to who has one address for somebody with thousands. */
  readonly #networks: Holders<string>
  readonly #principals: Holders<unknown>
  readonly #refusals: Refusals
  #areProxiesCounted = false
  /** By what counts against it, such as a connection. */
  readonly #parties = new WeakMap<object, Party>()

  constructor(options: ServerQuotasOptions<M, P>) {
    const { monotonic, quotas } = options
    const make = (kind: HolderKind, key: unknown, onChange: (holder: Holder) => void) =>
      new Holder(kind, key, quotasOf(quotas, kind), monotonic, onChange)
    this.#options = options
    this.server = make("server", undefined, () => {})
    this.process = totalsOf(quotas.process)
    this.#addresses = new Holders((address, onChange) => make("address", address, onChange))
    this.#networks = new Holders((network, onChange) => new Holder("address", network, {}, monotonic, onChange))
    this.#principals = new Holders((principal, onChange) => make("principal", principal, onChange))
    this.#refusals = new Refusals({
      ...options,
      areProxiesCounted: () => this.#areProxiesCounted
    })
  }

  /** Whose quotas an upgrade request counts against, before it is known who asks. */
  arrival(upgrade: Upgrade): Party {
    const { addressOf = remoteAddressOf } = this.#options
    this.#areProxiesCounted ||= addressOf === remoteAddressOf && isForwarded(upgrade)
    return this.of({ address: addressOf(upgrade), principal: undefined })
  }

  /** Whose quotas a client counts against whose address and principal are known, as far as they are. */
  of({ address, principal }: Client): Party {
    const arrival = this.#party(address === undefined ? [] : this.#holdersOf(countedAddress(address)))
    return principal === undefined ? arrival : arrival.with(this.#principals.get(principal))
  }

  /** Whose quotas an authenticated client counts against. */
  authenticated(arrival: Party, client: Upgrade & { readonly metadata: M; readonly principal: P }): Party {
    const { principalOf } = this.#options
    const principal: unknown = principalOf === undefined ? client.principal : principalOf(client)
    return principal === undefined ? arrival : arrival.with(this.#principals.get(principal))
  }

  /** Whose quotas a connection counts against. */
  partyOf(connection: object): Party {
    return this.#parties.get(connection) ?? this.#party([])
  }

  #holdersOf(address: string): ReadonlyArray<Holder> {
    const network = networkOf(address)
    const own = this.#addresses.get(address)
    return network === undefined ? [own] : [own, this.#networks.get(network)]
  }

  #party(known: ReadonlyArray<Holder>): Party {
    return new Party([...known, this.server, this.process.holder], (exceeded) => this.#refusals.add(exceeded))
  }

  assign(connection: object, party: Party): void {
    this.#parties.set(connection, party)
  }
}

const remoteAddressOf = ({ remoteAddress }: Upgrade): string | undefined => Option.getOrUndefined(remoteAddress)

/** Whether a proxy has told another address, which nobody has taken for that of the client. */
const isForwarded = ({ headers, remoteAddress }: Upgrade): boolean => {
  const told = headers["x-forwarded-for"]
  return told !== undefined && Option.isSome(remoteAddress) && !told.includes(remoteAddress.value)
}
