/**
 * The quotas of calls that have a WebSocket of their own: as HTTP answers, because nothing is upgraded before.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Scope from "effect/Scope"
import type { QuotaExceeded } from "../../ConnectionEvent.ts"
import type { Quotas } from "../../Quotas.ts"
import type { Upgrade } from "../handshake/model.ts"
import type { Link } from "../link/link.ts"
import { type Held, HeldThings } from "../quota/held.ts"
import { isTotal } from "../quota/holder.ts"
import { MemoryBudget } from "../quota/memoryBudget.ts"
import { makeOwnQuotas } from "../quota/ownQuotas.ts"
import { describe, type Exceeded } from "../quota/party.ts"
import { Backlog } from "../scheduling/backlog.ts"
import { delay } from "../scheduling/timers.ts"

/** @internal */
export interface CallQuotasOptions {
  readonly quotas: Quotas
  readonly addressOf?: ((upgrade: Upgrade) => string | undefined) | undefined
  readonly principalOf?: ((upgrade: Upgrade) => unknown) | undefined
  readonly onQuotaExceeded?: ((event: QuotaExceeded) => Effect.Effect<void>) | undefined
}

/** Counts what the WebSocket of a call holds, until its scope closes. @internal */
export type CountLink = (link: Link) => Effect.Effect<void, never, Scope.Scope>

/** @internal */
export interface CallQuotas {
  /** Counts a call until its scope closes. Answers a refusal where there is no room for it. */
  readonly admit: (
    request: HttpServerRequest.HttpServerRequest
  ) => Effect.Effect<HttpServerResponse.HttpServerResponse | CountLink, never, Scope.Scope>
}

/** A call has nothing else that its peer makes it hold. */
const noBodies = { unreadBytes: 0 }

/** @internal */
export const makeCallQuotas = Effect.fnUntraced(
  function*(options: CallQuotasOptions): Effect.fn.Return<CallQuotas, never, Scope.Scope> {
    const quotas = yield* makeOwnQuotas({
      ...options,
      areNamed: options.principalOf !== undefined,
      annotations: { module: "StreamingServer", method: "layer" }
    })
    const scope = yield* Effect.scope
    const context = yield* Effect.context<never>()
    const fork = (effect: Effect.Effect<void>) => Fiber.runIn(Effect.runForkWith(context)(effect), scope)
    const held = new HeldThings<Held>("streamingWebSockets", quotas.process)
    const memory = new MemoryBudget(
      quotas.server,
      quotas.process,
      (millis, run) => delay(fork, millis, run),
      new Backlog().add
    )
    return {
      admit: ({ headers, remoteAddress, url }) =>
        Effect.withFiber((fiber): ReturnType<CallQuotas["admit"]> => {
          const upgrade = { headers, url, remoteAddress }
          const known = { ...upgrade, metadata: undefined, principal: undefined }
          const party = quotas.authenticated(quotas.arrival(upgrade), known)
          const exceeded = party.take("handshakesPerSecond") ?? held.refusal(party)
          if (exceeded !== undefined) return Effect.succeed(refusal(exceeded))
          const overload = () => fiber.interruptUnsafe()
          const call: Held = { overload }
          const count: CountLink = (link) => {
            const counted = { link, mux: noBodies, session: undefined, overload }
            return Effect.acquireRelease(
              Effect.sync(() => memory.add(counted, party, 0)),
              () => Effect.sync(() => memory.forget(counted))
            )
          }
          return Effect.as(
            Effect.acquireRelease(
              Effect.sync(() => held.add(call, party)),
              () => Effect.sync(() => held.delete(call))
            ),
            count
          )
        })
    }
  }
)

const refusal = (exceeded: Exceeded): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(`Refused: ${describe(exceeded)}.\n`, {
    status: isTotal(exceeded.holder) ? 503 : 429,
    headers: { "retry-after": "1" }
  })
