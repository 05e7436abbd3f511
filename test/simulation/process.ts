/**
 * A program in a simulation: its fibers, time, randomness and log are those of the simulation, and end when it is killed.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as EffectRandom from "effect/Random"
import * as References from "effect/References"
import { Scheduler, type SchedulerDispatcher } from "effect/Scheduler"
import type { Random } from "../support/random.ts"
import type { Loop, Owner } from "./loop.ts"

/** The beginning of a simulation, as the clocks of its programs tell it. */
const beginning = Date.UTC(2026, 0, 1)

export interface ProcessOptions {
  readonly loop: Loop
  readonly random: Random
  /** After so many steps a fiber lets others run. */
  readonly budget: number
  /** Is told of what is logged as a warning or an error. */
  readonly onLog: (level: string, message: string) => void
}

/** Tasks of one fiber: they keep their order. */
class Dispatcher implements SchedulerDispatcher {
  readonly #loop: Loop
  readonly #owner: Owner
  #tasks: Array<{ readonly task: () => void; readonly priority: number }> = []

  constructor(loop: Loop, owner: Owner) {
    this.#loop = loop
    this.#owner = owner
  }

  scheduleTask(task: () => void, priority: number): void {
    this.#tasks.push({ task, priority })
    if (this.#tasks.length === 1) this.#loop.add(this.#owner, () => this.flush())
  }

  flush(): void {
    const tasks = this.#tasks
    this.#tasks = []
    if (tasks.length > 1) tasks.sort((one, other) => one.priority - other.priority)
    for (const { task } of tasks) task()
  }
}

const makeClock = (loop: Loop, owner: Owner): Clock.Clock => {
  const millis = () => beginning + Math.floor(loop.now)
  const monotonic = () => BigInt(Math.round(loop.now * 1_000_000))
  const wall = () => BigInt(beginning) * 1_000_000n + monotonic()
  return {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: wall,
    currentTimeNanos: Effect.sync(wall),
    monotonicTimeNanosUnsafe: monotonic,
    monotonicTimeNanos: Effect.sync(monotonic),
    sleep: (duration) => {
      const millis = Duration.toMillis(duration)
      if (millis <= 0) return Effect.yieldNow
      return Effect.callback((resume) => {
        if (millis === Infinity) return undefined
        return Effect.sync(loop.after(millis, owner, () => resume(Effect.void)))
      })
    }
  }
}

export class Process implements Owner {
  isAlive = true
  held: Owner["held"] = undefined
  /** What the application of this program has acquired and not released. */
  acquired = 0
  /** Whatever of its application hangs goes on once this is done. */
  readonly released = Deferred.makeUnsafe<void>()
  isReleased = false
  readonly context: Context.Context<never>
  readonly #loop: Loop

  constructor({ budget, loop, onLog, random }: ProcessOptions) {
    this.#loop = loop
    const scheduler = {
      executionMode: "async" as const,
      shouldYield: (fiber: Fiber.Fiber<unknown, unknown>) => fiber.currentOpCount >= budget,
      makeDispatcher: () => new Dispatcher(loop, this)
    }
    const logger = Logger.make(({ cause, logLevel, message }) => {
      const causes = cause.reasons.length === 0 ? "" : ` ${Cause.pretty(cause)}`
      onLog(logLevel, `${Array.isArray(message) ? message.map(String).join(" ") : String(message)}${causes}`)
    })
    this.context = Context.empty().pipe(
      Context.add(Scheduler, scheduler),
      Context.add(Clock.Clock, makeClock(loop, this)),
      Context.add(SecureRandom.SecureRandom, SecureRandom.make((size) => random.bytes(size))),
      Context.add(EffectRandom.Random, {
        nextDoubleUnsafe: () => random.next(),
        nextIntUnsafe: () => Math.floor((random.next() - 0.5) * 2 * Number.MAX_SAFE_INTEGER)
      }),
      Context.add(Logger.CurrentLoggers, new Set([logger])),
      Context.add(References.MinimumLogLevel, "Warn")
    )
  }

  fork<A, E>(effect: Effect.Effect<A, E>): Fiber.Fiber<A, E> {
    return Effect.runForkWith(this.context)(effect)
  }

  /** Does something in this program: now, or once it goes on where it stands still. */
  tell(run: () => void): void {
    this.#loop.tell(this, run)
  }

  /** Whatever of its application hangs goes on. */
  release(): void {
    if (!this.isAlive) return
    this.isReleased = true
    Deferred.doneUnsafe(this.released, Effect.void)
  }

  /** As a process that is killed: nothing of it runs any more, its finalizers included. */
  kill(): void {
    this.isAlive = false
  }
}
