// The way of one request through the sources: `node bench/walk.mjs [checkout]` builds the package with a note at the entry of each
// function, makes a POST of five bytes on a real WebSocket whose both ends are in one process, and says how often control moved
// from one file to another. `--moves` counts them for each pair of files, `--trace` prints all entries in order: a line for each
// stay in a file, with the functions entered there. It needs the root's `npm ci`.
import { execFileSync, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { parseAst } from "vite"

const root = path.resolve(
  process.argv[2]?.startsWith("--") === false ? process.argv[2] : path.dirname(import.meta.dirname)
)
// Below node_modules, so that the package's own name and its dependencies are found.
const out = path.join(root, "node_modules/.cache/effect-swaggersocket/walk", String(process.pid))

/** A note at the start of each function's body. */
const instrument = (code, file) => {
  const inserts = []
  const nameOf = (node, parent) => {
    const named = node.id ?? parent?.key ?? parent?.id ?? parent?.left?.property ?? parent?.left
    const kind = parent?.kind === "get" ? "get " : ""
    return `${kind}${named?.type === "PrivateIdentifier" ? "#" : ""}${named?.name ?? "=>"}`
  }
  const visit = (node, parent) => {
    if (Array.isArray(node)) return node.forEach((each) => visit(each, parent))
    if (node === null || typeof node !== "object" || typeof node.type !== "string") return
    if (/^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type) && node.body !== null) {
      const note = `globalThis.__walk?.(${JSON.stringify(file)}, ${JSON.stringify(nameOf(node, parent))})`
      if (node.body.type === "BlockStatement") {
        inserts.push([node.body.start + 1, `${note};`])
      } else {
        // The body may stand in parentheses, which the tree does not have: so the note goes behind the arrow.
        const arrow = code.lastIndexOf("=>", node.body.start)
        inserts.push([arrow + 2, ` (${note}, (`], [node.end, "))"])
      }
    }
    for (const value of Object.values(node)) visit(value, node)
  }
  visit(parseAst(code))
  return inserts.sort(([a], [b]) => b - a).reduce(
    (text, [at, insert]) => text.slice(0, at) + insert + text.slice(at),
    code
  )
}

execFileSync("npm", ["run", "-s", "build"], { cwd: root, stdio: "inherit" })
fs.mkdirSync(out, { recursive: true })
try {
  fs.copyFileSync(path.join(root, "package.json"), path.join(out, "package.json"))
  for (const file of fs.readdirSync(path.join(root, "dist"), { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".js")) continue
    const code = fs.readFileSync(path.join(root, "dist", file), "utf8")
    const target = path.join(out, "dist", file)
    fs.mkdirSync(path.dirname(target), { recursive: true })
    fs.writeFileSync(target, instrument(code, file))
  }
  fs.copyFileSync(path.join(import.meta.dirname, "walked.mjs"), path.join(out, "walked.mjs"))
  process.exitCode =
    spawnSync(process.execPath, ["walked.mjs", ...process.argv.slice(2)], { cwd: out, stdio: "inherit" }).status ?? 1
} finally {
  fs.rmSync(out, { recursive: true, force: true })
}
