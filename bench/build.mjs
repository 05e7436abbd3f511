// One self-contained dist/<peer>.js per file in src/peers, dist/driver.js and dist/delay.js: no loader at run time.
// `effect-swaggersocket/*` is taken from ../src, so the parent needs neither an install nor a build, and every package
// is taken from bench/node_modules whoever imports it, so that each process has one copy of `effect`.
import { build } from "esbuild"
import { existsSync, readdirSync, rmSync } from "node:fs"
import { join } from "node:path"

const bench = import.meta.dirname
const library = join(bench, "../src")

const resolve = {
  name: "resolve",
  setup(context) {
    context.onResolve({ filter: /^effect-swaggersocket(\/|$)/ }, ({ path }) => {
      const module = join(library, path.slice("effect-swaggersocket".length))
      return { path: existsSync(`${module}.ts`) ? `${module}.ts` : join(module, "index.ts") }
    })
    context.onResolve(
      { filter: /^[^./]/ },
      ({ kind, path, resolveDir }) =>
        resolveDir.startsWith(library) ? context.resolve(path, { kind, resolveDir: bench }) : undefined
    )
  }
}

const bundle = async (name, input) => {
  const { metafile } = await build({
    ...input,
    outfile: join(bench, "dist", `${name}.js`),
    absWorkingDir: bench,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    metafile: true,
    logLevel: "silent",
    // What others load if they find it
    external: ["bufferutil", "utf-8-validate", "supports-color"],
    // For the CommonJS packages within
    banner: { js: "globalThis.require = process.getBuiltinModule(\"node:module\").createRequire(import.meta.url)" },
    plugins: [resolve]
  })
  const stray = Object.keys(metafile.inputs).find((path) => /^\.\.\/.*node_modules\//.test(path))
  if (stray !== undefined) throw new Error(`${name}: bundled from outside bench/node_modules: ${stray}`)
}

rmSync(join(bench, "dist"), { recursive: true, force: true })
for (const name of ["driver", "delay"]) await bundle(name, { entryPoints: [`src/${name}.ts`] })
for (const file of readdirSync(join(bench, "src/peers"))) {
  const name = file.replace(/\.ts$/, "")
  const contents = `import peer from "./src/peers/${file}"\nimport { run } from "./src/worker.ts"\nrun(peer)`
  // The other peers can still be measured; the driver fails when it is asked for one that was not built
  await bundle(name, { stdin: { contents, resolveDir: bench } }).catch((error) => {
    rmSync(join(bench, "dist", `${name}.js`), { force: true })
    console.error(`peer ${name} was not built: ${error.message}`)
  })
}
