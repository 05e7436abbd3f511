/**
 * Shuts an HTTP server down without losing its requests. `NodeHttpServer` waits until all TCP connections have closed,
 * which those of WebSockets never do; here the requests in progress are waited for.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as HttpServer from "effect/http/HttpServer"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Predicate from "effect/Predicate"
import type * as Http from "node:http"
import type { Duplex } from "node:stream"
import { Gate } from "../internal/scheduling/gate.ts"

const fields = { "retry-after": "1", connection: "close" }

/** The answer to requests that come while an app shuts down. */
const unavailable = HttpServerResponse.empty({ status: 503, headers: fields })

const refusal = `HTTP/1.1 503 Service Unavailable\r\n${
  [...Object.entries(fields), ["content-length", "0"]].map(([name, value]) => `${name}: ${value}\r\n`).join("")
}\r\n`

/** Answers an upgrade request 503, and closes its socket. @internal */
export const refuseUpgrade = (socket: Duplex): void => {
  // Node adds no error listener to the socket of an upgrade: without one a client that hangs up would crash the process.
  socket.on("error", () => {})
  // The client may keep its side open, and with it this process.
  socket.end(refusal, () => socket.destroy())
}

/** The responses of a server that are not complete yet. @internal */
export class Responses {
  readonly #open = new Set<Http.ServerResponse>()
  readonly #gate = new Gate()

  /**
   * Make it before the server listens. While no app is there, before the first one and after the last one, it answers
   * requests with 503.
   */
  constructor(server: Http.Server) {
    server.on("upgrade", (_request, socket) => {
      if (server.listenerCount("upgrade") === 1) refuseUpgrade(socket)
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

  /** Waits for the responses that are open now. */
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

/** An app on a server, with its requests in progress. */
class Served {
  #isLeaving = false
  #handlers = 0
  readonly #gate = new Gate()
  readonly #upgrades = new Set<Fiber.Fiber<unknown, unknown>>()

  /** Counts the requests of the app; once it shuts down, they are answered 503. */
  watch<E, R>(
    app: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
  ): Effect.Effect<HttpServerResponse.HttpServerResponse, E, R | HttpServerRequest> {
    const ordinary = Effect.suspend(() => {
      // Counting up is part of the effect whose exit counts down: the fiber may be interrupted between any two steps.
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
   * Lets ordinary requests finish. WebSockets are released when the last handler is done, since handlers may need them.
   * Bodies are not waited for before that: one of events may have no end.
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

/** A server whose apps, when they shut down, finish the requests in progress within `drainTimeout`. @internal */
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
          // Finalizers run in reverse order: this one runs before those of the server, which interrupt what is left.
          Effect.addFinalizer(() => Effect.timeoutOption(served.leave(responses), drainTimeout))
        )
      })
  })
