/**
 * Two servers behind one address that are restarted in turn while their clients, and they themselves, go on calling:
 * nobody notices.
 *
 * `FAULTS=2000` restarts about that many servers; `FAULTS_SEED` repeats a run.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as FaultProxy from "effect-swaggersocket/testing/FaultProxy"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import type * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { bytesOf, hashOf, MiB, sha256 } from "../support/bodies.ts"
import { bodyRoutes } from "../support/bodyRoutes.ts"
import { connect, serve, text } from "../support/draining.ts"
import { countTags } from "../support/events.ts"
import { report, round, timed } from "../support/measurements.ts"
import { faults, Random, seed } from "./random.ts"

const restarts = Math.max(4, Math.round(faults / 6))
const clients = 6
/** Callers of each client, and of each connection of a server. */
const callers = 3
/** Calls between two restarts. */
const between = 60

/** What all that serve have in common. */
const makeApi = () => {
  const executions = new Map<string, number>()
  const routes = Layer.mergeAll(
    HttpRouter.add(
      "POST",
      "/once/:id",
      Effect.gen(function*() {
        const { id } = yield* HttpRouter.params
        executions.set(id!, (executions.get(id!) ?? 0) + 1)
        // So that there is always something in the middle of its work.
        yield* Effect.sleep(2)
        return HttpServerResponse.text(id!)
      })
    ),
    HttpRouter.add("GET", "/small", HttpServerResponse.text("small")),
    bodyRoutes
  )
  return { executions, routes }
}

/** Calls of all kinds, by whoever is told to call, and what became of them. */
const makeTraffic = (executions: Map<string, number>) => {
  const made: Record<string, number> = {}
  const failures: Array<string> = []
  let asked = 0
  let succeeded = 0
  let awaited = { count: Number.POSITIVE_INFINITY, reached() {} }

  const once = Effect.fnUntraced(function*(api: HttpClient.HttpClient) {
    const id = String(asked++)
    assert.strictEqual(yield* text(api.post(`/once/${id}`)), id)
  })

  const small = Effect.fnUntraced(function*(api: HttpClient.HttpClient) {
    assert.strictEqual(yield* text(api.get("/small")), "small")
  })

  const download = Effect.fnUntraced(function*(api: HttpClient.HttpClient, seed: number, size: number) {
    const { stream } = yield* api.get(`/download/${seed}/${size}`)
    assert.strictEqual(yield* sha256(stream), hashOf(seed, size), "download")
  })

  const upload = Effect.fnUntraced(function*(api: HttpClient.HttpClient, seed: number, size: number) {
    // A body that is a stream would not be sent again to the next server.
    const body = HttpBody.uint8Array(Buffer.concat(yield* Stream.runCollect(bytesOf(seed, size))))
    assert.strictEqual(yield* text(api.post("/upload", { body })), hashOf(seed, size), "upload")
  })

  const call = Effect.fnUntraced(function*(who: string, api: HttpClient.HttpClient, random: Random) {
    const seed = random.int(1000)
    const size = MiB / 2 + random.int(MiB)
    const [kind, made_] = random.pick(
      [
        ["once", once(api)],
        ["once", once(api)],
        ["small", small(api)],
        ["download", download(api, seed, size)],
        ["upload", upload(api, seed, size)]
      ] as const
    )
    // What hangs fails, rather than the whole test.
    const exit = yield* Effect.exit(Effect.timeout(made_, "60 seconds"))
    if (Exit.isFailure(exit)) {
      failures.push(`${kind} by a ${who}: ${Cause.pretty(exit.cause)}`)
      return
    }
    made[`${kind} by ${who}s`] = (made[`${kind} by ${who}s`] ?? 0) + 1
    if (++succeeded >= awaited.count) awaited.reached()
  })

  /** Waits until so many more calls have succeeded. */
  const more = (count: number) =>
    Effect.callback<void>((resume) => {
      awaited = { count: succeeded + count, reached: () => resume(Effect.void) }
    })

  const verify = () => {
    assert.deepStrictEqual(failures, [])
    assert.deepStrictEqual(
      [...executions].sort(([a], [b]) => Number(a) - Number(b)),
      Array.from({ length: asked }, (_, id) => [String(id), 1])
    )
    return made
  }

  return { call, more, verify }
}

describe("servers that are restarted in turn", () => {
  it.live(
    `calls to two servers restarted ${restarts} times in turn all succeed, executed once, FAULTS_SEED=${seed}`,
    (context) =>
      Effect.gen(function*() {
        const random = new Random(seed)
        const fork = () => new Random(random.int(2 ** 32))
        const { executions, routes } = makeApi()
        const { call, more, verify } = makeTraffic(executions)

        /** A server that calls its clients until it is told to go. */
        const startServer = Effect.gen(function*() {
          const server = yield* serve(routes)
          const serving = { on: true }
          const caller = (random: Random) =>
            Effect.gen(function*() {
              while (serving.on) {
                yield* server.hub.awaitConnection()
                const client = random.pick(yield* server.hub.connections)
                if (serving.on) yield* call("server", ApiClient.make(client), random)
              }
            })
          for (let count = 0; count < callers; count++) yield* Effect.forkScoped(caller(fork()))
          return {
            url: server.url,
            /** The calls that it is making go on while it drains. */
            stop: Effect.suspend(() => {
              serving.on = false
              return server.close
            })
          }
        })

        let server = yield* startServer
        const proxy = yield* FaultProxy.make({ target: server.url })
        const connected = yield* Effect.forEach(
          Array.from({ length: clients }),
          () =>
            Effect.gen(function*() {
              const client = yield* connect({ url: proxy.url })
              yield* client.serveApi(routes)
              return client
            })
        )
        const calling = { on: true }
        const fibers = yield* Effect.forEach(
          connected.flatMap(({ api }) => Array.from({ length: callers }, () => api)),
          (api) => {
            const random = fork()
            return Effect.forkChild(Effect.gen(function*() {
              while (calling.on) yield* call("client", api, random)
            }))
          }
        )
        const drains: Array<number> = []
        const [, millis] = yield* timed(Effect.gen(function*() {
          for (let restart = 0; restart < restarts; restart++) {
            yield* more(between)
            const next = yield* startServer
            yield* proxy.target(next.url)
            const [, drain] = yield* timed(server.stop)
            drains.push(round(drain))
            server = next
          }
          yield* more(between)
        }))
        calling.on = false
        for (const fiber of fibers) yield* Fiber.join(fiber)
        yield* server.stop
        const calls = verify()
        const events = connected.map(({ events }) => countTags(events))
        report(context, { seconds: round(millis / 1000), calls, drainMillis: drains, events: events[0] })
        for (const { ConnectionClosed, ConnectionReceived, ...others } of events) {
          // Who is busy when two servers go in a row may not have seen the first.
          assert.isAtLeast(ConnectionReceived!, restarts / 2)
          assert.isAtLeast(ConnectionClosed!, ConnectionReceived! - 1)
          // Some dial a server that is about to go.
          assert.deepStrictEqual(Object.keys(others).filter((tag) => tag !== "ConnectionAttemptFailed"), [])
        }
      }),
    60_000 + 2000 * restarts
  )
})
