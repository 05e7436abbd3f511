/**
 * What a client runs for each attempt may fail, in any way: it is a failed attempt, and the next one comes after the
 * back-off.
 */
import { assert, describe, it } from "@effect/vitest"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import { HandshakeRefused, SwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { listen } from "../support/rawServer.ts"
import { until, within } from "../support/waiting.ts"

/** Fails once, then is a value. */
const once = <A, E>(failure: Effect.Effect<never, E>, value: A): Effect.Effect<A, E> => {
  let tried = false
  return Effect.suspend((): Effect.Effect<A, E> => {
    if (tried) return Effect.succeed(value)
    tried = true
    return failure
  })
}

type Options = Partial<SwaggerSocketClient.Options<unknown, never>>

/** A client of a bare server. */
const start = Effect.fnUntraced(
  function*(options: (url: string) => Options, retry?: typeof Reconnection.isRetryable) {
    const server = yield* listen()
    const context = yield* Layer.build(
      SwaggerSocketClient.layer({ url: server.url, ...options(server.url) }).pipe(
        Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor),
        Layer.provide(Reconnection.layer({ schedule: Schedule.spaced("1 hour"), retry }))
      )
    )
    const client = Context.get(context, SwaggerSocketClient.SwaggerSocketClient)
    return { server, client }
  }
)

/** Waits until an attempt has failed, and there is time until the next. */
const failed = ({ status }: SwaggerSocketClient.SwaggerSocketClient["Service"]) =>
  Effect.map(
    until("the attempt has failed", () => Effect.runSync(status)._tag === "Waiting"),
    () => Effect.runSync(status) as Extract<SwaggerSocketClient.Status, { readonly _tag: "Waiting" }>
  )

class NoToken extends Schema.TaggedError<NoToken>()("NoToken", { issuer: Schema.String }) {}

const ways = {
  "fails": Effect.fail(new NoToken({ issuer: "https://id" })),
  "fails with a text": Effect.fail("no token"),
  "throws": Effect.sync((): never => {
    throw new Error("a bug")
  }),
  "dies of nothing": Effect.die(undefined),
  "interrupts itself": Effect.interrupt
}

const parts: Readonly<Record<string, (failure: Effect.Effect<never, unknown>) => (url: string) => Options>> = {
  url: (failure) => (url) => ({ url: once(failure, url) }),
  headers: (failure) => () => ({ headers: once(failure, { "x-token": "t" }) }),
  metadata: (failure) => () => ({ metadata: once(failure, { name: "d1" }) })
}

describe("attempt that fails", () => {
  for (const [part, optionsOf] of Object.entries(parts)) {
    for (const [way, failure] of Object.entries(ways)) {
      it.live(`an attempt whose ${part} ${way} is followed by another, which serves the callers that wait`, () =>
        Effect.scoped(Effect.gen(function*() {
          const { client, server } = yield* start(optionsOf(failure))
          const waiting = yield* Effect.forkChild(client.connection)
          const status = yield* failed(client)
          assert.deepInclude(status, { _tag: "Waiting", attempt: 2 })
          assert.deepInclude(status.error.reason, { _tag: "LinkError", phase: "open" })
          assert.include(status.error.message, part)
          yield* client.reconnect
          const peer = yield* server.accept
          const hello = yield* peer.welcome({ connectionId: "c" })
          if (part === "metadata") assert.deepStrictEqual(hello.metadata, { name: "d1" })
          assert.strictEqual((yield* within("the connection", Fiber.join(waiting))).id, "c")
        })))
    }
  }

  it.live("an attempt that fails with an error of this package ends the client with that very error", () =>
    Effect.scoped(Effect.gen(function*() {
      const refusal = new SwaggerSocketError({
        reason: new HandshakeRefused({ initiator: "local", code: "FORBIDDEN", description: "logged out", retry: false })
      })
      const { client, server } = yield* start(() => ({ headers: Effect.fail(refusal) }))
      assert.strictEqual(yield* Effect.flip(within("the end", client.connection)), refusal)
      assert.strictEqual(server.accepted(), 0)
    })))

  it.live("an attempt whose constant metadata do not fit their schema is the last", () =>
    Effect.scoped(Effect.gen(function*() {
      const schema = Schema.Struct({ name: Schema.NonEmptyString }) as never
      const { client } = yield* start(() => ({ schema, metadata: { name: "" } }))
      const { reason } = yield* Effect.flip(within("the end", client.connection))
      assert.deepInclude(reason, { _tag: "HandshakeRefused", code: "METADATA_INVALID", path: ["name"], retry: false })
    })))

  it.live("an attempt whose constant metadata are no JSON is the last", () =>
    Effect.scoped(Effect.gen(function*() {
      const { client } = yield* start(() => ({ metadata: { big: 1n } }))
      const { reason } = yield* Effect.flip(within("the end", client.connection))
      assert.deepInclude(reason, { _tag: "HandshakeRefused", code: "METADATA_INVALID", retry: false })
    })))

  it.live("an attempt whose metadata are too large for a handshake is the last, and its error says so", () =>
    Effect.scoped(Effect.gen(function*() {
      const { client, server } = yield* start(() => ({ metadata: "x".repeat(65_536) }))
      const { reason } = yield* Effect.flip(within("the end", client.connection))
      assert.deepInclude(reason, {
        _tag: "HandshakeRefused",
        initiator: "local",
        code: "HANDSHAKE_INVALID",
        description: "more than 65536 bytes of hello",
        retry: false
      })
      yield* (yield* server.accept).expectClose(4100)
      assert.strictEqual(server.accepted(), 1)
    })))

  it.live("an attempt whose metadata effect gave a value that does not fit its schema is followed by another", () =>
    Effect.scoped(Effect.gen(function*() {
      const schema = Schema.Struct({ name: Schema.NonEmptyString }) as never
      let name = ""
      const metadata = Effect.sync(() => {
        const given = { name }
        name = "d1"
        return given
      })
      const { client, server } = yield* start(() => ({ schema, metadata }))
      assert.deepInclude((yield* failed(client)).error.reason, { code: "METADATA_INVALID", retry: true })
      yield* client.reconnect
      yield* (yield* server.accept).welcome()
    })))

  it.live("an attempt is the last when the function that decides about the next one throws; calls that wait fail", () =>
    Effect.scoped(Effect.gen(function*() {
      const { client } = yield* start(() => ({ url: Effect.fail("none") }), () => {
        throw new Error("a bug")
      })
      const { reason } = yield* Effect.flip(within("the end", client.connection))
      assert.deepInclude(reason, { _tag: "LinkError", description: "the client failed: a bug" })
      assert.strictEqual((yield* client.status)._tag, "Stopped")
    })))
})
