/**
 * The examples with Vite: each is built, served by its hub, and opened in browsers.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { browsers, installation, open, versionOf } from "../browser/browser.ts"

const folder = path.join(import.meta.dirname, "../../examples/vite")

/** What they print, in any order. */
const examples: Readonly<Record<string, ReadonlyArray<string>>> = {
  page: [
    "connected: A page that connects",
    "the page shows: a call by the connection",
    "the page shows: status: Connected"
  ],
  "service-worker": [
    "connected: somebody who serves nothing",
    "the page shows: a call by the connection",
    "the page shows: an image, which came the same way",
    "the page shows: tick 1",
    "the page shows: tick 2",
    "the page shows: tick 3"
  ],
  "shared-worker": ["connected: somebody who serves nothing", "the page shows: a call by the connection"],
  react: ["connected: A page with React", "the page shows: a call by the connection"]
}

/** The hub of an example, which is killed with the scope; each call of `line` gives the next line that it prints. */
const start = (example: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, ["--import", "tsx", "hub.ts", example], {
          cwd: folder,
          env: { ...process.env, PORT: "0" },
          stdio: ["ignore", "pipe", "inherit"]
        })
      ),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    ),
    (child) => {
      const lines = (async function*() {
        let text = ""
        for await (const part of child.stdout.setEncoding("utf8")) {
          const parts = (text + part).split("\n")
          text = parts.pop()!
          yield* parts
        }
      })()
      return Effect.promise(async () => String((await lines.next()).value))
    }
  )

const isInstalled = fs.existsSync(path.join(folder, "node_modules"))
if (!isInstalled) console.warn("Vite and React are missing. To install them: npm ci --prefix examples/vite")

describe("examples with Vite", () => {
  for (const browser of browsers) {
    const version = versionOf(browser)
    if (version === undefined) console.warn(`${browser.command} is missing. To install it: ${installation(browser)}`)
    const isSkipped = (version === undefined || !isInstalled) && process.env["CI"] !== "true"
    for (const [example, expected] of Object.entries(examples)) {
      // Firefox took service workers that are modules later than Chromium. The rest is tested in it elsewhere.
      if (browser.name === "Firefox" && example !== "service-worker") continue
      it.live.skipIf(isSkipped)(`${example} runs in ${browser.name}`, () =>
        Effect.gen(function*() {
          const line = yield* start(example)
          const [, url] = /^open (\S+) in a browser$/.exec(yield* line) ?? assert.fail("it does not say where to look")
          yield* open(browser, url!)
          const lines: Array<string> = []
          while (!expected.every((line) => lines.includes(line))) lines.push(yield* line)
        }), 60_000)
    }
  }
})
