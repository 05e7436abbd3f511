/**
 * The key and the print of a request: how the first request with a key is found and compared.
 */
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as Schema from "effect/Schema"
import { BodyPrint } from "./bodyDigest.ts"
import { sha256 } from "./sha256.ts"

/** `head` is a hash of method, target and content type, and `length` the declared length. @internal */
export const RequestPrint = Schema.Struct({
  head: Schema.String,
  length: Schema.optionalKey(Schema.String),
  body: Schema.optionalKey(BodyPrint)
})

/** @internal */
export type RequestPrint = typeof RequestPrint.Type

const maxKeyLength = 255

/** Reads a key: a structured string (RFC 9651, section 3.3.3), or one without quotes, which most clients send. @internal */
export const parseKey = (field: string): string | undefined => {
  const key = field.startsWith("\"")
    ? /^"((?:[ !#-[\]-~]|\\["\\])*)"$/.exec(field)?.[1]?.replaceAll(/\\(.)/g, "$1")
    : /^[!#-+\--~]*$/.exec(field)?.[0]
  return key !== undefined && key.length > 0 && key.length <= maxKeyLength ? key : undefined
}

const encoder = new TextEncoder()

/** @internal */
export const hashOf = (parts: ReadonlyArray<string>): Effect.Effect<string> =>
  Effect.promise(async () => Hex.encode(await sha256(encoder.encode(JSON.stringify(parts)))))

/** The boundary of a multipart body. @internal */
export const boundaryOf = (request: HttpServerRequest): string | undefined =>
  /^multipart\/.*boundary="?([^";]+)/i.exec(request.headers["content-type"] ?? "")?.[1]

/** The print without the body. @internal */
export const headPrintOf = (request: HttpServerRequest, boundary: string | undefined): Effect.Effect<RequestPrint> => {
  const { "content-length": length, "content-type": type = "" } = request.headers
  // The host is left out: the same target may come with another one.
  const target = request.originalUrl.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, "")
  // A form has another boundary each time it is encoded, which may also have another length.
  return Effect.map(
    hashOf([request.method, target, boundary === undefined ? type : type.replace(boundary, "")]),
    (head) => boundary === undefined && length !== undefined ? { head, length } : { head }
  )
}

/** True if the requests differ in more than their bodies. @internal */
export const isOther = (one: RequestPrint, other: RequestPrint): boolean =>
  one.head !== other.head || (one.length !== undefined && other.length !== undefined && one.length !== other.length)

/** Whether two bodies are equal as far as the original was read. `body` has to be hashed up to the same length. @internal */
export const isSameBody = (original: BodyPrint, body: BodyPrint): boolean =>
  original.bytes === body.bytes && original.hash === body.hash && (body.whole || !original.whole)
