/** A Hono app on `@hono/node-server`. */
import { serve, upgradeWebSocket } from "@hono/node-server"
import { getConnInfo } from "@hono/node-server/conninfo"
import * as Effect from "effect/Effect"
import { Hono } from "hono"
import { WebSocketServer } from "ws"
import { addHubs } from "./hono.ts"
import { run } from "./run.ts"

run((stop) =>
  Effect.gen(function*() {
    const app = new Hono()
    const webSockets = new WebSocketServer({ noServer: true, maxPayload: 1024 * 1024 })
    const server = yield* Effect.callback((resume) => {
      const options = { fetch: app.fetch, hostname: "127.0.0.1", port: 0, websocket: { server: webSockets } }
      const server = serve(options, () => resume(Effect.succeed(server)))
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => void server.close()))
    yield* addHubs(app, { getConnInfo, upgradeWebSocket }, stop)
    return server.address().port
  })
)
