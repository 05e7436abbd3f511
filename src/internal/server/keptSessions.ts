/**
 * The sessions that a server keeps (PROTOCOL.md, "Sessions"), and who may resume one.
 */
import { uuidV4Unsafe } from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { sessionLost } from "../connection/endErrors.ts"
import type { Resume } from "../handshake/model.ts"
import { refused } from "../link/refusal.ts"
import { makeToken, Tokens } from "../session/token.ts"
import type { InterruptedSessions } from "./interruptedSessions.ts"
import type { KeptSession } from "./keptSession.ts"

/** @internal */
export class KeptSessions<M, P> {
  /** Names this memory: another process, or this one after a restart, has another. */
  readonly epoch: string = uuidV4Unsafe()
  readonly #sessions = new Map<string, KeptSession<M, P>>()
  readonly #interrupted: InterruptedSessions<M, P>
  readonly #isSame: (before: P, now: P) => boolean

  constructor(interrupted: InterruptedSessions<M, P>, isSame: (before: P, now: P) => boolean) {
    this.#interrupted = interrupted
    this.#isSame = isSame
  }

  makeTokens(): Tokens {
    return new Tokens(newToken)
  }

  add(id: string, kept: KeptSession<M, P>): void {
    this.#sessions.set(id, kept)
  }

  delete(id: string): void {
    const kept = this.#sessions.get(id)
    if (kept === undefined) return
    this.resumed(kept)
    this.#sessions.delete(id)
    kept.giveUp(sessionLost("expired", undefined))
  }

  /** Another connection has replaced this one, which ends now. */
  replaced(id: string): void {
    this.#sessions.get(id)?.replaced()
  }

  /** The session to go on with; `undefined` when this memory has none by that name. */
  find(resume: Resume, principal: P): Effect.Effect<KeptSession<M, P> | undefined, SwaggerSocketError> {
    const kept = resume.epoch === this.epoch ? this.#sessions.get(resume.connectionId) : undefined
    // This end has said goodbye already, even if the client has not heard it.
    if (kept === undefined || kept.driver.now === "closing") return Effect.succeed(undefined)
    // One answer for all, so that it tells nothing about which was wrong.
    if (
      !kept.tokens.isValid(Redacted.value(resume.token)) || !this.#isSame(kept.driver.principal, principal)
    ) return Effect.fail(rejected)
    if (kept.isSuperseded(resume.attempt)) return Effect.fail(superseded)
    return kept.session.acknowledge(resume.received) ? Effect.succeed(kept) : Effect.fail(rejected)
  }

  /** A connection waits for a link. */
  interrupted(kept: KeptSession<M, P>): void {
    this.#interrupted.add(kept)
  }

  resumed(kept: KeptSession<M, P>): void {
    this.#interrupted.delete(kept)
  }
}

const newToken = () => makeToken((bytes) => globalThis.crypto.getRandomValues(bytes))

const rejected = refused("local", "RESUME_REJECTED", "the connection can't be resumed with this token by this client")

const superseded = refused("local", "REPLACED", "a later attempt has resumed the connection")
