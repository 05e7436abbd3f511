/**
 * Limits how long links keep the event loop busy. In each turn they are read and written for at most 10 milliseconds. Timers
 * and other sockets then run before the links go on.
 *
 * Without the limit, one fast socket keeps the process in one turn for seconds: each write that succeeds is followed by the
 * next one, and Node reads a socket up to 32 times in a row.
 */
import * as Effect from "effect/Effect"
import { eventLoop } from "./eventLoop.ts"
import { runLogged } from "./hook.ts"

/** How long links may be busy in one turn, in milliseconds: a fifth of what a program would notice as a stall. */
const budget = 10

/**
 * The clock is read after so many bytes, and the next turn of the event loop is requested. Reading it for each message would
 * cost small calls more. With this value they take at most 5 % more than without a limit (measured: 64 calls at once, processor
 * time of both ends).
 */
const unwatched = 16 * 1024
/** Each message counts as so many bytes more than it has. */
const messageCost = 256

/**
 * So many steps are taken in a turn, however early it is. Fibers that a step wakes run behind it, so that the clock does not tell of
 * their time: of a thousand links that were lost together half were handled in one turn (measured).
 */
const maxSteps = 32

/** A turn that lasts longer, in milliseconds, is too long even where nobody waits for the next one: ten times the budget. */
const longTurn = 100

/** What waits for the next turn, and since when: perhaps since an earlier turn that had no time for all of it. */
interface Waiting {
  readonly task: () => void
  readonly since: number
}

/** Bytes since the clock was read. */
let work = 0
/** Steps of this turn. */
let steps = 0
/** When the clock was first read in this turn. */
let since: number | undefined = undefined
let isOver = false
/** How much of the turn links may use up now, in milliseconds. */
let share = budget
let isRequested = false
let waiting: Array<Waiting> = []
/** Links that have more to send. */
let sends: Array<() => void> = []
/** Since when the task that runs had waited. */
let waitedSince: number | undefined = undefined
/** Since when no turn had enough time for everybody, in milliseconds. */
let behindSince: number | undefined = undefined
/** Steps that begin something new. They run after the steps that continue something. */
let beginnings: Array<() => void> = []

const onTurn = (): void => {
  const now = eventLoop.now()
  const wasLong = since !== undefined && now - since > longTurn
  isRequested = false
  work = 0
  steps = 0
  since = undefined
  isOver = false
  const haveSent = send()
  const tasks = waiting
  waiting = []
  let next = 0
  for (const { since, task } of tasks) {
    if (isOver) break
    next++
    waitedSince = since
    runLogged(task)
  }
  waitedSince = undefined
  behindSince = wasLong || !haveSent || next < tasks.length ? behindSince ?? now : undefined
  // Those that found no time are the first ones of the next turn.
  if (next < tasks.length) {
    waiting = [...tasks.slice(next), ...waiting]
    request()
  }
  begin()
}

/**
 * Lets links send. An answer that waited behind all that is to be read would be late, with work behind it that was in time. Where
 * something is to be read, half of the turn is left for it. Answers whether all links had time.
 */
const send = (): boolean => {
  const tasks = sends
  sends = []
  if (waiting.length > 0) share = budget / 2
  let next = 0
  for (const task of tasks) {
    if (isOver) break
    next++
    runLogged(task)
  }
  share = budget
  isOver = false
  if (next === tasks.length) return true
  sends = [...tasks.slice(next), ...sends]
  request()
  return false
}

/** No turn of late had enough time for everybody: since when, in milliseconds of `eventLoop.now`. @internal */
export const isBehindSince = (): number | undefined => behindSince

/** How long what is done now has waited for its turn, in milliseconds. @internal */
export const waitedFor = (): number => {
  const begun = waitedSince ?? since
  return begun === undefined ? 0 : eventLoop.now() - begun
}

/**
 * Runs steps that begin something, for as long as there is time. At least one runs: a process that is always busy would never
 * begin anything.
 */
const begin = (): void => {
  if (beginnings.length === 0) return
  const steps = beginnings
  beginnings = []
  let next = 0
  for (const step of steps) {
    if (next > 0 && isOver) break
    next++
    isTurnOverAtStep()
    runLogged(step)
  }
  if (next < steps.length) {
    beginnings = [...steps.slice(next), ...beginnings]
    request()
  }
}

const request = (): void => {
  if (isRequested) return
  isRequested = true
  eventLoop.requestTurn(onTurn)
}

/**
 * Runs `task` in the next turn of the event loop, after the tasks that were requested before. `since`: when what it goes on with
 * began to wait.
 *
 * @internal
 */
export const nextTurn = (task: () => void, since: number = eventLoop.now()): void => {
  waiting.push({ task, since })
  request()
}

/** Like `nextTurn`, for a link that goes on sending: it comes before those that read. @internal */
export const nextTurnToSend = (task: () => void): void => {
  sends.push(task)
  request()
}

/** Whether links have used their time of this turn, as far as is known. @internal */
export const wasTurnOver = (): boolean => isOver

/** Counts a message of `bytes` bytes. True if links have used their time of this turn. @internal */
export const isTurnOver = (bytes: number): boolean => {
  if (isOver) return true
  work += bytes + messageCost
  if (work < unwatched) return false
  work = 0
  const now = eventLoop.now()
  if (since === undefined) {
    since = now
    // Tells when the turn has ended.
    request()
  } else if (now - since > share) {
    isOver = true
  }
  return isOver
}

/**
 * What a step of a connection (its upgrade, a message of its handshake, its end) counts as, in bytes: enough that the clock is
 * read at each step. A step takes 0.2 to 0.9 ms, more in a process that has just started (measured: 200 at once, Node 20).
 *
 * @internal
 */
export const stepCost = unwatched

/** Counts such a step. True if links have used their time of this turn, or there were many steps in it. @internal */
export const isTurnOverAtStep = (): boolean => {
  if (++steps > maxSteps) isOver = true
  return isTurnOver(stepCost)
}

/** Runs such a step now, or in a later turn if links have used their time of this one. Steps keep their order. @internal */
export const inTurn = (step: () => void): void => {
  if (!isTurnOverAtStep()) return step()
  nextTurn(() => {
    isTurnOverAtStep()
    step()
  })
}

/**
 * Like `inTurn`, for a step that begins something new: it runs after all steps that continue something. Otherwise a client in
 * its handshake would wait for all clients that dial after it, and give up.
 *
 * @internal
 */
export const inTurnToBegin = (step: () => void): void => {
  if (beginnings.length === 0 && waiting.length === 0 && !isTurnOverAtStep()) return step()
  beginnings.push(step)
  request()
}

/** Waits for the next turn; see `nextTurn`. @internal */
export const awaitTurnSince = (since: number | undefined): Effect.Effect<void> =>
  Effect.callback((resume) => nextTurn(() => resume(Effect.void), since))

/** Waits for the next turn. @internal */
export const awaitTurn: Effect.Effect<void> = awaitTurnSince(undefined)

/**
 * Waits until everything is read that the sockets of this process have received by now. A timer that fires while the process is
 * busy runs before that, so a peer must not be called silent earlier. The first turn reads, and the second one reads what the
 * first had no time for.
 *
 * @internal
 */
export const untilRead: Effect.Effect<void> = Effect.andThen(awaitTurn, awaitTurn)

const countStep = Effect.sync(() => void isTurnOverAtStep())

/** Like `inTurn`, as an effect: the step is what follows it. @internal */
export const awaitStep: Effect.Effect<void> = Effect.suspend(() =>
  isTurnOverAtStep() ? Effect.andThen(awaitTurn, countStep) : Effect.void
)
