/**
 * The secret that proves the right to resume (PROTOCOL.md, "Sessions"): new in each welcome, compared in constant time.
 */
import * as Base64Url from "effect/encoding/Base64Url"

/** 256 bits. */
const tokenBytes = 32

/** @internal */
export const makeToken = (random: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array): string =>
  Base64Url.encode(random(new Uint8Array(tokenBytes)))

/** Takes the same time wherever two tokens of one length differ. @internal */
export const equalTokens = (one: string, other: string): boolean => {
  if (one.length !== other.length) return false
  let difference = 0
  for (let i = 0; i < one.length; i++) difference |= one.charCodeAt(i) ^ other.charCodeAt(i)
  return difference === 0
}

/** The tokens of one connection: the one that counts, and the next, which counts as well until it is confirmed. @internal */
export class Tokens {
  readonly #make: () => string
  #current: string
  #next: string | undefined = undefined

  constructor(make: () => string) {
    this.#make = make
    this.#current = make()
  }

  get current(): string {
    return this.#current
  }

  isValid(token: string): boolean {
    const current = equalTokens(token, this.#current)
    const next = this.#next !== undefined && equalTokens(token, this.#next)
    return current || next
  }

  /** The token of another welcome, for a client that has proved `token`: what it had besides is over. */
  rotate(token: string): string {
    this.#current = token
    return this.#next = this.#make()
  }

  /** The client has shown that it has the last one. */
  confirm(): void {
    if (this.#next === undefined) return
    this.#current = this.#next
    this.#next = undefined
  }
}
