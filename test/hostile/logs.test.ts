/**
 * What strangers make this end write into its log: few lines, short ones, and none that they have written themselves.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import { startClient } from "../support/clientUnderAttack.ts"
import { type Fixture, type HubOptions, startFixture } from "../support/hubUnderAttack.ts"
import { upgrade } from "../support/upgrade.ts"
import { until } from "../support/waiting.ts"

/** A logger that keeps its lines as a program's console would show them. */
const keeping = () => {
  const lines: Array<string> = []
  const logger = Logger.make(({ cause, message }) => {
    lines.push(`${[message].flat().join(" ")}${cause.reasons.length === 0 ? "" : Cause.pretty(cause)}`)
  })
  return { lines, layer: Layer.merge(Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, "Info")) }
}

describe("lines about clients that are turned away", () => {
  const clients = 150

  const floods = (title: string, line: string, options: HubOptions, metadata: unknown, codes: ReadonlyArray<number>) =>
    it.live(`${title} causes ten lines a second and their number, not a line each`, () =>
      Effect.scoped(Effect.gen(function*() {
        const { layer, lines } = keeping()
        const hub = yield* Effect.provide(startFixture(options), layer)
        const turnedAway = Effect.scoped(Effect.gen(function*() {
          const peer = yield* hub.dial()
          yield* peer.hello({ metadata })
          yield* peer.expectClose(...codes)
        }))
        yield* Effect.all(Array.from({ length: clients }, () => turnedAway), { concurrency: 50, discard: true })
        const own = () => lines.filter((text) => text.startsWith(line)).length
        const counted = () =>
          lines.reduce(
            (sum, text) => sum + Number(/^refused (\d+) more clients within a second$/.exec(text)?.[1] ?? 0),
            0
          )
        yield* until("all of them are counted", () => own() + counted() === clients)
        assert.isAbove(counted(), 0)
      })))

  floods("a flood of metadata that are invalid", "turned a client away: ", {}, { name: 5 }, [4103])
  floods(
    "a flood of clients whose authentication dies",
    "handshake died",
    {
      authenticate: ({ metadata }) =>
        metadata?.name === "nobody" ? Effect.die(new Error("a bug")) : Effect.succeed("somebody")
    },
    { name: "nobody" },
    [1011]
  )
})

/** Fields of log lines, and not their text. */
const annotationsOf = Effect.fnUntraced(
  function*(options: HubOptions, send: (hub: Fixture) => Effect.Effect<unknown, unknown>) {
    const annotations: Array<string> = []
    const logger = Logger.make(({ fiber }) => {
      for (const value of Object.values(fiber.getRef(References.CurrentLogAnnotations))) annotations.push(String(value))
    })
    const hub = yield* Effect.provide(startFixture(options), Logger.layer([logger]))
    yield* Effect.exit(send(hub))
    yield* until("the line is logged", () => annotations.some((value) => value.includes("forged")))
    const value = annotations.find((value) => value.includes("forged"))!
    // oxlint-disable-next-line no-control-regex
    assert.notMatch(value, /[\0-\x1f\x7f-\x9f]/)
    return value
  }
)

describe("text of a peer", () => {
  it.live("fields of a refused upgrade are short in the log, without control characters", () =>
    Effect.scoped(Effect.gen(function*() {
      // Node refuses the controls of ASCII in a field, and takes those of Latin-1: 0x9b begins a command of a terminal.
      const origin = `http://forged\u009b2J\u0085${"x".repeat(5000)}`
      const value = yield* annotationsOf({}, (hub) => upgrade(hub.url, { origin }))
      assert.isTrue(value.startsWith("http://forged%C2%9B2J%C2%85xxx"), value)
      assert.isBelow(value.length, 300)
    })))

  it.live("an address that a proxy hands on is short in the log, without control characters", () =>
    Effect.scoped(Effect.gen(function*() {
      const address = `forged\u009b2J${"x".repeat(5000)}`
      const value = yield* annotationsOf(
        {
          addressOf: ({ headers }) => headers["x-forwarded-for"],
          quotas: { perAddress: { handshakesPerSecond: 1, handshakeBurst: 1 } }
        },
        (hub) => Effect.replicateEffect(upgrade(hub.url, { "x-forwarded-for": address }), 10)
      )
      assert.isTrue(value.startsWith("forged%C2%9B2Jxxx"), value)
      assert.isBelow(value.length, 1200)
    })))

  it.live("a server's reason with line feeds, escapes and 60,000 characters is one short line in the client's log", () =>
    Effect.scoped(Effect.gen(function*() {
      const { layer, lines } = keeping()
      const fixture = yield* Effect.provide(startClient({}), layer)
      const peer = yield* fixture.server.accept
      yield* peer.expectText("hello")
      const reason = `no\r\n[ERROR] forged\u001b[2J\u202e\u2028${"x".repeat(60_000)}`
      yield* peer.send(JSON.stringify({ type: "refuse", code: "FORBIDDEN", reason, retry: false }))
      yield* peer.close(4105)
      yield* fixture.waitForStatus("Stopped")
      const line = lines.find((text) => text.includes("forged"))
      assert.isDefined(line)
      assert.include(line, "no%0D%0A[ERROR] forged%1B[2J%E2%80%AE%E2%80%A8xxx")
      // oxlint-disable-next-line no-control-regex
      assert.notMatch(line, /[\0-\x1f\x7f-\x9f\u2028-\u202e]/)
      assert.isBelow(line.length, 2000)
      // The program gets what the server has said.
      const { error } = yield* fixture.expectEvent("ConnectionAttemptFailed")
      assert.deepInclude(error.reason, { _tag: "HandshakeRefused", description: reason })
    })))
})
