/**
 * Errors for handshakes that end without a connection.
 */
import { assert, it } from "@effect/vitest"
import { Refusal } from "effect-swaggersocket/Handshake"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { linkFailure } from "../../src/internal/link/linkErrors.ts"
import { invalid, metadataInvalid, metadataUnfit, refused, turnedAway } from "../../src/internal/link/refusal.ts"

const Metadata = Schema.Struct({ tags: Schema.Array(Schema.Struct({ name: Schema.String })) })

it.effect("a refusal names the field that is wrong, and not its value", () =>
  Effect.gen(function*() {
    const fail = Effect.flip(Schema.decodeUnknownEffect(Metadata)({ tags: [{ name: "a" }, { name: 1234567 }] }))
    const error = yield* fail
    const path = ["tags", 1, "name"]
    for (
      const [refusal, members] of [
        [invalid("hello")(error), { code: "HANDSHAKE_INVALID", retry: false, path }],
        [metadataInvalid(error), { code: "METADATA_INVALID", retry: false, path }],
        [metadataUnfit(true)(error), { code: "METADATA_INVALID", retry: true, path }]
      ] as const
    ) {
      assert.deepInclude(refusal.reason, { _tag: "HandshakeRefused", initiator: "local", ...members })
      assert.notInclude(refusal.message, "1234567")
    }
    const whole = yield* Effect.flip(Schema.decodeUnknownEffect(Metadata)(1234567))
    assert.deepInclude(metadataInvalid(whole).reason, { path: [] })
    assert.notProperty(refused("local", "FORBIDDEN", "").reason, "path")
  }))

it("authentication decides whether a client may try again, by its code where it does not say", () => {
  const reason = "why"
  const retries = (options: ConstructorParameters<typeof Refusal>[0]) => turnedAway(new Refusal(options)).reason
  assert.deepInclude(retries({ code: "FORBIDDEN", reason }), { code: "FORBIDDEN", description: reason, retry: false })
  assert.deepInclude(retries({ code: "OVERLOADED", reason }), { retry: true })
  assert.deepInclude(retries({ code: "FORBIDDEN", reason, retry: true }), { retry: true })
  assert.deepInclude(retries({ code: "OVERLOADED", reason, retry: false }), { retry: false })
  const error = linkFailure("read", "gone")
  assert.strictEqual(turnedAway(error), error)
})
