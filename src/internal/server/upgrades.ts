/**
 * Handles upgrade requests: each is refused with an HTTP response, or its WebSocket is given to the acceptor.
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Headers from "effect/http/Headers"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import { ClientAbort, isHttpServerError } from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { Scope } from "effect/Scope"
import { ParentSpan } from "effect/Tracer"
import type { ConnectionDriver } from "../connection/types.ts"
import { subprotocol } from "../handshake/subprotocol.ts"
import { fromRequest } from "../link/upgrade.ts"
import * as metrics from "../observe/metrics.ts"
import { RefusalLog } from "../observe/refusalLog.ts"
import { isTotal } from "../quota/holder.ts"
import { describe } from "../quota/party.ts"
import type { Acceptor } from "./acceptor.ts"
import { makePageCheck, type PageOptions } from "./origin.ts"
import { logRefusedUpgrade } from "./refusedUpgrade.ts"

type Request = HttpServerRequest.HttpServerRequest
type Response = HttpServerResponse.HttpServerResponse

/** @internal */
export interface UpgradesOptions extends PageOptions {
  /** The wires that are spoken. Absent: both. */
  readonly wires?: ReadonlyArray<"v1" | "v2"> | undefined
}

/** @internal */
export class Upgrades<M, P> {
  readonly #acceptor: Acceptor<M, P>
  readonly #services: Context.Context<Scope>
  readonly #wires: ReadonlyArray<string>
  readonly #checkPage: ReturnType<typeof makePageCheck>
  readonly #log: RefusalLog
  #hasWarned = false

  constructor(acceptor: Acceptor<M, P>, options: UpgradesOptions, services: Context.Context<Scope>) {
    this.#acceptor = acceptor
    this.#services = services
    this.#wires = options.wires ?? ["v1", "v2"]
    this.#checkPage = makePageCheck(options)
    const scope = Context.get(services, Scope)
    this.#log = new RefusalLog("upgrades", (effect) =>
      Fiber.runIn(
        Effect.runForkWith(services)(Effect.annotateLogs(effect, { module: "SwaggerSocketServer", method: "upgrade" })),
        scope
      ))
  }

  /** Handles an upgrade request until its link has ended, or the connection that began with it. */
  get upgrade(): Effect.Effect<Response, never, Request> {
    return Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
      const refusal = this.#refusalOf(request)
      return refusal === undefined ? this.#open(request) : this.#refuse(request, refusal)
    }).pipe(
      // The HTTP server would log a response when the connection ends: there is none by then.
      HttpMiddleware.withLoggerDisabled,
      // Without a router handlers are not: a server that closes would wait for its clients to leave.
      Effect.interruptible
    )
  }

  /** The HTTP response to a request that is not upgraded. */
  #refusalOf(request: Request): Response | undefined {
    const { headers } = request
    if (headers.upgrade?.toLowerCase() !== "websocket") return noWebSocket
    const forbidden = this.#checkPage(headers)
    if (forbidden !== undefined) return forbidden === "host" ? otherHost : otherOrigin
    if (!this.#wires.includes(wireOf(headers) ?? "none")) return this.#wires.includes("v2") ? offerV2 : offerNone
    const exceeded = this.#acceptor.refusal(request)
    return exceeded && tooMany(describe(exceeded), isTotal(exceeded.holder) ? 503 : 429)
  }

  #refuse(request: Request, answer: Response): Effect.Effect<Response> {
    metrics.refusals.updateUnsafe(1, this.#services)
    const isOffer = wireOf(request.headers) === "v2" && this.#wires.includes("v1")
    return Effect.as(logRefusedUpgrade(request, answer, isOffer, this.#log), answer)
  }

  #open(request: Request): Effect.Effect<Response> {
    const wire = wireOf(request.headers)!
    let used: ConnectionDriver<M, P> | undefined = undefined
    let isUpgradable = true
    const accepting = this.#acceptor.accept(
      Effect.tapError(fromRequest(request, { wire }), (error) =>
        Effect.sync(() => {
          isUpgradable = !isHttpServerError(error)
        })),
      {
        headers: request.headers,
        url: request.url,
        remoteAddress: request.remoteAddress
      },
      wire,
      (driver) => {
        used = driver
      }
    )
    // The link runs in a fiber of its own: it tells more about its end than an interruption of the request's fiber. The services of
    // the request stay here: a connection that goes on with other links would keep the request with its socket.
    const accepted = Effect.updateContext(
      accepting,
      (ofRequest: Context.Context<never>) => Context.merge(this.#services, Context.pick(ParentSpan)(ofRequest))
    )
    return Effect.flatMap(accepted, (fiber) =>
      Fiber.await(fiber).pipe(
        Effect.onExit((exit) =>
          Exit.isFailure(exit) && !isClientAbort(exit.cause)
            ? Effect.andThen(used === undefined ? Effect.void : this.#acceptor.drain(used), Fiber.interrupt(fiber))
            : Effect.void
        ),
        Effect.flatMap(() => isUpgradable ? Effect.succeed(empty) : Effect.as(this.#warnOnce, notUpgradable))
      ))
  }

  /** Warns once, however many requests come. */
  get #warnOnce(): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.#hasWarned) return Effect.void
      this.#hasWarned = true
      return Effect.logWarning(`WebSockets can't be opened: ${cannotUpgrade}`)
    })
  }
}

const empty = HttpServerResponse.empty()

const noWebSocket = HttpServerResponse.text("This is a WebSocket endpoint.\n", {
  status: 426,
  headers: { upgrade: "websocket" }
})

const otherHost = HttpServerResponse.text("This host is not served here.\n", { status: 421 })

const otherOrigin = HttpServerResponse.text("This origin is not allowed to connect.\n", { status: 403 })

const offerV2 = HttpServerResponse.text(`Offer the WebSocket subprotocol ${subprotocol}.\n`, { status: 400 })

const offerNone = HttpServerResponse.text("Offer no WebSocket subprotocol.\n", { status: 400 })

const tooMany = (what: string, status: 429 | 503): Response =>
  HttpServerResponse.text(`Refused: ${what}.\n`, { status, headers: { "retry-after": "1" } })

const cannotUpgrade = "the platform that this server runs on has no upgrade for such a request"

const notUpgradable = HttpServerResponse.text(`No WebSocket: ${cannotUpgrade}.\n`, { status: 501 })

/** The wire that a client asks for, if this package speaks it. */
const wireOf = (headers: Headers.Headers): "v1" | "v2" | undefined => {
  const offered = headers["sec-websocket-protocol"]
  if (offered === undefined) return "v1"
  // The first subprotocol that is offered: WebSocket servers select that one.
  return offered.split(",", 1)[0]!.trim() === subprotocol ? "v2" : undefined
}

/** Whether the request was interrupted because its TCP connection is gone. The link reports that by itself. */
const isClientAbort = (cause: Cause.Cause<unknown>): boolean =>
  cause.reasons.some((reason) => reason._tag === "Interrupt" && reason.annotations.has(ClientAbort.key))
