/**
 * What a page gets over a connection, beside a raw WebSocket and HTTP/1.1, in each browser that is installed.
 *
 *     npm run bench-browser -- --rounds 5 --seconds 2 --mib 64
 */
import * as Effect from "effect/Effect"
import * as esbuild from "esbuild"
import * as path from "node:path"
import { parseArgs } from "node:util"
import { browsers, open, versionOf } from "../../test/browser/browser.ts"
import { format, markdown, median } from "../src/table.ts"
import type { Measured, Report } from "./content.ts"
import { serveHub, servePage, serveWebSocket } from "./servers.ts"

const { values } = parseArgs({
  options: {
    browsers: { type: "string", default: browsers.map(({ name }) => name).join() },
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "2" },
    mib: { type: "string", default: "64" }
  }
})

const bundle = async (name: string, format: "esm" | "iife"): Promise<string> => {
  const { outputFiles: [file] } = await esbuild.build({
    entryPoints: [path.join(import.meta.dirname, `${name}.ts`)],
    // Not that of the other benchmarks: it leads the package's name to `src`.
    tsconfig: path.join(import.meta.dirname, "../../tsconfig.json"),
    bundle: true,
    minify: true,
    format,
    platform: "browser",
    target: "es2022",
    write: false
  })
  return file!.text
}

const files = async (): Promise<ReadonlyMap<string, string>> =>
  new Map([
    ["/", `<!doctype html><meta charset="utf-8"><body><script type="module" src="/page.js"></script>`],
    ["/page.js", await bundle("page", "esm")],
    ["/sw/frame", `<!doctype html><meta charset="utf-8">`],
    ["/sw/worker.js", await bundle("worker", "iife")]
  ])

const measures = ["one", "many", "up", "down"] as const

/** Medians of the rounds, and of their ratios to the raw WebSocket within each round. */
const table = (measured: ReadonlyArray<Measured>): string => {
  const ways = [...new Set(measured.map(({ way }) => way))]
  const raw = new Map(measured.filter(({ way }) => way === "WebSocket").map((row) => [row.round, row]))
  const cell = (way: string, measure: (typeof measures)[number]): string => {
    const rows = measured.filter((row) => row.way === way)
    const ratio = median(rows.map((row) => row[measure] / raw.get(row.round)![measure]))
    return `${format(median(rows.map((row) => row[measure])))} (${ratio.toFixed(2)})`
  }
  return markdown([
    ["", "calls/s, 1 in flight", "calls/s, 64 in flight", "MiB/s up", "MiB/s down"],
    ...ways.map((way) => [way, ...measures.map((measure) => cell(way, measure))])
  ])
}

const measure = Effect.fnUntraced(function*(browser: (typeof browsers)[number]) {
  let onReport!: (report: Report) => void
  const reported = new Promise<Report>((resolve) => {
    onReport = resolve
  })
  const origin = yield* Effect.promise(async () => servePage(await files(), onReport))
  const query = new URLSearchParams({
    hub: yield* serveHub(origin),
    raw: yield* Effect.promise(serveWebSocket),
    rounds: values.rounds,
    seconds: values.seconds,
    mib: values.mib
  })
  yield* open(browser, `${origin}/?${query}`)
  return yield* Effect.promise(() => reported)
})

for (const browser of browsers.filter(({ name }) => values.browsers.split(",").includes(name))) {
  const version = versionOf(browser)
  if (version === undefined) {
    console.log(`${browser.command} is missing`)
    continue
  }
  const { error, measured } = await Effect.runPromise(Effect.scoped(measure(browser)))
  console.log(`\n${version}\n\n${error ?? table(measured)}`)
  for (const row of measured) console.error(JSON.stringify(row))
}
process.exit()
