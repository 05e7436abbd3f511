/**
 * A program that decodes and encodes, in whatever language: it answers each line of JSON on its standard input with one on
 * its standard output.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as ChildProcess from "node:child_process"
import * as Readline from "node:readline"

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
    Readline.createInterface({ input: child.stdout }).on("line", (line) => settle({ line }))

    const ask = (question: unknown): Effect.Effect<string, E> =>
      Effect.callback<Answer>((resume) => {
        if (ended !== undefined) return resume(Effect.succeed({ ended }))
        answer = (given) => resume(Effect.succeed(given))
        child.stdin.write(`${JSON.stringify(question)}\n`)
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
