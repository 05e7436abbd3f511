/**
 * One end of the bulk test: `bulk.ts server` listens and serves the API, `bulk.ts client <url>` dials and calls it.
 * With `api=client` the API roles are the other way round.
 */
import * as ApiClient from "effect-swaggersocket/ApiClient"
import type * as Connection from "effect-swaggersocket/Connection"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import type * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import { bytesOf, sha256 } from "../../support/bodies.ts"
import { bodyRoutes } from "../../support/bodyRoutes.ts"
import { hear, main, type Message, tell, watchMemory } from "../../support/child.ts"
import { Hub, layerHub, serveRoutes, socketUrl } from "../../support/connections.ts"
import { latencies, timed } from "../../support/measurements.ts"

const [role, api, url] = process.argv.slice(2)

const routes = Layer.mergeAll(
  HttpRouter.add("GET", "/small", HttpServerResponse.text("small")),
  bodyRoutes
)

const small = (client: HttpClient.HttpClient) => Effect.flatMap(client.get("/small"), (response) => response.text)

const upload = (client: HttpClient.HttpClient, seed: number, size: number) =>
  Effect.flatMap(
    client.post("/upload", { body: HttpBody.stream(bytesOf(seed, size)) }),
    (response) => response.text
  )

const download = (client: HttpClient.HttpClient, seed: number, size: number) =>
  Effect.flatMap(client.get(`/download/${seed}/${size}`), (response) => sha256(response.stream))

export interface Begin extends Message {
  readonly type: "begin"
  readonly size: number
}

export interface Result extends Message {
  readonly type: "result"
  readonly up: readonly [hash: string, millis: number]
  readonly down: readonly [hash: string, millis: number]
  readonly small: ReturnType<typeof latencies>
}

const call = Effect.fnUntraced(function*(connection: Connection.Connection) {
  const client = ApiClient.make(connection)
  // Code that runs for the first time is not what is measured.
  for (let index = 0; index < 500; index++) yield* small(client)
  yield* Effect.all([upload(client, 3, 1024 * 1024), download(client, 4, 1024 * 1024)], { concurrency: 2 })
  yield* tell({ type: "ready" })
  const { size } = yield* hear<Begin>("begin")
  const memory = watchMemory(connection)
  yield* tell({ type: "watching" })
  yield* hear("go")
  const samples: Array<number> = []
  const smallCalls = Effect.forever(Effect.map(timed(small(client)), ([text, millis]) => {
    if (text !== "small") throw new Error(`the small call answered ${text}`)
    samples.push(millis)
  }))
  const [up, down] = yield* Effect.raceFirst(
    Effect.all([timed(upload(client, 1, size)), timed(download(client, 2, size))], { concurrency: 2 }),
    Effect.all([smallCalls, smallCalls, smallCalls, smallCalls], { concurrency: "unbounded" })
  )
  yield* tell<Result>({ type: "result", up, down, small: latencies(samples) })
  yield* tell(yield* memory.stop)
})

const serve = Effect.fnUntraced(function*(connection: Connection.Connection) {
  yield* serveRoutes(connection, routes)
  yield* tell({ type: "serving" })
  yield* hear<Begin>("begin")
  const memory = watchMemory(connection)
  yield* tell({ type: "watching" })
  yield* hear("end")
  yield* tell(yield* memory.stop)
})

const play = (connection: Connection.Connection, side: "client" | "server") =>
  api === side ? serve(connection) : call(connection)

main(
  role === "server"
    ? Effect.gen(function*() {
      const context = yield* Layer.build(layerHub())
      yield* tell({ type: "listening", url: yield* Effect.provide(socketUrl, context) })
      yield* play(yield* Context.get(context, Hub).awaitConnection(), "server")
    })
    : Effect.gen(function*() {
      const dialler = yield* SwaggerSocketClient.make({ url: url! })
      yield* play(yield* dialler.connection, "client")
    }).pipe(Effect.provide(NodeSwaggerSocket.layerWebSocketConstructor))
)
