/**
 * A server as promises.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ApiServer from "../ApiServer.ts"
import * as Connection from "../Connection.ts"
import { ConnectionClosed, SwaggerSocketError } from "../SwaggerSocketError.ts"
import type { SwaggerSocketServer } from "../SwaggerSocketServer.ts"
import { makeHubConnection } from "./hubConnection.ts"
import { Subscriptions } from "./listening.ts"
import type { CloseOptions, Hub, HubConnection, HubEvents } from "./model.ts"
import { type Built, checkDrain, disposable, onAbort, run } from "./running.ts"
import { checkHandler, promised, serve } from "./serving.ts"

export const makeHub = <I, M, P>(
  built: Built<I>,
  service: Context.Service<I, SwaggerSocketServer<M, P>>,
  url: () => string,
  /** Ends ordinary HTTP requests that are in progress. */
  hangUp: () => void
): Hub<M, P> => {
  const { context } = built
  const effect = Context.get(context, service)
  const known = new WeakMap<object, HubConnection<M, P>>()
  const wrap = (connection: Connection.Connection<M, P>): HubConnection<M, P> => {
    const before = known.get(connection)
    if (before !== undefined) return before
    const made = makeHubConnection(connection, built)
    known.set(connection, made)
    return made
  }
  const connections = () => Effect.runSync(effect.connections).map(wrap)
  const listening = new Subscriptions<HubEvents<M, P>>({
    connection: Stream.map(arrivals(effect), wrap),
    event: effect.events
  }, context)
  const ending = new Ending(built, effect, listening, hangUp)
  const { close } = ending
  return disposable<Hub<M, P>>({
    get url() {
      return url()
    },
    get connections() {
      return connections()
    },
    connection: (id) => connections().find((connection) => connection.id === id),
    find: (predicate) =>
      Option.getOrUndefined(
        Option.map(Effect.runSync(effect.find((connection) => predicate(wrap(connection)))), wrap)
      ),
    awaitConnection: async (predicate = () => true, { signal } = {}) =>
      wrap(
        await run(
          effect.awaitConnection((connection) => predicate(wrap(connection))),
          context,
          signal === undefined ? ending.gone : AbortSignal.any([signal, ending.gone])
        )
      ),
    serve: (handler) => {
      checkHandler(handler)
      const app = Effect.flatMap(Connection.current, (current) => {
        // Served on this server alone.
        const connection = wrap(current as Connection.Connection<M, P>)
        return ApiServer.fromWebHandler(promised((request) => handler(request, connection)))
      })
      return serve(ApiServer.layerServer(service), app, built)
    },
    closed: ending.closed,
    close,
    on: listening.on,
    once: listening.once,
    off: listening.off,
    effect
  }, close)
}

/** How a hub ends: it is closed. */
class Ending {
  readonly closed: Promise<void>
  readonly #built: Built<never>
  readonly #connections: Effect.Effect<ReadonlyArray<Connection.Connection>>
  readonly #hangUp: () => void
  readonly #listening: { readonly end: () => void }
  readonly #gone = new AbortController()
  #resolve!: () => void

  constructor(
    built: Built<never>,
    server: { readonly connections: Effect.Effect<ReadonlyArray<Connection.Connection>> },
    listening: { readonly end: () => void },
    hangUp: () => void
  ) {
    this.#built = built
    this.#connections = server.connections
    this.#listening = listening
    this.#hangUp = hangUp
    this.closed = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  /** Aborted when there will be no more connections. */
  get gone(): AbortSignal {
    return this.#gone.signal
  }

  readonly close = async ({ drain = true, signal }: CloseOptions = {}): Promise<void> => {
    checkDrain(drain)
    const { context } = this.#built
    this.#end()
    const cut = () => {
      for (const connection of Effect.runSync(this.#connections)) Effect.runForkWith(context)(connection.close())
      this.#hangUp()
    }
    if (drain === false) cut()
    else if (drain !== true) {
      const timer = Effect.runForkWith(context)(Effect.delay(Effect.sync(cut), drain))
      void this.closed.then(() => timer.interruptUnsafe())
    }
    onAbort(signal, this.closed, cut)
    await this.closed
  }

  #end(): void {
    if (this.gone.aborted) return
    this.#gone.abort(new SwaggerSocketError({ reason: new ConnectionClosed(hubIsClosed) }))
    // Listeners are told of the end before they are forgotten.
    const closing = Effect.andThen(Effect.exit(Scope.close(this.#built.scope, Exit.void)), Effect.yieldNow)
    void run(closing, this.#built.context).then(() => {
      this.#listening.end()
      this.#resolve()
    })
  }
}

const hubIsClosed = { initiator: "local", code: 1001, closeReason: "the hub is closed" } as const

/** Each connection once: those that there are, and those to come. One that has ended meanwhile is left out. */
const arrivals = <M, P>(server: SwaggerSocketServer<M, P>): Stream.Stream<Connection.Connection<M, P>> =>
  Stream.suspend(() => {
    const told = new WeakSet<object>()
    return server.events.pipe(
      // Where events were dropped, connections may be among them.
      Stream.filter(({ _tag }) => _tag === "ConnectionReceived" || _tag === "EventsDropped"),
      Stream.mapEffect((event) =>
        event._tag === "ConnectionReceived"
          ? Effect.match(server.connection(event.connectionId), {
            onFailure: () => [],
            onSuccess: (connection) => [connection]
          })
          : server.connections
      ),
      Stream.flattenIterable,
      Stream.filter((connection) => {
        const isNew = !told.has(connection)
        told.add(connection)
        return isNew
      })
    )
  })
