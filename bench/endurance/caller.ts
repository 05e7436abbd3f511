/**
 * Makes calls, and writes down how each of them has ended.
 */
import { outcomeOf } from "effect-swaggersocket/SwaggerSocketError"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpBody from "effect/http/HttpBody"
import type * as HttpClient from "effect/http/HttpClient"
import * as Option from "effect/Option"
import { body, check } from "./bodies.ts"
import { deadlineMillis, type RecordFile, type Said } from "./records.ts"
import type { Watch } from "./watch.ts"

/** Whether the answer was the right one; the status if it was one of failure. */
const attempt = (api: HttpClient.HttpClient, id: string, call: number) =>
  Effect.gen(function*() {
    const size = sizeOf(call)
    // Of twenty calls two upload a stream and one downloads one.
    const kind = call % 20
    if (kind === 7) {
      const response = yield* api.post(`/down/${id}/${size}`)
      const received = yield* check(response.stream)
      return response.status === 200 ? received === size : response.status
    }
    const isUpload = kind === 3 || kind === 13
    const response = isUpload
      ? yield* api.post(`/up/${id}`, { body: HttpBody.stream(body(size)) })
      : yield* api.post(`/small/${id}`, { body: HttpBody.text("hello") })
    const text = yield* response.text
    return response.status === 200 ? text === `${id} ${isUpload ? size : "hello"}` : response.status
  })

/** Up to 64 KiB; one of some hundred streams has half a MiB. */
const sizeOf = (call: number): number => call % 1009 < 20 ? 512 * 1024 : call * 7919 % (64 * 1024)

export class Caller {
  made = 0
  open = 0
  readonly #number: number
  readonly #file: RecordFile
  readonly #watch: Watch

  constructor(number: number, file: RecordFile, watch: Watch) {
    this.#number = number
    this.#file = file
    this.#watch = watch
  }

  /** One call, which never fails; says how it has ended. */
  call(api: HttpClient.HttpClient, isSteady: boolean): Effect.Effect<Said> {
    return Effect.suspend(() => {
      const call = this.made++
      this.open++
      const start = performance.now()
      return Effect.map(
        Effect.exit(Effect.timeoutOption(attempt(api, `${this.#number}/${call}`, call), deadlineMillis)),
        (exit) => {
          const what = outcome(exit)
          if (what === "completed") {
            this.#watch.latency.record(Math.max(1, Math.round((performance.now() - start) * 1000)))
          } else if (what === "silent" || what === "failed" || (isSteady && what !== "shed")) {
            console.log(`call ${call}: ${JSON.stringify(exit)}`)
          }
          this.#file.write(this.#number, call, what, isSteady)
          this.open--
          return what
        }
      )
    })
  }

  /** Once no more calls are made: waits until each has an end, and writes down how many they were. */
  readonly settle: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    const until = performance.now() + deadlineMillis + 10_000
    while (this.open > 0 && performance.now() < until) yield* Effect.sleep(50)
    this.#file.write(this.#number, this.made, "total")
  })
}

const outcome = (exit: Exit.Exit<Option.Option<boolean | number>, unknown>): Said => {
  if (Exit.isFailure(exit)) return outcomeOf(Cause.squash(exit.cause)) ?? "silent"
  if (Option.isNone(exit.value)) return "hung"
  const answer = exit.value.value
  return typeof answer === "number" ? answer === 503 ? "shed" : "failed" : answer ? "completed" : "wrong"
}
