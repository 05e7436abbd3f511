/**
 * One request of a page, which a service worker answers: over the connection, or by the network where nothing can have been
 * executed.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as ApiClient from "../ApiClient.ts"
import type * as Connection from "../Connection.ts"
import { failureOf, type Outcome, outcomeOf } from "../SwaggerSocketError.ts"
import { readBody, type RequestBody } from "./requestBody.ts"

/** The connection, borrowed for a request. */
export interface Borrowed {
  /** `undefined`: there is none. */
  readonly connection: Connection.Connection | undefined
  readonly context: Context.Context<never>
  readonly release: () => void
}

/** What all requests have in common. */
export interface Answering {
  /** Waits for an open connection. Never rejects. */
  readonly borrow: (signal: AbortSignal) => Promise<Borrowed>
  readonly hasFallback: boolean
  readonly maxKeptBody: number
  /** Cookies of an answer have been lost. */
  readonly onCookies: (request: Request, context: Context.Context<never>) => void
}

/** An answer, and when nothing of it is left. */
export interface Answer {
  readonly response: Promise<Response>
  readonly ended: Promise<void>
}

/** Answers a request of a page. The answer never rejects. */
export const answer = (request: Request, answering: Answering): Answer => {
  let end!: () => void
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  return { response: respond(request, answering, end), ended }
}

const respond = async (request: Request, answering: Answering, end: () => void): Promise<Response> => {
  const { connection, context, release } = await answering.borrow(request.signal)
  const done = () => {
    release()
    end()
  }
  let body: RequestBody | undefined
  try {
    if (connection === undefined) return await withoutConnection(request, answering, done)
    body = await readBody(request, answering.maxKeptBody)
    const response = await call(request, body, ApiClient.toFetch(connection, context))
    if (response.headers.getSetCookie().length > 0) answering.onCookies(request, context)
    return passedOn(request, response, done)
  } catch (error) {
    // A failure that tells no outcome is one of the answer: the request was executed.
    const outcome = body === undefined ? "not-sent" : outcomeOf(error) ?? "unknown"
    log(context, request, outcome, error)
    const mayRepeat = outcome !== "unknown" && answering.hasFallback && body?.isRepeatable === true
    if (mayRepeat && !request.signal.aborted) return await byNetwork(request, body, done)
    done()
    return failed(request, outcome, failureOf(error)?.message ?? String(error))
  }
}

const call = (request: Request, { content }: RequestBody, fetch: typeof globalThis.fetch): Promise<Response> => {
  const { headers, method, signal, url } = request
  return fetch(url, {
    method,
    headers,
    signal,
    // The browser follows redirects: it knows whether the page wants that, and asks for the next address itself.
    redirect: "manual",
    ...(content === undefined ? {} : { body: content, duplex: "half" })
  } as RequestInit)
}

const withoutConnection = async (request: Request, { hasFallback }: Answering, done: () => void): Promise<Response> => {
  if (hasFallback) return await byNetwork(request, undefined, done)
  done()
  return failed(request, "not-sent", "There is no connection to the hub")
}

/** `body`: what was read of the request, which is then no longer in it. */
const byNetwork = async (request: Request, body: RequestBody | undefined, done: () => void): Promise<Response> => {
  const { referrer, referrerPolicy } = request
  try {
    return await fetch(request, body?.content && { body: body.content, referrer, referrerPolicy })
  } catch {
    // Nothing was executed over the connection; what the network did is for the page to guess, as ever.
    return networkError(request)
  } finally {
    done()
  }
}

/** A response whose body tells its end, and with a location that does not depend on the response's own URL, which gets lost. */
const passedOn = (request: Request, response: Response, done: () => void): Response => {
  const { body, status } = response
  const headers = new Headers(response.headers)
  const location = headers.get("location")
  if (location !== null && URL.canParse(location, request.url)) {
    headers.set("location", new URL(location, request.url).href)
  }
  if (body === null) done()
  return new Response(body && telling(body, isEventSource(request), done), { status, headers })
}

/**
 * The same body, which calls `done` when it has ended, has broken, or nobody wants the rest. `endsWell`: one that breaks ends. An
 * `EventSource` then connects again; after a body of a service worker that has failed it does not, in Chromium and Firefox alike.
 */
const telling = (
  body: ReadableStream<Uint8Array>,
  endsWell: boolean,
  done: () => void
): ReadableStream<Uint8Array> => {
  const reader = body.getReader()
  return new ReadableStream({
    async pull(controller) {
      const part = await reader.read().catch((error: unknown) => {
        done()
        if (endsWell) return { done: true } as const
        throw error
      })
      if (!part.done) return controller.enqueue(part.value)
      done()
      controller.close()
    },
    async cancel(reason) {
      done()
      await reader.cancel(reason)
    }
  }, { highWaterMark: 0 })
}

/**
 * What a page gets that can't have an answer. Scripts are told the outcome, in problem details (RFC 9457), with the status that a
 * relay answers. Everything else shows its own sign of a failure.
 */
const failed = (request: Request, outcome: Outcome, detail: string): Response => {
  if (request.signal.aborted || request.destination !== "" || isEventSource(request)) return networkError(request)
  const status = outcome === "unknown" ? 502 : 503
  const title = outcome === "unknown"
    ? "The connection was lost; the request may have been executed"
    : "The request was not executed"
  return Response.json({ status, title, detail, outcome }, {
    status,
    headers: { "content-type": "application/problem+json" }
  })
}

/** An `EventSource` of Firefox would never connect again after a failure. After an end without events it does. */
const networkError = (request: Request): Response =>
  isEventSource(request) ? new Response("", { headers: { "content-type": eventStream } }) : Response.error()

const eventStream = "text/event-stream"

/** Fetches of scripts for events have another cache mode, unless they choose this one (HTML Standard, `EventSource`). */
const isEventSource = ({ cache, headers }: Request): boolean =>
  headers.get("accept") === eventStream && cache === "no-store"

const log = (context: Context.Context<never>, { method, signal, url }: Request, outcome: Outcome, error: unknown) => {
  if (signal.aborted) return
  Effect.runForkWith(context)(
    Effect.logDebug("a request of a page got no answer over the connection", error).pipe(
      Effect.annotateLogs({
        module: "BrowserSwaggerSocket",
        method: "serviceWorker",
        outcome,
        "http.method": method,
        "http.url": url.replace(/[?#].*$/s, "")
      })
    )
  )
}
