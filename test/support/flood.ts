/**
 * A flood of one or several addresses, and honest callers of others meanwhile.
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import type { Fixture } from "./hubUnderAttack.ts"
import type { RawPeer } from "./rawPeer.ts"
import { upgrade } from "./upgrade.ts"
import { until } from "./waiting.ts"

/** The field that names a client's address: on loopback all have the same. */
const field = "x-forwarded-for"

export const from = (address: string) => ({ headers: { [field]: address } })

/** What the attacker is answered, and how often. */
export class Answers {
  readonly counts: Record<string, number> = {}

  add(answer: string | number): void {
    this.counts[answer] = (this.counts[answer] ?? 0) + 1
  }

  of(answer: string | number): number {
    return this.counts[answer] ?? 0
  }

  get total(): number {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0)
  }
}

/** Upgrade requests from one address, `width` at a time, for as long as the scope is open. Upgraded ones hang up. */
export const floodOfUpgrades = (
  hub: Fixture,
  address: string,
  answers: Answers,
  width: number
): Effect.Effect<Fiber.Fiber<unknown, unknown>, never, Scope.Scope> => {
  const one = Effect.map(
    Effect.exit(upgrade(hub.url, from(address).headers)),
    (exit) => answers.add(Exit.isSuccess(exit) ? exit.value.status : "error")
  )
  return Effect.forkScoped(
    Effect.all(Array.from({ length: width }, () => Effect.forever(one)), { concurrency: "unbounded" })
  )
}

/** Opens a WebSocket and says nothing. Answers the status of the refusal where it is not opened. */
export const tryDial = (hub: Fixture, address: string): Effect.Effect<RawPeer | number, never, Scope.Scope> =>
  hub.dial(from(address)).pipe(Effect.catch((error) => Effect.succeed(Number(/\d{3}$/.exec(error.message)?.[0] ?? 0))))

/** Opens a connection; answers the code of a refusal, or the status of a refused upgrade. */
export const tryConnect = (hub: Fixture, address: string) =>
  Effect.gen(function*() {
    const peer = yield* tryDial(hub, address)
    if (typeof peer === "number") return peer
    yield* peer.hello()
    yield* until("an answer to hello", () => peer.log.some(({ _tag }) => _tag !== "Frame"))
    const [first] = peer.log
    const message = first?._tag === "Text"
      ? JSON.parse(first.text) as { readonly type: string; code?: string }
      : undefined
    if (message?.type !== "welcome") return message?.code ?? "closed"
    yield* peer.expectText("welcome")
    yield* peer.send(`{"type":"ready"}`)
    return peer
  })

/** An honest client: a handshake, a call, and good-bye. Answers how long that took, in milliseconds. */
const visit = (hub: Fixture, address: string): Effect.Effect<number> =>
  Effect.scoped(Effect.gen(function*() {
    const start = performance.now()
    const peer = yield* Effect.orDie(hub.dial(from(address)))
    yield* peer.handshake()
    yield* peer.expectAlive()
    return performance.now() - start
  }))

const percentile = (numbers: ReadonlyArray<number>, share: number): number =>
  Math.round([...numbers].sort((a, b) => a - b)[Math.floor(share * (numbers.length - 1))]!)

/** Honest clients of different addresses, one after the other: all of them must be served. Prints how the flood fared. */
export const honestVisits = Effect.fnUntraced(function*(hub: Fixture, title: string, answers: Answers, count = 50) {
  const times: Array<number> = []
  for (let n = 0; n < count; n++) times.push(yield* visit(hub, `10.1.${n >> 8}.${n & 255}`))
  assert.lengthOf(times, count)
  // eslint-disable-next-line no-console
  console.log(
    `${title}: honest clients ${times.length}/${count}, p50 ${percentile(times, 0.5)} ms, p99 ${
      percentile(times, 0.99)
    } ms; the flood was answered ${JSON.stringify(answers.counts)}`
  )
})

/** How often a quota was exceeded, by the metric. */
export const exceededCount = (quota: string, holder: string): Effect.Effect<number> =>
  Effect.map(Metric.snapshot, (snapshots) => {
    const found = snapshots.find(({ attributes, id }) =>
      id === "swaggersocket_quota_exceeded" && attributes?.["quota"] === quota && attributes["holder"] === holder
    )
    return found === undefined ? 0 : (found.state as { readonly count: number }).count
  })
