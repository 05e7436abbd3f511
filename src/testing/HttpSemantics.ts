/**
 * What HTTP means, as tests for a transport: some 250 claims about methods, fields, bodies, streams, failures,
 * interruption, routing, `HttpApi` and tracing between Effect's HTTP client and server.
 *
 * **When to use**
 *
 * For a transport or a server of your own, a proxy between two peers, or parts of a connection that you have replaced: what
 * holds for Effect's own HTTP should hold there. To test an application, use `SwaggerSocketTest`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import type * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as ApiClient from "../ApiClient.ts"
import * as ApiServer from "../ApiServer.ts"
import type * as Connection from "../Connection.ts"
import { topics } from "../internal/testing/http/all.ts"
import type * as Cases from "../internal/testing/http/cases.ts"
import { registerEffect } from "../internal/testing/registerEffect.ts"
import type { Runner } from "./Runner.ts"

/**
 * What a way to connect two peers has to provide: a server, a client whose relative URLs lead to that server, and the
 * platform's services for files.
 *
 * @since 0.1.0
 * @category models
 */
export type Services = Cases.Services

/**
 * One claim.
 *
 * @since 0.1.0
 * @category models
 */
export interface Case {
  /** What it is about, such as `streaming`. */
  readonly topic: string
  /** The claim, which no other case has. */
  readonly title: string
  /** Fails or dies where the claim does not hold. Each case needs services of its own. */
  readonly run: Effect.Effect<unknown, unknown, Services | Scope.Scope>
}

/**
 * All cases, for a test runner that `suite` does not fit.
 *
 * **Example** (What is claimed of streams)
 *
 * ```ts
 * import * as HttpSemantics from "effect-swaggersocket/testing/HttpSemantics"
 *
 * export const claims = HttpSemantics.cases.filter(({ topic }) => topic === "streaming").map(({ title }) => title)
 * ```
 *
 * @since 0.1.0
 * @category testing
 */
export const cases: ReadonlyArray<Case> = Object.entries(topics).flatMap(([topic, cases]) =>
  cases.map(({ run, title }) => ({ topic, title, run }))
)

/**
 * The server and the client of the suite on the two ends of a connection: `serving` has the server, `calling` the client.
 *
 * **Example** (The server is called on the socket that its client dialled)
 *
 * ```ts
 * import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
 * import * as HttpSemantics from "effect-swaggersocket/testing/HttpSemantics"
 * import * as Effect from "effect/Effect"
 *
 * export const Ends = HttpSemantics.layerConnections(
 *   Effect.map(SwaggerSocketTest.makePair(), ({ client, server }) => ({ serving: client, calling: server }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConnections = <E, R>(
  connect: Effect.Effect<
    { readonly serving: Connection.Connection; readonly calling: Connection.Connection },
    E,
    R
  >
): Layer.Layer<HttpServer.HttpServer | HttpClient.HttpClient, E, Exclude<R, Scope.Scope>> =>
  Layer.unwrap(Effect.map(
    connect,
    ({ calling, serving }) => Layer.merge(ApiServer.layerConnection(serving), ApiClient.layerConnection(calling))
  ))

/**
 * Registers the cases as tests of a way to connect two peers. The layer is built anew for each case.
 *
 * **Details**
 *
 * `skip` names the cases that the transport can't keep, each with the reason. A name that is no case's is a failed test,
 * so that the list does not outlive what it excuses.
 *
 * **Example** (Two peers joined in memory, with `node:test`)
 *
 * ```ts
 * import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
 * import * as HttpSemantics from "effect-swaggersocket/testing/HttpSemantics"
 * import { describe, it } from "node:test"
 *
 * const connect = Effect.map(
 *   SwaggerSocketTest.makePair(),
 *   ({ client, server }) => ({ serving: server, calling: client })
 * )
 *
 * HttpSemantics.suite(
 *   { describe, it },
 *   "in memory",
 *   Layer.merge(HttpSemantics.layerConnections(connect), NodeHttpServer.layerHttpServices)
 * )
 * ```
 *
 * @since 0.1.0
 * @category testing
 */
export const suite = <E>(
  runner: Runner,
  name: string,
  layer: Layer.Layer<Services, E>,
  options?: { readonly skip?: Readonly<Record<string, string>> | undefined }
): void => {
  const skip = options?.skip ?? {}
  runner.describe(name, () => {
    for (const [topic, cases] of Object.entries(topics)) {
      runner.describe(topic, () => {
        for (const { run, title } of cases) {
          const reason = skip[title]
          if (reason === undefined) {
            registerEffect(runner, title, run.pipe(Effect.scoped, Effect.provide(layer)))
          } else {
            runner.it.skip(`${title} (skipped: ${reason})`, () => Promise.resolve())
          }
        }
      })
    }
    registerEffect(
      runner,
      "each case that is skipped exists",
      Effect.suspend(() => {
        const unknown = Object.keys(skip).filter((title) => !cases.some((other) => other.title === title))
        return unknown.length === 0 ? Effect.void : Effect.die(new Error(`no case is called ${unknown.join(" or ")}`))
      })
    )
  })
}
