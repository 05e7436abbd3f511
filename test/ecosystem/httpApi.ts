/**
 * An API of Effect, and its typed client on a `fetch`.
 */
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiClient from "effect/http-api/HttpApiClient"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Schema from "effect/Schema"

const Text = Schema.Struct({ text: Schema.String })

class Api extends HttpApi.make("Api").add(
  HttpApiGroup.make("calls", { topLevel: true }).add(
    HttpApiEndpoint.post("hello", "/hello", { payload: Schema.Struct({ name: Schema.String }), success: Text }),
    HttpApiEndpoint.get("missing", "/missing", { success: Text }),
    HttpApiEndpoint.get("wait", "/wait", { success: Text })
  )
) {}

const withClient = <A, E>(
  baseUrl: string,
  fetch: typeof globalThis.fetch,
  use: (client: HttpApiClient.ForApi<typeof Api>) => Effect.Effect<A, E>
) =>
  Effect.flatMap(HttpApiClient.make(Api, { baseUrl }), use).pipe(
    Effect.provide(FetchHttpClient.layer),
    Effect.provideService(FetchHttpClient.Fetch, fetch)
  )

export const HttpApiCalls = {
  hello: (baseUrl: string, fetch: typeof globalThis.fetch) =>
    withClient(
      baseUrl,
      fetch,
      (client) => Effect.map(client.hello({ payload: { name: "world" } }), ({ text }) => text)
    ),
  missing: (baseUrl: string, fetch: typeof globalThis.fetch) =>
    withClient(baseUrl, fetch, (client) => Effect.flip(client.missing())).pipe(
      Effect.map((error) => "reason" in error && "response" in error.reason ? error.reason.response?.status : error)
    ),
  wait: (baseUrl: string, fetch: typeof globalThis.fetch) => withClient(baseUrl, fetch, (client) => client.wait())
}
