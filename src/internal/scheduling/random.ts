/**
 * Randomness for ids, tokens, and seeds that the peer must not guess: the `SecureRandom` in context, with which tests fix
 * them, or else that of the platform.
 */
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"

/** What is drawn here: a page that loads no other generator of `SecureRandom` is 1 kB smaller. @internal */
export interface Randomness {
  readonly randomBytes: (size: number) => Effect.Effect<Uint8Array>
  readonly uuidV4: () => Effect.Effect<string>
}

const ofPlatform: Randomness = {
  randomBytes: (size) => Effect.sync(() => SecureRandom.randomBytesUnsafe(size)),
  uuidV4: () => Effect.sync(() => SecureRandom.uuidV4Unsafe())
}

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
  (random) => Effect.map(random.randomBytes(4), (bytes) => bytes.reduce((seed, byte) => seed * 256 + byte))
)
