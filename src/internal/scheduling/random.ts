/**
 * Randomness for ids, tokens, and seeds that the peer must not guess: the `SecureRandom` in context, with which tests fix
 * them, or else that of the platform.
 */
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"

/** @internal */
export type Randomness = SecureRandom.SecureRandom["Service"]

const ofPlatform: Randomness = /* @__PURE__ */ SecureRandom.make(SecureRandom.randomBytesUnsafe)

/** @internal */
export const randomness: Effect.Effect<Randomness> = Effect.map(
  Effect.serviceOption(SecureRandom.SecureRandom),
  (found) => found._tag === "Some" ? found.value : ofPlatform
)

/** A UUID. @internal */
export const randomId: Effect.Effect<string> = Effect.flatMap(randomness, (random) => random.uuidV4())

/** An integer of 32 bits. @internal */
export const randomSeed: Effect.Effect<number> = Effect.flatMap(
  randomness,
  (random) => random.intBetween(0, 0xffffffff)
)
