/**
 * SwaggerSocket servers in the runtimes that have no `node:http`, or another way to serve: each program of `programs` in its
 * runtime, with the package as it is built.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { connect } from "effect-swaggersocket/promise"
import { failureOf } from "effect-swaggersocket/SwaggerSocketError"
import * as FaultProxy from "effect-swaggersocket/testing/FaultProxy"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { createHash, randomBytes } from "node:crypto"
import * as Fs from "node:fs"
import * as WS from "ws"
import { answerOf, upgrade } from "../support/upgrade.ts"
import { until, within } from "../support/waiting.ts"
import { installation, isInstalled, makeFolder } from "./installed.ts"
import { type Runtime, runtimes, start } from "./programs.ts"

if (!isInstalled) console.warn(`The runtimes are missing. To install them: ${installation}`)

const size = 8 * 1024 * 1024

const sha256 = (data: Uint8Array): string => createHash("sha256").update(data).digest("hex")

const token = { headers: { authorization: "Bearer open sesame" } }

let folder = ""

/** A program that listens; it ends with the test. */
const listen = Effect.fnUntraced(function*({ query = "", ...runtime }: Runtime) {
  const running = yield* start(folder, runtime)
  let hasEnded = false
  void running.ended.then(() => hasEnded = true)
  const port = () => /listening on (\d+)/.exec(running.output())?.[1]
  yield* until(`${runtime.name} listens`, () => hasEnded || port() !== undefined, 30_000)
  assert.isDefined(port(), running.output())
  const at = (path: string) => `http://127.0.0.1:${port()}${path}${query}`
  return {
    ...running,
    socket: at("/socket").replace("http:", "ws:"),
    narrow: at("/narrow").replace("http:", "ws:"),
    app: (path: string) => Effect.promise(async () => (await fetch(at(path))).text())
  }
})

/** Asks until something is so. */
const untilAsync = (what: string, condition: Effect.Effect<boolean>): Effect.Effect<void> =>
  within(what, Effect.asVoid(Effect.repeat(condition, { until: (is) => is })))

/** A client that is closed with the scope. */
const dial = (url: string, options: Parameters<typeof connect>[1] = token) =>
  Effect.acquireRelease(
    Effect.promise(() => connect(url, { timeout: "20 seconds", ...options })),
    (client) => Effect.promise(() => client.close({ drain: false }))
  )

/** A WebSocket that says nothing until the scope closes. */
const dialSilently = (url: string) =>
  Effect.acquireRelease(
    Effect.callback<WS.WebSocket>((resume) => {
      const ws = new WS.WebSocket(url, "swaggersocket.v2")
      ws.on("open", () => resume(Effect.succeed(ws)))
    }),
    (ws) => Effect.sync(() => ws.terminate())
  )

/** Answers what a hub asks its client, and keeps the hashes of both sides. */
const answering = () => {
  const answer = randomBytes(size)
  return {
    hash: sha256(answer),
    handler: async (request: Request) =>
      new URL(request.url).pathname === "/bytes"
        ? new Response(answer)
        : new Response(sha256(new Uint8Array(await request.arrayBuffer())))
  }
}

const textOf = (answer: Promise<Response>) => Effect.promise(async () => (await answer).text())

const jsonOf = <A>(answer: Promise<Response>) => Effect.promise(async () => (await answer).json() as Promise<A>)

/** How a hub closes a WebSocket that says something else than hello. */
const closeOf = (url: string, message: string | Uint8Array) =>
  Effect.callback<number>((resume) => {
    const ws = new WS.WebSocket(url, "swaggersocket.v2")
    ws.on("open", () => ws.send(message))
    ws.on("error", () => {})
    ws.on("close", (code) => resume(Effect.succeed(code)))
    return Effect.sync(() => ws.terminate())
  })

/** What becomes of a dial. */
const refusalOf = (url: string, options: Parameters<typeof connect>[1]) =>
  Effect.promise(() => connect(url, options).then(() => undefined, failureOf))

const transfers = (runtime: Runtime) =>
  Effect.gen(function*() {
    const { output, socket } = yield* listen(runtime)
    const proxy = yield* FaultProxy.make({ target: socket })
    const client = yield* dial(proxy.url)
    const { handler, hash } = answering()
    client.serve(handler)
    const who = yield* jsonOf<{ principal: string; remoteAddress: string }>(client.fetch("/whoami"))
    assert.deepStrictEqual(who, { principal: "a friend", remoteAddress: "127.0.0.1" }, output())

    const body = randomBytes(size)
    assert.strictEqual(yield* textOf(client.fetch("/hash", { method: "POST", body })), sha256(body))
    // The hub sends and receives as much.
    const asked = yield* jsonOf<Record<string, string>>(client.fetch(`/ask?size=${size}`))
    assert.deepStrictEqual([asked.heard, asked.answered], [asked.sent, hash])

    const events: Array<string> = []
    client.on("event", ({ _tag }) => events.push(_tag))
    const before = proxy.bytes("up")
    const echoed = client.fetch("/echo", { method: "POST", body }).then((answer) => answer.arrayBuffer())
    yield* until("a quarter is sent", () => proxy.bytes("up") > before + size / 4)
    yield* proxy.cut()
    assert.strictEqual(sha256(yield* Effect.promise(async () => new Uint8Array(await echoed))), sha256(body))
    assert.include(events, "ConnectionResumed")
    assert.notInclude(events, "ConnectionClosed")
  })

const refusals = (runtime: Runtime) =>
  Effect.gen(function*() {
    const { app, narrow, socket } = yield* listen(runtime)
    assert.strictEqual(yield* app("/other"), "app")
    const statuses = yield* Effect.forEach([
      answerOf(socket, {}),
      upgrade(socket, { origin: "https://elsewhere.example" }),
      upgrade(socket, { host: "elsewhere.example" }),
      upgrade(socket, { "sec-websocket-protocol": "graphql-ws" })
    ], Effect.map(({ status }) => status))
    assert.deepStrictEqual(statuses, [426, 403, 421, 400])
    yield* dialSilently(narrow)
    const { body, headers, status } = yield* upgrade(narrow)
    assert.deepStrictEqual([status, headers["retry-after"]], [429, "1"], body)
    const wrong = yield* refusalOf(socket, { headers: { authorization: "Bearer wrong" } })
    assert.include(wrong?.reason, { _tag: "HandshakeRefused", code: "UNAUTHENTICATED", description: "who are you?" })
    // Refused before they are read as a whole, or as what they are.
    assert.strictEqual(yield* closeOf(socket, "no hello"), 4100)
    assert.strictEqual(yield* closeOf(socket, "x".repeat(100_000)), 4100)
  })

const departures = (runtime: Runtime) =>
  Effect.gen(function*() {
    const { app, ended, output, socket } = yield* listen(runtime)
    const client = yield* dial(socket)
    const slow = textOf(client.fetch("/slow"))
    const answer = yield* Effect.forkChild(slow, { startImmediately: true })
    yield* untilAsync("the call has arrived", Effect.map(app("/waiting"), (count) => count === "1"))
    yield* app("/stop")
    // New clients are sent away while calls in progress go on.
    const { headers, status } = yield* upgrade(socket)
    assert.deepStrictEqual([status, headers["retry-after"]], [503, "1"])
    yield* app("/release")
    assert.strictEqual(yield* Fiber.join(answer), "done")
    if (runtime.ends) assert.strictEqual(yield* Effect.promise(() => ended), 0, output())
  })

describe.skipIf(!isInstalled && process.env["CI"] !== "true")("hubs in other runtimes", () => {
  beforeAll(async () => {
    assert.isTrue(isInstalled, `The runtimes are missing. To install them: ${installation}`)
    folder = await makeFolder()
    return () => Fs.rmSync(folder, { recursive: true, force: true })
  }, 60_000)

  for (const runtime of runtimes) {
    it.live(
      `${runtime.name}: bodies of 8 MiB arrive in both directions, also when the link is cut under one`,
      () => Effect.scoped(transfers(runtime)),
      90_000
    )

    it.live(
      `${runtime.name}: requests and clients are refused as on Node`,
      () => Effect.scoped(refusals(runtime)),
      90_000
    )

    it.live(
      `${runtime.name}: a hub that stops finishes calls, answers 503, and leaves nothing behind`,
      () => Effect.scoped(departures(runtime)),
      90_000
    )
  }
})
