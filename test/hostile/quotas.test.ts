/**
 * Floods from many connections: each quota stops the one that exceeds it, and nobody else.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Handshake from "effect-swaggersocket/Handshake"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as Quotas from "effect-swaggersocket/Quotas"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import { keepEvents } from "../support/events.ts"
import { Answers, exceededCount, floodOfUpgrades, from, honestVisits, tryConnect, tryDial } from "../support/flood.ts"
import { data, request } from "../support/frames.ts"
import { type Fixture, type HubOptions, startFixture } from "../support/hubUnderAttack.ts"
import { RawPeer } from "../support/rawPeer.ts"
import { upgrade } from "../support/upgrade.ts"
import { until, within } from "../support/waiting.ts"

/** Everybody has an address of its own, and no principal but where `authorization` names one. */
const flooded = (
  title: string,
  options: HubOptions,
  body: (hub: Fixture, answers: Answers) => Effect.Effect<unknown, unknown, Scope.Scope>
) =>
  it.live(title, () =>
    Effect.scoped(Effect.gen(function*() {
      const hub = yield* startFixture({ addressOf: Quotas.forwardedAddress(), ...options })
      yield* body(hub, new Answers())
      yield* hub.healthyCall
    })).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

const attacker = "6.6.6.6"

const hasEnded = (peer: RawPeer): boolean => peer.log.some((event) => event._tag === "Close" && event.code === 4009)

describe("handshakes a second", () => {
  flooded(
    "a flood of upgrades from one address is answered 429, told in events and metrics, and others are served",
    { quotas: { perAddress: { handshakesPerSecond: 1, handshakeBurst: 20 } } },
    (hub, answers) =>
      Effect.gen(function*() {
        yield* floodOfUpgrades(hub, attacker, answers, 10)
        const { address, count, holder, quota } = yield* hub.expectEvent("QuotaExceeded")
        assert.deepStrictEqual([quota, holder, address, count], ["handshakesPerSecond", "address", attacker, 1])
        yield* honestVisits(hub, "handshakes a second", answers, 20)
        assert.isAbove(answers.of(429), answers.of(101))
        assert.strictEqual(answers.of(429) + answers.of(101), answers.total)
        const more = yield* hub.expectEvent("QuotaExceeded")
        assert.isAbove(more.count, 1)
        assert.isAtLeast(yield* exceededCount("handshakesPerSecond", "address"), answers.of(429))
        const answer = yield* upgrade(hub.url, from(attacker).headers)
        if (answer.status === 429) {
          assert.strictEqual(answer.headers["retry-after"], "1")
          assert.include(answer.body, "too many handshakes a second of this address")
        }
      })
  )

  flooded(
    "a principal that begins too many handshakes a second is refused with OVERLOADED, and may come again later",
    {
      quotas: { perPrincipal: { handshakesPerSecond: 1, handshakeBurst: 3 } },
      authenticate: ({ headers }) => Effect.succeed(headers["x-forwarded-for"] ?? "healthy")
    },
    (hub, answers) =>
      Effect.gen(function*() {
        for (let n = 0; n < 10; n++) {
          const refusal = yield* tryConnect(hub, attacker)
          answers.add(refusal instanceof RawPeer ? "welcome" : refusal)
        }
        assert.isAtLeast(answers.of("welcome"), 3)
        assert.strictEqual(answers.of("welcome") + answers.of("OVERLOADED"), 10)
        assert.isAbove(answers.of("OVERLOADED"), 0)
        const { error, willRetry } = yield* hub.expectEvent("ConnectionAttemptFailed")
        assert.isTrue(willRetry)
        assert.include(error.message, "too many handshakes a second of this principal")
        yield* honestVisits(hub, "handshakes a second of a principal", answers, 10)
      })
  )
})

describe("pending handshakes", () => {
  flooded(
    "an address with too many pending handshakes is answered 429, and others are served",
    { quotas: { perAddress: { pendingHandshakes: 5 } } },
    (hub, answers) =>
      Effect.gen(function*() {
        const open = yield* Effect.forEach(Array.from({ length: 20 }), () => tryDial(hub, attacker))
        for (const one of open) answers.add(typeof one === "number" ? one : "open")
        assert.deepStrictEqual(answers.counts, { open: 5, 429: 15 })
        const { holder, quota } = yield* hub.expectEvent("QuotaExceeded")
        assert.deepStrictEqual([quota, holder], ["pendingHandshakes", "address"])
        yield* honestVisits(hub, "pending handshakes of an address", answers)
        // A handshake that ends makes room.
        yield* (open[0] as RawPeer).handshake()
        yield* (open[0] as RawPeer).expectAlive()
        assert.instanceOf(yield* tryDial(hub, attacker), RawPeer)
      })
  )

  flooded(
    "where a server has too many pending handshakes, the address with the most loses its oldest one to others",
    { quotas: { perAddress: { pendingHandshakes: 8 }, server: { pendingHandshakes: 10 } } },
    (hub, answers) =>
      Effect.gen(function*() {
        const dial = (address: string) => Effect.forEach(Array.from({ length: 8 }), () => tryDial(hub, address))
        const first = yield* dial("6.6.6.6")
        const second = yield* dial("7.7.7.7")
        for (const one of [...first, ...second]) answers.add(typeof one === "number" ? one : "open")
        assert.isAtLeast(answers.of("open"), 10)
        yield* honestVisits(hub, "pending handshakes of a server", answers)
        const gone = (first[0] as RawPeer).log
        assert.isTrue(
          gone.some((event) => event._tag === "Text" && event.text.includes("OVERLOADED")),
          "it is told why"
        )
        yield* (first[0] as RawPeer).expectClose(4106)
        assert.isAbove(yield* exceededCount("pendingHandshakes", "server"), 0)
      })
  )

  flooded(
    "a handshake that gives way while it is authenticated is refused, and its authentication interrupted",
    {
      quotas: { server: { pendingHandshakes: 2 } },
      authenticate: ({ headers }) => headers["x-forwarded-for"] === attacker ? Effect.never : Effect.succeed("somebody")
    },
    (hub, answers) =>
      Effect.gen(function*() {
        const stuck = yield* Effect.forEach([1, 2], () => hub.dial(from(attacker)))
        for (const peer of stuck) yield* peer.hello()
        yield* honestVisits(hub, "handshakes that are authenticated for ever", answers, 5)
        const refusal = yield* stuck[0]!.expectText("refuse")
        assert.deepStrictEqual([refusal.code, refusal.retry], ["OVERLOADED", true])
        yield* stuck[0]!.expectClose(4106)
      })
  )

  flooded(
    "a principal with too many handshakes that are not ready is refused with OVERLOADED",
    {
      quotas: { perPrincipal: { pendingHandshakes: 2 } },
      authenticate: ({ headers }) => Effect.succeed(headers["x-forwarded-for"] ?? "healthy")
    },
    (hub, answers) =>
      Effect.gen(function*() {
        for (let n = 0; n < 4; n++) {
          const peer = yield* hub.dial(from(attacker))
          yield* peer.hello()
          if (n < 2) yield* peer.expectText("welcome")
          else assert.strictEqual((yield* peer.expectText("refuse")).code, "OVERLOADED")
        }
        yield* honestVisits(hub, "handshakes of a principal that are not ready", answers, 5)
      })
  )
})

describe("connections", () => {
  flooded(
    "an address with too many connections is refused, at first with OVERLOADED and then with 429; others are served",
    { quotas: { perAddress: { connections: 5 } } },
    (hub, answers) =>
      Effect.gen(function*() {
        const peers: Array<RawPeer> = []
        for (let n = 0; n < 20; n++) {
          const peer = yield* tryConnect(hub, attacker)
          if (peer instanceof RawPeer) peers.push(peer)
          answers.add(peer instanceof RawPeer ? "welcome" : peer)
        }
        assert.strictEqual(answers.of("welcome"), 5)
        assert.isAtLeast(answers.of("OVERLOADED"), 1)
        assert.strictEqual(answers.of("OVERLOADED") + answers.of(429), 15)
        const { address, holder, quota } = yield* hub.expectEvent("QuotaExceeded")
        assert.deepStrictEqual([quota, holder, address], ["connections", "address", attacker])
        yield* honestVisits(hub, "connections of an address", answers)
        yield* peers[0]!.expectAlive()
      })
  )

  flooded(
    "a principal has so many connections, from however many addresses; one that ends makes room",
    {
      quotas: { perPrincipal: { connections: 3 } },
      limits: { resumeWindow: 0 },
      authenticate: ({ headers }) => Effect.succeed(headers["x-forwarded-for"]?.split(".")[0] ?? "healthy")
    },
    (hub, answers) =>
      Effect.gen(function*() {
        const peers = yield* Effect.forEach(Array.from({ length: 8 }), (_, n) => tryConnect(hub, `6.6.6.${n}`))
        for (const peer of peers) answers.add(peer instanceof RawPeer ? "welcome" : peer)
        assert.deepStrictEqual(answers.counts, { welcome: 3, OVERLOADED: 5 })
        yield* (peers[0] as RawPeer).resetTcp
        yield* hub.expectEvent("ConnectionFailure")
        assert.instanceOf(yield* tryConnect(hub, "6.6.6.9"), RawPeer)
        assert.strictEqual(yield* tryConnect(hub, "6.6.6.9"), "OVERLOADED")
      })
  )

  flooded(
    "a client that resumes its connection needs no room for another one",
    { quotas: { perAddress: { connections: 1 } } },
    (hub) =>
      Effect.gen(function*() {
        const wish = { session: { windowMillis: 60_000, replayBuffer: 65_536 } }
        const first = yield* hub.dial(from(attacker))
        const { connectionId, session } = yield* first.handshake(wish)
        const { epoch, token } = session as { readonly epoch: string; readonly token: string }
        yield* first.expectAlive()
        yield* first.resetTcp
        yield* hub.expectEvent("ConnectionInterrupted")
        const second = yield* hub.dial(from(attacker))
        const resumed = yield* second.handshake({ ...wish, resume: { connectionId, token, epoch, received: 0 } })
        assert.isTrue(resumed.resumed)
        yield* hub.expectEvent("ConnectionResumed")
        assert.strictEqual(yield* tryConnect(hub, attacker), "OVERLOADED")
      })
  )

  flooded(
    "where a server is full, whoever has the most connections loses its newest one to those who have fewer",
    {
      quotas: { server: { connections: 6 } },
      limits: { resumeWindow: 0 },
      authenticate: ({ headers }) => Effect.succeed(headers["x-forwarded-for"] ?? "healthy")
    },
    (hub, answers) =>
      Effect.gen(function*() {
        // The healthy client has one of six.
        const peers = yield* Effect.forEach(Array.from({ length: 8 }), () => tryConnect(hub, attacker))
        for (const peer of peers) answers.add(peer instanceof RawPeer ? "welcome" : peer)
        assert.deepStrictEqual(answers.counts, { welcome: 5, OVERLOADED: 3 })
        const honest = yield* tryConnect(hub, "10.0.0.1")
        assert.instanceOf(honest, RawPeer)
        yield* (peers[4] as RawPeer).expectConnectionError("EXCESSIVE_LOAD")
        yield* (honest as RawPeer).expectAlive()
        yield* (peers[0] as RawPeer).expectAlive()
        yield* honestVisits(hub, "connections of a server", answers)
        const { holder, quota } = yield* hub.expectEvent("QuotaExceeded")
        assert.deepStrictEqual([quota, holder], ["connections", "server"])
      })
  )

  flooded(
    "where a server is full, nobody takes connections from those who have no more than they would",
    {
      quotas: { server: { connections: 4 } },
      authenticate: ({ headers }) => Effect.succeed(headers["x-forwarded-for"] ?? "healthy")
    },
    (hub) =>
      Effect.gen(function*() {
        // The healthy client has one of four.
        const names = ["a", "a", "b", "c", "d", "a", "b", "e"]
        const peers = yield* Effect.forEach(names, (name) => tryConnect(hub, name))
        const kept = peers.map((peer) => peer instanceof RawPeer ? "welcome" : peer)
        assert.deepStrictEqual(kept, [
          ...["a", "a", "b", "c"].map(() => "welcome"),
          ...["d", "a", "b", "e"].map(() => "OVERLOADED")
        ])
        yield* (peers[1] as RawPeer).expectConnectionError("EXCESSIVE_LOAD")
        for (const index of [0, 2, 3]) yield* (peers[index] as RawPeer).expectAlive()
      })
  )

  flooded(
    "a device that comes back under its identity takes the place of its old connection, also where there is no room",
    {
      quotas: { perPrincipal: { connections: 1 } },
      authenticate: ({ headers }) => Effect.succeed(headers["x-forwarded-for"] ?? "healthy"),
      identity: ({ principal }) => principal
    },
    (hub) =>
      Effect.gen(function*() {
        const old = yield* tryConnect(hub, attacker)
        yield* (old as RawPeer).expectAlive()
        const next = yield* tryConnect(hub, attacker)
        assert.instanceOf(next, RawPeer)
        yield* (next as RawPeer).expectAlive()
        yield* (old as RawPeer).expectClose(4111)
      })
  )
})

describe("interrupted connections", () => {
  const wish = { session: { windowMillis: 60_000, replayBuffer: 65_536 } }

  const begin = (hub: Fixture, address: string) =>
    Effect.gen(function*() {
      const peer = yield* hub.dial(from(address))
      const { connectionId, session } = yield* peer.handshake(wish)
      const { epoch, token } = session as { readonly epoch: string; readonly token: string }
      yield* peer.expectAlive()
      return { peer, resume: { connectionId, epoch, token, received: 0 } }
    })

  /** An attacker interrupts eight connections, of which three may stay; an honest client resumes its own meanwhile. */
  const strand = (hub: Fixture, title: string) =>
    Effect.gen(function*() {
      const honest = yield* begin(hub, "10.0.0.1")
      yield* honest.peer.resetTcp
      yield* hub.expectEvent("ConnectionInterrupted")
      for (let n = 0; n < 8; n++) yield* (yield* begin(hub, attacker)).peer.resetTcp
      const lost = () => hub.events().flatMap((event) => event._tag === "ConnectionFailure" ? [event] : [])
      yield* until("five are given up", () => lost().length === 5)
      for (const { error } of lost()) assert.deepInclude(error.reason, { _tag: "SessionLost", because: "expired" })
      const answers = new Answers()
      for (let n = 0; n < 5; n++) answers.add("SessionLost")
      yield* honestVisits(hub, title, answers, 10)
      const again = yield* hub.dial(from("10.0.0.1"))
      assert.isTrue((yield* again.handshake({ ...wish, resume: honest.resume })).resumed)
      yield* again.expectAlivePassing()
      return yield* hub.expectEvent("QuotaExceeded")
    })

  flooded(
    "an address that leaves too many sessions behind loses its own, and nobody else's",
    { quotas: { perAddress: { interruptedSessions: 3 } } },
    (hub) =>
      Effect.gen(function*() {
        const { address, holder, quota } = yield* strand(hub, "interrupted sessions of an address")
        assert.deepStrictEqual([quota, holder, address], ["interruptedSessions", "address", attacker])
        assert.strictEqual(yield* exceededCount("interruptedSessions", "address"), 5)
      })
  )

  flooded(
    "a principal whose sessions hold too many bytes loses its own, and nobody else's",
    {
      // Each counts 16 KiB and a little.
      quotas: { perPrincipal: { interruptedBytes: 60_000 } },
      authenticate: ({ headers }) => Effect.succeed(headers["x-forwarded-for"] ?? "healthy")
    },
    (hub) =>
      Effect.gen(function*() {
        const { holder, quota } = yield* strand(hub, "bytes of interrupted sessions of a principal")
        assert.deepStrictEqual([quota, holder], ["interruptedBytes", "principal"])
      })
  )
})

describe("memory", () => {
  flooded(
    "where the connections of a server hold too many bytes, a connection of whoever holds the most ends",
    {
      quotas: { server: { memory: 4 * 1024 * 1024 } },
      limits: { resumeWindow: 0 },
      authenticate: ({ headers }) => Effect.succeed(headers["x-forwarded-for"] ?? "healthy")
    },
    (hub, answers) =>
      Effect.gen(function*() {
        // Each has 20 bodies that nobody reads, none of them near the limit of a connection.
        const peers = yield* Effect.forEach(Array.from({ length: 8 }), () => tryConnect(hub, attacker))
        for (const peer of peers as ReadonlyArray<RawPeer>) {
          for (let id = 1; id < 40; id += 2) {
            yield* peer.sendFrames(request(id, "/never", { method: "POST", end: false }))
          }
          for (let id = 1; id < 40; id += 2) yield* peer.sendFrames(data(id, new Uint8Array(30_000)))
        }
        const { holder, quota } = yield* hub.expectEvent("QuotaExceeded")
        assert.deepStrictEqual([quota, holder], ["memory", "server"])
        yield* until("some are ended", () => (peers as ReadonlyArray<RawPeer>).some((peer) => hasEnded(peer)))
        for (const peer of peers as ReadonlyArray<RawPeer>) answers.add(hasEnded(peer) ? "EXCESSIVE_LOAD" : "open")
        yield* honestVisits(hub, "memory of a server", answers, 20)
        assert.isAtLeast(answers.of("open"), 1)
        assert.isAtLeast(answers.of("EXCESSIVE_LOAD"), 1)
      })
  )

  const fills = (title: string, open: (hub: Fixture) => Effect.Effect<RawPeer, unknown, Scope.Scope>) =>
    flooded(
      `${title} count as memory, and whoever holds the most loses connections`,
      {
        quotas: { server: { memory: 2 * 1024 * 1024 } },
        limits: { maxMessageSize: 1024 * 1024 },
        authenticate: ({ headers }) => Effect.succeed(headers["x-forwarded-for"] ?? "healthy")
      },
      (hub, answers) =>
        Effect.gen(function*() {
          const peers = yield* Effect.forEach(Array.from({ length: 6 }), () => open(hub))
          const { holder, quota } = yield* hub.expectEvent("QuotaExceeded")
          assert.deepStrictEqual([quota, holder], ["memory", "server"])
          yield* until("some are ended", () => peers.some((peer) => hasEnded(peer)))
          for (const peer of peers) answers.add(hasEnded(peer) ? "EXCESSIVE_LOAD" : "open")
          yield* honestVisits(hub, title, answers, 20)
          assert.isAtLeast(answers.of("open"), 1)
        })
    )

  fills("messages that never arrive whole", (hub) =>
    Effect.gen(function*() {
      const peer = (yield* tryConnect(hub, attacker)) as RawPeer
      yield* peer.expectAlive()
      // A binary message of 1 MB, of which 700 KB are sent (RFC 6455 section 5.2).
      const header = Buffer.from([0x82, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
      header.writeUInt32BE(1_000_000, 6)
      peer.tcp.write(Buffer.concat([header, Buffer.alloc(700_000)]))
      return peer
    }))

  fills("metadata of many small values", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.dial(from(attacker))
      yield* peer.handshake({ metadata: { name: "x", tags: Array.from({ length: 15_000 }, () => "") } })
      yield* peer.expectAlive()
      return peer
    }))
})

describe("honest clients behind one address", () => {
  flooded(
    "a thousand devices behind one address, 250 of them at once, are all let in by the default quotas",
    {},
    (hub, answers) =>
      Effect.gen(function*() {
        const since = performance.now()
        const devices = Array.from({ length: 1000 }, () => tryConnect(hub, "192.0.2.1"))
        // Fewer at once than time out on a busy machine.
        const peers = yield* Effect.all(devices, { concurrency: 250 })
        const took = Math.round(performance.now() - since)
        for (const peer of peers) answers.add(peer instanceof RawPeer ? "welcome" : peer)
        // eslint-disable-next-line no-console
        console.log(`a thousand devices behind one address: ${JSON.stringify(answers.counts)} within ${took} ms`)
        assert.deepStrictEqual(answers.counts, { welcome: 1000 })
      })
  )
})

describe("clients of this package", () => {
  flooded(
    "a client that is refused by either answer dials again with back-off, and connects when there is room",
    { quotas: { perAddress: { connections: 1 } }, limits: { resumeWindow: 0 } },
    (hub) =>
      Effect.gen(function*() {
        const first = yield* tryConnect(hub, attacker)
        const context = yield* Layer.build(
          SwaggerSocketClient.layer({ url: hub.url, headers: from(attacker).headers }).pipe(
            Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor),
            Layer.provide(Reconnection.layer({
              schedule: Reconnection.fullJitter({ base: "2 millis", cap: "20 millis" })
            }))
          )
        )
        const client = Context.get(context, SwaggerSocketClient.SwaggerSocketClient)
        const attempts = yield* keepEvents(client.events)
        const messages = () => attempts.flatMap((event) => "error" in event ? [event.error.message] : [])
        yield* until("both answers", () =>
          messages().some((text) => text.includes("OVERLOADED")) && messages().some((text) => text.includes("429")))
        assert.isTrue(attempts.every((event) =>
          event._tag !== "ConnectionAttemptFailed" || event.willRetry
        ))
        yield* (first as RawPeer).resetTcp
        yield* within("the client connects", Effect.orDie(client.connection))
      })
  )
})

describe("applications", () => {
  flooded(
    "handshakes that are refused by authentication count as handshakes and not as connections",
    {
      quotas: { perAddress: { connections: 1 } },
      authenticate: ({ headers }) =>
        headers["x-forwarded-for"] === attacker
          ? Effect.fail(new Handshake.Refusal({ code: "FORBIDDEN", reason: "no" }))
          : Effect.succeed("somebody")
    },
    (hub) =>
      Effect.gen(function*() {
        for (let n = 0; n < 5; n++) assert.strictEqual(yield* tryConnect(hub, attacker), "FORBIDDEN")
      })
  )

  flooded(
    "an addressOf that throws fails the upgrade that it is asked about, and nothing else",
    {
      addressOf: ({ headers }) => {
        if (headers["x-forwarded-for"] === attacker) throw new Error("no such address")
        return headers["x-forwarded-for"]
      }
    },
    (hub, answers) =>
      Effect.gen(function*() {
        for (let n = 0; n < 3; n++) assert.strictEqual(yield* tryDial(hub, attacker), 500)
        yield* honestVisits(hub, "an addressOf that throws", answers, 5)
      })
  )
})
