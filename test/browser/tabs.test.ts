/**
 * What becomes of the connection of a page while people use its browser: cuts, no network, hidden tabs, reloads, closed tabs, and
 * back and forth. The page is `tab.ts`.
 */
import { assert, it, layer } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import type * as Connection from "effect-swaggersocket/Connection"
import { listen, type ListenOptions, type Newcomer, Refusal } from "effect-swaggersocket/promise"
import * as FaultProxy from "effect-swaggersocket/testing/FaultProxy"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import * as Layer from "effect/Layer"
import { createHash } from "node:crypto"
import { keepEvents } from "../support/events.ts"
import { eventually, until } from "../support/waiting.ts"
import { type Browser, browsers, installation, versionOf } from "./browser.ts"
import { startHub } from "./hub.ts"
import { patternOf } from "./messages.ts"
import { control, type Remote } from "./remote.ts"

const make = (browser: Browser) =>
  Effect.gen(function*() {
    const { pages, url } = yield* startHub
    const proxy = yield* FaultProxy.make({ target: url })
    return { pages, proxy, remote: yield* control(browser) }
  })

class Fixture
  extends Context.Service<Fixture, Effect.Success<ReturnType<typeof make>>>()("test/browser/tabs/Fixture")
{}

const MiB = 1024 * 1024

/** Another hub than that of the page, until the test is over. */
const hubOf = <P>(options: ListenOptions<unknown, P>) =>
  Effect.acquireRelease(
    Effect.promise(() => listen(options)),
    (hub) => Effect.promise(() => hub.close({ drain: false }))
  )

/** A page in a tab of its own, through the proxy, and its connection on the hub; the tab is closed with the scope. */
const openPage = Effect.fnUntraced(function*(search: "" | "?patient" = "") {
  const { pages, proxy, remote } = yield* Fixture
  const events = yield* keepEvents(pages.events)
  const tab = yield* Effect.acquireRelease(
    Effect.promise(() => remote.openTab(`${proxy.url}/tab${search}`)),
    (tab) => Effect.promise(() => remote.closeTab(tab).catch(() => {}))
  )
  const run = (script: string) => Effect.promise(() => remote.run(tab, script))
  /** The connection of the page that the tab has now. */
  const find = Effect.gen(function*() {
    const pageId = yield* run("tab.pageId")
    return yield* pages.awaitConnection(({ metadata }) => (metadata as { pageId: number }).pageId === pageId)
  })
  const connection = yield* find
  /** What the hub was told of the first connection. */
  const told = () =>
    events.filter((event) => "connectionId" in event && event.connectionId === connection.id).map(({ _tag }) => _tag)
  /** A call of the hub that the page answers when it is told to. */
  const call = Effect.flatMap(ApiClient.make(connection).get("/slow"), ({ text }) => text)
  /** Until then scripts run in the page before, or in none. */
  const isLoaded = Effect.promise(async () => {
    while (!await remote.run(tab, "'tab' in globalThis").catch(() => false));
  })
  return { remote, proxy, tab, run, find, connection, told, call, isLoaded }
})

/** Another tab is shown in front. */
const hide = ({ proxy, remote }: { readonly remote: Remote; readonly proxy: FaultProxy.FaultProxy }) =>
  Effect.acquireRelease(
    Effect.promise(() => remote.openTab(`${proxy.url}/elsewhere`)),
    (tab) => Effect.promise(() => remote.closeTab(tab).catch(() => {}))
  )

/** That of the page's connection: the proxy carries pages as well. */
const linkOf = ({ proxy, run }: Effect.Success<ReturnType<typeof openPage>>) =>
  Effect.gen(function*() {
    const before = new Map(Array.from(proxy.links, (link) => [link, link.bytes("up")]))
    yield* run("tab.calls(1)")
    return proxy.links.find((link) => link.bytes("up") > (before.get(link) ?? Infinity))!
  })

const hashAt = (connection: Connection.Connection, bytes: Uint8Array<ArrayBuffer>) =>
  Effect.flatMap(ApiClient.make(connection).post("/hash", { body: HttpBody.uint8Array(bytes) }), ({ text }) => text)

for (const browser of browsers) {
  const version = versionOf(browser)
  if (version === undefined) {
    const missing = `${browser.command} is missing. To install it: ${installation(browser)}`
    if (process.env["CI"] !== "true") console.warn(missing)
    it.skipIf(process.env["CI"] !== "true")(`tabs of ${browser.name}`, () => assert.fail(missing))
    continue
  }
  layer(Layer.effect(Fixture, make(browser)), { excludeTestServices: true, timeout: "1 minute" })(
    `tabs of ${browser.name}`,
    (it) => {
      it.effect("1,000 calls of a page at once are answered, and 1,000 calls of the hub", () =>
        Effect.gen(function*() {
          const { connection, run } = yield* openPage()
          assert.strictEqual(yield* run("tab.calls(1000)"), 1000)
          const page = ApiClient.make(connection)
          const answers = yield* Effect.forEach(
            Array.from({ length: 1000 }, (_, i) => `call ${i}`),
            (text) =>
              Effect.flatMap(
                page.post("/echo", { body: HttpBody.text(text) }),
                (answer) => Effect.map(answer.text, (answer) => answer === text)
              ),
            { concurrency: "unbounded" }
          )
          assert.deepStrictEqual(
            answers.filter((isRight) => !isRight),
            []
          )
        }))

      it.effect("the console of a page that can't connect says within half a second what to check", () =>
        Effect.gen(function*() {
          const { run } = yield* openPage()
          const options = { host: "127.0.0.1", path: "/socket" } as const
          const authenticate = ({ metadata }: Newcomer<unknown>) => {
            if (metadata !== "right") throw new Refusal({ code: "UNAUTHENTICATED", reason: "unknown token" })
          }
          const guarded = yield* hubOf({ ...options, origins: () => true, authenticate })
          const strict = yield* hubOf(options)
          const elsewhere =
            /To do: check host, port, path and scheme \(ws: or wss:\), and that the server allows this origin/
          const mistakes: Record<string, readonly [url: string, advice: RegExp]> = {
            "a wrong port": ["ws://127.0.0.1:1/socket", elsewhere],
            "a wrong path": [`${guarded.url}s`, elsewhere],
            "a wrong scheme": [guarded.url.replace("ws:", "wss:"), elsewhere],
            "a wrong token": [
              guarded.url,
              /UNAUTHENTICATED: unknown token.* To do: check the credentials in headers or metadata/
            ],
            "an origin that is not allowed": [strict.url, elsewhere]
          }
          for (const [mistake, [url, advice]] of Object.entries(mistakes)) {
            const { error, lines } = yield* run(`tab.failingToConnect(${JSON.stringify(url)}, "wrong")`)
            assert.match(lines.join("\n"), advice, mistake)
            assert.include(lines.join("\n"), url, mistake)
            assert.match(error, /^SwaggerSocketError: /, mistake)
          }
          const { error } = yield* run(`tab.failingToConnect(${JSON.stringify(guarded.url)}, "right")`)
          assert.strictEqual(error, "none")
        }))

      it.effect("64 MiB arrive whole each way, while the link is cut", () =>
        Effect.gen(function*() {
          const { proxy } = yield* Fixture
          const { connection, run, told } = yield* openPage()
          const before = { up: proxy.bytes("up"), down: proxy.bytes("down") }
          for (const [direction, script] of [["up", "upload"], ["down", "download"]] as const) {
            const cuts = Effect.gen(function*() {
              for (const passed of [16, 40]) {
                yield* until(
                  `${passed} MiB ${direction}`,
                  () => proxy.bytes(direction) - before[direction] > passed * MiB
                )
                yield* proxy.cut()
              }
            })
            const [answer] = yield* Effect.all([run(`tab.${script}(${64 * MiB})`), cuts], { concurrency: 2 })
            assert.isTrue(answer, script)
          }
          const bytes = patternOf(16 * MiB)
          assert.strictEqual(yield* hashAt(connection, bytes), createHash("sha256").update(bytes).digest("hex"))
          assert.strictEqual(told().filter((tag) => tag === "ConnectionResumed").length, 4)
        }))

      it.effect("a client that waits while the network is gone comes back when the page is online, and calls go on", () =>
        Effect.gen(function*() {
          const { call, proxy, remote, run, tab, told } = yield* openPage("?patient")
          const calling = yield* Effect.forkChild(call, { startImmediately: true })
          yield* Effect.promise(() => remote.setOffline(tab, true))
          yield* proxy.refuse(true)
          yield* proxy.cut()
          yield* eventually(() => assert.include(told(), "ConnectionInterrupted"))
          yield* run("tab.statusIs('Waiting')")
          yield* proxy.refuse(false)
          yield* Effect.promise(() => remote.setOffline(tab, false))
          yield* eventually(() => assert.include(told(), "ConnectionResumed"))
          yield* run("tab.answer('at last')")
          assert.strictEqual(yield* Fiber.join(calling), "at last")
          assert.includeMembers(yield* run("tab.events"), ["offline", "online", "ConnectionResumed"])
        }))

      it.effect("a link that is dead is found out when the page is shown, and calls go on with the next one", () =>
        Effect.gen(function*() {
          const page = yield* openPage("?patient")
          const { call, remote, run, tab, told } = page
          const calling = yield* Effect.forkChild(call, { startImmediately: true })
          yield* hide(page)
          yield* run("tab.isHidden()")
          const link = yield* linkOf(page)
          link.strike({ _tag: "halfOpen" })
          yield* Effect.promise(() => remote.show(tab))
          // Long before a heartbeat would be missed.
          yield* eventually(() => assert.include(told(), "ConnectionResumed"))
          yield* run("tab.answer('at last')")
          assert.strictEqual(yield* Fiber.join(calling), "at last")
        }))

      it.effect("a page that is hidden is called, and calls", () =>
        Effect.gen(function*() {
          const page = yield* openPage()
          yield* hide(page)
          yield* page.run("tab.isHidden()")
          assert.isTrue(yield* page.run(`tab.upload(${4 * MiB})`))
          assert.strictEqual(yield* page.run("tab.calls(100)"), 100)
          assert.strictEqual(yield* hashAt(page.connection, new Uint8Array(0)), createHash("sha256").digest("hex"))
        }))

      it.effect("a page that is loaded again has another connection, and the hub knows at once that the first has ended", () =>
        Effect.gen(function*() {
          const { call, connection, find, isLoaded, remote, run, tab, told } = yield* openPage()
          const calling = yield* Effect.forkChild(Effect.exit(call), { startImmediately: true })
          yield* Effect.promise(() => remote.reload(tab))
          yield* eventually(() => assert.include(told(), "ConnectionClosed"))
          assert.isTrue(Exit.isFailure(yield* Fiber.join(calling)))
          yield* isLoaded
          const next = yield* find
          assert.notStrictEqual(next.id, connection.id)
          assert.strictEqual(yield* run("tab.calls(1)"), 1)
        }))

      it.effect("a tab that is closed ends its connection at once", () =>
        Effect.gen(function*() {
          const { call, connection, remote, tab, told } = yield* openPage()
          const calling = yield* Effect.forkChild(Effect.exit(call), { startImmediately: true })
          yield* Effect.promise(() => remote.closeTab(tab))
          assert.deepInclude(yield* connection.closed, { _tag: "Closed", initiator: "remote", code: 1001 })
          assert.isTrue(Exit.isFailure(yield* Fiber.join(calling)))
          yield* eventually(() => assert.deepStrictEqual(told(), ["ConnectionReceived", "ConnectionClosed"]))
        }))

      it.effect("a page that people come back to is restored with its connection, or loaded anew", () =>
        Effect.gen(function*() {
          const { call, connection, find, isLoaded, proxy, remote, run, tab, told } = yield* openPage("?patient")
          const calling = yield* Effect.forkChild(Effect.exit(call), { startImmediately: true })
          const pageId = yield* run("tab.pageId")
          yield* Effect.promise(() => remote.navigate(tab, `${proxy.url}/elsewhere`))
          const isKept = browser.name === "Chromium"
          yield* eventually(() => assert.strictEqual(told()[1], isKept ? "ConnectionInterrupted" : "ConnectionClosed"))
          yield* Effect.promise(() => remote.back(tab))
          yield* isLoaded
          const next = yield* find
          assert.strictEqual(next.id === connection.id, isKept)
          assert.strictEqual((yield* run("tab.pageId")) === pageId, isKept)
          yield* run("tab.answer('at last')")
          const exit = yield* Fiber.join(calling)
          assert.strictEqual(Exit.isSuccess(exit) ? exit.value : "lost", isKept ? "at last" : "lost")
        }))
    }
  )
}
