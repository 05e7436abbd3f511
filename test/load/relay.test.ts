/**
 * Calls that a hub passes on to a device, each of the three in a process of its own.
 *
 * `CALLS=100000 npx vitest run test/load/relay` takes a minute.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as Effect from "effect/Effect"
import type { Message } from "../support/child.ts"
import { extent } from "../support/extent.ts"
import { fork } from "../support/fork.ts"
import { report, round, timed } from "../support/measurements.ts"

const calls = extent("CALLS", 4000, 100_000)
/** Calls of a measurement, and how often each way is measured. */
const [sample, rounds] = [2000, 3]

describe("relayed calls", () => {
  it.live(`each of ${calls} relayed calls is executed once`, (context) =>
    Effect.gen(function*() {
      const file = new URL("children/relay.ts", import.meta.url)
      const hub = yield* fork(file, ["hub"])
      const { url } = yield* hub.hear<Message & { readonly type: "listening"; readonly url: string }>("listening")
      const device = yield* fork(file, ["device", url])
      yield* device.hear("serving")
      const client = yield* SwaggerSocketClient.make({ url })
      const api = ApiClient.make(yield* client.connection)
      const many = (count: number, target: (index: number) => string) =>
        Effect.forEach(
          Array.from({ length: count }, (_, index) => index),
          (index) => Effect.flatMap(api.get(target(index)), (response) => response.text),
          { concurrency: 64, discard: true }
        )
      yield* many(calls / 2, (id) => `/relayed/once/${id}`)
      yield* many(calls / 2, (id) => `/spliced/once/${calls / 2 + id}`)
      const executed = yield* Effect.flatMap(api.get("/relayed/executed"), (response) => response.json)
      assert.deepStrictEqual(executed, { calls, most: 1 })

      const perSecond: Record<string, Array<number>> = { direct: [], spliced: [], relayed: [], proxied: [] }
      for (let times = 0; times < rounds; times++) {
        for (
          const [way, target] of Object.entries({
            direct: "",
            spliced: "/spliced",
            relayed: "/relayed",
            proxied: "/proxied"
          })
        ) {
          const [, millis] = yield* timed(many(sample, () => `${target}/count`))
          perSecond[way]!.push(sample / millis * 1000)
        }
      }
      const best = (way: string) => Math.max(...perSecond[way]!)
      report(context, {
        "direct calls/s": Math.round(best("direct")),
        "calls/s passed on before any handler": Math.round(best("spliced")),
        "calls/s passed on by a handler": Math.round(best("relayed")),
        "calls/s of an HTTP proxy": Math.round(best("proxied")),
        "before any handler to direct": round(best("spliced") / best("direct")),
        "by a handler to direct": round(best("relayed") / best("direct"))
      })
      assert.isAbove(best("spliced"), best("direct") * 0.4)
      assert.isAbove(best("relayed"), best("proxied"))
    }).pipe(Effect.provide(NodeSwaggerSocket.layerWebSocketConstructor), Effect.scoped))
})
