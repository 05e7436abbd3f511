/**
 * HTTP clients as they are installed, over a connection, in both directions: each does what it is for.
 */
import { outcomeOf } from "effect-swaggersocket/SwaggerSocketError"
import { afterAll, assert, beforeAll, beforeEach, describe, it } from "vitest"
import type { Ends } from "./ends.ts"
import { isInstalled } from "./installed.ts"
import { untilThere } from "./untilThere.ts"

const loaded = isInstalled
  ? { ...(await import("./api.ts")), ...(await import("./clients.ts")), ...(await import("./ends.ts")) }
  : undefined

const bytes = new Uint8Array(300_000).map((_, at) => at)

if (loaded === undefined) it.skip("HTTP clients: run `npm ci --prefix test/ecosystem` first", () => {})
else {
  const { clients, directions, join, leave, makeApi, texts, Watch } = loaded
  for (const [direction, { doors: doorsOf, serve }] of Object.entries(directions)) {
    describe(direction, () => {
      const watch = new Watch()
      let ends: Ends
      let doors: ReturnType<typeof doorsOf>
      beforeAll(async () => {
        ends = await join()
        serve(ends, makeApi(watch))
        doors = doorsOf(ends)
      })
      afterAll(() => leave(ends))
      beforeEach(() => watch.reset())
      for (const [name, { abort, broken, hello, missing, stream, upload }] of Object.entries(clients)) {
        if (hello !== undefined) {
          it(`${name}: a call`, async () => {
            const answer = await hello(doors)
            assert.strictEqual(answer, "hello world")
          })
        }
        if (missing !== undefined) {
          it(`${name}: an error`, async () => {
            const status = await missing(doors)
            assert.strictEqual(status, 404)
          })
        }
        if (stream !== undefined) {
          it(`${name}: a stream, of which each part is there before the next one`, async () => {
            const seen: Array<string> = []
            await stream(doors, (text) => {
              seen.push(text)
              watch.saw(text)
            })
            assert.deepStrictEqual(seen, texts)
          })
        }
        if (broken !== undefined) {
          it(`${name}: an answer that breaks off is no whole one`, async () => {
            const outcome = await broken(doors).then(() => "answered", () => "rejected")
            assert.strictEqual(outcome, "rejected")
          })
        }
        if (abort !== undefined) {
          it(`${name}: a call that is given up`, async () => {
            const controller = new AbortController()
            const call = abort(doors, controller.signal).then(() => "answered", () => "rejected")
            await untilThere(() => watch.waiting === 1)
            controller.abort()
            assert.strictEqual(await call, "rejected")
            await untilThere(() => watch.aborted === 1)
          })
        }
        if (upload !== undefined) {
          it(`${name}: an upload`, async () => {
            const size = await upload(doors, bytes)
            assert.strictEqual(size, bytes.length)
          })
        }
      }
    })
  }

  describe("why a call has failed", () => {
    // The errors of node-fetch, superagent and others have a code, and no cause.
    const telling = [
      "fetch of the connection",
      "node:http (agent)",
      "undici request (dispatcher)",
      "axios (fetch adapter)",
      "axios (http adapter, agent)",
      "got (agent)",
      "needle (agent)"
    ]
    for (const name of telling) {
      it(`${name}: the error tells that the peer has not processed it`, async () => {
        const ends = await join()
        const doors = directions["the hub calls a device"].doors(ends)
        await leave(ends)
        const error: unknown = await clients[name]!.hello!(doors).catch((error: unknown) => error)
        assert.strictEqual(outcomeOf(error), "not-sent")
      })
    }
  })
}
