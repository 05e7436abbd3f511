/**
 * What tests leave behind, such as processes, ends with the tests of their file.
 *
 * A module that several files of tests import is loaded once in a process, so its own `afterAll` would count for the first of
 * them alone. `setup.ts` registers one for every file.
 */

const waiting = new Set<() => void>()

/** Runs when the tests of the file have ended. */
export const atEndOfFile = (release: () => void): void => void waiting.add(release)

/** Runs what waits for the end of the file. */
export const endFile = (): void => {
  for (const release of waiting) release()
  waiting.clear()
}
