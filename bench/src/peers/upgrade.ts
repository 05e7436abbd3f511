import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import { layerHttpServer, quiet, serve } from "../effect.ts"
import type { Peer } from "../peer.ts"
import ws from "./ws.ts"

const route = HttpRouter.add(
  "GET",
  "/",
  Effect.fnUntraced(function*(request) {
    const socket = yield* request.upgrade
    const reader = yield* socket.reader
    const writer = yield* socket.writer
    yield* Effect.ignore(Effect.forever(Effect.flatMap(reader.pull, (messages) => writer.writeAll(messages))))
    return HttpServerResponse.empty()
  }, Effect.scoped)
)

const peer: Peer = {
  title: "Effect's bare upgraded socket, which echoes, and a raw `ws` client",
  serve: () => serve(Layer.provideMerge(HttpRouter.serve(route, quiet), layerHttpServer)),
  async connect(port) {
    const { connection, small } = await ws.connect(port)
    return { connection: connection!, small: small! }
  }
}

export default peer
