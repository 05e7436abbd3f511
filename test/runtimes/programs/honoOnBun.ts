/** A Hono app on Bun. */
import * as Effect from "effect/Effect"
import { Hono } from "hono"
import { getConnInfo, upgradeWebSocket, websocket } from "hono/bun"
import { addHubs } from "./hono.ts"
import { run } from "./run.ts"

run((stop) =>
  Effect.gen(function*() {
    const app = new Hono()
    const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: app.fetch, websocket })
    yield* Effect.addFinalizer(() => Effect.sync(() => void server.stop()))
    yield* addHubs(app, { getConnInfo, upgradeWebSocket }, stop)
    return server.port
  })
)
