/** Hubs behind `Bun.serve`. */
import * as BunSwaggerSocket from "effect-swaggersocket/bun"
import * as Effect from "effect/Effect"
import { app, Devices, Narrow } from "./hub.ts"
import { promiseHub } from "./promiseHub.ts"
import { run } from "./run.ts"

type Handle = (request: Request, server: BunSwaggerSocket.BunServer) => Promise<Response | undefined>

run((stop) =>
  Effect.gen(function*() {
    let handle: Handle = (request) => app(request, stop)
    // Before what drains the hubs: it is stopped after them, and tells clients that dial meanwhile to come later.
    const server = yield* Effect.acquireRelease(
      Effect.sync(() =>
        Bun.serve({
          hostname: "127.0.0.1",
          port: 0,
          websocket: BunSwaggerSocket.websocket,
          fetch: (request, server) => handle(request, server)
        })
      ),
      (server) => Effect.promise(() => server.stop())
    )
    const acceptOfHub = BunSwaggerSocket.acceptHub(yield* promiseHub)
    const accept = yield* BunSwaggerSocket.accept(Devices)
    const acceptNarrow = yield* BunSwaggerSocket.accept(Narrow)
    handle = (request, server) => {
      const { pathname } = new URL(request.url)
      if (pathname === "/socket") return accept(request, server)
      if (pathname === "/hub") return acceptOfHub(request, server)
      return pathname === "/narrow" ? acceptNarrow(request, server) : app(request, stop)
    }
    return server.port
  })
)
