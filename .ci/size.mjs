// What a browser pays for a client that both serves and calls an API: the minified bundle of the built package,
// gzipped, without Effect itself. Fails over the limit, and when Node's modules or another package came along. Wire v1 is
// not in it: it is loaded for peers that speak it.
import * as esbuild from "esbuild"
import * as path from "node:path"
import { gzipSync } from "node:zlib"

const limit = 43_400
const modules = ["SwaggerSocketClient", "ApiServer", "ApiClient"]

const { metafile, outputFiles } = await esbuild.build({
  stdin: {
    contents: modules.map((name) => `export * as ${name} from "effect-swaggersocket/${name}"`).join("\n"),
    resolveDir: path.dirname(import.meta.dirname)
  },
  absWorkingDir: path.dirname(import.meta.dirname),
  tsconfigRaw: {}, // tsconfig.json leads the package's name to src
  bundle: true,
  minify: true,
  format: "esm",
  platform: "browser",
  target: "es2022",
  // `./wire.js` is what v1/load.ts loads
  external: ["effect", "effect/*", "node:*", "./wire.js"],
  metafile: true,
  write: false
})

const problems = []

const strangers = Object.keys(metafile.inputs).filter((file) => file !== "<stdin>" && !file.startsWith("dist/"))
if (strangers.length > 0) problems.push(`the bundle contains code from elsewhere: ${strangers.join(", ")}`)

for (const { path: specifier } of Object.values(metafile.outputs).flatMap((output) => output.imports)) {
  if (!specifier.startsWith("node:")) continue
  const importers = Object.entries(metafile.inputs)
    .filter(([, input]) => input.imports.some((imported) => imported.path === specifier))
    .map(([file]) => file)
  problems.push(`the bundle imports ${specifier} (from ${importers.join(", ")})`)
}

const [{ contents }] = outputFiles
const gzipped = gzipSync(contents, { level: 9 }).byteLength
console.log(`${modules.join(" + ")}: ${gzipped} bytes gzipped (${contents.byteLength} minified), limit ${limit}`)
if (gzipped > limit) problems.push(`the bundle is ${gzipped - limit} bytes over the limit`)

for (const problem of problems) console.error(problem)
process.exitCode = problems.length > 0 ? 1 : 0
