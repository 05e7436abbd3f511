/**
 * The process that runs mutants. Each mutant gets a fresh copy of the sources and the tests, so that nothing which one of them
 * breaks in a module reaches the next; Effect and the platform are loaded once.
 */
import { pathToFileURL } from "node:url"
import type { Answer, Asked, Covered, Question } from "./messages.ts"
import * as suite from "./suite.ts"

interface Bundle {
  readonly files: Readonly<Record<string, () => Promise<unknown>>>
  readonly endFile: () => void
}

/** Asks whether a mutant is active, and notes that it was reached. */
let isActive: (mutant: number) => boolean = () => false

Object.assign(globalThis, {
  __mutation: { ...suite.hooks, describe: suite.describe, it: suite.it },
  // Each copy keeps its own: code of an earlier copy may still run.
  __mutationSwitch: () => isActive
})

const say = (answer: Answer): void => void process.send!(answer)

let copies = 0

/** A copy of the sources and the tests. Files of tests are loaded when the first of their tests is asked for. */
class Copy {
  readonly #bundle: Bundle
  readonly #files = new Map<string, ReadonlyArray<suite.Test>>()

  private constructor(bundle: Bundle) {
    this.#bundle = bundle
  }

  static async load(file: string, active: (mutant: number) => boolean): Promise<Copy> {
    isActive = active
    return new Copy(await import(`${pathToFileURL(file).href}?copy=${++copies}`) as Bundle)
  }

  get files(): ReadonlyArray<string> {
    return Object.keys(this.#bundle.files)
  }

  async tests(file: string): Promise<ReadonlyArray<suite.Test>> {
    let tests = this.#files.get(file)
    if (tests === undefined) {
      suite.beginFile(file)
      try {
        await this.#bundle.files[file]!()
      } finally {
        tests = suite.takeTests()
      }
      this.#files.set(file, tests)
    }
    return tests
  }

  endFile(): void {
    this.#bundle.endFile()
  }
}

/** What failed outside of any test: Vitest would fail the run. */
let loose: string | undefined
const onLoose = (error: unknown): void => void (loose ??= textOf(error))
process.on("uncaughtException", onLoose)
process.on("unhandledRejection", onLoose)

const textOf = (error: unknown): string => {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return text.length > 300 ? `${text.slice(0, 300)}...` : text
}

const endOfTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Counts what the test under way comes by, and ends its endless loops. */
let visits = 0
let maxVisits = Infinity

const only = (mutant: number) => (id: number): boolean => {
  if (++visits > maxVisits) throw new Error("an endless loop")
  return id === mutant
}

const cover = async ({ bundle, limitMillis, mutants }: Extract<Question, { kind: "cover" }>): Promise<void> => {
  const reached = new Uint8Array(mutants + 1)
  const taken = (): Array<number> => {
    const ids: Array<number> = []
    for (let id = 1; id <= mutants; id++) if (reached[id] === 1) ids.push(id)
    reached.fill(0)
    return ids
  }
  const copy = await Copy.load(bundle, (mutant) => {
    reached[mutant] = 1
    visits++
    return false
  })
  const whileLoading = new Set<number>()
  const covered: Array<Covered> = []
  for (const file of copy.files) {
    say({ kind: "test", name: file })
    const tests = await copy.tests(file)
    for (const id of taken()) whileLoading.add(id)
    const ofGroups = new Map<unknown, ReadonlyArray<number>>()
    for (const test of tests) {
      say({ kind: "test", name: test.name })
      let failure: string | undefined
      let begun = performance.now()
      let used = process.cpuUsage()
      try {
        await suite.beginGroups(test)
        ofGroups.set(test.group, [...ofGroups.get(test.group) ?? [], ...taken()])
        begun = performance.now()
        visits = 0
        used = process.cpuUsage()
        await suite.runTest(test, limitMillis)
        await endOfTurn()
      } catch (error) {
        failure = textOf(error)
      }
      const millis = performance.now() - begun
      const { system, user } = process.cpuUsage(used)
      const reaches = [...new Set([...taken(), ...ofGroups.get(test.group) ?? []])]
      covered.push({
        file,
        name: test.name,
        millis,
        work: (user + system) / 1000,
        visits,
        reaches,
        failure: failure ?? loose
      })
      loose = undefined
    }
    await suite.endTests(tests)
  }
  copy.endFile()
  say({ kind: "covered", tests: covered, whileLoading: [...whileLoading] })
}

type Verdict = Omit<Extract<Answer, { kind: "ran" }>, "kind" | "memory">

const survived: Verdict = { outcome: "survived", by: "", why: "", doubt: undefined }

const runOne = async (
  copy: Copy,
  { file, limitMillis, limitVisits, name }: Asked,
  ran: Array<suite.Test>
): Promise<Verdict> => {
  const failed = (outcome: Verdict["outcome"], why: string, doubt?: "outside"): Verdict => ({
    outcome,
    by: name,
    why,
    doubt
  })
  say({ kind: "test", name })
  visits = 0
  maxVisits = limitVisits
  try {
    const test = (await copy.tests(file)).find((test) => test.name === name)
    if (test === undefined) return failed("killed", "the test is gone")
    ran.push(test)
    await suite.runTest(test, limitMillis)
  } catch (error) {
    return failed(error instanceof suite.OutOfTime || visits > maxVisits ? "timeout" : "killed", textOf(error))
  }
  await endOfTurn()
  return loose === undefined ? survived : failed("killed", loose, "outside")
}

const runTests = async (copy: Copy, asked: ReadonlyArray<Asked>): Promise<Verdict> => {
  loose = undefined
  const ran: Array<suite.Test> = []
  try {
    for (const test of asked) {
      const verdict = await runOne(copy, test, ran)
      if (verdict.outcome !== "survived") return verdict
    }
    return survived
  } finally {
    await Promise.race([
      suite.endTests(ran).catch(() => {}),
      new Promise((resolve) => setTimeout(resolve, 1000))
    ])
    copy.endFile()
  }
}

/** Without a mutant, and kept: what a test fails with here is not the mutant's doing. */
let control: Promise<Copy> | undefined

const run = async ({ bundle, mutant, tests }: Extract<Question, { kind: "run" }>): Promise<void> => {
  const verdict = await runTests(await Copy.load(bundle, only(mutant)), tests)
  const killer = tests.filter(({ name }) => name === verdict.by)
  control ??= Copy.load(bundle, () => false)
  const failsAlone = killer.length > 0 && (await runTests(await control, killer)).outcome !== "survived"
  const doubt = failsAlone ? "fails alone" : verdict.doubt
  const memory = process.memoryUsage().rss / 2 ** 20
  say({ kind: "ran", ...verdict, doubt, memory })
}

process.on("message", (question: Question) => void (question.kind === "cover" ? cover(question) : run(question)))
process.on("disconnect", () => process.exit())
