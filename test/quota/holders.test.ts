/**
 * Who holds what of which quota, and that those who hold nothing are forgotten.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Quotas from "effect-swaggersocket/Quotas"
import * as Data from "effect/Data"
import { countedAddress, networkOf } from "../../src/internal/quota/address.ts"
import { Holder, quotasOf } from "../../src/internal/quota/holder.ts"
import { Holders } from "../../src/internal/quota/holders.ts"
import { describe as inWords, Party, type Told } from "../../src/internal/quota/party.ts"

const quotas = Quotas.make({
  perAddress: { connections: 2, handshakesPerSecond: 10, handshakeBurst: 5 },
  perPrincipal: { connections: 1, handshakesPerSecond: Infinity },
  server: { connections: 3 }
})

const makeHolders = (most?: number) => {
  const clock = { now: 0 }
  const make = (kind: "address" | "principal") =>
    new Holders<unknown>(
      (key, onChange) => new Holder(kind, String(key), quotasOf(quotas, kind), () => clock.now, onChange),
      most
    )
  return { addresses: make("address"), principals: make("principal"), clock }
}

const server = () => new Holder("server", undefined, quotas.server, () => 0, () => {})

describe("a party", () => {
  it("something counts against all holders of its party, or against none", () => {
    const told: Array<Told> = []
    const { addresses, principals } = makeHolders()
    const arrival = new Party([addresses.get("10.0.0.1"), server()], (exceeded) => told.push(exceeded))
    const ada = arrival.with(principals.get("ada"))
    assert.isUndefined(ada.acquire("connections"))
    const refused = ada.acquire("connections")
    assert.strictEqual(refused?.holder.kind, "principal")
    assert.strictEqual(inWords(refused!), "too many connections of this principal")
    assert.deepStrictEqual(ada.holders.map((holder) => holder.used("connections")), [1, 1, 1])
    assert.isUndefined(arrival.acquire("connections"))
    assert.strictEqual(arrival.acquire("connections")?.holder.kind, "address")
    arrival.release("connections")
    assert.isUndefined(arrival.acquire("connections"))
    assert.deepStrictEqual(told.map(({ holder, quota }) => `${quota} ${holder.kind}`), [
      "connections principal",
      "connections address"
    ])
  })

  it("a rate allows a burst, and then so many a second", () => {
    const { addresses, clock, principals } = makeHolders()
    const party = new Party([addresses.get("10.0.0.1")], () => {})
    const taken = (count: number) =>
      Array.from({ length: count }, () => party.take("handshakesPerSecond")).filter((exceeded) =>
        exceeded === undefined
      ).length
    assert.strictEqual(taken(20), 5)
    clock.now += 200
    assert.strictEqual(taken(20), 2)
    const endless = new Party([principals.get("ada")], () => {})
    for (let n = 0; n < 10_000; n++) assert.isUndefined(endless.take("handshakesPerSecond"))
  })

  it("whoever pays for others is the principal, or the address where there is none", () => {
    const { addresses, principals } = makeHolders()
    const address = addresses.get("10.0.0.1")
    const arrival = new Party([address, server()], () => {})
    assert.strictEqual(arrival.payer, address)
    assert.strictEqual(arrival.with(principals.get("ada")).payer, principals.get("ada"))
    assert.isUndefined(new Party([server()], () => {}).payer)
  })
})

describe("holders", () => {
  it("equal principals are one", () => {
    class User extends Data.Class<{ readonly name: string }> {}
    const { principals } = makeHolders()
    assert.strictEqual(principals.get(new User({ name: "ada" })), principals.get(new User({ name: "ada" })))
    assert.notStrictEqual(principals.get(new User({ name: "ada" })), principals.get(new User({ name: "eve" })))
  })

  it("a flood of addresses that use nothing is forgotten, and those that use something are not", () => {
    const { addresses, clock } = makeHolders(100)
    const kept = addresses.get("kept")
    kept.add("connections", 1)
    for (let n = 0; n < 10_000; n++) {
      clock.now += 1
      addresses.get(n).take("handshakesPerSecond")
    }
    assert.isAtMost(addresses.size, 102)
    assert.strictEqual(addresses.get("kept"), kept)
    kept.add("connections", -1)
    for (let n = 0; n < 10_000; n++) addresses.get(n)
    assert.notStrictEqual(addresses.get("kept"), kept)
  })

  it("an address is remembered for as long as its bucket is not full again", () => {
    const { addresses, clock } = makeHolders()
    const holder = addresses.get("flooder")
    for (let n = 0; n < 5; n++) assert.isTrue(holder.take("handshakesPerSecond"))
    clock.now += 400
    addresses.get("other")
    assert.strictEqual(addresses.get("flooder"), holder)
    clock.now += 100
    addresses.get("another")
    addresses.get("one more")
    assert.notStrictEqual(addresses.get("flooder"), holder)
  })

  it("a full address is found full every other second, however often newcomers come: who resumes gets through between", () => {
    const { addresses, clock } = makeHolders()
    const holder = addresses.get("10.0.0.1")
    holder.add("connections", 2)
    let seen = ""
    for (clock.now = 0; clock.now < 6000; clock.now += 250) {
      const isRefused = holder.isMarkedFull("connections")
      seen += isRefused ? "-" : "+"
      // A newcomer gets as far as it is let, and finds no room.
      if (!isRefused) holder.markFull("connections")
    }
    assert.strictEqual(seen, "+---+++++---+++++---++++")
  })

  it("a holder that is used again after it was forgotten counts once more", () => {
    const { addresses } = makeHolders(1)
    const holder = addresses.get("a")
    for (let n = 0; n < 10; n++) addresses.get(n)
    holder.add("connections", 1)
    assert.strictEqual(addresses.get("a"), holder)
    holder.add("connections", -1)
    for (let n = 0; n < 10; n++) addresses.get(n)
    assert.isAtMost(addresses.size, 3)
  })
})

describe("addresses", () => {
  const cases: ReadonlyArray<readonly [address: string, counted: string]> = [
    ["192.0.2.7", "192.0.2.7"],
    ["::ffff:192.0.2.7", "192.0.2.7"],
    ["::FFFF:192.0.2.7", "192.0.2.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:DB8:0001:0002::1", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["[2001:db8:1:2::9]", "2001:db8:1:2::/64"],
    ["a name", "a name"],
    ["@", "@"],
    ["x".repeat(1000), "x".repeat(128)]
  ]

  it("a network is the first 48 bits of an IPv6 address", () => {
    assert.strictEqual(networkOf(countedAddress("2001:db8:1:2::9")), "2001:db8:1::/48")
    assert.strictEqual(networkOf(countedAddress("::1")), "0:0:0::/48")
    for (const address of ["192.0.2.7", "a name", "2001:db8:1::/48"]) assert.isUndefined(networkOf(address))
  })

  it("IPv6 addresses count by their network, and mapped ones as IPv4", () => {
    for (const [address, counted] of cases) assert.strictEqual(countedAddress(address), counted)
  })
})
