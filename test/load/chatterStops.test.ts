/**
 * How long the chatter service takes to stop.
 */
import { assert, describe, it } from "@effect/vitest"
import { once } from "node:events"
import { serve } from "../examples/chatter/programs.ts"

describe("the chatter service", { timeout: 60_000 }, () => {
  it("stops within 4 seconds though clients don't answer its close frame, as goa's while they wait for their user", async () => {
    const server = await serve()
    const webSocket = server.open("echoer")
    await once(webSocket, "open")
    webSocket.pause()
    const asked = performance.now()
    const { code } = await server.stop("SIGTERM")
    const took = performance.now() - asked
    webSocket.terminate()
    assert.strictEqual(code, 0)
    assert.isBelow(took, 4000)
  })
})
