/**
 * The body of a page's request, as a service worker passes it on: kept where it is small, so that it can be sent again by the
 * network, else as a stream.
 */
import * as Effect from "effect/Effect"
import { joined } from "../internal/http/parts.ts"
import { rejoined } from "../internal/http/webRequest.ts"

/** A body that was read from its request. */
export interface RequestBody {
  readonly content: Uint8Array<ArrayBuffer> | Blob | ReadableStream<Uint8Array> | undefined
  /** Whether it can be sent more than once. */
  readonly isRepeatable: boolean
}

const none: RequestBody = { content: undefined, isRepeatable: true }

/**
 * How long a small body is waited for before it is passed on as it comes. A body that the page has in memory is here within a
 * few milliseconds, even where the browser is busy; who writes one slowly wants it to arrive meanwhile. A guess.
 */
const patience = "100 millis"

/** Reads the body of a request; keeps up to `maxKept` bytes of it. */
export const readBody = async (request: Request, maxKept: number): Promise<RequestBody> => {
  if (request.method === "GET" || request.method === "HEAD") return none
  // Firefox has no `Request.prototype.body`. It keeps a large blob in a file.
  if (request.body === undefined) return { content: await request.blob(), isRepeatable: true }
  if (request.body === null) return none
  const reader = request.body.getReader()
  const late = Effect.runPromise(Effect.sleep(patience))
  const parts: Array<Uint8Array> = []
  let size = 0
  for (;;) {
    const next = reader.read()
    const part = await Promise.race([next, late])
    if (part === undefined) return { content: rejoined(parts, reader, next), isRepeatable: false }
    if (part.done) return { content: joined(parts) as Uint8Array<ArrayBuffer>, isRepeatable: true }
    parts.push(part.value)
    size += part.value.length
    if (size > maxKept) return { content: rejoined(parts, reader), isRepeatable: false }
  }
}
