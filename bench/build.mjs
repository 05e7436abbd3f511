// One dist/<peer>.js per file in src/peers, dist/driver.js and dist/delay.js. Packages are loaded from bench/node_modules, as users
// install them, and this one from an archive that is packed of the parent: that needs `npm ci` in the parent.
//
// With `--bundled` each peer is one self-contained file with the library of ../src: to compare two versions of it in one run.
// Every package is taken from bench/node_modules then, whoever imports it, so that each process has one copy of `effect`.
import { build } from "esbuild"
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs"
import { join } from "node:path"

const bench = import.meta.dirname
const library = join(bench, "../src")
const isBundled = process.argv.includes("--bundled")

const fromSource = {
  name: "from-source",
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

/** Packs the parent, and unpacks it where a package manager would install it. */
const install = () => {
  const packed = join(bench, "node_modules/effect-swaggersocket")
  rmSync(packed, { recursive: true, force: true })
  mkdirSync(packed, { recursive: true })
  const options = { cwd: join(bench, ".."), stdio: ["ignore", "pipe", "inherit"] }
  const [{ filename }] = JSON.parse(
    execFileSync("npm", ["pack", "--silent", "--json", "--pack-destination", packed], options).toString().replace(
      /^[^[]*/,
      ""
    )
  )
  const archive = join(packed, filename)
  execFileSync("tar", ["-xzf", archive, "-C", packed, "--strip-components", "1"])
  rmSync(archive)
}

const make = async (name, input) => {
  const { metafile } = await build({
    ...input,
    outfile: join(bench, "dist", `${name}.js`),
    absWorkingDir: bench,
    bundle: true,
    // Else its `paths` lead to the sources of the parent
    tsconfigRaw: {},
    platform: "node",
    format: "esm",
    target: "node20",
    metafile: true,
    logLevel: "silent",
    ...(isBundled
      ? {
        // What others load if they find it
        external: ["bufferutil", "utf-8-validate", "supports-color"],
        // For the CommonJS packages within
        banner: { js: "globalThis.require = process.getBuiltinModule(\"node:module\").createRequire(import.meta.url)" },
        plugins: [fromSource]
      }
      : { packages: "external" })
  })
  const stray = Object.keys(metafile.inputs).find((path) => /^\.\.\/.*node_modules\//.test(path))
  if (stray !== undefined) throw new Error(`${name}: bundled from outside bench/node_modules: ${stray}`)
}

if (!isBundled) install()
rmSync(join(bench, "dist"), { recursive: true, force: true })
for (const name of ["driver", "delay"]) await make(name, { entryPoints: [`src/${name}.ts`] })
for (const file of readdirSync(join(bench, "src/peers"))) {
  const name = file.replace(/\.ts$/, "")
  const contents = `import peer from "./src/peers/${file}"\nimport { run } from "./src/worker.ts"\nrun(peer)`
  // The other peers can still be measured; the driver fails when it is asked for one that was not built
  await make(name, { stdin: { contents, resolveDir: bench } }).catch((error) => {
    rmSync(join(bench, "dist", `${name}.js`), { force: true })
    console.error(`peer ${name} was not built: ${error.message}`)
  })
}
