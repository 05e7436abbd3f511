/**
 * How a page finds out that its WebSocket has room again. No event tells of it, and timers are of no use: browsers hold them back in
 * hidden tabs, to one a second and later one a minute.
 */
import { nextTurn } from "../scheduling/turn.ts"

/** How long to look in each turn before a message of the peer is waited for, in milliseconds. A guess: 100 Mbit/s take 128 KiB. */
const impatience = 10

/** @internal */
export class PageRoom {
  readonly #isFull: () => boolean
  readonly #isClosed: () => boolean
  readonly #isAnswered: boolean
  #waiting: (() => void) | undefined = undefined
  #since = 0

  /** `isAnswered`: the peer is asked for a message, which comes when it has taken what waits. Others have to look all the time. */
  constructor(isFull: () => boolean, isClosed: () => boolean, isAnswered: boolean) {
    this.#isFull = isFull
    this.#isClosed = isClosed
    this.#isAnswered = isAnswered
  }

  /** Calls back once when there is room. */
  onRoom(resume: () => void): void {
    const isLooking = this.#waiting !== undefined
    this.#waiting = resume
    this.#since = performance.now()
    if (!isLooking) nextTurn(this.#lookAgain)
  }

  /** Looks whether there is room: to be called when a message has come, too. */
  readonly look = (): void => {
    if (this.#waiting === undefined || this.#isFull()) return
    const resume = this.#waiting
    this.#waiting = undefined
    resume()
  }

  readonly #lookAgain = (): void => {
    this.look()
    if (this.#waiting === undefined || this.#isClosed()) return
    if (!this.#isAnswered || performance.now() - this.#since < impatience) nextTurn(this.#lookAgain)
  }
}
