/**
 * Sends the messages of a connection on its links, one after the other, as fast as they take them.
 */
import * as Predicate from "effect/Predicate"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { ErrorCode, type Violation, violation } from "../frame/errorCode.ts"
import type { Link } from "../link/link.ts"
import { linkError } from "../link/linkErrors.ts"
import { atEndOfTurn } from "../scheduling/endOfTurn.ts"
import { isTurnOver, nextTurn } from "../scheduling/turn.ts"
import { isLinkMessage, question, type Session } from "../session/session.ts"
import type { Multiplexed } from "../streams/multiplexed.ts"
import { broken } from "./endErrors.ts"

/** Where messages come from; it is there when the first one is sent. */
interface Source {
  readonly mux: Multiplexed
  /** The multiplexer has thrown: that ends the connection. */
  die(defect: unknown): void
}

type Message = ReturnType<Multiplexed["pull"]>

/** @internal */
export class Sender {
  /** `due`: at the end of this turn. `full`: when the link has room again. `waiting`: in the next turn. `failed`: never. */
  #state: "idle" | "due" | "sending" | "full" | "waiting" | "failed" = "idle"
  #link: Link | undefined = undefined
  readonly #session: Session | undefined
  readonly #source: Source
  readonly #onError: (error: SwaggerSocketError) => void
  readonly #afterTimeout: ((run: () => void) => void) | undefined
  /** How many messages have been sent, and whether a full link is watched. */
  #sent = 0
  #isWatched = false

  constructor(
    session: Session | undefined,
    source: Source,
    /** A link failed. */
    onError: (error: SwaggerSocketError) => void,
    /** Runs something when a link has had the time that it may take nothing. Absent: it may take its time. */
    afterTimeout?: (run: () => void) => void
  ) {
    this.#afterTimeout = afterTimeout
    this.#session = session
    this.#source = source
    this.#onError = onError
  }

  /** What is sent from now on leaves on this link; it waits where there is none. */
  use(link: Link | undefined): void {
    this.#link = link
    this.#sent++
    this.#state = "idle"
    this.schedule()
  }

  /** There is something to send: it leaves at the end of this turn, together with what else there is by then. */
  readonly schedule = (): void => {
    if (this.#state !== "idle" || this.#link === undefined) return
    this.#state = "due"
    atEndOfTurn(this.flush)
  }

  /** What is due leaves now. */
  readonly flush = (): void => {
    if (this.#state === "due" || (this.#state === "waiting" && !isTurnOver(0))) this.send()
  }

  /** Everything that can leave leaves now; what takes longer than links may take of a turn goes on in the next one. */
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
      this.#source.die(defect)
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
      // What was called may have ended the link.
      if (message === undefined || link !== this.#link) break
      const error = link.send(message)
      this.#sent++
      if (error !== undefined) {
        link.uncork?.()
        this.#state = "failed"
        return this.#onError(linkError("write", error))
      }
      if (isTurnOver(message.length)) {
        link.uncork?.()
        this.#state = "waiting"
        return nextTurn(this.#onTurn)
      }
    }
    link.uncork?.()
    if (link === this.#link) this.#state = "idle"
  }

  /** As `send`, for the last words of a connection: they are few, and don't wait for room. */
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
   * A link that is full, and takes nothing for too long, is given up: one look a timeout, however often it is full. Bytes count,
   * not messages: a slow link may need longer than the timeout for those that wait in it.
   */
  #watch(link: Link): void {
    if (this.#isWatched || this.#afterTimeout === undefined) return
    this.#isWatched = true
    const sent = this.#sent
    const taken = link.taken()
    this.#afterTimeout(() => {
      this.#isWatched = false
      if (this.#state !== "full" || this.#link === undefined) return
      if (sent !== this.#sent || taken !== link.taken()) return this.#watch(this.#link)
      this.#onError(broken("the peer has taken nothing for too long (sendTimeout)"))
    })
  }

  /** The answer comes when the peer has taken what waits now. */
  #ask(link: Link): void {
    const { mux } = this.#source
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
   * Grows while a full link takes what waits in it, so the peer is alive: the operating system has no room of its own left. A
   * PING behind that may be answered late.
   */
  get progress(): number {
    return this.#state === "full" && this.#link !== undefined ? this.#link.taken() : 0
  }

  /** Buffers of messages that the link has handed on may be used again once those are acknowledged. */
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
    const { mux } = this.#source
    if (session === undefined) return mux.pull()
    const owed = session.pull()
    if (owed !== undefined) return owed
    // A peer may acknowledge later than this end needs it: it announced how much it keeps, not how much this end does.
    if (session.mustAsk()) mux.ping(question)
    const message = mux.pull(session.isFull)
    // Sessions are of wire v2, whose messages are binary.
    if (message === undefined || Predicate.isString(message)) return message
    if (isLinkMessage(message)) session.askAck()
    else session.sent(message)
    return message
  }
}
