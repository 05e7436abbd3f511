/**
 * The secret that proves the right to resume (PROTOCOL.md, "Sessions"): new in each welcome, compared in constant time.
 */
import { timingSafeEqual } from "effect/crypto/Mac"
import * as Base64Url from "effect/encoding/Base64Url"

/** 256 bits. @internal */
export const tokenBytes = 32

/** The token that random bytes make. @internal */
export const tokenOf = (bytes: Uint8Array): string => Base64Url.encode(bytes)

const encoder = new TextEncoder()

/** Takes the same time wherever two tokens of one length differ. @internal */
export const equalTokens = (one: string, other: string): boolean =>
  timingSafeEqual(encoder.encode(one), encoder.encode(other))

/** The tokens of one connection: the one that counts, and the next, which counts as well until it is confirmed. @internal */
export class Tokens {
  #current: string
  #next: string | undefined = undefined

  constructor(first: string) {
    this.#current = first
  }

  get current(): string {
    return this.#current
  }

  isValid(token: string): boolean {
    const current = equalTokens(token, this.#current)
    const next = this.#next !== undefined && equalTokens(token, this.#next)
    return current || next
  }

  /** `next` is sent in another welcome to a client that has proved `token`: what it had besides is over. */
  rotate(token: string, next: string): string {
    this.#current = token
    return this.#next = next
  }

  /** The client has shown that it has the last one. */
  confirm(): void {
    if (this.#next === undefined) return
    this.#current = this.#next
    this.#next = undefined
  }
}
