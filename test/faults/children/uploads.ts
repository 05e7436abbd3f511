/**
 * Many clients in one process, each of which uploads to a server that does not read: `uploads.ts <url> <count>`.
 */
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpRouter from "effect/http/HttpRouter"
import { bytesOf, MiB } from "../../support/bodies.ts"
import { hear, main, tell } from "../../support/child.ts"
import { serveRoutes } from "../../support/connections.ts"
import { dial } from "../../support/proxied.ts"

const [url, count] = process.argv.slice(2)

main(Effect.gen(function*() {
  const connections = yield* Effect.forEach(
    Array.from({ length: Number(count) }, (_, name) => name),
    (name) =>
      Effect.gen(function*() {
        const { client } = yield* dial({ url: url!, metadata: { name }, reconnection: Reconnection.layer({}) })
        const connection = yield* client.connection
        yield* serveRoutes(connection, HttpRouter.add("POST", "/sink", Effect.never))
        return connection
      }),
    { concurrency: "unbounded" }
  )
  yield* tell({ type: "connected" })
  yield* hear("upload")
  for (const connection of connections) {
    yield* Effect.forkScoped(
      Effect.exit(ApiClient.make(connection).post("/unread", { body: HttpBody.stream(bytesOf(1, MiB)) }))
    )
  }
}))
