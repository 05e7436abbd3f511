/**
 * A program that decodes and encodes, in whatever language: it answers each line of JSON on its standard input with one on
 * its standard output.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as ChildProcess from "node:child_process"

/** A question in ASCII: several languages take U+2028 and its like for ends of lines. */
const toLine = (question: unknown): string =>
  // oxlint-disable-next-line no-control-regex
  `${
    JSON.stringify(question).replace(
      /[^\0-\x7f]/g,
      (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`
    )
  }\n`

/** Calls back with each line. Node's own reader of lines takes U+2028 for the end of one. */
const onLine = (readable: NodeJS.ReadableStream, run: (line: string) => void): void => {
  let begun = ""
  readable.setEncoding("utf8").on("data", (text: string) => {
    const lines = text.split("\n")
    lines[0] = begun + lines[0]!
    begun = lines.pop()!
    for (const line of lines) run(line)
  })
}

/** A program under test that takes longer for a few kilobytes hangs. A guess, for programs that start slowly. */
const limit = "20 seconds"

type Answer = { readonly line: string } | { readonly ended: string }

/** Starts the program, which is killed with the scope. The effect asks it, one question at a time. */
export const start = <E>(
  command: string,
  args: ReadonlyArray<string>,
  fail: (reason: string) => E
): Effect.Effect<
  <A>(question: unknown, schema: Schema.Codec<A, unknown>) => Effect.Effect<A, E>,
  never,
  Scope.Scope
> =>
  Effect.gen(function*() {
    let ended: string | undefined = undefined
    let answer: ((answer: Answer) => void) | undefined = undefined
    const settle = (given: Answer) => {
      const waiting = answer
      // Before the call, within which the next question may be asked.
      answer = undefined
      waiting?.(given)
    }
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => ChildProcess.spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] })),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )
    const end = (how: string) => {
      ended ??= how
      settle({ ended })
    }
    child.once("error", (error) => end(error.message))
    child.once("close", (code, signal) => end(`it has ended (${code ?? signal})`))
    // What it is told after its end is answered by `ended`.
    child.stdin.on("error", () => {})
    onLine(child.stdout, (line) => settle({ line }))

    const ask = (question: unknown): Effect.Effect<string, E> =>
      Effect.callback<Answer>((resume) => {
        if (ended !== undefined) return resume(Effect.succeed({ ended }))
        answer = (given) => resume(Effect.succeed(given))
        child.stdin.write(toLine(question))
      }).pipe(
        Effect.timeoutOrElse({
          duration: limit,
          orElse: () =>
            Effect.sync(() => {
              // An answer that comes later would be taken for that of the next question.
              end(`it has not answered within ${limit}`)
              return { ended: ended! }
            })
        }),
        Effect.flatMap((given) =>
          "line" in given ? Effect.succeed(given.line) : Effect.fail(fail(`${command}: ${given.ended}`))
        )
      )

    const turns = yield* Semaphore.make(1)
    return (question, schema) =>
      turns.withPermits(1)(ask(question)).pipe(
        Effect.flatMap((line) =>
          Effect.mapError(
            Schema.decodeUnknownEffect(Schema.fromJsonString(schema))(line),
            (error) => fail(`${command}: an answer that can't be read: ${error.message}`)
          )
        )
      )
  })
