/**
 * What the log of a client says of its attempts to connect.
 */
import * as Effect from "effect/Effect"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { adviceFor, PlatformAdvice } from "./advice.ts"
import type { Status } from "./model.ts"

/** @internal */
export class AttemptLog {
  readonly #dialling: { readonly target: string | undefined }
  /** How the last attempt failed, unless one has succeeded since. */
  #failure: SwaggerSocketError | undefined
  /** The failure that the log shows: it is shown again when it changes. */
  #warned: string | undefined
  /** The failure that the log has named for a caller who gave up waiting. */
  #named: SwaggerSocketError | undefined

  constructor(dialling: { readonly target: string | undefined }) {
    this.#dialling = dialling
  }

  /** The status of an attempt, with how the one before it failed. */
  connecting(attempt: number): Extract<Status, { readonly _tag: "Connecting" }> {
    return { _tag: "Connecting", attempt, ...(this.#failure && { error: this.#failure }) }
  }

  connected(): void {
    this.#failure = undefined
    this.dialsAgain()
  }

  /** Somebody has asked for a new start: the log shows a failure again that it has shown before. */
  dialsAgain(): void {
    this.#warned = undefined
  }

  failed(error: SwaggerSocketError, willRetry: boolean): Effect.Effect<void> {
    this.#failure = error
    const { message } = error
    // After the last attempt its failure is in the error that the log shows for the client.
    const failure = withoutSystemCall(message)
    if (!willRetry || this.#warned === failure) return Effect.logDebug("connection attempt failed", message)
    this.#warned = failure
    return this.#advise(error, (advice) => Effect.logWarning(`could not connect${this.#where}: ${message}. ${advice}`))
  }

  stopped(error: SwaggerSocketError): Effect.Effect<void> {
    return this.#advise(
      error,
      (advice) =>
        Effect.logError(`stopped dialling: no connection${this.#where}, and calls fail: ${error.message}. ${advice}`)
    )
  }

  #advise(error: SwaggerSocketError, log: (advice: string) => Effect.Effect<void>): Effect.Effect<void> {
    return Effect.flatMap(PlatformAdvice, (ofPlatform) => log(`To do: ${adviceFor(error, ofPlatform)}`))
  }

  /** A caller has timed out while it waited. Its timeout can't say why there was no connection, so the log does. */
  gaveUpWaiting(): Effect.Effect<void> {
    const failure = this.#failure
    if (failure === undefined || failure === this.#named) return Effect.void
    this.#named = failure
    return Effect.logWarning(
      `gave up waiting for a connection; the last attempt to connect${this.#where} failed: ${failure.message}`
    )
  }

  get #where(): string {
    const { target } = this.#dialling
    return target ? ` to ${target}` : ""
  }
}

/** One reason may show in different system calls: `read ECONNRESET` is no news after `connect ECONNRESET`. */
const withoutSystemCall = (message: string): string => message.replace(/\b\w+ (E[A-Z]{3,})\b.*/s, "$1")
