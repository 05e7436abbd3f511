/**
 * What the cases of the HTTP semantics share: how they serve, and bodies to send.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as FileSystem from "effect/FileSystem"
import type * as Etag from "effect/http/Etag"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import type * as HttpPlatform from "effect/http/HttpPlatform"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import type * as Path from "effect/Path"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import * as assert from "../assert.ts"

/** What a transport has to provide to be tested. */
export type Services =
  | HttpServer.HttpServer
  | HttpClient.HttpClient
  | FileSystem.FileSystem
  | Path.Path
  | HttpPlatform.HttpPlatform
  | Etag.Generator

/** One claim about HTTP, shown between a client and a server that are given. */
export interface Case {
  readonly title: string
  readonly run: Effect.Effect<unknown, unknown, Services | Scope.Scope>
}

export const makeCase = (title: string, run: Case["run"]): Case => ({ title, run })

/** Serves a handler until the case ends. It is uninterruptible, as every handler served without a router. */
export const serve = <E, R>(handler: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
  HttpServer.serveEffect(handler)

/** Serves a handler that is given the request. */
export const serveWith = <E, R>(
  handler: (
    request: HttpServerRequest.HttpServerRequest
  ) => Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
) => serve(Effect.flatMap(HttpServerRequest.HttpServerRequest, handler))

/** Serves routes as an application does. Handlers of routes are interruptible. */
export const serveRoutes = <A, E, R>(routes: Layer.Layer<A, E, R>) =>
  Layer.build(HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }))

const Seen = Schema.Struct({
  method: Schema.String,
  url: Schema.String,
  headers: Schema.Record(Schema.String, Schema.String),
  cookies: Schema.Record(Schema.String, Schema.String),
  text: Schema.String
})

/** Serves a handler that answers with what it saw of the request; `seen` decodes the answer. */
export const serveInspector = serveWith((request) =>
  Effect.map(request.text, (text) =>
    HttpServerResponse.jsonUnsafe({
      method: request.method,
      url: request.url,
      headers: { ...request.headers },
      cookies: request.cookies,
      text
    }))
)

export const seen = (request: HttpClientRequest.HttpClientRequest) =>
  Effect.flatMap(HttpClient.execute(request), HttpClientResponse.schemaBodyJson(Seen))

/** Serves a handler that answers with the bytes of the request body, once it has them all. */
export const serveEcho = serveWith((request) =>
  Effect.map(request.arrayBuffer, (body) => HttpServerResponse.uint8Array(new Uint8Array(body)))
)

export const responseBytes = (response: HttpClientResponse.HttpClientResponse) =>
  Effect.map(response.arrayBuffer, (body) => new Uint8Array(body))

const encoder = new TextEncoder()

export const utf8 = (text: string): Uint8Array<ArrayBuffer> => encoder.encode(text)

export const allByteValues: Uint8Array<ArrayBuffer> = Uint8Array.from({ length: 256 }, (_, index) => index)

/** Bytes that repeat nowhere near a frame or chunk boundary. */
export const pseudoRandom = (length: number): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(length)
  let state = 0x9e3779b9
  for (let index = 0; index < length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    bytes[index] = state >>> 24
  }
  return bytes
}

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

export const sha256Stream = <E, R>(stream: Stream.Stream<Uint8Array, E, R>): Effect.Effect<string, E, R> =>
  Effect.suspend(() => {
    const hash = createHash("sha256")
    return Effect.map(
      Stream.runForEach(stream, (chunk) => Effect.sync(() => hash.update(chunk))),
      () => hash.digest("hex")
    )
  })

/** The bytes cut in pieces of `size`, each a chunk of its own. */
export const chunked = (bytes: Uint8Array, size: number): Stream.Stream<Uint8Array> =>
  Stream.fromIterable(Array.from(
    { length: Math.ceil(bytes.length / size) },
    (_, index) => bytes.subarray(index * size, (index + 1) * size)
  )).pipe(Stream.rechunk(1))

/** A stream that yields `first`, and `rest` only once `gate` is open. */
export const gated = <E>(
  first: string,
  gate: Deferred.Deferred<void>,
  rest: Stream.Stream<Uint8Array, E>
): Stream.Stream<Uint8Array, E> =>
  Stream.concat(Stream.make(utf8(first)), Stream.unwrap(Effect.as(Deferred.await(gate), rest)))

export const assertFailure = <A, E>(exit: Exit.Exit<A, E>, message: string): Cause.Cause<E> => {
  if (Exit.isSuccess(exit)) {
    assert.fail(message)
  }
  return exit.cause
}

/** The exchange must have failed with the error type of the client. */
export const assertClientError = <A>(exit: Exit.Exit<A, unknown>, message: string): void => {
  const cause = assertFailure(exit, message)
  const error = Cause.findError(cause)
  assert.isTrue(
    Result.isSuccess(error) && HttpClientError.isHttpClientError(error.success),
    `expected an HttpClientError: ${Cause.pretty(cause)}`
  )
}
