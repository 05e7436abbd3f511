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

/** The tokens of one connection: the current one and, until the client has confirmed it, the next one. Both are valid. @internal */
export class Tokens {
  #current: string
  #next: string | undefined

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

  /** `next` is sent in another welcome, to a client that has proved `token`. Any other token becomes invalid. */
  rotate(token: string, next: string): string {
    this.#current = token
    return this.#next = next
  }

  /** The client has received the next token. The one before becomes invalid. */
  confirm(): void {
    if (this.#next === undefined) return
    this.#current = this.#next
    this.#next = undefined
  }
}
