/**
 * Every TypeScript block of the README, of `docs` and of the docstrings is a whole module, and type-checks as it is printed.
 */
import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"

const root = path.join(import.meta.dirname, "../..")

interface Block {
  /** Where it stands, as the name of a file. */
  readonly name: string
  readonly code: string
}

const blocksOf = (name: string, text: string): ReadonlyArray<Block> =>
  Array.from(text.matchAll(/^```ts$\n([^]*?)^```$/gm), ({ 1: code = "", index }) => ({
    name: `${name}-line-${text.slice(0, index).split("\n").length}.ts`,
    code
  }))

/** The text of the docstrings, each line at its place in the file. */
const docstringsOf = (source: string): string => {
  let inside = false
  return source.split("\n").map((line) => {
    if (/^\s*\/\*\*/.test(line)) inside = true
    const text = inside ? line.replace(/^\s*(\/\*\*|\*\/|\*) ?/, "").replace(/\s*\*\/$/, "") : ""
    if (line.includes("*/")) inside = false
    return text
  }).join("\n")
}

const sources = fs.readdirSync(path.join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))

const readme = blocksOf("README", fs.readFileSync(path.join(root, "README.md"), "utf8"))

const documents = fs.readdirSync(path.join(root, "docs")).filter((file) => file.endsWith(".md")).flatMap((file) =>
  blocksOf(`docs-${file.slice(0, -".md".length)}`, fs.readFileSync(path.join(root, "docs", file), "utf8"))
)

const docstrings = sources.flatMap((file) =>
  blocksOf(
    file.slice(0, -".ts".length).replaceAll(path.sep, "-"),
    docstringsOf(fs.readFileSync(path.join(root, "src", file), "utf8"))
  )
)

const check = (blocks: ReadonlyArray<Block>, signal: AbortSignal): Promise<string> => {
  const cache = path.join(root, "node_modules/.cache/effect-swaggersocket")
  fs.mkdirSync(cache, { recursive: true })
  const folder = fs.mkdtempSync(path.join(cache, "docs-"))
  for (const { code, name } of blocks) fs.writeFileSync(path.join(folder, name), code)
  fs.writeFileSync(path.join(folder, "package.json"), JSON.stringify({ type: "module" }))
  fs.writeFileSync(
    path.join(folder, "tsconfig.json"),
    JSON.stringify({
      extends: path.join(root, "tsconfig.json"),
      compilerOptions: { noUnusedLocals: false, typeRoots: [path.join(root, "node_modules/@types")] },
      files: [path.join(root, "test/runtimes/globals.d.ts"), ...blocks.map(({ name }) => name)],
      include: []
    })
  )
  const tsc = path.join(root, "node_modules/typescript/bin/tsc")
  return new Promise<string>((resolve, reject) =>
    execFile(
      process.execPath,
      [tsc, "-p", folder, "--noEmit", "--pretty", "false"],
      { cwd: folder, signal, killSignal: "SIGKILL" },
      (error, stdout) => error === null || stdout !== "" ? resolve(stdout) : reject(error)
    )
  ).finally(() => fs.rmSync(folder, { recursive: true }))
}

describe("documentation", () => {
  it("the README and the docstrings have examples", () => {
    assert.isNotEmpty(readme)
    assert.isNotEmpty(documents)
    assert.isNotEmpty(docstrings)
  })

  it("every example type-checks", { timeout: 60_000 }, async ({ signal }) => {
    assert.strictEqual(await check([...readme, ...documents, ...docstrings], signal), "")
  })
})
