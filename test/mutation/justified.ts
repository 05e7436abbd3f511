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

/** Mutants of one file that one reason holds for: the line of each, and where that has several, what is replaced by what. */
const justify = (
  file: string,
  reason: string,
  ...mutants: ReadonlyArray<readonly [source: string, code?: string, replacement?: string]>
): ReadonlyArray<Justified> =>
  mutants.map(([source, code, replacement]) => ({
    file: `src/internal/${file}.ts`,
    source,
    ...(code === undefined ? undefined : { code }),
    ...(replacement === undefined ? undefined : { replacement }),
    reason
  }))

const ofLink: ReadonlyArray<Justified> = [
  ...justify(
    "link/linkErrors",
    "for the type: a member that is absent is undefined, which is none of the texts, lists and codes either",
    [
      "if (\"message\" in cause && Predicate.isString(cause.message) && cause.message !== \"\") return cause.message",
      "\"message\" in cause"
    ],
    ["if (\"errors\" in cause && Array.isArray(cause.errors)) return textOf(cause.errors[0])", "\"errors\" in cause"],
    ["return \"error\" in cause ? textOf(cause.error) : undefined"],
    ["const text = textOf(\"cause\" in reason ? reason.cause : undefined)"],
    [
      "return error.reason._tag === \"SocketCloseError\" && error.reason.code === CloseCode.ABNORMAL",
      "error.reason._tag === \"SocketCloseError\""
    ],
    ["if (!(\"cause\" in reason) || Predicate.isError(reason.cause)) return error", "\"cause\" in reason"],
    [
      "if (error.reason._tag !== \"SocketCloseError\") return linkError(\"read\", error)",
      "error.reason._tag !== \"SocketCloseError\""
    ]
  ),
  ...justify(
    "link/dial",
    "for the type: no other reason has such a code or phase",
    [
      "(reason._tag === \"HandshakeRefused\" && reason.initiator === \"local\" && reason.code === \"HANDSHAKE_INVALID\" &&",
      "reason._tag === \"HandshakeRefused\""
    ],
    ["(reason._tag === \"LinkError\" && reason.phase === \"open\" &&", "reason._tag === \"LinkError\""]
  ),
  ...justify(
    "link/lengthPrefix",
    "how a message is copied: it is the same",
    ["if (length > maxCopied) return [header(type, length, 0), payload]", "length > maxCopied", "length >= maxCopied"],
    ["if (piece.length === 0) return"],
    ["if (this.#payload === undefined || this.#payload.length < needed) {"],
    ["if (this.#payload !== undefined) grown.set(this.#payload.subarray(0, kept))", "this.#payload.subarray(0, kept)"]
  ),
  ...justify(
    "link/lengthPrefix",
    "a close of one byte has no code either, which is the same fault",
    [
      "const isTooLong = type === closeType ? length < 2 || length > 2 + maxCloseReason : length > this.#maxSize",
      "length < 2"
    ]
  ),
  ...justify("link/lengthPrefix", "a function that ends without a value gives undefined as well", ["} catch {"]),
  ...justify(
    "link/refusal",
    "Effect's formatter gives one issue at least",
    ["const path = (issue?.path ?? []) as ReadonlyArray<string | number>", "issue?.path"],
    ["return { path, text: issue?.message ?? error.message }", "issue?.message"]
  ),
  ...justify(
    "link/socketLink",
    "a timer more for each pull: each of them finds the same",
    ["if (this.#isWatched || partial === 0) return"],
    ["this.#isWatched = true", "true"]
  ),
  ...justify(
    "link/socketLink",
    "a short cut: an observer of a fiber that has ended is called at once",
    ["if (exit !== undefined) this.#written(exit)"]
  ),
  ...justify("link/upgrade", "a writer that fails has one reason", [
    "const failure = exit.cause.reasons.find((reason) => reason._tag === \"Fail\")"
  ])
]

const ofClient: ReadonlyArray<Justified> = justify(
  "client/state",
  "for the type: no connection is the one in use where there is none",
  ["return \"connection\" in this.now && this.now.connection === connection", "\"connection\" in this.now"],
  [
    "if (\"connection\" in state && state.connection === connection) this.now = { ...state, told }",
    "\"connection\" in state"
  ]
)

const ofServer: ReadonlyArray<Justified> = [
  ...justify("server/preferred", "no two connections have the same sign", [
    "(one.now === \"open\") === (other.now === \"open\") ? one.lastSign > other.lastSign : one.now === \"open\"",
    "one.lastSign > other.lastSign",
    "one.lastSign >= other.lastSign"
  ]),
  ...justify("server/overload", "a short cut: what follows finds that nobody is behind", [
    "if (behindSince === undefined && this.#until === -Infinity) return false",
    "this.#until === -Infinity",
    "false"
  ]),
  ...justify("server/identities", "for the type: nothing is kept of no identity", [
    "if (identity === undefined) return",
    "identity === undefined",
    "false"
  ]),
  ...justify("server/origin", "one character more or less that no host has", [
    "const hostPattern = /^(\\[[0-9a-f:.]+\\]|[^\\s/?#@\\\\:[\\]]+)(?::(\\d+))?$/i",
    "/^(\\[[0-9a-f:.]+\\]|[^\\s/?#@\\\\:[\\]]+)(?::(\\d+))?$/i",
    "/^(\\[[0-9a-f:.]+\\]|[^\\s/?#@\\\\:[^\\]]+)(?::(\\d+))?$/i"
  ]),
  ...justify("server/admission", "a client whose identity is in use would take the place of that connection", [
    "if (refusal !== undefined || identities.replaces(hello)) return refusal",
    "refusal !== undefined",
    "false"
  ]),
  ...justify("server/programLinks", "a connection that has ended is drained in no time", [
    "Exit.isFailure(exit)",
    "Exit.isFailure(exit)",
    "true"
  ]),
  ...justify(
    "server/identities",
    "for the type: nothing is kept of no holder",
    [
      "const predecessors = holder === undefined ? undefined : this.#predecessors.get(holder)",
      "holder === undefined",
      "false"
    ]
  )
]

const ofConnection: ReadonlyArray<Justified> = [
  ...justify("connection/reader", "how often the clock is read: a cost, which bench measures", [
    "export const isTurnOverAfter = (frames: number): boolean => isTurnOver(frames * frameCost)"
  ]),
  ...justify(
    "connection/reader",
    "other fibers may run between two messages: nothing depends on it",
    ["if (isReadable === undefined) return Effect.forever(next, { disableYield: true })", "{ disableYield: true }"],
    ["if (isReadable === undefined) return Effect.forever(next, { disableYield: true })", "true", "false"],
    ["Effect.forever(Effect.andThen(readable, next), { disableYield: true })", "{ disableYield: true }"],
    ["Effect.forever(Effect.andThen(readable, next), { disableYield: true })", "true", "false"]
  )
]

const ofFrame: ReadonlyArray<Justified> = [
  ...justify(
    "frame/bufferPool",
    "memory and time: which buffers are used again, which test/hostile/memory.test.ts measures; the bytes are the same",
    ["export const bufferSize = 20 * 1024"],
    ["export const largeMessage = bufferSize / 2"],
    ["if (message.buffer.byteLength !== bufferSize || pool.length >= maxPooled) return"],
    ["pool.push(message.length === bufferSize ? message : new Uint8Array(message.buffer))"]
  ),
  ...justify(
    "frame/encoder",
    "memory and time: the buffers that messages are written to, which test/hostile/memory.test.ts measures; the bytes are the same",
    ["if (needed <= this.#bytes.length) return"],
    ["if (this.#bytes.length === 0) {"],
    ["if (size <= this.#bytes.length) return"],
    ["const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2))"],
    ["grown.set(this.#bytes.subarray(0, this.length))"],
    ["if (length > largeMessage) return bytes.subarray(0, length)"],
    ["this.#reserve(8)"]
  ),
  ...justify(
    "frame/encoder",
    "time: short texts are written without a TextEncoder, which writes the same",
    ["if (size <= shortString) {"],
    ["if (char > 0x7f) break"]
  ),
  ...justify("frame/bytes", "time: the same bytes are counted", [
    "beyondAscii.test(value) ? encoder.encode(value).length : value.length",
    "beyondAscii.test(value)",
    "true"
  ]),
  ...justify(
    "frame/decoder",
    "time: short texts are read without a TextDecoder, which reads the same",
    ["if (size <= shortString) {"],
    ["for (; i < end; i++) {"],
    ["if (byte > 0x7f) break"],
    ["if (i === end) return text"]
  ),
  ...justify(
    "frame/decoder",
    "what is read beyond the end is found to end elsewhere: the same violation, with the same code",
    ["return this.at < this.end ? this.bytes[this.at++]! : this.#invalid(cutShort)"],
    ["if (size > this.end - this.at) {"]
  ),
  ...justify("frame/decoder", "time: the fields of a head that is malformed are not used", [
    "if (!name.dropped && this.fault === undefined && this.size <= this.maxSize) this.fields.push(field)",
    "this.fault === undefined"
  ], [
    "if (!name.dropped && this.fault === undefined && this.size <= this.maxSize) this.fields.push(field)",
    "this.size <= this.maxSize"
  ]),
  ...justify("frame/decoder", "nothing that is read behind a violation is used", [
    "return reader.failed === undefined"
  ]),
  ...justify("frame/decoder", "a function that answers nothing never stops either", ["const never = () => false"]),
  ...justify("frame/decoder", "frames of the link and others are told apart as well by what they are not", [
    "const link = (type & linkMask) === LINK",
    "(type & linkMask) === LINK",
    "(type & linkMask) !== LINK"
  ]),
  ...justify("frame/decoder", "the methods that have a byte match the pattern", [
    "if (byte === 0 && (method === \"CONNECT\" || !methodPattern.test(method!))) {",
    "byte === 0"
  ])
]

const ofStreams: ReadonlyArray<Justified> = [
  ...justify(
    "streams/stream",
    "memory and time: how the parts of a body are kept, which test/hostile/memory.test.ts measures; its bytes are the same",
    ["if (chunk.length >= smallChunk || this.#firstChunk === chunks.length) {"],
    ["const used = this.#tail === undefined ? 0 : chunks[last]!.length"],
    ["if (this.#tail === undefined || used + chunk.length > this.#tail.length) {"],
    ["this.#tail = new Uint8Array(Math.min(Math.max(this.buffered, minTail), maxTail))"],
    ["if (size === this.buffered && this.#firstChunk === 0 && this.#offset === 0) {"]
  ),
  ...justify(
    "streams/outbound",
    "memory of the empty places in a queue, which test/hostile/memory.test.ts measures: the same requests leave",
    ["if (this.#requests.length > minCompacted && this.#requests.length > this.waiting * 2) {"],
    ["MutableList.filter(this.#requests, ({ request }) => request !== undefined)"],
    ["this.#dropped--"]
  ),
  ...justify(
    "streams/outbound",
    "a short cut: nothing is ready, or a place in the queue is empty, which is found a step later",
    ["if (this.#readyCount > 0) this.#writeData()"],
    ["if (next.frame !== undefined && next.size > this.#room) return", "next.frame !== undefined", "true"],
    ["for (let urgency = 0; this.#readyCount > 0 && urgency < urgencies; urgency++) {"],
    ["this.#readyCount--"],
    ["if (stream.buffered > 0 && stream.credit > 0) return stream", "stream.credit > 0"],
    ["if (stream.state.isClosed || stream.state.handler === \"done\") this.changed.push(stream)"]
  ),
  ...justify(
    "streams/outbound",
    "requests have been taken out of the queue by then",
    ["return this.closedBy === undefined && !this.isClosing &&", "this.closedBy === undefined", "true"]
  ),
  ...justify(
    "streams/outbound",
    "a guess at its very edge: a body goes on with this message or the next one",
    ["if (room < minDataSize && encoder.length > 0) return", "room < minDataSize", "room <= minDataSize"],
    ["if (room < minDataSize && encoder.length > 0) return", "encoder.length > 0"],
    [
      "if (stream.blocked && stream.buffered * 2 < this.#options.limits.sendBuffer) {",
      "stream.buffered * 2 < this.#options.limits.sendBuffer",
      "stream.buffered * 2 <= this.#options.limits.sendBuffer"
    ]
  )
]

export const justified: ReadonlyArray<Justified> = [
  ...ofLink,
  ...ofClient,
  ...ofServer,
  ...ofConnection,
  ...ofFrame,
  ...ofStreams,
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
