/**
 * The API of the peers with Effect's `HttpRouter` and `HttpClient`, whatever carries it.
 */
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import type * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import type * as ManagedRuntime from "effect/ManagedRuntime"
import * as Stream from "effect/Stream"
import { answer, BodyCheck, headers, type Item } from "./content.ts"
import { bodyStream, itemStream, operation, receiveAll } from "./effect.ts"
import { encodeEvent, makeEventReader } from "./events.ts"
import type { Client } from "./peer.ts"

const param = (name: string) => Effect.map(HttpRouter.params, (params) => Number(params[name]))

export const routes = Layer.mergeAll(
  HttpRouter.add(
    "GET",
    "/items/:id",
    ({ headers }) => Effect.map(param("id"), (id) => HttpServerResponse.jsonUnsafe(answer(id, headers)))
  ),
  HttpRouter.add(
    "GET",
    "/bodies/:size/:chunk",
    Effect.zipWith(
      param("size"),
      param("chunk"),
      (size, chunk) => HttpServerResponse.stream(bodyStream({ size, chunk }))
    )
  ),
  HttpRouter.add("POST", "/bodies", (request) => {
    const check = new BodyCheck()
    return Effect.map(
      Effect.orDie(receiveAll(request.stream, (chunk) => check.add(chunk))),
      () => HttpServerResponse.text(String(check.length))
    )
  }),
  HttpRouter.add(
    "GET",
    "/events/:count",
    Effect.map(
      param("count"),
      (count) =>
        HttpServerResponse.stream(Stream.map(itemStream(count), encodeEvent), { contentType: "text/event-stream" })
    )
  )
)

export const operations = (
  runtime: ManagedRuntime.ManagedRuntime<never, unknown>,
  client: HttpClient.HttpClient,
  origin = ""
) => {
  const execute = (request: HttpClientRequest.HttpClientRequest) =>
    Effect.flatMap(
      client.execute(request),
      (response) => response.status === 200 ? Effect.succeed(response) : Effect.die(new Error(`${response.status}`))
    )
  const read = (path: string, receive: (chunk: Uint8Array) => void) =>
    runtime.runPromise(
      Effect.flatMap(execute(HttpClientRequest.get(origin + path)), ({ stream }) => receiveAll(stream, receive))
    )
  return {
    small: operation(runtime, (id: number) =>
      Effect.flatMap(
        execute(HttpClientRequest.get(`${origin}/items/${id}`, { headers: headers(id) })),
        (response) => response.json as unknown as Effect.Effect<Item, unknown>
      )),
    down: ({ chunk, size }, receive) => read(`/bodies/${size}/${chunk}`, receive),
    up: (body) =>
      runtime.runPromise(Effect.flatMap(
        execute(HttpClientRequest.post(`${origin}/bodies`, { body: HttpBody.stream(bodyStream(body)) })),
        (response) => Effect.map(response.text, Number)
      )),
    items: (count, receive) => read(`/events/${count}`, makeEventReader(receive))
  } satisfies Client
}
