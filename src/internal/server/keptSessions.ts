/**
 * The sessions that a server keeps (PROTOCOL.md, "Sessions"): who may resume one, and with which link.
 */
import { uuidV4Unsafe } from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { LinkError, type RefusalCode, SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { sessionLost } from "../connection/endErrors.ts"
import type { Attachment, ConnectionDriver } from "../connection/types.ts"
import { RefusalCode as Refusals } from "../frame/errorCode.ts"
import type { Resume } from "../handshake/model.ts"
import type { Link } from "../link/link.ts"
import { refused } from "../link/refusal.ts"
import { Gate } from "../scheduling/gate.ts"
import type { Session } from "../session/session.ts"
import { makeToken, Tokens } from "../session/token.ts"
import type { InterruptedSessions } from "./interruptedSessions.ts"

/** One connection that may be resumed. @internal */
export class KeptSession<M, P> {
  readonly driver: ConnectionDriver<M, P>
  readonly session: Session
  readonly tokens: Tokens
  readonly windowMillis: number
  /** Counts the handshakes that were let in. */
  #handshakes = 0
  /** The highest number that the client has given to an attempt that was let in. */
  #attempt = 0
  #handed: Attachment | undefined = undefined
  readonly #gate = new Gate()
  #givenUp: SwaggerSocketError | undefined = undefined
  /** What links are closed with that come when it is given up. */
  refusal: RefusalCode = "RESUME_REJECTED"

  constructor(driver: ConnectionDriver<M, P>, session: Session, tokens: Tokens, windowMillis: number) {
    this.driver = driver
    this.session = session
    this.tokens = tokens
    this.windowMillis = windowMillis
  }

  /**
   * Whether the client has given an attempt up by now: it has made a later one, which was let in. Authentication of an
   * earlier attempt, or its way here, may take longer.
   */
  isGivenUp(attempt: number | undefined): boolean {
    return attempt !== undefined && attempt <= this.#attempt
  }

  /**
   * Lets go of whatever link the connection has, so that what it has received stands still, and begins a handshake that
   * supersedes all before it.
   */
  supersede(attempt: number | undefined): number {
    this.driver.dropLink(Refusals.REPLACED, replaced)
    this.#revoke("REPLACED")
    if (attempt !== undefined) this.#attempt = attempt
    return ++this.#handshakes
  }

  /** Gives a link to the connection; answers why it does not take it: another handshake has begun since, or it is over. */
  hand(handshake: number, attachment: Attachment): RefusalCode | undefined {
    if (this.#givenUp !== undefined) return this.refusal
    if (handshake !== this.#handshakes) return "REPLACED"
    this.tokens.confirm()
    this.#revoke("REPLACED")
    this.#handed = attachment
    this.#gate.notify()
    return undefined
  }

  /** Waits for the next link. */
  awaitNext(): Effect.Effect<Attachment, SwaggerSocketError> {
    const isOver = () => this.#handed !== undefined || this.#givenUp !== undefined
    return Effect.flatMap(this.#gate.until(isOver), () => {
      if (this.#givenUp !== undefined) return Effect.fail(this.#givenUp)
      const handed = this.#handed
      this.#handed = undefined
      // Another handshake may have begun in between, and taken the link away.
      return handed === undefined ? this.awaitNext() : Effect.succeed(handed)
    })
  }

  /** No link will be taken any more. */
  giveUp(error: SwaggerSocketError): void {
    this.#givenUp = error
    this.#revoke(this.refusal)
    this.#gate.notify()
  }

  /** Closes the link that the connection has not taken yet. */
  #revoke(code: RefusalCode): void {
    const handed = this.#handed
    this.#handed = undefined
    if (handed === undefined) return
    closeAs(handed.link, code)
    Effect.runFork(handed.release)
  }
}

/** @internal */
export const closeAs = (link: Link, code: RefusalCode): void => link.close(Refusals[code], code)

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

  /** Another connection has replaced this one, which ends now: so are links told that still come for it. */
  replaced(id: string): void {
    const kept = this.#sessions.get(id)
    if (kept !== undefined) kept.refusal = "IDENTITY_REPLACED"
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
    if (kept.isGivenUp(resume.attempt)) return Effect.fail(givenUp)
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

const replaced = new SwaggerSocketError({
  reason: new LinkError({ phase: "read", description: "a newer link has taken the connection" })
})

const rejected = refused("local", "RESUME_REJECTED", "the connection can't be resumed with this token by this client")

const givenUp = refused("local", "REPLACED", "a later attempt has resumed the connection")
