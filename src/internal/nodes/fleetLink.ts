/**
 * What two nodes do for a fleet on the link between them: each tells the other of its connections, and passes on the requests for
 * them.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Ndjson from "effect/encoding/Ndjson"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Connection from "../../Connection.ts"
import { ConnectionClosed, SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { type App, passed, type Peer } from "../connection/peer.ts"
import { addApp } from "../http/addApp.ts"
import { makeApp } from "../http/serverExchange.ts"
import type { Acceptor } from "../server/acceptor.ts"
import { ask } from "./ask.ts"
import { feed } from "./feed.ts"
import type { Node } from "./node.ts"
import { NodeConnections } from "./nodeConnections.ts"
import { type Codec, maxLineBytes } from "./record.ts"
import type { Registry } from "./registry.ts"
import { relayRequests } from "./relayedRequests.ts"
import type { LinkConnection, Owner } from "./remoteConnection.ts"

/** What links of a fleet have in common. @internal */
export interface FleetOptions<M, P> {
  /** What the paths of its requests begin with, up to a slash: other fleets of the node have other paths. */
  readonly path: string
  readonly acceptor: Acceptor<M, P>
  readonly registry: Registry<M, P>
  readonly codec: Codec<M, P>
}

const Close = Schema.fromJsonString(Schema.Struct({
  code: Schema.optionalKey(Schema.Int),
  reason: Schema.optionalKey(Schema.String),
  drain: Schema.optionalKey(Schema.Union([Schema.Boolean, Schema.Number]))
}))

const Membership = Schema.fromJsonString(Schema.Struct({ group: Schema.String, isMember: Schema.Boolean }))

/** Asks the node of a connection to close it. */
const closeRemotely = (
  link: Peer,
  path: string,
  id: string,
  { code, drain, reason }: Connection.CloseOptions = {}
): Effect.Effect<void> => {
  const options = {
    ...(code === undefined ? undefined : { code }),
    ...(reason === undefined ? undefined : { reason }),
    ...(drain === undefined
      ? undefined
      : { drain: typeof drain === "boolean" ? drain : Duration.toMillis(Duration.fromInputUnsafe(drain)) })
  }
  const request = HttpClientRequest.post(`${path}${id}/close`)
  // Without an answer the link is lost, and the connection with it.
  return Effect.ignore(ask(link, HttpClientRequest.bodyText(request, Schema.encodeSync(Close)(options))))
}

/** Asks the node of a connection to add it to a group, or to remove it. Answers the status. */
const setGroupRemotely = (
  link: Peer,
  path: string,
  id: string,
  group: string,
  isMember: boolean
): Effect.Effect<number> => {
  const request = HttpClientRequest.post(`${path}${id}/groups`)
  const body = Schema.encodeSync(Membership)({ group, isMember })
  const answer = ask(link, HttpClientRequest.bodyText(request, body))
  return Effect.match(answer, { onFailure: () => 404, onSuccess: ({ status }) => status })
}

const serve = <M, P>(
  { acceptor, codec, path, registry }: FleetOptions<M, P>,
  isClosing: Effect.Effect<void>
): Effect.Effect<
  HttpServerResponse.HttpServerResponse,
  HttpServerError.HttpServerError | Schema.SchemaError,
  HttpServerRequest.HttpServerRequest
> =>
  Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    const [id = "", what = ""] = request.url.slice(path.length).split("/")
    if (id === "") {
      const lines = Stream.interruptWhen(feed(acceptor, registry, codec), isClosing)
      return HttpServerResponse.stream(lines, { contentType: "application/x-ndjson" })
    }
    const connection = registry.localWith(id)
    if (connection === undefined) return HttpServerResponse.empty({ status: 404 })
    const body = yield* request.text
    if (what === "close") {
      yield* connection.close(yield* Schema.decodeEffect(Close)(body))
      return HttpServerResponse.empty()
    }
    const { group, isMember } = yield* Schema.decodeEffect(Membership)(body)
    const isSet = registry.groups.set(connection, group, isMember)
    if (isSet === true) registry.changes.notify()
    return HttpServerResponse.empty({ status: isSet === undefined ? 409 : 204 })
  })

/** How long a node is not asked again that tells nothing: it has no such fleet, or none yet. A guess. */
const pause = "250 millis"

/** Reads what the other node tells of its connections, again and again. */
const read = <M, P>(
  link: Peer,
  path: string,
  codec: Codec<M, P>,
  connections: NodeConnections<M, P>
): Effect.Effect<never> => {
  let wasRead = false
  let isTold = false
  // It may be of a later version of this package, or have another schema: the rest of what it tells is of use.
  const unreadable = (error: Schema.SchemaError) =>
    Effect.suspend(() => {
      if (isTold) return Effect.void
      isTold = true
      return Effect.logError("a node tells of something that this one can't read, and leaves out", error)
    })
  const asked = ask(link, HttpClientRequest.get(path))
  const once = Effect.flatMap(asked, ({ status, stream }): Effect.Effect<void, unknown> =>
    status === 200
      ? Stream.runForEach(
        Stream.pipeThroughChannel(stream, Ndjson.decode({ maxLineBytes })),
        (line) => {
          wasRead = true
          return Effect.matchEffect(codec.decode(line), {
            onFailure: unreadable,
            onSuccess: (record) => Effect.sync(() => connections.take(record))
          })
        }
      )
      : Effect.fail(`status ${status}`))
  // It ends because the other node has lost events, or goes away, and fails with the link: what becomes of that is told elsewhere.
  const again = Effect.andThen(
    Effect.exit(once),
    Effect.suspend(() => {
      const isToAskAtOnce = wasRead
      wasRead = false
      if (isToAskAtOnce) return Effect.void
      connections.forget()
      return Effect.sleep(pause)
    })
  )
  return Effect.forever(Effect.andThen(again, Effect.yieldNow))
}

const leaving: Connection.CloseReason = { _tag: "Closed", initiator: "local", code: 1001, reason: "this node leaves" }

const ended = (node: Node, reason: Connection.CloseReason): SwaggerSocketError =>
  reason._tag === "Failed" ? reason.error : new SwaggerSocketError({
    reason: new ConnectionClosed({
      initiator: reason.initiator,
      code: reason.code,
      closeReason: `the link to node ${node.name} was closed: ${reason.reason}`
    })
  })

/** Until the link has ended, or the scope closes, which waits for the calls that are in progress. @internal */
export const runLink = <M, P>(
  options: FleetOptions<M, P>,
  node: Node,
  link: LinkConnection
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { codec, path, registry } = options
    const owner: Owner = {
      node,
      link,
      close: (id, how) => closeRemotely(link, path, id, how),
      setGroup: (id, group, isMember) => setGroupRemotely(link, path, id, group, isMember)
    }
    const connections = new NodeConnections<M, P>(owner, registry)
    const isClosing = yield* Deferred.make<void>()
    // Finalizers run in reverse: this node tells of its connections no more, and then waits for calls of them.
    yield* relayRequests(link.apps, (id) => options.acceptor.connection(id) as Peer | undefined)
    const { app, idle } = yield* makeApp(serve(options, Deferred.await(isClosing)), undefined)
    const own: App = (peer, stream, request) => request.target.startsWith(path) ? app(peer, stream, request) : passed
    yield* addApp(link.apps, own, idle)
    yield* Effect.addFinalizer(() => Deferred.succeed(isClosing, undefined))
    yield* Effect.addFinalizer(() =>
      Effect.map(
        link.now === "closed" ? link.closed : Effect.succeed(leaving),
        (reason) => connections.lost(ended(node, reason))
      )
    )
    yield* Effect.forkScoped(read(link, path, codec, connections))
    yield* Effect.forkScoped(Stream.runForEach(link.changes, () => Effect.sync(() => connections.linkChanged())))
    yield* link.closed
  })
