/**
 * Ends exchanges whose response will not be read to its end: the response was garbage collected, or its scope
 * (`HttpClient.withScope`) has closed.
 *
 * `HttpClient.make` detects both, but for every response, which each call would pay for. Here it gets only the few responses
 * whose body has not arrived yet.
 */
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Tracer from "effect/Tracer"

/**
 * Calls `cancel` when a response will not be read. `request` has to be the object that was executed: scopes are found by it.
 *
 * @internal
 */
export const watch = (
  request: HttpClientRequest.HttpClientRequest,
  response: HttpClientResponse.HttpClientResponse,
  cancel: () => void
): void => {
  const tracker = HttpClient.make((_request, _url, signal) => {
    whenAborted(signal, cancel)
    return Effect.succeed(response)
  })
  Effect.runSync(
    Effect.provideService(Effect.catch(tracker.execute(request), () => Effect.void), Tracer.DisablePropagation, true)
  )
}

/** @internal */
export const whenAborted = (signal: AbortSignal, cancel: () => void): void => {
  if (signal.aborted) cancel()
  else signal.addEventListener("abort", cancel, { once: true })
}
