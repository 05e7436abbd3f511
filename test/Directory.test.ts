/**
 * Which nodes there are: leases that readers time themselves, and engines that die.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Directory from "effect-swaggersocket/Directory"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"

/** An engine of this process that can be killed. What is watched of it while it is dead hangs, as behind a cable that is cut. */
class Engine {
  isDead = false
  puts = 0
  readonly records = new Map<string, Directory.Node>()
  readonly #watchers = new Set<Queue.Queue<Directory.Change>>()

  #tell(change: Directory.Change): void {
    for (const watcher of this.#watchers) Queue.offerUnsafe(watcher, change)
  }

  /** A process that was killed: its record stays, and nobody renews it. */
  leave(node: Directory.Node): void {
    this.records.set(node.instance, node)
    this.#tell({ _tag: "Put", node })
  }

  get layer(): Layer.Layer<Directory.Directory> {
    return Layer.fresh(Directory.layer(Effect.succeed<Directory.Engine>({
      put: (node) =>
        Effect.suspend(() => {
          if (this.isDead) return Effect.fail("dead")
          this.puts++
          this.leave(node)
          return Effect.void
        }),
      remove: (instance) =>
        Effect.sync(() => {
          this.records.delete(instance)
          this.#tell({ _tag: "Removed", instance })
        }),
      watch: Stream.unwrap(Effect.gen({ self: this }, function*() {
        const queue = yield* Queue.unbounded<Directory.Change>()
        this.#watchers.add(queue)
        for (const node of this.records.values()) Queue.offerUnsafe(queue, { _tag: "Put", node })
        return Stream.fromQueue(queue)
      }))
    })))
  }
}

/** The names that a reader knows, kept up to date. */
const watched = Effect.fnUntraced(function*(directory: Directory.Directory["Service"]) {
  const seen = { names: "", states: "" }
  yield* Effect.forkScoped(Stream.runForEach(directory.nodes, (nodes) =>
    Effect.sync(() => {
      seen.names = nodes.map(({ name }) => name).sort().join(" ")
      seen.states = nodes.map(({ state }) => state).sort().join(" ")
    })))
  return seen
})

const build = (layer: Layer.Layer<Directory.Directory>) =>
  Effect.map(Layer.build(layer), (context) => Effect.provide(Directory.Directory, context)).pipe(Effect.flatten)

const at = (name: string) => ({ name, url: `ws://${name}/nodes` })

describe("a directory on an engine", () => {
  it.effect("tells of nodes that join, drain and leave", () =>
    Effect.gen(function*() {
      const engine = new Engine()
      const seen = yield* watched(yield* build(engine.layer))
      const scope = yield* Scope.make()
      const { drain } = yield* Scope.provide((yield* build(engine.layer)).join(at("a")), scope)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(seen.names, "a")
      yield* drain
      yield* TestClock.adjust("1 second")
      assert.strictEqual(seen.states, "draining")
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(seen.names, "")
    }))

  it.effect("a node that renews its lease stays, and one that was killed is gone 15 to 20 seconds later", () =>
    Effect.gen(function*() {
      const engine = new Engine()
      const directory = yield* build(engine.layer)
      const seen = yield* watched(directory)
      yield* directory.join(at("a"))
      yield* TestClock.adjust("1 second")
      engine.leave({ instance: "1", state: "up", ...at("killed") })
      yield* TestClock.adjust("13 seconds")
      assert.strictEqual(seen.names, "a killed")
      yield* TestClock.adjust("7 seconds")
      assert.strictEqual(seen.names, "a")
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(seen.names, "a")
      assert.isAtLeast(engine.puts, 120)
    }))

  it.effect("a dead engine freezes what is known, however long it is dead, and nobody is lost when it is back", () =>
    Effect.gen(function*() {
      const engine = new Engine()
      const [one, other] = [yield* build(engine.layer), yield* build(engine.layer)]
      const seen = yield* watched(one)
      yield* one.join(at("a"))
      yield* other.join(at("b"))
      yield* TestClock.adjust("12 seconds")
      engine.isDead = true
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(seen.names, "a b")
      engine.isDead = false
      const names: Array<string> = []
      for (let second = 0; second < 30; second++) {
        yield* TestClock.adjust("1 second")
        names.push(seen.names)
      }
      assert.deepStrictEqual([...new Set(names)], ["a b"])
    }))

  it.effect("a record that is told of again, by a watch that was begun again, renews nothing", () =>
    Effect.gen(function*() {
      const puts = yield* Queue.unbounded<Directory.Change>()
      const seen = yield* watched(
        yield* build(Directory.layer(Effect.succeed<Directory.Engine>({
          put: () => Effect.void,
          remove: () => Effect.void,
          watch: Stream.fromQueue(puts)
        })))
      )
      const put = (name: string, version: number) =>
        Queue.offerUnsafe(puts, {
          _tag: "Put",
          node: { instance: name, state: "up", ...at(name) },
          version
        })
      put("killed", 1)
      for (let version = 2; version <= 5; version++) {
        put("a", version)
        put("killed", 1)
        yield* TestClock.adjust("5 seconds")
      }
      assert.strictEqual(seen.names, "a")
    }))

  it.effect("a node that starts while the engine is dead joins when it is back", () =>
    Effect.gen(function*() {
      const engine = new Engine()
      engine.isDead = true
      const directory = yield* build(engine.layer)
      const seen = yield* watched(directory)
      yield* directory.join(at("a"))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(seen.names, "")
      engine.isDead = false
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(seen.names, "a")
    }))

  it.effect("a watch that fails, or ends, is begun again", () =>
    Effect.gen(function*() {
      let watches = 0
      const ended = yield* Deferred.make<void>()
      const node: Directory.Node = { instance: "1", state: "up", ...at("a") }
      const seen = yield* watched(
        yield* build(Directory.layer(Effect.succeed<Directory.Engine>({
          put: () => Effect.void,
          remove: () => Effect.void,
          watch: Stream.suspend(() => {
            watches++
            if (watches === 1) return Stream.fail("no route")
            if (watches === 2) return Stream.fromEffectDrain(Deferred.await(ended))
            return Stream.concat(Stream.succeed<Directory.Change>({ _tag: "Put", node }), Stream.never)
          })
        })))
      )
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(watches, 2)
      yield* Deferred.succeed(ended, undefined)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(watches, 3)
      assert.strictEqual(seen.names, "a")
    }))

  it.effect("a write that hangs is given up after 5 seconds, and tried again", () =>
    Effect.gen(function*() {
      let puts = 0
      const directory = yield* build(Directory.layer(Effect.succeed<Directory.Engine>({
        put: () =>
          Effect.suspend(() => {
            puts++
            return Effect.never
          }),
        remove: () => Effect.void,
        watch: Stream.never
      })))
      yield* directory.join(at("a"))
      yield* TestClock.adjust("1 minute")
      // 5 seconds, and one until the next time.
      assert.strictEqual(puts, 11)
    }))
})

describe("a directory in memory", () => {
  it.effect("has a node for as long as its scope", () =>
    Effect.gen(function*() {
      const directory = yield* build(Directory.layerMemory)
      const seen = yield* watched(directory)
      const scope = yield* Scope.make()
      const { drain, node } = yield* Scope.provide(directory.join(at("a")), scope)
      yield* directory.join(at("a"))
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(seen.names, "a a")
      assert.isNotEmpty(node.instance)
      yield* drain
      yield* TestClock.adjust("1 milli")
      assert.strictEqual(seen.states, "draining up")
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("1 milli")
      assert.strictEqual(seen.names, "a")
    }))
})

describe("a directory that is a list", () => {
  it.effect("has the nodes of the list, joined or not, and each node joins by its name", () =>
    Effect.gen(function*() {
      const directory = yield* build(Directory.layerStatic([at("a"), at("b")]))
      const seen = yield* watched(directory)
      const { drain, node } = yield* directory.join(at("a"))
      yield* drain
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(seen.names, "a b")
      assert.deepStrictEqual(node, { instance: "a", state: "up", ...at("a") })
    }))

  it.effect("a node that is not in the list, or there with another URL, is told so", () =>
    Effect.gen(function*() {
      const directory = yield* build(Directory.layerStatic([at("a"), at("b")]))
      const faultOf = (node: { readonly name: string; readonly url: string }) =>
        Effect.map(
          Effect.exit(directory.join(node)),
          (exit) => String(Exit.isFailure(exit) && Cause.squash(exit.cause))
        )
      assert.include(yield* faultOf(at("c")), "the list has no node c, it has a, b")
      assert.include(yield* faultOf({ name: "a", url: "ws://elsewhere/" }), "the list says ws://a/nodes")
    }))

  it("a name that stands twice is a RangeError", () => {
    assert.throws(() => Directory.layerStatic([at("a"), at("a")]), RangeError, "same name")
  })
})
