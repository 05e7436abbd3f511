/**
 * The vectors of PROTOCOL.md, "Conformance", against this package's decoder and encoder; and the runner, which finds what is
 * wrong with others.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Conformance from "effect-swaggersocket/testing/Conformance"
import * as Effect from "effect/Effect"
import { fileURLToPath } from "node:url"
import { bundle } from "../support/bundle.ts"

Conformance.suite({ describe, it }, "standard codec", Conformance.standard)

const codecProgram = Effect.promise(() =>
  bundle(fileURLToPath(new URL("../package/project/codec.ts", import.meta.url)))
)

/** A program of its own, which does what the first argument says. */
const program = (how: string) =>
  Effect.flatMap(codecProgram, (file) => Conformance.fromCommand(process.execPath, [file, how]))

describe("runner of the vectors", () => {
  it("vectors have names of their own", () => {
    const titles = Conformance.cases(Conformance.standard).map(({ file, title }) => `${file} ${title}`)
    assert.isAbove(titles.length, 100)
    assert.strictEqual(new Set(titles).size, titles.length)
  })

  it.live("a program that answers lines of JSON passes all vectors", () =>
    Effect.gen(function*() {
      const { failures, passed } = yield* Conformance.run(yield* program("right"))
      assert.deepStrictEqual(failures, [])
      assert.strictEqual(passed, Conformance.cases(Conformance.standard).length)
    }))

  it.live("a decoder that ignores a setting, and an encoder that never indexes, fail the vectors about those", () =>
    Effect.gen(function*() {
      const wrong = {
        ...Conformance.standard,
        decode: (messages, settings) => Conformance.standard.decode(messages, { ...settings, maxHeadSize: 16384 })
      } satisfies Conformance.Codec
      const { failures } = yield* Conformance.run(wrong)
      assert.isNotEmpty(failures)
      assert.deepStrictEqual([...new Set(failures.map(({ file }) => file))], ["limits.json"])
      const encoder: Conformance.Codec = {
        encode: (messages, settings) => Conformance.standard.encode(messages, { ...settings, headTableSize: 0 })
      }
      const report = yield* Conformance.run(encoder)
      assert.include(report.failures.map(({ file }) => file), "heads.json")
      assert.isTrue(report.failures.every(({ title }) => title.startsWith("the encoder encodes")))
    }))

  for (
    const [how, message] of [
      ["ends", "it has ended (3)"],
      ["garbles", "an answer that can't be read"],
      ["missing", "ENOENT"]
    ] as const
  ) {
    it.live(`a program that ${how === "missing" ? "does not exist" : how} is a CodecError that says so`, () =>
      Effect.gen(function*() {
        const codec = how === "missing" ? yield* Conformance.fromCommand("/no/such/program") : yield* program(how)
        const error = yield* Effect.flip(codec.encode([], Conformance.load()[0]!.vectors[0]!.settings))
        assert.strictEqual(error._tag, "CodecError")
        assert.include(error.message, message)
      }))
  }
})
