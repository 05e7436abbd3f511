/**
 * Reads what the processes have written down, and holds the outcome of each call against its executions.
 */
import { closeSync, openSync, readdirSync, readSync } from "node:fs"
import { join } from "node:path"
import { recordBytes, type Said, said } from "./records.ts"

/** The calls of one process. */
class Caller {
  /** How each call ended, 0 if that is not known, with a bit for those that had to be completed. */
  outcomes = new Uint8Array(1024)
  executions = new Uint8Array(1024)
  made = 0
  total: number | undefined = undefined

  #reserve(call: number): void {
    this.made = Math.max(this.made, call + 1)
    if (call < this.outcomes.length) return
    const length = Math.max(2 * this.outcomes.length, call + 1)
    for (const name of ["outcomes", "executions"] as const) {
      const grown = new Uint8Array(length)
      grown.set(this[name])
      this[name] = grown
    }
  }

  end(call: number, what: number, isSteady: boolean): void {
    this.#reserve(call)
    this.outcomes[call] = what | (isSteady ? steadyBit : 0)
  }

  execute(call: number): void {
    this.#reserve(call)
    this.executions[call] = Math.min(255, this.executions[call]! + 1)
  }
}

const steadyBit = 0x80

const names = Object.keys(said) as ReadonlyArray<Said>

/** Executions that an outcome allows: the least and the most. */
const allowed: Record<number, readonly [number, number]> = {
  [said.completed]: [1, 1],
  [said.wrong]: [1, 1],
  [said["not-sent"]]: [0, 0],
  [said["not-processed"]]: [0, 0],
  [said.shed]: [0, 0]
}

export interface Judgement {
  /** How many calls ended in which way. */
  readonly outcomes: Readonly<Record<string, number>>
  readonly executed: number
  /** Calls whose outcome contradicts what was executed. */
  readonly untrue: number
  /** Calls that were executed more than once. */
  readonly duplicated: number
  /** Calls without an end: longer than the deadline, or open when their caller had ended in good order. */
  readonly hung: number
  /** Calls on connections that lost nothing but links, and were neither completed nor shed. */
  readonly lost: number
  /** Calls on such connections. */
  readonly steady: number
  /** Calls that were executed, whose caller was killed before it heard of it. */
  readonly orphaned: number
  /** Up to 20 calls at fault. */
  readonly faults: ReadonlyArray<string>
}

export class Ledger {
  readonly #folder: string
  readonly #callers = new Map<number, Caller>()
  readonly #offsets = new Map<string, number>()

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Reads what was written since. Outcomes come first: the execution before an outcome has then been written, too. */
  read(): void {
    for (const suffix of [".outcomes", ".executions"]) {
      for (const name of readdirSync(this.#folder)) if (name.endsWith(suffix)) this.#readFile(name)
    }
  }

  #readFile(name: string): void {
    const file = openSync(join(this.#folder, name), "r")
    const buffer = Buffer.allocUnsafe(recordBytes * 65_536)
    let offset = this.#offsets.get(name) ?? 0
    while (true) {
      const read = readSync(file, buffer, 0, buffer.length, offset)
      const whole = read - read % recordBytes
      for (let at = 0; at < whole; at += recordBytes) this.#take(buffer, at)
      offset += whole
      if (read < buffer.length) break
    }
    closeSync(file)
    this.#offsets.set(name, offset)
  }

  #take(record: Buffer, at: number): void {
    const number = record.readUInt16BE(at)
    const what = record[at + 2]!
    const call = record.readUInt32BE(at + 4)
    let caller = this.#callers.get(number)
    if (caller === undefined) this.#callers.set(number, caller = new Caller())
    if (what === said.total) caller.total = call
    else if (what === said.executed) caller.execute(call)
    else caller.end(call, what, record[at + 3] === 1)
  }

  judge(): Judgement {
    const outcomes = Object.fromEntries(names.slice(1, -1).map((name) => [name, 0]))
    const faults: Array<string> = []
    let [executed, untrue, duplicated, hung, lost, steady, orphaned] = [0, 0, 0, 0, 0, 0, 0]
    for (const [number, caller] of this.#callers) {
      const count = Math.max(caller.made, caller.total ?? 0)
      for (let call = 0; call < count; call++) {
        const outcome = (caller.outcomes[call] ?? 0) & ~steadyBit
        const times = caller.executions[call] ?? 0
        const isSteady = ((caller.outcomes[call] ?? 0) & steadyBit) !== 0
        if (times > 0) executed++
        const [least, most] = allowed[outcome] ?? [0, 1]
        const isHung = outcome === said.hung || (outcome === 0 && caller.total !== undefined)
        const isLost = isSteady && outcome !== said.completed && outcome !== said.shed
        if (isSteady) steady++
        if (times > 1) duplicated++
        if (isHung) hung++
        if (isLost) lost++
        // While a call is under way, it has no outcome yet.
        if (outcome !== 0) outcomes[names[outcome]!]!++
        else if (times > 0) orphaned++
        const isUntrue = outcome !== 0 && (times < least || times > most)
        if (isUntrue) untrue++
        if ((isUntrue || times > 1 || isHung || isLost || outcome === said.wrong) && faults.length < 20) {
          faults.push(`${number}/${call}: ${outcome === 0 ? "no outcome" : names[outcome]}, executed ${times} times`)
        }
      }
    }
    return { outcomes, executed, untrue, duplicated, hung, lost, steady, orphaned, faults }
  }
}
