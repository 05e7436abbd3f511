/**
 * A page whose connection is that of its shared worker: open it in several tabs, and the hub has one connection.
 */
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as BrowserSwaggerSocket from "effect-swaggersocket/browser"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import { show } from "../show.ts"
import { Hub } from "./hub.ts"

const Page = ApiClient.layer.pipe(
  Layer.provide(BrowserSwaggerSocket.layerSharedWorker({
    worker: () => new SharedWorker(new URL("./worker.ts", import.meta.url), { type: "module" }),
    otherwise: Hub
  }))
)

const program = Effect.gen(function*() {
  const response = yield* HttpClient.get("/api/way")
  const text = yield* response.text
  yield* Effect.promise(() => show(text))
})

Effect.runFork(Effect.provide(program, Page))
