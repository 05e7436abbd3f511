/**
 * Effect's `SqlClient` over `libsql`, a build of SQLite that needs neither a compiler nor a newer Node.
 */
import * as Cache from "effect/Cache"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as Schedule from "effect/Schedule"
import * as Semaphore from "effect/Semaphore"
import * as SqlClient from "effect/sql/SqlClient"
import type { Connection } from "effect/sql/SqlConnection"
import { classifySqliteError, SqlError } from "effect/sql/SqlError"
import * as Statement from "effect/sql/Statement"
import * as Stream from "effect/Stream"
import Database from "libsql"

const attempt = <A>(operation: string, body: () => A): Effect.Effect<A, SqlError> =>
  Effect.try({
    try: body,
    catch: (cause) =>
      new SqlError({
        reason: classifySqliteError(cause, { message: cause instanceof Error ? cause.message : undefined, operation })
      })
  })

/**
 * What can't be done because another process has the file is tried again. SQLite would wait itself, and everything else in this
 * process with it.
 */
const whenFree = <A>(effect: Effect.Effect<A, SqlError>): Effect.Effect<A, SqlError> =>
  Effect.retry(effect, {
    while: ({ reason }) => reason._tag === "LockTimeoutError",
    schedule: Schedule.upTo(Schedule.spaced("20 millis"), { duration: "5 seconds" })
  })

const make = Effect.fnUntraced(function*(filename: string) {
  const database = yield* Effect.acquireRelease(
    attempt("open", () => new Database(filename)),
    (database) => Effect.sync(() => database.close())
  )
  yield* whenFree(attempt("open", () => {
    database.exec("PRAGMA busy_timeout = 0")
    // Readers and the writer don't wait for each other, nor writers for the disk: what is committed survives the end of
    // the process however it comes, though the last of it not a failure of power.
    database.exec("PRAGMA journal_mode = WAL")
    database.exec("PRAGMA synchronous = NORMAL")
  }))

  const statements = yield* Cache.make({
    capacity: 100,
    lookup: (sql: string) => attempt("prepare", () => database.prepare(sql))
  })
  const execute = (sql: string, params: ReadonlyArray<unknown>) =>
    Effect.flatMap(
      Cache.get(statements, sql),
      (statement) => whenFree(attempt("execute", (): ReadonlyArray<any> => statement.all([...params])))
    )
  const executeUnprepared = (sql: string, params: ReadonlyArray<unknown>) =>
    whenFree(attempt("execute", (): ReadonlyArray<any> => database.prepare(sql).all([...params])))
  const toValues = Effect.map((rows: ReadonlyArray<any>) =>
    rows.map((row): ReadonlyArray<unknown> => Object.values(row))
  )
  const connection: Connection = {
    execute: (sql, params, transform) =>
      transform === undefined ? execute(sql, params) : Effect.map(execute(sql, params), transform),
    executeRaw: execute,
    executeValues: (sql, params) => toValues(execute(sql, params)),
    executeValuesUnprepared: (sql, params) => toValues(executeUnprepared(sql, params)),
    executeUnprepared: (sql, params, transform) =>
      transform === undefined ? executeUnprepared(sql, params) : Effect.map(executeUnprepared(sql, params), transform),
    executeStream: () => Stream.die(new Error("libsql gives its rows at once: read pages"))
  }

  return yield* SqlClient.make({
    ...SqlClient.makeSqliteAcquirers({
      connection: Effect.succeed(connection),
      semaphore: yield* Semaphore.make(1),
      isTransaction: () => database.inTransaction
    }),
    compiler: Statement.makeCompilerSqlite(),
    driver: "libsql",
    spanAttributes: [["db.system.name", "sqlite"]]
  })
})

/** A database in a file, which is made if there is none. */
export const layer = (filename: string): Layer.Layer<SqlClient.SqlClient, SqlError> =>
  Layer.effect(SqlClient.SqlClient, make(filename)).pipe(Layer.provide(Reactivity.layer))
