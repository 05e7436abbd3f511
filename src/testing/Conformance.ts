/**
 * The conformance vectors of wire v2, and a runner for decoders and encoders in any language.
 *
 * **When to use**
 *
 * For an implementation of the wire of your own: what its decoder makes of each vector, and what its encoder writes. The
 * vectors are JSON files in the package's folder `conformance`, whose README describes them; `PROTOCOL.md` says what they
 * are about. The command `swaggersocket-conformance` runs them against a program without any JavaScript of yours.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as assert from "../internal/testing/assert.ts"
import * as commandCodec from "../internal/testing/commandCodec.ts"
import * as ownCodec from "../internal/testing/ownCodec.ts"
import { registerEffect } from "../internal/testing/registerEffect.ts"
import { Decoded as DecodedSchema, Encoded, readFiles } from "../internal/testing/vectors.ts"
import type { Runner } from "./Runner.ts"

/**
 * The settings of a decoder, sizes in bytes; the encoder has the same size of the head table.
 *
 * @since 0.1.0
 * @category models
 */
export interface Settings {
  /** Of a message. */
  readonly maxMessageSize: number
  /** Of a frame. */
  readonly maxFrameSize: number
  /** Of a head. */
  readonly maxHeadSize: number
  /** Of the recently used fields that the decoder remembers. */
  readonly headTableSize: number
  /** 1: both ends know upgrades. Absent: they don't. */
  readonly upgrade?: number
}

/**
 * A frame as JSON: a `_tag` and the members that the vectors give it. Bytes are in hexadecimal.
 *
 * @since 0.1.0
 * @category models
 */
export type Frame = Readonly<Record<string, unknown>>

/**
 * A connection error: its name in PROTOCOL.md, "Error codes", and the index of the message that has it.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConnectionError {
  /** The name of its code. */
  readonly code: string
  /** It ends the connection. */
  readonly scope: "connection"
  /** The index of the message, from 0. */
  readonly message: number
}

/**
 * What a decoder makes of messages: the frames of each, up to the one with an error.
 *
 * @since 0.1.0
 * @category models
 */
export interface Decoded {
  /** The frames of each message. */
  readonly frames: ReadonlyArray<ReadonlyArray<Frame>>
  /** What ends the connection; absent, `null` or `undefined` where nothing does. */
  readonly error?: ConnectionError | null | undefined
}

/**
 * One vector: messages of one direction in hexadecimal, and what they mean.
 *
 * @since 0.1.0
 * @category models
 */
export interface Vector {
  /** What the vector claims. */
  readonly name: string
  /** The heading of PROTOCOL.md that it is about. */
  readonly section: string
  /** Ids of the sentences of PROTOCOL.md that it proves, such as `FRM-3`. */
  readonly requirements: ReadonlyArray<string>
  /** Those of the decoder. */
  readonly settings: Settings
  /** In hexadecimal, from the first one of a connection on. */
  readonly messages: ReadonlyArray<string>
  /** The frames of each message. */
  readonly frames: ReadonlyArray<ReadonlyArray<Frame>>
  /** What ends the connection. */
  readonly error: ConnectionError | undefined
  /** Whether an encoder writes these messages for these frames. */
  readonly isCanonical: boolean
}

/**
 * A file of vectors.
 *
 * @since 0.1.0
 * @category models
 */
export interface VectorFile {
  /** Its name, without a folder. */
  readonly name: string
  /** What its vectors are about. */
  readonly description: string
  /** In the order of the file. */
  readonly vectors: ReadonlyArray<Vector>
}

/**
 * A decoder under test: what the messages of one direction mean, from the first message of a connection on.
 *
 * @since 0.1.0
 * @category models
 */
export type Decode<E = unknown> = (
  messages: ReadonlyArray<string>,
  settings: Settings
) => Effect.Effect<Decoded, E>

/**
 * An encoder under test: the messages in hexadecimal, one for each list of frames, from the first message of a connection
 * on.
 *
 * @since 0.1.0
 * @category models
 */
export type Encode<E = unknown> = (
  messages: ReadonlyArray<ReadonlyArray<Frame>>,
  settings: Settings
) => Effect.Effect<ReadonlyArray<string>, E>

/**
 * A decoder or an encoder under test, or both.
 *
 * @since 0.1.0
 * @category models
 */
export interface Codec {
  /** Without one the vectors of decoders are left out. */
  readonly decode?: Decode | undefined
  /** Without one those of encoders are. */
  readonly encode?: Encode | undefined
}

/**
 * A program under test could not be started, has ended, hangs, or gives answers that can't be read.
 *
 * **Example** (A program that is not there)
 *
 * ```ts
 * import * as Conformance from "effect-swaggersocket/testing/Conformance"
 * import * as Effect from "effect/Effect"
 *
 * const settings = { maxMessageSize: 65536, maxFrameSize: 32768, maxHeadSize: 16384, headTableSize: 4096 }
 *
 * export const ping = Conformance.fromCommand("./codec").pipe(
 *   Effect.flatMap(({ decode }) => decode(["1000"], settings)),
 *   Effect.catchTag("CodecError", ({ message }) => Effect.die(`build the codec first: ${message}`)),
 *   Effect.scoped
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class CodecError extends Data.TaggedError("CodecError")<{ readonly message: string }> {}

/**
 * Reads the vectors of this package.
 *
 * **Example** (How many vectors there are)
 *
 * ```ts
 * import * as Conformance from "effect-swaggersocket/testing/Conformance"
 *
 * export const count = Conformance.load().flatMap(({ vectors }) => vectors).length
 * ```
 *
 * @since 0.1.0
 * @category vectors
 */
export const load: () => ReadonlyArray<VectorFile> = readFiles

/**
 * One claim about a codec.
 *
 * @since 0.1.0
 * @category models
 */
export interface Case {
  /** The file that has the vector. */
  readonly file: string
  /** The claim. */
  readonly title: string
  /** Fails or dies where the claim does not hold. */
  readonly run: Effect.Effect<void, unknown>
}

const decodes = (decode: Decode, { error, frames, messages, settings }: Vector) =>
  Effect.map(decode(messages, settings), (decoded) => {
    assert.deepStrictEqual(decoded.frames, frames)
    assert.deepStrictEqual(decoded.error ?? undefined, error)
  })

const encodes = (encode: Encode, { frames, messages, settings }: Vector) =>
  Effect.map(encode(frames, settings), (encoded) => assert.deepStrictEqual(encoded, messages))

/**
 * The claims about a codec, for a test runner that `suite` does not fit.
 *
 * **Example** (With a runner that has no `describe`)
 *
 * ```ts
 * import * as Conformance from "effect-swaggersocket/testing/Conformance"
 * import * as Effect from "effect/Effect"
 *
 * declare const test: (title: string, run: () => Promise<void>) => void
 *
 * for (const { run, title } of Conformance.cases(Conformance.standard)) test(title, () => Effect.runPromise(run))
 * ```
 *
 * @since 0.1.0
 * @category testing
 */
export const cases = ({ decode, encode }: Codec): ReadonlyArray<Case> =>
  load().flatMap(({ name: file, vectors }) =>
    vectors.flatMap((vector) => [
      ...decode === undefined
        ? []
        : [{ file, title: `the decoder decodes ${vector.name}`, run: decodes(decode, vector) }],
      ...encode === undefined || !vector.isCanonical
        ? []
        : [{ file, title: `the encoder encodes ${vector.name}`, run: encodes(encode, vector) }]
    ])
  )

/**
 * Registers the vectors as tests of a codec.
 *
 * **Example** (A program in another language, with `node:test`)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Scope from "effect/Scope"
 * import * as Conformance from "effect-swaggersocket/testing/Conformance"
 * import { after, describe, it } from "node:test"
 *
 * const scope = Effect.runSync(Scope.make())
 * const codec = Effect.runSync(Scope.provide(Conformance.fromCommand("./codec", ["--json"]), scope))
 * after(() => Effect.runPromise(Scope.close(scope, Effect.runSync(Effect.exit(Effect.void)))))
 *
 * Conformance.suite({ describe, it }, "codec", codec)
 * ```
 *
 * @since 0.1.0
 * @category testing
 */
export const suite = (runner: Runner, name: string, codec: Codec): void => {
  const all = cases(codec)
  runner.describe(name, () => {
    for (const { description, name: file } of load()) {
      runner.describe(`${file}: ${description}`, () => {
        for (const { run, title } of all.filter((one) => one.file === file)) registerEffect(runner, title, run)
      })
    }
  })
}

/**
 * How a codec has done.
 *
 * @since 0.1.0
 * @category models
 */
export interface Report {
  /** How many claims hold. */
  readonly passed: number
  /** Those that do not, and what was found instead. */
  readonly failures: ReadonlyArray<{ readonly file: string; readonly title: string; readonly message: string }>
}

/**
 * Tries all vectors, without a test runner.
 *
 * **Example** (What the package itself makes of them)
 *
 * ```ts
 * import * as Conformance from "effect-swaggersocket/testing/Conformance"
 *
 * export const report = Conformance.run(Conformance.standard)
 * ```
 *
 * @since 0.1.0
 * @category testing
 */
export const run = Effect.fnUntraced(function*(codec: Codec): Effect.fn.Return<Report> {
  const failures: Array<Report["failures"][number]> = []
  let passed = 0
  for (const { file, run, title } of cases(codec)) {
    const exit = yield* Effect.exit(run)
    if (Exit.isSuccess(exit)) passed++
    else failures.push({ file, title, message: Cause.pretty(exit.cause).split("\n    at ")[0]! })
  }
  return { passed, failures }
})

/**
 * The codec of this package, which every vector is tried with: for tests of new vectors.
 *
 * **Example** (What a message means)
 *
 * ```ts
 * import * as Conformance from "effect-swaggersocket/testing/Conformance"
 * import * as Effect from "effect/Effect"
 *
 * const settings = { maxMessageSize: 65536, maxFrameSize: 32768, maxHeadSize: 16384, headTableSize: 4096 }
 *
 * export const frames = Effect.map(Conformance.standard.decode(["1000"], settings), (decoded) => decoded.frames[0])
 * ```
 *
 * @since 0.1.0
 * @category codecs
 */
export const standard: { readonly decode: Decode<never>; readonly encode: Encode<never> } = {
  decode: (messages, settings) => Effect.sync(() => ownCodec.decode(messages, settings)),
  encode: (messages, settings) => Effect.sync(() => ownCodec.encode(messages, settings))
}

/**
 * Starts a program, in any language, and makes a codec of it. It is killed with the scope.
 *
 * **Details**
 *
 * The program reads lines of JSON, in ASCII, from its standard input and answers each with one line on its standard output:
 *
 * - `{"decode":["8104..."],"settings":{...}}` with `{"frames":[[...]]}`, and an `error` where there is one
 * - `{"encode":[[...]],"settings":{...}}` with `{"messages":["8104..."]}`
 *
 * It is asked one question at a time, and may take 20 seconds for an answer. Its standard error is passed on.
 *
 * **Example** (A report on a program in another language)
 *
 * ```ts
 * import * as Conformance from "effect-swaggersocket/testing/Conformance"
 * import * as Effect from "effect/Effect"
 *
 * export const report = Conformance.fromCommand("./codec", ["--json"]).pipe(
 *   Effect.flatMap(Conformance.run),
 *   Effect.scoped
 * )
 * ```
 *
 * @since 0.1.0
 * @category codecs
 */
export const fromCommand = (
  command: string,
  args: ReadonlyArray<string> = []
): Effect.Effect<
  { readonly decode: Decode<CodecError>; readonly encode: Encode<CodecError> },
  never,
  Scope.Scope
> =>
  Effect.map(commandCodec.start(command, args, (message) => new CodecError({ message })), (ask) => ({
    decode: (messages, settings) => ask({ decode: messages, settings }, DecodedSchema),
    encode: (messages, settings) =>
      Effect.map(ask({ encode: messages, settings }, Encoded), (answer) => answer.messages)
  }))
