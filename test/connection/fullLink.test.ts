/**
 * A link whose buffers are full: it is asked for room once, and is lost only when it takes no bytes at all.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Limits from "effect-swaggersocket/Limits"
import * as Multiplexer from "effect-swaggersocket/Multiplexer"
import * as Quotas from "effect-swaggersocket/Quotas"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as TestClock from "effect/testing/TestClock"
import { stayConnected } from "../../src/internal/client/stayConnected.ts"
import type { Link } from "../../src/internal/link/link.ts"
import * as memoryLink from "../../src/internal/link/memoryLink.ts"
import * as Acceptor from "../../src/internal/server/acceptor.ts"
import { awaitConnection } from "../../src/internal/server/preferred.ts"
import { connect, settle } from "../support/memoryPeer.ts"

/** Has something to send again whenever it is asked. */
const eager = (options: Multiplexer.MultiplexerOptions): Multiplexer.Multiplexed => {
  const mux = Multiplexer.Multiplexer.defaultValue()(options)
  const pull = mux.pull
  return Object.assign(mux, {
    pull(linkOnly?: boolean) {
      options.host.onPending()
      return pull.call(mux, linkOnly)
    }
  })
}

describe("full link", () => {
  it.effect("a full link is kept while it takes bytes, though no message leaves and nothing is received; then it is lost", () =>
    Effect.gen(function*() {
      let isFull = false
      let taken = 0
      const acceptor = yield* Acceptor.make<unknown, undefined>({
        limits: Limits.make({ resumeWindow: 0 }),
        quotas: Quotas.defaults,
        decodeMetadata: Effect.succeed,
        authenticate: () => Effect.succeed(undefined),
        isSamePrincipal: () => true
      })
      // The peer never says anything by itself.
      yield* connect(acceptor, {
        through: (link) => Object.assign(link, { isFull: () => isFull, onRoom() {}, taken: () => taken })
      })
      const connection = yield* awaitConnection(acceptor, () => true)
      isFull = true
      yield* Effect.forkChild(
        Effect.exit(ApiClient.make(connection).post("/", { body: HttpBody.uint8Array(new Uint8Array(100_000)) }))
      )
      yield* settle
      for (let second = 0; second < 600; second += 10) {
        taken++
        yield* TestClock.adjust("10 seconds")
        yield* settle
      }
      assert.strictEqual(yield* connection.status, "open")
      yield* TestClock.adjust("1 minute")
      yield* settle
      assert.strictEqual(yield* connection.status, "closed")
    }))

  it.effect("a full link is asked for room once at a time, whatever messages become pending meanwhile", () =>
    Effect.gen(function*() {
      const limits = Limits.make({ resumeWindow: 0 })
      const acceptor = yield* Acceptor.make<unknown, undefined>({
        limits,
        quotas: Quotas.defaults,
        decodeMetadata: Effect.succeed,
        authenticate: () => Effect.succeed(undefined),
        isSamePrincipal: () => true
      })
      let asked = 0
      let waiting = 0
      let most = 0
      const { connection } = yield* stayConnected({
        limits,
        wire: "v2",
        attempt: Effect.succeed({
          metadata: null,
          encoded: null,
          target: "in memory",
          link: () =>
            Effect.gen(function*() {
              const [near, far] = memoryLink.makePair()
              const upgrade = { headers: {} as never, url: "/", remoteAddress: Option.none() }
              // Takes two messages, and has room again a moment later.
              let sent = 0
              const narrow: Link = {
                ...far,
                send(message) {
                  sent++
                  return far.send(message)
                },
                isFull: () => sent >= 2,
                onRoom(resume) {
                  asked++
                  most = Math.max(most, ++waiting)
                  setImmediate(() => {
                    waiting--
                    sent = 0
                    resume()
                  })
                }
              }
              yield* acceptor.accept(Effect.succeed(narrow), upgrade, "v2")
              return near
            })
        })
      })
      const near = yield* connection
      const far = yield* awaitConnection(acceptor, () => true)
      yield* Layer.build(Layer.provide(
        HttpServer.serve(Effect.succeed(HttpServerResponse.uint8Array(new Uint8Array(1_000_000)))),
        ApiServer.layerConnection(far)
      ))
      const body = yield* Effect.flatMap(ApiClient.make(near).get("/"), (response) => response.arrayBuffer)
      assert.strictEqual(body.byteLength, 1_000_000)
      assert.isAbove(asked, 0)
      assert.strictEqual(most, 1)
    }).pipe(Effect.provide(Multiplexer.layer(eager))))
})
