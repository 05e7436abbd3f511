/**
 * `docs/attacks.md`: each attack has a defence, the answer that an attacker gets and a test that exists, or a reason why it does not
 * apply. Limits that are named have the defaults of `Limits`.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Limits from "effect-swaggersocket/Limits"
import * as Duration from "effect/Duration"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { literalsOf } from "../support/literals.ts"

const root = Path.join(import.meta.dirname, "../..")
const text = Fs.readFileSync(Path.join(root, "docs/attacks.md"), "utf8")

interface Attack {
  readonly table: string
  readonly attack: string
  readonly applies: string
  readonly defence: string
  readonly answer: string
  readonly tests: string
}

const columns = ["attack", "applies here", "defence", "answer", "test"]

const attacks: Array<Attack> = text.split(/^## /m).slice(1).flatMap((section) => {
  const [table = "", ...lines] = section.split("\n")
  const rows = lines.filter((line) => line.startsWith("|"))
    .map((line) => line.slice(1, -1).split(/(?<!\\)\|/).map((cell) => cell.trim()))
  if (rows.length === 0) return []
  assert.deepStrictEqual(rows[0], columns, table)
  return rows.slice(2).map((cells) => {
    assert.strictEqual(cells.length, columns.length, `${table}: ${cells[0]}`)
    const [attack, applies, defence, answer, tests] = cells as [string, string, string, string, string]
    return { table, attack, applies, defence, answer, tests }
  })
})

/** `path`: "title", any number of them. */
const citation = /`([^`]+)`: "([^"]+)"/g

const citationsOf = (tests: string) =>
  [...tests.matchAll(citation)].map(([, file, title]) => ({ file: file!, title: title!.replaceAll("\\", "") }))

// --- titles of tests -------------------------------------------------------------------------------------------------

interface Texts {
  readonly code: string
  readonly plain: ReadonlySet<string>
  /** Templates, with what may stand in their places. */
  readonly templates: ReadonlyArray<RegExp>
}

const texts = new Map<string, Texts>()

const escaped = (part: string): string => part.replaceAll(/[$()*+.?[\\\]^{|}]/g, "\\$&")

const unescaped = (source: string): string => source.replaceAll(/\\(.)/g, "$1")

const textsOf = (file: string): Texts => {
  const known = texts.get(file)
  if (known !== undefined) return known
  const code = Fs.readFileSync(Path.join(root, file), "utf8")
  const plain = new Set<string>()
  const templates: Array<RegExp> = []
  for (const { kind, source } of literalsOf(code)) {
    if (kind === "regex") continue
    const text = source.slice(1, -1)
    const parts = kind === "string" ? [text] : text.split(/\$\{(?:[^{}]|\{[^{}]*\})*\}/)
    if (parts.length === 1) plain.add(unescaped(text))
    // Templates of nothing but places would fit anything.
    else if (parts.join("").trim().length > 1) {
      templates.push(new RegExp(`^${parts.map((part) => escaped(unescaped(part))).join("(.*?)")}$`))
    }
  }
  const found = { code, plain, templates }
  texts.set(file, found)
  return found
}

/** Numbers that the test has calculated. */
const numbers = /^[\d,.]+(?: or [\d,.]+)*$/

/** Whether a text is written in a file, or made there of a template and texts that are written there. */
const isMade = (file: Texts, title: string, depth: number): boolean =>
  file.plain.has(title) || file.templates.some((template) => {
    const places = template.exec(title)?.slice(1)
    return places?.every((place) =>
      numbers.test(place) || file.code.includes(place) || (depth > 0 && isMade(file, place, depth - 1))
    ) === true
  })

// --- defaults of limits ----------------------------------------------------------------------------------------------

const units: Readonly<Record<string, number>> = {
  "": 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  s: 1000,
  min: 60_000
}

const shownNumber = (shown: string): number => {
  const [, number = "", unit = ""] = /^([\d,]+) ?(\w*)$/.exec(shown) ?? []
  return Number(number.replaceAll(",", "")) * (units[unit] ?? NaN)
}

const limitsIn = (cell: string) => [...cell.matchAll(/`(\w+)` \(([^)]+)\)/g)]

describe("docs/attacks.md", () => {
  it("each section with a table has attacks, and no attack is told twice in one", () => {
    const tables = new Map<string, Array<string>>()
    for (const { attack, table } of attacks) tables.set(table, [...tables.get(table) ?? [], attack])
    assert.isAtLeast(tables.size, 8)
    for (const [table, told] of tables) {
      assert.strictEqual(new Set(told).size, told.length, table)
      const ids = told.flatMap((attack) => attack.match(/CVE-\d+-\d+|GHSA(?:-\w{4}){3}/g) ?? [])
      assert.deepStrictEqual(ids.filter((id, index) => ids.indexOf(id) !== index), [], table)
    }
  })

  it("ids of attacks have the form of ids", () => {
    for (const id of text.match(/\b(?:CVE|GHSA|GO)-[\w-]+/g) ?? []) {
      assert.match(id, /^(?:CVE-\d{4}-\d{4,7}|GHSA(?:-[23456789cfghjmpqrvwx]{4}){3}|GO-\d{4}-\d{4})$/)
    }
  })

  it("each attack that applies has a defence, an answer and a test; each other one has a reason", () => {
    for (const { answer, applies, attack, defence, table, tests } of attacks) {
      const where = `${table}: ${attack}`
      if (applies.startsWith("no: ")) {
        assert.isAbove(applies.length, 20, where)
        continue
      }
      assert.match(applies, /^yes(?:: |$)/, where)
      for (const cell of [defence, answer]) assert.isAbove(cell.length, 2, where)
      assert.isAtLeast(citationsOf(tests).length, 1, `${where}: no test`)
    }
  })

  it("each test that is named exists, under its title", () => {
    const missing: Array<string> = []
    for (const { tests } of attacks) {
      for (const { file, title } of citationsOf(tests)) {
        if (!Fs.existsSync(Path.join(root, file)) || !isMade(textsOf(file), title, 2)) {
          missing.push(`${file}: ${title}`)
        }
      }
      // Nothing but tests stands there.
      assert.strictEqual(tests.replaceAll(citation, "").replaceAll(/<br>|[.;\s-]/g, ""), "", tests)
    }
    assert.deepStrictEqual(missing, [])
  })

  it("a title that no test has is found out", () => {
    const file = textsOf("test/hostile/floods.test.ts")
    assert.isTrue(isMade(file, "a flood of streams reset by RESPONSE is a connection error EXCESSIVE_LOAD (4009)", 2))
    assert.isFalse(isMade(file, "a flood of streams reset by nobody is a connection error EXCESSIVE_LOAD (4009)", 2))
    assert.isFalse(isMade(file, "a flood of something", 2))
  })

  it("limits that are named have their defaults", () => {
    let named = 0
    for (
      const [, name, shown] of attacks.flatMap(({ answer, applies, defence }) =>
        [defence, answer, applies].flatMap(limitsIn)
      )
    ) {
      const value: unknown = Limits.defaults[name as keyof Limits.Limits]
      assert.isDefined(value, `there is no limit ${name}`)
      named++
      const expected = Duration.isDuration(value) ? Duration.toMillis(value) : value
      assert.strictEqual(shownNumber(shown!), expected, `${name} (${shown})`)
    }
    assert.isAbove(named, 20)
  })
})
