/**
 * Many clients of one address that dial at once: those that are answered 429 come again later, and all are connected about when
 * the quotas allow it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Heartbeat from "effect-swaggersocket/Heartbeat"
import * as Limits from "effect-swaggersocket/Limits"
import * as Quotas from "effect-swaggersocket/Quotas"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import { stayConnected } from "../../src/internal/client/stayConnected.ts"
import { linkFailure } from "../../src/internal/link/linkErrors.ts"
import * as memoryLink from "../../src/internal/link/memoryLink.ts"
import { isTotal } from "../../src/internal/quota/holder.ts"
import { acceptorOf } from "../../src/internal/server/acceptor.ts"
import { extent } from "../support/extent.ts"

class Hub extends SwaggerSocketServer.Service<Hub, undefined>()("test/client/crowd/Hub") {}

/** A part of them, and of the quotas, shows the same. */
const share = extent("CROWD", 50, 1)
const devices = 10_000 / share
const { perAddress } = Quotas.defaults
const quotas = {
  perAddress: {
    handshakesPerSecond: perAddress.handshakesPerSecond / share,
    handshakeBurst: perAddress.handshakeBurst / share,
    pendingHandshakes: Math.ceil(perAddress.pendingHandshakes / share)
  }
}

/** What a handshake takes on the network, in milliseconds. */
const roundTrip = "100 millis"

/** So many milliseconds pass at a time. `TestClock` takes some for each timer, and there are thousands. */
const step = 10

class VirtualClock implements Clock.Clock {
  #steps = 0
  readonly #timers = new Map<number, Set<() => void>>()

  currentTimeMillisUnsafe(): number {
    return this.#steps * step
  }

  currentTimeNanosUnsafe(): bigint {
    return BigInt(this.currentTimeMillisUnsafe()) * 1_000_000n
  }

  monotonicTimeNanosUnsafe(): bigint {
    return this.currentTimeNanosUnsafe()
  }

  readonly currentTimeMillis = Effect.sync(() => this.currentTimeMillisUnsafe())
  readonly currentTimeNanos = Effect.sync(() => this.currentTimeNanosUnsafe())
  readonly monotonicTimeNanos = this.currentTimeNanos

  sleep(duration: Duration.Duration): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const at = this.#steps + Math.max(1, Math.ceil(Duration.toMillis(duration) / step))
      const timers = this.#timers.get(at) ?? new Set()
      const run = () => resume(Effect.void)
      this.#timers.set(at, timers.add(run))
      return Effect.sync(() => timers.delete(run))
    })
  }

  /** A step passes, and what is due in it is done. */
  get pass(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const due = this.#timers.get(++this.#steps)
      this.#timers.delete(this.#steps)
      if (due === undefined) return Effect.void
      for (const run of due) run()
      return turns
    })
  }
}

const turns = Effect.callback<void>((resume) => {
  let left = 10
  const next = () => {
    if (left-- > 0) setImmediate(next)
    else resume(Effect.void)
  }
  next()
})

/** Time passes as fast as things are done, to the end of the scope. */
const inVirtualTime = <A, E>(body: (clock: VirtualClock) => Effect.Effect<A, E, Scope.Scope>) => {
  const clock = new VirtualClock()
  return Effect.raceFirst(
    Random.withSeed(Effect.provideService(Effect.scoped(body(clock)), Clock.Clock, clock), "crowd"),
    Effect.forever(clock.pass)
  )
}

describe("ten thousand devices behind one address", () => {
  it.live(
    "all are connected soon after the quotas allow it, with few attempts and a line each",
    () =>
      inVirtualTime((clock) =>
        Effect.gen(function*() {
          const lines: Array<string> = []
          const logger = Logger.make(({ message }) => void lines.push(String(message)))
          const hub = yield* Layer.build(Hub.layerNoRoute({
            quotas,
            limits: { resumeWindow: 0 },
            authenticate: () => Effect.as(Effect.sleep(roundTrip), undefined)
          }))
          const acceptor = acceptorOf(Context.get(hub, Hub))
          const upgrade = { headers: Headers.empty, url: "/", remoteAddress: Option.some("192.0.2.1") }
          let attempts = 0
          const refused = new Map<number, number>()
          const link = Effect.gen(function*() {
            attempts++
            const exceeded = acceptor.refusal(upgrade)
            if (exceeded !== undefined) {
              const status = isTotal(exceeded.holder) ? 503 : 429
              refused.set(status, (refused.get(status) ?? 0) + 1)
              return yield* linkFailure("open", `Unexpected server response: ${status}`)
            }
            const [near, far] = memoryLink.makePair()
            yield* acceptor.accept(Effect.succeed(far), upgrade, "v2")
            yield* Effect.addFinalizer(() => Effect.sync(near.terminate))
            return near
          })
          yield* Effect.forEach(
            Array.from({ length: devices }),
            () =>
              stayConnected({
                limits: Limits.make({ resumeWindow: 0 }),
                wire: "v2",
                attempt: Effect.succeed({ metadata: null, encoded: null, target: "hub", link: () => link })
              })
          ).pipe(
            Effect.provide(Layer.merge(Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, "Info"))),
            Effect.provide(Heartbeat.layer({ interval: "1 hour" }))
          )
          const seconds = () => clock.currentTimeMillisUnsafe() / 1000
          while (acceptor.connections().length < devices && seconds() < 300) yield* turns
          const { handshakeBurst, handshakesPerSecond } = quotas.perAddress
          const least = (devices - handshakeBurst) / handshakesPerSecond
          // eslint-disable-next-line no-console
          console.log(
            `${devices} devices behind one address: ${acceptor.connections().length} connected within ${
              Math.round(seconds())
            } s, where the quotas allow it within ${least} s; ${(attempts / devices).toFixed(1)} attempts each, ${
              refused.get(429)
            } answered 429; ${lines.length} lines of their logs`
          )
          assert.strictEqual(acceptor.connections().length, devices)
          assert.deepStrictEqual([...refused.keys()], [429])
          // The last ones wait for up to 30 seconds by their back-off.
          assert.isBelow(seconds(), least + 40)
          assert.isBelow(attempts, 10 * devices)
          assert.isAtMost(lines.length, devices)
        })
      ),
    600_000
  )
})
