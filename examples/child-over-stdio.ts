/**
 * A process serves an API to its parent, over its standard input and output. Nothing listens on a port. The parent learns at
 * once when the child crashes, and the child ends with the connection.
 *
 *     npx tsx examples/child-over-stdio.ts
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Link from "effect-swaggersocket/Link"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import { outcomeOf } from "effect-swaggersocket/SwaggerSocketError"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { Duplex, type Readable, type Writable } from "node:stream"

/** A link over what one end reads and what it writes. It closes both with its scope. */
const linkOver = (readable: Readable, writable: Writable) =>
  Effect.flatMap(
    NodeSocket.fromDuplex(Effect.acquireRelease(
      Effect.sync(() => Duplex.from({ readable, writable })),
      (stream) => Effect.sync(() => stream.destroy())
    )),
    (socket) => Link.fromSocket(socket)
  )

// 1. The child: a client that has one link. Its standard output carries the connection, so that it logs elsewhere.

const routes = Layer.mergeAll(
  HttpRouter.add(
    "POST",
    "/upper-case",
    Effect.gen(function*() {
      const { text } = yield* HttpServerRequest.HttpServerRequest
      return HttpServerResponse.text((yield* text).toUpperCase())
    })
  ),
  HttpRouter.add("POST", "/crash", Effect.sync(() => process.exit(7)))
)

const child = Effect.gen(function*() {
  const client = yield* SwaggerSocketClient.SwaggerSocketClient
  const connection = yield* client.connection
  yield* connection.closed
}).pipe(
  Effect.provide(
    HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
      Layer.provideMerge(ApiServer.layer),
      Layer.provideMerge(Layer.unwrap(Effect.gen(function*() {
        // Another attempt would wait in vain: when the link has ended, so has this process.
        const links = yield* Queue.unbounded<typeof process>()
        yield* Queue.offer(links, process)
        return SwaggerSocketClient.layer({
          link: Effect.flatMap(Queue.take(links), ({ stdin, stdout }) => linkOver(stdin, stdout)),
          metadata: { pid: process.pid }
        })
      })))
    )
  ),
  Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)]))
)

// 2. The parent: a server that accepts the link to each child that it starts.

class Children extends SwaggerSocketServer.Service<Children>()("Children", {
  metadata: Schema.Struct({ pid: Schema.Int })
}) {}

const start = Effect.gen(function*() {
  const children = yield* Children
  const started = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, [...process.execArgv, process.argv[1]!, "child"], { stdio: ["pipe", "pipe", "inherit"] })
    ),
    (started) => Effect.sync(() => started.kill())
  )
  // Listens from now on: the child may be gone when somebody asks.
  const exit = once(started, "exit")
  yield* Effect.forkScoped(children.accept(linkOver(started.stdout, started.stdin)))
  const connection = yield* children.awaitConnection(({ metadata }) => metadata.pid === started.pid)
  return {
    connection,
    api: ApiClient.make(connection),
    exitCode: Effect.map(Effect.promise(() => exit), ([code]) => String(code))
  }
})

const upperCase = (api: HttpClient.HttpClient, text: string) =>
  api.execute(HttpClientRequest.bodyText(HttpClientRequest.post("/upper-case"), text)).pipe(
    Effect.flatMap((response) => response.text)
  )

const parent = Effect.gen(function*() {
  const first = yield* start
  yield* Console.log(`the child answers: ${yield* upperCase(first.api, "hello")}`)

  const crash = yield* Effect.flip(first.api.post("/crash"))
  yield* Console.log(
    `the child has crashed with ${yield* first.exitCode}; the outcome of the call: ${outcomeOf(crash)}`
  )

  const second = yield* start
  yield* Console.log(`another child answers: ${yield* upperCase(second.api, "hello again")}`)

  yield* second.connection.close({ drain: true })
  yield* Console.log(`that child has ended with ${yield* second.exitCode}`)
}).pipe(
  Effect.scoped,
  // A child that has crashed does not come back to its connection, so there is no session that would wait for it.
  Effect.provide(Children.layerNoRoute({ limits: { resumeWindow: 0 } }))
)

if (process.argv[2] === "child") NodeRuntime.runMain(child)
else NodeRuntime.runMain(parent)
