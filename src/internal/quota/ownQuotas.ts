/**
 * Quotas of what is no server of connections, such as a group of streaming endpoints. There are no events that its users could
 * follow, so a hook is told.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { QuotaExceeded } from "../../ConnectionEvent.ts"
import type { Quotas } from "../../Quotas.ts"
import * as hook from "../scheduling/hook.ts"
import { delay } from "../scheduling/timers.ts"
import { type Counting, ServerQuotas } from "./serverQuotas.ts"

/** @internal */
export interface OwnQuotasOptions extends Counting<undefined, undefined> {
  readonly quotas: Quotas
  readonly onQuotaExceeded?: ((event: QuotaExceeded) => Effect.Effect<void>) | undefined
  /** Events name principals. */
  readonly areNamed: boolean
  /** Of log lines. */
  readonly annotations: Readonly<Record<string, string>>
}

/** Made for as long as the scope is open. @internal */
export const makeOwnQuotas = Effect.fnUntraced(
  function*(options: OwnQuotasOptions): Effect.fn.Return<ServerQuotas<undefined, undefined>, never, Scope.Scope> {
    const clock = yield* Clock.Clock
    const context = yield* Effect.context<never>()
    const scope = yield* Effect.scope
    const fork = (effect: Effect.Effect<void>) => Fiber.runIn(Effect.runForkWith(context)(effect), scope)
    const tell = hook.make("onQuotaExceeded", fork)
    const { annotations, onQuotaExceeded } = options
    return new ServerQuotas<undefined, undefined>({
      ...options,
      context,
      now: () => clock.currentTimeMillisUnsafe(),
      monotonic: () => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000,
      delay: (millis, run) => delay(fork, millis, run),
      log: (line) => fork(Effect.annotateLogs(line, annotations)),
      publish: (event) => {
        if (onQuotaExceeded !== undefined) tell(onQuotaExceeded(event))
      }
    })
  }
)
