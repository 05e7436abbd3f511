/**
 * The parts of a connection can be replaced by a program that has the packed package alone: its types are enough to write
 * each of them, and the program runs.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"

const root = Path.join(import.meta.dirname, "../..")
const modules = Path.join(root, "node_modules")

const run = (command: string, args: ReadonlyArray<string>, cwd: string): Promise<{ code: number; output: string }> =>
  new Promise((resolve) => {
    execFile(
      command,
      args,
      { cwd, encoding: "utf8" },
      (error, stdout, stderr) => resolve({ code: error === null ? 0 : 1, output: `${stdout}${stderr}` })
    )
  })

/** A program's folder with the packed package among its modules, and nothing of this repository besides. */
const install = async (): Promise<string> => {
  const program = Fs.mkdtempSync(Path.join(Os.tmpdir(), "own-parts-"))
  const packed = await run("npm", ["pack", "--silent", "--pack-destination", program], root)
  assert.strictEqual(packed.code, 0, packed.output)
  const archive = Fs.readdirSync(program).find((name) => name.endsWith(".tgz"))!
  const target = Path.join(program, "node_modules")
  Fs.mkdirSync(target)
  for (const name of Fs.readdirSync(modules)) {
    if (!name.startsWith(".")) Fs.symlinkSync(Path.join(modules, name), Path.join(target, name))
  }
  const unpacked = await run("tar", ["xzf", archive], program)
  assert.strictEqual(unpacked.code, 0, unpacked.output)
  Fs.renameSync(Path.join(program, "package"), Path.join(target, "effect-swaggersocket"))
  Fs.cpSync(Path.join(root, "examples/own-parts"), Path.join(program, "own-parts"), { recursive: true })
  Fs.copyFileSync(Path.join(root, "examples/own-parts.ts"), Path.join(program, "own-parts.ts"))
  Fs.writeFileSync(Path.join(program, "package.json"), JSON.stringify({ type: "module" }))
  return program
}

const compilerOptions = {
  target: "ES2022",
  lib: ["ES2023", "DOM", "DOM.Iterable", "DOM.AsyncIterable"],
  module: "NodeNext",
  strict: true,
  exactOptionalPropertyTypes: true,
  noImplicitOverride: true,
  rewriteRelativeImportExtensions: true,
  rootDir: ".",
  outDir: "out",
  types: ["node"]
}

const wrong = `import { Multiplexer } from "effect-swaggersocket/internal/streams/multiplexer"
import * as Heartbeat from "effect-swaggersocket/Heartbeat"
export const layer = Heartbeat.layer(() => "boom")
export const none = Multiplexer
`

const parts = ["handshake", "heartbeat", "multiplexer", "reconnection"]

let program = ""
/** What the compiler says of all files. */
let faults: ReadonlyArray<string> = []

const compile = async (): Promise<void> => {
  Fs.writeFileSync(Path.join(program, "wrong.ts"), wrong)
  const files = ["own-parts.ts", "wrong.ts", ...parts.map((part) => `own-parts/${part}.ts`)]
  Fs.writeFileSync(Path.join(program, "tsconfig.json"), JSON.stringify({ compilerOptions, files }))
  const { output } = await run(process.execPath, [Path.join(modules, "typescript/bin/tsc"), "-p", "."], program)
  faults = output.split("\n").filter((line) => /^\S/.test(line))
}

describe("parts written against the packed package", () => {
  beforeAll(async () => {
    program = await install()
    await compile()
    return () => Fs.rmSync(program, { recursive: true, force: true })
  }, 240_000)

  for (const part of parts) {
    it(`a program's own ${part} needs the types of the package alone`, () => {
      const source = Fs.readFileSync(Path.join(program, `own-parts/${part}.ts`), "utf8")
      assert.match(source, /^export const layer = /m)
      assert.notMatch(source, /\b(any|as unknown|as never)\b|standard/)
      assert.deepStrictEqual(faults.filter((line) => line.startsWith(`own-parts/${part}`)), [])
    })
  }

  it("internal modules can't be imported, a part of the wrong type is an error, and nothing else is", () => {
    assert.match(faults[0]!, /^wrong\.ts\(1,.* TS2307/)
    assert.match(faults[1]!, /^wrong\.ts\(3,.* error TS/)
    assert.strictEqual(faults.length, 2, faults.join("\n"))
  })

  it("a program's own parts together make connections", { timeout: 60_000 }, async () => {
    const { code, output } = await run(process.execPath, ["out/own-parts.js"], program)
    assert.strictEqual(code, 0, output)
    assert.include(output, "a device gets the same 1000000 bytes back")
    assert.include(output, "another connection, after the first was closed")
  })
})
