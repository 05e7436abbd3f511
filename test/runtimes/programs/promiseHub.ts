/** A hub without Effect. */
import { createHub } from "effect-swaggersocket/promise"
import * as Effect from "effect/Effect"

const make = async () => {
  const hub = await createHub()
  hub.serve(async (request, { fetch }) => {
    // Sends what it is sent back to its caller, and answers what that has answered.
    const answer = await fetch("/hash", { method: "POST", body: await request.arrayBuffer() })
    return new Response(await answer.text())
  })
  return hub
}

/** Closed with the scope. */
export const promiseHub = Effect.acquireRelease(Effect.promise(make), (hub) => Effect.promise(() => hub.close()))
