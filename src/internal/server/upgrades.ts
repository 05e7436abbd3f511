/**
 * Requests that ask a server for a WebSocket: each is refused with an HTTP answer, or its WebSocket is given to the acceptor.
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
import type { Limits } from "../../Limits.ts"
import type { ConnectionDriver } from "../connection/types.ts"
import { subprotocol } from "../handshake/subprotocol.ts"
import { fromRequest } from "../link/upgrade.ts"
import * as metrics from "../observe/metrics.ts"
import { RefusalLog } from "../observe/refusalLog.ts"
import type { Acceptor } from "./acceptor.ts"
import { makePageCheck, type PageOptions } from "./origin.ts"
import { logRefusedUpgrade } from "./refusedUpgrade.ts"

type Request = HttpServerRequest.HttpServerRequest
type Response = HttpServerResponse.HttpServerResponse

/** @internal */
export interface UpgradesOptions extends PageOptions {
  readonly limits: Limits
  /** What is spoken. Absent: both. */
  readonly wires?: ReadonlyArray<"v1" | "v2"> | undefined
}

/** @internal */
export class Upgrades<M, P> {
  readonly #acceptor: Acceptor<M, P>
  readonly #services: Context.Context<Scope>
  readonly #wires: ReadonlyArray<string>
  readonly #maxPending: number
  readonly #checkPage: ReturnType<typeof makePageCheck>
  readonly #log: RefusalLog
  #hasWarned = false

  constructor(acceptor: Acceptor<M, P>, options: UpgradesOptions, services: Context.Context<Scope>) {
    this.#acceptor = acceptor
    this.#services = services
    this.#wires = options.wires ?? ["v1", "v2"]
    this.#maxPending = options.limits.maxPendingHandshakes
    this.#checkPage = makePageCheck(options)
    const scope = Context.get(services, Scope)
    this.#log = new RefusalLog((effect) =>
      Fiber.runIn(
        Effect.runForkWith(services)(Effect.annotateLogs(effect, { module: "SwaggerSocketServer", method: "upgrade" })),
        scope
      )
    )
  }

  /** Answers an upgrade request when its connection, or its link of a connection, has ended. */
  get upgrade(): Effect.Effect<Response, never, Request> {
    return Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
      const refusal = this.#refusalOf(request)
      return refusal === undefined ? this.#open(request) : this.#refuse(request, refusal)
    }).pipe(
      // Logged when the connection ends, as an answer, it would only mislead.
      HttpMiddleware.withLoggerDisabled
    )
  }

  /** Why a request is not upgraded, as an HTTP answer. */
  #refusalOf({ headers }: Request): Response | undefined {
    if (headers.upgrade?.toLowerCase() !== "websocket") return noWebSocket
    const forbidden = this.#checkPage(headers)
    if (forbidden !== undefined) return forbidden === "host" ? otherHost : otherOrigin
    if (!this.#wires.includes(wireOf(headers) ?? "none")) return this.#wires.includes("v2") ? offerV2 : offerNone
    return this.#acceptor.pending() >= this.#maxPending ? tooManyHandshakes : undefined
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
    // A fiber of its own: the end of the request's fiber says less than the link about how it ended.
    return Effect.flatMap(accepting, (fiber) =>
      Fiber.await(fiber).pipe(
        Effect.onExit((exit) =>
          Exit.isFailure(exit) && !isClientAbort(exit.cause)
            ? Effect.andThen(used === undefined ? Effect.void : this.#acceptor.drain(used), Fiber.interrupt(fiber))
            : Effect.void
        ),
        Effect.flatMap(() => isUpgradable ? Effect.succeed(empty) : Effect.as(this.#warnOnce, notUpgradable))
      ))
  }

  /** Once: anybody may send requests. */
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

const tooManyHandshakes = HttpServerResponse.text("Too many handshakes are in progress.\n", {
  status: 503,
  headers: { "retry-after": "1" }
})

const cannotUpgrade = "the platform that this server runs on has no upgrade for such a request"

const notUpgradable = HttpServerResponse.text(`No WebSocket: ${cannotUpgrade}.\n`, { status: 501 })

/** What a client asks to speak, if it is known here. */
const wireOf = (headers: Headers.Headers): "v1" | "v2" | undefined => {
  const offered = headers["sec-websocket-protocol"]
  if (offered === undefined) return "v1"
  // WebSocket servers choose the first that is offered.
  return offered.split(",", 1)[0]!.trim() === subprotocol ? "v2" : undefined
}

/** The TCP connection has gone, which the link reports by itself. */
const isClientAbort = (cause: Cause.Cause<unknown>): boolean =>
  cause.reasons.some((reason) => reason._tag === "Interrupt" && reason.annotations.has(ClientAbort.key))
