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
  },
  {
    file: "src/internal/streams/lifecycle.ts",
    source: "if (chunk.length > 0) {",
    reason: "chunks without bytes would be kept, and send nothing"
  },
  {
    file: "src/internal/streams/lifecycle.ts",
    source: "if (bytes > 0 && stream.unread > 0) this.credit.take(stream, bytes)",
    code: "bytes > 0",
    reason: "a short cut: nothing taken owes nothing"
  },
  {
    file: "src/internal/streams/lifecycle.ts",
    source: "if (stream.isLocal && outbound.waiting > 0) outbound.resume()",
    code: "outbound.waiting > 0",
    reason: "a short cut: DATA that is ready was announced before"
  },
  ...[
    "this.#dropped += stream.queued",
    "if (this.#dropped < minCompacted || this.#dropped * 2 < this.#control.length) return",
    "MutableList.filter(this.#control, ({ frame }) => frame !== undefined)"
  ].map((source) => ({
    file: "src/internal/streams/outbound.ts",
    source,
    reason: "memory of the empty places in a queue, which test/hostile/memory.test.ts measures: the same frames leave"
  })),
  {
    file: "src/internal/streams/outbound.ts",
    source: "if (stream.ready || stream.id === 0 || stream.buffered === 0 || stream.credit === 0) return",
    code: "stream.buffered === 0",
    reason: "a short cut: a stream without bytes is skipped when its turn comes"
  }
]
