/**
 * `Connection.close`: which close codes are the application's.
 */
import { assert, describe, it } from "@effect/vitest"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

describe("Connection.close", () => {
  for (
    const [whose, codes] of [
      ["WebSockets do not allow", [42, 1001, 1006, 2999, 5000, 3000.5, Number.NaN]],
      ["means something to the wire", [4000, 4001, 4015, 4100, 4109, 4110, 4111, 4112]]
    ] as const
  ) {
    it.effect(`a code that ${whose} makes Connection.close die with a RangeError, and the connection stays open`, () =>
      Effect.gen(function*() {
        const { client, server } = yield* SwaggerSocketTest.makePair()
        for (const end of [client, server]) {
          for (const drain of [false, true]) {
            for (const code of codes) {
              const exit = yield* Effect.exit(end.close({ code, drain }))
              const isTold = Exit.isFailure(exit) &&
                exit.cause.reasons.some((reason) => reason._tag === "Die" && reason.defect instanceof RangeError)
              assert.isTrue(isTold, `${code}`)
            }
          }
          assert.strictEqual(yield* end.status, "open")
        }
      }))
  }

  it.live("codes of the application arrive at the peer unchanged", () =>
    Effect.gen(function*() {
      for (const code of [1000, 3000, 3999, 4016, 4099, 4113, 4999]) {
        const { client, server } = yield* SwaggerSocketTest.makePair()
        yield* server.close({ code, reason: "enough" })
        assert.deepStrictEqual(yield* client.closed, { _tag: "Closed", initiator: "remote", code, reason: "enough" })
      }
    }))
})
