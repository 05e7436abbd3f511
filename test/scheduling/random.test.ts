/**
 * Ids and tokens come from the `SecureRandom` in context, so that a test can fix them.
 */
import { assert, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Handshake from "effect-swaggersocket/Handshake"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"

/** Every byte is one more than the one before. */
const counting = () => {
  let next = 0
  return SecureRandom.make((size) => Uint8Array.from({ length: size }, () => next++))
}

/** What is drawn at random for a connection and a call on it. */
const drawn = Effect.scoped(Effect.gen(function*() {
  let session: Handshake.Session | undefined = undefined
  const dial = yield* Handshake.Dial
  const pair = SwaggerSocketTest.makePair().pipe(
    Effect.provideService(
      Handshake.Dial,
      (link, options) =>
        Effect.tap(dial(link, options), (welcomed) =>
          Effect.sync(() => {
            session = welcomed.session
          }))
    )
  )
  const { client, server } = yield* pair
  yield* Layer.build(
    HttpRouter.serve(
      HttpRouter.add(
        "POST",
        "/key",
        (request) => Effect.succeed(HttpServerResponse.text(request.headers["idempotency-key"]!))
      ),
      { disableLogger: true, disableListenLog: true }
    ).pipe(Layer.provide(ApiServer.layerConnection(server)))
  )
  const { epoch, token } = session as Handshake.Session | undefined ?? assert.fail("there is no session")
  return {
    id: client.id,
    epoch,
    token: Redacted.value(token),
    key: yield* Effect.flatMap(ApiClient.withIdempotencyKey(ApiClient.make(client)).post("/key"), ({ text }) => text)
  }
}))

const fixed = Effect.suspend(() => Effect.provideService(drawn, SecureRandom.SecureRandom, counting()))

it.effect("ids, tokens and keys are the same with the same SecureRandom, and others without one", () =>
  Effect.gen(function*() {
    const first = yield* fixed
    assert.deepStrictEqual(yield* fixed, first)
    assert.strictEqual(first.epoch, "00010203-0405-4607-8809-0a0b0c0d0e0f")
    assert.match(first.token, /^[\w-]{43}$/)
    const other = yield* drawn
    for (const name of ["id", "epoch", "token", "key"] as const) assert.notStrictEqual(other[name], first[name], name)
  }))
