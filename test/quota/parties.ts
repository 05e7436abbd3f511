/**
 * Quotas without a server: what is refused is kept in a list.
 */
import * as Quotas from "effect-swaggersocket/Quotas"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as Option from "effect/Option"
import type { QuotaExceeded } from "../../src/ConnectionEvent.ts"
import type { Party } from "../../src/internal/quota/party.ts"
import type { ProcessTotals } from "../../src/internal/quota/processTotals.ts"
import { type Counting, ServerQuotas } from "../../src/internal/quota/serverQuotas.ts"

export class Parties {
  readonly events: Array<QuotaExceeded> = []
  /** Lines of the log, which have not been written. */
  readonly lines: Array<Effect.Effect<void>> = []
  /** Milliseconds. */
  now = 0
  readonly #timers: Array<{ readonly at: number; readonly run: () => void }> = []
  readonly #quotas: ServerQuotas<unknown, unknown>

  /** Servers whose quotas are made with the same `base` share the totals of a process. */
  constructor(
    options: Quotas.Options = {},
    counting: Pick<Counting<unknown, unknown>, "principalOf"> = {},
    base: Quotas.Quotas = Quotas.make({ process: {} }),
    context: Context.Context<never> = Context.empty()
  ) {
    this.#quotas = new ServerQuotas({
      ...counting,
      quotas: Quotas.make(options, base),
      context,
      now: () => this.now,
      monotonic: () => this.now,
      delay: (millis, run) => void this.#timers.push({ at: this.now + millis, run }),
      log: (line) => void this.lines.push(line),
      publish: (event) => void this.events.push(event),
      areNamed: counting.principalOf !== undefined
    })
  }

  get process(): ProcessTotals {
    return this.#quotas.process
  }

  /** Of a client that is known, or not: of neither, only the server's quotas hold. */
  of(client: {
    readonly address?: string | undefined
    readonly principal?: unknown
    readonly headers?: Record<string, string>
  }): Party {
    const upgrade = {
      headers: Headers.fromInput(client.headers),
      url: "/",
      remoteAddress: Option.fromUndefinedOr(client.address)
    }
    const arrival = this.#quotas.arrival(upgrade)
    return this.#quotas.authenticated(arrival, { ...upgrade, metadata: undefined, principal: client.principal })
  }

  /** Time passes. */
  advance(millis: number): void {
    this.now += millis
    for (const timer of this.#timers.splice(0)) {
      if (timer.at <= this.now) timer.run()
      else this.#timers.push(timer)
    }
  }
}
