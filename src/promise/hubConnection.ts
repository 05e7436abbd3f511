/**
 * A connection of a hub as promises.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as ApiClient from "../ApiClient.ts"
import * as ApiServer from "../ApiServer.ts"
import type * as Connection from "../Connection.ts"
import { Subscriptions } from "./listening.ts"
import type { CloseConnectionOptions, HubConnection, HubConnectionEvents } from "./model.ts"
import { type Built, checkDrain, disposable, onAbort, run } from "./running.ts"
import { promised, serve } from "./serving.ts"

export const makeHubConnection = <M, P>(
  effect: Connection.Connection<M, P>,
  hub: Built<never>
): HubConnection<M, P> => {
  const { context } = hub
  const listening = new Subscriptions<HubConnectionEvents>({ status: Stream.changes(effect.changes) }, context)
  let closed: Promise<Connection.CloseReason> | undefined
  const close = async ({ code, drain = true, reason, signal }: CloseConnectionOptions = {}): Promise<void> => {
    checkDrain(drain)
    const closing = run(effect.close({ code, reason, drain }), context)
    onAbort(signal, closing, () => void Effect.runForkWith(context)(effect.close({ code, reason })))
    await closing
  }
  return disposable<HubConnection<M, P>>({
    id: effect.id,
    metadata: effect.metadata,
    principal: effect.principal,
    remoteAddress: Option.getOrUndefined(effect.remoteAddress),
    get status() {
      return Effect.runSync(effect.status)
    },
    fetch: ApiClient.toFetch(effect, context),
    serve: (handler) => {
      const stop = serve(ApiServer.layerConnection(effect), ApiServer.fromWebHandler(promised(handler)), hub)
      // Else the hub would keep what was served to each connection that it ever had.
      const watching = Effect.runForkWith(context)(Effect.andThen(effect.closed, Effect.sync(() => void stop())))
      return () => {
        watching.interruptUnsafe()
        return stop()
      }
    },
    get closed() {
      return closed ??= run(effect.closed, context)
    },
    close,
    on: listening.on,
    once: listening.once,
    off: listening.off,
    effect
  }, close)
}
