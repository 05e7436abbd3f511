/**
 * Serves handlers of the web.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpServer from "effect/http/HttpServer"
import { causeResponseStripped, type HttpServerError } from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type * as Connection from "../Connection.ts"
import type { Handler } from "./model.ts"
import type { Built } from "./running.ts"

/** Throws where something is no handler. */
export const checkHandler = (handler: unknown): void => {
  if (typeof handler === "function") return
  throw new TypeError("expected a handler, a function from Request to Response; of an app give its `fetch`")
}

/** A handler that answers a promise of a `Response`, or rejects. */
export const promised = (handler: Handler): (request: Request) => Promise<Response> => {
  checkHandler(handler)
  return async (request) => {
    const response: unknown = await handler(request)
    if (response instanceof Response) {
      if (!response.bodyUsed) return response
      // It would be sent as an empty one.
      throw new TypeError("the handler has answered a Response whose body was read before: answer a clone of it")
    }
    throw new TypeError(`the handler has answered ${response === null ? "null" : typeof response}, and no Response`)
  }
}

/**
 * Logs why a request has failed on this end: its caller is told 500, or that the body broke, and nothing else. What the caller did
 * wrong is not logged.
 */
export const logFailures = <E, R>(
  app: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
): Effect.Effect<HttpServerResponse.HttpServerResponse, E, R | HttpServerRequest.HttpServerRequest> =>
  Effect.tapCause(app, (cause) => {
    const [{ status }, failure] = causeResponseStripped(cause)
    if (Option.isNone(failure) || Cause.hasInterruptsOnly(failure.value)) return Effect.void
    if (status >= 400 && status < 500) return Effect.void
    return Effect.flatMap(
      HttpServerRequest.HttpServerRequest,
      ({ method, url }) =>
        Effect.annotateLogs(Effect.logError("a handler has failed", failure.value), {
          module: "promise",
          method: "serve",
          "http.method": method,
          "http.url": url.replace(/[?#].*$/s, "")
        })
    )
  })

/** An HTTP app of connections. */
type App = Effect.Effect<
  HttpServerResponse.HttpServerResponse,
  HttpServerError,
  HttpServerRequest.HttpServerRequest | Connection.Connection
>

/** Serves an app until the answer is called, or the scope closes. */
export const serve = <R>(
  server: Layer.Layer<HttpServer.HttpServer | Connection.Connection, never, R>,
  app: App,
  { context, scope }: Built<R>
): () => Promise<void> => {
  const own = Scope.forkUnsafe(scope)
  const served = Layer.provide(HttpServer.serve(app, logFailures), server)
  Effect.runForkWith(context as Context.Context<R>)(Layer.buildWithScope(served, own))
  let stopped: Promise<void> | undefined
  return () => stopped ??= Effect.runPromiseWith(context)(Scope.close(own, Exit.void))
}
