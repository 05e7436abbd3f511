/**
 * What is promised of the messages that were sent, in memory and in a file.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as SqlClient from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import Database from "libsql"
import * as Libsql from "../../../examples/chatter/libsql.ts"
import * as Sqlite from "../../../examples/chatter/sqlite.ts"
import { layerMemory, make, Store, type Table } from "../../../examples/chatter/store.ts"
import { newDatabase } from "./programs.ts"

const texts = (stream: Stream.Stream<{ readonly message: string }>) =>
  Effect.map(Stream.runCollect(stream), (messages) => messages.map(({ message }) => message))

const stores = { "in memory": () => layerMemory, "in a file": () => Sqlite.layer(newDatabase()) }

for (const [name, layer] of Object.entries(stores)) {
  describe(`messages ${name}`, () => {
    const run = <A, E>(effect: Effect.Effect<A, E, Store>) => Effect.suspend(() => Effect.provide(effect, layer()))

    it.live("messages of any text are returned unchanged", () =>
      run(Effect.gen(function*() {
        const store = yield* Store
        const messages = ["", "a\0b", "\ud800", "héllo ✓ 😀\r\n", "'; DROP TABLE messages; --", "x".repeat(200_000)]
        for (const message of messages) yield* store.add(message)
        assert.deepStrictEqual(yield* texts(store.history), messages)
      })))

    it.live("many writers lose no message, and a subscriber gets each once and in the order of history", () =>
      run(Effect.gen(function*() {
        const store = yield* Store
        const told = yield* Effect.forkChild(texts(Stream.take(yield* store.added, 1000)), { startImmediately: true })
        yield* Effect.forEach(
          Array.from({ length: 20 }, (_, writer) => writer),
          (writer) =>
            Effect.forEach(
              Array.from({ length: 50 }, (_, index) => index),
              (index) => Effect.andThen(Effect.yieldNow, store.add(`${writer}: ${index}`))
            ),
          { concurrency: "unbounded" }
        )
        const history = yield* texts(store.history)
        assert.lengthOf(new Set(history), 1000)
        assert.deepStrictEqual(yield* Fiber.join(told), history)
      })))

    it.live("the history ends with the messages that were there when it was requested", () =>
      run(Effect.gen(function*() {
        const store = yield* Store
        for (let message = 0; message < 250; message++) yield* store.add(`${message}`)
        const seen = yield* store.history.pipe(
          Stream.tap(() => store.add("later")),
          texts
        )
        assert.deepStrictEqual(seen, Array.from({ length: 250 }, (_, message) => `${message}`))
      })))

    it.live("a slow subscriber gets every message since it subscribed", () =>
      run(Effect.gen(function*() {
        const store = yield* Store
        const first = yield* Deferred.make<void>()
        const later = yield* Deferred.make<void>()
        const told = yield* (yield* store.added).pipe(
          Stream.tap(() => Effect.andThen(Deferred.succeed(first, undefined), Deferred.await(later))),
          Stream.take(301),
          texts,
          (effect) => Effect.forkChild(effect, { startImmediately: true })
        )
        yield* store.add("first")
        yield* Deferred.await(first)
        const messages = Array.from({ length: 300 }, (_, message) => `${message}`)
        for (const message of messages) yield* store.add(message)
        yield* Deferred.succeed(later, undefined)
        assert.deepStrictEqual(yield* Fiber.join(told), ["first", ...messages])
      })))
  })
}

it.effect("a slow writer does not hide the messages that others wrote meanwhile", () =>
  Effect.gen(function*() {
    const rows: Array<Effect.Success<ReturnType<Table["after"]>>[number]> = []
    const slow = yield* Deferred.make<void>()
    const store = yield* make({
      insert: (message) =>
        Effect.suspend(() => {
          const id = rows.push({ ...message, id: rows.length + 1 })
          return id === 1 ? Effect.as(Deferred.await(slow), id) : Effect.succeed(id)
        }),
      after: (id) => Effect.sync(() => rows.slice(id)),
      last: Effect.succeed(0)
    })
    const first = yield* Effect.forkChild(store.add("first"), { startImmediately: true })
    yield* store.add("second")
    yield* Deferred.succeed(slow, undefined)
    yield* Fiber.join(first)
    assert.deepStrictEqual(yield* texts(store.history), ["first", "second"])
  }))

describe("SQLite driver", () => {
  it.live("a transaction that fails changes nothing, and the database can still be used", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE TABLE numbers (n INTEGER UNIQUE)`
      const fails = sql.withTransaction(Effect.andThen(
        sql`INSERT INTO numbers ${sql.insert([{ n: 1 }, { n: 2 }])}`,
        sql`INSERT INTO numbers ${sql.insert({ n: 1 })}`
      ))
      const error = yield* Effect.flip(fails)
      assert.strictEqual(error.reason._tag, "UniqueViolation")
      assert.deepStrictEqual(yield* sql`SELECT n FROM numbers`, [])
      yield* sql.withTransaction(sql`INSERT INTO numbers ${sql.insert({ n: 3 })}`)
      assert.deepStrictEqual(yield* sql`SELECT n FROM numbers`, [{ n: 3 }])
      assert.deepStrictEqual(yield* sql`SELECT n, n + 1 FROM numbers`.values, [[3, 4]])
    }).pipe(Effect.provide(Layer.suspend(() => Libsql.layer(newDatabase())))))

  it.live("a write waits for the lock of another process without blocking, and succeeds when the lock is released", () =>
    Effect.gen(function*() {
      const database = newDatabase()
      const context = yield* Layer.build(Sqlite.layer(database))
      const store = Context.get(context, Store)
      yield* store.add("one")
      const other = new Database(database)
      other.exec("BEGIN IMMEDIATE")
      const added = yield* Effect.forkChild(store.add("two"), { startImmediately: true })
      // A statement that waited for the file within itself would have kept the process until it gave up.
      yield* Effect.sleep("20 millis")
      assert.isUndefined(added.pollUnsafe())
      other.exec("COMMIT")
      other.close()
      yield* Fiber.join(added)
      assert.deepStrictEqual(yield* texts(store.history), ["one", "two"])
    }))

  it.effect("a write fails after 5 seconds if the file stays locked", () =>
    Effect.gen(function*() {
      const database = newDatabase()
      const context = yield* Layer.build(Libsql.layer(database))
      const sql = Context.get(context, SqlClient.SqlClient)
      yield* sql`CREATE TABLE numbers (n INTEGER)`
      const other = new Database(database)
      other.exec("BEGIN IMMEDIATE")
      const write = yield* Effect.forkChild(Effect.flip(sql`INSERT INTO numbers VALUES (1)`), {
        startImmediately: true
      })
      yield* TestClock.adjust("4900 millis")
      assert.isUndefined(write.pollUnsafe())
      yield* TestClock.adjust("200 millis")
      assert.strictEqual((yield* Fiber.join(write)).reason._tag, "LockTimeoutError")
      other.close()
    }))

  it.live("two clients of one file see what the other has committed", () =>
    Effect.gen(function*() {
      const database = newDatabase()
      const add = (message: string) => Effect.flatMap(Store, (store) => store.add(message))
      const context = yield* Layer.build(Sqlite.layer(database))
      yield* Effect.provideContext(add("one"), context)
      yield* Effect.provide(add("two"), Sqlite.layer(database))
      yield* Effect.provideContext(add("three"), context)
      const history = Effect.flatMap(Store, (store) => texts(store.history))
      assert.deepStrictEqual(yield* Effect.provideContext(history, context), ["one", "two", "three"])
    }))
})
