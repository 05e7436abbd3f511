/**
 * One connection of a client, with what it takes to go on with it on another link.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { ConnectionDriver } from "../connection/types.ts"
import * as CloseCode from "../frame/CloseCode.ts"
import type { Resume, Session, Welcomed } from "../handshake/model.ts"
import type { Backoff } from "./backoff.ts"
import type { Resumable } from "./dialling.ts"

/**
 * A link that has lived this long, in milliseconds, proves that the server does not close whatever it accepts. A guess: longer
 * than servers take to find out that they can't serve, and shorter than the delays of a client that backs off without need.
 *
 * @internal
 */
export const provenLife = 5000

/** @internal */
export class ClientConnection implements Resumable {
  readonly driver: ConnectionDriver<unknown, undefined>
  /** The members that all events of the connection have. */
  readonly about: { readonly connectionId: string; readonly metadata: unknown }
  /** That of the client. Its own once the server has retired the connection, which then resumes by itself. */
  backoff: Backoff
  /** What the last welcome said. */
  #session: Welcomed["session"]
  /** Attempts to resume it. */
  #attempts = 0
  #linkedAt: number | undefined
  /** How many messages had been received when the link came. */
  #received = 0

  constructor(
    driver: ConnectionDriver<unknown, undefined>,
    metadata: unknown,
    session: Session | undefined,
    backoff: Backoff
  ) {
    this.driver = driver
    this.about = { connectionId: driver.id, metadata }
    this.backoff = backoff
    this.#session = session
  }

  get isResumable(): boolean {
    return this.#session !== undefined
  }

  get epoch(): string | undefined {
    return this.#session?.epoch
  }

  get #countReceived(): number {
    return this.driver.session?.received ?? 0
  }

  /** For the next attempt, with a higher number than all before: the server may see an earlier attempt later. */
  readonly nextResume = (): Resume | undefined => {
    if (this.#session === undefined) return undefined
    const { epoch, token } = this.#session
    const { connectionId } = this.about
    return { connectionId, token, epoch, received: this.#countReceived, attempt: ++this.#attempts }
  }

  readonly mayBegin = (): boolean => this.driver.takesRequests

  readonly onResumed = (session: Session): void => {
    this.#session = session
  }

  linked(now: number): void {
    this.#linkedAt = now
    this.#received = this.#countReceived
  }

  /** The link is lost, or the server has retired the connection. After a link that was of use the delays begin anew. */
  unlinked(now: number, isLost: boolean): void {
    if (this.#linkedAt === undefined) return
    const hasBroughtMore = isLost && this.#countReceived > this.#received
    if (hasBroughtMore || now - this.#linkedAt >= provenLife) this.backoff.reset()
    this.#linkedAt = undefined
  }
}

/** All connections of a client, with those that the server has retired and that only finish their calls. @internal */
export class ClientConnections {
  readonly #all = new Set<ClientConnection>()

  add(connection: ClientConnection): ClientConnection {
    this.#all.add(connection)
    return connection
  }

  delete(connection: ClientConnection): ClientConnection {
    this.#all.delete(connection)
    return connection
  }

  /** Lets all connections finish their calls, and closes them. */
  drain(within: Duration.Duration): Effect.Effect<void> {
    return Effect.suspend(() =>
      Effect.forEach(
        this.#all,
        ({ driver }) => driver.drain(within, CloseCode.GOING_AWAY, "the client goes away"),
        { concurrency: "unbounded", discard: true }
      )
    )
  }
}
