/**
 * What the programs of all runtimes serve: two hubs, and an API on them that calls the API of its caller.
 */
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Handshake from "effect-swaggersocket/Handshake"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"

/** Clients have to know a token. */
export class Devices extends SwaggerSocketServer.Service<Devices, string>()("Devices") {}

/** Shakes hands with one client of each address at a time. */
export class Narrow extends SwaggerSocketServer.Service<Narrow>()("Narrow") {}

/** Bytes that are no run of the same. */
const bytes = (size: number): Uint8Array<ArrayBuffer> => {
  const all = new Uint8Array(size)
  for (let at = 0, value = 1; at < size; at++) {
    value = (value * 1_103_515_245 + 12_345) % 2_147_483_648
    all[at] = value >> 16
  }
  return all
}

const hash = (data: ArrayBuffer | Uint8Array<ArrayBuffer>): Effect.Effect<string> =>
  Effect.promise(async () =>
    Array.from(
      new Uint8Array(await crypto.subtle.digest("SHA-256", data)),
      (byte) => byte.toString(16).padStart(2, "0")
    ).join("")
  )

const sizeOf = (request: HttpServerRequest.HttpServerRequest) =>
  Number(new URL(request.url, "http://hub").searchParams.get("size"))

const request = HttpServerRequest.HttpServerRequest

/** Calls that wait for the release of the hub. */
const waiting: Array<Deferred.Deferred<void>> = []

const routes = Layer.mergeAll(
  HttpRouter.add(
    "GET",
    "/whoami",
    Effect.gen(function*() {
      const { principal, remoteAddress } = yield* Devices.current
      return HttpServerResponse.jsonUnsafe({ principal, remoteAddress: Option.getOrNull(remoteAddress) })
    })
  ),
  HttpRouter.add(
    "POST",
    "/hash",
    Effect.gen(function*() {
      return HttpServerResponse.text(yield* hash((yield* (yield* request).arrayBuffer) as ArrayBuffer))
    })
  ),
  HttpRouter.add("POST", "/echo", Effect.map(request, ({ stream }) => HttpServerResponse.stream(stream))),
  HttpRouter.add("GET", "/bytes", Effect.map(request, (given) => HttpServerResponse.uint8Array(bytes(sizeOf(given))))),
  // Sends so many bytes to the caller, which answers their hash and then other bytes; answers both hashes, and its own.
  HttpRouter.add(
    "GET",
    "/ask",
    Effect.gen(function*() {
      const client = ApiClient.make(yield* Devices.current)
      const sent = bytes(sizeOf(yield* request))
      const heard = yield* (yield* client.post("/hash", { body: HttpBody.uint8Array(sent) })).text
      const answered = yield* (yield* client.get("/bytes")).arrayBuffer
      return HttpServerResponse.jsonUnsafe({ sent: yield* hash(sent), heard, answered: yield* hash(answered) })
    })
  ),
  HttpRouter.add(
    "*",
    "/slow",
    Effect.gen(function*() {
      const release = Deferred.makeUnsafe<void>()
      waiting.push(release)
      yield* Deferred.await(release)
      return HttpServerResponse.text("done")
    })
  )
)

/** The hubs, with the API on the first one. */
export const hubs = Layer.mergeAll(
  HttpRouter.serve(routes, { disableListenLog: true, disableLogger: true }).pipe(
    Layer.provide(ApiServer.layerServer(Devices))
  )
).pipe(
  Layer.provideMerge(Devices.layerNoRoute({
    hosts: ["127.0.0.1"],
    authenticate: ({ headers }) =>
      headers.authorization === "Bearer open sesame"
        ? Effect.succeed("a friend")
        : Effect.fail(new Handshake.Refusal({ code: "UNAUTHENTICATED", reason: "who are you?" }))
  })),
  Layer.provideMerge(Narrow.layerNoRoute({ quotas: { perAddress: { pendingHandshakes: 1 } } }))
)

/** Ordinary requests: what the tests steer a program with. */
export const app = async (request: Request, stop: () => void): Promise<Response> => {
  switch (new URL(request.url).pathname) {
    case "/waiting":
      return new Response(String(waiting.length))
    case "/release":
      for (const release of waiting.splice(0)) Effect.runSync(Deferred.succeed(release, undefined))
      return new Response("released")
    case "/stop":
      stop()
      return new Response("stopping")
    default:
      return new Response("app")
  }
}
