/**
 * Quotas are given in one place, mistakes in them are told at once, and clients behind proxies are told apart.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Quotas from "effect-swaggersocket/Quotas"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"

const messageOf = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    assert.instanceOf(error, RangeError)
    return (error as RangeError).message
  }
  return "nothing was thrown"
}

describe("quotas", () => {
  it("quotas that are left out have their defaults, or those of the base", () => {
    const base = Quotas.make({ server: { connections: 7 } })
    assert.deepStrictEqual(base.perAddress, Quotas.defaults.perAddress)
    const made = Quotas.make({ perAddress: { connections: 3 }, perPrincipal: undefined }, base)
    assert.strictEqual(made.server.connections, 7)
    assert.deepStrictEqual(made.perAddress, { ...Quotas.defaults.perAddress, connections: 3 })
    assert.deepStrictEqual(made.perPrincipal, Quotas.defaults.perPrincipal)
  })

  it("servers share the totals of a process unless they are given others", () => {
    const base = Quotas.make({ server: { connections: 7 }, process: undefined })
    assert.strictEqual(base.process, Quotas.defaults.process)
    const own = Quotas.make({ process: { connections: 9 } }, base)
    assert.deepStrictEqual(own.process, { connections: 9, memory: 1024 ** 3 })
    assert.strictEqual(Quotas.make({ perAddress: { connections: 1 } }, own).process, own.process)
  })

  it("a burst follows from its rate, unless it is given", () => {
    assert.strictEqual(Quotas.make({ perAddress: { handshakesPerSecond: 3 } }).perAddress.handshakeBurst, 30)
    const given = Quotas.make({ perAddress: { handshakesPerSecond: 3, handshakeBurst: 4 } })
    assert.strictEqual(given.perAddress.handshakeBurst, 4)
    assert.strictEqual(
      Quotas.make({ perAddress: { handshakesPerSecond: Infinity } }).perAddress.handshakeBurst,
      Infinity
    )
  })

  it("Infinity turns a quota off; whatever is no whole number from 1 is a RangeError that says what to do", () => {
    assert.strictEqual(Quotas.make({ server: { connections: Infinity } }).server.connections, Infinity)
    for (const connections of [0, -1, 1.5, NaN, "7" as unknown as number]) {
      for (const make of [Quotas.make, Quotas.layer]) {
        const message = messageOf(() => make({ perAddress: { connections } }))
        assert.include(message, "perAddress.connections")
        assert.include(message, "Infinity")
      }
    }
  })

  it.effect("quotas may come from the configuration of the program", () =>
    Effect.gen(function*() {
      const read = (value: string) =>
        Effect.provide(
          Quotas.Quotas,
          Quotas.layerConfig({ perAddress: { connections: Config.Int("CONNECTIONS") } }).pipe(
            Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: { CONNECTIONS: value } })))
          )
        )
      assert.strictEqual((yield* read("12")).perAddress.connections, 12)
      const error = yield* Effect.flip(read("0"))
      assert.strictEqual(error._tag, "ConfigError")
    }))
})

describe("forwardedAddress", () => {
  const upgrade = (fields: Readonly<Record<string, string>>) => ({
    headers: Headers.fromInput(fields),
    url: "/",
    remoteAddress: Option.some("10.0.0.1")
  })

  it("the address is the one that the outermost proxy has seen, whatever the client sent before it", () => {
    const one = Quotas.forwardedAddress()
    assert.strictEqual(one(upgrade({ "x-forwarded-for": "6.6.6.6, 192.0.2.7" })), "192.0.2.7")
    assert.strictEqual(one(upgrade({ "x-forwarded-for": "192.0.2.7:4711" })), "192.0.2.7")
    assert.strictEqual(one(upgrade({ "x-forwarded-for": "[2001:db8::1]:4711" })), "2001:db8::1")
    assert.strictEqual(one(upgrade({ "x-forwarded-for": "2001:db8::1" })), "2001:db8::1")
    assert.strictEqual(one(upgrade({})), "10.0.0.1")
    assert.isUndefined(one(upgrade({ "x-forwarded-for": "unknown" })))
    const two = Quotas.forwardedAddress({ proxies: 2 })
    assert.strictEqual(two(upgrade({ "x-forwarded-for": "6.6.6.6, 192.0.2.7, 10.0.0.2" })), "192.0.2.7")
    assert.strictEqual(two(upgrade({ "x-forwarded-for": "192.0.2.7" })), "192.0.2.7")
  })

  it("`forwarded` is read where it is asked for", () => {
    const read = Quotas.forwardedAddress({ field: "forwarded" })
    const fields = {
      forwarded: "for=6.6.6.6, for=\"[2001:db8::1]:4711\";proto=https;by=10.0.0.9",
      "x-forwarded-for": "x"
    }
    assert.strictEqual(read(upgrade(fields)), "2001:db8::1")
    assert.strictEqual(read(upgrade({ forwarded: "proto=https;For=192.0.2.7" })), "192.0.2.7")
    assert.isUndefined(read(upgrade({ forwarded: "proto=https" })))
  })

  it("a number of proxies that can't be is a RangeError", () => {
    assert.include(messageOf(() => Quotas.forwardedAddress({ proxies: 0 })), "proxies")
  })
})
