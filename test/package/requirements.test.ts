/**
 * The sentences of PROTOCOL.md with MUST: each has an id, and is named by a test of this package, by a vector or by a trace. A test names one in a
 * comment above it: `// PROTOCOL.md HS-1, HS-2`.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Conformance from "effect-swaggersocket/testing/Conformance"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { loadTraces } from "../../src/internal/testing/traces/model.ts"

const root = Path.join(import.meta.dirname, "../..")

const text = Fs.readFileSync(Path.join(root, "PROTOCOL.md"), "utf8").replace(/^```[^]*?^```$/gm, "")

/** Paragraphs, and items of lists. The section that says how the words are used has them without meaning anything by them. */
const blocks = text.split(/^## /m).filter((section) => !section.startsWith("Conventions\n"))
  .flatMap((section) => section.split(/\n(?=\n|- |\d+\. |\|)/))
  .map((block) => block.trim().replaceAll(/\s+/g, " "))

const idPattern = /^(?:- )?\*\*([A-Z]+-\d+)\.\*\* /

const requirements = blocks.flatMap((block) => {
  const id = idPattern.exec(block)?.[1]
  return id === undefined ? [] : [{ id, block }]
})
const ids = requirements.map(({ id }) => id)

const count = (block: string): number => [...block.matchAll(/\bMUST(?: NOT)?\b/g)].length

const tests = Fs.readdirSync(Path.join(root, "test"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".test.ts") && !file.includes("node_modules"))

/** Where each id is named. */
const named = new Map<string, Array<string>>()
const name = (id: string, where: string) => named.set(id, [...named.get(id) ?? [], where])
for (const file of tests) {
  const lines = Fs.readFileSync(Path.join(root, "test", file), "utf8").split("\n")
  for (const [index, line] of lines.entries()) {
    const list = /^ *\/\/ PROTOCOL\.md ((?:[A-Z]+-\d+(?:, )?)+)$/.exec(line)?.[1]
    for (const id of list?.split(", ") ?? []) {
      name(id, /\(/.test(lines[index + 1] ?? "") ? file : `no test: ${file}:${index}`)
    }
  }
}
for (const { name: file, vectors } of Conformance.load()) {
  for (const vector of vectors) for (const id of vector.requirements) name(id, `${file}: ${vector.name}`)
}
for (const { file, name: title, requirements } of loadTraces()) {
  for (const id of requirements) name(id, `${file}: ${title}`)
}

describe("sentences with MUST", () => {
  it("have ids of their own", () => {
    assert.isAbove(ids.length, 100)
    assert.strictEqual(new Set(ids).size, ids.length)
    assert.deepStrictEqual(blocks.filter((block) => count(block) > 0 && !idPattern.test(block)), [])
  })

  it("say one thing each: MUST or MUST NOT, once", () => {
    const several = requirements.filter(({ block }) => count(block) !== 1)
    assert.deepStrictEqual(several, [])
  })

  it("are each named by a test or a vector", () => {
    assert.deepStrictEqual(ids.filter((id) => !named.has(id)), [])
  })

  it("exist where they are named, above a test", () => {
    const wrong = [...named].flatMap(([id, places]) =>
      ids.includes(id) ? places.filter((place) => place.startsWith("no test")) : id
    )
    assert.deepStrictEqual(wrong, [])
  })

  it("are of vectors and traces whose sections exist", () => {
    const headings = new Set(Array.from(text.matchAll(/^#+ (.+)$/gm), ({ 1: heading }) => heading))
    const sections = [...Conformance.load().flatMap(({ vectors }) => vectors), ...loadTraces()].map(({ section }) =>
      section
    )
    assert.deepStrictEqual(sections.filter((section) => !headings.has(section)), [])
  })
})
