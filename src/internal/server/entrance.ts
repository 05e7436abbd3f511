/**
 * Takes a link through its handshake, to the connection that it is for.
 */
import type * as Clock from "effect/Clock"
import { SecureRandom } from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import type { Limits } from "../../Limits.ts"
import { HandshakeRefused, isSwaggerSocketError, LinkError, SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { Attachment } from "../connection/attachment.ts"
import type { Parts } from "../connection/replaceableParts.ts"
import * as CloseCode from "../frame/CloseCode.ts"
import type { Accept } from "../handshake/accept.ts"
import { forHandshake } from "../handshake/handshakeLink.ts"
import type { Refusal, Upgrade } from "../handshake/model.ts"
import type * as wires from "../handshake/wire.ts"
import { closeRefused, type Link } from "../link/link.ts"
import { isLoss, linkError } from "../link/linkErrors.ts"
import { traced, welcomedBy } from "../observe/spans.ts"
import type { Exceeded } from "../quota/party.ts"
import type { ServerQuotas } from "../quota/serverQuotas.ts"
import type { Randomness } from "../scheduling/random.ts"
import { load as loadV1 } from "../v1/load.ts"
import type { Admission, Admissions } from "./admission.ts"
import { HandshakeBytes } from "./handshakeBytes.ts"
import { superseded } from "./keptSession.ts"
import { weightOf } from "./metadataWeight.ts"
import { type PendingHandshake, PendingHandshakes } from "./pendingHandshakes.ts"

/** A link after its handshake. @internal */
export interface AdmittedLink<M, P> extends Admission<M, P> {
  readonly attachment: Attachment
  /** The link was lost before the client has said that it is ready. */
  readonly lost: boolean
  /** Counts the handshakes of the server, from their beginnings on. */
  readonly number: number
}

/** A link before its handshake. @internal */
export interface Arrival<E> {
  readonly opening: Effect.Effect<Link, E, Scope.Scope>
  readonly upgrade: Upgrade
  readonly wire: "v1" | "v2"
  /** The scope that closes the link. */
  readonly linkScope: Scope.Closeable
  /** The scope of the connection that begins with the link. */
  readonly own: Scope.Scope
}

/** @internal */
export interface EntranceOptions<M, P> {
  readonly clock: Clock.Clock
  readonly accept: typeof Accept.Service
  readonly parts: Parts
  readonly limits: Limits
  readonly random: Randomness
  readonly quotas: ServerQuotas<M, P>
  readonly admissions: Admissions<M, P>
  readonly decodeMetadata: (metadata: unknown) => Effect.Effect<M, Schema.SchemaError>
  readonly authenticate: (client: Upgrade & { readonly metadata: M }, scope: Scope.Scope) => Effect.Effect<P, Refusal>
}

const timedOut = new SwaggerSocketError({
  reason: new HandshakeRefused({
    initiator: "local",
    code: "HANDSHAKE_TIMEOUT",
    description: "the handshake took too long",
    retry: true
  })
})

/** @internal */
export class Entrance<M, P> {
  readonly #pending = new PendingHandshakes()
  #handshakes = 0
  readonly #options: EntranceOptions<M, P>

  constructor(options: EntranceOptions<M, P>) {
    this.#options = options
  }

  /** The quota that leaves no room for a handshake; if none does, a handshake may begin now. */
  refusal(upgrade: Upgrade): Exceeded | undefined {
    const arrival = this.#options.quotas.arrival(upgrade)
    return arrival.repeatedRefusal("connections") ?? this.#pending.refusal(arrival) ??
      arrival.only("address").take("handshakesPerSecond")
  }

  admit<E>(arrival: Arrival<E>): Effect.Effect<AdmittedLink<M, P>, SwaggerSocketError> {
    const { quotas } = this.#options
    let pending: PendingHandshake | undefined = undefined
    const admitted = Effect.suspend(() => {
      const begun = pending = this.#pending.begin(quotas.arrival(arrival.upgrade))
      const shaken = Effect.flatMap(this.#open(arrival), (wire) => this.#shakeHands(arrival, wire, begun))
      const told = Effect.tap(shaken, ({ driver, welcome }) => welcomedBy(driver.wire, welcome))
      return traced(told, "handshake", { role: "server" })
    })
    return Effect.onExit(admitted, () => Effect.sync(() => pending?.end()))
  }

  #open<E>({ linkScope, opening, wire }: Arrival<E>): Effect.Effect<wires.ServerWire, SwaggerSocketError> {
    const { accept, limits, parts, random } = this.#options
    return Effect.flatMap(
      Effect.mapError(
        Scope.provide(opening, linkScope),
        // As text: the error of HTTP has the request, from which the whole server can be reached.
        (error) =>
          isSwaggerSocketError(error) ? error : Socket.isSocketError(error)
            ? linkError("open", error)
            : new SwaggerSocketError({ reason: new LinkError({ phase: "open", description: String(error) }) })
      ),
      (link): Effect.Effect<wires.ServerWire> =>
        wire === "v1"
          ? Effect.provideService(loadV1(link, "server", limits), SecureRandom, random)
          : Effect.succeed({ name: wire, accept, multiplexer: parts.multiplexer, link })
    )
  }

  #shakeHands<E>(
    { linkScope, own, upgrade }: Arrival<E>,
    wire: wires.ServerWire,
    pending: PendingHandshake
  ): Effect.Effect<AdmittedLink<M, P>, SwaggerSocketError> {
    const { admissions, authenticate, clock, decodeMetadata, limits, random } = this.#options
    const { link } = wire
    const number = ++this.#handshakes
    const { handshake: io, rest, roundTrip, whileOpen } = forHandshake(link, clock, limits.maxHandshakeSize, linkScope)
    const bytes = new HandshakeBytes(wire, limits, (error) => pending.fail(error))
    let admission: Admission<M, P> | undefined = undefined
    let metadataBytes = 0
    const accepted = wire.accept<M, P>({ ...io, receive: pending.guard(io.receive) }, {
      settings: limits,
      limits,
      upgrade,
      decodeMetadata: (sent) => {
        metadataBytes = weightOf(sent)
        return decodeMetadata(sent)
      },
      authenticate: (metadata) => pending.guard(whileOpen(authenticate({ ...upgrade, metadata }, own))),
      welcome: (hello, id) =>
        Effect.flatMap(
          id === undefined ? random.uuidV4() : Effect.succeed(id),
          (id) =>
            Effect.map(admissions.admit({ hello, upgrade, wire, own, pending, metadataBytes }, id), (admitted) => {
              admission = admitted
              bytes.release()
              return admitted.welcome
            })
        )
    })
    const isReady = Effect.flatMap(
      accepted,
      ({ ready }) =>
        admission?.kept === undefined ? ready : Effect.raceFirst(ready, admission.kept.superseded(admission.handshake))
    )
    return isReady.pipe(
      Effect.timeoutOrElse({
        duration: limits.handshakeTimeout,
        orElse: () => Effect.fail(timedOut)
      }),
      Effect.tapError((error) => Effect.sync(() => closeRefused(link, error))),
      Effect.onInterrupt(() => Effect.sync(() => link.close(CloseCode.GOING_AWAY, ""))),
      Effect.as(false),
      // The link was lost after the welcome was sent, or given up. The client may have it, and then comes to resume the
      // connection, or has come.
      Effect.catch((error) =>
        admission?.kept !== undefined && !admission.welcome.resumed && (error === superseded || isLoss(error, false))
          ? Effect.succeed(true)
          : Effect.fail(error)
      ),
      Effect.map((lost) => ({
        ...admission!,
        lost,
        number,
        attachment: new Attachment(rest(), Scope.close(linkScope, Exit.void), roundTrip(), admission!.received)
      }))
    )
  }
}
