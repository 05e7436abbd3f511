/**
 * What the suites need of a test runner. `node:test`, Vitest, Jest, Mocha and Bun have it, so this package depends on none
 * of them.
 *
 * @since 0.1.0
 */

/**
 * `describe` and `it` of a test runner.
 *
 * @since 0.1.0
 * @category models
 */
export interface Runner {
  /** Groups tests. */
  readonly describe: (name: string, register: () => void) => unknown
  /** Registers tests. */
  readonly it: {
    /** Registers a test that has failed when its promise rejects. */
    (title: string, run: (...context: ReadonlyArray<any>) => Promise<void>): unknown
    /** Registers a test that isn't run. */
    readonly skip: (title: string, run: () => Promise<void>) => unknown
  }
}
