/**
 * `listen`: a server on Node as promises.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Predicate from "effect/Predicate"
import * as Http from "node:http"
import * as NodeSwaggerSocket from "../node/index.ts"
import type * as SwaggerSocketServer from "../SwaggerSocketServer.ts"
import { makeHub } from "./hub.ts"
import { type HubService, makeService, serverOptions, type Service, surroundings } from "./hubService.ts"
import type { Handler, Hub, ListenOptions, NodeServer } from "./model.ts"
import { build, onAbort } from "./running.ts"
import { checkHandler, logFailures, promised } from "./serving.ts"

/** A hub for web pages and programs; see `Listen`. */
export const listen = async <M = unknown, P = undefined>(options: ListenOptions<M, P> = {}): Promise<Hub<M, P>> => {
  const { http, path = "/", server, signal } = options
  if (!path.startsWith("/")) throw new TypeError(`path ${JSON.stringify(path)}: expected /path`)
  if (http !== undefined) checkHandler(http)
  const service = makeService(options)
  const hub =
    await (server === undefined ? onOwnServer(service, path, options) : onServer(service, path, options, server))
  onAbort(signal, hub.closed, () => void hub.close())
  return hub
}

const onOwnServer = async <M, P>(
  service: Service<M, P>,
  path: HttpRouter.PathInput,
  options: ListenOptions<M, P>
): Promise<Hub<M, P>> => {
  const { createServer = () => Http.createServer(), host, http, port = 0, signal, socketPath } = options
  let resolve!: (hub: Hub<M, P>) => void
  // The first request may come before `listen` goes on.
  const made = new Promise<Hub<M, P>>((given) => {
    resolve = given
  })
  let server!: Http.Server
  const served = HttpRouter.serve(
    Layer.provideMerge(
      routes(service, path, http && (async (request) => http(request, await made))),
      service.layerNoRoute(serverOptions(options))
    ),
    { disableLogger: true, disableListenLog: true, middleware: logFailures }
  )
  const built = await build(
    served.pipe(
      Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({
        ...socketPath === undefined ? { port, host } : { path: socketPath },
        createServer: () => server = createServer() as Http.Server
      })),
      Layer.provideMerge(surroundings(options))
    ),
    signal
  ).catch((cause: unknown) => {
    // Node's own error says what is wrong with the port: `EADDRINUSE`, `EACCES`.
    throw Predicate.isTagged(cause, "ServeError") && "cause" in cause ? cause.cause : cause
  })
  const hub = makeHub(built, service, urlOf(server, host, path), () => server.closeAllConnections())
  resolve(hub)
  return hub
}

const onServer = async <M, P>(
  service: Service<M, P>,
  path: HttpRouter.PathInput,
  options: ListenOptions<M, P>,
  given: NodeServer
): Promise<Hub<M, P>> => {
  for (const own of ["createServer", "host", "http", "port", "socketPath"] as const) {
    if (options[own] !== undefined) throw new TypeError(`${own}: a server that is given has its own`)
  }
  const server = given as Http.Server
  const built = await build(
    NodeSwaggerSocket.layerAttach(server, service, { path: path as `/${string}` }).pipe(
      Layer.provideMerge(service.layerNoRoute(serverOptions(options))),
      Layer.provideMerge(surroundings(options))
    ),
    options.signal
  )
  // Requests that are in progress are not this hub's.
  return makeHub(built, service, urlOf(server, undefined, path), () => {})
}

/** The socket on its path, and ordinary HTTP beside it. */
const routes = <M, P>(
  service: Context.Service<HubService, SwaggerSocketServer.SwaggerSocketServer<M, P>>,
  path: HttpRouter.PathInput,
  http: Handler | undefined
) =>
  Layer.effectDiscard(Effect.gen(function*() {
    const router = yield* HttpRouter.HttpRouter
    const { upgrade } = yield* service
    if (http === undefined) return yield* router.add("GET", path, upgrade)
    const ordinary = HttpEffect.fromWebHandler(promised(http))
    const either = Effect.flatMap(
      HttpServerRequest.HttpServerRequest,
      ({ headers }) => headers.upgrade?.toLowerCase() === "websocket" ? upgrade : ordinary
    )
    yield* router.add("GET", path, either)
    yield* router.add("*", "*", ordinary)
  }))

/** Addresses that stand for all of a machine. */
const unspecified: ReadonlySet<string> = new Set(["", "0.0.0.0", "::"])

/** Where clients on this machine dial; without a port before the server listens, and as it was once it does no more. */
const urlOf = (server: Http.Server, host: string | undefined, path: string): () => string => {
  const scheme = "setSecureContext" in server ? "wss" : "ws"
  let address = server.address()
  return () => {
    address = server.address() ?? address
    if (typeof address === "string") return `${scheme}+unix:${address}:${path}`
    const name = host ?? address?.address ?? ""
    const shown = unspecified.has(name) ? "localhost" : NetAddress.formatUrlHostString(name)
    return `${scheme}://${shown}${address === null ? "" : `:${address.port}`}${path}`
  }
}
