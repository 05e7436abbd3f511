/**
 * What the recorded Go programs served, as far as it is asked for.
 */
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Stream from "effect/Stream"

interface Request {
  readonly method: string
  readonly target: string
  readonly host: string
  readonly body: Buffer
}

interface Answer {
  readonly status: number
  readonly body: string
  /** The body is flushed in these parts. */
  readonly parts?: ReadonlyArray<string>
  /** Before each part, in the milliseconds that were recorded. */
  readonly pause?: number
}

/** Waits are shorter than they were. */
const haste = 20

const streamed = (parts: ReadonlyArray<string>, pause: number): Answer => ({
  status: 200,
  body: parts.join(""),
  parts,
  pause
})

export const answerOf = ({ body, host, method, target }: Request): Answer => {
  const { pathname, search, searchParams } = new URL(target, "http://localhost")
  const number = (name: string, otherwise: number) => Number(searchParams.get(name) ?? otherwise)
  const chunks = (count: number) => Array.from({ length: count }, (_, index) => `Chunk #${index + 1}\n`)
  const ok = (body: string, pause = 0): Answer => ({ status: 200, body, pause })
  switch (pathname) {
    case "/simple/":
      return ok("Hello, Dolores!")
    case "/echo":
      return ok(JSON.stringify({
        body: body.toString(),
        bodyLen: body.length,
        host,
        method,
        path: pathname,
        query: search.slice(1),
        requestURI: target
      }))
    case "/chunked/":
      return streamed(chunks(number("n", 10)), number("ms", 30))
    case "/closenotifiedchunked/":
      return streamed(chunks(10_000), number("ms", 30))
    case "/doubleflush":
      return streamed(["a", "b"], 100)
    case "/slow":
      return ok(`slow ${searchParams.get("ms")} tag=${searchParams.get("tag") ?? ""}`, number("ms", 0))
    case "/status/404":
      return { status: 404, body: searchParams.has("nobody") ? "" : "status 404" }
    case "/panic":
      return { status: 500, body: "" }
    case "/bodynow":
      return ok(`${body.length} <nil>`)
    case "/large":
      return ok("0123456789abcdef".repeat(number("n", 0) / 16 + 1).slice(0, number("n", 0)))
    default:
      return ok(method === "POST" ? `got ${body.length}` : "hi")
  }
}

/** What handlers have come to. */
export class Seen {
  begun = 0
  interrupted = 0
}

/** With `holds` no handler answers. */
export const serve = (seen: Seen, holds: boolean) =>
  HttpServer.serve(
    Effect.gen(function*() {
      seen.begun++
      if (holds) return yield* Effect.never
      const request = yield* HttpServerRequest.HttpServerRequest
      const { method, url: target } = request
      const body = Buffer.from(yield* request.arrayBuffer)
      if (target === "/panic") return yield* Effect.die(new Error("the handler's own"))
      const answer = answerOf({ method, target, host: request.headers.host ?? "", body })
      const wait = Effect.sleep((answer.pause ?? 0) / haste)
      if (answer.parts === undefined) {
        if (answer.pause !== 0) yield* wait
        return HttpServerResponse.text(answer.body, { status: answer.status })
      }
      const parts = Stream.fromIterable(answer.parts).pipe(
        Stream.mapEffect((part) => Effect.as(wait, new TextEncoder().encode(part))),
        Stream.onExit((exit) =>
          Effect.sync(() => {
            if (exit._tag === "Failure") seen.interrupted++
          })
        )
      )
      return HttpServerResponse.stream(parts, { contentType: "text/plain; charset=utf-8" })
    }).pipe(
      // Routes are by themselves.
      Effect.interruptible,
      Effect.onInterrupt(() => Effect.sync(() => seen.interrupted++))
    )
  )
