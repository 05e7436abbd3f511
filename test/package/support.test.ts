/**
 * The table of platforms in README: each cell stands on a test that runs there. `npx vitest run support` prints the table.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"

const root = Path.join(import.meta.dirname, "../..")

/** A test, by its file and by what its title, or the list that its titles are made of, says there. */
interface Proof {
  readonly file: string
  readonly says: string
}

interface Platform {
  readonly name: string
  readonly entry: string
  readonly cells: Partial<Record<Role, Proof>>
}

const roles = ["dials", "accepts", "calls", "serves", "goes on after a cut"] as const

type Role = typeof roles[number]

const proof = (file: string, says: string): Proof => ({ file: `test/${file}`, says })

const node = proof("promise/calls.test.ts", "calls ${direction}")
const page = (says: string) => proof("browser/browsers.test.ts", says)
const tab = (says: string) => proof("browser/tabs.test.ts", says)
const sharing = proof("browser/sharedWorker.test.ts", "a shared worker of ${browser.name}")
const serviceWorker = proof(
  "browser/serviceWorkerInBrowsers.test.ts",
  "requests of a page in ${browser.name} go over the connection of its service worker"
)
const client = proof(
  "runtimes/clients.test.ts",
  "a client on ${name} sends a header field, calls a hub, is called by it"
)
const durableClient = proof("runtimes/clients.test.ts", "a client in a Durable Object calls a hub, and is called by it")
const hub = (says: string) => proof("runtimes/hubs.test.ts", says)
const transfers = hub("bodies arrive in both directions, also when the link is cut under one")
const inPages = "a page in ${browser.name} serves its hub and calls it"

const browserCells = {
  "dials": page(inPages),
  "calls": page(inPages),
  "serves": page(inPages),
  "goes on after a cut": tab("${64 * MiB}")
}

const hubCells = { "accepts": transfers, "calls": transfers, "serves": transfers, "goes on after a cut": transfers }

const platforms: ReadonlyArray<Platform> = [
  {
    name: "Node 20.19 and newer",
    entry: "node",
    cells: {
      "dials": node,
      "accepts": node,
      "calls": node,
      "serves": node,
      "goes on after a cut": proof("promise/lifecycle.test.ts", "is replaced, and the call that was under way goes on")
    }
  },
  { name: "pages of Chromium and Firefox", entry: "browser", cells: browserCells },
  {
    name: "their shared workers, for all tabs",
    entry: "browser",
    cells: { "dials": sharing, "calls": sharing, "serves": sharing, "goes on after a cut": sharing }
  },
  {
    name: "their service workers, for plain `fetch`",
    entry: "browser",
    cells: { "dials": serviceWorker, "calls": serviceWorker }
  },
  { name: "Bun", entry: "bun", cells: { "dials": client, ...hubCells } },
  { name: "Deno", entry: "deno", cells: { "dials": client, ...hubCells } },
  { name: "Durable Objects of Workers", entry: "workers", cells: { "dials": durableClient, ...hubCells } },
  { name: "Hono, on Node, Bun, Deno and Workers", entry: "hono", cells: hubCells }
]

const table = [
  `| | entry | ${roles.join(" | ")} |`,
  `| --- | --- |${" :-: |".repeat(roles.length)}`,
  ...platforms.map(({ cells, entry, name }) =>
    `| ${name} | \`${entry}\` | ${roles.map((role) => (cells[role] === undefined ? "" : "✓")).join(" | ")} |`
  )
].join("\n")

describe("platforms that README names", () => {
  it("the table is that of the tests that run there", () => {
    const readme = Fs.readFileSync(Path.join(root, "README.md"), "utf8")
    assert.include(readme, table, `README has another table than this:\n${table}\n`)
  })

  for (const { cells, entry, name } of platforms) {
    it(`${name}: there is a test for each mark, and the entry`, () => {
      for (const { file, says } of Object.values(cells)) {
        assert.include(Fs.readFileSync(Path.join(root, file), "utf8"), says, file)
      }
      const { exports } = JSON.parse(Fs.readFileSync(Path.join(root, "package.json"), "utf8")) as {
        readonly exports: Readonly<Record<string, unknown>>
      }
      assert.property(exports, `./${entry}`)
    })
  }
})
