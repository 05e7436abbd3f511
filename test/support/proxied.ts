/**
 * Both ends of a connection with the fault proxy between them, and what happens to them.
 */
import { assert } from "@effect/vitest"
import type * as Connection from "effect-swaggersocket/Connection"
import * as Heartbeat from "effect-swaggersocket/Heartbeat"
import * as Limits from "effect-swaggersocket/Limits"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import type * as Quotas from "effect-swaggersocket/Quotas"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as FaultProxy from "effect-swaggersocket/testing/FaultProxy"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type Ends, Hub, layerHub, socketUrl } from "./connections.ts"
import { type Event, keepEvents } from "./events.ts"
import { eventually } from "./waiting.ts"

/** Comes back at once, more or less. */
const quickly = Reconnection.layer({
  schedule: Reconnection.fullJitter({ base: "2 millis", cap: "20 millis" })
})

/** A server whose clients come through the proxy. */
export const listen = Effect.fnUntraced(function*(options: {
  readonly limits?: Limits.Options | undefined
  readonly quotas?: Quotas.Options | undefined
  readonly faults?: FaultProxy.Options["faults"]
  readonly heartbeat?: Heartbeat.Options | undefined
}) {
  const context = yield* Layer.build(Layer.provide(
    layerHub({ limits: options.limits, quotas: options.quotas }),
    options.heartbeat === undefined ? Layer.empty : Heartbeat.layer(options.heartbeat)
  ))
  const target = yield* Effect.provide(socketUrl, context)
  return {
    context,
    hub: Context.get(context, Hub),
    proxy: yield* FaultProxy.make({ target, faults: options.faults })
  }
})

/** A client that dials a proxy, or any URL. */
export const dial = Effect.fnUntraced(function*(options: {
  readonly url: string
  readonly limits?: Limits.Options | undefined
  readonly metadata?: unknown
  readonly heartbeat?: Heartbeat.Options | undefined
  readonly reconnection?: Layer.Layer<never> | undefined
}) {
  const context = yield* Layer.build(
    SwaggerSocketClient.layer({ url: options.url, limits: options.limits, metadata: options.metadata }).pipe(
      Layer.fresh,
      Layer.provide(Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor, Limits.layer(options.limits ?? {}))),
      Layer.provide(options.reconnection ?? quickly),
      Layer.provide(options.heartbeat === undefined ? Layer.empty : Heartbeat.layer(options.heartbeat))
    )
  )
  return { context, client: Context.get(context, SwaggerSocketClient.SwaggerSocketClient) }
})

/** A connection on a link that no fault was planned for. */
export const join = Effect.fnUntraced(function*(options: {
  readonly limits?: Limits.Options | undefined
  /** Of the client, where it has others. */
  readonly clientLimits?: Limits.Options | undefined
  readonly heartbeat?: Heartbeat.Options | undefined
  /** Of the client, where the server has the default. */
  readonly clientHeartbeat?: Heartbeat.Options | undefined
  /** The faults of the links that follow. */
  readonly faults?: FaultProxy.Options["faults"]
  readonly seen?: ((event: Event) => void) | undefined
}) {
  const { context, hub, proxy } = yield* listen({
    ...options,
    faults: (index, proxy) => index === 0 ? [] : options.faults?.(index, proxy) ?? []
  })
  const atServer = yield* keepEvents(hub.events)
  const scope = yield* Scope.fork(yield* Effect.scope)
  const { client } = yield* Scope.provide(
    dial({
      url: proxy.url,
      limits: options.clientLimits ?? options.limits,
      heartbeat: options.clientHeartbeat ?? options.heartbeat
    }),
    scope
  )
  const atClient = yield* keepEvents(client.events, options.seen)
  const near = yield* client.connection
  const far = yield* hub.awaitConnection(({ id }) => id === near.id)
  const ends: Ends = { client: near, server: far }
  /** The client leaves, which is no loss to either end. */
  const leave = Effect.gen(function*() {
    yield* Scope.close(scope, Exit.void)
    yield* eventually(() => {
      for (const events of [atClient, atServer]) assert.strictEqual(events.at(-1)?._tag, "ConnectionClosed")
    })
  })
  return { context, proxy, hub, client, ends, events: { client: atClient, server: atServer }, leave }
})

/** Waits until a server has so many connections: clients know of theirs first. */
export const whenAll = (hub: Hub["Service"], count: number) =>
  Stream.runHead(Stream.filter(hub.changes, (connections) => connections.length === count))

/** Faults of a link that is in use: positions count from here. */
export const planFromHere = (link: FaultProxy.ProxiedLink, planned: ReadonlyArray<FaultProxy.Planned>): void => {
  const here = { up: link.bytesOfWebSocket("up"), down: link.bytesOfWebSocket("down") }
  for (const fault of planned) link.plan({ ...fault, at: fault.at + here[fault.direction], from: "upgrade" })
}

/** An end was interrupted and resumed in turns, is resumed now, and nothing else has happened to it. */
export const assertResumed = (events: ReadonlyArray<Event>, connection: Connection.Connection): number => {
  const all = events.filter(({ _tag }) => _tag !== "ConnectionAttemptFailed")
  assert.strictEqual(all[0]?._tag, "ConnectionReceived")
  for (const [index, event] of all.entries()) {
    if (!("connectionId" in event)) return assert.fail(`${event._tag} on the ${connection.role}`)
    assert.strictEqual(event.connectionId, connection.id)
    if (index === 0) continue
    assert.strictEqual(event._tag, index % 2 === 1 ? "ConnectionInterrupted" : "ConnectionResumed")
    if (event._tag === "ConnectionResumed") assert.isAtLeast(event.gapMillis, 0)
  }
  assert.strictEqual(all.length % 2, 1, `the ${connection.role} is still interrupted`)
  return (all.length - 1) / 2
}
