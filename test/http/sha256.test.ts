import { assert, it } from "@effect/vitest"
import { createHash } from "node:crypto"
import { ownSha256, sha256 } from "../../src/internal/http/sha256.ts"

it("hashes as the platform does, whatever the length", async () => {
  for (let length = 0; length < 400; length++) {
    const bytes = Uint8Array.from({ length }, (_, at) => at * 31 + length)
    const expected = createHash("sha256").update(bytes).digest("hex")
    assert.strictEqual(Buffer.from(ownSha256(bytes)).toString("hex"), expected, `${length} bytes`)
    assert.strictEqual(Buffer.from(await sha256(bytes)).toString("hex"), expected, `${length} bytes`)
  }
})
