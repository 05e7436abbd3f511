import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Link from "effect-swaggersocket/Link"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import * as SocketServer from "effect/socket/SocketServer"
import { rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { makeRuntime, quiet } from "../effect.ts"
import { operations, routes } from "../httpRouter.ts"
import type { Peer } from "../peer.ts"

class Benches extends SwaggerSocketServer.Service<Benches>()("UnixBenches") {}

const quotas = { server: { callDelay: Infinity } }

/** The number of the server's process takes the place of its port. */
const pathOf = (server: number) => join(tmpdir(), `swaggersocket-bench-${server}.sock`)

const listen = Layer.effectDiscard(Effect.gen(function*() {
  const benches = yield* Benches
  const { run } = yield* SocketServer.SocketServer
  yield* Effect.forkScoped(run((socket) => benches.accept(Link.fromSocket(socket))))
}))

const peer: Peer = {
  title: "effect-swaggersocket, the same on a Unix socket: messages have a length before them, and no mask",
  async serve() {
    const path = pathOf(process.pid)
    process.on("exit", () => rmSync(path, { force: true }))
    const layer = Layer.merge(
      HttpRouter.serve(routes, quiet).pipe(Layer.provide(ApiServer.layerServer(Benches))),
      listen
    )
      .pipe(
        Layer.provideMerge(Benches.layerNoRoute({ quotas })),
        Layer.provide(NodeSocketServer.layer({ path }))
      )
    await makeRuntime(layer).runPromise(Effect.void)
    return process.pid
  },
  async connect(server) {
    const runtime = makeRuntime(ApiClient.layer.pipe(
      Layer.provideMerge(SwaggerSocketClient.layer({
        link: Effect.flatMap(NodeSocket.makeNet({ path: pathOf(server) }), (socket) => Link.fromSocket(socket))
      }))
    ))
    await runtime.runPromise(Effect.flatMap(SwaggerSocketClient.SwaggerSocketClient, ({ connection }) => connection))
    return { connection: true, ...operations(runtime, await runtime.runPromise(HttpClient.HttpClient)) }
  }
}

export default peer
