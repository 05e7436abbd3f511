#!/usr/bin/env node
/**
 * `swaggersocket-conformance [--decoder | --encoder] COMMAND [ARGUMENT...]`: tries all vectors with a program, and fails
 * when one does not hold.
 */
import * as Effect from "effect/Effect"
import * as Conformance from "../../testing/Conformance.ts"

const usage = "usage: swaggersocket-conformance [--decoder | --encoder] COMMAND [ARGUMENT...]"

const say = (line: string) => Effect.sync(() => process.stdout.write(`${line}\n`))

const program = Effect.gen(function*() {
  const [first, ...rest] = process.argv.slice(2)
  const only = first === "--decoder" ? "decode" : first === "--encoder" ? "encode" : undefined
  const [command, ...args] = only === undefined ? [first, ...rest] : rest
  if (command === undefined) {
    yield* say(usage)
    return false
  }
  const codec = yield* Conformance.fromCommand(command, args as ReadonlyArray<string>)
  const { failures, passed } = yield* Conformance.run(only === undefined ? codec : { [only]: codec[only] })
  for (const { file, message, title } of failures) {
    yield* say(`${file}: ${title}\n  ${message.replaceAll("\n", "\n  ")}`)
  }
  yield* say(`${passed} passed, ${failures.length} failed`)
  return failures.length === 0
})

process.exitCode = await Effect.runPromise(Effect.scoped(program)) ? 0 : 1
