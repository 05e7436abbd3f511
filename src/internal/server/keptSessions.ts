/**
 * The sessions that a server keeps (PROTOCOL.md, "Sessions"), and who may resume one.
 */
import * as Redacted from "effect/Redacted"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { sessionLost } from "../connection/endErrors.ts"
import type { Resume } from "../handshake/model.ts"
import { refused } from "../link/refusal.ts"
import type { InterruptedSessions } from "./interruptedSessions.ts"
import { type KeptSession, superseded } from "./keptSession.ts"

/** @internal */
export class KeptSessions<M, P> {
  /** The id of this memory of sessions. Another process has another one, and so has this one after a restart. */
  readonly epoch: string
  readonly #sessions = new Map<string, KeptSession<M, P>>()
  readonly #interrupted: InterruptedSessions<M, P>
  readonly #isSame: (before: P, now: P) => boolean

  constructor(epoch: string, interrupted: InterruptedSessions<M, P>, isSame: (before: P, now: P) => boolean) {
    this.epoch = epoch
    this.#interrupted = interrupted
    this.#isSame = isSame
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

  /** The session that a client asks for, or why it does not get it; `undefined` when it is not in this memory. */
  find(resume: Resume, principal: P): KeptSession<M, P> | SwaggerSocketError | undefined {
    const kept = resume.epoch === this.epoch ? this.#sessions.get(resume.connectionId) : undefined
    // A connection that this end closes is not resumed, even if the client has not read the GOAWAY.
    if (kept === undefined || kept.driver.now === "closing") return undefined
    // One error for a wrong token and a wrong principal, so that it does not tell which of them was right.
    if (
      !kept.tokens.isValid(Redacted.value(resume.token)) || !this.#isSame(kept.driver.principal, principal)
    ) return rejected
    if (kept.isSuperseded(resume.attempt)) return superseded
    return kept.session.acknowledge(resume.received) ? kept : rejected
  }

  /** A connection waits for a link. */
  interrupted(kept: KeptSession<M, P>): void {
    this.#interrupted.add(kept)
  }

  resumed(kept: KeptSession<M, P>): void {
    this.#interrupted.delete(kept)
  }
}

const rejected = refused("local", "RESUME_REJECTED", "the connection can't be resumed with this token by this client")
