/**
 * Subscribers of events that are slow, or do not read at all.
 */
import { assert, describe, it } from "@effect/vitest"
import type * as ConnectionEvent from "effect-swaggersocket/ConnectionEvent"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { Hub } from "../support/connections.ts"
import { atMostTwice, report, round, timed } from "../support/measurements.ts"
import { turn } from "../support/waiting.ts"

const capacity = 4096
/** Two events each: received and closed. Those of the first half find room, most of the others do not. */
const connections = 3600
const total = 2 * connections

const program = (context: Parameters<typeof report>[0]) =>
  Effect.gen(function*() {
    const hub = yield* Hub

    // In memory: what a socket costs would hide what the events cost.
    const connect = Effect.scoped(Effect.flatMap(
      Layer.build(SwaggerSocketTest.layerClient(Hub)),
      (context) =>
        Effect.flatMap(
          Context.get(context, SwaggerSocketClient.SwaggerSocketClient).connection,
          (connection) => connection.close()
        )
    ))

    // Besides the measured ones, a connection before them and one after.
    const expected = total + 4
    const subscribe = Effect.gen(function*() {
      const seen: Array<ConnectionEvent.ConnectionEvent> = []
      const done = yield* Deferred.make<void>()
      yield* Effect.forkScoped(
        Stream.runForEach(hub.events, (event) => {
          seen.push(event)
          return seen.length === expected ? Deferred.succeed(done, undefined) : Effect.void
        }),
        { startImmediately: true }
      )
      return { seen, done }
    })
    const first = yield* subscribe
    const second = yield* subscribe

    // It subscribes by pulling once, and then does not pull any more.
    const pull = yield* Stream.toPull(hub.events)
    const [taken] = yield* Effect.all([pull, connect], { concurrency: 2 })

    const half = Effect.forEach(Array.from({ length: connections / 2 }), () => connect, {
      concurrency: 50,
      discard: true
    })
    const [, room] = yield* timed(half)
    const [, full] = yield* timed(half)
    const [, afterwards] = yield* timed(connect)
    yield* Deferred.await(first.done)
    yield* Deferred.await(second.done)
    // Subscribers get an event one after the other; the one that has stopped was the last to subscribe.
    yield* turn

    const all = first.seen
    assert.strictEqual(all.length, expected)
    assert.deepStrictEqual(second.seen, all)
    const opened = all.filter(({ _tag }) => _tag === "ConnectionReceived")
    const closed = all.filter(({ _tag }) => _tag === "ConnectionClosed")
    assert.deepStrictEqual([opened.length, closed.length], [expected / 2, expected / 2])

    const [dropped, ...newest] = yield* pull
    report(context, {
      millisPerConnection: round(room / connections * 2),
      millisPerConnectionWhileDropping: round(full / connections * 2),
      millisOfOneAfterwards: round(afterwards),
      taken: taken.length,
      dropped,
      kept: newest.length
    })
    assert.isTrue(dropped._tag === "EventsDropped" && dropped.count === expected - taken.length - capacity)
    assert.deepStrictEqual(newest, all.slice(-capacity))
    assert.isBelow(full, room * 3)
    assert.isBelow(afterwards, room, "one takes longer than thousands did")

    // It goes on as if nothing had happened.
    const [next] = yield* Effect.all([pull, connect], { concurrency: 2 })
    assert.strictEqual(next[0]._tag, "ConnectionReceived")
  })

describe(`${total} events`, () => {
  it.live(
    `a stopped subscriber holds up nobody, and all others get ${total} events in the same order`,
    (context) => atMostTwice(Effect.provide(program(context), Hub.layerNoRoute({}))),
    120_000
  )
})
