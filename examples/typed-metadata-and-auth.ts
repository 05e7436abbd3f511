/**
 * Who is calling: typed metadata, authentication that gives a principal, refusals, and a token renewed per attempt.
 *
 *     npx tsx examples/typed-metadata-and-auth.ts
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Handshake from "effect-swaggersocket/Handshake"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"

/** What a machine says of itself. A client whose metadata does not fit is refused, and told which field is wrong. */
class Machine extends Schema.Class<Machine>("Machine")({ name: Schema.NonEmptyString, since: Schema.Date }) {}

/** What the server knows once it has authenticated a client. */
interface Owner {
  readonly company: string
}

class Machines extends SwaggerSocketServer.Service<Machines, Owner>()("Machines", { metadata: Machine }) {}

const Server = HttpRouter.serve(
  Machines.layer({
    path: "/socket",
    authenticate: ({ headers }) => {
      if (headers.authorization === "Bearer fresh") return Effect.succeed({ company: "Acme" })
      const expired = headers.authorization === "Bearer stale"
      const reason = expired ? "the token has expired" : "a token is needed"
      // `retry` tells the client whether the next attempt may succeed.
      return Effect.fail(new Handshake.Refusal({ code: "UNAUTHENTICATED", reason, retry: expired }))
    }
  }),
  { disableLogger: true, disableListenLog: true }
).pipe(Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" })))

const url = HttpServer.addressFormattedWith((http) => Effect.succeed(`${http.replace("http", "ws")}/socket`))

/** Connects, or says why not. */
const attempt = Effect.fnUntraced(
  function*<M>(title: string, options: Omit<SwaggerSocketClient.Options<M, never>, "url">) {
    const client = yield* SwaggerSocketClient.make({ ...options, url })
    const outcome = yield* client.connection.pipe(
      Effect.as("connected"),
      Effect.catchReason(
        "SwaggerSocketError",
        "HandshakeRefused",
        ({ code, description, path }) => Effect.succeed(`${code} (${[...path ?? [], description].join(": ")})`)
      )
    )
    yield* Console.log(`${title}: ${outcome}`)
  },
  Effect.provide(NodeSwaggerSocket.layerWebSocketConstructor)
)

const program = Effect.gen(function*() {
  const machines = yield* Machines
  const metadata = { name: "press-1", since: "2026-02-01T08:00:00.000Z" }

  yield* attempt("no token", { metadata })
  yield* attempt("no name", { metadata: { ...metadata, name: 7 }, headers: { authorization: "Bearer fresh" } })

  // `url`, `headers` and `metadata` may be effects. They run for each attempt: the place to renew a token.
  const tokens = ["stale", "fresh"]
  const headers = Effect.gen(function*() {
    const token = tokens.shift() ?? "fresh"
    yield* Console.log(`  … dialling with a ${token} token`)
    return { authorization: `Bearer ${token}` }
  })
  const typed = new Machine({ name: "press-1", since: new Date("2026-02-01T08:00:00Z") })
  yield* attempt("a token that expired", { schema: Machine, metadata: typed, headers })

  const press = yield* machines.awaitConnection()
  const { metadata: { name, since }, principal } = press
  yield* Console.log(`${name} of ${principal.company} has been running since ${since.toDateString()}`)
})

program.pipe(
  Effect.scoped,
  Effect.provide(Server),
  Effect.provide(Reconnection.layer({ schedule: Reconnection.fullJitter({ base: "100 millis" }) })),
  NodeRuntime.runMain
)
