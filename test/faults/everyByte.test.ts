/**
 * A short conversation whose link breaks at each of its bytes in turn: in the handshake, between messages and within them.
 *
 * Most runs break it at some of its bytes, others each time; `EVERY_BYTE=1` at all of them. `FAULTS_SEED` repeats a run.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Connection from "effect-swaggersocket/Connection"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as FaultProxy from "effect-swaggersocket/testing/FaultProxy"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { Hub, layerHub, socketUrl } from "../support/connections.ts"
import { countTags, keepEvents } from "../support/events.ts"
import { extent } from "../support/extent.ts"
import { report, round, timed } from "../support/measurements.ts"
import { dial } from "../support/proxied.ts"
import { eventually } from "../support/waiting.ts"
import { seed } from "./random.ts"

/** Conversations at once. */
const concurrency = 8

/** Every so many bytes. */
const every = extent("EVERY_BYTE", 16, 1)
/** Of a test, in milliseconds. */
const timeout = 600_000

const bytes = every === 1 ? "each byte" : `one of ${every} bytes, FAULTS_SEED=${seed},`

const post = (api: HttpClient.HttpClient, path: string, body: string) =>
  Effect.flatMap(api.post(path, { body: HttpBody.text(body) }), (response) => response.text)

/** Counts what was executed, by path. */
const counter = () => {
  const counts = new Map<string, number>()
  return {
    count: (path: string) => counts.set(path, (counts.get(path) ?? 0) + 1),
    of: (path: string) => counts.get(path) ?? 0
  }
}

/** A server that calls the caller before it answers. */
const serve = Effect.gen(function*() {
  const calls = counter()
  const backs = counter()
  // A client whose last link broke as it left will not come back for the end.
  const context = yield* Layer.build(layerHub({ limits: { drainTimeout: "100 millis" } }))
  yield* Layer.build(
    HttpRouter.serve(
      HttpRouter.add(
        "POST",
        "/call/:run/:id",
        Effect.gen(function*() {
          const { id, run } = yield* HttpRouter.params
          calls.count(`${run}/${id}`)
          const request = yield* HttpServerRequest.HttpServerRequest
          const body = yield* request.text
          const back = yield* post(ApiClient.make(yield* Connection.current), `/back/${run}/${id}`, body)
          return HttpServerResponse.text(`${back} and back`)
        })
      ),
      { disableLogger: true, disableListenLog: true }
    ).pipe(Layer.provide(ApiServer.layerServer(Hub)), Layer.provide(Layer.succeed(Hub, Context.get(context, Hub))))
  )
  const routes = HttpRouter.add(
    "POST",
    "/back/:run/:id",
    Effect.gen(function*() {
      const { id, run } = yield* HttpRouter.params
      backs.count(`${run}/${id}`)
      const request = yield* HttpServerRequest.HttpServerRequest
      return HttpServerResponse.text(`${yield* request.text} there`)
    })
  )
  return { url: yield* Effect.provide(socketUrl, context), calls, backs, routes }
})

type Server = Effect.Success<typeof serve>

let runs = 0

/** A conversation on links with faults; answers what was wrong with it, and the traffic of its last link. */
const converse = (server: Server, faults: ReadonlyArray<FaultProxy.Planned>) =>
  Effect.gen(function*() {
    const run = runs++
    const proxy = yield* FaultProxy.make({
      target: server.url,
      faults: (index) => faults[index] === undefined ? [] : [faults[index]]
    })
    const { client } = yield* dial({ url: proxy.url, metadata: { run } })
    const events = yield* keepEvents(client.events)
    const context = yield* Layer.build(Layer.provide(
      Layer.merge(
        ApiClient.layer,
        Layer.provide(
          HttpRouter.serve(server.routes, { disableLogger: true, disableListenLog: true }),
          ApiServer.layer
        )
      ),
      Layer.succeed(SwaggerSocketClient.SwaggerSocketClient, client)
    ))
    const api = Context.get(context, HttpClient.HttpClient)
    const call = (id: number, body: string) =>
      Effect.map(
        Effect.timeout(post(api, `/call/${run}/${id}`, body), "60 seconds"),
        (text) => text === `${body} there and back` ? undefined : `call ${id} was answered with "${text}"`
      )
    const exit = yield* Effect.exit(Effect.gen(function*() {
      const first = yield* call(0, "first")
      return [first, ...yield* Effect.all([call(1, ""), call(2, "second")], { concurrency: 2 })]
    }))
    const wrong = Exit.isFailure(exit)
      ? [String(Cause.squash(exit.cause))]
      : exit.value.filter((problem) => problem !== undefined)
    for (let id = 0; id < 3; id++) {
      for (const [side, counts] of [["server", server.calls], ["client", server.backs]] as const) {
        const times = counts.of(`${run}/${id}`)
        if (times !== 1) wrong.push(`call ${id} was executed ${times} times on the ${side}`)
      }
    }
    const { ConnectionClosed = 0, ConnectionFailure = 0, ConnectionReceived = 0 } = countTags(events)
    if (ConnectionReceived !== 1) wrong.push(`${ConnectionReceived} connections`)
    if (ConnectionClosed + ConnectionFailure > 0) wrong.push("the connection ended")
    const link = proxy.links.at(-1)
    const traffic = { up: link?.bytesOfWebSocket("up") ?? 0, down: link?.bytesOfWebSocket("down") ?? 0 }
    return { wrong, traffic, broken: proxy.broken }
  }).pipe(Effect.scoped)

/** The positions of this run in each direction, each second one with a reset. */
const positions = (traffic: { readonly up: number; readonly down: number }): ReadonlyArray<FaultProxy.Planned> =>
  (["up", "down"] as const).flatMap((direction) =>
    Array.from({ length: traffic[direction] + 1 }, (_, at): FaultProxy.Planned => ({
      direction,
      at,
      fault: { _tag: "truncate", how: Math.floor(at / every) % 2 === 0 ? "reset" : "end" }
    })).filter(({ at }) => at % every === seed % every)
  )

/** A conversation for each position of a fault, on links that have had other faults before. */
const breakEverywhere = Effect.fnUntraced(function*(
  server: Server,
  before: ReadonlyArray<FaultProxy.Planned>,
  directions: ReadonlyArray<FaultProxy.Direction> = ["up", "down"]
) {
  // Code that runs for the first time may put other frames into one message.
  for (let round = 0; round < 20; round++) yield* converse(server, before)
  const { traffic, wrong } = yield* converse(server, before)
  assert.deepStrictEqual(wrong, [])
  const failures: Array<{ readonly direction: string; readonly at: number; readonly wrong: ReadonlyArray<string> }> = []
  let missed = 0
  const [, millis] = yield* timed(Effect.forEach(
    positions(traffic).filter(({ direction }) => directions.includes(direction)),
    (fault) =>
      Effect.map(converse(server, [...before, fault]), ({ broken, wrong }) => {
        if (broken === before.length) missed++
        if (wrong.length > 0) failures.push({ direction: fault.direction, at: fault.at, wrong })
      }),
    { concurrency }
  ))
  return { traffic, millis, failures, missed }
})

const metadata = { run: 1000 }

/** From a hello on: within the ready that follows, although numbers in the hello may be shorter. */
const inReady = 5

/** Bytes of the hello on the link of that index: what a client sends before it is welcomed. */
const sizeOfHello = (server: Pick<Server, "url">, silent: number) =>
  Effect.gen(function*() {
    const proxy = yield* FaultProxy.make({
      target: server.url,
      // Nothing comes back, so that nothing follows.
      faults: (index) =>
        index === silent ? [{ direction: "down", at: 0, fault: { _tag: "halfOpen", directions: ["down"] } }] : []
    })
    const { client } = yield* dial({ url: proxy.url, metadata })
    if (silent > 0) {
      yield* client.connection
      yield* proxy.cut()
    }
    yield* proxy.until(() => proxy.struck.halfOpen === 1)
    const link = proxy.links.at(-1)!
    yield* eventually(() => assert.isAbove(link.bytesOfWebSocket("up"), 0))
    return link.bytesOfWebSocket("up")
  }).pipe(Effect.scoped)

describe(`link that breaks at ${bytes} of its WebSocket traffic`, () => {
  it.live(
    `calls succeed, each executed once, when the first link breaks at ${bytes}`,
    (context) =>
      Effect.gen(function*() {
        const { failures, millis, missed, traffic } = yield* breakEverywhere(yield* serve, [])
        report(context, { ...traffic, seconds: round(millis / 1000), missed, failures: failures.length })
        assert.deepStrictEqual(failures.slice(0, 5), [])
        // The end of a conversation may be acknowledged or not.
        assert.isAtMost(missed, 20)
      }),
    timeout
  )

  for (const direction of ["up", "down"] as const) {
    it.live(
      `calls succeed, each executed once, when the second link breaks after the first lost its last bytes ${direction}`,
      (context) =>
        Effect.gen(function*() {
          const server = yield* serve
          const { traffic: whole } = yield* converse(server, [])
          const { failures, millis, missed, traffic } = yield* breakEverywhere(server, [
            { direction, at: whole[direction] - 60, fault: { _tag: "truncate" } }
          ])
          report(context, { ...traffic, seconds: round(millis / 1000), missed, failures: failures.length })
          assert.deepStrictEqual(failures.slice(0, 5), [])
          assert.isAtMost(missed, 20)
        }),
      timeout
    )
  }

  it.live(
    "calls succeed, each executed once, when the third link breaks after the second lost its ready",
    (context) =>
      Effect.gen(function*() {
        const server = yield* serve
        const hello = yield* sizeOfHello(server, 1)
        const { failures, millis, missed, traffic } = yield* breakEverywhere(server, [
          { direction: "up", at: 400, fault: { _tag: "truncate" } },
          { direction: "up", at: hello + inReady, fault: { _tag: "truncate" } }
        ], ["down"])
        report(context, { hello, ...traffic, seconds: round(millis / 1000), missed, failures: failures.length })
        assert.deepStrictEqual(failures.slice(0, 5), [])
        assert.isAtMost(missed, 20)
      }),
    timeout
  )

  it.live("a server that stops does not wait for a client whose first link broke within its ready", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const limits = { closeTimeout: "200 millis", drainTimeout: "10 minutes" } as const
      const context = yield* Scope.provide(Layer.build(layerHub({ limits })), scope)
      const url = yield* Effect.provide(socketUrl, context)
      const at = (yield* sizeOfHello({ url }, 0)) + inReady
      yield* Effect.scoped(Effect.gen(function*() {
        const proxy = yield* FaultProxy.make({
          target: url,
          faults: () => [{ direction: "up", at, fault: { _tag: "truncate" } }]
        })
        const { client } = yield* dial({ url: proxy.url, metadata })
        yield* client.connection
      }))
      const closing = yield* Effect.forkDetach(Scope.close(scope, Exit.void))
      yield* eventually(() => assert.isDefined(closing.pollUnsafe()))
    }))
})
