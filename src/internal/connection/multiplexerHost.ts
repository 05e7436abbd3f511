/**
 * What a connection does for its multiplexer: it answers the peer's requests, sends what is pending, and acts on what the
 * peer says of the connection itself.
 */
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { closeCodeOf, type Violation } from "../frame/codes.ts"
import * as ErrorCode from "../frame/ErrorCode.ts"
import type { GoAway, Request } from "../frame/Frame.ts"
import { atEndOfTurn } from "../scheduling/endOfTurn.ts"
import type { Gate } from "../scheduling/gate.ts"
import { delay } from "../scheduling/timers.ts"
import { isQuestion } from "../session/session.ts"
import type { MultiplexerHost } from "../streams/options.ts"
import type { HttpStream } from "../streams/stream.ts"
import { broken } from "./endErrors.ts"
import type { Beat } from "./heartbeat.ts"
import type { Peer } from "./peer.ts"
import type { Quiescence } from "./quiescence.ts"
import type { RoundTrip } from "./roundTrip.ts"
import type { Sender } from "./sender.ts"
import type { ConnectionDriver } from "./types.ts"
import type { Holder, Unsent } from "./unsentBytes.ts"

/** A connection, as its host for the multiplexer uses it. @internal */
export interface Hosted
  extends Peer, Pick<Holder, "link" | "overload">, Pick<ConnectionDriver<unknown, unknown>, "dropLink">
{
  readonly sender: Sender
  readonly quiescence: Quiescence
  readonly measured: RoundTrip
  readonly unsent: Pick<Unsent, "forget" | "grown">
  /** The heartbeat of the link in use. */
  readonly beat: Beat | undefined
  /** Where the reader waits while the multiplexer can't take more. */
  readonly room: Gate
  readonly onGoAway: (frame: GoAway) => void
  /** Runs an effect on a fiber of the connection. */
  readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
}

/** A class: a connection keeps one object instead of a closure for each method. @internal */
export class ConnectionHost implements MultiplexerHost {
  readonly #connection: Hosted

  constructor(connection: Hosted) {
    this.#connection = connection
  }

  onRequest(stream: HttpStream, request: Request): Violation | undefined {
    return this.#connection.apps.take(this.#connection, stream, request)
  }

  onPing(data: Uint8Array): void {
    if (!isQuestion(data)) this.#connection.beat?.onPing(data)
  }

  onPong(data: Uint8Array): void {
    if (!isQuestion(data)) this.#connection.beat?.onPong(data)
  }

  onGoAway(frame: GoAway): void {
    this.#connection.onGoAway(frame)
  }

  onAck(received: number): Violation | undefined {
    const fault = this.#connection.sender.acknowledge(received)
    if (fault === undefined) this.#connection.quiescence.check()
    return fault
  }

  onPending(): void {
    this.#connection.sender.schedule()
  }

  flush(): void {
    this.#connection.sender.flush()
  }

  /** Wakes the reader in a microtask: the code that made room is still running. */
  onReadable(): void {
    const { room } = this.#connection
    if (room.isAwaited) atEndOfTurn(() => room.notify())
  }

  onUnsent(): void {
    this.#connection.unsent.grown(this.#connection)
  }

  onIdle(): void {
    this.#connection.quiescence.checkLater()
  }

  onBroken(reason: string): void {
    this.#connection.dropLink(closeCodeOf(ErrorCode.INTERNAL_ERROR), broken(reason))
  }

  roundTrip(): number {
    return this.#connection.measured.shortest
  }

  delay(millis: number, run: () => void): () => void {
    return delay(this.#connection.fork, millis, run)
  }
}
