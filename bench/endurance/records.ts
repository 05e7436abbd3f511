/**
 * What the processes write down: a record of eight bytes for each execution of a call, and one for how each call ended.
 *
 * Records are written at once, so that a process that is killed leaves all of them: an answer never leaves before the
 * record of its execution is there.
 */
import { openSync, writeSync } from "node:fs"

/** What a record says of a call. */
export const said = {
  executed: 0,
  completed: 1,
  "not-sent": 2,
  "not-processed": 3,
  unknown: 4,
  /** It was not over after `deadline`. */
  hung: 5,
  /** Another answer came than the one that belongs to the call. */
  wrong: 6,
  /** It failed with an error that does not say whether it was executed. */
  silent: 7,
  /** The answer was a status of failure. */
  failed: 8,
  /** The answer was 503: the server has too much to do, and no handler saw the call. */
  shed: 9,
  /** Not of one call: the caller has ended in good order, after so many calls. */
  total: 10
} as const

export type Said = keyof typeof said

/** Longer than a session waits for a lost peer, and than a heartbeat takes to notice one. */
export const deadlineMillis = 240_000

export const recordBytes = 8

export class RecordFile {
  readonly #file: number
  readonly #record = new DataView(new ArrayBuffer(recordBytes))

  constructor(path: string) {
    this.#file = openSync(path, "a")
  }

  /** `steady`: nothing but its links is disturbed at either end of the connection, so the call has to be completed. */
  write(caller: number, call: number, what: Said, steady = false): void {
    this.#record.setUint16(0, caller)
    this.#record.setUint8(2, said[what])
    this.#record.setUint8(3, steady ? 1 : 0)
    this.#record.setUint32(4, call)
    writeSync(this.#file, this.#record)
  }
}
