/**
 * The programs that tests start as other processes, each bundled into one file: it starts in a fourth of the time that its
 * sources take.
 */
import * as esbuild from "esbuild"
import * as fs from "node:fs"
import * as path from "node:path"

/** Files of tests that share a process share the bundles, which `programsFolder.ts` removes. */
let folder: string | undefined

/** A program that uses a helper which also has assertions does not load Vitest for them, unless it uses them. */
const external: esbuild.Plugin = {
  name: "external",
  setup(build) {
    build.onResolve({ filter: /^(@effect\/vitest|@nats-io\/.+|esbuild|ws|libsql)$/ }, ({ path }) => ({
      path,
      external: true,
      sideEffects: false
    }))
  }
}

/** A file that reads others finds them from where it stands, not from where the bundle is. */
const inPlace: esbuild.Plugin = {
  name: "in place",
  setup(build) {
    build.onLoad({ filter: /\.ts$/, namespace: "file" }, ({ path: file }) => {
      if (file.includes("node_modules")) return undefined
      const contents = fs.readFileSync(file, "utf8")
      const folder = JSON.stringify(path.dirname(file))
      return { contents: contents.replace(/\bimport\.meta\.dirname\b/g, () => folder), loader: "ts" }
    })
  }
}

const bundles = new Map<string, Promise<string>>()

/** The path of the bundle of a TypeScript file. Each is made once. */
export const bundle = (file: string): Promise<string> => {
  let made = bundles.get(file)
  if (made === undefined) bundles.set(file, made = make(file))
  return made
}

const make = async (file: string): Promise<string> => {
  folder ??= fs.mkdtempSync(path.join(process.env.TEST_PROGRAMS!, "process-"))
  const outfile = path.join(folder, `${bundles.size}-${path.basename(file, ".ts")}.mjs`)
  await esbuild.build({
    entryPoints: [file],
    bundle: true,
    platform: "node",
    format: "esm",
    outfile,
    plugins: [external, inPlace]
  })
  return outfile
}
