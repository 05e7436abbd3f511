/** Hubs behind `Deno.serve`. */
import * as DenoSwaggerSocket from "effect-swaggersocket/deno"
import * as Effect from "effect/Effect"
import { app, Devices, Narrow } from "./hub.ts"
import { promiseHub } from "./promiseHub.ts"
import { run } from "./run.ts"

run(
  (stop) =>
    Effect.gen(function*() {
      let handle = (request: Request, _info: DenoSwaggerSocket.ServeInfo) => app(request, stop)
      // Before what drains the hubs: it is stopped after them, and tells clients that dial meanwhile to come later.
      const server = yield* Effect.acquireRelease(
        Effect.sync(() =>
          Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request, info) => handle(request, info))
        ),
        (server) => Effect.promise(() => server.shutdown())
      )
      const acceptOfHub = DenoSwaggerSocket.acceptHub(yield* promiseHub)
      const accept = yield* DenoSwaggerSocket.accept(Devices)
      const acceptNarrow = yield* DenoSwaggerSocket.accept(Narrow)
      handle = (request, info) => {
        const { pathname } = new URL(request.url)
        if (pathname === "/socket") return accept(request, info)
        if (pathname === "/hub") return acceptOfHub(request, info)
        return pathname === "/narrow" ? acceptNarrow(request, info) : app(request, stop)
      }
      return server.addr.port
    }), // Deno waits up to 15 seconds for a timer of its own where the link of a client was lost.
  () => Deno.exit(0)
)
