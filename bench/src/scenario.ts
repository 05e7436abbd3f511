import type { Client } from "./peer.ts"

/**
 * What a file in `scenarios/` exports as default. `run` is called in the client's process.
 */
export interface Scenario {
  readonly name: string
  readonly title: string
  /** What is counted, and how many of it the CPU time is told for. */
  readonly unit: { readonly name: string; readonly per: number }
  readonly run: (client: Client, options: Options, window: Window) => Promise<Measured>
}

export interface Options {
  readonly concurrency: number
  readonly warmup: number
  readonly seconds: number
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
  readonly metrics: Readonly<Record<string, number>>
}
