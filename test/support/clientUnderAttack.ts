/**
 * Our client, for hostile servers.
 */
import { assert, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Heartbeat from "effect-swaggersocket/Heartbeat"
import * as Limits from "effect-swaggersocket/Limits"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import {
  isSwaggerSocketError,
  type SwaggerSocketError,
  type SwaggerSocketErrorReason
} from "effect-swaggersocket/SwaggerSocketError"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { record, type Recorded } from "./events.ts"
import { data, response } from "./frames.ts"
import { api, quiet, Seen } from "./hubUnderAttack.ts"
import type { RawPeer } from "./rawPeer.ts"
import { listen, type ListenOptions, type RawServer } from "./rawServer.ts"
import { until, within } from "./waiting.ts"

export interface ClientFixture extends Recorded<unknown> {
  readonly server: RawServer
  readonly client: SwaggerSocketClient.SwaggerSocketClient["Service"]
  readonly http: HttpClient.HttpClient
  /** Accepts the client's next link, and does the handshake. */
  readonly accept: (welcome?: Readonly<Record<string, unknown>>) => Effect.Effect<RawPeer>
  readonly waitForStatus: (tag: SwaggerSocketClient.Status["_tag"]) => Effect.Effect<SwaggerSocketClient.Status>
}

export interface ClientOptions extends ListenOptions {
  readonly limits?: Limits.Options
  readonly heartbeat?: Heartbeat.Options
  readonly wire?: "v1" | "v2"
  /** Between attempts. Default 20 milliseconds. */
  readonly pause?: Duration.Input
  /** Whether to dial again. Default that of the client. */
  readonly retry?: (error: SwaggerSocketError) => boolean
  /** Serves `/ping` to the server. */
  readonly serves?: boolean
  /** Given the URL of the server, answers the one that the client dials instead. */
  readonly before?: (url: string) => Effect.Effect<string, never, Scope.Scope>
}

export const startClient = Effect.fnUntraced(
  function*(
    options: ClientOptions,
    listening: Effect.Effect<RawServer, never, Scope.Scope> = listen(options)
  ): Effect.fn.Return<ClientFixture, unknown, Scope.Scope> {
    const server = yield* listening
    const url = options.before === undefined ? server.url : yield* options.before(server.url)
    // Most of these servers acknowledge nothing, which is all that a client that closes would wait for.
    const limits = { closeTimeout: "200 millis", handshakeTimeout: "2 minutes", ...options.limits } as const
    const Api = options.serves === true
      ? HttpRouter.serve(api(new Seen()), quiet).pipe(Layer.provide(ApiServer.layer))
      : Layer.empty
    const context = yield* Layer.build(
      Layer.merge(ApiClient.layer, Api).pipe(
        Layer.provideMerge(SwaggerSocketClient.layer({ url, limits, wire: options.wire })),
        Layer.provide(Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor, Limits.layer(limits ?? {}))),
        Layer.provide(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" })),
        Layer.provide(
          Reconnection.layer({ schedule: Schedule.spaced(options.pause ?? "20 millis"), retry: options.retry })
        ),
        Layer.provide(options.heartbeat === undefined ? Layer.empty : Heartbeat.layer(options.heartbeat))
      )
    )
    const client = Context.get(context, SwaggerSocketClient.SwaggerSocketClient)
    const recorded = yield* record(client.events)
    let status: SwaggerSocketClient.Status | undefined = undefined
    yield* Effect.forkScoped(Stream.runForEach(client.changes, (next) =>
      Effect.sync(() => {
        status = next
      })))
    return {
      server,
      client,
      http: Context.get(context, HttpClient.HttpClient),
      ...recorded,
      accept: (welcome) => Effect.tap(server.accept, (peer) => peer.welcome(welcome)),
      waitForStatus: (tag) => Effect.map(until(`the status ${tag}`, () => status?._tag === tag), () => status!)
    }
  }
)

/** A case of a hostile server. */
export const hostileServer = (
  title: string,
  body: (fixture: ClientFixture) => Effect.Effect<unknown, unknown, Scope.Scope>,
  options: ClientOptions = {}
): void => it.live(title, () => Effect.scoped(Effect.flatMap(startClient(options), body)))

/** The reason of the error of this package in a failed call. */
export const reasonOf = <A>(exit: Exit.Exit<A, unknown>): SwaggerSocketErrorReason => {
  if (Exit.isSuccess(exit)) return assert.fail(`expected a failure, received ${String(exit.value)}`)
  const error = Cause.squash(exit.cause)
  if (!HttpClientError.isHttpClientError(error)) {
    return assert.fail(`expected an HttpClientError: ${Cause.pretty(exit.cause)}`)
  }
  const cause: unknown = "cause" in error.reason ? error.reason.cause : undefined
  if (!isSwaggerSocketError(cause)) return assert.fail(`expected a SwaggerSocketError below ${String(error)}`)
  return cause.reason
}

/** A call that the caller reads to its end. */
export const call = (
  effect: Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>
): Effect.Effect<{ readonly status: number; readonly text: string }, HttpClientError.HttpClientError> =>
  Effect.gen(function*() {
    const answer = yield* effect
    return { status: answer.status, text: yield* answer.text }
  })

/** Another call on the same connection is answered. */
export const othersGoOn = ({ client, http }: ClientFixture, peer: RawPeer, streamId = 3) =>
  Effect.gen(function*() {
    const other = yield* Effect.forkChild(call(http.get("/other")))
    yield* peer.expectFrame("Request", streamId)
    yield* peer.sendFrames(response(streamId, 200, { end: false }), data(streamId, "fine", true))
    const answer = yield* within("another call on the connection", Fiber.join(other))
    assert.deepStrictEqual(answer, { status: 200, text: "fine" })
    assert.strictEqual((yield* client.status)._tag, "Connected")
  })
