/**
 * How a page finds out that its WebSocket has room again. There is no event for it, and timers are too slow: browsers run those
 * of hidden tabs once a second, and later once a minute.
 */
import { eventLoop } from "../scheduling/eventLoop.ts"
import { nextTurn } from "../scheduling/turn.ts"

/** For so long it looks in each turn, in milliseconds; then it waits for a message. A guess: 100 Mbit/s take 128 KiB so. */
const impatience = 10

/** @internal */
export class PageRoom {
  readonly #isFull: () => boolean
  readonly #isClosed: () => boolean
  readonly #isAnswered: boolean
  #waiting: (() => void) | undefined
  #since = 0

  /** `isAnswered`: the peer was pinged, and its pong will tell that it has taken what waits. Else it looks in each turn. */
  constructor(isFull: () => boolean, isClosed: () => boolean, isAnswered: boolean) {
    this.#isFull = isFull
    this.#isClosed = isClosed
    this.#isAnswered = isAnswered
  }

  /** Calls back once when there is room. */
  onRoom(resume: () => void): void {
    const isLooking = this.#waiting !== undefined
    this.#waiting = resume
    this.#since = eventLoop.now()
    if (!isLooking) nextTurn(this.#lookAgain)
  }

  /** Looks whether there is room. To be called for each message as well. */
  readonly look = (): void => {
    if (this.#waiting === undefined || this.#isFull()) return
    const resume = this.#waiting
    this.#waiting = undefined
    resume()
  }

  readonly #lookAgain = (): void => {
    this.look()
    if (this.#waiting === undefined || this.#isClosed()) return
    if (!this.#isAnswered || eventLoop.now() - this.#since < impatience) nextTurn(this.#lookAgain)
  }
}
