/**
 * What this node tells another one of its connections: those there are, and then whatever happens to them.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { ConnectionEvent } from "../../ConnectionEvent.ts"
import type { ConnectionDriver } from "../connection/types.ts"
import type { Acceptor } from "../server/acceptor.ts"
import type { LocalConnection } from "./localConnection.ts"
import type { Codec, Record } from "./record.ts"
import type { Registry } from "./registry.ts"

/** How long a new subscriber of events waits for those that tell of connections which have all ended meanwhile. */
const patience = "1 second"

const groupsOf = <M, P>({ groups, id }: LocalConnection<M, P>): Record<M, P> => ({
  _tag: "Groups",
  connectionId: id,
  groups: [...groups]
})

/** Ends when events were dropped: whoever reads it begins anew then. */
const records = <M, P>(acceptor: Acceptor<M, P>, registry: Registry<M, P>): Stream.Stream<Record<M, P>> => {
  const told = (event: ConnectionEvent<M>): ReadonlyArray<Record<M, P>> => {
    if (event._tag !== "ConnectionReceived") return [{ _tag: "Event", event }]
    const driver = acceptor.connection(event.connectionId) as ConnectionDriver<M, P> | undefined
    if (driver === undefined) return [{ _tag: "Event", event }]
    const received: Record<M, P> = driver.principal === undefined
      ? { _tag: "Event", event }
      : { _tag: "Event", event, principal: driver.principal }
    const local = registry.local(driver)
    return local.groups.size === 0 ? [received] : [received, groupsOf(local)]
  }
  return Stream.unwrap(Effect.gen(function*() {
    const events = yield* Stream.toPull(Stream.takeUntil(acceptor.events, ({ _tag }) => _tag === "EventsDropped"))
    // Dropped events end it, and what stands for them says nothing.
    const next = Effect.map(
      events,
      (events) =>
        events.flatMap((event) => event._tag === "EventsDropped" ? [{ _tag: "Current" } as const] : told(event))
    )
    // The first events tell of all connections there are. Without any there are no events to wait for.
    const first = Effect.suspend(() =>
      acceptor.connections().length === 0 ? Effect.succeed([]) : Effect.map(
        Effect.timeoutOption(next, patience),
        (found) => found._tag === "Some" ? found.value : []
      )
    )
    let hasBegun = false
    const pull = Effect.suspend(() => {
      if (hasBegun) return next
      hasBegun = true
      return Effect.map(first, (first): ReadonlyArray<Record<M, P>> => [
        { _tag: "Began" },
        ...first,
        { _tag: "Current" }
      ])
    })
    return Stream.fromPull(Effect.succeed(pull as typeof pull & Effect.Effect<NonEmptyReadonlyArray<Record<M, P>>>))
  }))
}

/** Lines of JSON. @internal */
export const feed = <M, P>(
  acceptor: Acceptor<M, P>,
  registry: Registry<M, P>,
  codec: Codec<M, P>
): Stream.Stream<Uint8Array> => {
  const groups = Stream.map(registry.groups.changes, (connection) => groupsOf(connection as LocalConnection<M, P>))
  const encoder = new TextEncoder()
  return Stream.merge(records(acceptor, registry), groups, { haltStrategy: "left" }).pipe(
    Stream.mapEffect((record) =>
      Effect.catch(codec.encode(record), (error) =>
        Effect.as(
          Effect.logError("a connection is not told to other nodes: the schemas of Fleet.Service don't fit it", error),
          ""
        ))
    ),
    Stream.filter((line) => line !== ""),
    Stream.map((line) => encoder.encode(`${line}\n`))
  )
}
