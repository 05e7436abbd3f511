/**
 * HTTP clients of Node that can't take a `fetch`, over a connection.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Http from "node:http"
import type * as Https from "node:https"
import type * as Net from "node:net"
import type { Duplex } from "node:stream"
import * as ApiClient from "../ApiClient.ts"
import type * as Connection from "../Connection.ts"
import { atEndOfTurn } from "../internal/scheduling/endOfTurn.ts"
import { SwaggerSocketClient } from "../SwaggerSocketClient.ts"
import { makeOpenSocket, type OpenSocket } from "./clientSockets.ts"

/** Has a socket of its own for each request. */
class ConnectionAgent extends Http.Agent {
  readonly #openSocket: OpenSocket

  constructor(openSocket: OpenSocket) {
    super()
    this.#openSocket = openSocket
    // Takes URLs of both schemes: neither says how the peer is reached.
    Object.assign(this, { protocol: undefined })
  }

  override createConnection({ timeout }: Http.ClientRequestArgs): Duplex {
    return this.#openSocket(timeout)
  }
}

/**
 * Where calls go: an `HttpClient`, the peer of a connection, or the server of a client, on whatever connection that has.
 *
 * @since 0.1.0
 * @category models
 */
export type Target = HttpClient.HttpClient | Connection.Connection | SwaggerSocketClient["Service"]

/** `ApiClient.layer` acquires nothing that has to be released. */
const clientOf = (service: SwaggerSocketClient["Service"], context: Context.Context<never>): HttpClient.HttpClient =>
  Effect.runSyncWith(context)(
    HttpClient.HttpClient.pipe(
      Effect.provide(Layer.provide(ApiClient.layer, Layer.succeed(SwaggerSocketClient, service)))
    )
  )

const openSocketOf = (target: Target, context: Context.Context<never>): OpenSocket => {
  if (HttpClient.isHttpClient(target)) return makeOpenSocket(target, context)
  return makeOpenSocket("reconnect" in target ? clientOf(target, context) : ApiClient.make(target), context)
}

/**
 * An agent of `node:http` and `node:https` on any `HttpClient`, on a connection, or on a client of this package: for HTTP clients that take no `fetch`, but an agent, such as
 * axios, got, node-fetch, superagent, and SDKs made of them; `ws` as well.
 *
 * **When to use**
 *
 * Where there is no `fetch` to give: `ApiClient.toFetch` is shorter, and takes less processor time. For undici there is
 * `toConnector`.
 *
 * **Details**
 *
 * Each request is written to a socket in memory, read there by a server of `node:http`, and becomes a call of the peer, for
 * `http:` and `https:` URLs alike. So a client gets what it gets over TCP:
 *
 * - bytes as the peer has sent them: nothing is decoded, and no redirect is followed, unless the client does;
 * - bodies are streamed both ways, and both wait for their reader;
 * - a request that is destroyed interrupts the peer's handler, and so does one that its own `timeout` ends;
 * - one whose answer has come before the end of its body is closed with it;
 * - `Expect: 100-continue` is answered at once;
 * - upgrades, WebSockets above all, are passed on where both ends of the connection have the setting `upgrade`. Otherwise the peer
 *   answers an ordinary request.
 *
 * A call that fails has an error with a `code`, as Node's: `ECONNREFUSED` where the peer has certainly not processed it,
 * `ECONNRESET` where it may have. An answer that breaks off destroys the response. The `cause` is the `SwaggerSocketError`, and
 * `outcomeOf` reads the outcome from either. Services such as a tracer come from `context`. In programs without Effect the target is
 * `client.effect` of `connect`, or `effect` of a connection of a hub.
 *
 * **Gotchas**
 *
 * All hosts lead to the peer. Use it for the clients of that peer alone, and not as the global agent. A body is a stream here, so
 * that `ApiClient` repeats a call with a body only where nothing of it was sent. Trailers are not passed on.
 *
 * **Example** (axios in Node, for a device)
 *
 * ```ts
 * import type * as Connection from "effect-swaggersocket/Connection"
 * import * as NodeSwaggerSocket from "effect-swaggersocket/node"
 * import { get } from "node:http"
 *
 * export const temperature = (device: Connection.Connection) => {
 *   const agent = NodeSwaggerSocket.toAgent(device)
 *   // axios.create({ baseURL: "http://device", httpAgent: agent, httpsAgent: agent })
 *   return get("http://device/temperature", { agent })
 * }
 * ```
 *
 * @since 0.1.0
 * @category converting
 */
export const toAgent = (
  target: Target,
  context: Context.Context<never> = Context.empty()
): Https.Agent => {
  const agent: Http.Agent = new ConnectionAgent(openSocketOf(target, context))
  // It serves both modules, and some clients have another option, of this type, for `https:`.
  return agent as Https.Agent
}

/**
 * Opens the sockets of a dispatcher of undici.
 *
 * @since 0.1.0
 * @category models
 */
export interface Connector {
  (options: object, callback: (error: null, socket: Net.Socket) => void): void
}

/**
 * What undici's `Agent`, `Pool` and `Client` take as `connect`: the dispatcher that they are then leads to the peer, whatever the
 * URL. All else is as told of `toAgent`.
 *
 * **When to use**
 *
 * For code that takes a dispatcher: undici's own `request`, `stream` and `fetch`, and SDKs made of them.
 *
 * **Example** (A dispatcher for a device)
 *
 * ```ts
 * import type * as Connection from "effect-swaggersocket/Connection"
 * import * as NodeSwaggerSocket from "effect-swaggersocket/node"
 * import { Agent, request } from "undici"
 *
 * export const temperature = async (device: Connection.Connection) => {
 *   const dispatcher = new Agent({ connect: NodeSwaggerSocket.toConnector(device) })
 *   const { body } = await request("http://device/temperature", { dispatcher })
 *   return await body.json()
 * }
 * ```
 *
 * @since 0.1.0
 * @category converting
 */
export const toConnector = (
  target: Target,
  context: Context.Context<never> = Context.empty()
): Connector => {
  const openSocket = openSocketOf(target, context)
  return (_options, callback) => {
    const socket = openSocket() as Duplex as Net.Socket
    // Undici asks in the middle of what it does for its requests, and does not go on if it is answered there.
    atEndOfTurn(() => callback(null, socket))
  }
}
