/**
 * The API of the peers with `HttpApi` on both ends, whatever carries it.
 */
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiClient from "effect/http-api/HttpApiClient"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import type * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import { answer, fixedHeaders } from "./content.ts"
import { ItemSchema, itemStream, operation, receiveAll } from "./effect.ts"
import type { Client } from "./peer.ts"

const Api = HttpApi.make("Api").add(
  HttpApiGroup.make("items").add(
    HttpApiEndpoint.get("one", "/items/:id", {
      params: { id: Schema.Int },
      headers: { "x-request-id": Schema.String },
      success: ItemSchema
    }),
    HttpApiEndpoint.get("all", "/streams/:count", {
      params: { count: Schema.Int },
      success: HttpApiSchema.StreamNdjson({ schema: ItemSchema })
    })
  )
)

export const routes = HttpApiBuilder.layer(Api).pipe(Layer.provide(
  HttpApiBuilder.group(Api, "items", (handlers) =>
    handlers.handleAll({
      one: ({ headers, params }) => Effect.sync(() => answer(params.id, headers)),
      all: ({ params }) => Effect.succeed(itemStream(params.count))
    }))
))

export const connectHttpApi = async <E>(
  runtime: ManagedRuntime.ManagedRuntime<HttpClient.HttpClient, E>,
  baseUrl?: string
): Promise<Client> => {
  const client = await runtime.runPromise(HttpApiClient.make(Api, {
    ...(baseUrl !== undefined && { baseUrl }),
    transformClient: HttpClient.mapRequest(HttpClientRequest.setHeaders(fixedHeaders))
  }))
  return {
    small: operation(
      runtime,
      (id) => client.items.one({ params: { id }, headers: { "x-request-id": String(id) } })
    ),
    items: (count, receive) =>
      runtime.runPromise(
        Effect.flatMap(client.items.all({ params: { count } }), (stream) => receiveAll(stream, receive))
      )
  }
}
