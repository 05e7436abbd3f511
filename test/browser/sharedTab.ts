/**
 * Runs in a browser: a page whose connection is that of its shared worker, in the hands of a test.
 */
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as BrowserSwaggerSocket from "effect-swaggersocket/browser"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { makeCalls } from "./pageCalls.ts"

const number = location.search.slice(1)

/** As in a browser that has none. */
if (number === "alone") Object.assign(globalThis, { SharedWorker: undefined })

const runtime = ManagedRuntime.make(
  HttpServer.serve(Effect.succeed(HttpServerResponse.text(`tab ${number}`))).pipe(
    Layer.provide(ApiServer.layer),
    Layer.merge(ApiClient.layer),
    Layer.provideMerge(BrowserSwaggerSocket.layerSharedWorker({
      worker: () =>
        new SharedWorker(`/${number === "missing" ? "missing" : "sharedWorkerScript"}.js`, { type: "module" }),
      metadata: number,
      otherwise: SwaggerSocketClient.layer({
        url: `ws://${location.host}/socket`,
        metadata: { kind: "alone" }
      }).pipe(Layer.provide(BrowserSwaggerSocket.layerWebSocketConstructor))
    }))
  )
)

const fetching = runtime.runPromise(
  Effect.map(HttpClient.HttpClient, (client) => ApiClient.toFetch(client))
) as Promise<typeof fetch>

let unread: Response | undefined

const tab = {
  unread: () => unread,
  ...makeCalls(fetching),
  /** Begins to read what never ends. */
  begin: async () => {
    const answer = await (await fetching)("/endless")
    const { value } = await answer.body!.getReader().read()
    return new TextDecoder().decode(value)
  },
  /** Asks for so many bytes, and does not read them. */
  ask: async (size: number) => (unread = await (await fetching)(`/bytes/${size}`)).status,
  /** Why there is no connection. */
  failure: () =>
    runtime.runPromise(Effect.gen(function*() {
      const client = yield* SwaggerSocketClient.SwaggerSocketClient
      for (;;) {
        const status = yield* client.status
        if ("error" in status && status.error !== undefined) return status.error.message
        yield* Effect.sleep(10)
      }
    }))
}

Object.assign(globalThis, { tab })
