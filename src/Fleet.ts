/**
 * The connections of a `SwaggerSocketServer` on all nodes: wherever a device is connected, every node finds and calls it.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ApiClient from "./ApiClient.ts"
import type * as Connection from "./Connection.ts"
import * as ConnectionEvent from "./ConnectionEvent.ts"
import type * as Directory from "./Directory.ts"
import { runLink } from "./internal/nodes/fleetLink.ts"
import { forEachNew } from "./internal/nodes/forEachNew.ts"
import { maxGroupName, maxGroups } from "./internal/nodes/groups.ts"
import { LocalConnection } from "./internal/nodes/localConnection.ts"
import type { FleetConnection, FleetEvent } from "./internal/nodes/model.ts"
import * as record from "./internal/nodes/record.ts"
import { type Entry, Registry } from "./internal/nodes/registry.ts"
import type { LinkConnection } from "./internal/nodes/remoteConnection.ts"
import { acceptorOf } from "./internal/server/acceptor.ts"
import { NodeLinks } from "./NodeLinks.ts"
import { ConnectionNotFound, type Outcome, outcomeOf, SwaggerSocketError } from "./SwaggerSocketError.ts"
import type { SwaggerSocketServer } from "./SwaggerSocketServer.ts"

export type { FleetConnection, FleetEvent, NodeLost } from "./internal/nodes/model.ts"

/**
 * What one connection of many has answered, or why it has not.
 *
 * @since 0.1.0
 * @category models
 */
export type CallResult<M = unknown, P = unknown> =
  | {
    /** There is an answer, whatever its status. */
    readonly _tag: "Answered"
    /** Whose it is. */
    readonly connection: FleetConnection<M, P>
    /** The answer. Its body is read as that of every call. */
    readonly response: HttpClientResponse.HttpClientResponse
  }
  | {
    /** There is none. */
    readonly _tag: "Failed"
    /** Who was called. */
    readonly connection: FleetConnection<M, P>
    /** Why. */
    readonly error: HttpClientError.HttpClientError
    /** Whether the device may have executed the request. */
    readonly outcome: Outcome
  }

/**
 * The connections of all nodes, as one of them sees them.
 *
 * **Details**
 *
 * Every node tells the others of its connections, so nothing here asks anybody: a node knows of a new connection when its node has told
 * of it, a moment later. It knows the connections that it can reach. Those of a node whose link is lost for more than 10 seconds
 * have failed, here; that node goes on to serve them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Fleet<M, P> {
  /** This node. */
  readonly node: Directory.Node
  /** The connections of all nodes: those of this one first, and of each node the oldest first. */
  readonly connections: Effect.Effect<ReadonlyArray<FleetConnection<M, P>>>
  /** The connection with an id; fails with `ConnectionNotFound`. */
  readonly connection: (id: string) => Effect.Effect<FleetConnection<M, P>, SwaggerSocketError>
  /**
   * A connection that the predicate accepts: of several the one that was heard of last, and one that is not open only if no open
   * one fits.
   */
  readonly find: (
    predicate: (connection: FleetConnection<M, P>) => boolean
  ) => Effect.Effect<Option.Option<FleetConnection<M, P>>>
  /** All connections that fit. */
  readonly filter: (
    predicate: (connection: FleetConnection<M, P>) => boolean
  ) => Effect.Effect<ReadonlyArray<FleetConnection<M, P>>>
  /** Waits until a connection that the predicate accepts is open. Without a predicate any connection will do. */
  readonly awaitConnection: (
    predicate?: (connection: FleetConnection<M, P>) => boolean
  ) => Effect.Effect<FleetConnection<M, P>>
  /** The connections now and after each change; a slow subscriber skips states that were superseded. */
  readonly changes: Stream.Stream<ReadonlyArray<FleetConnection<M, P>>>
  /**
   * What happens to connections of any node, in the order in which this one learns it; those of one connection in the order in which
   * they happened. A subscriber first gets the events that tell of the connections there are. Of one that is 4,096 events
   * behind, some are dropped, as of `SwaggerSocketServer.events`.
   */
  readonly events: Stream.Stream<FleetEvent<M>>
  /**
   * Adds a connection to a group, on whichever node it is; it is in it until it ends, or leaves. Fails with `ConnectionNotFound`
   * where it has ended. A connection can be in 256 groups; one more, and a name that is empty or longer than 256 characters, is a
   * defect, a `RangeError`.
   */
  readonly join: (connection: Connection.Connection, group: string) => Effect.Effect<void, SwaggerSocketError>
  /** Removes a connection from a group. */
  readonly leave: (connection: Connection.Connection, group: string) => Effect.Effect<void, SwaggerSocketError>
  /**
   * Calls all connections of a group, or all that a predicate accepts, as they are when the stream begins. It gives the results as
   * they arrive, one for each connection, and never fails. Calls that have begun are given up when it is interrupted.
   */
  readonly callAll: (
    target: string | ((connection: FleetConnection<M, P>) => boolean),
    request:
      | HttpClientRequest.HttpClientRequest
      | ((connection: FleetConnection<M, P>) => HttpClientRequest.HttpClientRequest),
    options?: {
      /** Calls at once. Default 16. */
      readonly concurrency?: number | "unbounded" | undefined
      /** How long a call may take until its head has arrived; then its outcome is unknown. Default: any time. */
      readonly timeout?: Duration.Input | undefined
    }
  ) => Stream.Stream<CallResult<M, P>>
}

type JsonCodec<T> = Schema.ConstraintCodec<T, unknown, never, never>

/**
 * How what is known of a client goes to other nodes. Metadata of a server without a schema, and the principal of one without
 * `authenticate`, need none.
 *
 * @since 0.1.0
 * @category models
 */
export type Schemas<M, P> =
  & ([unknown] extends [M] ? { readonly metadata?: JsonCodec<M> | undefined } : { readonly metadata: JsonCodec<M> })
  & ([P] extends [undefined] ? { readonly principal?: undefined } : { readonly principal: JsonCodec<P> })

/**
 * What `Service` gives: the service of a fleet, with its layer.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServiceClass<in out Self, in out Id extends string, in out I, in out M, in out P>
  extends Context.ServiceClass<Self, Id, Fleet<M, P>>
{
  /** The fleet on this node: it needs the server of this node, and the links to the others. */
  readonly layer: Layer.Layer<Self, never, I | NodeLinks>
}

/**
 * Declares a fleet: the connections of a server on all nodes that declare it.
 *
 * **When to use**
 *
 * Where one process is not enough, or is to be replaced without an outage: a balancer gives each client to any node, and each
 * node calls all of them. A connection of another node is called as one of this node, by `ApiClient.make` and by `Relay`: streams are
 * spliced, so bodies flow both ways as they arrive, a reader that stops stops its sender, and upgrades, priorities and
 * cancellations arrive.
 *
 * **Details**
 *
 * Outcomes are as true as on one node. A call of a connection that its node does not have any more fails with
 * `ConnectionNotFound`, and was not processed. Where the node or the device is lost during a call, the outcome is unknown, and only
 * there. A link between nodes that breaks is resumed for 10 seconds; calls wait meanwhile.
 *
 * An API is served to a client by the node that it is connected to: `ApiServer.layerServer`.
 *
 * **Example** (A fleet of devices)
 *
 * ```ts
 * import * as ApiClient from "effect-swaggersocket/ApiClient"
 * import * as Fleet from "effect-swaggersocket/Fleet"
 * import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 *
 * const DeviceInfo = Schema.Struct({ name: Schema.String })
 *
 * class Devices extends SwaggerSocketServer.Service<Devices>()("Devices", { metadata: DeviceInfo }) {}
 *
 * export class AllDevices extends Fleet.Service<AllDevices>()("AllDevices", Devices, { metadata: DeviceInfo }) {}
 *
 * export const temperature = (name: string) =>
 *   Effect.gen(function*() {
 *     const devices = yield* AllDevices
 *     const device = yield* devices.awaitConnection(({ metadata }) => metadata.name === name)
 *     const response = yield* ApiClient.make(device).get("/temperature")
 *     return `${yield* response.text} by way of ${device.node.name}`
 *   })
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const Service = <Self>() =>
<const Id extends string, I, M, P>(
  id: Id,
  server: Context.Service<I, SwaggerSocketServer<M, P>>,
  ...[schemas]: {} extends Schemas<M, P> ? [schemas?: Schemas<M, P>] : [schemas: Schemas<M, P>]
): ServiceClass<Self, Id, I, M, P> => {
  const tag = Context.Service<Self, Fleet<M, P>>()(id) as unknown as ServiceClass<Self, Id, I, M, P>
  const codec = record.codec<M, P>(
    ConnectionEvent.ConnectionEvent((schemas?.metadata ?? Schema.Unknown) as JsonCodec<M>) as unknown as JsonCodec<
      ConnectionEvent.ConnectionEvent<M>
    >,
    (schemas?.principal ?? Schema.Unknown) as JsonCodec<P>
  )
  return Object.assign(tag, { layer: Layer.effect(tag, make(server, codec)) })
}

const make = Effect.fnUntraced(function*<I, M, P>(
  tag: Context.Service<I, SwaggerSocketServer<M, P>>,
  codec: record.Codec<M, P>
): Effect.fn.Return<Fleet<M, P>, never, I | NodeLinks | Scope.Scope> {
  const server = yield* tag
  const { changes, node } = yield* NodeLinks
  const acceptor = acceptorOf(server)
  const registry = new Registry<M, P>(acceptor, node, yield* Clock.Clock)
  const path = `/fleets/${encodeURIComponent(tag.key)}/`
  yield* Effect.forkScoped(
    Stream.runForEach(acceptor.events, (event) =>
      Effect.sync(() => {
        if (event._tag === "EventsDropped") registry.eventsDropped()
        else registry.publish(node, event)
      })),
    { startImmediately: true }
  )
  yield* Effect.forkScoped(
    Stream.runForEach(acceptor.changes.stream, () => Effect.sync(() => registry.changes.notify()))
  )
  yield* forEachNew(
    changes,
    ({ connection, node }) => runLink({ acceptor, codec, path, registry }, node, connection as LinkConnection)
  )
  return fleetOf(registry)
})

const fleetOf = <M, P>(registry: Registry<M, P>): Fleet<M, P> => {
  const open = (fits: (connection: FleetConnection<M, P>) => boolean) =>
    registry.find((connection) => (connection as Entry<M, P>).now === "open" && fits(connection))
  return {
    node: registry.self,
    connections: Effect.sync(() => registry.all),
    connection: (id) =>
      Effect.suspend(() => {
        const connection = registry.get(id)
        return connection === undefined ? Effect.fail(notFound(id)) : Effect.succeed(connection)
      }),
    find: (predicate) => Effect.sync(() => registry.find(predicate)),
    filter: (predicate) => Effect.sync(() => registry.all.filter(predicate)),
    awaitConnection: (predicate = () => true) =>
      Effect.suspend(() => {
        const found = open(predicate)
        // Most calls find the device at once.
        return Option.isSome(found) ? Effect.succeed(found.value) : Effect.map(
          Stream.runHead(Stream.filter(Stream.map(registry.changes.stream, () => open(predicate)), Option.isSome)),
          (found) => Option.getOrThrow(found).value
        )
      }),
    changes: registry.changes.stream,
    events: registry.events,
    join: ({ id }, group) => setGroup(registry, id, group, true),
    leave: ({ id }, group) => setGroup(registry, id, group, false),
    callAll: (target, request, { concurrency = 16, timeout } = {}) => {
      const fits = typeof target === "string" ? ({ groups }: FleetConnection) => groups.has(target) : target
      return Stream.suspend(() => Stream.fromIterable(registry.all.filter(fits))).pipe(
        Stream.mapEffect(
          (connection) => call(connection, typeof request === "function" ? request(connection) : request, timeout),
          { concurrency, unordered: true }
        )
      )
    }
  }
}

const notFound = (connectionId: string): SwaggerSocketError =>
  new SwaggerSocketError({ reason: new ConnectionNotFound({ connectionId }) })

const call = <M, P>(
  connection: FleetConnection<M, P>,
  request: HttpClientRequest.HttpClientRequest,
  timeout: Duration.Input | undefined
): Effect.Effect<CallResult<M, P>> => {
  const calling = ApiClient.make(connection).execute(request)
  const timed = timeout === undefined ? calling : Effect.timeoutOrElse(calling, {
    duration: timeout,
    orElse: () => Effect.fail(tooLate(request))
  })
  return Effect.match(timed, {
    onFailure: (error): CallResult<M, P> => ({
      _tag: "Failed",
      connection,
      error,
      outcome: outcomeOf(error) ?? "unknown"
    }),
    onSuccess: (response): CallResult<M, P> => ({ _tag: "Answered", connection, response })
  })
}

const tooLate = (request: HttpClientRequest.HttpClientRequest) =>
  new HttpClientError.HttpClientError({
    reason: new HttpClientError.TransportError({ request, description: "no answer in time" })
  })

const setGroup = <M, P>(
  registry: Registry<M, P>,
  id: string,
  group: string,
  isMember: boolean
): Effect.Effect<void, SwaggerSocketError> =>
  Effect.suspend(() => {
    if (group === "" || group.length > maxGroupName) {
      return Effect.die(new RangeError(`Fleet: the name of a group has 1 to ${maxGroupName} characters`))
    }
    const connection = registry.get(id)
    if (connection === undefined) return Effect.fail(notFound(id))
    const tooMany = Effect.die(new RangeError(`Fleet: a connection can be in ${maxGroups} groups`))
    if (connection instanceof LocalConnection) {
      const isSet = registry.groups.set(connection, group, isMember)
      if (isSet === true) registry.changes.notify()
      return isSet === undefined ? tooMany : Effect.void
    }
    return Effect.flatMap(connection.setGroup(group, isMember), (status) => {
      if (status === 409) return tooMany
      if (status !== 204) return Effect.fail(notFound(id))
      // Its node has answered, and tells of the group in another stream.
      const isTold = () => connection.now === "closed" || connection.groups.has(group) === isMember
      return Effect.asVoid(Stream.runHead(Stream.filter(registry.changes.stream, isTold)))
    })
  })
