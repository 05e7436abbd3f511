/**
 * Marks endpoints that stream, so that `StreamingServer` and `StreamingClient` find them in an API.
 */
import * as Context from "effect/Context"
import type * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import type * as Schema from "effect/Schema"

/** What a streaming endpoint sends and receives, as an annotation of the endpoint. @internal */
export class Shape extends Context.Service<Shape, {
  /** Whether the client streams. */
  readonly streamingPayload: boolean
  readonly result: "none" | "value" | "stream"
  /** The names of the views, `default` first; empty where there are none. */
  readonly views: ReadonlyArray<string>
  /** What a stream may fail with, for the status that each has. */
  readonly errors: ReadonlyArray<Schema.Top>
}>()("effect-swaggersocket/StreamingEndpoint/Shape") {}

/** What an endpoint sends and receives; `undefined` if it does not stream. @internal */
export const shapeOf = (endpoint: HttpApiEndpoint.Top): Shape["Service"] | undefined =>
  Context.getOrUndefined(endpoint.annotations as Context.Context<Shape>, Shape)

/** Throws where a streaming endpoint of the groups has another method, with which no WebSocket can be opened. @internal */
export const assertOnlyGet = (
  groups: Readonly<Record<string, HttpApiGroup.Top>>,
  identifiers: ReadonlyArray<string> = Object.keys(groups)
): void => {
  for (const group of identifiers) {
    for (const endpoint of Object.values(groups[group]!.endpoints as Readonly<Record<string, HttpApiEndpoint.Top>>)) {
      if (shapeOf(endpoint) !== undefined && endpoint.method !== "GET") {
        throw new globalThis.Error(
          `${group}.${endpoint.identifier} streams on ${endpoint.method} ${endpoint.path}: a WebSocket needs GET`
        )
      }
    }
  }
}
