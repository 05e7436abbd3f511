/**
 * WebSockets of calls from one address, of one principal and of a group: who has too many is refused, and nobody else.
 */
import { assert, describe, it } from "@effect/vitest"
import type { QuotaExceeded } from "effect-swaggersocket/ConnectionEvent"
import * as Quotas from "effect-swaggersocket/Quotas"
import type * as StreamingServer from "effect-swaggersocket/StreamingServer"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { exceededCount } from "../support/flood.ts"
import { until } from "../support/waiting.ts"
import { listen } from "./bindings.ts"
import { dial, dialRefused, type Raw } from "./raw.ts"
import { serve } from "./weather.ts"

const from = (address: string, user?: string) => ({
  headers: { "x-forwarded-for": address, ...(user === undefined ? undefined : { authorization: user }) }
})

/** Watchers that stay until they are sent away. */
const start = (options: StreamingServer.Options, layer: Layer.Layer<never> = Layer.empty) =>
  Effect.gen(function*() {
    const events: Array<QuotaExceeded> = []
    const app = serve({ watch: () => Effect.succeed(Stream.never) }, {
      addressOf: Quotas.forwardedAddress(),
      principalOf: ({ headers }) => headers.authorization,
      onQuotaExceeded: (event) => Effect.sync(() => void events.push(event)),
      ...options
    })
    const { url } = yield* listen(app.pipe(Layer.provide(layer)))
    const watch = (address: string, user?: string) => dial(url, "/watch", from(address, user))
    const refused = (address: string, user?: string) => dialRefused(url, "/watch", from(address, user))
    /** Honest clients of other addresses, one after the other; answers how long the slowest took. */
    const honest = Effect.gen(function*() {
      let slowest = 0
      for (let n = 0; n < 20; n++) {
        const since = performance.now()
        const raw = yield* Effect.scoped(watch(`10.0.0.${n}`))
        assert.isUndefined(raw.closed)
        slowest = Math.max(slowest, performance.now() - since)
      }
      return Math.round(slowest)
    })
    return { events, watch, refused, honest }
  })

const quotas = (options: Quotas.Options) => ({ quotas: options })

/** With metrics of its own. */
const counted = (title: string, body: Effect.Effect<unknown, unknown, Scope.Scope>) =>
  it.live(title, () => Effect.provideService(Effect.scoped(body), Metric.MetricRegistry, new Map()))

describe("streaming WebSockets", () => {
  counted(
    "an address with too many WebSockets is answered 429, told by the hook and the metric; one that ends makes room",
    Effect.gen(function*() {
      const { events, honest, refused, watch } = yield* start(quotas({ perAddress: { streamingWebSockets: 3 } }))
      const open = yield* Effect.forEach([1, 2, 3], () => watch("6.6.6.6"))
      let answered = 0
      for (let n = 0; n < 10; n++) {
        const { body, status } = yield* refused("6.6.6.6")
        assert.strictEqual(status, 429)
        assert.include(body, "too many WebSockets of streaming endpoints of this address")
        answered++
      }
      yield* until("the hook runs", () => events.length > 0)
      const { address, count, holder, quota } = events[0]!
      assert.deepStrictEqual([quota, holder, address, count], ["streamingWebSockets", "address", "6.6.6.6", 1])
      assert.strictEqual(yield* exceededCount("streamingWebSockets", "address"), answered)
      const slowest = yield* honest
      // eslint-disable-next-line no-console
      console.log(
        `streaming WebSockets: honest clients 20/20, slowest ${slowest} ms; the flood was answered 429 ${answered} times`
      )
      yield* refused("6.6.6.6")
      open[0]!.ws.close()
      yield* open[0]!.end
      yield* Effect.eventually(watch("6.6.6.6"))
    })
  )

  counted(
    "a principal has so many WebSockets, from however many addresses",
    Effect.gen(function*() {
      const { refused, watch } = yield* start(quotas({ perPrincipal: { streamingWebSockets: 2 } }))
      yield* watch("10.0.0.1", "eve")
      yield* watch("10.0.0.2", "eve")
      assert.include((yield* refused("10.0.0.3", "eve")).body, "of this principal")
      yield* watch("10.0.0.3", "ada")
    })
  )

  counted(
    "where a group has too many WebSockets, whoever has the most loses the newest one to those who have fewer",
    Effect.gen(function*() {
      const { refused, watch } = yield* start(quotas({ server: { streamingWebSockets: 4 } }))
      const flood: Array<Raw> = yield* Effect.forEach([1, 2, 3, 4], () => watch("6.6.6.6"))
      assert.strictEqual((yield* refused("6.6.6.6")).status, 503)
      yield* watch("10.0.0.1")
      assert.strictEqual((yield* flood[3]!.end).code, 1001)
      assert.isUndefined(flood[0]!.closed)
    })
  )

  counted(
    "upgrades of calls count as handshakes, and quotas of a layer hold where a group has none of its own",
    Effect.gen(function*() {
      const { refused, watch } = yield* start(
        {},
        Quotas.layer({ perAddress: { handshakesPerSecond: 1, handshakeBurst: 2 } })
      )
      for (let n = 0; n < 2; n++) yield* Effect.scoped(watch("6.6.6.6"))
      const { body, status } = yield* refused("6.6.6.6")
      assert.strictEqual(status, 429)
      assert.include(body, "too many handshakes a second of this address")
      yield* watch("10.0.0.1")
    })
  )

  counted(
    "messages that never arrive whole count as memory, and whoever holds the most loses WebSockets",
    Effect.gen(function*() {
      const { events, honest, watch } = yield* start(quotas({ server: { memory: 2 * 1024 * 1024 } }))
      const other = yield* watch("10.0.0.1")
      const flood = yield* Effect.forEach([1, 2, 3, 4], () => watch("6.6.6.6"))
      // A text message of 1 MB, of which 700 KB are sent (RFC 6455 section 5.2).
      const header = Buffer.from([0x81, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
      header.writeUInt32BE(1_000_000, 6)
      for (const { tcp } of flood) tcp.write(Buffer.concat([header, Buffer.alloc(700_000)]))
      yield* until("some are ended", () => flood.some(({ closed }) => closed?.code === 1001))
      const slowest = yield* honest
      const open = flood.filter(({ closed }) => closed === undefined).length
      // eslint-disable-next-line no-console
      console.log(
        `memory of streaming WebSockets: honest clients 20/20, slowest ${slowest} ms; of the flood 1001 ended ${
          4 - open
        }`
      )
      assert.isAtLeast(open, 1)
      assert.isUndefined(other.closed)
      assert.deepStrictEqual([events[0]!.quota, events[0]!.holder], ["memory", "server"])
    })
  )
})
