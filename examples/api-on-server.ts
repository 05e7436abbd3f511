/**
 * The server of the socket also serves the API: an ordinary `HttpApi`, called over one WebSocket.
 *
 *     npx tsx examples/api-on-server.ts
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiClient from "effect/http-api/HttpApiClient"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"

// 1. The API and its handlers. Nothing here knows of sockets.

const Book = Schema.Struct({ id: Schema.Int, title: Schema.String })

class NoSuchBook extends Schema.TaggedError<NoSuchBook>()("NoSuchBook", { id: Schema.Int }, { httpApiStatus: 404 }) {}

class Library extends HttpApi.make("Library").add(
  HttpApiGroup.make("books").add(
    HttpApiEndpoint.get("list", "/books", { success: Schema.Array(Book) }),
    HttpApiEndpoint.get("read", "/books/:id", { params: { id: Schema.Int }, success: Book, error: NoSuchBook })
  )
) {}

const shelf = [{ id: 1, title: "Frankenstein" }, { id: 2, title: "Middlemarch" }]

const LibraryLive = HttpApiBuilder.layer(Library).pipe(
  Layer.provide(HttpApiBuilder.group(Library, "books", (handlers) =>
    handlers.handleAll({
      list: () => Effect.succeed(shelf),
      read: ({ params }) =>
        Effect.mapError(
          Effect.fromNullishOr(shelf.find(({ id }) => id === params.id)),
          () => new NoSuchBook({ id: params.id })
        )
    })))
)

// 2. The server accepts sockets on a path and serves the API on each of them.

class Readers extends SwaggerSocketServer.Service<Readers>()("Readers") {}

const quiet = { disableLogger: true, disableListenLog: true }

const Server = HttpRouter.serve(LibraryLive, quiet).pipe(
  Layer.provide(ApiServer.layerServer(Readers)),
  Layer.provide(HttpRouter.serve(Readers.layer({ path: "/socket" }), quiet)),
  Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" }))
)

// 3. The client dials, and calls the API on the socket it dialled.

const socketUrl = HttpServer.addressFormattedWith((http) => Effect.succeed(`${http.replace("http", "ws")}/socket`))

const Client = ApiClient.layer.pipe(
  Layer.provide(SwaggerSocketClient.layer({ url: socketUrl })),
  Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
)

const program = Effect.gen(function*() {
  const library = yield* HttpApiClient.make(Library)
  for (const { id, title } of yield* library.books.list()) {
    yield* Console.log(`book ${id}: ${title}`)
  }
  const answer = yield* library.books.read({ params: { id: 7 } }).pipe(
    Effect.map(({ title }) => title),
    Effect.catchTag("NoSuchBook", ({ id }) => Effect.succeed(`there is none (404, decoded as NoSuchBook ${id})`))
  )
  yield* Console.log(`book 7: ${answer}`)
})

program.pipe(Effect.provide(Layer.provide(Client, Server)), NodeRuntime.runMain)
