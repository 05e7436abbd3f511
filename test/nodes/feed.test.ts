/**
 * What a node tells another one of its connections, and what that makes of it.
 */
import { assert, describe, it } from "@effect/vitest"
import type { ConnectionEvent } from "effect-swaggersocket/ConnectionEvent"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { feed } from "../../src/internal/nodes/feed.ts"
import type { Node } from "../../src/internal/nodes/node.ts"
import { NodeConnections } from "../../src/internal/nodes/nodeConnections.ts"
import type { Codec } from "../../src/internal/nodes/record.ts"
import { Registry } from "../../src/internal/nodes/registry.ts"
import type { Owner } from "../../src/internal/nodes/remoteConnection.ts"
import type { Acceptor } from "../../src/internal/server/acceptor.ts"
import { zeroCounters } from "../../src/internal/streams/settings.ts"

const codec: Codec<{}, undefined> = {
  encode: (record) => Effect.succeed(JSON.stringify(record)),
  decode: () => Effect.never
}

const node = (name: string): Node => ({ instance: name, name, url: name, state: "up" })

/** A server whose events are given. */
const makeRegistry = Effect.fnUntraced(function*(
  events: Stream.Stream<ConnectionEvent<{}>> = Stream.never,
  connections: ReadonlyArray<string> = []
) {
  const acceptor = {
    events,
    connections: () => connections.map((id) => ({ id })),
    connection: () => undefined
  } as unknown as Acceptor<{}, undefined>
  return { acceptor, registry: new Registry<{}, undefined>(acceptor, node("self"), yield* Clock.Clock) }
})

/** The first records that are told. */
const told = Effect.fnUntraced(function*(made: Effect.Success<ReturnType<typeof makeRegistry>>, count: number) {
  const lines = yield* Stream.runCollect(Stream.take(feed(made.acceptor, made.registry, codec), count))
  return lines.map((line) => {
    const { _tag, event } = JSON.parse(new TextDecoder().decode(line)) as { _tag: string; event?: { _tag: string } }
    return event?._tag ?? _tag
  })
})

const about = { connectionId: "1", metadata: {}, at: 0 }
const received: ConnectionEvent<{}> = { _tag: "ConnectionReceived", wire: "v2", ...about }

describe("what a node tells", () => {
  it.effect("without connections it tells at once that there are none", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* told(yield* makeRegistry(), 2), ["Began", "Current"])
    }))

  it.effect("those there are come before the word that these are all", () =>
    Effect.gen(function*() {
      const made = yield* makeRegistry(Stream.concat(Stream.make(received), Stream.never), ["1"])
      assert.deepStrictEqual(yield* told(made, 3), ["Began", "ConnectionReceived", "Current"])
    }))

  it.effect("where all have ended before it could tell of them, that is told a second later", () =>
    Effect.gen(function*() {
      const telling = yield* Effect.forkChild(told(yield* makeRegistry(Stream.never, ["1"]), 2))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(telling), ["Began", "Current"])
    }))

  it.effect("when it has lost events it ends, so that it is asked anew", () =>
    Effect.gen(function*() {
      const dropped: ConnectionEvent<{}> = { _tag: "EventsDropped", count: 1, at: 0 }
      const made = yield* makeRegistry(Stream.concat(Stream.make(dropped), Stream.never), ["1"])
      assert.deepStrictEqual(yield* told(made, Infinity), ["Began", "Current", "Current"])
    }))
})

describe("events of this node that were dropped", () => {
  it.effect("a new subscriber is told of no connection whose end was among them", () =>
    Effect.gen(function*() {
      const { registry } = yield* makeRegistry()
      registry.publish(node("self"), received)
      registry.eventsDropped()
      const events: Array<string> = []
      yield* Effect.forkScoped(
        Stream.runForEach(registry.events, ({ _tag }) => Effect.sync(() => void events.push(_tag))),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(events, [])
    }))
})

describe("what another node makes of it", () => {
  const begin = Effect.gen(function*() {
    const { registry } = yield* makeRegistry()
    const link = { now: "open", lastSign: 1, mux: {} }
    const connections = new NodeConnections({ node: node("other"), link } as unknown as Owner, registry)
    const event = (event: ConnectionEvent<{}>) => connections.take({ _tag: "Event", event })
    const ids = () => registry.all.map(({ id }) => id)
    return { connections, event, ids, registry }
  })

  it.effect("a connection that is not told of when all are told of anew has ended", () =>
    Effect.gen(function*() {
      const { connections, event, ids } = yield* begin
      event(received)
      event({ ...received, connectionId: "2" })
      connections.take({ _tag: "Began" })
      event({ ...received, connectionId: "2" })
      event({ ...received, connectionId: "3" })
      assert.deepStrictEqual(ids(), ["1", "2", "3"])
      connections.take({ _tag: "Current" })
      assert.deepStrictEqual(ids(), ["2", "3"])
    }))

  it.effect("what is told twice is published once", () =>
    Effect.gen(function*() {
      const { connections, event, registry } = yield* begin
      const events: Array<string> = []
      yield* Effect.forkScoped(
        Stream.runForEach(registry.events, ({ _tag }) => Effect.sync(() => void events.push(_tag))),
        { startImmediately: true }
      )
      event(received)
      connections.take({ _tag: "Began" })
      event(received)
      connections.take({ _tag: "Current" })
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(events, ["ConnectionReceived"])
    }))

  it.effect("a status that stays the same is told once, whatever happens to the link", () =>
    Effect.gen(function*() {
      const { connections, event, registry } = yield* begin
      event(received)
      const statuses: Array<string> = []
      yield* Effect.forkScoped(
        Stream.runForEach(registry.all[0]!.changes, (status) => Effect.sync(() => void statuses.push(status))),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1 millis")
      connections.linkChanged()
      yield* TestClock.adjust("1 millis")
      event({
        _tag: "ConnectionClosed",
        initiator: "remote",
        code: 1000,
        reason: "",
        statistics: zeroCounters(),
        ...about
      })
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(statuses, ["open", "closed"])
    }))

  it.effect("events of connections that it does not know are left out", () =>
    Effect.gen(function*() {
      const { connections, event, ids } = yield* begin
      event({ _tag: "ConnectionResumed", gapMillis: 1, replayed: 0, ...about })
      connections.take({ _tag: "Groups", connectionId: "1", groups: ["blue"] })
      assert.deepStrictEqual(ids(), [])
    }))
})
