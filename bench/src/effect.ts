/**
 * What the peers written with Effect share.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { createServer } from "node:http"
import { type Body, chunks, type Item, items } from "./content.ts"
import type { Operation } from "./peer.ts"

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

export const operation = <I, A>(
  runtime: ManagedRuntime.ManagedRuntime<never, unknown>,
  call: (input: I) => Effect.Effect<A, unknown>
): Operation<I, A> =>
(loop) =>
  runtime.runPromise(Effect.whileLoop({
    while: loop.running,
    body: () => call(loop.input()),
    step: loop.answer
  }))

export const ItemSchema = Schema.Struct({
  id: Schema.Number,
  name: Schema.String,
  site: Schema.String,
  state: Schema.String,
  temperature: Schema.Number,
  seenAt: Schema.String
})

/** The stream of items, and the chunks of a body, each as its producer has made it. */
export const itemStream = (count: number): Stream.Stream<Item> => Stream.fromIterable(items(count))
export const bodyStream = (body: Body): Stream.Stream<Uint8Array> => Stream.fromIterable(chunks(body), { chunkSize: 1 })

export const receiveAll = <A, E>(stream: Stream.Stream<A, E>, receive: (element: A) => void): Effect.Effect<void, E> =>
  Stream.runForEachArray(stream, (elements) => Effect.sync(() => elements.forEach((element) => receive(element))))
