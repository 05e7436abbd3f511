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
  },
  {
    file: "src/internal/streams/openStreams.ts",
    source: "if (this.size === 0 && this.#slots.length > maxIdleSlots) this.#resize(initialSlots)",
    reason: "memory of idle connections: the table finds the same streams in more slots"
  },
  {
    file: "src/internal/streams/openStreams.ts",
    source: "mixed = Math.imul(mixed ^ (mixed >>> 15), this.#factor)",
    code: "mixed >>> 15",
    reason: "another hash that spreads ids as well"
  },
  {
    file: "src/internal/streams/openStreams.ts",
    source: "return (mixed ^ (mixed >>> 15)) & (this.#slots.length - 1)",
    code: "mixed >>> 15",
    reason: "another hash that spreads ids as well"
  },
  {
    file: "src/internal/streams/inbound.ts",
    source: "if (frame.end) this.closeIfEnded(stream)",
    code: "frame.end",
    replacement: "true",
    reason: "a short cut: without END nothing has ended that had not before"
  },
  {
    file: "src/internal/streams/lifecycle.ts",
    source: "if (changed.length > 0) {",
    reason: "a short cut for messages that change no stream"
  },
  {
    file: "src/internal/streams/lifecycle.ts",
    source: "if (stream.queued > 0) this.outbound.drop(stream)",
    reason: "a short cut: there is nothing to drop"
  }
]
