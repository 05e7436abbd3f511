/**
 * What tests of requests with an idempotency key share: a counting handler, connections, and calls with a key.
 */
import { assert } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServer from "effect/http/HttpServer"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { until } from "../support/waiting.ts"

/** Connections end with their link. */
export const limits = { resumeWindow: 0 }
export const quiet = { disableLogger: true, disableListenLog: true } as const

export type App<E = never> = Effect.Effect<
  HttpServerResponse.HttpServerResponse,
  E,
  HttpServerRequest.HttpServerRequest | Scope.Scope
>

/** A new connection, and an app on its server's end. */
export const connect = Effect.fnUntraced(function*(app: App<unknown>, headers?: Record<string, string>) {
  const { client, server } = yield* SwaggerSocketTest.makePair({ limits, serverLimits: limits })
  yield* Layer.build(HttpServer.serve(app).pipe(Layer.provide(ApiServer.layerConnection(server))))
  const api = HttpClient.mapRequest(ApiClient.make(client), HttpClientRequest.setHeaders(headers ?? {}))
  return { api, close: server.close() }
})

/** Counts the requests that are executed, and answers with their number. */
export const makeCounter = <E = never>(
  respond: (count: number) => App<E> = (count) => Effect.succeed(HttpServerResponse.text(`request ${count}`))
): { count: number; readonly app: App<E> } => {
  const counter: { count: number; readonly app: App<E> } = {
    count: 0,
    app: Effect.suspend((): App<E> => Effect.interruptible(respond(++counter.count)))
  }
  return counter
}

export const ask = Effect.fnUntraced(function*(
  api: HttpClient.HttpClient,
  key: string,
  options: Parameters<HttpClient.HttpClient["post"]>[1] & {
    readonly method?: "POST" | "PATCH" | "GET"
    readonly url?: string
  } = {}
) {
  const { method = "POST", url = "/orders", ...rest } = options
  const request = HttpClientRequest.make(method)(url, rest)
  const response = yield* api.execute(HttpClientRequest.setHeader(request, "idempotency-key", key))
  return {
    status: response.status,
    replayed: response.headers["idempotency-replayed"],
    headers: response.headers,
    cookies: response.cookies,
    text: yield* response.text
  }
})

export const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

/** Keys are hashed on another thread, which no test clock moves. */
export const pause = (millis: number) => Effect.promise(() => new Promise((resolve) => setTimeout(resolve, millis)))

export const eventually = (check: () => boolean): Effect.Effect<void> => until("it comes about", check)

/** Time for what must not happen. */
export const settle = pause(30)

export const first = { status: 200, text: "request 1" }

export const assertAnswer = (
  answer: Effect.Success<ReturnType<typeof ask>>,
  expected: { readonly status: number; readonly text?: string; readonly replayed?: true }
) => {
  assert.strictEqual(answer.status, expected.status, answer.text)
  if (expected.text !== undefined) assert.strictEqual(answer.text, expected.text)
  assert.strictEqual(answer.replayed, expected.replayed === true ? "true" : undefined)
}
