/**
 * Real browsers, each with a page that has a secure context and then with one, loaded over plain HTTP, that has none.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { browsers, installation, open, versionOf } from "./browser.ts"
import { plainHost, startHub } from "./hub.ts"

const kinds = ["a text", "bytes", "an ArrayBuffer", "a Blob", "parameters", "a stream", "a form"]

const calls = (wire: string) => [`${wire}: the page calls the hub`, `${wire}: the hub calls the page`]

const cases = [
  ...calls("v2"),
  "a WebSocket of the page outlives its link",
  "a WebSocket of the hub outlives its link",
  ...kinds.flatMap((kind) => [`fetch sends ${kind}`, `fetch sends a Request of ${kind}`]),
  "fetch sends a cookie that it is given",
  "an answer has the cookies that it sets",
  "a handler is told the cookie that it was sent",
  "an answer is read as text, JSON, bytes, a Blob, and by its clone",
  "an answer of 4 MiB arrives whole",
  "an answer in gzip is decoded",
  "text() rejects when aborted",
  "arrayBuffer() rejects when aborted",
  "pipeTo() rejects when aborted",
  "the text() of its clone rejects when aborted",
  "a reader rejects when aborted",
  "text() of a body that breaks says why",
  "text() rejects when its time is up",
  "a handler reads a text",
  "a handler reads bytes",
  "a handler reads a form",
  "a handler reads a stream",
  "a handler reads a clone",
  "a handler answers with the body it was sent"
]

const uploads = [
  "an upload of 16 MiB arrives whole",
  "an upload of 16 MiB arrives from a hidden tab",
  "calls and their answers arrive in a hidden tab"
]

const toTheWorker = [
  "over a MessagePort: the page calls its worker",
  "over a MessagePort: the worker calls its page",
  "over a MessagePort: 16 MiB arrive whole, there and back"
]

const promises = calls("promises")

const v1 = [...calls("v1"), "v1: an answer of 4 MiB arrives whole"]

const expected = {
  "127.0.0.1": ["the page has a secure context", ...cases, ...uploads, ...promises, ...toTheWorker, ...v1],
  [plainHost]: ["the page has no secure context", ...cases, ...promises, ...toTheWorker, ...v1]
}

describe("page in a real browser", () => {
  for (const browser of browsers) {
    const version = versionOf(browser)
    const isSkipped = version === undefined && process.env["CI"] !== "true"
    if (isSkipped) console.warn(`${browser.command} is missing. To install it: ${installation(browser)}`)
    it.live.skipIf(isSkipped)(`a page in ${browser.name} serves its hub and calls it`, () =>
      Effect.gen(function*() {
        assert.isDefined(version, `${browser.command} is missing. To install it: ${installation(browser)}`)
        const { report, url } = yield* startHub
        yield* open(browser, url)
        for (const [host, names] of Object.entries(expected)) {
          const { page, results } = yield* report
          assert.strictEqual(page, host)
          assert.deepStrictEqual(results.filter(({ error }) => error !== undefined), [], version)
          assert.deepStrictEqual(results.map(({ name }) => name), names, version)
        }
      }), 90_000)
  }
})
