/**
 * The arguments of a `fetch` as a request of Effect's client (Fetch Standard, the constructor of `Request`).
 *
 * The body is taken from the arguments, not from a `Request` made of them: Firefox has no `Request.prototype.body`, and a
 * body that is in memory must stay there, so that its length is sent and the request can be sent again.
 */
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import * as Predicate from "effect/Predicate"
import { methods } from "../frame/grammar.ts"
import { joined } from "./parts.ts"
import { resolve } from "./requestTarget.ts"

/** @internal */
export interface WebRequest {
  readonly method: string
  /** Absolute. */
  readonly url: string
  readonly headers: Headers.Headers
  readonly body: HttpBody.HttpBody
  readonly redirect: RequestRedirect
  readonly signal: AbortSignal | undefined
}

const redirects: ReadonlySet<string> = new Set(["follow", "error", "manual"])

/**
 * Checks what the constructor of `Request` checks, which takes as long as all the rest of a small call. What is unusual is left to
 * it, and to its errors.
 */
const checked = (url: string, method = "GET", redirect: RequestRedirect = "follow") => {
  const { href, password, username } = new URL(url)
  const isUsual = methods.indexOf(method) > 0 && method !== "TRACE" && redirects.has(redirect)
  if (isUsual && username === "" && password === "") return { method, url: href, redirect }
  return new Request(url, { method, redirect })
}

/** Reads the arguments. Fails with the error that the constructor of `Request` throws. @internal */
export const read = async (input: RequestInfo | URL, init: RequestInit = {}): Promise<WebRequest> => {
  const source = typeof input === "string" || input instanceof URL ? undefined : input
  const headers = init.headers ?? source?.headers
  const request = checked(
    source?.url ?? resolve(String(input)),
    init.method ?? source?.method,
    init.redirect ?? source?.redirect
  )
  const given = init.body ?? undefined
  if (given !== undefined && (request.method === "GET" || request.method === "HEAD")) {
    throw new TypeError(`a request with the method ${request.method} can't have a body`)
  }
  const { body, contentType } = given !== undefined
    ? await fromInit(given)
    : source !== undefined
    ? await fromRequest(source)
    : none
  return {
    method: request.method.toUpperCase(),
    url: request.url,
    // The fields are not taken from the `Request`: browsers remove those that pages may not send, such as cookies. A `Response`
    // can't be upgraded.
    headers: without(describe(fieldsOf(headers), body, contentType), "upgrade"),
    body,
    redirect: request.redirect,
    signal: (init.signal === undefined ? source?.signal : init.signal) ?? undefined
  }
}

const usualName = /^[!#$%&'*+.^_`|~0-9a-z-]+$/i
const usualValue = /^[!-~](?:[ -~]*[!-~])?$/

/** The fields of an object whose names and values are as usual. All else is left to the platform, and to its errors. */
const fieldsOf = (given: HeadersInit = {}): Headers.Headers => {
  const fields: Record<string, string> = {}
  const entries = Object.getPrototypeOf(given) === Object.prototype ? Object.entries(given) : undefined
  const isUsual = entries?.every(([name, value]) => {
    const lower = name.toLowerCase()
    const isNew = !(lower in fields)
    fields[lower] = value
    return isNew && usualName.test(name) && typeof value === "string" && usualValue.test(value)
  })
  return isUsual === true ? Headers.fromRecordUnsafe(fields) : Headers.fromInput(new globalThis.Headers(given))
}

interface Body {
  readonly body: HttpBody.HttpBody
  /** The content type that the kind of body implies, if the fields have none. */
  readonly contentType?: string | undefined
}

const none: Body = { body: HttpBody.empty }

const describe = (headers: Headers.Headers, body: HttpBody.HttpBody, contentType: string | undefined) => {
  const length = "contentLength" in body ? body.contentLength : undefined
  const measured = length === undefined
    ? without(headers, "content-length")
    : Headers.set(headers, "content-length", String(length))
  return contentType === undefined || contentType === "" || measured["content-type"] !== undefined
    ? measured
    : Headers.set(measured, "content-type", contentType)
}

/** Copies nothing where there is no such field, as mostly. */
const without = (headers: Headers.Headers, name: string): Headers.Headers =>
  name in headers ? Headers.remove(headers, name) : headers

const isReadable = (body: unknown): body is ReadableStream<Uint8Array> =>
  Predicate.hasProperty(body, "getReader") && Predicate.isFunction(body.getReader)

/** Whether a body can be sent more than once. @internal */
export const isRepeatable = (body: HttpBody.HttpBody): boolean =>
  body._tag !== "Stream" && (body._tag !== "Raw" || !(
    isReadable(body.body) || body.body instanceof Response || Predicate.hasProperty(body.body, Symbol.asyncIterator)
  ))

const fromInit = async (given: BodyInit): Promise<Body> => {
  if (typeof given === "string") {
    return { body: HttpBody.uint8Array(new TextEncoder().encode(given)), contentType: "text/plain;charset=UTF-8" }
  }
  if (isReadable(given)) {
    if (given.locked) throw new TypeError("the body is locked")
    return { body: HttpBody.raw(given) }
  }
  // Files may be larger than memory.
  if (given instanceof Blob) {
    return { body: HttpBody.raw(given, { contentLength: given.size }), contentType: given.type }
  }
  if (given instanceof FormData) return { body: HttpBody.formData(given) }
  // Streams of Node, which Node's `fetch` accepts as well.
  if (Predicate.hasProperty(given, Symbol.asyncIterator)) return { body: HttpBody.raw(given) }
  const platform = new Response(given)
  const contentType = platform.headers.get("content-type") ?? undefined
  return { body: HttpBody.uint8Array(new Uint8Array(await platform.arrayBuffer())), contentType }
}

const fromRequest = async (source: Request): Promise<Body> => {
  if (source.bodyUsed) throw new TypeError("the body of the request was read before")
  if (source.body === null) return none
  // Firefox
  if (source.body === undefined) {
    const bytes = new Uint8Array(await source.arrayBuffer())
    return bytes.length === 0 ? none : { body: HttpBody.uint8Array(bytes) }
  }
  return { body: await fromStream(source.body.getReader()) }
}

/** Microtasks within which a body that is in memory gives its next part. Undici takes 5 at most; a form has many parts. */
const patience = 32
/** A body that has more bytes than this after its first part is sent as a stream. */
const maxCollected = 1024 * 1024

const ticks = async (count: number): Promise<undefined> => {
  for (let at = 0; at < count; at++) await undefined
}

type Part = ReadableStreamReadResult<Uint8Array>

/**
 * Reads the body of a `Request`. A `Request` does not tell whether its body is in memory, as that of a generated client is. A
 * body that ends without waiting for anything is taken to be in memory.
 */
const fromStream = async (reader: ReadableStreamDefaultReader<Uint8Array>): Promise<HttpBody.HttpBody> => {
  const parts: Array<Uint8Array> = []
  let size = 0
  for (;;) {
    const next = reader.read()
    const part = await Promise.race([next, ticks(patience)])
    if (part === undefined) return HttpBody.raw(rejoined(parts, reader, next))
    const { done, value } = part
    if (done) return HttpBody.uint8Array(joined(parts))
    parts.push(value)
    size += value.length
    if (!(value instanceof Uint8Array) || (parts.length > 1 && size > maxCollected)) {
      return HttpBody.raw(rejoined(parts, reader))
    }
  }
}

/**
 * The parts that were read, and then the rest. No async generator: the end of one waits for a read under way, and one that has
 * not begun never ends, so that a source which stalls would not be cancelled.
 *
 * @internal
 */
export const rejoined = (
  parts: Array<Uint8Array>,
  reader: ReadableStreamDefaultReader<Uint8Array>,
  next?: Promise<Part>
): ReadableStream<Uint8Array> =>
  new ReadableStream({
    async pull(controller) {
      const part = parts.shift()
      if (part !== undefined) return controller.enqueue(part)
      const reading = next ?? reader.read()
      next = undefined
      const { done, value } = await reading
      if (done) controller.close()
      else controller.enqueue(value)
    },
    cancel: (reason) => reader.cancel(reason)
  }, { highWaterMark: 0 })
