/**
 * Runs the chatter service until Ctrl+C.
 *
 *     npx tsx examples/chatter/main.ts --port 8080 --database chatter.db
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { layer } from "./server.ts"
import * as Sqlite from "./sqlite.ts"
import { layerMemory } from "./store.ts"
import { layerUsage, runMain, Stopped } from "./terminal.ts"

const Port = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65535 }))

const chatter = Command.make(
  "chatter",
  {
    port: Flag.Int("port").pipe(
      Flag.withSchema(Port),
      Flag.withDescription("Port to listen on; 0 for any that is free (8080)"),
      Flag.withDefault(8080)
    ),
    host: Flag.String("host").pipe(
      Flag.withDescription("Address to listen on (127.0.0.1)"),
      Flag.withDefault("127.0.0.1")
    ),
    database: Flag.File("database").pipe(
      Flag.withDescription("SQLite file that keeps the messages; without one they are gone when the service ends"),
      Flag.optional
    )
  },
  Effect.fnUntraced(function*({ database, host, port }) {
    const store = Option.match(database, { onNone: () => layerMemory, onSome: Sqlite.layer })
    yield* layer({ port, host }).pipe(
      Layer.provide(store),
      Layer.build,
      Effect.mapError((error) => new Stopped({ reason: `chatter: ${reasonOf(error)}` })),
      Effect.flatMap((context) =>
        Effect.provideContext(
          HttpServer.addressFormattedWith((url) => Console.log(`chatter is listening on ${url}`)),
          context
        )
      )
    )
    yield* Effect.never
  }, Effect.scoped)
).pipe(
  Command.withDescription("Serves the chatter service until Ctrl+C."),
  Command.withExamples([{ command: "chatter --database chatter.db", description: "Keep the messages" }])
)

/** The innermost cause says what is wrong with the port or the file. */
const reasonOf = (error: Error): string => error.cause instanceof Error ? reasonOf(error.cause) : error.message

Command.run(chatter, { version: "0.1.0" }).pipe(Effect.provide([NodeServices.layer, layerUsage]), runMain)
