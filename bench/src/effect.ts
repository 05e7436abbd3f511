/**
 * What the peers written with Effect share.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"
import { createServer } from "node:http"
import { headers, type Item, item, type Operation } from "./peer.ts"

export const tracing = process.env.BENCH_UNTRACED !== "1"

const layerTracing = tracing ? Layer.empty : Layer.merge(
  Layer.succeed(References.TracerEnabled, false),
  Layer.succeed(Tracer.DisablePropagation, true)
)

export const makeRuntime = <A, E>(layer: Layer.Layer<A, E>) =>
  ManagedRuntime.make(Layer.provideMerge(layer, layerTracing))

export const layerHttpServer = NodeHttpServer.layer(() => createServer(), { host: "127.0.0.1", port: 0 })

export const quiet = { disableLogger: true, disableListenLog: true } as const

/** Builds the layer of a server, which goes on for as long as the process does. */
export const serve = (layer: Layer.Layer<HttpServer.HttpServer, unknown>): Promise<number> =>
  makeRuntime(layer).runPromise(Effect.map(HttpServer.HttpServer, ({ address }) => {
    if (!("port" in address)) throw new Error("not a TCP address")
    return address.port
  }))

export const routes = HttpRouter.add(
  "GET",
  "/items/:id",
  (request) =>
    Effect.map(HttpRouter.params, ({ id }) =>
      request.headers["x-request-id"] === id
        ? HttpServerResponse.jsonUnsafe(item(Number(id)))
        : HttpServerResponse.empty({ status: 400 }))
)

/** The small call with any `HttpClient`. */
export const getItem = (client: HttpClient.HttpClient, origin: string) => (id: number) =>
  Effect.flatMap(
    client.execute(HttpClientRequest.get(`${origin}/items/${id}`, { headers: headers(id) })),
    (response) => response.status === 200 ? response.json : Effect.die(new Error(`status ${response.status}`))
  ) as unknown as Effect.Effect<Item, unknown>

export const operation = <I, A>(
  runtime: ManagedRuntime.ManagedRuntime<any, any>,
  call: (input: I) => Effect.Effect<A, unknown>
): Operation<I, A> =>
(loop) =>
  runtime.runPromise(Effect.whileLoop({
    while: loop.running,
    body: () => call(loop.input()),
    step: loop.answer
  }))
