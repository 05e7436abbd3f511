/**
 * One attempt of a client: it runs the effects for URL, headers and metadata, opens a link and does the handshake.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import type { Limits } from "../../Limits.ts"
import { isSwaggerSocketError, type SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { Attachment } from "../connection/attachment.ts"
import type { Dial } from "../handshake/dial.ts"
import { forHandshake } from "../handshake/handshakeLink.ts"
import type { Resume, Session, Welcomed } from "../handshake/model.ts"
import type * as wires from "../handshake/wire.ts"
import { isUnknownProtocol } from "../link/dial.ts"
import { closeRefused } from "../link/link.ts"
import { linkError, linkFailure, textOf } from "../link/linkErrors.ts"
import { refused } from "../link/refusal.ts"
import { traced, welcomedBy } from "../observe/spans.ts"
import type { MakeMultiplexer } from "../streams/multiplexed.ts"
import { load as loadV1 } from "../v1/load.ts"
import type { Attempt } from "./model.ts"

/** A link after its handshake: of a new connection, or of one that is resumed. @internal */
export interface Dialled {
  readonly metadata: unknown
  readonly wire: Pick<wires.Wire, "multiplexer" | "name">
  readonly welcomed: Welcomed
  readonly attachment: Attachment
}

/** A connection that an attempt may resume. @internal */
export interface Resumable {
  /** The `resume` of the next hello. Each call counts as an attempt. */
  readonly nextResume: () => Resume | undefined
  readonly onResumed: (session: Session) => void
  /** Whether another connection may begin in its place. */
  readonly mayBegin: () => boolean
}

/** @internal */
export interface DiallingOptions<R> {
  readonly limits: Limits
  /** Absent: v2 is tried, and v1 where the server does not select it. */
  readonly wire: "v1" | "v2" | undefined
  readonly attempt: Effect.Effect<Attempt<R>, SwaggerSocketError, R>
  readonly clock: Clock.Clock
  readonly dial: typeof Dial.Service
  readonly multiplexer: MakeMultiplexer
  readonly session: { readonly windowMillis: number; readonly replayBuffer: number } | undefined
  /** The scope that closes links which nobody has closed before. */
  readonly links: Scope.Scope
  readonly context: Context.Context<R>
}

/**
 * An attempt that took too long is followed by one that may take twice as long, up to so many times `handshakeTimeout`. A server with
 * little time takes sockets in the order in which they came: clients that gave up, and stood at the end of the queue again, all
 * together before their turn, would never get in.
 */
const maxPatience = 4

/** @internal */
export class Dialling<R> {
  readonly #options: DiallingOptions<R>
  /** How many times `handshakeTimeout` the next attempt may take. */
  #patience = 1
  /** Where the last attempt dialled, for logs. */
  target: string | undefined

  constructor(options: DiallingOptions<R>) {
    this.#options = options
  }

  /** However it fails, it is a failed attempt: also when an effect of the application dies, or interrupts itself. */
  connect(connection?: Resumable): Effect.Effect<Dialled, SwaggerSocketError> {
    const { attempt, context, links, wire } = this.#options
    return Effect.gen({ self: this }, function*() {
      const own = yield* Scope.fork(links)
      return yield* Effect.gen({ self: this }, function*() {
        const made = yield* this.#withinTime(Scope.provide(attempt, own))
        this.target = made.target
        const first = this.#shakeHands(made, wire ?? "v2", connection, own)
        // What the attempt on v2 has left in the scope is closed together with the connection.
        return yield* wire === undefined
          ? Effect.catch(
            first,
            (error) => isUnknownProtocol(error) ? this.#shakeHands(made, "v1", connection, own) : Effect.fail(error)
          )
          : first
      }).pipe(
        Effect.interruptible,
        Effect.onError((cause) => Scope.close(own, Exit.failCause(cause)))
      )
    }).pipe(
      (attempted) => traced(attempted, "handshake", { role: "client" }),
      Effect.provideContext(context),
      // Not an interruption of this fiber: that goes on after the uninterruptible region.
      Effect.catchCause((cause) => Effect.fail(attemptError("the attempt", cause))),
      Effect.tapError((error) => Effect.sync(() => this.#changePatience(error === timedOut))),
      Effect.tap(() => Effect.sync(() => this.#changePatience(false))),
      Effect.uninterruptible
    )
  }

  #changePatience(tookTooLong: boolean): void {
    this.#patience = tookTooLong ? Math.min(this.#patience * 2, maxPatience) : 1
  }

  /** Opens a link for a wire, and does its handshake. */
  #shakeHands(
    { encoded, link: open, metadata }: Attempt<R>,
    wireName: "v1" | "v2",
    connection: Resumable | undefined,
    own: Scope.Closeable
  ): Effect.Effect<Dialled, SwaggerSocketError, R> {
    const { clock, dial, limits, multiplexer, session } = this.#options
    return Effect.gen({ self: this }, function*() {
      const opened = yield* this.#withinTime(Scope.provide(open(wireName), own))
      const wire = wireName === "v1"
        ? yield* loadV1(opened, "client", limits)
        : { name: wireName, dial, multiplexer, link: opened }
      const { handshake: io, rest, roundTrip } = forHandshake(wire.link, clock, limits.maxHandshakeSize, own)
      const shaking = wire.dial(io, {
        settings: limits,
        limits,
        metadata: encoded,
        session,
        resume: connection?.nextResume(),
        onResumed: connection?.onResumed,
        mayBegin: connection?.mayBegin
      })
      const welcomed = yield* Effect.tapError(
        this.#withinTime(shaking),
        (error) => Effect.sync(() => closeRefused(wire.link, error))
      )
      yield* welcomedBy(wire.name, welcomed)
      const received = welcomed.session?.received ?? 0
      const attachment = new Attachment(rest(), Scope.close(own, Exit.void), roundTrip(), received)
      return { metadata, wire: { name: wire.name, multiplexer: wire.multiplexer }, welcomed, attachment }
    })
  }

  #withinTime<A, S>(effect: Effect.Effect<A, SwaggerSocketError, S>): Effect.Effect<A, SwaggerSocketError, S> {
    return Effect.timeoutOrElse(effect, {
      duration: Duration.times(this.#options.limits.handshakeTimeout, this.#patience),
      orElse: () => Effect.fail(timedOut)
    })
  }
}

/** What a failed attempt fails with. @internal */
export const attemptError = (what: string, cause: Cause.Cause<unknown>): SwaggerSocketError => {
  const error = Cause.squash(cause)
  if (isSwaggerSocketError(error)) return error
  if (Socket.isSocketError(error)) return linkError("open", error)
  const description = Cause.hasInterruptsOnly(cause) ? `${what} was interrupted` : `${what} failed: ${nameOf(error)}`
  return linkFailure("open", description, error)
}

const nameOf = (error: unknown): string =>
  textOf(error) ?? (Predicate.hasProperty(error, "_tag") && Predicate.isString(error._tag)
    ? error._tag
    : Predicate.isObject(error)
    ? "an object without a message"
    : String(error))

const timedOut = refused("local", "HANDSHAKE_TIMEOUT", "the connection was not established in time")
