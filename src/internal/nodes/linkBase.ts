/**
 * What each end of a node link serves whatever else it does: it proves that it knows the secret, and refuses requests for connections
 * that it does not have.
 */
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { type App, type Apps, passed, type Peer } from "../connection/peer.ts"
import { addApp } from "../http/addApp.ts"
import { makeApp } from "../http/serverExchange.ts"
import { randomId } from "../scheduling/random.ts"
import { ask } from "./ask.ts"
import type { Node } from "./node.ts"
import type { Proofs } from "./proof.ts"
import { refuseUnknown } from "./relayedRequests.ts"

const path = "/proof/"

/** Serves it while the scope is open. `self` and `peer` are the nodes of the link. @internal */
export const serveBase = (
  apps: Apps,
  proofs: Proofs | undefined,
  self: Node,
  peer: Node
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { app, idle } = yield* makeApp(
      Effect.map(HttpServerRequest.HttpServerRequest, ({ url }) =>
        proofs === undefined || !url.startsWith(path)
          ? HttpServerResponse.empty({ status: 404 })
          : HttpServerResponse.text(proofs.of("node", url.slice(path.length), self.instance, peer.instance))),
      undefined
    )
    const base: App = (peer, stream, request) => {
      const refused = refuseUnknown(peer, stream, request)
      return refused === passed ? app(peer, stream, request) : refused
    }
    yield* addApp(apps, base, idle)
  })

/** The other end may not serve yet when it is asked first. */
const attempts = Schedule.upTo(Schedule.spaced("100 millis"), { times: 50 })

/** Whether the other end knows the secret. @internal */
export const isProven = (link: Peer, proofs: Proofs, self: Node, peer: Node): Effect.Effect<boolean> =>
  Effect.flatMap(randomId, (challenge) => {
    const asked = Effect.flatMap(
      ask(link, HttpClientRequest.get(`${path}${challenge}`)),
      (response) => response.text
    )
    const again = Effect.retry(asked, attempts)
    return Effect.match(again, {
      onFailure: () => false,
      onSuccess: (proof) => proofs.isValid(proof, "node", challenge, peer.instance, self.instance)
    })
  })
