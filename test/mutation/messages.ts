/** What the process that runs mutants is asked, and what it answers. */

export type Question =
  | { readonly kind: "cover"; readonly bundle: string; readonly mutants: number; readonly limitMillis: number }
  | {
    readonly kind: "run"
    readonly bundle: string
    readonly mutant: number
    /** Those that reach the mutant, quickest first. */
    readonly tests: ReadonlyArray<Asked>
  }

export interface Asked {
  readonly file: string
  readonly name: string
  readonly limitMillis: number
  /** How often it may come by a mutant: beyond, it is in an endless loop. */
  readonly limitVisits: number
}

/** A test without a mutant. */
export interface Covered {
  readonly file: string
  readonly name: string
  readonly millis: number
  /** Its processor time. */
  readonly work: number
  /** How often it came by a mutant, of any number. */
  readonly visits: number
  /** The mutants that it reaches. */
  readonly reaches: ReadonlyArray<number>
  /** Why it fails: it is left out. */
  readonly failure: string | undefined
}

export type Outcome = "killed" | "timeout" | "survived"

export type Answer =
  /** Said before each test: a process that says nothing for long hangs. */
  | { readonly kind: "test"; readonly name: string }
  | { readonly kind: "covered"; readonly tests: ReadonlyArray<Covered>; readonly whileLoading: ReadonlyArray<number> }
  | {
    readonly kind: "ran"
    readonly outcome: Outcome
    readonly by: string
    readonly why: string
    /** The process may not be as it was: the test fails without the mutant too, or something failed outside of tests. */
    readonly doubt: "fails alone" | "outside" | undefined
    readonly memory: number
  }
