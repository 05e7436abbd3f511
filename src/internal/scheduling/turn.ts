/**
 * Sharing the event loop: in each of its turns links are read and written for some milliseconds; then timers and other sockets
 * have their turn before they go on.
 *
 * A socket that takes, or brings, all that the process can handle would otherwise keep it in one turn for seconds: a write that
 * succeeds at once is followed by the next one, and Node reads a socket up to 32 times in a row.
 */
import * as Effect from "effect/Effect"
import { runLogged } from "./hook.ts"

/** How long links may be busy in one turn, in milliseconds: a fifth of what a program would notice as a stall. */
const budget = 10

/**
 * After so many bytes the clock is looked at, and the event loop asked to tell of its next turn. Looking at each message would
 * cost small calls more than this: they are within 5 % of what they were without a limit (64 at once, CPU of both ends).
 */
const unwatched = 16 * 1024
/** Counted for each message beside its bytes. */
const messageCost = 256

/** Bytes since the clock was looked at. */
let work = 0
/** When this turn was first found to be busy. */
let since: number | undefined = undefined
let isOver = false
let isRequested = false
let waiting: Array<() => void> = []
/** Steps that begin something. They come behind those that go on with what was begun. */
let beginnings: Array<() => void> = []

const onTurn = (): void => {
  isRequested = false
  work = 0
  since = undefined
  isOver = false
  const tasks = waiting
  waiting = []
  let next = 0
  for (const task of tasks) {
    if (isOver) break
    next++
    runLogged(task)
  }
  // Those that found no time are the first ones of the next turn.
  if (next < tasks.length) {
    waiting = [...tasks.slice(next), ...waiting]
    request()
  }
  begin()
}

/** As many as there is time for, and one in any case: a process that is always busy would never begin anything. */
const begin = (): void => {
  if (beginnings.length === 0) return
  const steps = beginnings
  beginnings = []
  let next = 0
  for (const step of steps) {
    if (next > 0 && isOver) break
    next++
    isTurnOver(stepCost)
    runLogged(step)
  }
  if (next < steps.length) {
    beginnings = [...steps.slice(next), ...beginnings]
    request()
  }
}

/** Calls `onTurn` in the next turn. Timers would do it too late: browsers hold them back in hidden tabs. */
const requestTurn: () => void = (() => {
  if (typeof setImmediate === "function") return () => void setImmediate(onTurn)
  let port: MessagePort | undefined = undefined
  return () => {
    if (port === undefined) {
      const channel = new MessageChannel()
      channel.port1.onmessage = onTurn
      port = channel.port2
    }
    port.postMessage(0)
  }
})()

const request = (): void => {
  if (isRequested) return
  isRequested = true
  requestTurn()
}

/** Runs something in the next turn of the event loop, after what others have asked for. @internal */
export const nextTurn = (task: () => void): void => {
  waiting.push(task)
  request()
}

/** Counts a message of so many bytes; answers whether links have been busy for long enough in this turn. @internal */
export const isTurnOver = (bytes: number): boolean => {
  if (isOver) return true
  work += bytes + messageCost
  if (work < unwatched) return false
  work = 0
  const now = performance.now()
  if (since === undefined) {
    since = now
    // Tells when the turn has ended.
    request()
  } else if (now - since > budget) {
    isOver = true
  }
  return isOver
}

/**
 * Of a step in the life of a connection (its upgrade, a message of its handshake, its end), in bytes of traffic: enough for the
 * clock to be looked at each time. Each takes 0.2 to 0.9 ms, more in a process that has just started (200 at once, Node 20).
 *
 * @internal
 */
export const stepCost = unwatched

/** Takes such a step, at once or, once links have been busy for long enough in this turn, in the order of arrival. @internal */
export const inTurn = (step: () => void): void => {
  if (!isTurnOver(stepCost)) return step()
  nextTurn(() => {
    isTurnOver(stepCost)
    step()
  })
}

/**
 * As `inTurn`, for a step that begins something: it comes behind all that goes on with what was begun. A client whose handshake
 * has begun would else wait for all that dial, and give up.
 *
 * @internal
 */
export const inTurnToBegin = (step: () => void): void => {
  if (beginnings.length === 0 && waiting.length === 0 && !isTurnOver(stepCost)) return step()
  beginnings.push(step)
  request()
}

/** Waits for the next turn. @internal */
export const awaitTurn: Effect.Effect<void> = Effect.callback((resume) => nextTurn(() => resume(Effect.void)))

/**
 * Waits until what the sockets of this process have by now was read. A timer that comes due while the process is busy runs before
 * that: silence is no silence before. The first turn reads; what finds no time in it is read in the second one.
 *
 * @internal
 */
export const untilRead: Effect.Effect<void> = Effect.andThen(awaitTurn, awaitTurn)

const countStep = Effect.sync(() => void isTurnOver(stepCost))

/** As `inTurn`: what follows is such a step. @internal */
export const awaitStep: Effect.Effect<void> = Effect.suspend(() =>
  isTurnOver(stepCost) ? Effect.andThen(awaitTurn, countStep) : Effect.void
)
