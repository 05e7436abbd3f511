/**
 * Tabs that share the connection of their shared worker, in real browsers: `sharedTab.ts` and `sharedWorkerScript.ts`.
 */
import { assert, it, layer } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import type * as Connection from "effect-swaggersocket/Connection"
import * as FaultProxy from "effect-swaggersocket/testing/FaultProxy"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { eventually, settled, until } from "../support/waiting.ts"
import { type Browser, browsers, installation, versionOf } from "./browser.ts"
import { startHub } from "./hub.ts"
import { control } from "./remote.ts"

const make = (browser: Browser) =>
  Effect.gen(function*() {
    const { pages, url } = yield* startHub
    const proxy = yield* FaultProxy.make({ target: url })
    return { pages, proxy, remote: yield* control(browser) }
  })

class Fixture
  extends Context.Service<Fixture, Effect.Success<ReturnType<typeof make>>>()("test/browser/sharedWorker/Fixture")
{}

const MiB = 1024 * 1024

/** A tab, which is closed with the scope. */
const openTab = Effect.fnUntraced(function*(name: string) {
  const { proxy, remote } = yield* Fixture
  const tab = yield* Effect.acquireRelease(
    Effect.promise(() => remote.openTab(`${proxy.url}/sharedTab?${name}`)),
    (tab) => Effect.promise(() => remote.closeTab(tab).catch(() => {}))
  )
  return {
    run: (script: string) => Effect.promise(() => remote.run(tab, script)),
    close: Effect.promise(() => remote.closeTab(tab)),
    crash: Effect.promise(() => remote.crash(tab))
  }
})

const openTabs = Effect.forEach(["1", "2", "3"], openTab)

const kindOf = ({ metadata }: Connection.Connection) => (metadata as { kind: string }).kind

/** That of the worker. */
const connection = Effect.gen(function*() {
  const { pages } = yield* Fixture
  return yield* pages.awaitConnection((connection) => kindOf(connection) === "shared")
})

const ask = (path: string) =>
  Effect.gen(function*() {
    const answer = yield* ApiClient.make(yield* connection).get(path)
    return yield* answer.text
  })

/** Lasts until the hub handles so many calls of a worker, be it there or gone. */
const untilCalls = (worker: Connection.Connection, count: number) =>
  eventually(() => assert.strictEqual(Effect.runSync(worker.active).remote, count))

/** Lasts until the worker has these tabs. */
const untilTabs = Effect.fnUntraced(function*(names: ReadonlyArray<string>) {
  let tabs: Array<string>
  do tabs = JSON.parse(yield* ask("/tabs"))
  while (JSON.stringify(tabs.sort()) !== JSON.stringify(names))
})

for (const browser of browsers) {
  const version = versionOf(browser)
  if (version === undefined) {
    const missing = `${browser.command} is missing. To install it: ${installation(browser)}`
    if (process.env["CI"] !== "true") console.warn(missing)
    it.skipIf(process.env["CI"] !== "true")(`a shared worker of ${browser.name}`, () => assert.fail(missing))
    continue
  }
  layer(Layer.effect(Fixture, make(browser)), { excludeTestServices: true, timeout: "1 minute" })(
    `a shared worker of ${browser.name}`,
    (it) => {
      it.effect("three tabs have one connection; the hub calls the worker, and that a tab", () =>
        Effect.gen(function*() {
          const { pages } = yield* Fixture
          const tabs = yield* openTabs
          const right = yield* Effect.forEach(tabs, ({ run }) => run("tab.calls(300)"), { concurrency: 3 })
          assert.deepStrictEqual(right, [300, 300, 300])
          assert.deepStrictEqual((yield* pages.connections).map(kindOf), ["shared"])
          assert.strictEqual(yield* ask("/tabs/2"), "tab 2")
          yield* untilTabs(["1", "2", "3"])
        }))

      it.effect("the calls of a tab that is closed are interrupted on the hub, and those of others go on", () =>
        Effect.gen(function*() {
          const [first, second, third] = yield* openTabs
          assert.strictEqual(yield* first!.run("tab.begin()"), "begun")
          assert.strictEqual(yield* second!.run("tab.begin()"), "begun")
          const worker = yield* connection
          yield* untilCalls(worker, 2)
          yield* first!.close
          yield* untilCalls(worker, 1)
          yield* untilTabs(["2", "3"])
          assert.strictEqual(yield* third!.run("tab.calls(100)"), 100)
          yield* second!.close
          yield* untilCalls(worker, 0)
          yield* untilTabs(["3"])
        }))

      if (browser.name === "Chromium") {
        it.effect("the calls of a tab whose process dies are interrupted on the hub", () =>
          Effect.gen(function*() {
            const first = yield* openTab("1")
            const second = yield* openTab("2")
            assert.strictEqual(yield* first.run("tab.begin()"), "begun")
            // Chromium may run it in the same process, which dies with it.
            const worker = yield* connection
            yield* untilCalls(worker, 1)
            yield* first.crash
            yield* untilCalls(worker, 0)
            yield* untilTabs(["2"])
            assert.strictEqual(yield* second.run("tab.calls(100)"), 100)
          }))
      }

      it.effect("16 MiB arrive whole each way, while the link of the worker is cut", () =>
        Effect.gen(function*() {
          const { proxy } = yield* Fixture
          const { run } = yield* openTab("1")
          for (const [direction, script] of [["up", "upload"], ["down", "download"]] as const) {
            const before = proxy.bytes(direction)
            const cut = Effect.andThen(
              until(`4 MiB ${direction}`, () => proxy.bytes(direction) - before > 4 * MiB),
              proxy.cut()
            )
            const [answer] = yield* Effect.all([run(`tab.${script}(${16 * MiB})`), cut], { concurrency: 2 })
            assert.isTrue(answer, script)
          }
        }))

      it.effect("a tab that does not read what it has asked for holds up nobody, and nothing is kept for it", () =>
        Effect.gen(function*() {
          const { proxy } = yield* Fixture
          const slow = yield* openTab("1")
          const other = yield* openTab("2")
          const before = proxy.bytes("down")
          assert.strictEqual(yield* slow.run(`tab.ask(${64 * MiB})`), 200)
          assert.strictEqual(yield* other.run("tab.calls(100)"), 100)
          const sent = (yield* settled("what is sent", () => proxy.bytes("down"))) - before
          assert.isBelow(sent, 2 * MiB)
        }))

      it.effect("tabs go on with another worker when theirs has ended", () =>
        Effect.gen(function*() {
          const { pages } = yield* Fixture
          const tabs = yield* openTabs
          yield* Effect.forEach(tabs, ({ run }) => run("tab.calls(1)"))
          const before = yield* connection
          yield* Effect.forkScoped(ApiClient.make(before).post("/end"), { startImmediately: true })
          yield* pages.awaitConnection(({ id }) => id !== before.id)
          const right = yield* Effect.forEach(tabs, ({ run }) => run("tab.calls(10)"), { concurrency: 3 })
          assert.deepStrictEqual(right, [10, 10, 10])
        }))

      it.effect("a page says why its worker does not start", () =>
        Effect.gen(function*() {
          const { run } = yield* openTab("missing")
          assert.match(yield* run("tab.failure()"), /the shared worker has failed/)
        }))

      it.effect("where there are no shared workers a tab has a connection of its own", () =>
        Effect.gen(function*() {
          const { pages } = yield* Fixture
          const { run } = yield* openTab("alone")
          assert.strictEqual(yield* run("tab.calls(10)"), 10)
          const [alone] = yield* pages.filter((connection) => kindOf(connection) === "alone")
          assert.isDefined(alone)
        }))
    }
  )
}
