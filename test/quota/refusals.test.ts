/**
 * What is told of quotas that are used up: the first refusal at once, and then once a second how many more there were.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as PrimaryKey from "effect/PrimaryKey"
import * as References from "effect/References"
import { Parties } from "./parties.ts"

const flood = (parties: Parties, address: string, count: number) => {
  for (let n = 0; n < count; n++) parties.of({ address }).acquire("connections")
}

const told = (parties: Parties) =>
  parties.events.splice(0).map(({ address, count, holder, quota }) => `${quota} ${holder} ${address ?? "-"} ${count}`)

describe("refusals", () => {
  it("the first refusal is told at once, and after a second how many more there were, until there are none", () => {
    const parties = new Parties({ perAddress: { connections: 1 } })
    flood(parties, "10.0.0.1", 5)
    assert.deepStrictEqual(told(parties), ["connections address 10.0.0.1 1"])
    flood(parties, "10.0.0.2", 3)
    parties.advance(1000)
    assert.deepStrictEqual(told(parties), ["connections address 10.0.0.1 3", "connections address 10.0.0.2 2"])
    flood(parties, "10.0.0.2", 1)
    assert.deepStrictEqual(told(parties), [])
    parties.advance(1000)
    assert.deepStrictEqual(told(parties), ["connections address 10.0.0.2 1"])
    parties.advance(1000)
    assert.deepStrictEqual(told(parties), [])
    flood(parties, "10.0.0.1", 1)
    assert.deepStrictEqual(told(parties), ["connections address 10.0.0.1 1"])
  })

  it("a flood from many addresses is told in eleven events a second, and no refusal is left out", () => {
    const parties = new Parties({ perAddress: { connections: 1 } })
    for (let n = 0; n < 1000; n++) flood(parties, `10.1.${n >> 8}.${n & 255}`, 3)
    parties.advance(1000)
    assert.lengthOf(parties.events, 1 + 11)
    assert.isUndefined(parties.events.at(-1)!.address)
    assert.strictEqual(parties.events.reduce((sum, { count }) => sum + count, 0), 2000)
  })

  it("each quota is told by itself", () => {
    const parties = new Parties({
      perAddress: { connections: 1, handshakesPerSecond: 1, handshakeBurst: 1 },
      perPrincipal: { connections: 1 }
    })
    flood(parties, "10.0.0.1", 2)
    for (let n = 0; n < 2; n++) parties.of({ address: "10.0.0.1" }).take("handshakesPerSecond")
    for (let n = 0; n < 2; n++) parties.of({ principal: "ada" }).acquire("connections")
    assert.deepStrictEqual(told(parties), [
      "connections address 10.0.0.1 1",
      "handshakesPerSecond address 10.0.0.1 1",
      "connections principal - 1"
    ])
  })

  it("a principal is named by what `principalOf` answers, short and in events alone; without one it is not", () => {
    class Account implements PrimaryKey.PrimaryKey {
      readonly secret = "hunter2";
      [PrimaryKey.symbol]() {
        return "account 7"
      }
    }
    const options = { perPrincipal: { connections: 1 } }
    const names = (parties: Parties, principals: ReadonlyArray<unknown>) => {
      for (const principal of principals) for (let n = 0; n < 2; n++) parties.of({ principal }).acquire("connections")
      parties.advance(1000)
      return parties.events.map((event) => event.principal)
    }
    const principalOf = ({ principal }: { readonly principal: unknown }) => principal
    const principals = ["ada", 7, new Account(), { secret: "hunter2" }, "x".repeat(1000)]
    assert.deepStrictEqual(
      names(new Parties(options, { principalOf }), principals),
      ["ada", "7", "account 7", undefined, "x".repeat(128)]
    )
    assert.deepStrictEqual(names(new Parties(options), principals), principals.map(() => undefined))
  })
})

/** Lines as a program's logger gets them. */
const written = (parties: Parties): ReadonlyArray<string> => {
  const lines: Array<string> = []
  const logger = Logger.make(({ fiber, logLevel, message }) => {
    lines.push(`${logLevel} ${String(message)} ${JSON.stringify(fiber.getRef(References.CurrentLogAnnotations))}`)
  })
  const layer = Layer.merge(Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, "Debug"))
  Effect.runSync(Effect.provide(Effect.all(parties.lines.splice(0)), layer))
  return lines
}

describe("lines about refusals", () => {
  it("a line says what there is too much of, how often within a second, and whose it is", () => {
    const parties = new Parties({ perAddress: { connections: 1 } })
    flood(parties, "10.0.0.1", 4)
    parties.advance(1000)
    assert.deepStrictEqual(written(parties), [
      `Warn quota exceeded: too many connections of this address {"address":"10.0.0.1"}`,
      `Warn quota exceeded: too many connections of this address (2 times within a second) {"address":"10.0.0.1"}`
    ])
  })

  it("a line names no principal, and hints at `addressOf` where an address is that of a proxy", () => {
    const options = { perAddress: { connections: 1 }, perPrincipal: { connections: 1 } }
    const parties = new Parties(options, { principalOf: ({ principal }) => principal })
    for (let n = 0; n < 2; n++) parties.of({ principal: "hunter2" }).acquire("connections")
    for (let n = 0; n < 2; n++) {
      parties.of({ address: "10.0.0.1", headers: { "x-forwarded-for": "192.0.2.1" } }).acquire("connections")
    }
    const [ofPrincipal, ofAddress] = written(parties)
    assert.strictEqual(ofPrincipal, "Warn quota exceeded: too many connections of this principal {}")
    assert.include(ofAddress, "clients come through a proxy and count as one: give `addressOf`")
    const direct = new Parties(options)
    for (let n = 0; n < 2; n++) {
      direct.of({ address: "10.0.0.1", headers: { "x-forwarded-for": "10.0.0.1" } }).acquire("connections")
    }
    assert.notInclude(written(direct)[0], "proxy")
  })

  it("limits of connections, and answers that are forgotten, have lines at level debug", () => {
    const parties = new Parties({ perAddress: { idempotencyKeys: 1 } })
    const party = parties.of({ address: "10.0.0.1", principal: "ada" })
    party.tellLimit("sendTimeout", party.connection("id"))
    for (let n = 0; n < 2; n++) party.acquire("idempotencyKeys")
    assert.deepStrictEqual(written(parties), [
      `Debug limit of a connection exceeded: sendTimeout {"address":"10.0.0.1"}`,
      `Debug quota exceeded: too many idempotency keys of this address {"address":"10.0.0.1"}`
    ])
    assert.deepStrictEqual(parties.events[0], {
      _tag: "QuotaExceeded",
      quota: "sendTimeout",
      holder: "connection",
      address: "10.0.0.1",
      connectionId: "id",
      count: 1,
      at: 0
    })
  })
})
