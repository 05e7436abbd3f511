/**
 * Programs that have the packed package alone, without this repository and without Vitest: its types are enough to write
 * every part of a connection and tests with `effect-swaggersocket/testing`, and the programs run.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { execFile, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { commands, programsOf } from "./printed.ts"

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
  const program = Fs.mkdtempSync(Path.join(Os.tmpdir(), "packed-"))
  const packed = await run("npm", ["pack", "--silent", "--pack-destination", program], root)
  assert.strictEqual(packed.code, 0, packed.output)
  const archive = Fs.readdirSync(program).find((name) => name.endsWith(".tgz"))!
  const target = Path.join(program, "node_modules")
  Fs.mkdirSync(Path.join(target, "@effect"), { recursive: true })
  for (const name of Fs.readdirSync(modules)) {
    if (/^[.]|^@effect$|vitest/.test(name)) continue
    Fs.symlinkSync(Path.join(modules, name), Path.join(target, name))
  }
  for (const name of Fs.readdirSync(Path.join(modules, "@effect"))) {
    if (name !== "vitest") Fs.symlinkSync(Path.join(modules, "@effect", name), Path.join(target, "@effect", name))
  }
  const unpacked = await run("tar", ["xzf", archive], program)
  assert.strictEqual(unpacked.code, 0, unpacked.output)
  Fs.renameSync(Path.join(program, "package"), Path.join(target, "effect-swaggersocket"))
  Fs.cpSync(Path.join(root, "examples/own-parts"), Path.join(program, "own-parts"), { recursive: true })
  Fs.copyFileSync(Path.join(root, "examples/own-parts.ts"), Path.join(program, "own-parts.ts"))
  Fs.cpSync(Path.join(import.meta.dirname, "project"), Path.join(program, "project"), { recursive: true })
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

const projects = ["codec", "faults", "semantics"]

const parts = ["handshake", "heartbeat", "multiplexer", "reconnection"]

let program = ""
/** What the compiler says of all files. */
let faults: ReadonlyArray<string> = []

const compile = async (): Promise<void> => {
  Fs.writeFileSync(Path.join(program, "wrong.ts"), wrong)
  const files = [
    "own-parts.ts",
    "wrong.ts",
    ...parts.map((part) => `own-parts/${part}.ts`),
    ...projects.map((project) => `project/${project}.ts`)
  ]
  Fs.writeFileSync(Path.join(program, "tsconfig.json"), JSON.stringify({ compilerOptions, files }))
  const { output } = await run(process.execPath, [Path.join(modules, "typescript/bin/tsc"), "-p", "."], program)
  faults = output.split("\n").filter((line) => /^\S/.test(line))
}

/** A folder with modules of its own: those of the program, except for some. */
const folderWith = (name: string, isLeftOut: (module: string) => boolean): string => {
  const folder = Path.join(program, name)
  const [from, to] = [Path.join(program, "node_modules"), Path.join(folder, "node_modules")]
  Fs.mkdirSync(Path.join(to, ".bin"), { recursive: true })
  for (const module of Fs.readdirSync(from)) {
    if (!isLeftOut(module)) Fs.symlinkSync(Path.join(from, module), Path.join(to, module))
  }
  Fs.symlinkSync(Path.join(from, "tsx/dist/cli.mjs"), Path.join(to, ".bin/tsx"))
  return folder
}

/** A command in a terminal: what it prints, and Ctrl+C. */
const terminal = (command: string, cwd: string, signal: AbortSignal) => {
  const child = spawn("sh", ["-c", command], {
    cwd,
    // Of its own group, as the programs that it starts: Ctrl+C is for all of them.
    detached: true,
    env: { ...process.env, npm_config_offline: "true", NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"]
  })
  let output = ""
  let check = () => {}
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text
      check()
    })
  }
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()))
  const kill = (name: NodeJS.Signals) => {
    try {
      process.kill(-child.pid!, name)
    } catch {
      // All of them have ended.
    }
  }
  signal.addEventListener("abort", () => kill("SIGKILL"))
  return {
    /** Waits until this is printed, and answers it. */
    printed: (text: RegExp): Promise<RegExpExecArray> =>
      new Promise((resolve, reject) => {
        check = () => {
          const found = text.exec(output)
          if (found !== null) resolve(found)
        }
        check()
        void ended.then(() => reject(new Error(`${command} has ended, and printed:\n${output}`)))
      }),
    ended,
    interrupt: () => kill("SIGINT"),
    output: () => output
  }
}

beforeAll(async () => {
  program = await install()
  await compile()
  return () => Fs.rmSync(program, { recursive: true, force: true })
}, 240_000)

describe("parts written against the packed package", () => {
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

describe("tests written with the packed package", () => {
  it("the HTTP semantics run with Node's own runner, and report a skipped case that does not exist", async () => {
    const { code, output } = await run(
      process.execPath,
      ["--test", "--test-reporter=tap", "out/project/semantics.js"],
      program
    )
    assert.match(output, /^# pass 2\d\d$/m, output)
    assert.match(output, /^# fail 1$/m, output)
    assert.match(output, /not ok .* each case that is skipped exists/)
    assert.strictEqual(code, 1)
  })

  it("a call goes on when the fault proxy has cut its link", async () => {
    const { code, output } = await run(process.execPath, ["out/project/faults.js"], program)
    assert.strictEqual(code, 0, output)
    assert.include(output, "the answer, after 1 broken link and 2 attempts")
  })

  it("the command tries the vectors with a program and the traces with a server, and names those that fail", async () => {
    const { bin } = JSON.parse(
      Fs.readFileSync(Path.join(program, "node_modules/effect-swaggersocket/package.json"), "utf8")
    ) as { readonly bin: Readonly<Record<string, string>> }
    const command = Path.join("node_modules/effect-swaggersocket", bin["swaggersocket-conformance"]!)
    const codec = [process.execPath, "out/project/codec.js"]
    const right = await run(process.execPath, [command, ...codec], program)
    assert.match(right.output, /^\d{3} passed, 0 failed$/m)
    assert.strictEqual(right.code, 0)
    const wrong = await run(process.execPath, [command, "--encoder", ...codec, "forgets"], program)
    assert.include(wrong.output, "frames-valid.json: the encoder encodes A request without a body has END\n")
    assert.match(wrong.output, /^0 passed, \d{2,3} failed$/m)
    assert.strictEqual(wrong.code, 1)
    // Nobody listens there.
    const nobody = await run(process.execPath, [command, "--without", "session,upgrade", "ws://127.0.0.1:1/"], program)
    assert.include(
      nobody.output,
      "handshake.json: A hello with its type and version alone is enough (NEG-2, HS-2)\n  step 1: "
    )
    assert.match(nobody.output, /^0 passed, \d{3} failed$/m)
    assert.strictEqual(nobody.code, 1)
  })
})

describe("programs that the documentation prints", () => {
  it("the quick start works in an empty folder, with the commands that are printed", async ({ signal }) => {
    const { setUp, terminals } = commands()
    const folder = folderWith("quick-start", () => false)
    // As `npm install` makes it where there is none.
    Fs.writeFileSync(Path.join(folder, "package.json"), "{}")
    const { peerDependencies } = JSON.parse(Fs.readFileSync(Path.join(root, "package.json"), "utf8")) as {
      readonly peerDependencies: Readonly<Record<string, string>>
    }
    // NATS is for programs of many nodes.
    const peers = Object.keys(peerDependencies).filter((name) => !name.startsWith("@nats-io/"))
    const installed: Array<string> = []
    for (const command of setUp) {
      const [, names] = /^npm install (?:--save-dev )?(.*)$/.exec(command) ?? []
      if (names !== undefined) installed.push(...names.split(" "))
      else {
        const { code, output } = await run("sh", ["-c", command], folder)
        assert.strictEqual(code, 0, output)
      }
    }
    assert.sameMembers(installed, ["effect-swaggersocket", ...peers, "tsx"])
    const programs = programsOf("README.md")
    assert.deepStrictEqual(terminals.slice(0, 2), [...programs.keys()].map((name) => `npx tsx ${name}`))
    const write = (name: string, port: string) =>
      Fs.writeFileSync(Path.join(folder, name), programs.get(name)!.replace("3000", port))
    write("hub.ts", "0")
    const hub = terminal(terminals[0]!, folder, signal)
    const [, port = ""] = await hub.printed(/ INFO \(#\d+\): Listening on http:\/\/(?:\[::\]|0\.0\.0\.0):(\d+)\n/)
    write("device.ts", port)
    const device = terminal(terminals[1]!, folder, signal)
    await hub.printed(/^21 °C$/m)
    await hub.ended
    await device.printed(/could not connect/)
    write("hub.ts", port)
    const again = terminal(terminals[0]!, folder, signal)
    await again.printed(/^21 °C$/m)
    await again.ended
    device.interrupt()
    await device.ended
  })

  it("the hub and the device without Effect talk to each other", async ({ signal }) => {
    const folder = folderWith("promise", () => false)
    Fs.writeFileSync(Path.join(folder, "package.json"), JSON.stringify({ type: "module" }))
    const programs = programsOf("docs/promise.md")
    const write = (name: string, port: string) =>
      Fs.writeFileSync(Path.join(folder, name), programs.get(name)!.replace("3000", port))
    write("hub.ts", "0")
    const hub = terminal("npx tsx hub.ts", folder, signal)
    const [, port = ""] = await hub.printed(/^devices dial ws:\/\/localhost:(\d+)\/$/m)
    write("device.ts", port)
    const device = terminal("npx tsx device.ts", folder, signal)
    await device.printed(/^the hub has \d{4}-/m)
    await hub.printed(/^\S+ has 21 °C$/m)
    device.interrupt()
    hub.interrupt()
    await Promise.all([hub.ended, device.ended])
  })

  it("they compile without the types of Node, which declarations of the entry for Node alone name", async () => {
    const folder = folderWith("no-types", (module) => module === "@types")
    const files = ["README.md", "docs/promise.md"].flatMap((document, index) =>
      Array.from(programsOf(document), ([name, code]) => {
        const file = `${index}-${name}`
        Fs.writeFileSync(Path.join(folder, file), code)
        return file
      })
    )
    assert.lengthOf(files, 4)
    const { lib: _, ...options } = compilerOptions
    Fs.writeFileSync(Path.join(folder, "package.json"), JSON.stringify({ type: "module" }))
    Fs.writeFileSync(
      Path.join(folder, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: { ...options, types: [], skipLibCheck: false, preserveSymlinks: true, noEmit: true },
        files
      })
    )
    const { output } = await run(process.execPath, [Path.join(modules, "typescript/bin/tsc"), "-p", "."], folder)
    const named = /^node_modules\/effect-swaggersocket\/dist\/node\/\w+\.d\.ts\(.*: error TS2591: /
    const wrong = output.split("\n").filter((line) => line !== "" && !named.test(line))
    assert.deepStrictEqual(wrong, [])
  })
})
