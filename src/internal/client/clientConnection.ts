/**
 * One connection of a client, with what it takes to go on with it on another link.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { ConnectionDriver } from "../connection/types.ts"
import { CloseCode } from "../frame/errorCode.ts"
import type { Resume, Session, Welcomed } from "../handshake/model.ts"
import type { Backoff } from "./backoff.ts"
import type { Resumable } from "./dialling.ts"

/**
 * A link that lives so long, in milliseconds, is no link of a server that closes whatever it accepts. A guess: longer than
 * servers take to find out that they can't serve, shorter than the delays that it would cost to be wrong.
 *
 * @internal
 */
export const provenLife = 5000

/** @internal */
export class ClientConnection implements Resumable {
  readonly driver: ConnectionDriver<unknown, undefined>
  /** What its events have in common. */
  readonly about: { readonly connectionId: string; readonly metadata: unknown }
  /** That of the client, until the server has retired the connection. */
  backoff: Backoff
  /** What the last welcome said. */
  #session: Welcomed["session"]
  /** Attempts to resume it. */
  #attempts = 0
  #linkedAt: number | undefined = undefined
  /** What had been received when the link came. */
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

  /** Each has a higher number: the server may see an earlier one later. */
  readonly nextResume = (): Resume | undefined => {
    if (this.#session === undefined) return undefined
    const { epoch, token } = this.#session
    const { connectionId } = this.about
    return { connectionId, token, epoch, received: this.#countReceived, attempt: ++this.#attempts }
  }

  readonly onResumed = (session: Session): void => {
    this.#session = session
  }

  linked(now: number): void {
    this.#linkedAt = now
    this.#received = this.#countReceived
  }

  /** The link is gone, or no concern of the client any more. After one that was of use the delays begin anew. */
  unlinked(now: number, isLost: boolean): void {
    if (this.#linkedAt === undefined) return
    const hasBroughtMore = isLost && this.#countReceived > this.#received
    if (hasBroughtMore || now - this.#linkedAt >= provenLife) this.backoff.reset()
    this.#linkedAt = undefined
  }
}

/** The connections of a client, those among them that the server has retired and that finish by themselves. @internal */
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

  /** Lets all of them finish what they have, and closes them. */
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
