#!/usr/bin/env node
/**
 * `swaggersocket-conformance`: tries all vectors with a program that decodes and encodes, or all traces with a server, or with clients
 * that dial it. It fails when one of them does not hold.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Conformance from "../../testing/Conformance.ts"
import { needs } from "./traces/model.ts"
import { listenForClients, runServerTraces, type TraceResult, tracesFor } from "./traces/run.ts"

const usage = `usage: swaggersocket-conformance [--decoder | --encoder] COMMAND [ARGUMENT...]
       swaggersocket-conformance [--without ${needs.join(",")}] ws://HOST:PORT/PATH
       swaggersocket-conformance [--without ${needs.join(",")}] --listen PORT`

const say = (line: string) => Effect.sync(() => process.stdout.write(`${line}\n`))

const tryCodec = Effect.fnUntraced(
  function*(args: ReadonlyArray<string>): Effect.fn.Return<boolean, never, Scope.Scope> {
    const [first, ...rest] = args
    const only = first === "--decoder" ? "decode" : first === "--encoder" ? "encode" : undefined
    const [command, ...others] = only === undefined ? args : rest
    if (command === undefined) {
      yield* say(usage)
      return false
    }
    const codec = yield* Conformance.fromCommand(command, others)
    const { failures, passed } = yield* Conformance.run(only === undefined ? codec : { [only]: codec[only] })
    for (const { file, message, title } of failures) {
      yield* say(`${file}: ${title}\n  ${message.replaceAll("\n", "\n  ")}`)
    }
    yield* say(`${passed} passed, ${failures.length} failed`)
    return failures.length === 0
  }
)

const report = Effect.fnUntraced(function*(results: ReadonlyArray<TraceResult>): Effect.fn.Return<boolean> {
  const failed = results.filter(({ failure }) => failure !== undefined)
  for (const { failure, file, name, requirements } of failed) {
    yield* say(`${file}: ${name} (${requirements.join(", ")})\n  ${failure}`)
  }
  yield* say(`${results.length - failed.length} passed, ${failed.length} failed`)
  return failed.length === 0
})

const program = Effect.gen(function*() {
  const args = process.argv.slice(2)
  const without = args[0] === "--without" ? (args.splice(0, 2)[1] ?? "").split(",") : []
  const missing = needs.filter((need) => without.includes(need))
  const [first = "", port = ""] = args
  if (/^wss?:/.test(first)) return yield* report(yield* runServerTraces(first, tracesFor("server", missing)))
  if (first !== "--listen") return yield* tryCodec(args)
  const listening = yield* listenForClients(Number(port), tracesFor("client", missing))
  yield* say(`listening on ws://127.0.0.1:${listening.port}/`)
  return yield* report(yield* listening.results)
})

process.exitCode = await Effect.runPromise(Effect.scoped(program)) ? 0 : 1
