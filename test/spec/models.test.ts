/**
 * The models of the protocol in `spec`: Spin tries all orders of events within their bounds, and finds no claim violated. For each
 * claim it finds a mutant of the model that violates it: a claim that nothing violates would say nothing.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { execFile, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { promisify } from "node:util"
import { everyOther } from "../support/extent.ts"

const root = Path.join(import.meta.dirname, "..", "..")
const spec = Path.join(root, "spec")

/** Which claims each mutant violates: the first that Spin comes upon, or all that are listed where it looks for more. */
const mutants: Record<string, Record<string, ReadonlyArray<string>>> = {
  resume: {
    EARLIER_READY_AWAITED: ["never_stopped", "none_awaited"],
    HANDED_LINK_STAYS: ["one_link", "let_go"],
    LATE_READY_COUNTS: ["never_stopped", "one_link", "let_go", "none_awaited"],
    LETS_GO_AT_READY: ["never_stopped", "let_go"],
    NO_NUMBERS: ["never_stopped", "given_up"],
    NUMBER_USED_AGAIN: ["never_stopped"],
    SUPERSEDED_IS_WELCOMED: ["never_stopped", "none_awaited"],
    TOKEN_OVER_AT_WELCOME: ["never_stopped"]
  },
  replay: {
    ACK_FREES_MEMORY: ["own_bytes"],
    ALL_KEPT_IS_SENT_AGAIN: ["acted_on_once"],
    BEGUN_MESSAGE_IS_NOT_COUNTED: ["acted_on_once"],
    DOES_NOT_ASK: ["all_arrive"],
    LATE_ACK_COUNTS: ["true_acks"],
    LOST_LINK_FORGOTTEN: ["own_bytes"],
    NO_BOUND: ["bounded"],
    QUESTION_SURVIVES_LINK: ["all_arrive"]
  },
  drain: {
    CALLS_ARE_LEFT_OPEN: ["has_outcome"],
    HANDLERS_MAY_NOT_CALL: ["may_call_back"],
    LAST_ID_OF_ANSWERED: ["not_processed"],
    NO_LIMIT_IN_TIME: ["connection_ends"],
    SECOND_GOES_ON: ["no_call_lost"],
    SECOND_WITHOUT_LINK: ["no_call_lost"],
    SERVES_AFTER_GOAWAY: ["not_processed"],
    WAITING_CALLS_ARE_FORGOTTEN: ["no_call_lost"]
  },
  credit: {
    CONNECTION_NEVER_WAITS: ["few_unread"],
    CONNECTION_WAITS_FOR_READERS: ["own_stream_only"],
    CREDIT_REPLACES: ["conserved"],
    IGNORED_DATA_COSTS: ["own_stream_only"],
    NEEDS_NO_CONNECTION_CREDIT: ["within_credit"],
    NEEDS_NO_STREAM_CREDIT: ["within_credit"],
    READING_GIVES_NOTHING: ["own_stream_only", "all_is_read"],
    TAKES_CREDIT_BACK: ["within_credit"]
  }
}

const textOf = (model: string): string => Fs.readFileSync(Path.join(spec, `${model}.pml`), "utf8")

/** What a model claims: the lines of its first comment that begin with `claim`, each with a quotation and its section. */
const claimsOf = (model: string) =>
  [...textOf(model).matchAll(/^ \* claim (\w+): "([^"]+)" \(PROTOCOL\.md, "([^"]+)"\)$/gm)].map(
    ([, name, quote, section]) => ({ name: name!, quote: quote!, section: section! })
  )

const missing = ["spin", "cc"].filter((command) => spawnSync(command, ["--version"]).error !== undefined)
const isSkipped = missing.length > 0 && process.env["CI"] !== "true"
const advice = `missing: ${missing.join(" and ")}. To install them: apt-get install -y spin gcc libc6-dev`
if (isSkipped) console.warn(`The models of the protocol are not run; ${advice}`)

const run = promisify(execFile)

/** Tries all orders of events of a model; answers which claims are violated, and how many states it has. */
const verify = async (directory: string, model: string, mutant: string | undefined, isExhaustive: boolean) => {
  const cwd = Path.join(directory, `${model}-${mutant ?? "whole"}`)
  Fs.mkdirSync(cwd)
  const defined = mutant === undefined ? [] : [`-DMUTANT_${mutant}`]
  await run("spin", ["-a", ...defined, Path.join(spec, `${model}.pml`)], { cwd })
  // Compiling is what takes the time: a mutant is found out early.
  await run("cc", [mutant === undefined ? "-O1" : "-O0", "-w", "-DSAFETY", "-o", "pan", "pan.c"], { cwd })
  const start = performance.now()
  const { stdout } = await run(Path.join(cwd, "pan"), ["-w20", isExhaustive ? "-c0" : "-c1"], {
    cwd,
    maxBuffer: 2 ** 26
  })
  const seconds = (performance.now() - start) / 1000
  const violated = new Set([...stdout.matchAll(/assertion violated \((\w+)\|\|/g)].map((match) => match[1]!))
  return {
    seconds,
    violated: [...violated].sort(),
    states: Number(/(\d+) states, stored/.exec(stdout)?.[1]),
    errors: Number(/errors: (\d+)/.exec(stdout)?.[1]),
    isWhole: !/max search depth too small|Search not completed/.test(stdout),
    stdout
  }
}

describe("models of the protocol", () => {
  it("each claim quotes PROTOCOL.md, and has a mutant that violates it", () => {
    const sections = new Map(
      Fs.readFileSync(Path.join(root, "PROTOCOL.md"), "utf8").split(/^#+ /m).map((section) => {
        const title = section.slice(0, section.indexOf("\n"))
        return [title, section.replaceAll(/\s+/g, " ")]
      })
    )
    for (const model of Object.keys(mutants)) {
      const claims = claimsOf(model)
      const unfounded = claims.filter(({ quote, section }) => !sections.get(section)?.includes(quote))
      assert.deepStrictEqual(unfounded, [], model)
      assert.deepStrictEqual(
        [...new Set(Object.values(mutants[model]!).flat())].sort(),
        claims.map(({ name }) => name).sort(),
        model
      )
      const text = textOf(model)
      assert.deepStrictEqual(
        [...new Set([...text.matchAll(/ MUTANT_(\w+)/g)].map((match) => match[1]!))].sort(),
        Object.keys(mutants[model]!).sort(),
        model
      )
      assert.deepStrictEqual(
        [...new Set([...text.matchAll(/\bclaim\((\w+), (?!holds)/g)].map((match) => match[1]!))].sort(),
        claims.map(({ name }) => name).sort(),
        model
      )
    }
  })

  it("each model is run", () => {
    const models = Fs.readdirSync(spec).filter((file) => file.endsWith(".pml")).map((file) => file.slice(0, -4))
    assert.deepStrictEqual(models.sort(), Object.keys(mutants).sort())
  })
})

for (const model of Object.keys(mutants)) {
  describe.skipIf(isSkipped)(`model ${model}`, () => {
    let directory: string
    beforeAll(() => {
      assert.isEmpty(missing, advice)
      directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "swaggersocket-models-"))
    })
    afterAll(() => Fs.rmSync(directory, { recursive: true, force: true }))

    it(`no order of events violates a claim of ${model}`, async () => {
      const { errors, isWhole, seconds, states, stdout } = await verify(directory, model, undefined, false)
      console.log(`${model}: ${states} states in ${seconds.toFixed(1)} s`)
      assert.strictEqual(errors, 0, stdout)
      assert.isTrue(isWhole, stdout)
      // A model that is stuck at its beginning violates nothing either.
      assert.isAbove(states, 10_000)
    })

    // Compiling them takes a minute: a run takes every other one, `WHOLE=1` all.
    for (const [mutant, expected] of everyOther(Object.entries(mutants[model]!))) {
      it(`mutant ${mutant} of ${model} violates ${expected.join(", ")}`, async () => {
        const { stdout, violated } = await verify(directory, model, mutant, expected.length > 1)
        assert.deepStrictEqual(violated, [...expected].sort(), stdout)
      })
    }
  })
}
