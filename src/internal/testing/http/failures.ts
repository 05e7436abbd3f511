/**
 * Handlers, bodies and calls that fail.
 */
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerRespondable from "effect/http/HttpServerRespondable"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as assert from "../assert.ts"
import {
  assertClientError,
  assertFailure,
  type Case,
  chunked,
  makeCase,
  pseudoRandom,
  serve,
  serveWith,
  utf8
} from "./cases.ts"

class Teapot extends Data.TaggedError("Teapot")<{}> implements HttpServerRespondable.Respondable {
  [HttpServerRespondable.symbol]() {
    return Effect.succeed(HttpServerResponse.text("short and stout", { status: 418 }))
  }
}

/** `/ok` is answered, everything else by the handler. The server must still answer `/ok` afterwards. */
const failing = <E, R>(
  handler: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>,
  status: number,
  body = ""
) =>
  Effect.gen(function*() {
    yield* serveWith((request) => request.url === "/ok" ? Effect.succeed(HttpServerResponse.text("ok")) : handler)
    const response = yield* HttpClient.get("/")
    assert.strictEqual(response.status, status)
    assert.strictEqual(yield* response.text, body)
    const ok = yield* HttpClient.get("/ok")
    assert.strictEqual(yield* ok.text, "ok")
  })

const answer = Effect.succeed(HttpServerResponse.empty())

const brokenEnds: Record<string, Stream.Stream<never, unknown>> = {
  "fails": Stream.fail("boom"),
  "dies": Stream.die(new Error("boom")),
  "is interrupted": Stream.fromEffect(Effect.interrupt)
}

const lying = (body: HttpBody.HttpBody) =>
  Effect.gen(function*() {
    const read = yield* Deferred.make<Exit.Exit<string, HttpServerError.HttpServerError>>()
    yield* serveWith((request) =>
      Effect.onExit(request.text, (exit) => Deferred.succeed(read, exit)).pipe(
        Effect.map((text) => HttpServerResponse.text(text))
      )
    )
    const exit = yield* Effect.exit(HttpClient.post("/", { body }))
    const failed = Exit.isFailure(exit) || exit.value.status >= 400 || Exit.isFailure(yield* Deferred.await(read))
    assert.isTrue(failed, "both ends took the body for whole")
  })

export const failureCases: ReadonlyArray<Case> = [
  makeCase("a handler that fails is a 500", failing(Effect.fail("boom"), 500)),
  makeCase("a handler that dies is a 500", failing(Effect.die(new Error("boom")), 500)),
  makeCase("a handler that throws is a 500", failing(Effect.sync(() => JSON.parse("{")), 500)),
  makeCase("a handler that interrupts itself is a 503", failing(Effect.interrupt, 503)),
  makeCase("a Respondable error is its response", failing(Effect.fail(new Teapot()), 418, "short and stout")),
  makeCase("a Respondable defect is its response", failing(Effect.die(new Teapot()), 418, "short and stout")),
  makeCase(
    "a response that is died with is the response",
    failing(Effect.die(HttpServerResponse.text("early", { status: 409 })), 409, "early")
  ),
  makeCase(
    "a SchemaError is a 400",
    failing(Effect.andThen(Schema.decodeUnknownEffect(Schema.Int)("one"), answer), 400)
  ),
  makeCase("a NoSuchElementError is a 404", failing(Effect.andThen(Effect.fromOption(Option.none()), answer), 404)),

  ...Array.from(Object.entries(brokenEnds), ([ends, broken]) => [
    makeCase(
      `a response stream that ${ends} after a chunk makes the reader fail`,
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        yield* serve(Effect.succeed(
          HttpServerResponse.stream(Stream.concat(
            Stream.make(utf8("chunk")),
            Stream.unwrap(Effect.as(Deferred.await(gate), broken))
          ))
        ))
        const response = yield* HttpClient.get("/")
        assert.strictEqual(response.status, 200)
        let text = ""
        const exit = yield* response.stream.pipe(
          Stream.decodeText,
          Stream.runForEach((chunk) => {
            text += chunk
            return Deferred.succeed(gate, undefined)
          }),
          Effect.exit
        )
        assertClientError(exit, "the body ended cleanly")
        assert.strictEqual(text, "chunk")
      })
    ),

    makeCase(
      `a response stream that ${ends} before its first chunk is no clean 200`,
      Effect.gen(function*() {
        yield* serve(Effect.succeed(HttpServerResponse.stream(broken)))
        const exit = yield* HttpClient.get("/").pipe(
          Effect.flatMap((response) => Effect.as(response.text, response.status)),
          Effect.exit
        )
        if (Exit.isSuccess(exit)) {
          assert.isTrue(exit.value >= 500)
        } else {
          assertClientError(exit, "the body ended cleanly")
        }
      })
    )
  ]).flat(),

  makeCase(
    "text and arrayBuffer of a response that breaks off fail too",
    Effect.gen(function*() {
      yield* serve(Effect.succeed(
        HttpServerResponse.stream(Stream.concat(chunked(pseudoRandom(100_000), 10_000), Stream.fail("boom")))
      ))
      for (const read of ["text", "arrayBuffer", "json"] as const) {
        const exit = yield* HttpClient.get("/").pipe(
          Effect.flatMap((response): Effect.Effect<unknown, unknown> => response[read]),
          Effect.exit
        )
        assertClientError(exit, `${read} succeeded`)
      }
    })
  ),

  makeCase(
    "a response shorter than its content-length makes the reader fail",
    Effect.gen(function*() {
      yield* serve(Effect.succeed(HttpServerResponse.stream(Stream.make(utf8("short")), { contentLength: 10 })))
      const exit = yield* HttpClient.get("/").pipe(
        Effect.flatMap((response) => response.text),
        Effect.exit
      )
      assertClientError(exit, "the body ended cleanly")
    })
  ),

  makeCase(
    "a response longer than its content-length makes the reader fail or is cut there",
    Effect.gen(function*() {
      yield* serve(Effect.succeed(
        HttpServerResponse.stream(chunked(utf8("1234567890"), 5), { contentLength: 5 })
      ))
      const exit = yield* HttpClient.get("/").pipe(
        Effect.flatMap((response) => response.text),
        Effect.exit
      )
      if (Exit.isSuccess(exit)) {
        assert.strictEqual(exit.value, "12345")
      }
    })
  ),

  makeCase(
    "a request body shorter than its content-length is an error on one side at least",
    lying(HttpBody.stream(Stream.make(utf8("short")), undefined, 10))
  ),
  makeCase(
    "a request body longer than its content-length is an error on one side at least",
    lying(HttpBody.stream(chunked(utf8("1234567890"), 5), undefined, 5))
  ),

  ...Array.from(Object.entries(brokenEnds), ([ends, broken]) =>
    makeCase(
      `a request body that ${ends} makes the call fail, and the handler's read`,
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const read = yield* Deferred.make<Exit.Exit<void, HttpServerError.HttpServerError>>()
        yield* serveWith((request) =>
          request.stream.pipe(
            Stream.runForEach(() => Deferred.succeed(gate, undefined)),
            Effect.onExit((exit) => Deferred.succeed(read, exit)),
            Effect.as(HttpServerResponse.empty())
          )
        )
        const body = Stream.concat(
          Stream.make(utf8("chunk")),
          Stream.unwrap(Effect.as(Deferred.await(gate), broken))
        )
        const exit = yield* Effect.exit(HttpClient.post("/", { body: HttpBody.stream(body) }))
        assertFailure(exit, "the call succeeded")
        assertFailure(yield* Deferred.await(read), "the handler took the body for whole")
      })
    )),

  makeCase(
    "a request body that fails before its first chunk makes the call fail",
    Effect.gen(function*() {
      yield* serveWith((request) => Effect.map(request.text, (text) => HttpServerResponse.text(text)))
      const exit = yield* Effect.exit(HttpClient.post("/", { body: HttpBody.stream(Stream.fail("boom")) }))
      assertClientError(exit, "the call succeeded")
    })
  )
]
