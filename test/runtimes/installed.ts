/**
 * The runtimes that the tests of this folder need, and the package as it is published, where the programs find it.
 */
import { execFile } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"

const root = Path.join(import.meta.dirname, "../..")

const modules = Path.join(import.meta.dirname, "node_modules")

/** Tests are left out where they are missing; a line says so. */
export const isInstalled = Fs.existsSync(Path.join(modules, ".package-lock.json"))

export const installation = "npm ci --prefix test/runtimes"

export const commandOf = (name: string): string => Path.join(modules, ".bin", name)

const run = (command: string, args: ReadonlyArray<string>): Promise<void> =>
  new Promise((resolve, reject) => {
    execFile(command, args, { cwd: root, encoding: "utf8" }, (error, stdout) => {
      if (error === null) resolve()
      else reject(new Error(`${command} ${args.join(" ")}: ${stdout}`))
    })
  })

/**
 * A folder with the programs and all modules that they need, this package built among them. It is no folder of `node_modules`: Deno runs
 * no TypeScript there.
 */
export const makeFolder = async (): Promise<string> => {
  const folder = Fs.mkdtempSync(Path.join(Os.tmpdir(), "runtimes-"))
  const own = Path.join(folder, "node_modules/effect-swaggersocket")
  Fs.mkdirSync(Path.join(folder, "node_modules/@effect"), { recursive: true })
  Fs.mkdirSync(own)
  Fs.copyFileSync(Path.join(root, "package.json"), Path.join(own, "package.json"))
  await run(process.execPath, [
    Path.join(root, "node_modules/typescript/bin/tsc"),
    "-p",
    "tsconfig.build.json",
    "--outDir",
    Path.join(own, "dist")
  ])
  const link = (from: string, name: string) =>
    Fs.symlinkSync(Path.join(from, name), Path.join(folder, "node_modules", name))
  for (const name of ["effect", "ws", "@effect/platform-node", "@noble", "esbuild", "tsx"]) {
    link(Path.join(root, "node_modules"), name)
  }
  for (const name of ["hono", "@hono", "miniflare"]) link(modules, name)
  Fs.cpSync(Path.join(import.meta.dirname, "programs"), folder, { recursive: true })
  Fs.writeFileSync(Path.join(folder, "package.json"), JSON.stringify({ type: "module" }))
  return folder
}
