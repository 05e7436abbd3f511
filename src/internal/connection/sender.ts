/**
 * Sends the messages of a connection on the link in use, as fast as the link takes them.
 */
import * as Predicate from "effect/Predicate"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { type Violation, violation } from "../frame/codes.ts"
import * as ErrorCode from "../frame/ErrorCode.ts"
import type { Link } from "../link/link.ts"
import { linkError } from "../link/linkErrors.ts"
import { sendAtEndOfTurn } from "../scheduling/endOfTurn.ts"
import { isTurnOver, nextTurnToSend } from "../scheduling/turn.ts"
import { isLinkMessage, question, type Session } from "../session/session.ts"
import type { Multiplexed } from "../streams/multiplexed.ts"
import { broken } from "./endErrors.ts"

/** The connection, as its sender uses it. Its multiplexer is set by the time the first message is sent. */
interface SendingConnection {
  readonly mux: Multiplexed
  /** The multiplexer has thrown: that ends the connection. */
  die(defect: unknown): void
  /** The link has failed, or has taken nothing for too long. */
  onSendError(error: SwaggerSocketError): void
  /** Runs a function once a full link has had the time that it may take nothing. */
  afterSendTimeout(run: () => void): void
}

type Message = ReturnType<Multiplexed["pull"]>

/** @internal */
export class Sender {
  /** It sends again: `due` at the end of this turn, `full` when the link has room, `waiting` in the next turn, `failed` never. */
  #state: "idle" | "due" | "sending" | "full" | "waiting" | "failed" = "idle"
  #link: Link | undefined
  readonly #session: Session | undefined
  readonly #connection: SendingConnection
  /** Messages sent so far, which tells whether a full link has moved on; and whether one is watched for that. */
  #sent = 0
  #isWatched = false

  constructor(session: Session | undefined, connection: SendingConnection) {
    this.#session = session
    this.#connection = connection
  }

  /** Sends on this link from now on; messages wait while there is none. */
  use(link: Link | undefined): void {
    this.#link = link
    this.#sent++
    this.#state = "idle"
    this.schedule()
  }

  /** Sends at the end of this turn, so that all that becomes pending in it leaves in one message. */
  readonly schedule = (): void => {
    if (this.#state !== "idle" || this.#link === undefined) return
    this.#state = "due"
    sendAtEndOfTurn(this.flush)
  }

  /** Sends now what is due at the end of this turn. */
  readonly flush = (): void => {
    if (this.#state === "due" || (this.#state === "waiting" && !isTurnOver(0))) this.send()
  }

  /** Sends all that the link takes. It goes on in the next turn when links have been busy for long enough in this one. */
  send(): void {
    const link = this.#link
    if (link === undefined || this.#state === "sending" || this.#state === "full" || this.#state === "failed") return
    this.#state = "sending"
    try {
      this.#sendAll(link)
    } catch (defect) {
      // Nobody else would learn of it: this runs at the end of a turn, or when a socket has room again.
      link.uncork?.()
      this.#state = "failed"
      this.#connection.die(defect)
    }
  }

  #sendAll(link: Link): void {
    this.#noteWritten()
    link.cork?.()
    // What becomes pending meanwhile leaves in this round.
    while (link === this.#link) {
      if (link.isFull()) {
        link.uncork?.()
        if (link.isFull()) {
          this.#state = "full"
          if (link.asks === true) this.#ask(link)
          this.#watch(link)
          return link.onRoom(this.#onRoom)
        }
        link.cork?.()
      }
      const message = this.#next()
      // `pull` calls handlers, which may have dropped the link.
      if (message === undefined || link !== this.#link) break
      const error = link.send(message)
      this.#sent++
      if (error !== undefined) {
        link.uncork?.()
        this.#state = "failed"
        return this.#connection.onSendError(linkError("write", error))
      }
      if (isTurnOver(message.length)) {
        link.uncork?.()
        this.#state = "waiting"
        return nextTurnToSend(this.#onTurn)
      }
    }
    link.uncork?.()
    if (link === this.#link) this.#state = "idle"
  }

  /** As `send`, for GOAWAY and what is queued before it: that is little, and does not wait for room. */
  finish(): void {
    this.send()
    const link = this.#link
    const isHeldUp = this.#state === "full" || this.#state === "waiting"
    if (link === undefined || !isHeldUp || this.#session?.isReplaying) return
    for (let message = this.#next(); message !== undefined; message = this.#next()) {
      if (link.send(message) !== undefined) return
    }
  }

  /**
   * Gives up a link that is full and has taken nothing for `sendTimeout`. There is one timer at a time, however often the link
   * gets full. Bytes count, not messages: a slow link may need longer than that for one message.
   */
  #watch(link: Link): void {
    if (this.#isWatched) return
    this.#isWatched = true
    const sent = this.#sent
    const taken = link.taken()
    this.#connection.afterSendTimeout(() => {
      this.#isWatched = false
      if (this.#state !== "full" || this.#link === undefined) return
      // Not of the link that was full then: the timer would keep one that is lost.
      if (sent !== this.#sent || taken !== this.#link.taken()) return this.#watch(this.#link)
      this.#connection.onSendError(broken("the peer has taken nothing for too long (sendTimeout)"))
    })
  }

  /** Pings the peer: its pong comes once it has taken what waits now, and tells that there is room. */
  #ask(link: Link): void {
    const { mux } = this.#connection
    mux.ping(question)
    const message = mux.pull(true)
    if (message !== undefined) link.send(message)
  }

  readonly #onRoom = (): void => {
    if (this.#state !== "full") return
    this.#state = "idle"
    this.send()
  }

  readonly #onTurn = (): void => {
    if (this.#state !== "waiting") return
    this.#state = "idle"
    this.send()
  }

  /**
   * Grows while a full link takes bytes. The heartbeat counts that as a sign of life, because a PING that waits behind those
   * bytes is answered late. The peer must be alive: the buffers of the operating system are full, so the bytes reach it.
   */
  get progress(): number {
    return this.#state === "full" && this.#link !== undefined ? this.#link.taken() : 0
  }

  /** Tells the session that the link holds no message: buffers of those that are acknowledged may be used again. */
  #noteWritten(): void {
    const session = this.#session
    if (session !== undefined && session.large > 0 && this.#link?.isEmpty()) session.written()
  }

  /** The peer has received so many counted messages; answers what is wrong with that. */
  acknowledge(received: number): Violation | undefined {
    const session = this.#session
    if (session === undefined) return undefined
    this.#noteWritten()
    const wasFull = session.isFull
    if (!session.acknowledge(received)) return violation(ErrorCode.PROTOCOL_ERROR, `an ACK of ${received} messages`)
    if (wasFull) this.schedule()
    return undefined
  }

  #next(): Message {
    const session = this.#session
    const { mux } = this.#connection
    if (session === undefined) return mux.pull()
    const owed = session.pull()
    if (owed !== undefined) return owed
    // The peer acknowledges by how much it keeps itself, and does not know how little this end may keep: so it is asked.
    if (session.mustAsk()) mux.ping(question)
    const message = mux.pull(session.isFull)
    // Only wire v2 has sessions, and its messages are binary.
    if (message === undefined || Predicate.isString(message)) return message
    if (isLinkMessage(message)) session.askAck()
    else session.sent(message)
    return message
  }
}
