/**
 * Other WebSockets, on the same server and with the same constructor, are left as they are.
 */
import { assert, it } from "@effect/vitest"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Socket from "effect/socket/Socket"

class Peers extends SwaggerSocketServer.Service<Peers>()("test/otherSockets/Peers") {}

/** Sends each message back as what it came: text or bytes. */
const Echo = HttpRouter.add(
  "GET",
  "/echo",
  Effect.gen(function*() {
    const socket = yield* (yield* HttpServerRequest.HttpServerRequest).upgrade
    const { pull } = yield* socket.reader
    const { write } = yield* socket.writer
    for (const message of yield* pull) {
      yield* write(typeof message === "string" ? `text ${message}` : message)
    }
    yield* write(new Socket.CloseEvent(4321, "enough"))
    yield* Effect.ignore(Effect.forever(pull))
    return HttpServerResponse.empty()
  })
)

it.live("other WebSockets on the same server receive text as text, and close codes unchanged", () =>
  Effect.gen(function*() {
    const context = yield* Layer.build(
      HttpRouter.serve(Layer.merge(Peers.layer({ path: "/socket" }), Echo), {
        disableLogger: true,
        disableListenLog: true
      }).pipe(
        Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" })),
        Layer.provideMerge(NodeSwaggerSocket.layerWebSocketConstructor)
      )
    )
    const { address } = Context.get(context, HttpServer.HttpServer)
    const url = `${NetAddress.formatUrlUnsafe(address).replace("http", "ws")}/echo`
    const socket = yield* Effect.provideContext(Socket.makeWebSocket(url), context)
    const { pull } = yield* socket.reader
    const { write } = yield* socket.writer
    yield* write("hello")
    assert.deepStrictEqual(yield* pull, ["text hello"])
    const end = yield* Effect.flip(pull)
    assert.deepInclude(end.reason, { _tag: "SocketCloseError", code: 4321, closeReason: "enough" })
  }))
