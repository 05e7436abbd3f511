/**
 * Upgrade requests of runtimes whose servers take a function from `Request` to `Response`: each is answered, whatever becomes of its
 * WebSocket. The runtime is in the hands of the test; `test/runtimes` has real ones.
 */
import { assert, describe, it } from "@effect/vitest"
import { acceptHub, type HonoContext, type UpgradeWebSocket } from "effect-swaggersocket/hono"
import { createHub } from "effect-swaggersocket/promise"
import { onTestFinished } from "vitest"
import { deferred, recorder } from "../promise/ends.ts"

const handshake = {
  host: "hub.example",
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  "sec-websocket-version": "13",
  "sec-websocket-protocol": "swaggersocket.v2"
}

const contextOf = (headers: Record<string, string> = handshake): HonoContext => ({
  req: { raw: new Request("http://hub.example/", { headers }) }
})

/** A hub of a runtime that upgrades in this way. */
const makeHub = async (upgradeWebSocket: UpgradeWebSocket) => {
  const { layer, lines } = recorder()
  const hub = await createHub({ layer })
  onTestFinished(() => hub.close({ drain: false }))
  const accept = acceptHub(hub, upgradeWebSocket)
  const statusOf = async (context = contextOf()) => (await accept(context)).status
  return { hub, lines, statusOf }
}

describe("an upgrade request of a runtime", () => {
  it("that the runtime can't upgrade is answered 501, and the log says why, once", async () => {
    const { lines, statusOf } = await makeHub(() => () => Promise.reject(new TypeError("set `websocket`")))
    assert.deepStrictEqual([await statusOf(), await statusOf()], [501, 501])
    assert.lengthOf(lines, 1)
    assert.match(lines[0]!, /^Warn WebSockets can't be opened: .* TypeError: set `websocket`$/)
  })

  it("that is no handshake is answered 400, and nothing is logged", async () => {
    const { lines, statusOf } = await makeHub(() => () => Promise.resolve())
    const { "sec-websocket-key": _, ...without } = handshake
    assert.strictEqual(await statusOf(contextOf(without)), 400)
    assert.deepStrictEqual(lines, [])
  })

  it("is answered 503 when the hub closes while it is upgraded, and its WebSocket is closed when it opens", async () => {
    const [asked, upgraded] = [deferred(), deferred()]
    const closes: Array<number | undefined> = []
    const { hub, statusOf } = await makeHub((createEvents) => async () => {
      const { onOpen } = createEvents()
      asked.resolve()
      await upgraded.promise
      onOpen({}, { send() {}, close: (code) => closes.push(code), readyState: 1 })
      return new Response("")
    })
    const status = statusOf()
    await asked.promise
    await hub.close({ drain: false })
    assert.strictEqual(await status, 503)
    upgraded.resolve()
    assert.strictEqual(await statusOf(), 503)
    assert.deepStrictEqual(closes, [1000])
  })
})
