/**
 * Links that the program hands to a server, instead of an upgrade request.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Headers from "effect/http/Headers"
import * as Option from "effect/Option"
import { Scope } from "effect/Scope"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import type { ConnectionDriver } from "../connection/types.ts"
import { closeRefused, type Link } from "../link/link.ts"
import * as model from "../link/model.ts"
import { refused } from "../link/refusal.ts"
import * as metrics from "../observe/metrics.ts"
import { describe } from "../quota/party.ts"
import type { Acceptor } from "./acceptor.ts"

/**
 * What is known of the peer of a link that a server is given: authentication sees it, as that of an upgrade request.
 *
 * @since 0.1.0
 * @category models
 */
export interface AcceptOptions {
  /** Fields, as of an upgrade request. Default none. */
  readonly headers?: Headers.Input | undefined
  /** Path and query, as of an upgrade request. Default `/`. */
  readonly url?: string | undefined
  /** Address of the client. Quotas count by it. Default none. */
  readonly remoteAddress?: string | undefined
}

/** What a server accepts links with. @internal */
export interface ProgramLinksOptions {
  /** The wires that are spoken. Absent: both. */
  readonly wires?: ReadonlyArray<"v1" | "v2"> | undefined
  /** Services that links are made with: the limits of the server. */
  readonly services: Context.Context<never>
}

/** Uses a link until it has ended, or the connection that began with it. @internal */
export const acceptLink = <M, P, E, R>(
  acceptor: Acceptor<M, P>,
  { services, wires = ["v2"] }: ProgramLinksOptions,
  link: Effect.Effect<model.Link, E, R>,
  { headers, remoteAddress, url = "/" }: AcceptOptions
): Effect.Effect<void, never, Exclude<R, Scope>> =>
  Effect.contextWith((context: Context.Context<Exclude<R, Scope>>) => {
    if (!wires.includes("v2")) return Effect.die(new TypeError("accept: links carry wire v2, which `wires` leaves out"))
    let used: ConnectionDriver<M, P> | undefined = undefined
    // In the scope that closes the link, whatever scope there is around.
    const opening = Effect.flatMap(Scope, (scope) => {
      const own = Context.merge(Context.merge(context, services), Context.make(Scope, scope)) as Context.Context<R>
      return Effect.flatMap(
        Effect.provideContext(link, own),
        (link) => link[model.TypeId] as Effect.Effect<Link, SwaggerSocketError>
      )
    })
    const upgrade = { headers: Headers.fromInput(headers), url, remoteAddress: Option.fromUndefinedOr(remoteAddress) }
    const exceeded = acceptor.refusal(upgrade)
    if (exceeded !== undefined) {
      metrics.refusals.updateUnsafe(1, context)
      const refusal = refused("local", "OVERLOADED", describe(exceeded))
      return Effect.ignore(Effect.scoped(Effect.map(opening, (link) => closeRefused(link, refusal))))
    }
    const accepting = acceptor.accept(opening, upgrade, "v2", (driver) => {
      used = driver
    })
    // The link runs in a fiber of its own: it tells more about its end than an interruption of this one.
    return Effect.flatMap(
      accepting,
      (fiber) =>
        Effect.asVoid(Effect.onExit(Fiber.await(fiber), (exit) =>
          Exit.isFailure(exit)
            ? Effect.andThen(used === undefined ? Effect.void : acceptor.drain(used), Fiber.interrupt(fiber))
            : Effect.void))
    )
  })
