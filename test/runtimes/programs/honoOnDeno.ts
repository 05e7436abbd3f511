/** A Hono app on Deno. */
import * as Effect from "effect/Effect"
import { Hono } from "hono"
import { getConnInfo, upgradeWebSocket } from "hono/deno"
import { addHubs } from "./hono.ts"
import { run } from "./run.ts"

run(
  (stop) =>
    Effect.gen(function*() {
      const app = new Hono()
      const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, app.fetch)
      yield* Effect.addFinalizer(() => Effect.sync(() => void server.shutdown()))
      yield* addHubs(app, { getConnInfo, upgradeWebSocket }, stop)
      return server.addr.port
    }), // Deno waits up to 15 seconds for a timer of its own where the link of a client was lost.
  () => Deno.exit(0)
)
