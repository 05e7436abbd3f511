/**
 * The event loop of a simulation: everything that happens in it is a task here, and a seed decides which of those that may run
 * now runs next. When none may, time goes on to the next one that is due.
 */
import { eventLoop } from "../../src/internal/scheduling/eventLoop.ts"
import { nextTurn } from "../../src/internal/scheduling/turn.ts"
import type { Random } from "../support/random.ts"

/** A program that runs: tasks of one that was killed do not run any more. */
export interface Owner {
  isAlive: boolean
  /** What waits while the program stands still. Absent: it does not. */
  held?: Array<Ready | Timed> | undefined
}

type Task = () => void

interface Timed {
  readonly at: number
  /** In which order tasks were added, for those of one time. */
  readonly number: number
  readonly owner: Owner
  run: Task | undefined
}

interface Ready {
  readonly owner: Owner
  readonly run: Task
}

/** Tasks of the network, and whatever belongs to no program. */
export const nobody: Owner = { isAlive: true }

/** More steps than any run has: it is not getting anywhere. */
const maxSteps = 1_000_000

const isBefore = (one: Timed, other: Timed): boolean =>
  one.at === other.at ? one.number < other.number : one.at < other.at

export class Loop {
  /** Milliseconds since the beginning, whole ones as timers of platforms have. */
  now = 0
  /** Tasks that have run. */
  steps = 0
  readonly #random: Random
  /** The share of steps that take a millisecond. */
  readonly #slowness: number
  readonly #promises: () => Promise<void> | undefined
  readonly #loads: () => Promise<void> | undefined
  readonly #ready: Array<Ready> = []
  readonly #microtasks: Array<Task> = []
  /** A heap: each one is before those at twice its index, plus one and two. */
  readonly #timed: Array<Timed> = []
  #numbers = 0
  /** What the processes have measured of themselves, in milliseconds. */
  #busy = 0

  /**
   * `promises` answers what has to be waited for outside of the simulation before time goes on, if anything has; `loads` what has
   * to be before anything else runs.
   */
  constructor(
    random: Random,
    slowness: number,
    promises: () => Promise<void> | undefined,
    loads: () => Promise<void> | undefined
  ) {
    this.#random = random
    this.#slowness = slowness
    this.#promises = promises
    this.#loads = loads
  }

  /** Nothing runs before time goes on. */
  get isIdle(): boolean {
    return this.#ready.length === 0
  }

  /** Runs a task at once when its turn comes. */
  add(owner: Owner, run: Task): void {
    this.#ready.push({ owner, run })
  }

  /** Runs a task after so many milliseconds; the result cancels that. */
  after(millis: number, owner: Owner, run: Task): () => void {
    const timed: Timed = { at: Math.ceil(this.now + Math.max(0, millis)), number: this.#numbers++, owner, run }
    this.#push(timed)
    return () => {
      timed.run = undefined
    }
  }

  /** Tells a program something: now, or once it goes on. */
  tell(owner: Owner, run: Task): void {
    if (owner.held === undefined) run()
    else this.add(owner, run)
  }

  /** Tasks that wait for their time. */
  waiting(owner: Owner): number {
    return this.#timed.filter((timed) => timed.owner === owner && timed.run !== undefined).length
  }

  /**
   * Runs tasks until `isDone`, or until nothing is left, or until the time is over. Answers whether it is done. That is asked
   * when nothing can run before time goes on.
   */
  async runUntil(isDone: () => boolean, end: number): Promise<boolean> {
    // What was done outside of the loop has its own.
    this.#runMicrotasks()
    while (true) {
      const loads = this.#loads()
      if (loads !== undefined) {
        await loads
        this.#runMicrotasks()
      }
      if (this.#ready.length === 0) {
        const promises = this.#promises()
        if (promises !== undefined) {
          await promises
          continue
        }
        if (isDone()) return true
      }
      if (this.now > end || !this.#step()) return isDone()
    }
  }

  /**
   * A program stands still until `thaw`. What the package does in its turns goes on: both ends share the turns of one event
   * loop here.
   */
  freeze(owner: Owner): void {
    owner.held ??= []
  }

  /** A program goes on: its timers that are due run in their order. */
  thaw(owner: Owner): void {
    const { held = [] } = owner
    owner.held = undefined
    for (const each of held) {
      if ("at" in each) this.#push(each)
      else this.#ready.push(each)
    }
  }

  /** Has the package use this loop while `body` runs, and until what it has begun then has ended with its programs. */
  async within<A>(body: () => Promise<A>, endPrograms: () => void): Promise<A> {
    const before = { ...eventLoop }
    const { setImmediate } = globalThis
    const requestTurn = (task: Task) => this.add(nobody, task)
    Object.assign(eventLoop, {
      requestTurn,
      requestMicrotask: (task: Task) => void this.#microtasks.push(task),
      now: () => this.#busy += this.#random.int(5)
    })
    // What the last run has counted of its turn.
    nextTurn(() => {})
    // Fibers without a context, which take Effect's own scheduler.
    globalThis.setImmediate = ((task: Task) => requestTurn(task)) as typeof setImmediate
    try {
      return await body()
    } finally {
      endPrograms()
      await this.runUntil(() => false, this.now)
      Object.assign(eventLoop, before)
      globalThis.setImmediate = setImmediate
    }
  }

  /** The next task that has to wait for its time. */
  #nextTimed(): Timed | undefined {
    while (this.#timed.length > 0) {
      const first = this.#timed[0]!
      if (first.run !== undefined && first.owner.isAlive) return first
      this.#pop()
    }
    return undefined
  }

  /** Runs one task, or lets time pass. `false`: there is nothing to do any more. */
  #step(): boolean {
    const due = this.#nextTimed()
    if (due !== undefined && due.at <= this.now) {
      // Those that are due run in their order, among those that are ready in any order.
      if (this.#ready.length === 0 || this.#random.chance(0.3)) return this.#runTimed()
    }
    if (this.#ready.length > 0) {
      const index = this.#random.int(this.#ready.length)
      const taken = this.#ready[index]!
      const last = this.#ready.pop()!
      if (index < this.#ready.length) this.#ready[index] = last
      if (taken.owner.held === undefined) this.#run(taken.owner, taken.run)
      else taken.owner.held.push(taken)
      return true
    }
    if (due === undefined) return false
    this.now = Math.max(this.now, due.at)
    return this.#runTimed()
  }

  #runTimed(): boolean {
    const timed = this.#pop()
    const { owner, run } = timed
    if (owner.held !== undefined) return owner.held.push(timed) > 0
    timed.run = undefined
    this.#run(owner, run!)
    return true
  }

  #run(owner: Owner, run: Task): void {
    if (this.steps++ > maxSteps) throw new Error(`after ${maxSteps} steps there is no end`)
    if (this.#slowness > 0 && this.#random.chance(this.#slowness)) this.now++
    if (owner.isAlive) run()
    this.#runMicrotasks()
  }

  #runMicrotasks(): void {
    for (let at = 0; at < this.#microtasks.length; at++) this.#microtasks[at]!()
    this.#microtasks.length = 0
  }

  #push(timed: Timed): void {
    const heap = this.#timed
    let at = heap.push(timed) - 1
    while (at > 0) {
      const above = (at - 1) >> 1
      if (!isBefore(timed, heap[above]!)) break
      heap[at] = heap[above]!
      at = above
    }
    heap[at] = timed
  }

  #pop(): Timed {
    const heap = this.#timed
    const first = heap[0]!
    const moved = heap.pop()!
    if (heap.length === 0) return first
    let at = 0
    while (true) {
      let below = 2 * at + 1
      if (below >= heap.length) break
      if (below + 1 < heap.length && isBefore(heap[below + 1]!, heap[below]!)) below++
      if (!isBefore(heap[below]!, moved)) break
      heap[at] = heap[below]!
      at = below
    }
    heap[at] = moved
    return first
  }
}
