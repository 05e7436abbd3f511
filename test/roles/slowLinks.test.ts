/**
 * A link that takes bytes all the time, however slowly, is kept; one that takes none is lost.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as Limits from "effect-swaggersocket/Limits"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as TestClock from "effect/testing/TestClock"
import * as Acceptor from "../../src/internal/server/acceptor.ts"
import { awaitConnection } from "../../src/internal/server/preferred.ts"
import { connect, settle } from "./memoryPeer.ts"

describe("full link", () => {
  it.effect("a full link is kept while it takes bytes, though no message leaves and nothing is received; then it is lost", () =>
    Effect.gen(function*() {
      let isFull = false
      let taken = 0
      const acceptor = yield* Acceptor.make<unknown, undefined>({
        limits: Limits.make({ resumeWindow: 0 }),
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
})
