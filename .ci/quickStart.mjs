// What a new user does: in an empty folder the commands of README's quick start, with the packed package and all others from the
// registry, by npm and by pnpm, and what `tsc --init` of TypeScript 5.9 and 7 makes of the two programs.
// Prints how long it takes from the first command to the first answer. Fails when a command does, or the answer does not come.
import { execFileSync, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

const root = path.dirname(import.meta.dirname)
const readme = fs.readFileSync(path.join(root, "README.md"), "utf8")
const section = readme.slice(readme.indexOf("## Quick start"), readme.indexOf("## Without Effect"))
const blocksOf = (text, language) =>
  Array.from(text.matchAll(new RegExp(`^\`\`\`${language}$\n([^]*?)^\`\`\`$`, "gm")), ([, block]) => block)

const [setUp, ...terminals] = blocksOf(section, "sh").slice(0, 3).map((block) => block.trim())
const programs = blocksOf(section, "ts")
const parent = fs.mkdtempSync(path.join(os.tmpdir(), "quick-start-"))
const started = []

const run = (command, cwd) =>
  execFileSync("sh", ["-c", command], { cwd, stdio: ["ignore", "pipe", "pipe"], timeout: 240_000 })

/** A command in a terminal; `printed` waits for what a pattern finds in its output. */
const terminal = (command, cwd) => {
  const child = spawn("sh", ["-c", command], { cwd, detached: true, stdio: ["ignore", "pipe", "pipe"] })
  started.push(child)
  let output = ""
  let check = () => {}
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      output += text
      check()
    })
  }
  const printed = (pattern) =>
    new Promise((resolve, reject) => {
      const fail = () => reject(new Error(`${command} did not print ${pattern}:\n${output}`))
      const timer = setTimeout(fail, 60_000)
      child.once("close", fail)
      check = () => {
        const found = pattern.exec(output)
        if (found === null) return
        clearTimeout(timer)
        resolve(found)
      }
      check()
    })
  return { printed }
}

const endAll = () => {
  for (const child of started.splice(0)) {
    try {
      process.kill(-child.pid, "SIGKILL")
    } catch {
      // All of its processes have ended.
    }
  }
}

/** README's commands as pnpm has them. */
const byPnpm = (command) =>
  command.replace(/^npm install/, "npm add --allow-build=esbuild").replace(/^npm /, "npx -y pnpm@12 ")

/** The quick start in a folder of its own, with its commands to set the folder up and to run a program as they are here. */
const tryIt = async (archive, name, { setsUp, runs }) => {
  const folder = path.join(parent, name)
  fs.mkdirSync(folder)
  const began = performance.now()
  for (const command of setUp.split("\n")) {
    run(setsUp(command).replace(/ effect-swaggersocket /, ` ${archive} `), folder)
  }
  const installed = performance.now()
  // Port 3000 may be taken here.
  const write = (port) => {
    for (const program of programs) {
      const [, file] = /^\/\/ (\w+\.ts)$/m.exec(program)
      fs.writeFileSync(path.join(folder, file), program.replace("3000", port))
    }
  }
  write("0")
  const [hubCommand, deviceCommand] = terminals.map(runs)
  const listening = performance.now()
  const hub = terminal(hubCommand, folder)
  const [, port] = await hub.printed(/Listening on http:\/\/\S+:(\d+)\n/)
  write(port)
  terminal(deviceCommand, folder)
  await hub.printed(/^21 °C$/m)
  const answered = performance.now()
  endAll()
  const seconds = (from, to) => ((to - from) / 1000).toFixed(1)
  const commands = setUp.split("\n").length + 2
  console.log(
    `${name}: ${commands} commands, ${seconds(began, installed)} s to install, ${
      seconds(listening, answered)
    } s to run, `
      + `${seconds(began, answered)} s from the first command to the first answer`
  )
  return folder
}

/** Compiles the programs as a new user would, with the settings that the compiler proposes. */
const compile = (folder, version) => {
  run(`npm install --no-save --no-audit --no-fund typescript@${version}`, folder)
  fs.rmSync(path.join(folder, "tsconfig.json"), { force: true })
  run("npx tsc --init && npx tsc --noEmit", folder)
  console.log(`TypeScript ${version}: the programs compile with what tsc --init proposes`)
}

try {
  run(`npm pack --silent --ignore-scripts --pack-destination ${parent}`, root)
  const archive = path.join(parent, fs.readdirSync(parent).find((name) => name.endsWith(".tgz")))
  const asPrinted = (command) => command
  const folder = await tryIt(archive, "npm", { setsUp: asPrinted, runs: asPrinted })
  for (const version of ["5.9", "7"]) compile(folder, version)
  await tryIt(archive, "pnpm", { setsUp: byPnpm, runs: asPrinted })
  const [major, minor] = process.versions.node.split(".").map(Number)
  if (major > 22 || (major === 22 && minor >= 18)) {
    await tryIt(archive, "node alone", { setsUp: asPrinted, runs: (command) => command.replace(/^npx tsx/, "node") })
  } else console.log("node alone: not tried, since it needs Node 22.18")
} catch (error) {
  console.error(error.message, String(error.stdout ?? ""), String(error.stderr ?? ""))
  process.exitCode = 1
} finally {
  endAll()
  fs.rmSync(parent, { recursive: true, force: true })
}
