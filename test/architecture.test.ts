/**
 * Who may import whom: bytes -> frames -> streams -> exchanges -> roles -> platforms. Types count as much as values.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"

const src = Path.join(import.meta.dirname, "..", "src")

const files = Fs.readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.replaceAll("\\", "/"))

const importsOf = (file: string): Array<string> =>
  [...Fs.readFileSync(Path.join(src, file), "utf8").matchAll(/^(?:import|export)\s[^"=]*?from "([^"]+)"/gm)]
    .map((match) => match[1]!)

const local = (file: string): Array<string> =>
  importsOf(file)
    .filter((specifier) => specifier.startsWith("."))
    .map((specifier) => Path.posix.normalize(Path.posix.join(Path.posix.dirname(file), specifier)))

const graph = new Map(files.map((file) => [file, local(file)]))

/** Folder or file -> what it may import of this package besides itself. */
const allowed: ReadonlyArray<readonly [part: RegExp, may: RegExp]> = [
  [/^internal\/frame\//, /^internal\/frame\//],
  [/^internal\/streams\//, /^internal\/(frame|streams)\//],
  [
    /^internal\/http\//,
    /^(internal\/(frame|streams|http)\/|internal\/(date|endOfTurn|gate|peer|standstill)\.ts|Multiplexer\.ts|SwaggerSocketError\.ts)/
  ],
  [/^(?!node\/|browser\/)/, /^(?!node\/|browser\/)/],
  [
    /^internal\/v1\//,
    /^(internal\/(frame|streams|v1)\/|internal\/(handshake\/(metadata|model|refusal)|date|link|upgraded|wire)\.ts|(Limits|SwaggerSocketError)\.ts)/
  ],
  [
    /^internal\/streaming\//,
    /^internal\/(frame\/|streaming\/|http\/unreadResponses\.ts|gate\.ts|hook\.ts|link\.ts|turn\.ts|upgrade\.ts|upgraded\.ts)/
  ],
  [/^(node|browser)\//, /^([A-Z]\w+|internal\/(gate|upgraded|turn)|node\/\w+)\.ts$/]
]

describe("architecture", () => {
  it("reads the imports that are there", () => {
    assert.isAbove(files.length, 40)
    assert.includeMembers(graph.get("index.ts")!, ["ApiClient.ts", "SwaggerSocketServer.ts"])
    assert.include(graph.get("internal/streams/multiplexer.ts")!, "internal/frame/codec.ts")
  })

  for (const [part, may] of allowed) {
    it(`${part.source} imports only ${may.source}`, () => {
      const broken = files.filter((file) => part.test(file)).flatMap((file) =>
        graph.get(file)!.filter((imported) => !may.test(imported)).map((imported) => `${file} -> ${imported}`)
      )
      assert.deepStrictEqual(broken, [])
    })
  }

  it("frames and streams need nothing of Effect's runtime, time or randomness", () => {
    const pure = /^effect\/(Array|Function|MutableList|Predicate|Schema)$/
    const broken = files.filter((file) => /^internal\/(frame|streams)\//.test(file)).flatMap((file) =>
      importsOf(file).filter((specifier) => !specifier.startsWith(".") && !pure.test(specifier)).map((specifier) =>
        `${file} -> ${specifier}`
      )
    )
    assert.deepStrictEqual(broken, [])
    for (const file of files.filter((file) => /^internal\/(frame|streams)\//.test(file))) {
      const text = Fs.readFileSync(Path.join(src, file), "utf8")
      assert.notMatch(text, /Date\.now|performance\.now|setTimeout|setInterval|Math\.random|crypto\./, file)
    }
  })

  it("only the entry of Node needs Node", () => {
    const broken = files.filter((file) => !file.startsWith("node/")).flatMap((file) =>
      importsOf(file).filter((specifier) => /^(node:|ws$|@effect\/platform-node)/.test(specifier))
        .map((specifier) => `${file} -> ${specifier}`)
    )
    assert.deepStrictEqual(broken, [])
  })

  it("what a browser loads has nothing of wire v1, and nothing of what keeps answers on servers", () => {
    const reached = new Set<string>()
    const visit = (file: string): void => {
      if (reached.has(file)) return
      reached.add(file)
      for (const next of graph.get(file) ?? []) visit(next)
    }
    for (const file of ["ApiClient.ts", "ApiServer.ts", "SwaggerSocketClient.ts", "browser/index.ts"]) visit(file)
    assert.include([...reached], "internal/http/serverExchange.ts")
    const kept = [
      "Idempotency",
      // Loaded for peers that speak it.
      ...["answers", "calls", "exchanges", "handshake", "parser", "wire"].map((name) => `internal/v1/${name}`),
      ...[
        "bodyDigest",
        "executeOnce",
        "heldRequest",
        "keptAnswers",
        "recordedBody",
        "requestPrint",
        "sha256",
        "watchedBody"
      ].map(
        (name) => `internal/http/${name}`
      )
    ].map((name) => `${name}.ts`)
    assert.includeMembers(files, kept)
    assert.deepStrictEqual(kept.filter((file) => reached.has(file)), [])
  })

  it("nothing imports in a circle", () => {
    const done = new Set<string>()
    const visit = (file: string, path: ReadonlyArray<string>): void => {
      assert.notInclude(path, file, `${[...path, file].join(" -> ")}`)
      if (done.has(file)) return
      for (const next of graph.get(file) ?? []) visit(next, [...path, file])
      done.add(file)
    }
    for (const file of files) visit(file, [])
  })

  it("no file has more than 400 lines besides its comments, unless it is listed with a reason", () => {
    // The states of a stream and of its connection are decided in one place, so that no two places disagree.
    const excused = new Set(["internal/streams/multiplexer.ts"])
    const long = files.filter((file) => !excused.has(file)).flatMap((file) => {
      const code = Fs.readFileSync(Path.join(src, file), "utf8").replaceAll(/\/\*[\s\S]*?\*\//g, "")
        .split("\n").filter((line) => line.trim() !== "" && !line.trim().startsWith("//"))
      return code.length > 400 ? [`${file}: ${code.length}`] : []
    })
    assert.deepStrictEqual(long, [])
  })
})
