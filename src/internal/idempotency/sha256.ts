/**
 * SHA-256 by the platform. Pages loaded over plain HTTP have no `crypto.subtle`, and load `@noble/hashes`. Effect's `Digest`
 * dies there.
 */

/** @internal */
export const sha256 = async (bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> => {
  const { subtle } = globalThis.crypto as { readonly subtle?: SubtleCrypto }
  if (subtle !== undefined) return new Uint8Array(await subtle.digest("SHA-256", bytes))
  const noble = await import("@noble/hashes/sha2.js")
  return noble.sha256(bytes)
}
