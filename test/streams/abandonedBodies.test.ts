/**
 * Bodies given up half-way, in every way there is: the connection keeps all of its credit.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import type * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { bytesOf, MiB } from "../support/bodies.ts"
import { assertUsable, bodyRoutes } from "../support/bodyRoutes.ts"
import { join, roles, serveRoutes } from "../support/connections.ts"
import { assertIdle, fixedWindow } from "../support/credit.ts"
import { extent } from "../support/extent.ts"
import { collectGarbage, report, round, timed } from "../support/measurements.ts"
import { eventually } from "../support/waiting.ts"

const size = MiB
const chunk = 16 * 1024

/** Fails once `bytes` have been produced. */
const failing = (bytes: number): Stream.Stream<Uint8Array, Error> =>
  Stream.concat(bytesOf(1, bytes, chunk), Stream.fail(new Error("the producer failed")))

/** Takes a part of a body and no more. */
const takePart = <E>(body: Stream.Stream<Uint8Array, E>) => Stream.runDrain(Stream.take(body, 2))

/** What the handlers of a round tell: how many streams they began to send, and how many were closed. */
const makeRoutes = () => {
  const gates = new Map<number, Deferred.Deferred<void>>()
  const gateOf = (id: number) => {
    const gate = gates.get(id) ?? Deferred.makeUnsafe<void>()
    gates.set(id, gate)
    return gate
  }
  let [begun, closed] = [0, 0]
  const counted = <E>(body: Stream.Stream<Uint8Array, E>) =>
    Stream.suspend(() => {
      begun++
      return Stream.ensuring(body, Effect.sync(() => closed++))
    })
  const routes = Layer.mergeAll(
    HttpRouter.add("GET", "/big", HttpServerResponse.stream(counted(bytesOf(1, size, chunk)))),
    HttpRouter.add("GET", "/failing", HttpServerResponse.stream(counted(failing(size / 4)))),
    HttpRouter.add("POST", "/ignored", HttpServerResponse.text("enough")),
    HttpRouter.add(
      "POST",
      "/part",
      Effect.gen(function*() {
        const request = yield* HttpServerRequest.HttpServerRequest
        yield* takePart(request.stream)
        return HttpServerResponse.text("a part")
      })
    ),
    HttpRouter.add(
      "POST",
      "/dies",
      Effect.gen(function*() {
        const request = yield* HttpServerRequest.HttpServerRequest
        yield* takePart(request.stream)
        return yield* Effect.die("the handler died")
      })
    ),
    // Opens its gate when it has read a part, and never answers.
    HttpRouter.add(
      "POST",
      "/stuck/:id",
      Effect.gen(function*() {
        const id = Number((yield* HttpRouter.params).id)
        const request = yield* HttpServerRequest.HttpServerRequest
        yield* Stream.runForEach(
          request.stream,
          () => Effect.andThen(Deferred.succeed(gateOf(id), undefined), Effect.never)
        )
        return HttpServerResponse.empty()
      })
    ),
    // Reads and writes at once, and fails at its gate.
    HttpRouter.add(
      "POST",
      "/both/:id",
      Effect.gen(function*() {
        const id = Number((yield* HttpRouter.params).id)
        const request = yield* HttpServerRequest.HttpServerRequest
        yield* takePart(request.stream)
        return HttpServerResponse.stream(counted(Stream.concat(
          bytesOf(1, 4 * chunk, chunk),
          Stream.fromEffect(Effect.andThen(Deferred.await(gateOf(id)), Effect.fail(new Error("the handler failed"))))
        )))
      })
    ),
    bodyRoutes
  )
  return { routes, gates, gateOf, bodies: () => ({ begun, closed }) }
}

type Routes = ReturnType<typeof makeRoutes>

const body = () => HttpBody.stream(bytesOf(1, size, chunk))

/** Each abandons one exchange; `id` is that of the exchange. */
const ways: Record<
  string,
  (client: HttpClient.HttpClient, id: number, routes: Routes) => Effect.Effect<unknown, unknown>
> = {
  "a response stream is taken in part": (client) =>
    Effect.flatMap(client.get("/big"), (response) => takePart(response.stream)),

  "a response is never read": (client) => Effect.asVoid(client.get("/big")),

  "the caller is interrupted while it reads": Effect.fnUntraced(function*(client) {
    const reading = yield* Deferred.make<void>()
    const fiber = yield* client.get("/big").pipe(
      Effect.flatMap((response) =>
        Stream.runForEach(response.stream, () => Effect.andThen(Deferred.succeed(reading, undefined), Effect.never))
      ),
      Effect.forkChild
    )
    yield* Deferred.await(reading)
    yield* Fiber.interrupt(fiber)
  }),

  "the caller is interrupted while it collects": Effect.fnUntraced(function*(client) {
    const response = yield* client.get("/big")
    yield* Fiber.interrupt(yield* Effect.forkChild(response.arrayBuffer, { startImmediately: true }))
  }),

  "the caller is interrupted while it sends": Effect.fnUntraced(function*(client, id, { gateOf }) {
    const fiber = yield* Effect.forkChild(client.post(`/stuck/${id}`, { body: body() }))
    yield* Deferred.await(gateOf(id))
    yield* Fiber.interrupt(fiber)
  }),

  "the caller is interrupted before it has sent": (client) =>
    Effect.flatMap(
      Effect.forkChild(client.post("/upload", { body: body() }), { startImmediately: true }),
      Fiber.interrupt
    ),

  "the body of the caller fails": (client) =>
    Effect.map(
      Effect.exit(client.post("/upload", { body: HttpBody.stream(failing(size / 4)) })),
      (exit) => assert.isTrue(Exit.isFailure(exit))
    ),

  "the handler does not read": Effect.fnUntraced(function*(client) {
    const response = yield* client.post("/ignored", { body: body() })
    assert.strictEqual(yield* response.text, "enough")
  }),

  "the handler reads a part": Effect.fnUntraced(function*(client) {
    const response = yield* client.post("/part", { body: body() })
    assert.strictEqual(yield* response.text, "a part")
  }),

  "the handler dies while it reads": Effect.fnUntraced(function*(client) {
    const response = yield* client.post("/dies", { body: body() })
    assert.strictEqual(response.status, 500)
    yield* response.text
  }),

  "the handler fails while it writes": Effect.fnUntraced(function*(client) {
    const response = yield* client.get("/failing")
    assert.isTrue(Exit.isFailure(yield* Effect.exit(response.arrayBuffer)))
  }),

  "both ends reset at once": Effect.fnUntraced(function*(client, id, { gateOf }) {
    const reading = yield* Deferred.make<void>()
    const fiber = yield* client.post(`/both/${id}`, { body: body() }).pipe(
      Effect.flatMap((response) =>
        Stream.runForEach(response.stream, () => Effect.andThen(Deferred.succeed(reading, undefined), Effect.never))
      ),
      Effect.forkChild
    )
    yield* Deferred.await(reading)
    // Both in one turn: the resets cross on the wire.
    yield* Deferred.succeed(gateOf(id), undefined)
    yield* Fiber.interrupt(fiber)
  })
}

const each = extent("BODIES", 100, 300)

/** By the caller and by the server of the API: who gives up is who says so, once. */
const expectedResets: Record<string, readonly [number, number]> = {
  "a response stream is taken in part": [each, 0],
  "a response is never read": [each, 0],
  "the caller is interrupted while it reads": [each, 0],
  "the caller is interrupted while it collects": [each, 0],
  "the caller is interrupted while it sends": [each, 0],
  "the caller is interrupted before it has sent": [0, 0],
  "the body of the caller fails": [each, 0],
  "the handler does not read": [0, each],
  "the handler reads a part": [0, each],
  "the handler dies while it reads": [0, each],
  "the handler fails while it writes": [0, each]
}

/** So many resets at once are an attack, by default. */
const limits = { resetBurst: 100_000, ...fixedWindow }

describe("abandoned bodies", () => {
  for (const serving of ["server", "client"] as const) {
    it.live(
      `${each} bodies that are abandoned half-way in each of ${
        Object.keys(ways).length
      } ways lose no credit, API on the ${serving}`,
      (context) =>
        Effect.gen(function*() {
          const ends = yield* join({ serverLimits: limits, clientLimits: limits, ledgers: true })
          const { api, calling, serving: peer } = roles(ends, serving)
          const routes = makeRoutes()
          yield* serveRoutes(peer, routes.routes)
          const names = Object.keys(ways)
          const times: Record<string, number> = {}
          const resets: Record<string, ReadonlyArray<number>> = {}

          for (const name of names) {
            routes.gates.clear()
            const before = [(yield* calling.statistics).resetsSent, (yield* peer.statistics).resetsSent]
            const [, millis] = yield* timed(
              Effect.forEach(
                Array.from({ length: each }, (_, id) => id),
                (id) => ways[name]!(api, id, routes),
                // Those that are never read stay open until they are collected.
                { concurrency: 25, discard: true }
              ).pipe(
                Effect.raceFirst(name === "a response is never read" ? Effect.forever(collectGarbage) : Effect.never),
                Effect.timeout("30 seconds")
              )
            )
            times[name] = round(millis)
            if (name === "a response is never read") yield* collectGarbage
            yield* assertIdle(ends)
            const after = [(yield* calling.statistics).resetsSent, (yield* peer.statistics).resetsSent]
            resets[name] = after.map((count, end) => count - before[end]!)
          }

          const { begun, closed } = routes.bodies()
          const calls = each * names.length
          report(context, { calls, millis: times, resets, statistics: yield* calling.statistics })
          const { "both ends reset at once": both, ...others } = resets
          assert.deepStrictEqual(others, expectedResets)
          // Where they cross both count, and where one is quicker the other is spared.
          assert.isAtMost(Math.max(...both!), each)
          assert.isAbove(both![0]! + both![1]!, each)
          assert.isAbove(begun, 0)
          yield* eventually(() => assert.strictEqual(closed, begun, "producers that were not stopped"))
          yield* assertUsable(ends, serving)
          yield* assertIdle(ends)
          assert.strictEqual(yield* calling.status, "open")
        }),
      60_000
    )
  }

  it.live("handlers that fail do not count against the resets of the calling end", () =>
    Effect.gen(function*() {
      // Few resets are too many, so that a few hundred calls show that theirs don't count.
      const few = { maxConcurrentStreams: 50, resetBurst: 50, resetsPerSecond: 20 }
      const ends = yield* join({ serverLimits: few, clientLimits: few })
      const { api, serving } = roles(ends, "server")
      yield* serveRoutes(serving, makeRoutes().routes)
      yield* Effect.forEach(
        Array.from({ length: 400 }),
        () => Effect.flatMap(api.get("/failing"), (response) => Effect.exit(response.arrayBuffer)),
        { concurrency: 50, discard: true }
      )
      yield* Effect.forEach(
        Array.from({ length: 400 }),
        () => Effect.flatMap(api.post("/ignored", { body: body() }), (response) => response.text),
        { concurrency: 50, discard: true }
      )
      yield* assertIdle(ends)
      assert.strictEqual(yield* ends.client.status, "open")
    }), 60_000)
})
