/**
 * Nodes prove to each other that they know the secret of their nodes, without sending it: a directory that lies about a URL must not
 * learn it.
 */
import { hmac } from "@noble/hashes/hmac.js"
import { sha256 } from "@noble/hashes/sha2.js"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Redacted from "effect/Redacted"
import { equalTokens } from "../session/token.ts"

/** Shorter secrets can be guessed from one proof. @internal */
export const minSecretLength = 16

const encoder = new TextEncoder()

/** @internal */
export class Proofs {
  readonly #secret: Uint8Array

  constructor(secret: Redacted.Redacted) {
    this.#secret = encoder.encode(Redacted.value(secret))
  }

  /** `what` keeps proofs apart that are for different things; no part of one fits another. */
  of(what: string, ...parts: ReadonlyArray<string>): string {
    return Base64Url.encode(hmac(sha256, this.#secret, encoder.encode(JSON.stringify([what, ...parts]))))
  }

  /** Takes the same time wherever the proof is wrong. */
  isValid(proof: string, what: string, ...parts: ReadonlyArray<string>): boolean {
    return equalTokens(proof, this.of(what, ...parts))
  }
}
