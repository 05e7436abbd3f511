/**
 * Who may import whom, and where the tests are. The folders of `src/internal` are layers, in the order in which bytes travel:
 * a folder imports what is listed for it and nothing else. Types count as much as values, and dynamic imports as much as
 * others.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"

const src = Path.join(import.meta.dirname, "..", "src")

const files = Fs.readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.replaceAll("\\", "/"))

const importsOf = (file: string, isStatic = false): Array<string> => {
  const text = Fs.readFileSync(Path.join(src, file), "utf8")
  return [...text.matchAll(/^(?:import|export)\s[^"=]*?from "([^"]+)"|\bimport\("([^"]+)"\)/gm)].map((match) =>
    match[1] ?? (isStatic ? "" : match[2]!)
  )
}

const local = (file: string, isStatic = false): Array<string> =>
  importsOf(file, isStatic)
    .filter((specifier) => specifier.startsWith("."))
    .map((specifier) => Path.posix.normalize(Path.posix.join(Path.posix.dirname(file), specifier)))

const graph = new Map(files.map((file) => [file, local(file)]))
/** What is loaded with a file. */
const loaded = new Map(files.map((file) => [file, local(file, true)]))

/** A folder of `src/internal`; else `public`, the platform, or `testing`. */
const layerOf = (file: string): string => {
  const [first, second, third] = file.split("/")
  if (first !== "internal") return second === undefined ? "public" : first!
  return third === undefined ? `${second} (loose)` : second!
}

/**
 * The public modules that internal code may import: what users and the code below share, and what has no home in a folder.
 * `SwaggerSocketError` is thrown everywhere. The others are types: a connection, its events and its limits, whose values and
 * services internal code is given.
 */
const shared: Readonly<Record<string, "types" | "values">> = {
  "Connection.ts": "types",
  "ConnectionEvent.ts": "types",
  "Limits.ts": "types",
  "Quotas.ts": "types",
  "SwaggerSocketError.ts": "values"
}

/** What a layer may import: other layers, or single files of them. Public modules are named one by one. */
const allowed: Readonly<Record<string, ReadonlyArray<string>>> = {
  config: [],
  scheduling: [],
  frame: [],
  streams: ["frame"],
  session: ["frame"],
  link: ["frame", "scheduling", "SwaggerSocketError"],
  handshake: [
    "frame",
    "link",
    "scheduling",
    "streams/multiplexed",
    "streams/settings",
    "Limits",
    "SwaggerSocketError"
  ],
  quota: [
    "frame/oneLine",
    "handshake/model",
    "link",
    "observe",
    "scheduling",
    "streams/rateLimit",
    "ConnectionEvent",
    "Quotas"
  ],
  observe: ["scheduling", "streams/settings", "ConnectionEvent"],
  connection: [
    "frame",
    "link",
    "observe",
    "scheduling",
    "session",
    "streams",
    "Connection",
    "ConnectionEvent",
    "Limits",
    "SwaggerSocketError"
  ],
  http: [
    "frame",
    "link/mask",
    "scheduling",
    "streams/multiplexed",
    "streams/stream",
    "connection/peer",
    "SwaggerSocketError"
  ],
  idempotency: ["http", "quota"],
  v1: ["frame", "handshake", "http/date", "link", "scheduling/random", "streams", "Limits", "SwaggerSocketError"],
  server: [
    "connection",
    "frame",
    "handshake",
    "link",
    "observe",
    "quota",
    "scheduling",
    "session",
    "v1/load",
    "Connection",
    "ConnectionEvent",
    "Limits",
    "Quotas",
    "SwaggerSocketError"
  ],
  client: [
    "connection",
    "frame",
    "handshake",
    "link",
    "observe",
    "session",
    "streams/multiplexed",
    "v1/load",
    "Connection",
    "ConnectionEvent",
    "Limits",
    "SwaggerSocketError"
  ],
  nodes: [
    "connection",
    "frame",
    "http",
    "observe",
    "scheduling",
    "server/acceptor",
    "session/token",
    "streams",
    "Connection",
    "ConnectionEvent",
    "SwaggerSocketError"
  ],
  streaming: [
    "frame",
    "handshake/model",
    "http/unreadResponses",
    "link",
    "quota",
    "scheduling",
    "ConnectionEvent",
    "Quotas"
  ],
  // Whatever they are made of.
  public: [
    "client",
    "config",
    "connection",
    "frame",
    "handshake",
    "http",
    "idempotency",
    "link",
    "nodes",
    "observe/spans",
    "quota",
    "scheduling/random",
    "server",
    "streaming",
    "streams"
  ],
  node: [
    "client/advice",
    "config",
    "frame/bufferPool",
    "frame/oneLine",
    "http/fields",
    "http/forwarded",
    "http/spliced",
    "http/webResponse",
    "link/bytesTaken",
    "link/mask",
    "link/platformSockets",
    "observe",
    "scheduling",
    "public"
  ],
  nats: ["Directory"],
  browser: [
    "connection/types",
    "frame/CloseCode",
    "http/parts",
    "http/webRequest",
    "link/linkErrors",
    "promise",
    "scheduling/gate",
    "scheduling/random",
    "scheduling/turn",
    "session/session",
    "ApiClient",
    "ApiServer",
    "Connection",
    "Limits",
    "Link",
    "Relay",
    "SwaggerSocketClient",
    "SwaggerSocketError",
    "SwaggerSocketServer"
  ],
  runtimes: ["frame/CloseCode", "link", "scheduling/eventLoop", "server/fetchAcceptor", "SwaggerSocketServer"],
  promise: [
    "browser",
    "handshake/model",
    "node",
    "runtimes",
    "ApiClient",
    "ApiServer",
    "Connection",
    "ConnectionEvent",
    "Handshake",
    "Limits",
    "Quotas",
    "SwaggerSocketClient",
    "SwaggerSocketError",
    "SwaggerSocketServer"
  ],
  // Runs no production code of its own; the suites call it as users do.
  testing: [
    "frame",
    "handshake/subprotocol",
    "link/model",
    "session/session",
    "ApiClient",
    "ApiServer",
    "Connection",
    "Link",
    "SwaggerSocketClient",
    "SwaggerSocketServer"
  ]
}

/** Where users come in. */
const entryLayers: ReadonlyArray<string> = ["public", "nats", "node", "browser", "runtimes", "promise"]

const tests = Fs.readdirSync(import.meta.dirname, { recursive: true, encoding: "utf8" })
  .map((file) => file.replaceAll("\\", "/"))
  .filter((file) => file.endsWith(".test.ts") && !file.includes("node_modules"))

/** Files of tests: that of a path, or all of a folder. */
const testsIn = (path: string): Array<string> => tests.filter((file) => file === path || file.startsWith(`${path}/`))

/** Public modules that are a layer's entry: the tests of the layer call it by them. */
const testedElsewhere: Readonly<Record<string, string>> = {
  ConnectionEvent: "observe/events.test.ts",
  Handshake: "handshake",
  Idempotency: "idempotency",
  Multiplexer: "connection/replaceableParts.test.ts",
  Reconnection: "client/reconnection.test.ts",
  StreamingClient: "streaming",
  StreamingEndpoint: "streaming",
  StreamingServer: "streaming",
  SwaggerSocketClient: "client",
  // What each kind of failure tells a caller.
  SwaggerSocketError: "connection/closing.test.ts",
  SwaggerSocketTest: "examples/testing.test.ts",
  index: "package"
}

const mayImport = (layer: string, imported: string): boolean => {
  const target = layerOf(imported)
  return allowed[layer]!.some((entry) =>
    entry === target || (entry.includes("/") && imported === `internal/${entry}.ts`) ||
    (target === "public" && imported === `${entry}.ts`)
  )
}

describe("architecture", () => {
  it("the imports that this test checks are found in the sources", () => {
    assert.isAbove(files.length, 40)
    assert.includeMembers(graph.get("index.ts")!, ["ApiClient.ts", "SwaggerSocketServer.ts"])
    assert.include(graph.get("internal/streams/inbound.ts")!, "internal/frame/decoder.ts")
    assert.include(graph.get("internal/v1/load.ts")!, "internal/v1/wire.ts")
  })

  it("every folder of the sources is a layer, and no file is outside of one", () => {
    assert.deepStrictEqual([...new Set(files.map(layerOf))].sort(), Object.keys(allowed).sort())
  })

  for (const layer of Object.keys(allowed)) {
    it(`${layer} imports only ${allowed[layer]!.join(", ") || "itself"}`, () => {
      const broken = files.filter((file) => layerOf(file) === layer).flatMap((file) =>
        graph.get(file)!.filter((imported) => layerOf(imported) !== layer && !mayImport(layer, imported))
          .map((imported) => `${file} -> ${imported}`)
      )
      assert.deepStrictEqual(broken, [])
    })
  }

  it("internal code imports of public modules the error and the types of four models", () => {
    const values = (file: string): Array<string> => {
      const text = Fs.readFileSync(Path.join(src, file), "utf8")
      return [...text.matchAll(/^(?:import|export) (?!type )[^"=]*?from "(\.[^"]+)"/gm)]
        .map((match) => Path.posix.normalize(Path.posix.join(Path.posix.dirname(file), match[1]!)))
    }
    const broken = files.filter((file) => file.startsWith("internal/")).flatMap((file) =>
      [
        ...graph.get(file)!.filter((imported) => layerOf(imported) === "public" && shared[imported] === undefined),
        ...values(file).filter((imported) => shared[imported] === "types")
      ].map((imported) => `${file} -> ${imported}`)
    )
    assert.deepStrictEqual(broken, [])
  })

  it("public modules have no internal members: what is internal has a home below", () => {
    const entries = files.filter((file) =>
      !file.startsWith("internal/") && !/^(?:nats|node|browser|promise)\/(?!index)/.test(file)
    )
    assert.isAbove(entries.length, 15)
    const broken = entries.filter((file) => Fs.readFileSync(Path.join(src, file), "utf8").includes("@internal"))
    assert.deepStrictEqual(broken, [])
  })

  it("each import that a layer is allowed occurs in the sources", () => {
    const unused = Object.entries(allowed).flatMap(([layer, entries]) =>
      entries.filter((entry) =>
        !files.some((file) =>
          layerOf(file) === layer &&
          graph.get(file)!.some((imported) =>
            layerOf(imported) === entry || imported === `internal/${entry}.ts` || imported === `${entry}.ts`
          )
        )
      ).map((entry) => `${layer} -> ${entry}`)
    )
    assert.deepStrictEqual(unused, [])
  })

  it("no layer of src/internal is above and below another", () => {
    const layers = Object.keys(allowed).filter((layer) => !entryLayers.includes(layer))
    const below = (layer: string): Array<string> =>
      [...new Set(files.filter((file) => layerOf(file) === layer).flatMap((file) => graph.get(file)!.map(layerOf)))]
        .filter((other) => other !== layer && layers.includes(other))
    const visit = (layer: string, path: ReadonlyArray<string>): void => {
      assert.notInclude(path, layer, [...path, layer].join(" -> "))
      for (const next of below(layer)) visit(next, [...path, layer])
    }
    for (const layer of layers) visit(layer, [])
  })

  it("frames and streams need nothing of Effect's runtime, time or randomness", () => {
    const pure = /^effect\/(Array|Bytes|Function|MutableList|Predicate|Schema)$/
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

  it("time, randomness and turns of the event loop come from services, which a simulator replaces", () => {
    const forbidden =
      /\b(?:Date\.now|new Date\(\)|performance\.now|Math\.random|randomUUID|getRandomValues|process\.nextTick|set(?:Timeout|Interval|Immediate)\(|queueMicrotask\(|new MessageChannel|(?:randomBytes|uuidV[47])Unsafe)/
    // What provides them; and what is of real sockets alone: a library's reader of messages, a proxy for tests, and a page's port.
    const exempt =
      /^browser\/sharedWorker\.ts$|^internal\/scheduling\/(?:eventLoop|random)\.ts$|^node\/partialMessages\.ts$|^internal\/testing\/(?:faultyPipe|faultProxy)\.ts$/
    const broken = files.filter((file) => !exempt.test(file)).filter((file) => {
      const code = Fs.readFileSync(Path.join(src, file), "utf8").replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, "")
      return forbidden.test(code)
    })
    assert.deepStrictEqual(broken, [])
  })

  it("only the entries of Node and of the suites import modules of Node", () => {
    const ofNode = (file: string) => ["node", "testing"].includes(layerOf(file)) || file === "promise/listen.ts"
    const broken = files.filter((file) => !ofNode(file)).flatMap((file) =>
      importsOf(file).filter((specifier) => /^(node:|ws$|@effect\/platform-node)/.test(specifier))
        .map((specifier) => `${file} -> ${specifier}`)
    )
    assert.deepStrictEqual(broken, [])
  })

  it("code for browsers loads nothing of Node, of wire v1, of the suites, or of what keeps responses on servers", () => {
    const reached = new Set<string>()
    const visit = (file: string): void => {
      if (reached.has(file)) return
      reached.add(file)
      // Of shared workers alone. Bundlers leave it out of pages, as `.ci/size.mjs` sees.
      if (file === "browser/tabs.ts") return
      for (const next of loaded.get(file) ?? []) visit(next)
    }
    const pages = ["ApiClient.ts", "ApiServer.ts", "SwaggerSocketClient.ts", "browser/index.ts", "promise/browser.ts"]
    for (const file of pages) visit(file)
    assert.include([...reached], "internal/http/serverExchange.ts")
    assert.notInclude([...reached], "internal/http/upgrades.ts")
    const kept = files.filter((file) =>
      /^(?:Directory|Fleet|Idempotency|NodeLinks)\.ts$/.test(file) || ["nats", "node"].includes(layerOf(file)) ||
      /^internal\/(?:idempotency|nodes)\//.test(file) ||
      layerOf(file) === "testing" ||
      // Loaded for peers that speak it.
      (file.startsWith("internal/v1/") && file !== "internal/v1/load.ts")
    )
    assert.isAbove(kept.length, 10)
    assert.deepStrictEqual(kept.filter((file) => reached.has(file)), [])
  })

  it("sections of the protocol's documents that comments and models name exist", () => {
    const root = Path.join(src, "..")
    const headings = ["PROTOCOL.md", "PROTOCOL-v1.md", "PROTOCOL-streaming.md"].flatMap((document) =>
      [...Fs.readFileSync(Path.join(root, document), "utf8").matchAll(/^#+ (.+?)(?: \(.*\))?$/gm)]
        .map((match) => `${document} ${match[1]!}`)
    )
    const cited = ["src", "test", "examples", "spec"].flatMap((folder) =>
      Fs.readdirSync(Path.join(root, folder), { recursive: true, encoding: "utf8" })
        .filter((file) => /\.(ts|pml)$/.test(file) && !file.includes("node_modules"))
        .flatMap((file) => {
          const text = Fs.readFileSync(Path.join(root, folder, file), "utf8").replaceAll(/\n\s*(?:\*|\/\/) ?/g, " ")
          return [...text.matchAll(/(PROTOCOL(?:-\w+)?\.md)(?:,? (?:and |or |to )?"[^"\n]+")+/g)]
            .flatMap(([citation, document]) =>
              [...citation.matchAll(/"([^"]+)"/g)].map((match) => `${document!} ${match[1]!} (${folder}/${file})`)
            )
        })
    )
    assert.isAbove(cited.length, 40)
    assert.deepStrictEqual(cited.filter((citation) => !headings.some((name) => citation.startsWith(`${name} (`))), [])
  })

  it("CONTRIBUTING.md names existing files and folders, and every layer", () => {
    const text = Fs.readFileSync(Path.join(src, "..", "CONTRIBUTING.md"), "utf8")
    const named = [...text.matchAll(/`((?:[a-z]\w*\/)+\w+\.ts|[A-Z]\w+\.ts|[a-z]\w*\/)`/g)].map((match) => match[1]!)
    assert.isAbove(named.length, 30)
    const missing = named.filter((name) =>
      !["", "src", "src/internal"].some((folder) => Fs.existsSync(Path.join(src, "..", folder, name)))
    )
    assert.deepStrictEqual(missing, [])
    const layers = Object.keys(allowed).filter((layer) => !entryLayers.includes(layer))
    assert.deepStrictEqual(layers.filter((layer) => !text.includes(`| \`${layer}\` |`)), [])
  })

  it("each folder of src/internal and each platform has a folder of tests of its name", () => {
    const folders = Object.keys(allowed).filter((layer) => layer !== "public")
    assert.deepStrictEqual(folders.filter((folder) => testsIn(folder).length === 0), [])
  })

  it("each public module has a file of tests of its name, or is tested where `testedElsewhere` says", () => {
    const modules = files.filter((file) => layerOf(file) === "public").map((file) => file.slice(0, -".ts".length))
    const untested = modules.filter((module) =>
      testsIn(`${module}.test.ts`).length === 0 && testsIn(testedElsewhere[module] ?? "nowhere").length === 0
    )
    assert.deepStrictEqual(untested, [])
    const superfluous = Object.keys(testedElsewhere).filter((module) =>
      !modules.includes(module) || testsIn(`${module}.test.ts`).length > 0
    )
    assert.deepStrictEqual(superfluous, [])
  })

  it("modules keep no state but that which CONTRIBUTING.md lists, with the reason", () => {
    const text = Fs.readFileSync(Path.join(src, "..", "CONTRIBUTING.md"), "utf8")
    const section = text.slice(text.indexOf("## State of the process"), text.indexOf("## The tests"))
    const listed = [...section.matchAll(/^\| `(\S+)` \| ([^|]+) \| [^|]+ \|$/gm)].flatMap(([, file, names]) =>
      [...names!.matchAll(/`(\w+)`/g)].map(([, name]) => `${file} ${name}`)
    )
    assert.isAbove(listed.length, 20)
    // Whatever is declared as readonly can't be changed: `ReadonlySet`, `ReadonlyMap`, `ReadonlyArray`.
    const state =
      /^(?:export )?(?:let (\w+)|const (\w+)(?:: (?!Readonly).+?)? = (?:new (?:Map|Set|WeakMap|WeakSet)\b|\[\]|\{\}))/gm
    const found = files.flatMap((file) =>
      [...Fs.readFileSync(Path.join(src, file), "utf8").matchAll(state)].map((match) =>
        `${file.replace("internal/", "")} ${match[1] ?? match[2]}`
      )
    )
    assert.deepStrictEqual(found.sort(), listed.sort())
  })

  it("no files import each other in a circle", () => {
    const done = new Set<string>()
    const visit = (file: string, path: ReadonlyArray<string>): void => {
      assert.notInclude(path, file, `${[...path, file].join(" -> ")}`)
      if (done.has(file)) return
      for (const next of graph.get(file) ?? []) visit(next, [...path, file])
      done.add(file)
    }
    for (const file of files) visit(file, [])
  })

  it("no file has more than 350 lines besides its comments", () => {
    const lines = new Map(files.map((file) => {
      const code = Fs.readFileSync(Path.join(src, file), "utf8").replaceAll(/\/\*[\s\S]*?\*\//g, "")
        .split("\n").filter((line) => line.trim() !== "" && !line.trim().startsWith("//"))
      return [file, code.length]
    }))
    assert.deepStrictEqual(files.filter((file) => lines.get(file)! > 350), [])
  })
})
