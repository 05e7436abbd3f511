/**
 * What requests with an idempotency key are found and compared by.
 */
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as Schema from "effect/Schema"
import { BodyPrint } from "./bodyDigest.ts"
import { sha256 } from "./sha256.ts"

/** `head`: a hash of method, target and content type. `length`: as it was declared. @internal */
export const RequestPrint = Schema.Struct({
  head: Schema.String,
  length: Schema.optionalKey(Schema.String),
  body: Schema.optionalKey(BodyPrint)
})

/** @internal */
export type RequestPrint = typeof RequestPrint.Type

const maxKeyLength = 255

/** A structured string (RFC 9651, section 3.3.3), or without quotes what most clients send. @internal */
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

/** Without the body. @internal */
export const headPrintOf = (request: HttpServerRequest, boundary: string | undefined): Effect.Effect<RequestPrint> => {
  const { "content-length": length, "content-type": type = "" } = request.headers
  // Handlers may see the same target below another host, or relative to where they are mounted.
  const target = request.originalUrl.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, "")
  // A boundary is drawn anew each time that a form is encoded, and may have another length.
  return Effect.map(
    hashOf([request.method, target, boundary === undefined ? type : type.replace(boundary, "")]),
    (head) => boundary === undefined && length !== undefined ? { head, length } : { head }
  )
}

/** Whether it is another request, whatever their bodies are. @internal */
export const isOther = (one: RequestPrint, other: RequestPrint): boolean =>
  one.head !== other.head || (one.length !== undefined && other.length !== undefined && one.length !== other.length)

/** Whether a body, hashed as far as the original, is the same as far as the original is known. @internal */
export const isSameBody = (original: BodyPrint, body: BodyPrint): boolean =>
  original.bytes === body.bytes && original.hash === body.hash && (body.whole || !original.whole)
