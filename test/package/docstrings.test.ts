/**
 * Every public export is documented: what it is, since when, in which category, and, where it is a value, by an example. The tests
 * of the examples compile each of them.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"

const src = Path.join(import.meta.dirname, "../../src")

const modules = [
  ...Fs.readdirSync(src).filter((file) => file.endsWith(".ts") && file !== "index.ts"),
  ...Fs.readdirSync(Path.join(src, "testing")).filter((file) => file !== "index.ts").map((file) => `testing/${file}`),
  ...Fs.readdirSync(Path.join(src, "runtimes")).map((file) => `runtimes/${file}`),
  "node/index.ts",
  "browser/index.ts",
  "nats/index.ts",
  "promise/index.ts"
]

const read = (file: string): string => Fs.readFileSync(Path.join(src, file), "utf8")

/** The docstring that ends where something is declared; empty without one. */
const docstringBefore = (text: string, index: number): string => {
  const before = text.slice(0, index).replace(/(?:\n\/\/[^\n]*)*\n$/, "")
  return before.endsWith("*/") ? before.slice(before.lastIndexOf("/**")) : ""
}

interface Export {
  readonly name: string
  readonly kind: string
  readonly docstring: string
  /** The declaration, to its end. */
  readonly code: string
}

const declaration = /^export (const|class|interface|type) (\w+)/gm

const declared = (text: string): Array<Export> =>
  [...text.matchAll(declaration)].map((match) => ({
    name: match[2]!,
    kind: match[1]!,
    docstring: docstringBefore(text, match.index),
    code: text.slice(match.index, text.indexOf("\n\n", match.index))
  }))

/** What a module exports; what it exports of another file is documented there. */
const exportsOf = (file: string): Array<Export> => {
  const text = read(file)
  const elsewhere = [...text.matchAll(/^export (type )?\{([^}]*)\} from "([^"]+)"/gm)].flatMap((match) => {
    const [, areTypes, names = "", specifier = ""] = match
    const found = declared(read(Path.join(Path.dirname(file), specifier)))
      .filter(({ kind }) => areTypes === undefined || kind === "interface" || kind === "type")
    return names.split(",").map((name) => {
      const one = found.find((one) => one.name === name.trim())
      assert.isDefined(one, `${file} exports ${name} of ${specifier}`)
      return one
    })
  })
  return [...declared(text), ...elsewhere]
}

const all = modules.flatMap((file) =>
  exportsOf(file).map((one) => ({ ...one, name: `${file.slice(0, -3)}.${one.name}` }))
)

/** The members of an interface or of a type that is an object, with whether each has a docstring. */
const membersWithout = (code: string): Array<string> =>
  [...code.matchAll(/(\*\/\n)?^ {2,4}readonly (\w+)\??[:(<]/gm)]
    .filter(([, documented]) => documented === undefined)
    .map(([, , name]) => name!)

describe("docstrings", () => {
  it("every module says what it is for", () => {
    const silent = modules.filter((file) => !/^\/\*\*\n \* \S[^]*?@since \d/.test(read(file)))
    assert.deepStrictEqual(silent, [])
  })

  it("every public export says what it is, since when, and in which category", () => {
    assert.isAbove(all.length, 100)
    const bare = all.filter(({ docstring }) =>
      !/^\/\*\*\n \* [^@\s]/.test(docstring) || !/@since \d+\.\d+\.\d+/.test(docstring) ||
      !/@category \w/.test(docstring)
    )
    assert.deepStrictEqual(bare.map(({ name }) => name), [])
  })

  it("every value that is exported has an example", () => {
    const values = all.filter(({ kind }) => kind === "const" || kind === "class")
    assert.isAbove(values.length, 50)
    assert.deepStrictEqual(values.filter(({ docstring }) => !docstring.includes("```ts")).map(({ name }) => name), [])
  })

  it("every option, and every other field of a type, says what it is", () => {
    // What the members of a union are is told in its docstring.
    const types = all.filter(({ code, kind }) =>
      kind === "interface" || (kind === "type" && !/^[^=]*=\s*\|/.test(code))
    )
    assert.isAbove(types.length, 50)
    const silent = types.flatMap(({ code, name }) => membersWithout(code).map((member) => `${name}.${member}`))
    assert.deepStrictEqual(silent, [])
  })
})
