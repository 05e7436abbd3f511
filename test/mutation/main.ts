/**
 * Mutation testing: `npm run mutate -- frame streams` changes the code of these folders of `src/internal` in thousands of small
 * ways, and runs for each change the tests that reach it until one fails. A change that no test notices says that a claim is
 * missing, or that the code is.
 *
 * `--again` runs only those that the last run let survive; `--only=TEXT` those of files whose name has the text in it;
 * `--every=5` each fifth, for an estimate.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { bundle, bundleWorker, root } from "./bundle.ts"
import { type Justified, justified } from "./justified.ts"
import type { Asked, Covered, Outcome } from "./messages.ts"
import { Runner } from "./runner.ts"
import type { Mutant } from "./schemata.ts"
import { leftOut, notMutated, targets } from "./targets.ts"

const cache = path.join(root, "node_modules", ".cache", "effect-swaggersocket")

/** How long a test may take: a mutant that makes it wait hangs. */
const limitOf = (millis: number): number => Math.round(2000 + 8 * millis)
/** Processor time that tests of other folders get for one mutant, in milliseconds. */
const maxWork = 1200
/** A test that takes longer than this without any mutant is left out. */
const maxMillis = 8000

type Result = Outcome | "not reached" | "justified"

interface Judged {
  readonly mutant: Mutant
  readonly result: Result
  readonly by: string
}

const files = (folder: string, ending: string): Array<string> =>
  fs.readdirSync(path.join(root, folder), { encoding: "utf8" })
    .filter((name) => name.endsWith(ending))
    .map((name) => `${folder}/${name}`)
    .sort()

const testsOf = (target: string): Array<string> =>
  targets[target]!.flatMap((place) => place.endsWith(".ts") ? [`test/${place}`] : files(`test/${place}`, ".test.ts"))
    .filter((file) => !leftOut.has(file))

/** The same after lines were added above. */
const keyOf = ({ code, file, replacement, source }: Mutant): string => [file, source, code, replacement].join("\u0000")

const isOf = (mutant: Mutant) => ({ code, file, replacement, source }: Justified): boolean =>
  file === mutant.file && source === mutant.source && (code ?? mutant.code) === mutant.code &&
  (replacement ?? mutant.replacement) === mutant.replacement

const shortened = (text: string): string => {
  const line = text.replace(/\s+/g, " ")
  return line.length > 150 ? `${line.slice(0, 100)} ... ${line.slice(-45)}` : line
}

const shown = ({ code, file, line, mutator, replacement }: Mutant): string =>
  `${file}:${line} (${mutator})\n    - ${shortened(code)}\n    + ${shortened(replacement)}`

/** The tests that reach a mutant, quickest first, or all when loading a module does: those of the folder, then some others. */
const testsFor = (
  target: string,
  tests: ReadonlyArray<Covered>,
  whileLoading: ReadonlySet<number>,
  id: number
): ReadonlyArray<Asked> => {
  const quickest = (some: ReadonlyArray<Covered>) => some.toSorted((a, b) => a.work - b.work)
  const reaching = whileLoading.has(id) ? tests : tests.filter(({ reaches }) => reaches.includes(id))
  const isOwn = ({ file }: Covered): boolean => file.startsWith(`test/${target}/`)
  let work = 0
  const others = quickest(reaching.filter((test) => !isOwn(test))).filter((test, index) =>
    (work += test.work) <= maxWork || index === 0
  )
  return [...quickest(reaching.filter(isOwn)), ...others].map(({ file, millis, name, visits }) => ({
    file,
    name,
    limitMillis: limitOf(millis),
    limitVisits: 1_000_000 + 20 * visits
  }))
}

/** Tests that fail without a mutant when they run alone. They are found out one by one, and left out from then on. */
const dependent = new Set<string>()

const judge = async (runner: Runner, file: string, mutant: Mutant, all: ReadonlyArray<Asked>): Promise<Judged> => {
  let spoilt: string | undefined
  for (;;) {
    const tests = all.filter(({ name }) => !dependent.has(name))
    if (tests.length === 0) return { mutant, result: "not reached", by: "" }
    const limit = Math.max(...tests.map(({ limitMillis }) => limitMillis))
    const answer = await runner.ask({ kind: "run", bundle: file, mutant: mutant.id, tests }, limit)
    if (answer?.kind !== "ran") return { mutant, result: "timeout", by: "the process hung or died" }
    if (answer.doubt === undefined || (answer.doubt === "outside" && spoilt === answer.by)) {
      return { mutant, result: answer.outcome, by: `${answer.by}: ${answer.why}` }
    }
    // In a fresh process it is the test's doing.
    if (spoilt === answer.by) dependent.add(answer.by)
    spoilt = answer.by
  }
}

/** A terminal shows each step, a file every hundredth. */
const progress = (text: string, isMilestone = false): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`)
  else if (isMilestone) console.log(text)
}

/** What is random is the same for each mutant, and short: a test that needs luck is no claim. */
const environment = (folder: string): NodeJS.ProcessEnv => ({
  TEST_PROGRAMS: folder,
  VITEST: "true",
  FUZZ_SEED: "1",
  FUZZ_COUNT: "300"
})

/** Most of the time of a mutant that hangs is spent waiting, so several processes run at once. */
const processes = 4

/** The results in the order of the mutants, which `runner` and others like it take as they come. */
const eachOf = async (
  mutants: ReadonlyArray<Mutant>,
  runner: Runner,
  run: (mutant: Mutant, runner: Runner) => Promise<Judged>,
  onResult: (count: number) => void
): Promise<ReadonlyArray<Judged>> => {
  const results: Array<Judged> = []
  let next = 0
  let count = 0
  await Promise.all(Array.from({ length: processes }, async (_, index) => {
    const own = index === 0 ? runner : runner.another()
    try {
      while (next < mutants.length) {
        const at = next++
        results[at] = await run(mutants[at]!, own)
        onResult(++count)
      }
    } finally {
      own.end()
    }
  }))
  return results
}

interface Options {
  readonly again: boolean
  readonly only: string
  readonly every: number
}

const measure = async (target: string, folder: string, options: Options): Promise<ReadonlyArray<Judged>> => {
  const begun = Date.now()
  const file = path.join(folder, `${target}.mjs`)
  const sources = files(`src/internal/${target}`, ".ts").filter((name) =>
    name.includes(options.only) && !notMutated.has(name)
  )
  const mutants = await bundle(file, sources, testsOf(target))
  const runner = new Runner(path.join(folder, "worker.mjs"), environment(folder))
  const covered = await runner.ask(
    { kind: "cover", bundle: file, mutants: mutants.length, limitMillis: maxMillis },
    60_000
  )
  if (covered?.kind !== "covered") throw new Error(`The tests of ${target} hang without a mutant.`)
  const tests = covered.tests.filter(({ failure }) => failure === undefined)
  console.log(
    `${target}: ${mutants.length} mutants, ${tests.length} tests, ${seconds(begun)} s to find out what they reach`
  )
  for (const { failure, name } of covered.tests) {
    if (failure !== undefined) console.log(`  left out, fails without a mutant: ${name}: ${failure}`)
  }
  if (process.env.MUTATION_DEBUG !== undefined) {
    for (const { millis, name } of tests.toSorted((a, b) => b.work - a.work).slice(0, 30)) {
      console.log(`  ${Math.round(millis)} ms: ${name}`)
    }
  }
  const last = path.join(cache, `mutation-${target}.json`)
  const known = options.again ? new Set(JSON.parse(fs.readFileSync(last, "utf8")) as Array<string>) : undefined
  const whileLoading = new Set(covered.whileLoading)
  const chosen = mutants.filter((mutant) =>
    mutant.id % options.every === 0 && (known === undefined || known.has(keyOf(mutant)))
  )
  const judged = await eachOf(chosen, runner, async (mutant, runner) => {
    const { by, result } = await judge(runner, file, mutant, testsFor(target, tests, whileLoading, mutant.id))
    const isAllowed = isAlive(result) && justified.some(isOf(mutant))
    if (process.env.MUTATION_DEBUG !== undefined) console.log(mutant.id, result, by, shown(mutant))
    return { mutant, result: isAllowed ? "justified" : result, by }
  }, (count) => progress(`${target}: ${count} of ${chosen.length}, ${seconds(begun)} s`, count % 100 === 0))
  progress("")
  const alive = judged.filter(({ result }) => isAlive(result))
  if (options.every === 1) fs.writeFileSync(last, JSON.stringify(alive.map(({ mutant }) => keyOf(mutant))))
  for (const { mutant, result } of alive) console.log(`  ${result}: ${shown(mutant)}`)
  for (const name of dependent) console.log(`  left out, fails when it runs alone: ${name}`)
  for (const entry of justified) {
    const ofFile = judged.filter(({ mutant }) => mutant.file === entry.file)
    if (
      !options.again && options.every === 1 && ofFile.length > 0 &&
      !ofFile.some(({ mutant, result }) => result === "justified" && isOf(mutant)(entry))
    ) {
      console.log(`  needs no justification any more: ${entry.file}: ${entry.source}`)
    }
  }
  console.log(`${summary(target, judged)}, in ${seconds(begun)} s`)
  return judged
}

const seconds = (since: number): number => Math.round((Date.now() - since) / 1000)

const isAlive = (result: Result): boolean => result === "survived" || result === "not reached"

const summary = (name: string, judged: ReadonlyArray<Judged>): string => {
  const count = (result: Result): number => judged.filter((one) => one.result === result).length
  const dead = count("killed") + count("timeout")
  const counted = judged.length - count("justified")
  const score = counted === 0 ? 100 : 100 * dead / counted
  const results: ReadonlyArray<Result> = ["killed", "timeout", "survived", "not reached", "justified"]
  return `${name}: ${score.toFixed(1)} % (${results.map((result) => `${count(result)} ${result}`).join(", ")})`
}

const main = async (): Promise<void> => {
  const words = process.argv.slice(2)
  const names = words.filter((word) => !word.startsWith("--"))
  const unknown = names.filter((name) => !Object.hasOwn(targets, name))
  if (unknown.length > 0) {
    throw new Error(`No folder is called ${unknown.join(", ")}: ${Object.keys(targets).join(", ")}`)
  }
  const valueOf = (option: string): string | undefined =>
    words.find((word) => word.startsWith(`--${option}=`))?.slice(option.length + 3)
  const options: Options = {
    again: words.includes("--again"),
    only: valueOf("only") ?? "",
    every: Number(valueOf("every") ?? 1)
  }
  fs.mkdirSync(cache, { recursive: true })
  const folder = fs.mkdtempSync(path.join(cache, "mutation-"))
  process.once("SIGINT", () => process.exit(130)).once("SIGTERM", () => process.exit(143))
  process.once("exit", () => fs.rmSync(folder, { recursive: true, force: true }))
  await bundleWorker(path.join(folder, "worker.mjs"))
  const results = new Map<string, ReadonlyArray<Judged>>()
  for (const name of names.length > 0 ? names : Object.keys(targets)) {
    results.set(name, await measure(name, folder, options))
  }
  console.log("")
  for (const [name, judged] of results) console.log(summary(name, judged))
  if (results.size > 1) console.log(summary("all", [...results.values()].flat()))
}

await main()
