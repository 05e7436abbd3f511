/**
 * Answers as bytes or as a stream of bytes, whatever a handler has given them as: what nobody has read can't be kept.
 */
import * as HttpBody from "effect/http/HttpBody"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { UnusableBody } from "../http/chunks.ts"
import { fromHttpBody } from "../http/outgoingBody.ts"
import { asDecoded } from "../http/webHandler.ts"

type Response = HttpServerResponse.HttpServerResponse

/** With the status, fields and body of a web `Response`. Of several cookies of one name the last is left: `Cookies` have one for each. */
const fromWeb = ({ cookies, headers }: Response, web: globalThis.Response): Response =>
  HttpServerResponse.setHeaders(
    HttpServerResponse.mergeCookies(HttpServerResponse.fromWeb(asDecoded(web)), cookies),
    headers
  )

/** The response itself if its body is of no known kind, or writes itself. @internal */
export const readable = (response: Response): Response => {
  const { body, headers } = response
  if (body._tag !== "Raw" && body._tag !== "FormData") return response
  if (body._tag === "Raw" && body.body instanceof globalThis.Response) return fromWeb(response, body.body)
  const outgoing = fromHttpBody(body)
  if (outgoing instanceof UnusableBody) return response
  const contentType = headers["content-type"] ?? outgoing.contentType
  return HttpServerResponse.setBody(
    response,
    outgoing._tag === "Bytes"
      ? HttpBody.uint8Array(outgoing.bytes, contentType)
      : HttpBody.stream(outgoing.stream, contentType, body.contentLength)
  )
}
