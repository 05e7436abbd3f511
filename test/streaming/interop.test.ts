/**
 * What programs do that goa has generated: they say that they are done, and drop their connection in the same breath.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { within } from "../support/waiting.ts"
import { listen } from "./bindings.ts"
import { dial, type Raw } from "./raw.ts"
import { serve } from "./weather.ts"

const goodbyes: Readonly<Record<string, (raw: Raw) => void>> = {
  "drops its TCP connection": (raw) => raw.tcp.destroySoon(),
  "closes its WebSocket": (raw) => raw.ws.close(1000)
}

describe("client that leaves a slow handler", () => {
  for (const [name, leave] of Object.entries(goodbyes)) {
    it.live(`a client that ${name} after its null loses none of the messages that a slow handler has not handled yet`, () =>
      Effect.gen(function*() {
        const count = 500
        const recorded: Array<number> = []
        const ended = yield* Deferred.make<void>()
        const { url } = yield* listen(serve({
          record: (payload) =>
            Effect.onExit(
              Stream.runForEach(
                payload,
                ({ celsius }) => Effect.andThen(Effect.sleep(2), Effect.sync(() => recorded.push(celsius)))
              ),
              () => Deferred.succeed(ended, undefined)
            )
        }, { closeTimeout: "400 millis" }))
        const raw = yield* dial(url, "/record/1")
        for (let celsius = 0; celsius < count; celsius++) raw.ws.send(JSON.stringify({ celsius, at: "" }))
        raw.ws.send("null")
        leave(raw)
        yield* within("the handler's end", Deferred.await(ended))
        assert.deepStrictEqual(recorded, Array.from({ length: count }, (_, celsius) => celsius))
      }))
  }
})
