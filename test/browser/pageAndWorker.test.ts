/**
 * The example of a page and its worker, in real browsers.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import * as path from "node:path"
import { bundle } from "../support/bundle.ts"
import { browsers, installation, open, versionOf } from "./browser.ts"

const root = path.join(import.meta.dirname, "../..")

/** The example, which is killed with the scope; each call of `line` gives the next line that it prints. */
const start = Effect.gen(function*() {
  const program = yield* Effect.promise(() => bundle(path.join(root, "examples/page-and-worker/serve.ts")))
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, [program], {
        cwd: root,
        env: { ...process.env, PORT: "0" },
        stdio: ["ignore", "pipe", "inherit"]
      })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  const lines = (async function*() {
    let text = ""
    for await (const part of child.stdout.setEncoding("utf8")) {
      const parts = (text + part).split("\n")
      text = parts.pop()!
      yield* parts
    }
  })()
  return { line: Effect.promise(async () => (await lines.next()).value) }
})

describe("page and its worker", () => {
  for (const browser of browsers) {
    const version = versionOf(browser)
    const isSkipped = version === undefined && process.env["CI"] !== "true"
    if (isSkipped) console.warn(`${browser.command} is missing. To install it: ${installation(browser)}`)
    it.live.skipIf(isSkipped)(`the example runs in ${browser.name}`, () =>
      Effect.gen(function*() {
        assert.isDefined(version, `${browser.command} is missing. To install it: ${installation(browser)}`)
        const { line } = yield* start
        const [, url] = /^open (\S+) in a browser$/.exec(String(yield* line))!
        yield* open(browser, url!)
        assert.strictEqual(yield* line, "the page shows: the largest prime number up to 1,000,000 is 999983")
        assert.strictEqual(yield* line, "the page shows: the worker has told of 100 % of the way")
      }), 60_000)
  }
})
