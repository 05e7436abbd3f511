/**
 * Clients in other runtimes than Node, each with the WebSocket of its platform.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { listen, Refusal } from "effect-swaggersocket/promise"
import * as Effect from "effect/Effect"
import { createHash, randomBytes } from "node:crypto"
import * as Fs from "node:fs"
import { until } from "../support/waiting.ts"
import { installation, isInstalled, makeFolder } from "./installed.ts"
import { durableObject, onBun, onDeno, start } from "./programs.ts"

const size = 8 * 1024 * 1024

const sha256 = (data: Uint8Array): string => createHash("sha256").update(data).digest("hex")

interface Report {
  readonly sent: string
  readonly heard: string
  readonly answered: string
  readonly asked: string
  readonly end: string
}

let folder = ""

/** A hub that calls whoever calls it. `token`: clients have to send it. */
const startHub = (token?: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const bytes = randomBytes(size)
      const hub = await listen({
        host: "127.0.0.1",
        authenticate({ headers }) {
          if (headers.authorization === token) return undefined
          throw new Refusal({ code: "UNAUTHENTICATED", reason: "who are you?" })
        }
      })
      hub.serve(async (request, client) => {
        const { pathname } = new URL(request.url)
        if (pathname === "/hash") return new Response(sha256(new Uint8Array(await request.arrayBuffer())))
        if (pathname === "/bytes") return new Response(bytes)
        return new Response(await (await client.fetch("/", { method: "POST", body: bytes })).text())
      })
      return { hub, hash: sha256(bytes) }
    }),
    ({ hub }) => Effect.promise(() => hub.close({ drain: false }))
  )

const check = ({ answered, asked, end, heard, sent }: Report, hash: string) => {
  assert.strictEqual(heard, sent)
  assert.deepStrictEqual([answered, asked, end], [hash, hash, "Closed"])
}

describe.skipIf(!isInstalled && process.env["CI"] !== "true")("clients in other runtimes", () => {
  beforeAll(async () => {
    assert.isTrue(isInstalled, `The runtimes are missing. To install them: ${installation}`)
    folder = await makeFolder()
    return () => Fs.rmSync(folder, { recursive: true, force: true })
  }, 60_000)

  for (const [name, program] of [["Bun", onBun("client.ts")], ["Deno", onDeno("client.ts")]] as const) {
    it.live(
      `a client on ${name} sends a header field, calls a hub, is called by it, and ends`,
      () =>
        Effect.scoped(Effect.gen(function*() {
          const { hash, hub } = yield* startHub("Bearer open sesame")
          const { ended, output } = yield* start(folder, program, hub.url)
          assert.strictEqual(yield* Effect.promise(() => ended), 0, output())
          check(JSON.parse(output()) as Report, hash)
        })),
      90_000
    )
  }

  it.live("a client in a Durable Object calls a hub, and is called by it", () =>
    Effect.scoped(Effect.gen(function*() {
      const { hash, hub } = yield* startHub()
      const { output } = yield* start(folder, durableObject)
      const port = () => /listening on (\d+)/.exec(output())?.[1]
      yield* until("the Worker listens", () => port() !== undefined, 30_000)
      const url = `http://127.0.0.1:${port()}/dial?object=client&url=${encodeURIComponent(hub.url)}`
      const text = yield* Effect.promise(async () => (await fetch(url)).text())
      check(JSON.parse(text) as Report, hash)
    })), 90_000)
})
