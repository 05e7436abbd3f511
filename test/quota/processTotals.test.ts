/**
 * Several servers of a process: they share its connections, and whoever has the most makes room on whichever server.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Quotas from "effect-swaggersocket/Quotas"
import { SwaggerSocketClient } from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type Held, HeldThings } from "../../src/internal/quota/held.ts"
import { until } from "../support/waiting.ts"
import { Parties } from "./parties.ts"

class Thing implements Held {
  ended: string | undefined = undefined

  overload(reason: string): void {
    this.ended = reason
  }
}

class Server {
  readonly parties: Parties
  readonly #held: HeldThings<Thing>

  constructor(base: Quotas.Quotas) {
    this.parties = new Parties({}, {}, base)
    this.#held = new HeldThings("connections", this.parties.process)
  }

  /** Adds one where there is room. */
  open(address: string | undefined): Thing | "refused" {
    const party = this.parties.of({ address })
    if (this.#held.refusal(party) !== undefined) return "refused"
    const thing = new Thing()
    this.#held.add(thing, party)
    return thing
  }

  close(thing: Thing): void {
    this.#held.delete(thing)
  }
}

describe("connections of a process", () => {
  it("whoever has the most on any server loses its newest one to those who have fewer, and others are refused", () => {
    const base = Quotas.make({ process: { connections: 5 } })
    const [one, other] = [new Server(base), new Server(base)]
    const rogue = Array.from({ length: 6 }, () => one.open("6.6.6.6"))
    assert.strictEqual(rogue[5], "refused")
    const honest = ["10.0.0.1", "10.0.0.2"].map((address) => other.open(address) as Thing)
    const hasEnded = rogue.slice(0, 5).map((thing) => (thing as Thing).ended !== undefined)
    assert.deepStrictEqual(hasEnded, [false, false, false, true, true])
    assert.deepStrictEqual(honest.map(({ ended }) => ended), [undefined, undefined])
    assert.deepStrictEqual(other.parties.events.map(({ holder, quota }) => `${quota} ${holder}`), [
      "connections process"
    ])
    // One that ends makes room on either server.
    other.close(honest[0]!)
    assert.instanceOf(one.open("6.6.6.6"), Thing)
    assert.strictEqual(one.open("6.6.6.6"), "refused")
  })

  it("where a server is full, whoever has the most there makes room, and one that ends does so for anybody", () => {
    const server = new Server(Quotas.make({ process: {}, server: { connections: 4 } }))
    const rogue = Array.from({ length: 4 }, () => server.open("6.6.6.6") as Thing)
    assert.strictEqual(server.open("6.6.6.6"), "refused")
    const ended = () => rogue.map((thing) => thing.ended !== undefined)
    assert.instanceOf(server.open("10.0.0.1"), Thing)
    assert.deepStrictEqual(ended(), [false, false, false, true])
    // Its second one: two holders with two each are even.
    assert.instanceOf(server.open("10.0.0.1"), Thing)
    assert.deepStrictEqual(ended(), [false, false, true, true])
    for (const address of ["10.0.0.1", "6.6.6.6"]) assert.strictEqual(server.open(address), "refused")
    // Somebody who is not known has none.
    assert.instanceOf(server.open(undefined), Thing)
    assert.strictEqual(ended().filter(Boolean).length, 3)
    server.close(rogue[0]!)
    server.close(rogue[0]!)
    assert.instanceOf(server.open("10.0.0.1"), Thing)
    assert.strictEqual(server.open("10.0.0.1"), "refused")
  })

  it("somebody who has thousands of IPv6 addresses makes room for others, and not they for each other", () => {
    const server = new Server(Quotas.make({ process: { connections: 4 } }))
    const rogue = Array.from({ length: 5 }, (_, n) => server.open(`2001:db8:6:${n}::1`))
    assert.strictEqual(rogue[4], "refused")
    const honest = [server.open("10.0.0.1"), server.open("2001:db8:1:1::1")] as ReadonlyArray<Thing>
    for (const thing of honest) assert.instanceOf(thing, Thing)
    const ended = (things: ReadonlyArray<Thing | string>) =>
      things.map((thing) => thing instanceof Thing && thing.ended !== undefined)
    assert.deepStrictEqual(ended(rogue), [false, false, true, true, false])
    assert.strictEqual(server.open("2001:db8:6:99::1"), "refused")
    assert.deepStrictEqual(ended(honest), [false, false])
  })

  class One extends SwaggerSocketServer.Service<One>()("test/processTotals/One") {}
  class Other extends SwaggerSocketServer.Service<Other>()("test/processTotals/Other") {}

  it.effect("servers below one layer of quotas share the connections of the process", () =>
    Effect.gen(function*() {
      const servers = yield* Layer.build(
        Layer.merge(One.layerNoRoute({}), Other.layerNoRoute({ quotas: { perAddress: { connections: 7 } } })).pipe(
          Layer.provide(Quotas.layer({ process: { connections: 2 } }))
        )
      )
      const connect = (server: typeof One | typeof Other) =>
        Effect.map(
          Layer.build(
            Layer.provide(SwaggerSocketTest.layerClient(server as typeof One), Layer.succeedContext(servers))
          ),
          (context) => Context.get(context, SwaggerSocketClient)
        )
      yield* (yield* connect(One)).connection
      yield* (yield* connect(Other as never)).connection
      const third = yield* connect(One)
      let status = yield* third.status
      yield* until("the third is refused", () => {
        status = Effect.runSync(third.status)
        return status._tag === "Waiting"
      })
      assert.include(status._tag === "Waiting" ? status.error.message : "", "too many connections of this process")
    }))
})
