/**
 * SHA-256 with and without the platform's `crypto.subtle`.
 */
import { afterEach, assert, it } from "@effect/vitest"
import { createHash } from "node:crypto"
import { sha256 } from "../../src/internal/idempotency/sha256.ts"

afterEach(() => void Reflect.deleteProperty(globalThis.crypto, "subtle"))

it("sha256 is the same with and without the platform's, so that kept responses are found from any page", async () => {
  for (const length of [0, 1, 63, 64, 1000]) {
    const bytes = Uint8Array.from({ length }, (_, at) => at * 31 + length)
    const expected = createHash("sha256").update(bytes).digest("hex")
    assert.strictEqual(Buffer.from(await sha256(bytes)).toString("hex"), expected, `${length} bytes`)
    Object.defineProperty(globalThis.crypto, "subtle", { value: undefined, configurable: true })
    assert.strictEqual(
      Buffer.from(await sha256(bytes)).toString("hex"),
      expected,
      `${length} bytes, not a secure context`
    )
    Reflect.deleteProperty(globalThis.crypto, "subtle")
  }
})
