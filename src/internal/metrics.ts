/**
 * Metrics, all with the prefix `swaggersocket_`.
 *
 * What is counted on the hot path stays a field of its connection; the registry reads the sum when it is asked, so that
 * metrics cost nothing while nobody looks.
 */
import * as Context from "effect/Context"
import { constVoid } from "effect/Function"
import * as Metric from "effect/Metric"
import type { Counters } from "./streams/settings.ts"

interface Totals {
  readonly closed: Counters
  readonly open: Set<Counters>
}

const counted: Record<keyof Counters, readonly [id: string, description: string]> = {
  messagesReceived: ["swaggersocket_messages_received", "WebSocket messages received"],
  messagesSent: ["swaggersocket_messages_sent", "WebSocket messages sent"],
  bytesReceived: ["swaggersocket_bytes_received", "Bytes received in binary messages"],
  bytesSent: ["swaggersocket_bytes_sent", "Bytes sent in binary messages"],
  framesReceived: ["swaggersocket_frames_received", "Frames received"],
  framesSent: ["swaggersocket_frames_sent", "Frames sent"],
  streamsOpened: ["swaggersocket_streams_opened", "Calls made to peers"],
  streamsAccepted: ["swaggersocket_streams_accepted", "Calls received from peers"],
  resetsReceived: ["swaggersocket_resets_received", "Streams reset by peers"],
  resetsSent: ["swaggersocket_resets_sent", "Streams reset by this end"]
}

const names = Object.keys(counted) as ReadonlyArray<keyof Counters>

const totals = new WeakMap<Metric.MetricRegistry, Totals>()

const totalsOf = (context: Context.Context<never>): Totals => {
  const registry = Context.get(context, Metric.MetricRegistry)
  const existing = totals.get(registry)
  if (existing !== undefined) return existing
  const created: Totals = {
    closed: Object.fromEntries(names.map((name) => [name, 0])) as unknown as Counters,
    open: new Set()
  }
  totals.set(registry, created)
  for (const name of names) {
    const [id, description] = counted[name]
    Metric.registerUnsafe(Metric.counter(id, { description, incremental: true }), context, {
      get: () => {
        let count = created.closed[name]
        for (const counters of created.open) count += counters[name]
        return { count, incremental: true }
      },
      update: constVoid,
      modify: constVoid
    })
  }
  Metric.registerUnsafe(Metric.gauge("swaggersocket_connections", { description: "Open connections" }), context, {
    get: () => ({ value: created.open.size }),
    update: constVoid,
    modify: constVoid
  })
  return created
}

/** Includes the counters of a connection; the result ends that and keeps what they counted. @internal */
export const track = (counters: Counters, context: Context.Context<never>): () => void => {
  const { closed, open } = totalsOf(context)
  open.add(counters)
  return () => {
    if (!open.delete(counters)) return
    for (const name of names) closed[name] += counters[name]
  }
}

/** @internal */
export const connectionsOpened = Metric.counter("swaggersocket_connections_opened", {
  description: "Connections established",
  incremental: true
})

/** @internal */
export const connectionFailures = Metric.counter("swaggersocket_connection_failures", {
  description: "Connections that ended by a failure",
  incremental: true
})

/** @internal */
export const interruptions = Metric.counter("swaggersocket_interruptions", {
  description: "Links lost by connections that could be resumed",
  incremental: true
})

/** @internal */
export const resumptions = Metric.counter("swaggersocket_resumptions", {
  description: "Connections resumed on another link",
  incremental: true
})

/** @internal */
export const refusals = Metric.counter("swaggersocket_refusals", {
  description: "Upgrades and handshakes refused by this end",
  incremental: true
})

/** @internal */
export const reconnects = Metric.counter("swaggersocket_reconnects", {
  description: "Attempts of clients to connect again",
  incremental: true
})

/** @internal */
export const roundTrip = Metric.histogram("swaggersocket_round_trip_millis", {
  description: "Round-trip time measured by heartbeats, in milliseconds",
  boundaries: Metric.exponentialBoundaries({ start: 0.25, factor: 2, count: 16 })
})
