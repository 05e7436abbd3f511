/**
 * Ends exchanges whose answer nobody reads to its end: the response was garbage collected, or belonged to a scope
 * (`HttpClient.withScope`) that has closed.
 *
 * `HttpClient.make` keeps track of that for every response, at a price for each call. Here only the few responses whose
 * body is still arriving are handed to it.
 */
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Tracer from "effect/Tracer"

/** `request` is the one that was executed: scopes are found by it. @internal */
export const watch = (
  request: HttpClientRequest.HttpClientRequest,
  response: HttpClientResponse.HttpClientResponse,
  cancel: () => void
): void => {
  const tracker = HttpClient.make((_request, _url, signal) => {
    whenAborted(signal, cancel)
    return Effect.succeed(response)
  })
  Effect.runSync(Effect.provideService(Effect.ignore(tracker.execute(request)), Tracer.DisablePropagation, true))
}

/** @internal */
export const whenAborted = (signal: AbortSignal, cancel: () => void): void => {
  if (signal.aborted) cancel()
  else signal.addEventListener("abort", cancel, { once: true })
}
