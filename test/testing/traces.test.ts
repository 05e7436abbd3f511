/**
 * The traces of PROTOCOL.md, "Traces", with this package's server and client.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import {
  listenForClients,
  runServerTraces,
  type TraceResult,
  tracesFor
} from "../../src/internal/testing/traces/run.ts"
import { everyOther } from "../support/extent.ts"
import { startClient, startServer } from "./tracePeers.ts"

const failuresOf = (results: ReadonlyArray<TraceResult>) => results.filter(({ failure }) => failure !== undefined)

describe("traces", () => {
  it.live("the server of this package does what each trace says", () =>
    Effect.gen(function*() {
      const results = yield* runServerTraces(yield* startServer, everyOther(everyOther(tracesFor("server"))))
      assert.deepStrictEqual(failuresOf(results), [])
      assert.isAbove(results.length, 30)
    }))

  it.live("the client of this package does what each trace says", () =>
    Effect.gen(function*() {
      const { port, results } = yield* listenForClients(0, everyOther(everyOther(tracesFor("client"))))
      for (let lane = 0; lane < 8; lane++) yield* startClient(`ws://127.0.0.1:${port}/${lane}`)
      const all = yield* results
      assert.deepStrictEqual(failuresOf(all), [])
      assert.isAbove(all.length, 25)
    }))
})
