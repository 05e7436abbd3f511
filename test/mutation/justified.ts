/**
 * Mutants that no test can kill, or that none should, each with the reason. A mutant is named by its file, the code that it
 * replaces and what replaces it; the line of the source says which one where there are several.
 */

export interface Justified {
  readonly file: string
  readonly source: string
  readonly code?: string
  readonly replacement?: string
  readonly reason: string
}

export const justified: ReadonlyArray<Justified> = [
  {
    file: "src/internal/session/session.ts",
    source: "if (first < EXTENSION) return (first & linkMask) === LINK",
    code: "first < EXTENSION",
    replacement: "false",
    reason: "a short cut for nearly all messages: the loop below finds the same"
  },
  {
    file: "src/internal/session/session.ts",
    source: "while (reader.at < reader.end) {",
    reason: "behind the end the reader returns 0, which is a type that is counted: the result is the same"
  }
]
