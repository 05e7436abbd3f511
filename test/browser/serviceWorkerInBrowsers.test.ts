/**
 * Real browsers, each with a page whose service worker has the connection.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { browsers, installation, open, versionOf } from "./browser.ts"
import { startHub } from "./serviceWorkerHub.ts"

const expected = [
  "the page is controlled by its service worker",
  "fetch",
  "XMLHttpRequest",
  "an <img>",
  "an EventSource, event by event",
  "an <iframe>",
  "a redirect, which the browser follows",
  "HEAD, 204 and a range",
  "an answer arrives in pieces",
  "an answer of 16 MiB arrives whole",
  "an answer that breaks rejects",
  "an upload of 16 MiB arrives whole",
  "a form arrives",
  "an upload arrives in pieces where the browser has such",
  "a page that gives up before the answer interrupts the handler when it answers",
  "a page that gives up in the middle of the answer interrupts the handler",
  "a page that cancels the answer interrupts the handler",
  "a frame that is gone interrupts its handler",
  "no other request of these has reached the hub by the network",
  "an EventSource connects again when its connection is lost",
  "a request that may have been executed does not go to the network",
  "requests go to the network while the hub takes no WebSockets, and over the connection again when it does"
]

describe("page with a service worker in a real browser", () => {
  for (const browser of browsers) {
    const version = versionOf(browser)
    const isSkipped = version === undefined && process.env["CI"] !== "true"
    if (isSkipped) console.warn(`${browser.command} is missing. To install it: ${installation(browser)}`)
    it.live.skipIf(isSkipped)(
      `requests of a page in ${browser.name} go over the connection of its service worker`,
      () =>
        Effect.gen(function*() {
          assert.isDefined(version, `${browser.command} is missing. To install it: ${installation(browser)}`)
          const { report, url } = yield* startHub
          yield* open(browser, url)
          const { results } = yield* report
          assert.deepStrictEqual(results.filter(({ error }) => error !== undefined), [], version)
          assert.deepStrictEqual(results.map(({ name }) => name), expected, version)
        }),
      120_000
    )
  }
})
