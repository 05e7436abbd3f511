import type { Client } from "./peer.ts"

/**
 * What a file in `scenarios/` exports as default. `run` is called in the client's process.
 */
export interface Scenario {
  readonly name: string
  readonly title: string
  /** What peers must be able to do; the others are left out. */
  readonly needs: ReadonlyArray<keyof Client>
  /** What is counted, and how many of it the CPU time is told for. */
  readonly unit: { readonly name: string; readonly per: number }
  /** Whom to measure if the command line does not say it; all that can do it by default. */
  readonly peers?: ReadonlyArray<string>
  /** A table each. */
  readonly variants: ReadonlyArray<Variant>
  /** Milliseconds that everything between the two processes takes each way. */
  readonly delay?: number
  /** Memory that is reported of each process: at its peak, or what is left on the server for each of what is counted. */
  readonly memory?: "peak" | "left"
  readonly run: (bench: Bench) => Promise<Measured>
}

export interface Variant {
  readonly label: string
  /** Calls in flight. */
  readonly concurrency?: number
  readonly connections?: number
  /** Bytes of a chunk of a body. */
  readonly chunk?: number
  /** Bodies that are measured, after a single one: the processes have just started. Else all of the seconds, after the warm-up. */
  readonly bodies?: number
  /** Whether `ws` finds the native masking of the package `bufferutil`. */
  readonly bufferutil?: boolean
  /** At most so many rounds: for what takes long. */
  readonly rounds?: number
  /** Whom to measure if the command line does not say it; the peers of the scenario by default. */
  readonly peers?: ReadonlyArray<string>
}

export interface Options extends Variant {
  readonly warmup: number
  readonly seconds: number
  /** Share of the lengths of bodies and streams, and of the number of connections; less than 1 for a quick look. */
  readonly scale: number
}

export interface Bench {
  /** Connected already. */
  readonly client: Client
  /** Connects another client. */
  readonly connect: () => Promise<Client>
  readonly options: Options
  readonly window: Window
}

/**
 * The measured part of a run: elapsed time and CPU time of both processes are taken between `begin` and `end`.
 */
export interface Window {
  readonly begin: () => Promise<void>
  readonly end: () => Promise<void>
}

export interface Measured {
  readonly count: number
  /** If it was not all of the window. */
  readonly seconds?: number
  readonly metrics?: Readonly<Record<string, number>>
}
