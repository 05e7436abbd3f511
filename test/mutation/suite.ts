/**
 * Tests that run again and again in one process: `describe`, `it` and the hooks keep what they are given, and `runTest` runs
 * one of the tests. Vitest's own would load everything anew for each run, which takes longer than most of the tests.
 */
import { expect } from "vitest"

type Hook = () => unknown

interface Group {
  readonly name: string
  readonly parent: Group | undefined
  readonly beforeAll: Array<Hook>
  readonly afterAll: Array<Hook>
  readonly beforeEach: Array<Hook>
  readonly afterEach: Array<Hook>
  isBegun: boolean
}

export interface Test {
  /** With those of its groups, of which the first is the file. */
  readonly name: string
  readonly group: Group
  readonly body: (context: unknown) => unknown
}

const group = (name: string, parent: Group | undefined): Group => ({
  name,
  parent,
  beforeAll: [],
  afterAll: [],
  beforeEach: [],
  afterEach: [],
  isBegun: false
})

let current: Group = group("", undefined)
let tests: Array<Test> = []

const named = ({ name, parent }: Group): string =>
  parent === undefined || parent.name === "" ? name : `${named(parent)} > ${name}`

const register = (name: string, ...rest: ReadonlyArray<unknown>): void => {
  const body = rest.find((part): part is Test["body"] => typeof part === "function")
  if (body !== undefined) tests.push({ name: `${named(current)} > ${name}`, group: current, body })
}

const skip = (): void => {}

const withCases = (cases: ReadonlyArray<unknown>) => (name: string, ...rest: ReadonlyArray<unknown>): void => {
  const body = rest.find((part) => typeof part === "function") as (one: unknown, context: unknown) => unknown
  for (const [index, one] of cases.entries()) {
    const title = name.replace("%s", () => String(one))
    register(title === name ? `${name} ${index}` : title, (context: unknown) => body(one, context))
  }
}

export const it = Object.assign(register, {
  skip,
  todo: skip,
  only: register,
  fails: skip,
  skipIf: (condition: unknown) => condition === true ? skip : register,
  runIf: (condition: unknown) => condition === true ? register : skip,
  for: withCases,
  each: withCases
})

export const describe = Object.assign((name: string, ...rest: ReadonlyArray<unknown>): void => {
  const body = rest.find((part): part is () => void => typeof part === "function")
  const outer = current
  current = group(name, outer)
  body?.()
  current = outer
}, { skip, skipIf: (condition: unknown) => condition === true ? skip : describe })

const hook = (kind: "beforeAll" | "afterAll" | "beforeEach" | "afterEach") => (run: Hook): void =>
  void current[kind].push(run)

export const hooks = {
  beforeAll: hook("beforeAll"),
  afterAll: hook("afterAll"),
  beforeEach: hook("beforeEach"),
  afterEach: hook("afterEach")
}

/** Each file of tests has hooks of its own. */
export const beginFile = (name: string): void => void (current = group(name, undefined))

/** The tests that have been registered since it was called last. */
export const takeTests = (): Array<Test> => {
  const taken = tests
  tests = []
  return taken
}

/** From the outermost to the group itself. */
const path = (group: Group): Array<Group> => group.parent === undefined ? [group] : [...path(group.parent), group]

/** Runs what the groups of a test have to do before their first test. */
export const beginGroups = async (test: Test): Promise<void> => {
  for (const group of path(test.group)) {
    if (group.isBegun) continue
    group.isBegun = true
    for (const run of group.beforeAll) await run()
  }
}

const withBody = async (test: Test, signal: AbortSignal): Promise<void> => {
  await beginGroups(test)
  const groups = path(test.group)
  const finished: Array<Hook> = []
  for (const group of groups) for (const run of group.beforeEach) await run()
  try {
    await test.body({
      signal,
      expect,
      skip,
      task: { name: test.name },
      onTestFinished: (run: Hook) => void finished.push(run),
      onTestFailed: skip
    })
  } finally {
    for (const run of finished) await run()
    for (const group of groups.toReversed()) for (const run of group.afterEach) await run()
  }
}

/** Fails when the test does, or when it takes longer than it may. */
export const runTest = async (test: Test, limitMillis: number): Promise<void> => {
  const controller = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      controller.abort()
      reject(new OutOfTime())
    }, limitMillis)
  })
  try {
    await Promise.race([withBody(test, controller.signal), late])
  } finally {
    clearTimeout(timer)
  }
}

export class OutOfTime extends Error {}

/** Runs what the groups of these tests have to do at their end. */
export const endTests = async (ran: ReadonlyArray<Test>): Promise<void> => {
  for (const group of new Set(ran.flatMap(({ group }) => path(group).toReversed()))) {
    if (!group.isBegun) continue
    group.isBegun = false
    for (const run of group.afterAll) await run()
  }
}
