/**
 * A server that is killed in the middle of its work and comes back without its memory: what callers are told is true.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import { outcomeOf } from "effect-swaggersocket/SwaggerSocketError"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { bytesOf, hashOf } from "../support/bodies.ts"
import type { Message } from "../support/child.ts"
import { countTags, keepEvents } from "../support/events.ts"
import { type Child, fork } from "../support/fork.ts"
import { report } from "../support/measurements.ts"
import { dial } from "../support/proxied.ts"
import { Random, seed } from "./random.ts"

const kills = 4
/** Calls that succeed between two kills. */
const between = 60
/** More than the server takes at once: the others wait. */
const callers = 16

const temporaryFile = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(path.join(os.tmpdir(), "swaggersocket-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  ),
  (folder) => {
    const file = path.join(folder, "executions")
    writeFileSync(file, "")
    return file
  }
)

const listening = Effect.fnUntraced(function*(child: Child) {
  const { url } = yield* child.hear<Message & { readonly type: "listening"; readonly url: string }>("listening")
  return url
})

describe("server that is killed and restarted", () => {
  it.live(
    `calls to a server that is killed ${kills} times all end with a true outcome, FAULTS_SEED=${seed}`,
    (context) =>
      Effect.gen(function*() {
        const random = new Random(seed)
        const log = yield* temporaryFile
        let server = yield* fork(new URL("children/worker.ts", import.meta.url), ["0", log])
        const url = yield* listening(server)
        const { client } = yield* dial({ url })
        const events = yield* keepEvents(client.events)
        const api = Context.get(
          yield* Layer.build(
            Layer.provide(ApiClient.layer, Layer.succeed(SwaggerSocketClient.SwaggerSocketClient, client))
          ),
          HttpClient.HttpClient
        )

        let calls = 0
        const calling = { on: true }
        let successes = 0
        let goal = { count: between, reached: Deferred.makeUnsafe<void>() }
        const results = new Map<string, string>()
        const unexpected: Array<string> = []
        const call = Effect.gen(function*() {
          const number = calls++
          const id = String(number)
          const size = random.skewed(200_000)
          const hash = hashOf(number, size)
          const body = random.chance(0.3)
            ? HttpBody.stream(bytesOf(number, size))
            : HttpBody.uint8Array(Buffer.concat(yield* Stream.runCollect(bytesOf(number, size))))
          const exit = yield* api.post(`/jobs/${id}`, { body }).pipe(
            Effect.flatMap((response) => response.text),
            Effect.timeout("60 seconds"),
            Effect.exit
          )
          if (Exit.isSuccess(exit)) {
            results.set(id, "success")
            if (exit.value !== hash) unexpected.push(`${id} was answered with "${exit.value}"`)
            if (++successes === goal.count) yield* Deferred.succeed(goal.reached, undefined)
          } else {
            const error = Cause.squash(exit.cause)
            const outcome = outcomeOf(error)
            results.set(id, outcome ?? "none")
            if (outcome === undefined) unexpected.push(`${id}: ${String(error)}`)
          }
        })
        const caller = Effect.gen(function*() {
          while (calling.on) yield* call
        })
        const fibers = yield* Effect.forEach(Array.from({ length: callers }), () => Effect.forkChild(caller))
        for (let kill = 0; kill < kills; kill++) {
          yield* Deferred.await(goal.reached)
          server.process.kill("SIGKILL")
          goal = { count: successes + between, reached: Deferred.makeUnsafe() }
          server = yield* fork(new URL("children/worker.ts", import.meta.url), [new URL(url).port, log])
          assert.strictEqual(yield* listening(server), url)
        }
        yield* Deferred.await(goal.reached)
        calling.on = false
        for (const fiber of fibers) yield* Fiber.join(fiber)

        const executions = new Map<string, number>()
        for (const id of readFileSync(log, "utf8").trimEnd().split("\n")) {
          executions.set(id, (executions.get(id) ?? 0) + 1)
        }
        const outcomes: Record<string, number> = {}
        const lies: Array<string> = []
        for (const [id, result] of results) {
          outcomes[result] = (outcomes[result] ?? 0) + 1
          const times = executions.get(id) ?? 0
          const isTrue = result === "success" ? times === 1 : result === "unknown" ? times <= 1 : times === 0
          if (!isTrue) lies.push(`${id}: ${result}, and executed ${times} times`)
        }
        report(context, { calls, outcomes, executed: executions.size, events: countTags(events) })
        assert.deepStrictEqual(unexpected, [])
        assert.deepStrictEqual(lies, [])
        assert.strictEqual(results.size, calls)
        // The kills did hit something, and each was noticed.
        assert.isAtLeast(outcomes.unknown ?? 0, kills)
        assert.strictEqual(countTags(events).ConnectionFailure, kills)
        const failures = events.flatMap((event) => event._tag === "ConnectionFailure" ? [event.error.reason] : [])
        assert.deepStrictEqual(
          failures.map((reason) => reason._tag === "SessionLost" ? reason.because : reason._tag),
          Array<string>(kills).fill("restarted")
        )
      }),
    90_000
  )
})
