/**
 * Callers and handlers that are interrupted, and scopes.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as assert from "../assert.ts"
import { type Case, makeCase, serve, serveRoutes, utf8 } from "./cases.ts"

/** A route that says when it has started and how it has ended, and never answers. */
const serveForever = Effect.gen(function*() {
  const started = yield* Deferred.make<void>()
  const ended = yield* Deferred.make<Exit.Exit<never>>()
  yield* serveRoutes(HttpRouter.add(
    "*",
    "/forever",
    Deferred.succeed(started, undefined).pipe(
      Effect.andThen(Effect.never),
      Effect.onExit((exit) => Deferred.succeed(ended, exit))
    )
  ))
  return { started, ended }
})

export const interruptionCases: ReadonlyArray<Case> = [
  makeCase(
    "interrupting the caller interrupts the handler",
    Effect.gen(function*() {
      const { ended, started } = yield* serveForever
      const fiber = yield* Effect.forkChild(HttpClient.get("/forever"))
      yield* Deferred.await(started)
      yield* Fiber.interrupt(fiber)
      const exit = yield* Deferred.await(ended)
      assert.isTrue(Exit.hasInterrupts(exit))
    })
  ),

  makeCase(
    "the interruption of a handler by its caller carries ClientAbort",
    Effect.gen(function*() {
      const { ended, started } = yield* serveForever
      const fiber = yield* Effect.forkChild(HttpClient.get("/forever"))
      yield* Deferred.await(started)
      yield* Fiber.interrupt(fiber)
      const exit = yield* Deferred.await(ended)
      assert.isTrue(
        Exit.isFailure(exit) &&
          Context.getOption(Cause.annotations(exit.cause), HttpServerError.ClientAbort)._tag === "Some"
      )
    })
  ),

  makeCase(
    "interrupting the caller while it sends the body interrupts the handler and stops the upload",
    Effect.gen(function*() {
      const { ended, started } = yield* serveForever
      const stopped = yield* Deferred.make<void>()
      const begun = yield* Deferred.make<void>()
      const start = Stream.fromEffect(Effect.as(Deferred.succeed(begun, undefined), utf8("start")))
      const endless = Stream.concat(start, Stream.never)
      const fiber = yield* Effect.forkChild(HttpClient.post("/forever", {
        body: HttpBody.stream(Stream.ensuring(endless, Deferred.succeed(stopped, undefined)))
      }))
      yield* Deferred.await(started)
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(fiber)
      yield* Deferred.await(stopped)
      assert.isTrue(Exit.hasInterrupts(yield* Deferred.await(ended)))
    })
  ),

  makeCase(
    "a caller that times out interrupts the handler",
    Effect.gen(function*() {
      const { ended, started } = yield* serveForever
      const fiber = yield* Effect.forkChild(Effect.timeout(HttpClient.get("/forever"), "1 second"))
      yield* Deferred.await(started)
      yield* TestClock.adjust("1 second")
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isFailure(exit) && Cause.isTimeoutError(Cause.squash(exit.cause)))
      assert.isTrue(Exit.hasInterrupts(yield* Deferred.await(ended)))
    }).pipe(Effect.provide(TestClock.layer()))
  ),

  makeCase(
    "an interrupted exchange leaves the others alone",
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const started = yield* Effect.replicateEffect(Deferred.make<void>(), 20)
      const interrupted = yield* Effect.replicateEffect(Deferred.make<void>(), 20)
      yield* serveRoutes(HttpRouter.add(
        "GET",
        "/wait/:id",
        Effect.gen(function*() {
          const id = Number((yield* HttpRouter.params).id)
          const [begin, end] = [started[id], interrupted[id]]
          if (begin === undefined || end === undefined) {
            return HttpServerResponse.text(`${id}`)
          }
          yield* Deferred.succeed(begin, undefined)
          yield* Deferred.await(gate).pipe(Effect.onInterrupt(() => Deferred.succeed(end, undefined)))
          return HttpServerResponse.text(`${id}`)
        })
      ))
      const fibers = yield* Effect.forEach(
        started,
        (_, id) => Effect.forkChild(Effect.flatMap(HttpClient.get(`/wait/${id}`), (response) => response.text))
      )
      yield* Effect.forEach(started, Deferred.await)
      yield* Fiber.interruptAll(fibers.filter((_, id) => id % 2 === 0))
      yield* Effect.forEach(interrupted.filter((_, id) => id % 2 === 0), Deferred.await)
      const late = yield* HttpClient.get("/wait/99")
      assert.strictEqual(yield* late.text, "99")
      yield* Deferred.succeed(gate, undefined)
      const answers = yield* Effect.forEach(fibers.filter((_, id) => id % 2 === 1), Fiber.join)
      assert.deepStrictEqual(answers, Array.from({ length: 10 }, (_, index) => String(2 * index + 1)))
    })
  ),

  makeCase(
    "interrupting the reader of a response interrupts its stream",
    Effect.gen(function*() {
      const read = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<Exit.Exit<unknown, unknown>>()
      yield* serve(Effect.succeed(HttpServerResponse.stream(
        Stream.concat(Stream.make(utf8("start")), Stream.never).pipe(
          Stream.onExit((exit) => Deferred.succeed(ended, exit))
        )
      )))
      const fiber = yield* HttpClient.get("/").pipe(
        Effect.flatMap((response) => Stream.runForEach(response.stream, () => Deferred.succeed(read, undefined))),
        Effect.forkChild
      )
      yield* Deferred.await(read)
      yield* Fiber.interrupt(fiber)
      assert.isTrue(Exit.isFailure(yield* Deferred.await(ended)))
    })
  ),

  makeCase(
    "a client withScope gives up the response when the scope closes",
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<void>()
      yield* serve(Effect.succeed(HttpServerResponse.stream(
        Stream.fromEffect(Effect.as(Deferred.succeed(begun, undefined), utf8("start"))).pipe(
          Stream.concat(Stream.never),
          Stream.ensuring(Deferred.succeed(ended, undefined))
        )
      )))
      const client = HttpClient.withScope(yield* HttpClient.HttpClient)
      const status = yield* Effect.scoped(Effect.flatMap(
        client.get("/"),
        (response) => Effect.as(Deferred.await(begun), response.status)
      ))
      assert.strictEqual(status, 200)
      yield* Deferred.await(ended)
    })
  ),

  makeCase(
    "finalizers of the request scope run after the body of the response",
    Effect.gen(function*() {
      const events: Array<string> = []
      const closed = yield* Deferred.make<void>()
      yield* serve(Effect.gen(function*() {
        yield* Effect.addFinalizer((exit) => {
          events.push(`finalizer ${exit._tag}`)
          return Deferred.succeed(closed, undefined)
        })
        return HttpServerResponse.stream(
          Stream.fromEffect(Effect.sync(() => {
            events.push("body")
            return utf8("body")
          }))
        )
      }))
      const response = yield* HttpClient.get("/")
      assert.strictEqual(yield* response.text, "body")
      yield* Deferred.await(closed)
      assert.deepStrictEqual(events, ["body", "finalizer Success"])
    })
  ),

  makeCase(
    "finalizers of the request scope see how a handler failed",
    Effect.gen(function*() {
      const closed = yield* Deferred.make<Exit.Exit<unknown, unknown>>()
      yield* serve(Effect.gen(function*() {
        yield* Effect.addFinalizer((exit) => Deferred.succeed(closed, exit))
        return yield* Effect.fail("boom")
      }))
      const response = yield* HttpClient.get("/")
      assert.strictEqual(response.status, 500)
      const exit = yield* Deferred.await(closed)
      assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) === "boom")
    })
  ),

  makeCase(
    "finalizers of the request scope run after an interruption",
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const closed = yield* Deferred.make<Exit.Exit<unknown, unknown>>()
      yield* serveRoutes(HttpRouter.add(
        "GET",
        "/",
        Effect.gen(function*() {
          yield* Effect.addFinalizer((exit) => Deferred.succeed(closed, exit))
          yield* Deferred.succeed(started, undefined)
          return yield* Effect.never
        })
      ))
      const fiber = yield* Effect.forkChild(HttpClient.get("/"))
      yield* Deferred.await(started)
      yield* Fiber.interrupt(fiber)
      assert.isTrue(Exit.hasInterrupts(yield* Deferred.await(closed)))
    })
  )
]
