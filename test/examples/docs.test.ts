/**
 * Every TypeScript block of the README, of `docs` and of the docstrings type-checks.
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

/** Documents with whole programs: nothing is left out of them. */
const documents = fs.readdirSync(path.join(root, "docs")).filter((file) => file.endsWith(".md")).flatMap((file) =>
  blocksOf(`docs-${file.slice(0, -".md".length)}`, fs.readFileSync(path.join(root, "docs", file), "utf8"))
)

const docstrings = sources.flatMap((file) =>
  blocksOf(
    file.slice(0, -".ts".length).replaceAll(path.sep, "-"),
    docstringsOf(fs.readFileSync(path.join(root, "src", file), "utf8"))
  )
)

/** Where a namespace of the README comes from, which leaves most imports out: `X.y` is of the module called X. */
const moduleOf = (namespace: string): string | undefined => {
  if (namespace === "NodeSwaggerSocket") return "effect-swaggersocket/node"
  const places = [
    ["src", "effect-swaggersocket"],
    ["node_modules/effect/src", "effect"],
    ["node_modules/effect/src/http", "effect/http"],
    ["node_modules/effect/src/http-api", "effect/http-api"],
    ["node_modules/effect/src/observability", "effect/observability"],
    ["node_modules/@effect/platform-node/src", "@effect/platform-node"]
  ] as const
  const place = places.find(([folder]) => fs.existsSync(path.join(root, folder, `${namespace}.ts`)))
  return place && `${place[1]}/${namespace}`
}

/** A block of the README with the imports that it leaves out. */
const complete = ({ code, name }: Block): Block => {
  const used = new Set(Array.from(code.matchAll(/(?<![\w.$])([A-Z]\w*)\./g), ({ 1: namespace = "" }) => namespace))
  const imports = Array.from(used, (namespace) => {
    const declared = new RegExp(`(?:import \\* as|import type \\* as|class|const|function) ${namespace}\\b`).test(code)
    const module = declared ? undefined : moduleOf(namespace)
    return module === undefined ? "" : `import * as ${namespace} from "${module}"\n`
  })
  return { name, code: `${imports.join("")}${code}\nexport {}\n` }
}

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
      files: blocks.map(({ name }) => name),
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
    assert.strictEqual(await check([...readme.map(complete), ...documents, ...docstrings], signal), "")
  })
})
