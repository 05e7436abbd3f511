/**
 * What becomes of an HTTP server's requests when its app goes away. `NodeHttpServer` waits until all connections have
 * ended, which WebSockets never do; here requests are waited for instead.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as HttpServer from "effect/http/HttpServer"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Predicate from "effect/Predicate"
import type * as Http from "node:http"
import { Gate } from "../internal/scheduling/gate.ts"

const fields = { "retry-after": "1", connection: "close" }

/** Nobody serves here any more. */
const unavailable = HttpServerResponse.empty({ status: 503, headers: fields })

const refusal = `HTTP/1.1 503 Service Unavailable\r\n${
  [...Object.entries(fields), ["content-length", "0"]].map(([name, value]) => `${name}: ${value}\r\n`).join("")
}\r\n`

/** The responses of a server that have not been sent to their end. @internal */
export class Responses {
  readonly #open = new Set<Http.ServerResponse>()
  readonly #gate = new Gate()

  /**
   * To be made before the server listens. While no app listens, before the first one or behind the last, it answers.
   */
  constructor(server: Http.Server) {
    server.on("upgrade", (_request, socket) => {
      if (server.listenerCount("upgrade") > 1) return
      // Node leaves it to whoever takes an upgrade; without a listener the process would die of a client that hangs up.
      socket.on("error", () => {})
      socket.end(refusal)
    })
    for (const event of ["request", "checkContinue"] as const) {
      server.on(event, (_request: Http.IncomingMessage, response: Http.ServerResponse) => {
        if (server.listenerCount(event) > 1) this.#add(response)
        else response.writeHead(503, fields).end()
      })
    }
  }

  #add(response: Http.ServerResponse): void {
    this.#open.add(response)
    response.once("close", () => {
      this.#open.delete(response)
      this.#gate.notify()
    })
  }

  /** Waits for those that are open now. */
  get sent(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const waiting = new Set(this.#open)
      return this.#gate.until(() => {
        for (const response of waiting) {
          if (this.#open.has(response)) return false
          waiting.delete(response)
        }
        return true
      })
    })
  }
}

/** An app on a server, and what it is doing. */
class Served {
  #isLeaving = false
  #handlers = 0
  readonly #gate = new Gate()
  readonly #upgrades = new Set<Fiber.Fiber<unknown, unknown>>()

  /** Counts its requests, and turns them away once it leaves. */
  watch<E, R>(
    app: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
  ): Effect.Effect<HttpServerResponse.HttpServerResponse, E, R | HttpServerRequest> {
    const ordinary = Effect.suspend(() => {
      // Counted by the effect whose end is awaited: a fiber may be interrupted between any two steps.
      let isCounted = false
      const counted = Effect.suspend(() => {
        isCounted = true
        this.#handlers++
        return app
      })
      return Effect.onExit(counted, () =>
        Effect.sync(() => {
          if (!isCounted) return
          this.#handlers--
          this.#gate.notify()
        }))
    })
    const upgrade = Effect.withFiber<HttpServerResponse.HttpServerResponse, E, R>((fiber) => {
      this.#upgrades.add(fiber)
      fiber.addObserver(() => this.#upgrades.delete(fiber))
      return app
    })
    return Effect.flatMap(HttpServerRequest, (request): typeof ordinary => {
      if (this.#isLeaving) return Effect.succeed(unavailable)
      if (Predicate.hasProperty(request.source, "upgrade") && request.source.upgrade === true) return upgrade
      return ordinary
    })
  }

  /**
   * Lets ordinary requests be answered. WebSockets are let go of when the last handler is done, which may have needed
   * them, and not later: a body, such as one of events, may have no end.
   */
  leave(responses: Responses): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#isLeaving = true
      return Effect.andThen(
        this.#gate.until(() => this.#handlers === 0),
        Effect.suspend(() => {
          for (const fiber of this.#upgrades) fiber.interruptUnsafe()
          return responses.sent
        })
      )
    })
  }
}

/** A server whose apps, when they go away, answer for at most `drainTimeout` what they have begun. @internal */
export const answering = (
  inner: HttpServer.HttpServer["Service"],
  responses: Responses,
  drainTimeout: Duration.Duration
): HttpServer.HttpServer["Service"] =>
  HttpServer.make({
    address: inner.address,
    serve: (app, middleware) =>
      Effect.suspend(() => {
        const served = new Served()
        return Effect.andThen(
          middleware === undefined
            ? inner.serve(served.watch(app))
            : inner.serve(served.watch(app), middleware),
          // Added behind those of the server, so that it runs before them: they interrupt what is left.
          Effect.addFinalizer(() => Effect.timeoutOption(served.leave(responses), drainTimeout))
        )
      })
  })
