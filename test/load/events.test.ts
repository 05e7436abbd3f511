/**
 * Subscribers of events that are slow, or do not read at all.
 */
import { assert, describe, it } from "@effect/vitest"
import type * as ConnectionEvent from "effect-swaggersocket/ConnectionEvent"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { Hub, layerHub, socketUrl } from "../support/connections.ts"
import { atMostTwice, report, round, timed } from "../support/measurements.ts"

const capacity = 4096
/** Two events each: received and closed. Those of the first half find room, most of the others do not. */
const connections = 3600
const total = 2 * connections

const program = (context: Parameters<typeof report>[0]) =>
  Effect.gen(function*() {
    const hub = yield* Hub
    const url = yield* socketUrl

    const connect = Effect.scoped(Effect.flatMap(
      SwaggerSocketClient.make({ url }),
      (client) => Effect.flatMap(client.connection, (connection) => connection.close())
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
  }).pipe(Effect.provide(NodeSwaggerSocket.layerWebSocketConstructor))

describe(`${total} events`, () => {
  it.live(
    `a stopped subscriber holds up nobody, and all others get ${total} events in the same order`,
    (context) => atMostTwice(Effect.provide(program(context), layerHub())),
    120_000
  )
})
