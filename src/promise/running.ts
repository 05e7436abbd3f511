/**
 * Builds layers and runs effects for callers that have promises.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Limits from "../Limits.ts"

/** What was built of a layer, and lives until its scope closes. */
export interface Built<R> {
  readonly context: Context.Context<R>
  readonly scope: Scope.Closeable
}

/** Runs an effect. Rejects with what it has failed with, or with the reason of the signal. */
export const run = async <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  context: Context.Context<R>,
  signal?: AbortSignal
): Promise<A> => {
  signal?.throwIfAborted()
  const exit = await Effect.runPromiseExitWith(context)(effect, signal && { signal })
  if (Exit.isSuccess(exit)) return exit.value
  signal?.throwIfAborted()
  throw Cause.squash(exit.cause)
}

/** Builds a layer. Where that fails, nothing of it is left. */
export const build = async <R, E>(
  layer: Layer.Layer<R, E>,
  signal: AbortSignal | undefined
): Promise<Built<R>> => {
  // What is served later closes at the same time as the layer. A client would else go on to dial until its handlers are done.
  const scope = Scope.makeUnsafe("parallel")
  try {
    const own = Scope.forkUnsafe(scope, "sequential")
    const context = await run(Layer.buildWithScope(layer, own), Context.empty(), signal)
    signal?.throwIfAborted()
    return { context, scope }
  } catch (cause) {
    await Effect.runPromiseExit(Scope.close(scope, Exit.void))
    throw cause
  }
}

/** The limits that are given, and whatever else is set by layers. */
export const environment = ({ layer = Layer.empty, limits }: {
  readonly layer?: Layer.Layer<never, unknown> | undefined
  readonly limits?: Limits.Options | undefined
}): Layer.Layer<never, unknown> =>
  Layer.provideMerge(
    Layer.effect(Limits.Limits, Effect.map(Limits.Limits, (base) => Limits.make(limits, base))),
    layer
  )

/** Throws where an option is no duration: whoever waits for one would wait for something else, or for ever. */
export const checkDuration = (name: string, given: unknown): void => {
  try {
    Duration.fromInputUnsafe(given as Duration.Input)
  } catch {
    throw new TypeError(`${name}: expected milliseconds or a text such as "5 seconds", not ${String(given)}`)
  }
}

/** Throws where the option `drain` is none. */
export const checkDrain = (drain: unknown): void => {
  if (typeof drain !== "boolean") checkDuration("drain", drain)
}

/** Calls `abort` when the signal is aborted, now or before `end`. */
export const onAbort = (signal: AbortSignal | undefined, end: Promise<unknown>, abort: () => void): void => {
  if (signal === undefined) return
  if (signal.aborted) return abort()
  signal.addEventListener("abort", abort, { once: true })
  const forget = () => signal.removeEventListener("abort", abort)
  end.then(forget, forget)
}

/** Adds what `await using` calls, where the platform knows that. */
export const disposable = <A extends AsyncDisposable>(
  members: Omit<A, typeof Symbol.asyncDispose>,
  close: () => Promise<void>
): A => {
  const { asyncDispose } = Symbol as { readonly asyncDispose?: symbol }
  if (asyncDispose !== undefined) Object.defineProperty(members, asyncDispose, { value: () => close() })
  return members as A
}
