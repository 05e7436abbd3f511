/**
 * How long the chatter service takes to stop.
 */
import { assert, describe, it } from "@effect/vitest"
import { once } from "node:events"
import { serve } from "../examples/chatter/programs.ts"

/** Milliseconds until a service with a client has stopped. */
const stop = async (answers: boolean): Promise<number> => {
  const server = await serve()
  const webSocket = server.open("echoer")
  await once(webSocket, "open")
  if (!answers) webSocket.pause()
  const asked = performance.now()
  const { code } = await server.stop("SIGTERM")
  const took = performance.now() - asked
  webSocket.terminate()
  assert.strictEqual(code, 0)
  return took
}

describe("chatter service", { timeout: 120_000 }, () => {
  it("a chatter service whose client answers no close frame, as goa's waiting for its user, stops within 4 s more", async () => {
    const least = await stop(true)
    // What the process needs to end, it may need again.
    assert.isBelow(await stop(false), 4000 + least)
  })
})
