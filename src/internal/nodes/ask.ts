/**
 * A request to another node, over the link to it. Whoever asks repeats it, or does not.
 */
import type * as Effect from "effect/Effect"
import type * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import type { Peer } from "../connection/peer.ts"
import { execute } from "../http/clientExchange.ts"
import { withWholeUrl } from "../http/requestTarget.ts"

/** @internal */
export const ask = (
  link: Peer,
  request: HttpClientRequest.HttpClientRequest
): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError> =>
  execute(link, withWholeUrl(request), undefined)
