/// <reference lib="esnext.disposable" preserve="true" />
/**
 * What the way in without Effect takes and gives. These types name nothing of Node, so that pages can have them too.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import type { CloseReason, Connection, Status } from "../Connection.ts"
import type { ConnectionEvent } from "../ConnectionEvent.ts"
import type * as Limits from "../Limits.ts"
import type * as Quotas from "../Quotas.ts"
import type * as SwaggerSocketClient from "../SwaggerSocketClient.ts"
import type * as SwaggerSocketServer from "../SwaggerSocketServer.ts"

/**
 * A handler of the web, such as `app.fetch` of a Hono app. What it throws is logged and answered with 500. `request.signal` is
 * aborted when the caller gives up.
 *
 * @since 0.1.0
 * @category models
 */
export interface Handler {
  (request: Request): Response | PromiseLike<Response>
}

/**
 * A value, or a function that is called anew for each attempt to connect: renew tokens there. When it fails, the attempt has
 * failed, and the next one follows. The signal is aborted when nobody waits for the value any more.
 *
 * @since 0.1.0
 * @category models
 */
export type PerAttempt<A> = A | ((signal: AbortSignal) => A | PromiseLike<A>)

/**
 * Whether calls in progress may finish when something is closed.
 *
 * @since 0.1.0
 * @category models
 */
export interface CloseOptions {
  /**
   * Whether calls in progress may finish: `true` for as long as `limits.drainTimeout` says (30 seconds), a number of
   * milliseconds or a text such as `"5 seconds"` for as long, at most, or `false`. Default `true`.
   */
  readonly drain?: boolean | Duration.Input | undefined
  /** Once it is aborted, calls in progress are not waited for any more. */
  readonly signal?: AbortSignal | undefined
}

/**
 * How long a listener is called.
 *
 * @since 0.1.0
 * @category models
 */
export interface ListenerOptions {
  /** Once it is aborted, the listener is not called any more. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Listeners of what happens. A listener is told first what there is already, in a later turn, and then each change. One that
 * throws, or whose promise rejects, is logged and holds up nobody.
 *
 * @since 0.1.0
 * @category models
 */
export interface Listening<Events> {
  /** Calls the listener for each event of a type; answers a function that removes it. */
  readonly on: <Type extends keyof Events>(
    type: Type,
    listener: (value: Events[Type]) => unknown,
    options?: ListenerOptions
  ) => () => void
  /** The same for one event: the next one, or what there is already. */
  readonly once: <Type extends keyof Events>(
    type: Type,
    listener: (value: Events[Type]) => unknown,
    options?: ListenerOptions
  ) => () => void
  /** Removes a listener, as often as it was added. */
  readonly off: <Type extends keyof Events>(type: Type, listener: (value: Events[Type]) => unknown) => void
}

/**
 * What a client can be listened to for.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientEvents {
  /** Whether it is connected, and if not, why and what it does: now, and after each change. */
  readonly status: SwaggerSocketClient.Status
  /** What happens to its connection. */
  readonly event: ConnectionEvent
}

/**
 * A client that stays connected until it is closed. All its members can be taken out: `const { fetch, serve } = await
 * connect(url)`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Client extends Listening<ClientEvents>, AsyncDisposable {
  /**
   * Calls the API of the server, as the `fetch` of the platform does; URLs may be paths. Calls wait while there is no
   * connection: give them a `signal` if they are not to wait for long.
   */
  readonly fetch: typeof globalThis.fetch
  /**
   * Serves an API to the server, on this connection and on each that follows it. The handler that was added last answers.
   * The function that it answers with stops that: requests in progress may finish, and the promise waits for them.
   */
  readonly serve: (handler: Handler) => () => Promise<void>
  /** Whether it is connected, and if not, why and what it does. */
  readonly status: SwaggerSocketClient.Status
  /**
   * Resolves, and never rejects, when the client is closed, or has stopped to dial for good: after a refusal that is final, or
   * as its `Reconnection` says.
   */
  readonly closed: Promise<CloseReason>
  /** Closes the connection, and dials no more. Resolves when nothing of the client is left. */
  readonly close: (options?: CloseOptions) => Promise<void>
  /** Dials at once: ends the wait for the next attempt, or gives up the link, for instance because the network has changed. */
  readonly reconnect: () => void
  /** The same client, for programs with Effect. */
  readonly effect: SwaggerSocketClient.SwaggerSocketClient["Service"]
}

/**
 * What a client says of itself, how long `connect` waits, and limits.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConnectOptions {
  /** What this client says of itself: any JSON, or a function that is called anew for each attempt (`PerAttempt`). */
  readonly metadata?: unknown
  /** Fields of the upgrade request. Browsers can't send any: authenticate by metadata there. */
  readonly headers?: PerAttempt<Readonly<Record<string, string>>> | undefined
  /** The wire that is spoken; see `SwaggerSocketClient.Options`. Default: v2, or v1 where the server refuses the offer of v2. */
  readonly wire?: "v1" | "v2" | undefined
  /**
   * How long `connect` waits for the first connection: milliseconds, or a text such as `"10 seconds"`; it then rejects with the
   * last failure. Default: as long as the client dials.
   */
  readonly timeout?: Duration.Input | undefined
  /** Ends the wait of `connect`, which rejects with its reason. Once there is a connection, it closes the client. */
  readonly signal?: AbortSignal | undefined
  /** Limits and timeouts; see `Limits`. */
  readonly limits?: Limits.Options | undefined
  /**
   * Whatever else can be set: layers such as those of `Heartbeat`, `Reconnection` and `ApiClient.layerRetryPolicy`, loggers and
   * tracers.
   */
  readonly layer?: Layer.Layer<never, unknown> | undefined
}

/**
 * `connect`, which dials a server and stays connected.
 *
 * @since 0.1.0
 * @category models
 */
export interface Connect {
  (url: PerAttempt<string | URL>, options?: ConnectOptions): Promise<Client>
}

/**
 * What a connection of a hub can be listened to for.
 *
 * @since 0.1.0
 * @category models
 */
export interface HubConnectionEvents {
  /** What it is doing: now, and after each change. The last one is `"closed"`. */
  readonly status: Status
}

/**
 * How a connection is closed: with which code and reason, and whether calls in progress may finish.
 *
 * @since 0.1.0
 * @category models
 */
export interface CloseConnectionOptions extends CloseOptions {
  /**
   * The close code. Default 1000. Applications may use 3000-3999 and 4200-4999; 4000-4199 mean something to the
   * wire. Any other code is a `RangeError`.
   */
  readonly code?: number | undefined
  /** For people; cut at 123 bytes. Default none. */
  readonly reason?: string | undefined
}

/**
 * A connection of a hub to one of its clients. All its members can be taken out: `hub.on("connection", ({ fetch }) => ...)`.
 *
 * @since 0.1.0
 * @category models
 */
export interface HubConnection<M = unknown, P = undefined> extends Listening<HubConnectionEvents>, AsyncDisposable {
  /** The same on both ends. */
  readonly id: string
  /** What the client said of itself. */
  readonly metadata: M
  /** What `authenticate` has answered; `undefined` without one. */
  readonly principal: P
  /** Address of the client, where it is known. */
  readonly remoteAddress: string | undefined
  /** What it is doing. */
  readonly status: Status
  /**
   * Calls the API of the client, as the `fetch` of the platform does; URLs may be paths. A call waits while the connection is
   * interrupted, and rejects when that has ended.
   */
  readonly fetch: typeof globalThis.fetch
  /** Serves an API to this client alone, before what the hub serves to all. As `serve` of a client. */
  readonly serve: (handler: Handler) => () => Promise<void>
  /** Resolves, and never rejects, when the connection has ended. */
  readonly closed: Promise<CloseReason>
  /** Closes the connection. The client dials again by itself. */
  readonly close: (options?: CloseConnectionOptions) => Promise<void>
  /** The same connection, for programs with Effect. */
  readonly effect: Connection<M, P>
}

/**
 * What a hub can be listened to for.
 *
 * @since 0.1.0
 * @category models
 */
export interface HubEvents<M, P> {
  /** Each connection: those that there are, and those to come. */
  readonly connection: HubConnection<M, P>
  /** What happens to connections. */
  readonly event: ConnectionEvent<M>
}

/**
 * A server that accepts connections until it is closed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Hub<M = unknown, P = undefined> extends Listening<HubEvents<M, P>>, AsyncDisposable {
  /** Where clients on this machine dial. Without a port while a server that was given does not listen. */
  readonly url: string
  /** The connections that there are, oldest first. */
  readonly connections: ReadonlyArray<HubConnection<M, P>>
  /** The connection with an id. */
  readonly connection: (id: string) => HubConnection<M, P> | undefined
  /** A connection that fits; of several the one that was heard of last. */
  readonly find: (predicate: (connection: HubConnection<M, P>) => boolean) => HubConnection<M, P> | undefined
  /** Waits until a connection that fits is open. Rejects when the hub is closed before, or with the reason of the signal. */
  readonly awaitConnection: (
    predicate?: (connection: HubConnection<M, P>) => boolean,
    options?: { readonly signal?: AbortSignal | undefined }
  ) => Promise<HubConnection<M, P>>
  /**
   * Serves an API to all clients. The handler that was added last answers. The function that it answers with stops that: requests
   * in progress may finish. When no other handler is left for all, the connections are closed, and clients dial new ones.
   */
  readonly serve: (
    handler: (request: Request, connection: HubConnection<M, P>) => Response | PromiseLike<Response>
  ) => () => Promise<void>
  /** Resolves, and never rejects, when the hub is closed. */
  readonly closed: Promise<void>
  /**
   * Closes the connections and the port: clients go elsewhere, or dial until there is a hub again. Resolves when nothing of the hub
   * is left.
   */
  readonly close: (options?: CloseOptions) => Promise<void>
  /** The same server, for programs with Effect. */
  readonly effect: SwaggerSocketServer.SwaggerSocketServer<M, P>
}

/**
 * A client that wants to connect, as `authenticate` sees it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Newcomer<M> {
  /** What it says of itself. */
  readonly metadata: M
  /** Fields of the upgrade request, by their names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>
  /** Path and query of the upgrade request. */
  readonly url: string
  /** Its address, where it is known. */
  readonly remoteAddress: string | undefined
  /** Aborted when the client has gone meanwhile. */
  readonly signal: AbortSignal
}

/**
 * A server of `node:http` or `node:https`.
 *
 * @since 0.1.0
 * @category models
 */
export interface NodeServer {
  /** Whether it listens. */
  readonly listening: boolean
  /** Adds a listener. */
  readonly on: (event: never, listener: never) => unknown
}

/**
 * Who may connect to a hub, and limits. What is not told here is told of `SwaggerSocketServer.Options`.
 *
 * @since 0.1.0
 * @category models
 */
export interface HubOptions<M = unknown, P = undefined> extends
  Pick<
    SwaggerSocketServer.Options<M, P, never>,
    | "addressOf"
    | "hosts"
    | "identity"
    | "isSamePrincipal"
    | "onSameIdentity"
    | "origins"
    | "principalOf"
    | "wires"
  >
{
  /** Decodes what clients say of themselves; a client whose metadata don't fit is refused. Default: any JSON. */
  readonly schema?: Schema.ConstraintCodec<M, unknown, never, never> | undefined
  /**
   * Says who a client is: what it answers is the `principal` of the connection. A `Refusal` that it throws turns the client away.
   * Runs for each handshake. Default: everybody is welcome.
   */
  readonly authenticate?: ((newcomer: Newcomer<M>) => P | PromiseLike<P>) | undefined
  /** Before the hub listens: `listen` rejects with its reason. After that: closes the hub. */
  readonly signal?: AbortSignal | undefined
  /** Limits and timeouts; see `Limits`. */
  readonly limits?: Limits.Options | undefined
  /** What the clients of one address, of one principal and of this hub may do together; see `Quotas`. */
  readonly quotas?: Quotas.Options | undefined
  /** Whatever else can be set: layers such as those of `Heartbeat` and `ApiClient.layerRetryPolicy`, loggers and tracers. */
  readonly layer?: Layer.Layer<never, unknown> | undefined
}

/**
 * Where a hub listens, who may connect, and limits.
 *
 * @since 0.1.0
 * @category models
 */
export interface ListenOptions<M = unknown, P = undefined> extends HubOptions<M, P> {
  /** The port. Default: any that is free; `hub.url` tells which. */
  readonly port?: number | undefined
  /** The address of this machine that the hub listens on. Default: all. */
  readonly host?: string | undefined
  /** Listens on a Unix socket instead of a port. */
  readonly socketPath?: string | undefined
  /**
   * A server that exists already and serves something, an Express app's for instance: the hub takes the path of the socket on it, and
   * nothing else. It may listen before or later, and stays when the hub is closed. Where a server is given there is no `port`,
   * `host`, `socketPath`, `createServer` and `http`.
   */
  readonly server?: NodeServer | undefined
  /** The path of the socket. Default `/`. */
  readonly path?: `/${string}` | undefined
  /** Makes the server, for TLS for instance: `() => https.createServer({ key, cert })`. Default that of `node:http`. */
  readonly createServer?: (() => NodeServer) | undefined
  /** Answers ordinary HTTP requests to the same port, and may call the hub's clients for that. Default: 404. */
  readonly http?: ((request: Request, hub: Hub<M, P>) => Response | PromiseLike<Response>) | undefined
}

/**
 * `listen`, which accepts connections.
 *
 * @since 0.1.0
 * @category models
 */
export interface Listen {
  <M = unknown, P = undefined>(options?: ListenOptions<M, P>): Promise<Hub<M, P>>
}

/**
 * A hub that listens nowhere by itself.
 *
 * @since 0.1.0
 * @category models
 */
export interface CreatedHub<M = unknown, P = undefined> extends Omit<Hub<M, P>, "url"> {}

/**
 * `createHub`, which makes a hub for a runtime other than Node.
 *
 * @since 0.1.0
 * @category models
 */
export interface CreateHub {
  <M = unknown, P = undefined>(options?: HubOptions<M, P>): Promise<CreatedHub<M, P>>
}
