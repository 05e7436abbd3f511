/**
 * A decoder and an encoder behind lines of JSON, as a program in any language would be.
 */
import { Conformance } from "effect-swaggersocket/testing"
import * as Effect from "effect/Effect"
import * as Readline from "node:readline"

interface Question {
  readonly decode?: ReadonlyArray<string>
  readonly encode?: ReadonlyArray<ReadonlyArray<Conformance.Frame>>
  readonly settings: Conformance.Settings
}

const { decode, encode } = Conformance.standard

const answer = ({ decode: messages, encode: frames, settings }: Question): unknown =>
  messages === undefined
    ? { messages: Effect.runSync(encode(frames ?? [], settings)) }
    : Effect.runSync(decode(messages, settings))

// oxlint-disable-next-line no-control-regex
const isAscii = /^[\0-\x7f]*$/

Readline.createInterface({ input: process.stdin }).on("line", (line) => {
  if (!isAscii.test(line)) process.exit(4)
  switch (process.argv[2]) {
    case "ends":
      return process.exit(3)
    case "garbles":
      return process.stdout.write("hello\n")
    case "forgets":
      return process.stdout.write("{\"messages\":[],\"frames\":[]}\n")
    default:
      return process.stdout.write(`${JSON.stringify(answer(JSON.parse(line)))}\n`)
  }
})
