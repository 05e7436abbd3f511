/**
 * A program's folder with the packed package among its modules, as its users have it, and the two programs of this folder.
 */
import { build } from "esbuild"
import { execFile } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, readdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"

const run = promisify(execFile)
const here = import.meta.dirname
const root = join(here, "../..")

/** What the package and the programs import. What these import themselves is found where the links lead. */
const modules = ["effect", "@effect/platform-node", "@noble/hashes", "ws"]

/** Packs the package, unless there is an archive, and gives the folder. */
export const install = async (archive: string | undefined): Promise<string> => {
  const folder = mkdtempSync(join(tmpdir(), "endurance-"))
  const target = join(folder, "node_modules")
  for (const name of ["@effect", "@noble"]) mkdirSync(join(target, name), { recursive: true })
  for (const name of modules) symlinkSync(join(root, "node_modules", name), join(target, name))
  if (archive === undefined) await run("npm", ["pack", "--silent", "--pack-destination", folder], { cwd: root })
  else cpSync(archive, join(folder, "package.tgz"))
  await run("tar", ["xzf", readdirSync(folder).find((name) => name.endsWith(".tgz"))!], { cwd: folder })
  renameSync(join(folder, "package"), join(target, "effect-swaggersocket"))
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }))
  await build({
    entryPoints: ["hub", "devices"].map((name) => join(here, `${name}.ts`)),
    outdir: folder,
    bundle: true,
    packages: "external",
    platform: "node",
    format: "esm",
    target: "node20",
    // tsconfig.json leads the package's name to src
    tsconfigRaw: {}
  })
  return folder
}
