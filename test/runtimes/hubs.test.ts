/**
 * SwaggerSocket servers in the runtimes that have no `node:http`, or another way to serve: each program of `programs` in its
 * runtime, with the package as it is built.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { connect } from "effect-swaggersocket/promise"
import { failureOf, outcomeOf } from "effect-swaggersocket/SwaggerSocketError"
import * as FaultProxy from "effect-swaggersocket/testing/FaultProxy"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { createHash, randomBytes } from "node:crypto"
import * as Fs from "node:fs"
import * as WS from "ws"
import { answerOf, upgrade } from "../support/upgrade.ts"
import { until, within } from "../support/waiting.ts"
import { installation, isInstalled, makeFolder } from "./installed.ts"
import { durableObject, type Runtime, runtimes, start } from "./programs.ts"

if (!isInstalled) console.warn(`The runtimes are missing. To install them: ${installation}`)

const sha256 = (data: Uint8Array): string => createHash("sha256").update(data).digest("hex")

const token = { headers: { authorization: "Bearer open sesame" } }

let folder = ""

/** A program that listens. */
const startListening = Effect.fnUntraced(function*(runtime: Runtime) {
  const running = yield* start(folder, runtime)
  let hasEnded = false
  void running.ended.then(() => hasEnded = true)
  const port = () => /listening on (\d+)/.exec(running.output())?.[1]
  yield* until(`${runtime.name} listens`, () => hasEnded || port() !== undefined, 30_000)
  assert.isDefined(port(), running.output())
  return { ...running, host: `127.0.0.1:${port()}` }
})

/** They end behind all tests. */
const programs = Scope.makeUnsafe("parallel")

const started = new Map<string, Effect.Effect<Effect.Success<ReturnType<typeof startListening>>>>()

/** The program of a runtime, which its tests share. */
const listen = Effect.fnUntraced(function*(runtime: Runtime) {
  const key = [runtime.command, ...runtime.args].join(" ")
  const starting = started.get(key) ?? (yield* Effect.cached(Scope.provide(startListening(runtime), programs)))
  started.set(key, starting)
  const { host, ...running } = yield* starting
  const at = (path: string) => `${host}${path}${runtime.query ?? ""}`
  return {
    ...running,
    urlOf: (path: string) => `ws://${at(path)}`,
    app: (path: string) => Effect.promise(async () => (await fetch(`http://${at(path)}`)).text())
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
const answering = (size: number) => {
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
    const { size } = runtime
    const { output, urlOf } = yield* listen(runtime)
    const proxy = yield* FaultProxy.make({ target: urlOf("/socket") })
    const client = yield* dial(proxy.url)
    const { handler, hash } = answering(size)
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
    const { app, urlOf } = yield* listen(runtime)
    const [socket, narrow] = [urlOf("/socket"), urlOf("/narrow")]
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

const withoutEffect = (runtime: Runtime) =>
  Effect.gen(function*() {
    const { urlOf } = yield* listen(runtime)
    // Requests of wire v1 are small.
    for (const [wire, size] of [["v2", 300_000], ["v1", 300]] as const) {
      const client = yield* dial(urlOf("/hub"), { wire })
      const { handler } = answering(0)
      client.serve(handler)
      const body = randomBytes(size)
      assert.strictEqual(yield* textOf(client.fetch("/", { method: "POST", body })), sha256(body), wire)
    }
  })

const departures = (runtime: Runtime) =>
  Effect.gen(function*() {
    const { app, ended, output, urlOf } = yield* listen(runtime)
    const socket = urlOf("/socket")
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
    return async () => {
      await Effect.runPromise(Scope.close(programs, Exit.void))
      Fs.rmSync(folder, { recursive: true, force: true })
    }
  }, 60_000)

  for (const runtime of runtimes) {
    const claim = (title: string, run: (runtime: Runtime) => Effect.Effect<void, unknown, Scope.Scope>) =>
      it.live(`${runtime.name}: ${title}`, () => Effect.scoped(run(runtime)), 90_000)

    claim("bodies arrive in both directions, also when the link is cut under one", transfers)
    claim("a hub without Effect calls its client back, on either wire", withoutEffect)
    claim("requests and clients are refused as on Node", refusals)
    // The last one: it ends the program.
    claim("a hub that stops finishes calls, answers 503, and leaves nothing behind", departures)
  }

  it.live(
    "a Durable Object that is gone: its calls are unknown, and its clients get fresh connections",
    () =>
      Effect.scoped(Effect.gen(function*() {
        const { app, urlOf } = yield* listen({ ...durableObject, query: "?object=gone" })
        const client = yield* dial(urlOf("/socket"))
        const ids: Array<string> = []
        client.on("event", (event) => {
          if (event._tag === "ConnectionReceived") ids.push(event.connectionId)
        })
        const lost = client.fetch("/slow", { method: "POST" }).then(() => "an answer", outcomeOf)
        yield* untilAsync("the call has arrived", Effect.map(app("/waiting"), (count) => count !== "0"))
        yield* app("/abort")
        assert.strictEqual(yield* Effect.promise(() => lost), "unknown")
        const who = yield* jsonOf<{ principal: string }>(client.fetch("/whoami"))
        assert.strictEqual(who.principal, "a friend")
        yield* until("a fresh connection", () => new Set(ids).size === 2)
      })),
    90_000
  )

  it.live("Durable Objects of one process do not get in each other's way", () =>
    Effect.scoped(Effect.gen(function*() {
      const clients = yield* Effect.forEach(["one", "two", "three", "one", "two", "three"], (object) =>
        Effect.flatMap(
          listen({ ...durableObject, query: `?object=${object}` }),
          ({ urlOf }) => dial(urlOf("/socket"))
        ), { concurrency: "unbounded" })
      const events: Array<string> = []
      for (const client of clients) client.on("event", ({ _tag }) => events.push(_tag))
      for (const client of clients) client.serve(async (request) => new Response(await request.arrayBuffer()))
      const body = randomBytes(200_000)
      const echo = (client: (typeof clients)[number]) =>
        Effect.promise(async () => {
          const answer = await client.fetch("/echo", { method: "POST", body, signal: AbortSignal.timeout(20_000) })
          return sha256(new Uint8Array(await answer.arrayBuffer()))
        })
      yield* Effect.forEach(clients, (client) =>
        Effect.forEach(Array.from({ length: 40 }), () =>
          Effect.map(echo(client), (hash) =>
            assert.strictEqual(hash, sha256(body)))), { concurrency: "unbounded" })
      assert.deepStrictEqual(
        events,
        clients.map(() =>
          "ConnectionReceived"
        )
      )
    })), 90_000)
})
