/**
 * Many clients in one process, each serving a small API on its own connection: `fleet.ts <url> <count>`.
 */
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import { main, tell } from "../../support/child.ts"

const [url, count] = process.argv.slice(2)

const device = (name: number) =>
  HttpRouter.serve(
    HttpRouter.add(
      "POST",
      "/name",
      Effect.gen(function*() {
        const request = yield* HttpServerRequest.HttpServerRequest
        return HttpServerResponse.text(`${name} heard ${yield* request.text}`)
      })
    ),
    { disableLogger: true, disableListenLog: true }
  ).pipe(
    Layer.provide(ApiServer.layer),
    Layer.provideMerge(Layer.fresh(SwaggerSocketClient.layer({ url: url!, metadata: { name } })))
  )

main(
  Effect.gen(function*() {
    yield* Effect.forEach(
      Array.from({ length: Number(count) }, (_, name) => name),
      (name) =>
        Effect.flatMap(
          Layer.build(device(name)),
          (context) =>
            Effect.provide(
              Effect.flatMap(SwaggerSocketClient.SwaggerSocketClient, (client) => client.connection),
              context
            )
        ),
      // What happens when all dial at once is another test's: fewer than a server shakes hands with.
      { concurrency: 100 }
    )
    yield* tell({ type: "connected" })
  }).pipe(Effect.provide(NodeSwaggerSocket.layerWebSocketConstructor))
)
