/**
 * What a link has to do (PROTOCOL.md, "Links"), as tests for a transport of your own: messages, back-pressure, how links end,
 * and connections over them.
 *
 * **When to use**
 *
 * For a transport that `Link.make` makes links of. It is given two ends that are joined, anew for each claim; no server is
 * needed. A transport that keeps these claims keeps what HTTP means as well: `HttpSemantics` shows that.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as ApiClient from "../ApiClient.ts"
import * as ApiServer from "../ApiServer.ts"
import { connectionCases, type Join } from "../internal/testing/links/connections.ts"
import { endingCases } from "../internal/testing/links/endings.ts"
import { messageCases } from "../internal/testing/links/messages.ts"
import { registerEffect } from "../internal/testing/registerEffect.ts"
import type { Link } from "../Link.ts"
import * as SwaggerSocketClient from "../SwaggerSocketClient.ts"
import * as SwaggerSocketServer from "../SwaggerSocketServer.ts"
import type { Runner } from "./Runner.ts"

/**
 * Makes the two ends of a link. They are released with the scope.
 *
 * @since 0.1.0
 * @category models
 */
export type MakeEnds<E = unknown> = Effect.Effect<{ readonly near: Link; readonly far: Link }, E, Scope.Scope>

/**
 * One claim about links.
 *
 * @since 0.1.0
 * @category models
 */
export interface Case {
  /** What it is about, such as `messages`. */
  readonly topic: string
  /** The claim, which no other case has. */
  readonly title: string
  /** Fails or dies where the claim does not hold. */
  readonly run: (makeEnds: MakeEnds) => Effect.Effect<void, unknown>
}

class Peers extends SwaggerSocketServer.Service<Peers>()("effect-swaggersocket/testing/LinkConformance/Peers") {}

const Echo = HttpRouter.serve(
  HttpRouter.add(
    "POST",
    "/echo",
    Effect.map(HttpServerRequest.HttpServerRequest, ({ stream }) => HttpServerResponse.stream(stream))
  ),
  { disableLogger: true, disableListenLog: true }
)

const join: Join = (makeEnds, onLink) =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const peers = yield* Effect.map(Layer.build(Peers.layerNoRoute({})), (context) => Context.get(context, Peers))
    const client = yield* SwaggerSocketClient.make({
      link: Effect.gen(function*() {
        const ends = yield* makeEnds
        onLink(ends)
        yield* Effect.forkIn(peers.accept(Effect.succeed(ends.far)), scope)
        return ends.near
      })
    })
    const connections = [yield* client.connection, yield* peers.awaitConnection()] as const
    for (const end of connections) yield* Layer.build(Layer.provide(Echo, ApiServer.layerConnection(end)))
    return {
      connections,
      echo: (connection, body) =>
        Effect.gen(function*() {
          const request = HttpClientRequest.bodyUint8Array(HttpClientRequest.post("/echo"), body)
          const response = yield* ApiClient.make(connection).execute(request)
          return new Uint8Array(yield* response.arrayBuffer)
        })
    }
  })

const topics = { messages: messageCases, endings: endingCases, connections: connectionCases(join) }

/**
 * All cases, for a test runner that `suite` does not fit.
 *
 * **Example** (What is claimed of the ends of links)
 *
 * ```ts
 * import * as LinkConformance from "effect-swaggersocket/testing/LinkConformance"
 *
 * export const claims = LinkConformance.cases.filter(({ topic }) => topic === "endings").map(({ title }) => title)
 * ```
 *
 * @since 0.1.0
 * @category testing
 */
export const cases: ReadonlyArray<Case> = Object.entries(topics).flatMap(([topic, cases]) =>
  cases.map(({ run, title }) => ({ topic, title, run }))
)

/**
 * Registers the cases as tests of a way to make links.
 *
 * **Details**
 *
 * `skip` names the cases that the transport can't keep, each with the reason. A name that is no case's is a failed test.
 *
 * **Example** (Ends in memory, with `node:test`)
 *
 * ```ts
 * import * as Link from "effect-swaggersocket/Link"
 * import * as LinkConformance from "effect-swaggersocket/testing/LinkConformance"
 * import * as Effect from "effect/Effect"
 * import { describe, it } from "node:test"
 *
 * LinkConformance.suite({ describe, it }, "in memory", Effect.map(Link.makePair, ([near, far]) => ({ near, far })))
 * ```
 *
 * @since 0.1.0
 * @category testing
 */
export const suite = (
  runner: Runner,
  name: string,
  makeEnds: MakeEnds,
  options?: { readonly skip?: Readonly<Record<string, string>> | undefined }
): void => {
  const skip = options?.skip ?? {}
  runner.describe(name, () => {
    for (const [topic, ofTopic] of Object.entries(topics)) {
      runner.describe(topic, () => {
        for (const { run, title } of ofTopic) {
          const reason = skip[title]
          if (reason === undefined) registerEffect(runner, title, run(makeEnds))
          else runner.it.skip(`${title} (skipped: ${reason})`, () => Promise.resolve())
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
