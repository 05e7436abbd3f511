/**
 * Metrics, all with the prefix `swaggersocket_`.
 *
 * Counts of the hot path are fields of their connection. The registry sums them up when it is read, so metrics cost nothing
 * otherwise.
 */
import * as Context from "effect/Context"
import { constVoid } from "effect/Function"
import * as Metric from "effect/Metric"
import { type Counters, zeroCounters } from "../streams/settings.ts"

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

const counter = (id: string, description: string): Metric.Counter<number> =>
  Metric.counter(id, { description, incremental: true })

const names = Object.keys(counted) as ReadonlyArray<keyof Counters>

const totals = new WeakMap<Metric.MetricRegistry, Totals>()

const totalsOf = (context: Context.Context<never>): Totals => {
  const registry = Context.get(context, Metric.MetricRegistry)
  const existing = totals.get(registry)
  if (existing !== undefined) return existing
  const created: Totals = { open: new Set(), closed: zeroCounters() }
  totals.set(registry, created)
  const register = <State>(metric: Metric.Metric<number, State>, get: () => State) =>
    Metric.registerUnsafe(metric, context, { get, update: constVoid, modify: constVoid })
  for (const name of names) {
    register(counter(...counted[name]), () => {
      let count = created.closed[name]
      for (const counters of created.open) count += counters[name]
      return { count, incremental: true }
    })
  }
  register(Metric.gauge("swaggersocket_connections", { description: "Open connections" }), () => ({
    value: created.open.size
  }))
  return created
}

/** Includes the counters of a connection. @internal */
export const track = (counters: Counters, context: Context.Context<never>): void => {
  totalsOf(context).open.add(counters)
}

/** Ends the counting of a closed connection, and keeps its counts. @internal */
export const untrack = (counters: Counters, context: Context.Context<never>): void => {
  const { closed, open } = totalsOf(context)
  if (!open.delete(counters)) return
  for (const name of names) closed[name] += counters[name]
}

/** @internal */
export const connectionsOpened = counter("swaggersocket_connections_opened", "Connections established")

/** @internal */
export const connectionFailures = counter("swaggersocket_connection_failures", "Connections that ended by a failure")

/** @internal */
export const interruptions = counter("swaggersocket_interruptions", "Links lost by connections that could be resumed")

/** @internal */
export const resumptions = counter("swaggersocket_resumptions", "Connections resumed on another link")

/** Marked as pure, so that the bundle of a page leaves it out: only servers refuse. @internal */
export const refusals = /* @__PURE__ */ counter("swaggersocket_refusals", "Upgrades and handshakes refused by this end")

const quotasExceeded = /* @__PURE__ */ counter("swaggersocket_quota_exceeded", "What was refused because of a quota")

/** The count of one quota, for addresses, principals or servers. @internal */
export const quotaExceeded = (quota: string, holder: string): Metric.Counter<number> =>
  Metric.withAttributes(quotasExceeded, { quota, holder })

const retired = /* @__PURE__ */ counter(
  "swaggersocket_connections_retired",
  "Connections drained for being idle or old"
)

/** @internal */
export const retirements = (because: "idle time" | "age"): Metric.Counter<number> =>
  Metric.withAttributes(retired, { because })

/** @internal */
export const reconnects = counter("swaggersocket_reconnects", "Attempts of clients to connect again")

/** @internal */
export const roundTrip = Metric.histogram("swaggersocket_round_trip_millis", {
  description: "Round-trip time measured by heartbeats, in milliseconds",
  boundaries: Metric.exponentialBoundaries({ start: 0.25, factor: 2, count: 16 })
})
