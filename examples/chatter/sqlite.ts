/**
 * Messages that are still there when the process is not.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Migrator from "effect/sql/Migrator"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import * as SqlSchema from "effect/sql/SqlSchema"
import * as Libsql from "./libsql.ts"
import { make, Store } from "./store.ts"

const migrate = Migrator.make({})({
  loader: Migrator.fromRecord({
    "0001_messages": Effect.flatMap(SqlClient.SqlClient, (sql) =>
      sql`CREATE TABLE messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        length INTEGER NOT NULL,
        sent_at TEXT NOT NULL,
        message TEXT NOT NULL
      )`)
  })
})

const Message = Schema.Struct({
  // A text of SQLite ends at its first NUL, one of JSON does not.
  message: Schema.fromJsonString(Schema.String),
  length: Schema.Int,
  sent_at: Schema.String
})

const Row = Schema.Struct({ id: Schema.Int, ...Message.fields })

/** Of UTF-8, after which a page ends; so many messages end it too. */
const pageBytes = 64 * 1024
const pageLength = 100

const table = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* migrate
  const insert = SqlSchema.findOne({
    Request: Message,
    Result: Schema.Struct({ id: Schema.Int }),
    execute: (message) => sql`INSERT INTO messages ${sql.insert(message)} RETURNING id`
  })
  const after = SqlSchema.findAll({
    Request: Schema.Int,
    Result: Row,
    execute: (id) =>
      sql`SELECT id, message, length, sent_at FROM messages WHERE id > ${id} AND id <= (
        SELECT max(id) FROM (
          SELECT id, sum(length) OVER (ORDER BY id) - length AS before
          FROM messages WHERE id > ${id} ORDER BY id LIMIT ${pageLength}
        ) WHERE before < ${pageBytes}
      ) ORDER BY id`
  })
  const last = SqlSchema.findOne({
    Request: Schema.Void,
    Result: Schema.Struct({ id: Schema.Int }),
    execute: () => sql`SELECT ifnull(max(id), 0) AS id FROM messages`
  })
  // A database that fails is nothing that callers could do something about.
  return yield* make({
    insert: ({ length = 0, message, sent_at }) =>
      Effect.orDie(Effect.map(insert({ message, length, sent_at }), ({ id }) => id)),
    after: (id) => Effect.orDie(after(id)),
    last: Effect.orDie(Effect.map(last(), ({ id }) => id))
  })
})

/** Messages in a file. */
export const layer = (filename: string): Layer.Layer<Store, SqlError | Migrator.MigrationError> =>
  Layer.effect(Store, table).pipe(Layer.provide(Libsql.layer(filename)))
