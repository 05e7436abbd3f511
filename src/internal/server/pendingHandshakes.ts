/**
 * The handshakes in progress on a server. When there are too many, the address that has the most gives way to the others.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { refused } from "../link/refusal.ts"
import type { Exceeded, Party } from "../quota/party.ts"

const gaveWay = refused(
  "local",
  "OVERLOADED",
  "too many handshakes are in progress, and most of them from this address"
)

/** @internal */
export class PendingHandshake {
  readonly arrival: Party
  readonly #failed: Deferred.Deferred<never, SwaggerSocketError> = Deferred.makeUnsafe()
  readonly #onEnd: (handshake: PendingHandshake) => void
  /** What it counts against: first the address and the server, then the principal as well. */
  readonly #counted: Array<Party> = []

  constructor(arrival: Party, onEnd: (handshake: PendingHandshake) => void) {
    this.arrival = arrival
    this.#onEnd = onEnd
    this.count(arrival)
  }

  /** Counts it against further quotas. */
  count(party: Party): void {
    party.add("pendingHandshakes")
    this.#counted.push(party)
  }

  /** Runs a step of the handshake; interrupts it as soon as the handshake fails for another reason. */
  guard<A, E>(step: Effect.Effect<A, E>): Effect.Effect<A, E | SwaggerSocketError> {
    return Effect.raceFirst(step, Deferred.await(this.#failed))
  }

  fail(error: SwaggerSocketError): void {
    Deferred.doneUnsafe(this.#failed, Effect.fail(error))
  }

  /** It counts no longer. */
  end(): void {
    for (const party of this.#counted.splice(0)) party.release("pendingHandshakes")
    this.#onEnd(this)
  }
}

/** @internal */
export class PendingHandshakes {
  /** The oldest first. */
  readonly #all = new Set<PendingHandshake>()

  begin(arrival: Party): PendingHandshake {
    const handshake = new PendingHandshake(arrival, (handshake) => this.#all.delete(handshake))
    this.#all.add(handshake)
    return handshake
  }

  /** Answers why no handshake may begin; else there is room for one, if need be that of another address. */
  refusal(arrival: Party): Exceeded | undefined {
    const exceeded = arrival.refusal("pendingHandshakes")
    if (exceeded?.holder.kind !== "server") return exceeded
    const largest = this.#largest()
    if (largest === undefined || pendingOf(largest.arrival) <= pendingOf(arrival)) return exceeded
    // At once: until it has ended others would come.
    largest.end()
    largest.fail(gaveWay)
    return undefined
  }

  /** The oldest handshake of the address that has the most: a client that means well is done after a round trip. */
  #largest(): PendingHandshake | undefined {
    let largest: PendingHandshake | undefined = undefined
    let most = 0
    for (const handshake of this.#all) {
      const count = pendingOf(handshake.arrival)
      if (count > most) [largest, most] = [handshake, count]
    }
    return largest
  }
}

/** How many handshakes of the same address are in progress; 0 where the address is not known. */
const pendingOf = (arrival: Party): number => arrival.payer?.used("pendingHandshakes") ?? 0
