/**
 * One file of the sources, with the mutants of some of them, and of the tests that are to kill them.
 */
import * as esbuild from "esbuild"
import * as fs from "node:fs"
import * as path from "node:path"
import { pathToFileURL } from "node:url"
import { type Mutant, withMutants } from "./schemata.ts"

export const root = path.join(import.meta.dirname, "..", "..")

/** The tests register themselves with `suite.ts`; all else of Vitest is Vitest's. */
const vitest = `export * from "vitest"
export const { describe, it, beforeAll, afterAll, beforeEach, afterEach } = globalThis.__mutation
export const test = it
export const suite = describe
`

const vitestPlugin: esbuild.Plugin = {
  name: "vitest",
  setup(build) {
    build.onResolve(
      { filter: /^vitest$/ },
      ({ namespace, path }) => namespace === "vitest" ? { path, external: true } : { path, namespace: "vitest" }
    )
    build.onLoad({ filter: /.*/, namespace: "vitest" }, () => ({ contents: vitest, resolveDir: root }))
  }
}

/** Packages are loaded once in a process, except the one that gives tests to Vitest. */
const packages: esbuild.Plugin = {
  name: "packages",
  setup(build) {
    const src = (file: string) => ({ path: path.join(root, "src", file) })
    build.onResolve({ filter: /^effect-swaggersocket$/ }, () => src("index.ts"))
    build.onResolve({ filter: /^effect-swaggersocket\// }, ({ path }) => {
      const name = path.slice("effect-swaggersocket/".length)
      return src(["node", "browser", "testing"].includes(name) ? `${name}/index.ts` : `${name}.ts`)
    })
    build.onResolve(
      { filter: /^[^./]/ },
      ({ kind, path }) =>
        kind === "entry-point" || /^(vitest$|@effect\/vitest)/.test(path) ? undefined : { path, external: true }
    )
  }
}

/** Files that read others find them from where they stand. */
const inPlace = (file: string, text: string): string =>
  text
    .replace(/\bimport\.meta\.dirname\b/g, () => JSON.stringify(path.dirname(file)))
    .replace(/\bimport\.meta\.url\b/g, () => JSON.stringify(pathToFileURL(file).href))

/** Writes the bundle, and returns the mutants that are in it. */
export const bundle = async (
  outfile: string,
  sources: ReadonlyArray<string>,
  tests: ReadonlyArray<string>
): Promise<ReadonlyArray<Mutant>> => {
  const mutants: Array<Mutant> = []
  const mutated = new Map<string, string>()
  for (const source of sources) {
    const file = path.join(root, source)
    const made = withMutants(source, fs.readFileSync(file, "utf8"), mutants.length + 1)
    mutants.push(...made.mutants)
    mutated.set(file, made.code)
  }
  const sourcesInPlace: esbuild.Plugin = {
    name: "sources",
    setup(build) {
      build.onLoad({ filter: /\.ts$/, namespace: "file" }, ({ path: file }) => ({
        contents: inPlace(file, mutated.get(file) ?? fs.readFileSync(file, "utf8")),
        loader: "ts"
      }))
    }
  }
  // Imported on demand: a mutant needs few of the files, and what they import is evaluated with them.
  const entry = [
    "export const files = {",
    ...tests.map((test) => `${JSON.stringify(test)}: () => import(${JSON.stringify(path.join(root, test))}),`),
    "}",
    `export { endFile } from ${JSON.stringify(path.join(root, "test/support/endOfFile.ts"))}`
  ]
  await esbuild.build({
    stdin: { contents: entry.join("\n"), resolveDir: root, sourcefile: "tests.ts", loader: "ts" },
    bundle: true,
    platform: "node",
    format: "esm",
    target: "es2022",
    outfile,
    tsconfigRaw: {},
    // Tests are files without exports, and `sideEffects` of package.json would drop them.
    ignoreAnnotations: true,
    banner: { js: "const __mutant = globalThis.__mutationSwitch()" },
    plugins: [vitestPlugin, packages, sourcesInPlace],
    logLevel: "error"
  })
  return mutants
}

/** The program of the process that runs mutants. */
export const bundleWorker = (outfile: string): Promise<unknown> =>
  esbuild.build({
    entryPoints: [path.join(import.meta.dirname, "worker.ts")],
    bundle: true,
    platform: "node",
    format: "esm",
    outfile,
    packages: "external"
  })
