/**
 * One connection that may be resumed, and the link that it goes on with next.
 *
 * ```
 *              hand                     hand: the link before is closed
 *    Vacant ---------> HandedOver ---------+
 *     |  ^               |  |  ^           |
 *     |  |               |  |  +-----------+
 *     |  +---------------+  |
 *     |    take, supersede  |
 *     |                     |
 *     +------- giveUp ------+------> GivenUp
 * ```
 *
 * The connection has no next link while the session is Vacant: it uses one, or waits. A link is HandedOver from the end of its
 * handshake until the connection takes it; a handshake that begins meanwhile supersedes it, and it is closed. One that begins
 * after that, but before the connection uses the link, makes the connection drop it then (`attached`). Once the session is
 * GivenUp no link is taken any more.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { LinkError, type RefusalCode, SwaggerSocketError } from "../../SwaggerSocketError.ts"
import type { Attachment } from "../connection/attachment.ts"
import type { ConnectionDriver } from "../connection/types.ts"
import { RefusalCode as Refusals } from "../frame/codes.ts"
import type { Link } from "../link/link.ts"
import { refused } from "../link/refusal.ts"
import { Gate } from "../scheduling/gate.ts"
import type { Session } from "../session/session.ts"
import type { Tokens } from "../session/token.ts"

type State =
  | { readonly _tag: "Vacant" }
  | { readonly _tag: "HandedOver"; readonly attachment: Attachment }
  | { readonly _tag: "GivenUp"; readonly error: SwaggerSocketError }

const vacant: State = { _tag: "Vacant" }

/** @internal */
export class KeptSession<M, P> {
  readonly driver: ConnectionDriver<M, P>
  readonly session: Session
  readonly tokens: Tokens
  readonly windowMillis: number
  #state: State = vacant
  /** The server's, for the effect that releases a link. */
  readonly #scope: Scope.Scope
  /** Counts the handshakes that were let in: only the last one may hand its link over. */
  #handshakes = 0
  /** The highest number that the client has given to an attempt that was let in. */
  #attempt = 0
  /** The handshake of the link that the connection has taken last. */
  #taken = 0
  readonly #gate = new Gate()
  /** The code for links that come once the session is given up. */
  #refusal: RefusalCode = "RESUME_REJECTED"

  constructor(
    driver: ConnectionDriver<M, P>,
    session: Session,
    tokens: Tokens,
    windowMillis: number,
    scope: Scope.Scope
  ) {
    this.driver = driver
    this.session = session
    this.tokens = tokens
    this.windowMillis = windowMillis
    this.#scope = scope
  }

  /**
   * Whether a later attempt of the client was let in. The client has given this one up then; its way here, or its
   * authentication, has taken longer than that of the later one.
   */
  isSuperseded(attempt: number | undefined): boolean {
    return attempt !== undefined && attempt <= this.#attempt
  }

  /** Begins a handshake that supersedes all before it, and answers its number. The connection lets go of its link. */
  supersede(attempt: number | undefined): number {
    this.driver.dropLink(Refusals.REPLACED, replaced)
    if (this.#state._tag === "HandedOver") this.#become(vacant, "REPLACED")
    if (attempt !== undefined) this.#attempt = attempt
    this.#handshakes++
    this.#gate.notify()
    return this.#handshakes
  }

  /**
   * Waits until the connection has acted on all that it will act on of earlier links: the welcome tells the client what it has
   * received. Answers whether `handshake` is the latest one still.
   */
  settled(handshake: number): Effect.Effect<boolean> {
    return Effect.map(this.driver.untilFinished(), () => handshake === this.#handshakes)
  }

  /**
   * Fails once a later handshake has begun. The client has given up the link of `handshake` then, however long this end has to
   * wait for the news, or for `ready`.
   */
  superseded(handshake: number): Effect.Effect<never, SwaggerSocketError> {
    return Effect.andThen(this.#gate.until(() => handshake !== this.#handshakes), Effect.fail(superseded))
  }

  /** Hands a link over to the connection; answers why it does not take it: a later handshake has begun, or it is over. */
  hand(handshake: number, attachment: Attachment): RefusalCode | undefined {
    if (this.#state._tag === "GivenUp") return this.#refusal
    if (handshake !== this.#handshakes) return "REPLACED"
    this.tokens.confirm()
    this.#become({ _tag: "HandedOver", attachment }, "REPLACED")
    return undefined
  }

  /** Waits for the next link. */
  take(): Effect.Effect<Attachment, SwaggerSocketError> {
    return Effect.flatMap(this.#gate.until(() => this.#state._tag !== "Vacant"), () => {
      const state = this.#state
      switch (state._tag) {
        case "Vacant":
          // A later handshake has begun since the gate opened, and superseded the link.
          return this.take()
        case "HandedOver":
          this.#state = vacant
          this.#taken = this.#handshakes
          return Effect.succeed(state.attachment)
        case "GivenUp":
          return Effect.fail(state.error)
      }
    })
  }

  /**
   * The connection uses the link that it has taken. It lets go of it if a later handshake has begun in between: that found no
   * link to let go of.
   */
  attached(): void {
    if (this.#taken !== this.#handshakes) this.driver.dropLink(Refusals.REPLACED, replaced)
  }

  /** Another connection has replaced this one, which ends now: links that still come for it are told so. */
  replaced(): void {
    this.#refusal = "IDENTITY_REPLACED"
  }

  /** No link is taken any more. */
  giveUp(error: SwaggerSocketError): void {
    this.#become({ _tag: "GivenUp", error }, this.#refusal)
  }

  /** A link that was handed over and not taken is closed with `code`. */
  #become(next: State, code: RefusalCode): void {
    const before = this.#state
    this.#state = next
    if (before._tag === "HandedOver") {
      closeAs(before.attachment.link, code)
      Fiber.runIn(Effect.runFork(Effect.uninterruptible(before.attachment.release)), this.#scope)
    }
    this.#gate.notify()
  }
}

/** @internal */
export const closeAs = (link: Link, code: RefusalCode): void => link.close(Refusals[code], code)

/** @internal */
export const superseded = refused("local", "REPLACED", "a later attempt has resumed the connection")

const replaced = new SwaggerSocketError({
  reason: new LinkError({ phase: "read", description: "a newer link has taken the connection" })
})
