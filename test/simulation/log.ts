/**
 * What has happened in a run: a trace for people, a digest of all bytes, and what became of each call.
 */
import { Digest } from "./bytes.ts"
import type { Loop, Owner } from "./loop.ts"
import type { Direction, Parcel } from "./way.ts"

/** What a body's reader has seen. */
export interface Read {
  bytes: number
  /** A byte was not the one that was written. */
  isWrong: boolean
  /** The end, as of a whole body. */
  isWhole: boolean
  /** Of an upgrade: the end, as of one that was broken off. */
  isLost: boolean
}

export const nothingRead = (): Read => ({ bytes: 0, isWrong: false, isWhole: false, isLost: false })

/** One execution of a call's handler. */
export interface Execution {
  readonly program: Owner
  readonly request: Read
  /** It has answered 101. */
  isUpgraded: boolean
  /** How it has ended; absent while it runs, or where its program was killed. */
  end: "answered" | "failed" | "interrupted" | undefined
}

/** How a call has ended for its caller. */
export interface Ending {
  /** That of the response; absent where there was none. */
  readonly status: number | undefined
  readonly response: Read
  /** Absent where the whole response was read. */
  readonly failure: string | undefined
  readonly outcome: "not-sent" | "not-processed" | "unknown" | undefined
  /** The caller was interrupted, or stopped reading. */
  readonly isGivenUp: boolean
}

/** A call, as both of its ends have seen it. */
export interface CallLog {
  /** The program that has begun it; absent where none was there at its time. */
  caller: Owner | undefined
  readonly executions: Array<Execution>
  readonly endings: Array<Ending>
}

export interface Entry {
  readonly at: number
  readonly text: string
}

export class Log {
  readonly #loop: Loop
  readonly digest = new Digest()
  readonly entries: Array<Entry> = []
  readonly calls: ReadonlyArray<CallLog>
  /** A connection has ended, for whatever reason. */
  hasLostConnection = false
  /** Connections that have ended on the server's side, and those that it has refused to go on with, by their ids. */
  readonly endedAtServer = new Set<string>()
  readonly rejected: Array<string> = []
  /** What must not happen at all. */
  readonly faults: Array<string> = []

  constructor(loop: Loop, calls: number) {
    this.#loop = loop
    this.calls = Array.from({ length: calls }, () => ({ caller: undefined, executions: [], endings: [] }))
  }

  note(text: string): void {
    this.entries.push({ at: this.#loop.now, text })
    this.digest.add(text)
    this.digest.add(this.#loop.now)
  }

  fault(text: string): void {
    this.note(`FAULT: ${text}`)
    this.faults.push(text)
  }

  onSend(link: number, direction: Direction, parcel: Parcel): void {
    const { digest } = this
    digest.add(this.#loop.now)
    digest.add(link)
    digest.add(direction)
    digest.add(parcel._tag)
    if (parcel._tag === "Message") digest.add(parcel.message)
    if (parcel._tag === "Control") digest.add(parcel.control)
    if (parcel._tag === "Close") digest.add(`${parcel.code} ${parcel.reason}`)
  }
}
