/**
 * Many clients that call a hub: `callers.ts <url> <number of clients>`. It measures the hub's peak, or calls at a rate that
 * does not care how the hub is doing.
 */
import * as Effect from "effect/Effect"
import { hear, main, type Message, tell } from "../../support/child.ts"
import { percentile, round } from "../../support/measurements.ts"
import { type Answer, RawCalls } from "../rawCalls.ts"

export interface Run extends Message {
  readonly type: "run"
  readonly target: string
  /** Calls a second; 0: as many as come back, on so many connections with one in flight on each. */
  readonly rate: number
  readonly inFlight: number
  /** Of which the first `skip` don't count. */
  readonly millis: number
  readonly skip: number
  /** When a caller gives up, in milliseconds. */
  readonly deadline: number
}

export interface Result extends Message {
  readonly type: "result"
  /** All a second: calls that began, and how they ended. */
  readonly offered: number
  /** Answered with 200 in time. */
  readonly good: number
  readonly answers: Readonly<Record<string, number>>
  /** Of the good ones, in milliseconds. */
  readonly p50: number
  readonly p99: number
}

const [url, count] = process.argv.slice(2) as [string, string]

/** As the default of `ApiClient`: full jitter from 50 ms to 2 s, 6 times. */
const retryDelay = (attempt: number) => Math.random() * Math.min(2000, 50 * 2 ** attempt)

const run = (clients: ReadonlyArray<RawCalls>, { deadline, inFlight, millis, rate, skip, target }: Run) =>
  new Promise<Result>((resolve) => {
    const start = performance.now()
    const samples: Array<number> = []
    const answers: Record<string, number> = {}
    let begun = 0
    let offered = 0
    const isCounted = (at: number) => at - start >= skip && at - start < millis
    const call = (client: RawCalls, next: () => void) => {
      const at = performance.now()
      if (isCounted(at)) offered++
      let isOver = false
      let attempt = 0
      const end = (answer: Answer | "late") => {
        isOver = true
        const now = performance.now()
        if (isCounted(now)) {
          answers[answer] = (answers[answer] ?? 0) + 1
          if (answer === 200) samples.push(now - at)
        }
        next()
      }
      const tryOnce = () => {
        if (isOver) return
        current = client.call(target, (answer) => {
          if (isOver) return
          if (answer === "refused" && attempt < 6) {
            if (isCounted(performance.now())) answers.refusals = (answers.refusals ?? 0) + 1
            setTimeout(tryOnce, retryDelay(attempt++))
            return
          }
          clearTimeout(timer)
          end(answer)
        })
      }
      const timer = setTimeout(() => {
        current.cancel()
        end("late")
      }, deadline)
      let current: { readonly cancel: () => void } = { cancel() {} }
      tryOnce()
    }
    const finish = () => {
      const seconds = (millis - skip) / 1000
      const perSecond = Object.fromEntries(Object.entries(answers).map(([name, n]) => [name, Math.round(n / seconds)]))
      resolve({
        type: "result",
        offered: Math.round(offered / seconds),
        good: Math.round(samples.length / seconds),
        answers: perSecond,
        p50: round(percentile(samples, 0.5)),
        p99: round(percentile(samples, 0.99))
      })
    }
    setTimeout(finish, millis)
    if (rate === 0) {
      const again = (client: RawCalls) => {
        if (performance.now() - start < millis) call(client, () => again(client))
      }
      for (const client of clients.slice(0, inFlight)) again(client)
      return
    }
    const tick = setInterval(() => {
      const elapsed = performance.now() - start
      if (elapsed >= millis) return clearInterval(tick)
      for (const due = elapsed / 1000 * rate; begun < due; begun++) call(clients[begun % clients.length]!, () => {})
    }, 1)
  })

main(Effect.gen(function*() {
  const clients: Array<RawCalls> = []
  for (let n = 0; n < Number(count); n++) clients.push(yield* Effect.promise(() => RawCalls.open(url)))
  yield* tell({ type: "connected" })
  while (true) {
    const order = yield* hear<Run>("run")
    yield* tell(yield* Effect.promise(() => run(clients, order)))
  }
}))
