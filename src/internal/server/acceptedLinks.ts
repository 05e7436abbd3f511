/**
 * Takes each link of a server from its handshake to its end, and runs the connections that begin with links.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { Attachment } from "../connection/attachment.ts"
import { sessionLost } from "../connection/endErrors.ts"
import type { ConnectionDriver } from "../connection/types.ts"
import * as CloseCode from "../frame/CloseCode.ts"
import type { Upgrade } from "../handshake/model.ts"
import { closeRefused, type Link } from "../link/link.ts"
import type { RefusalLog } from "../observe/refusalLog.ts"
import type { AdmittedLink, Entrance } from "./entrance.ts"
import { tellFailedHandshake } from "./failedHandshakes.ts"
import type { Identities } from "./identities.ts"
import { closeAs, type KeptSession } from "./keptSession.ts"
import type { KeptSessions } from "./keptSessions.ts"
import { type Registry, ServerConnection } from "./registry.ts"

/** Is told which connection a link is used for. @internal */
export type OnUse<M, P> = (driver: ConnectionDriver<M, P>) => void

/** @internal */
export class AcceptedLinks<M, P> {
  readonly #entrance: Entrance<M, P>
  readonly #sessions: KeptSessions<M, P>
  readonly #identities: Identities<M, P>
  readonly #registry: Registry<M, P>
  readonly #log: RefusalLog

  constructor(
    entrance: Entrance<M, P>,
    sessions: KeptSessions<M, P>,
    identities: Identities<M, P>,
    registry: Registry<M, P>,
    log: RefusalLog
  ) {
    this.#entrance = entrance
    this.#sessions = sessions
    this.#identities = identities
    this.#registry = registry
    this.#log = log
  }

  /**
   * Runs a link from its handshake to its end, and the connection that begins with it to the connection's end.
   *
   * Each step is started inside the previous one's continuation. The previous step's closures can then be collected while
   * the connection lives.
   */
  run<E>(
    opening: Effect.Effect<Link, E, Scope.Scope>,
    upgrade: Upgrade,
    wire: "v1" | "v2",
    onUse: OnUse<M, P> | undefined
  ): Effect.Effect<void> {
    const linkScope = Scope.makeUnsafe()
    const own = Scope.makeUnsafe()
    const admitted = Effect.interruptible(this.#entrance.admit({ opening, upgrade, wire, linkScope, own }))
    return Effect.flatMap(
      Effect.exit(Effect.flatMap(admitted, (admitted) => this.#use(admitted, onUse))),
      (connection) =>
        Effect.flatMap(
          Effect.exit(Exit.isSuccess(connection) ? connection.value : Effect.failCause(connection.cause)),
          (ended) =>
            (Exit.isFailure(ended) ? tellFailedHandshake(this.#registry, this.#log, ended.cause) : Effect.void).pipe(
              Effect.andThen(Scope.close(linkScope, Exit.asVoid(connection))),
              Effect.andThen(Scope.close(own, Exit.void))
            )
        )
    )
  }

  /** Uses a link that has passed its handshake. Answers what runs the connection that begins with it, to its end. */
  #use(
    admitted: AdmittedLink<M, P>,
    onUse: OnUse<M, P> | undefined
  ): Effect.Effect<Effect.Effect<void>, SwaggerSocketError> {
    const { attachment, kept, welcome } = admitted
    if (kept === undefined) return this.#begin(admitted, attachment, onUse)
    return welcome.resumed ? this.#resume(admitted, kept, onUse) : this.#beginKept(admitted, kept, onUse)
  }

  /** Answers what runs a new connection; fails where there is one of its identity that it must not replace. */
  #begin(
    { driver, hadAnother, kept, number }: AdmittedLink<M, P>,
    first: Attachment,
    onUse: OnUse<M, P> | undefined
  ): Effect.Effect<Effect.Effect<void>, SwaggerSocketError> {
    const refusal = this.#identities.take(driver, number, hadAnother)
    if (refusal !== undefined) {
      closeRefused(first.link, refusal)
      return Effect.andThen(first.release, Effect.fail(refusal))
    }
    onUse?.(driver)
    return Effect.succeed(new ServerConnection(driver, kept, this.#registry).run(first))
  }

  /**
   * Hands a link over to the connection that it resumes, and waits until the connection has released it. The fiber of the
   * first link runs the connection.
   */
  #resume(
    { attachment, driver, handshake, lost }: AdmittedLink<M, P>,
    kept: KeptSession<M, P>,
    onUse: OnUse<M, P> | undefined
  ): Effect.Effect<Effect.Effect<void>> {
    const released = Deferred.makeUnsafe<void>()
    const { link, received, release, roundTrip } = attachment
    const close = Effect.andThen(Deferred.succeed(released, undefined), release)
    const leased = new Attachment(link, close, roundTrip, received)
    return Effect.flatMap(hand(kept, handshake, lost, leased), (isTaken) => {
      if (isTaken) onUse?.(driver)
      return Effect.as(
        Effect.onInterrupt(
          Effect.interruptible(Deferred.await(released)),
          () => Effect.sync(() => driver.leave(CloseCode.GOING_AWAY, ""))
        ),
        Effect.void
      )
    })
  }

  /**
   * Begins a connection that may be resumed. It waits for the next link where its first one was lost before the client has
   * said that it is ready, or was superseded by then.
   */
  #beginKept(
    admitted: AdmittedLink<M, P>,
    kept: KeptSession<M, P>,
    onUse: OnUse<M, P> | undefined
  ): Effect.Effect<Effect.Effect<void>, SwaggerSocketError> {
    const { attachment, handshake, lost } = admitted
    return Effect.flatMap(hand(kept, handshake, lost, attachment), (isTaken) => {
      if (!isTaken) this.#sessions.interrupted(kept)
      const first = Effect.onInterrupt(
        Effect.interruptible(Effect.timeoutOrElse(kept.take(), {
          duration: Duration.millis(kept.windowMillis),
          orElse: () => Effect.fail(sessionLost("expired", undefined))
        })),
        // It is gone where it was lost, or superseded.
        () => Effect.sync(() => (attachment.link as Link | undefined)?.close(CloseCode.GOING_AWAY, ""))
      )
      return Effect.flatMap(first, (first) => {
        this.#sessions.resumed(kept)
        return this.#begin(admitted, first, onUse)
      })
    })
  }
}

/** Hands a link over to its connection, or closes it. Answers whether it was handed over. */
const hand = <M, P>(
  kept: KeptSession<M, P>,
  handshake: number,
  lost: boolean,
  attachment: Attachment
): Effect.Effect<boolean> => {
  const unwanted = lost ? "REPLACED" : kept.hand(handshake, attachment)
  if (unwanted === undefined) return Effect.succeed(true)
  closeAs(attachment.link, unwanted)
  return Effect.as(attachment.release, false)
}
