/**
 * Decides which connection an authenticated client gets: a new one, or the one that it resumes.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import type { Limits } from "../../Limits.ts"
import { HandshakeRefused, isSwaggerSocketError, SwaggerSocketError } from "../../SwaggerSocketError.ts"
import * as connectionDriver from "../connection/driver.ts"
import { Apps } from "../connection/peer.ts"
import type { Parts } from "../connection/replaceableParts.ts"
import type { ConnectionDriver } from "../connection/types.ts"
import { Unsent } from "../connection/unsentBytes.ts"
import type { Hello, Upgrade, Welcome } from "../handshake/model.ts"
import type * as wires from "../handshake/wire.ts"
import { refused } from "../link/refusal.ts"
import { HeldThings } from "../quota/held.ts"
import { MemoryBudget } from "../quota/memoryBudget.ts"
import { describe, type Exceeded, type Party } from "../quota/party.ts"
import type { ServerQuotas } from "../quota/serverQuotas.ts"
import { Backlog } from "../scheduling/backlog.ts"
import type { Randomness } from "../scheduling/random.ts"
import { Session } from "../session/session.ts"
import { tokenBytes, tokenOf, Tokens } from "../session/token.ts"
import { CountedCalls } from "./countedCalls.ts"
import type { Identities } from "./identities.ts"
import { KeptSession, superseded } from "./keptSession.ts"
import type { KeptSessions } from "./keptSessions.ts"
import { Overload } from "./overload.ts"
import type { PendingHandshake } from "./pendingHandshakes.ts"

/** The connection that a link is for. @internal */
export interface Admission<M, P> {
  readonly welcome: Welcome
  readonly driver: ConnectionDriver<M, P>
  /** Absent: the connection ends with this link. */
  readonly kept: KeptSession<M, P> | undefined
  /** The number of this handshake among those of the connection. */
  readonly handshake: number
  /** How many counted messages of the connection the client has received. */
  readonly received: number
  /** The client has had another connection, which it wanted to resume. */
  readonly hadAnother: boolean
}

/** An authenticated client that asks for a connection. `own` is the scope of a new one. @internal */
export interface Candidate<M, P> {
  readonly hello: Hello<M, P>
  readonly upgrade: Upgrade
  readonly wire: wires.Wire
  readonly own: Scope.Scope
  readonly pending: PendingHandshake
  /** What its metadata take in memory. */
  readonly metadataBytes: number
}

/** @internal */
export interface AdmissionOptions<M, P> {
  readonly clock: Clock.Clock
  readonly parts: Parts
  readonly limits: Limits
  readonly random: Randomness
  readonly sessions: KeptSessions<M, P>
  readonly apps: Apps
  readonly identities: Identities<M, P>
  readonly quotas: ServerQuotas<M, P>
  readonly delay: (millis: number, run: () => void) => void
  /** That of the server. */
  readonly scope: Scope.Scope
  /** No new connections are made now. */
  readonly isLeaving: () => boolean
}

/** @internal */
export const noMoreRequests = "the server takes no more requests"

const exceededBy = (exceeded: Exceeded): SwaggerSocketError => refused("local", "OVERLOADED", describe(exceeded))

const goingAway = new SwaggerSocketError({
  reason: new HandshakeRefused({ initiator: "local", code: "GOING_AWAY", description: noMoreRequests, retry: true })
})

/** @internal */
export class Admissions<M, P> {
  readonly #options: AdmissionOptions<M, P>
  readonly #windowMillis: number
  readonly #memory: MemoryBudget
  readonly #unsent: Unsent
  readonly #held: HeldThings<ConnectionDriver<M, P>>
  readonly #overload: Overload

  constructor(options: AdmissionOptions<M, P>, windowMillis: number) {
    this.#options = options
    const { process, server } = options.quotas
    this.#held = new HeldThings("connections", process)
    this.#memory = new MemoryBudget(
      server,
      process,
      options.delay,
      new Backlog().add
    )
    this.#unsent = new Unsent(options.limits.maxUnsentBytes)
    this.#overload = new Overload(server)
    this.#windowMillis = windowMillis
  }

  /** `id` is the one that a new connection gets. */
  admit(candidate: Candidate<M, P>, id: string): Effect.Effect<Admission<M, P>, SwaggerSocketError> {
    const { principal, resume, session: wish } = candidate.hello
    const { identities, isLeaving, quotas, random, sessions } = this.#options
    // The token is drawn first, so that nothing comes between finding a session and superseding earlier attempts.
    return Effect.flatMap(random.randomBytes(tokenBytes), (bytes) => {
      const token = tokenOf(bytes)
      const party = quotas.authenticated(candidate.pending.arrival, { ...candidate.upgrade, ...candidate.hello })
      const tooMany = this.#count(candidate.pending, party.only("principal"))
      if (tooMany !== undefined) return Effect.fail(tooMany)
      const replaced = resume && identities.refusalToResume(candidate.hello, resume.connectionId)
      if (replaced !== undefined) return Effect.fail(replaced)
      const anew = Effect.suspend(() => {
        const refusal = isLeaving() ? goingAway : this.#refusal(candidate.hello, party)
        return refusal === undefined ? this.#begin(candidate, party, id, token) : Effect.fail(refusal)
      })
      const kept = resume === undefined || wish === undefined ? undefined : sessions.find(resume, principal)
      if (kept === undefined) return anew
      return isSwaggerSocketError(kept) ? Effect.fail(kept) : this.#resume(kept, candidate.hello, token, anew)
    })
  }

  /** Counts a handshake against the quotas of its principal, which is known now. */
  #count(pending: PendingHandshake, principal: Party): SwaggerSocketError | undefined {
    const exceeded = principal.refusal("pendingHandshakes") ?? principal.take("handshakesPerSecond")
    if (exceeded !== undefined) return exceededBy(exceeded)
    pending.count(principal)
    return undefined
  }

  /** Why a client gets no new connection. */
  #refusal(hello: Hello<M, P>, party: Party): SwaggerSocketError | undefined {
    const { identities } = this.#options
    const refusal = identities.refusal(hello)
    // It takes the place of another one, which is counted until it has ended.
    if (refusal !== undefined || identities.replaces(hello)) return refusal
    const exceeded = this.#held.refusal(party)
    if (exceeded === undefined) return undefined
    // Further clients of a full address are refused before the upgrade, which costs a fifth (measured). Not the first one: a
    // client that resumes its connection needs no room.
    if (exceeded.holder.kind === "address") exceeded.holder.markFull("connections")
    return exceededBy(exceeded)
  }

  /** `anew`: what the client gets where the connection ends meanwhile. */
  #resume(
    kept: KeptSession<M, P>,
    { resume }: Hello<M, P>,
    token: string,
    anew: Effect.Effect<Admission<M, P>, SwaggerSocketError>
  ): Effect.Effect<Admission<M, P>, SwaggerSocketError> {
    const { driver, session, tokens } = kept
    const handshake = kept.supersede(resume!.attempt)
    return Effect.flatMap(kept.settled(handshake), (isLatest) => {
      if (!isLatest) return Effect.fail(superseded)
      if (driver.now === "closing" || driver.now === "closed") return anew
      return Effect.succeed({
        driver,
        kept,
        handshake,
        received: resume!.received,
        hadAnother: false,
        welcome: {
          connectionId: driver.id,
          resumed: true,
          session: {
            ...this.#offer(kept.windowMillis, tokens.rotate(Redacted.value(resume!.token), token)),
            received: session.received
          }
        }
      })
    })
  }

  /** Makes a new connection, and keeps its session where both ends want one. */
  #begin(
    { hello, metadataBytes, own, upgrade, wire }: Candidate<M, P>,
    party: Party,
    id: string,
    token: string
  ): Effect.Effect<Admission<M, P>> {
    const { apps, clock, limits, parts, quotas, scope, sessions } = this.#options
    const { metadata, principal, resume, session: wish, settings } = hello
    const session = wish !== undefined && this.#windowMillis > 0
      ? new Session(limits.replayBuffer, wish.replayBuffer)
      : undefined
    const windowMillis = Math.min(wish?.windowMillis ?? 0, this.#windowMillis)
    const made = connectionDriver.make({
      clock,
      scope: own,
      ownerScope: scope,
      heartbeat: parts.heartbeat,
      multiplexer: wire.multiplexer,
      wire: wire.name,
      id,
      metadata,
      principal,
      role: "server",
      remoteAddress: upgrade.remoteAddress,
      limits,
      remote: settings,
      session,
      windowMillis,
      apps: new Apps(limits, apps),
      calls: new CountedCalls(party, this.#overload, id),
      unsent: {
        grown: (driver) => {
          this.#memory.grown(driver)
          this.#unsent.grown(driver)
        },
        forget: (driver) => {
          this.#memory.forget(driver)
          this.#unsent.forget(driver)
        }
      }
    })
    return Effect.flatMap(
      Effect.tap(made, (driver) => this.#hold(driver, party, own, metadataBytes)),
      (driver): Effect.Effect<Admission<M, P>> => {
        quotas.assign(driver, party)
        const common = { driver, handshake: 0, received: 0, hadAnother: resume !== undefined }
        if (session === undefined) {
          return Effect.succeed({ ...common, kept: undefined, welcome: { connectionId: id, resumed: false } })
        }
        const tokens = new Tokens(token)
        const kept = new KeptSession(driver, session, tokens, windowMillis, scope)
        sessions.add(id, kept)
        const welcome = { connectionId: id, resumed: false, session: this.#offer(windowMillis, tokens.current) }
        return Effect.as(
          Scope.addFinalizerExit(own, () => Effect.sync(() => sessions.delete(id))),
          { ...common, kept, welcome }
        )
      }
    )
  }

  /** Counts a connection until its scope is closed. */
  #hold(
    driver: ConnectionDriver<M, P>,
    party: Party,
    own: Scope.Scope,
    metadataBytes: number
  ): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#held.add(driver, party)
      this.#memory.add(driver, party, metadataBytes)
      return Scope.addFinalizerExit(own, () =>
        Effect.sync(() => {
          this.#held.delete(driver)
          this.#memory.forget(driver)
        }))
    })
  }

  #offer(windowMillis: number, token: string) {
    const { limits, sessions } = this.#options
    return {
      token: Redacted.make(token),
      epoch: sessions.epoch,
      windowMillis,
      replayBuffer: limits.replayBuffer
    }
  }
}
