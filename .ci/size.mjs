// What a browser pays for a client that both serves and calls an API, by the layers and by promises: the minified bundle of the
// built package, gzipped.
// The bundle has Effect in it, as a page has. What is Effect's is measured by a bundle of those exports of Effect that this
// package names, and the rest is this package's own. Fails over the limits, and when Node's modules or another package came
// along. Wire v1 and what upgrades need are not in the bundle: they are loaded for peers that speak it, and with the first upgrade.
import * as esbuild from "esbuild"
import * as path from "node:path"
import { gzipSync } from "node:zlib"

const layers = {
  modules: ["SwaggerSocketClient", "ApiServer", "ApiClient"],
  limits: { own: 41_318, withEffect: 107_483 }
}
// A client that only calls: most of the protocol is the same for both roles.
const caller = { modules: ["SwaggerSocketClient", "ApiClient"], limits: { own: 38_221, withEffect: 91_865 } }
// What promises may add to the layers, of whose bundle they have most, with the life of the page: measured 2,200 and 1,925, and some
// for what gzip makes of it.
const promises = { modules: ["promise"], adds: { own: 2_300, withEffect: 2_000 } }
// What a service worker has: most of a client by promises, without listeners.
const worker = { modules: [], ofBrowser: ["serviceWorker"], limits: { own: 39_868, withEffect: 94_066 } }
// A page that calls over the connection of its shared worker, or over its own; and that worker, which is a client and a server.
const sharing = {
  modules: ["ApiClient", "SwaggerSocketClient"],
  ofBrowser: ["layerSharedWorker", "layerWebSocketConstructor"],
  limits: { own: 40_401, withEffect: 94_441 }
}
const sharedWorker = {
  modules: ["SwaggerSocketClient"],
  ofBrowser: ["layerTabs", "layerWebSocketConstructor"],
  limits: { own: 62_217, withEffect: 130_751 }
}
const root = path.dirname(import.meta.dirname)

// `./wire.js` is what v1/load.ts loads, `./upgrades.js` what http/loadUpgrades.ts does
const loadedLater = ["node:*", "./wire.js", "./upgrades.js"]

const bundle = (contents, options) =>
  esbuild.build({
    stdin: { contents, resolveDir: root },
    absWorkingDir: root,
    tsconfigRaw: {}, // tsconfig.json leads the package's name to src
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    external: loadedLater,
    metafile: true,
    write: false,
    ...options
  })

/** Code that uses what `code` uses of Effect. */
const usesOf = (code) => {
  const used = new Map()
  for (const [, namespace, named, from] of code.matchAll(/^import (?:\* as (\w+)|\{(.+)\}) from "(effect\/.+)";$/gm)) {
    const members = namespace === undefined
      ? named.split(",").map((name) => name.trim().replace(/ as .*/, ""))
      : Array.from(code.matchAll(new RegExp(`(?<![\\w$.])${namespace}\\.(\\w+)`, "g")), ([, name]) => name)
    used.set(from, new Set([...used.get(from) ?? [], ...members]))
  }
  const imports = Array.from(used.keys(), (from, at) => `import * as module${at} from "${from}"`)
  const uses = Array.from(used.values(), (names, at) => Array.from(names, (name) => `module${at}.${name}`))
  return [...imports, `globalThis.uses = [${uses.flat()}]`].join("\n")
}
const gzipped = ({ outputFiles: [{ contents }] }) => gzipSync(contents, { level: 9 }).byteLength

/** The sizes of the bundle of a page that uses some modules, and what is wrong with it. */
const check = async ({ limits, modules, ofBrowser = [] }) => {
  const entry = [
    ...modules.map((name) => `export * as ${name} from "effect-swaggersocket/${name}"`),
    ...(ofBrowser.length === 0 ? [] : [`export { ${ofBrowser} } from "effect-swaggersocket/browser"`])
  ].join("\n")
  const names = [...modules, ...ofBrowser].join(" + ")
  const page = await bundle(entry, {})
  const withoutEffect = await bundle(entry, { minify: false, external: ["effect", "effect/*", ...loadedLater] })
  const effect = await bundle(usesOf(withoutEffect.outputFiles[0].text), {})
  const problems = []

  const inputs = Object.keys(page.metafile.inputs).filter((file) => !/(?:^|\/)node_modules\/effect\//.test(file))
  const strangers = inputs.filter((file) => file !== "<stdin>" && !file.startsWith("dist/"))
  if (strangers.length > 0) problems.push(`the bundle contains code from elsewhere: ${strangers.join(", ")}`)
  const ofNode = inputs.filter((file) => file.startsWith("dist/node/"))
  if (ofNode.length > 0) problems.push(`the bundle contains code for Node: ${ofNode.join(", ")}`)

  for (const { path: specifier } of Object.values(page.metafile.outputs).flatMap((output) => output.imports)) {
    if (!specifier.startsWith("node:")) continue
    const importers = Object.entries(page.metafile.inputs)
      .filter(([, input]) => input.imports.some((imported) => imported.path === specifier))
      .map(([file]) => file)
    problems.push(`the bundle imports ${specifier} (from ${importers.join(", ")})`)
  }

  const withEffect = gzipped(page)
  const sizes = { own: withEffect - gzipped(effect), withEffect }
  console.log(`${names}, bytes gzipped: ${JSON.stringify(sizes)}, limits ${JSON.stringify(limits)}`)
  for (const [name, size] of Object.entries(sizes)) {
    if (size > limits[name]) problems.push(`the bundle is ${size - limits[name]} bytes over the limit (${name})`)
  }
  return { sizes, problems: problems.map((problem) => `${names}: ${problem}`) }
}

const ofLayers = await check(layers)
const ofCaller = await check(caller)
const { own, withEffect } = ofLayers.sizes
const { adds, modules } = promises
const ofPromises = await check({ modules, limits: { own: own + adds.own, withEffect: withEffect + adds.withEffect } })
const others = [await check(worker), await check(sharing), await check(sharedWorker)]

const problems = [ofLayers, ofCaller, ofPromises, ...others].flatMap(({ problems }) => problems)
for (const problem of problems) console.error(problem)
process.exitCode = problems.length > 0 ? 1 : 0
