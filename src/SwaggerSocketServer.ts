/**
 * The socket role of the server: accepts connections on a path of an `HttpRouter`, keeps them in a registry and tells
 * what happens to them. Which API roles it plays is up to `ApiServer` and `ApiClient`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as HttpRouter from "effect/http/HttpRouter"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as Connection from "./Connection.ts"
import type * as ConnectionEvent from "./ConnectionEvent.ts"
import type * as Handshake from "./Handshake.ts"
import * as Acceptor from "./internal/server/acceptor.ts"
import { identityOptions } from "./internal/server/identities.ts"
import type { Origins } from "./internal/server/origin.ts"
import { awaitConnection, find } from "./internal/server/preferred.ts"
import { acceptLink, type AcceptOptions } from "./internal/server/programLinks.ts"
import { Upgrades } from "./internal/server/upgrades.ts"
import * as Limits from "./Limits.ts"
import type * as Link from "./Link.ts"
import * as Quotas from "./Quotas.ts"
import { ConnectionNotFound, SwaggerSocketError } from "./SwaggerSocketError.ts"

export type { AcceptOptions } from "./internal/server/programLinks.ts"

/**
 * A server as its users see it: who is connected, and what happens.
 *
 * @since 0.1.0
 * @category models
 */
export interface SwaggerSocketServer<M, P> {
  /** The connections, oldest first; those among them that are interrupted have lost their link and may be resumed. */
  readonly connections: Effect.Effect<ReadonlyArray<Connection.Connection<M, P>>>
  /** The connection with an id; fails with `ConnectionNotFound`. */
  readonly connection: (id: string) => Effect.Effect<Connection.Connection<M, P>, SwaggerSocketError>
  /**
   * A connection that the predicate accepts, for instance by its metadata: of several the one that received something
   * last; one that is not open only if no open one fits. A device that has lost power and dialled anew is therefore
   * found on its new connection, although the older one counts as open until its silence is noticed.
   */
  readonly find: (
    predicate: (connection: Connection.Connection<M, P>) => boolean
  ) => Effect.Effect<Option.Option<Connection.Connection<M, P>>>
  /** All connections that fit, oldest first. */
  readonly filter: (
    predicate: (connection: Connection.Connection<M, P>) => boolean
  ) => Effect.Effect<ReadonlyArray<Connection.Connection<M, P>>>
  /**
   * Waits until a connection that the predicate accepts is open; of several it gives the one that received something
   * last. Without a predicate any connection will do.
   */
  readonly awaitConnection: (
    predicate?: (connection: Connection.Connection<M, P>) => boolean
  ) => Effect.Effect<Connection.Connection<M, P>>
  /** The connections now and after each change; a slow subscriber skips states that were superseded. */
  readonly changes: Stream.Stream<ReadonlyArray<Connection.Connection<M, P>>>
  /**
   * What happens to connections, in order. A subscriber first gets a `ConnectionReceived` for each connection that
   * there is, and a `ConnectionInterrupted` where it applies. It may be slow: up to 4,096 events wait for it, then some
   * are dropped and counted in an `EventsDropped`: failed handshakes first, then the oldest.
   */
  readonly events: Stream.Stream<ConnectionEvent.ConnectionEvent<M>>
  /**
   * Answers an upgrade request by making it a connection, until that ends. For HTTP apps without a router; `layer`
   * mounts it on a path.
   */
  readonly upgrade: Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest.HttpServerRequest>
  /**
   * Makes a connection of a link that comes from elsewhere than an upgrade request, or lets its client resume one. The link
   * is made, with the limits of this server, in a scope that closes when the link is not used any more. Ends when that has
   * ended; with the first link of a connection, when the connection has. Interrupting it drains that connection.
   *
   * Links carry wire v2 alone. The options `origins` and `hosts` are about upgrade requests and don't concern them.
   */
  readonly accept: <E, R>(
    link: Effect.Effect<Link.Link, E, R>,
    options?: AcceptOptions
  ) => Effect.Effect<void, never, Exclude<R, Scope.Scope>>
}

/**
 * Who may connect to a server, as whom, and its limits.
 *
 * @since 0.1.0
 * @category models
 */
export type Options<M, P, R> =
  & {
    /**
     * Limits and timeouts; see `Limits`.
     */
    readonly limits?: Limits.Options | undefined
    /**
     * What the connections of one address, of one principal and of this server may do together; see `Quotas`.
     */
    readonly quotas?: Quotas.Options | undefined
    /**
     * The address of a client, for the quotas of addresses. Default: that of its TCP connection. Behind a proxy all
     * clients have the address of the proxy, so take the one that the proxy tells: `Quotas.forwardedAddress()` does.
     * `undefined`: not known, no such quota holds. IPv6 addresses count by their first 64 bits.
     */
    readonly addressOf?: ((upgrade: Handshake.Upgrade) => string | undefined) | undefined
    /**
     * The principal whose quotas a client's connection counts against, compared by `Equal.equals`: the account of a
     * user, for instance. Default: what `authenticate` answers. `undefined`: no such quota holds.
     */
    readonly principalOf?:
      | ((client: Handshake.Upgrade & { readonly metadata: M; readonly principal: P }) => unknown)
      | undefined
    /**
     * Web pages that may connect: origins such as `https://app.example.com`, a predicate, or `"*"` for all. Default:
     * those of the host that the request is for. A list has to name that host's pages too, if they are to connect.
     * Requests without an `Origin` header don't come from browsers and are not concerned. An entry that is no origin is
     * a `RangeError`.
     */
    readonly origins?: Origins | undefined
    /**
     * Names under which this server is reached, such as `"hub.example.com"` or, for one port alone,
     * `"hub.example.com:3000"`: requests for others are answered 421. Default: any. Name them where pages of the same
     * host may connect and the server is reached without TLS, on a local network above all: any page can have the name
     * of its own host lead to this server's address, and is then a page "of the same host".
     */
    readonly hosts?: ReadonlyArray<string> | undefined
    /**
     * The wires that are spoken: `"v2"` with clients that offer its subprotocol, and `"v1"`, that of Go's swaggersocket,
     * with clients that offer none. Default: both.
     */
    readonly wires?: ReadonlyArray<"v1" | "v2"> | undefined
    /**
     * Whether a client that resumes a connection, having authenticated again, is the one that it belongs to. By default
     * principals are compared by `Equal.equals`: leave out what changes, such as the time of the login.
     */
    readonly isSamePrincipal?: ((before: P, now: P) => boolean) | undefined
    /**
     * Says which connections belong to the same client: the serial number of a device, for instance, or `undefined` for
     * a client without an identity. At most one connection of an identity is open, see `onSameIdentity`. Take it from
     * the principal: a client that may put any name into its metadata could have another client's connection closed.
     * Default: connections have no identity.
     */
    readonly identity?: ((client: { readonly metadata: M; readonly principal: P }) => string | undefined) | undefined
    /**
     * What becomes of a second connection of the same identity. Without `identity` this is a `RangeError`.
     *
     * - `"replace-older"`, the default: the older one is closed with 4111, and its client does not dial again by
     *   itself. A device that has lost power and dials anew is then in the registry once.
     * - `"refuse-newer"`: the newer one is refused with `IDENTITY_IN_USE` (4112) while the older one has a link; its
     *   client tries again with back-off. An older one that is interrupted is replaced.
     * - `"keep-both"`: both stay open.
     *
     * A connection that is draining does not count: its client may have moved to another one already. A client that
     * resumes its connection does not count as a second one.
     */
    readonly onSameIdentity?: "replace-older" | "refuse-newer" | "keep-both" | undefined
  }
  & ([P] extends [undefined] ? { readonly authenticate?: Authenticate<M, P, R> | undefined }
    : { readonly authenticate: Authenticate<M, P, R> })

/**
 * Decides who a client is, from its metadata and its upgrade request, or turns it away with a `Handshake.Refusal`.
 *
 * **Details**
 *
 * It runs once for each handshake, also when a connection is resumed. What it acquires (`Effect.acquireRelease`) lives
 * as long as the connection that begins with the handshake. If the handshake fails, or resumes a connection, it is
 * released when the link of that handshake closes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Authenticate<in M, out P, out R = never> {
  (client: Handshake.Upgrade & { readonly metadata: M }): Effect.Effect<P, Handshake.Refusal, R>
}

/**
 * What `Service` gives: the service of a server, with its layers.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServiceClass<in out Self, in out Id extends string, in out M, in out P>
  extends Context.ServiceClass<Self, Id, SwaggerSocketServer<M, P>>
{
  /**
   * The server on a path of the `HttpRouter`, beside whatever else is routed there.
   */
  readonly layer: <R = never>(
    options: Options<M, P, R> & { readonly path: HttpRouter.PathInput }
  ) => Layer.Layer<Self, never, HttpRouter.HttpRouter | Exclude<R, Scope.Scope>>
  /**
   * The server without a route: mount its `upgrade` wherever it belongs.
   */
  readonly layerNoRoute: <R = never>(
    options: Options<M, P, R>
  ) => Layer.Layer<Self, never, Exclude<R, Scope.Scope>>
  /**
   * The connection that the current request arrived on, with the types of this server; also when that connection has
   * ended meanwhile. It is a requirement of the handler that only `ApiServer.layerServer` of this server satisfies. See
   * `Connection.current`.
   */
  readonly current: Context.Service<Current<Self>, Connection.Connection<M, P>>
}

/**
 * What a handler requires that uses `current` of a server: a request that arrived on one of its connections.
 *
 * @since 0.1.0
 * @category models
 */
export interface Current<in out Server> {
  /** A type alone: no value has it. */
  readonly _: unique symbol
  /** The type of the server's service. */
  readonly server: Server
}

/**
 * Declares a server: a service of its own, so that one process can have several, with the schema of what its clients
 * say of themselves. With a principal type `P`, its layers require an `authenticate`.
 *
 * **Example** (A hub for devices)
 *
 * ```ts
 * import * as Layer from "effect/Layer"
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as Schema from "effect/Schema"
 * import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
 *
 * class DeviceInfo extends Schema.Class<DeviceInfo>("DeviceInfo")({ name: Schema.String, site: Schema.String }) {}
 *
 * export class Devices extends SwaggerSocketServer.Service<Devices>()("Devices", { metadata: DeviceInfo }) {}
 *
 * export const Hub = HttpRouter.serve(Devices.layer({ path: "/socket" }))
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const Service =
  <Self, P = undefined>() =>
  <const Id extends string, S extends Schema.ConstraintCodec<unknown, unknown, never, never> = typeof Schema.Unknown>(
    id: Id,
    options?: { readonly metadata?: S | undefined }
  ): ServiceClass<Self, Id, S["Type"], P> => {
    type M = S["Type"]
    const schema: Schema.ConstraintCodec<M, unknown, never, never> = options?.metadata ?? Schema.Unknown
    const tag = Context.Service<Self, SwaggerSocketServer<M, P>>()(id) as unknown as ServiceClass<Self, Id, M, P>
    return Object.assign(tag, {
      // The same service with another type: each request has one connection.
      current: Context.Service<Current<Self>, Connection.Connection<M, P>>(Connection.current.key),
      layerNoRoute: <R>(options: Options<M, P, R>) => Layer.effect(tag, make(schema, options)),
      layer: <R>(options: Options<M, P, R> & { readonly path: HttpRouter.PathInput }) =>
        Layer.effect(
          tag,
          Effect.gen(function*() {
            const router = yield* HttpRouter.HttpRouter
            const server = yield* make(schema, options)
            yield* router.add("GET", options.path, server.upgrade)
            return server
          })
        )
    }) as ServiceClass<Self, Id, M, P>
  }

const make = Effect.fnUntraced(function*<M, P, R>(
  schema: Schema.ConstraintCodec<M, unknown, never, never>,
  options: Options<M, P, R>
): Effect.fn.Return<SwaggerSocketServer<M, P>, never, R | Scope.Scope> {
  const limits = Limits.make(options.limits, yield* Limits.Limits)
  const services = yield* Effect.context<R | Scope.Scope>()
  const decodeMetadata = Schema.decodeUnknownEffect(Schema.toCodecJson(schema))
  const authenticate = options.authenticate as Authenticate<M, P, R> | undefined
  const acceptor = yield* Acceptor.make<M, P>({
    limits,
    quotas: Quotas.make(options.quotas, yield* Quotas.Quotas),
    addressOf: options.addressOf,
    principalOf: options.principalOf,
    decodeMetadata: (metadata) => decodeMetadata(metadata) as Effect.Effect<M, Schema.SchemaError>,
    authenticate: authenticate === undefined
      ? () => Effect.succeed(undefined as P)
      : (client, scope) => Effect.provideContext(authenticate(client), Context.add(services, Scope.Scope, scope)),
    isSamePrincipal: options.isSamePrincipal ?? Equal.equals,
    identity: identityOptions(options.identity, options.onSameIdentity)
  })
  const upgrades = new Upgrades(acceptor, options, services)
  const server: SwaggerSocketServer<M, P> & Acceptor.Accepting<M, P> = {
    connections: Effect.sync(acceptor.connections),
    connection: (id) =>
      Effect.suspend(() => {
        const connection = acceptor.connection(id)
        return connection === undefined
          ? Effect.fail(new SwaggerSocketError({ reason: new ConnectionNotFound({ connectionId: id }) }))
          : Effect.succeed(connection)
      }),
    find: (predicate) => Effect.sync(() => find(acceptor, predicate)),
    filter: (predicate) => Effect.sync(() => acceptor.connections().filter(predicate)),
    awaitConnection: (predicate = () => true) => awaitConnection(acceptor, predicate),
    changes: acceptor.changes.stream,
    events: acceptor.events,
    upgrade: upgrades.upgrade,
    accept: (link, about = {}) =>
      acceptLink(
        acceptor,
        { wires: options.wires, services: Context.make(Limits.Limits, limits) },
        link,
        about
      ),
    apps: acceptor.apps,
    acceptor
  }
  return server
})
