/**
 * What peers serve that are tried with traces (conformance/README.md, "Trying a peer").
 */
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as Connection from "effect-swaggersocket/Connection"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"

const request = HttpServerRequest.HttpServerRequest

/** Calls the peer that has called, on the same connection. */
const call = Effect.gen(function*() {
  const connection = yield* Connection.current
  const { url } = yield* request
  const answer = ApiClient.make(connection).get(url.slice("/call".length)).pipe(
    Effect.flatMap((response) => Effect.map(response.text, (text) => `${response.status} ${text}`)),
    Effect.orElseSucceed(() => "failed")
  )
  return HttpServerResponse.text(yield* answer)
})

const drain = Effect.gen(function*() {
  const connection = yield* Connection.current
  yield* Effect.forkDetach(connection.close({ drain: true }))
  return HttpServerResponse.empty()
})

/** Sends back what comes, until the requester has ended its direction. */
const upgrade = Effect.gen(function*() {
  const socket = yield* (yield* request).upgrade
  const writer = yield* socket.writer
  const { pull } = yield* socket.reader
  return yield* Effect.forever(Effect.flatMap(pull, writer.writeAll))
}).pipe(Effect.catchReason("SocketError", "SocketCloseError", () => Effect.succeed(HttpServerResponse.empty())))

export const traceApi = Layer.mergeAll(
  HttpRouter.add("GET", "/ping", HttpServerResponse.text("pong")),
  HttpRouter.add("GET", "/empty", HttpServerResponse.empty()),
  HttpRouter.add("*", "/echo", Effect.map(request, ({ stream }) => HttpServerResponse.stream(stream))),
  HttpRouter.add(
    "*",
    "/length",
    Effect.flatMap(
      request,
      ({ arrayBuffer }) => Effect.map(arrayBuffer, ({ byteLength }) => HttpServerResponse.text(`${byteLength}`))
    )
  ),
  HttpRouter.add(
    "GET",
    "/bytes/:count",
    Effect.map(HttpRouter.params, ({ count }) => HttpServerResponse.uint8Array(new Uint8Array(Number(count))))
  ),
  HttpRouter.add("*", "/never", Effect.never),
  HttpRouter.add("GET", "/call/*", call),
  HttpRouter.add("GET", "/drain", drain),
  HttpRouter.add("GET", "/upgrade", upgrade)
)
