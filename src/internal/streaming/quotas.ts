/**
 * The quotas of calls that have a WebSocket of their own: as HTTP answers, because nothing is upgraded before.
 */
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Scope from "effect/Scope"
import type { QuotaExceeded } from "../../ConnectionEvent.ts"
import type { Quotas } from "../../Quotas.ts"
import type { Upgrade } from "../handshake/model.ts"
import { type Held, HeldThings } from "../quota/held.ts"
import { isTotal } from "../quota/holder.ts"
import { makeOwnQuotas } from "../quota/ownQuotas.ts"
import { describe, type Exceeded } from "../quota/party.ts"

/** @internal */
export interface CallQuotasOptions {
  readonly quotas: Quotas
  readonly addressOf?: ((upgrade: Upgrade) => string | undefined) | undefined
  readonly principalOf?: ((upgrade: Upgrade) => unknown) | undefined
  readonly onQuotaExceeded?: ((event: QuotaExceeded) => Effect.Effect<void>) | undefined
}

/** @internal */
export interface CallQuotas {
  /** Counts a call until its scope closes. Answers a refusal where there is no room for it. */
  readonly admit: (
    request: HttpServerRequest.HttpServerRequest
  ) => Effect.Effect<HttpServerResponse.HttpServerResponse | undefined, never, Scope.Scope>
}

/** @internal */
export const makeCallQuotas = Effect.fnUntraced(
  function*(options: CallQuotasOptions): Effect.fn.Return<CallQuotas, never, Scope.Scope> {
    const quotas = yield* makeOwnQuotas({
      ...options,
      areNamed: options.principalOf !== undefined,
      annotations: { module: "StreamingServer", method: "layer" }
    })
    const held = new HeldThings<Held>("streamingWebSockets", quotas.process)
    return {
      admit: ({ headers, remoteAddress, url }) =>
        Effect.withFiber((fiber) => {
          const upgrade = { headers, url, remoteAddress }
          const known = { ...upgrade, metadata: undefined, principal: undefined }
          const party = quotas.authenticated(quotas.arrival(upgrade), known)
          const exceeded = party.take("handshakesPerSecond") ?? held.refusal(party)
          if (exceeded !== undefined) return Effect.succeed(refusal(exceeded))
          const call: Held = { overload: () => fiber.interruptUnsafe() }
          return Effect.as(
            Effect.acquireRelease(
              Effect.sync(() => held.add(call, party)),
              () => Effect.sync(() => held.delete(call))
            ),
            undefined
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
