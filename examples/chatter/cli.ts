/**
 * chatter-cli: talks with the chatter service, of this example or of goa's.
 *
 *     npx tsx examples/chatter/cli.ts chatter login --user goa --password rocks
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { identity } from "effect/Function"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import type { ChatSummary, Event } from "./api.ts"
import { make, reasonOf } from "./client.ts"
import { layerUsage, runMain, Stopped } from "./terminal.ts"

const toUrl = (text: string): URL => {
  if (!URL.canParse(text)) throw new Error(`invalid URL "${text}"`)
  const url = new URL(text)
  if (/^https?:$/.test(url.protocol)) return url
  throw new Error(`invalid scheme: "${url.protocol.slice(0, -1)}" (valid schemes: http|https)`)
}

const cli = Command.make("chatter-cli").pipe(
  Command.withSharedFlags({
    host: Flag.Literals("host", ["localhost"]).pipe(
      Flag.withDescription("Server host (localhost)"),
      Flag.withDefault("localhost")
    ),
    url: Flag.String("url").pipe(
      Flag.mapTryCatch(toUrl, (error) => error instanceof Error ? error.message : String(error)),
      Flag.withMetavar("URL"),
      Flag.withDescription("Service URL overriding host URL (http://localhost:8080)"),
      Flag.optional
    ),
    timeout: Flag.Finite("timeout").pipe(
      Flag.withMetavar("SECONDS"),
      Flag.withDescription("Maximum number of seconds to wait for the server to answer (30)"),
      Flag.withDefault(30)
    ),
    verbose: Flag.Boolean("verbose").pipe(
      Flag.withAlias("v"),
      Flag.withDescription("Print request and response details (false)"),
      Flag.withDefault(false)
    ),
    binding: Flag.Literals("binding", ["websocket", "connection"]).pipe(
      Flag.withDescription("A WebSocket for each call, or a connection that survives its links (websocket)"),
      Flag.withDefault("websocket")
    )
  }),
  Command.withDescription("A command line client for the chatter API.")
)

type Chatter = Effect.Success<ReturnType<typeof make>>

/** Makes a call, and ends the program with one line if it fails or the server does not answer in time. */
const call = <A, E, R>(
  name: string,
  authorize: (request: HttpClientRequest.HttpClientRequest) => HttpClientRequest.HttpClientRequest,
  /** Whether the server has answered when the WebSocket is open. */
  streams: boolean,
  run: (chatter: Chatter) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function*() {
    const { binding, timeout, url, verbose } = yield* cli
    const opened = Deferred.makeUnsafe<void>()
    const chatter = make({
      url: Option.getOrElse(url, () => new URL("http://localhost:8080")),
      binding,
      verbose,
      authorize,
      onOpen: () => Deferred.doneUnsafe(opened, Effect.void)
    })
    const limit = (streams ? Deferred.await(opened) : Effect.never).pipe(
      Effect.timeoutOrElse({
        duration: Duration.seconds(timeout),
        orElse: () => Effect.fail(new Stopped({ reason: `no answer within ${timeout} seconds` }))
      }),
      Effect.andThen(Effect.never)
    )
    return yield* Effect.raceFirst(Effect.flatMap(chatter, run), limit)
  }).pipe(
    Effect.scoped,
    Effect.mapError((error) => new Stopped({ reason: `[chatter ${name}]: ${reasonOf(error)}` }))
  )

/** As Go prints it. */
const print = (value: unknown) => Console.log(JSON.stringify(value, undefined, 4))

const login = Command.make(
  "login",
  {
    user: Flag.String("user"),
    password: Flag.Redacted("password")
  },
  ({ password, user }) =>
    call(
      "login",
      HttpClientRequest.basicAuth(user, password),
      false,
      (chatter) => Effect.flatMap(chatter.login(), print)
    )
).pipe(
  Command.withDescription("Creates a valid JWT token for auth to chat."),
  Command.withExamples([{ command: "chatter-cli chatter login --user goa --password rocks" }])
)

const token = Flag.Redacted("token").pipe(
  Flag.withFallbackConfig(Config.Redacted("JWT_TOKEN")),
  Flag.withDescription("What login has printed; $JWT_TOKEN if absent")
)

/** The quotes of `login` and the word before the token may be there. */
const bearer = (token: Redacted.Redacted) => {
  const bare = Redacted.value(token).replace(/^bearer /i, "").replace(/^"(.*)"$/, "$1")
  return bare === "" ? identity : HttpClientRequest.bearerToken(bare)
}

/** The lines of the standard input, each when it is there. The prompt comes when they can be sent. */
const linesUntil = (stopped: Effect.Effect<void>) =>
  Stream.unwrap(Effect.gen(function*() {
    const { stdin } = yield* Stdio.Stdio
    yield* Console.log("Press Ctrl+D to stop chatting.")
    return stdin.pipe(Stream.decodeText(), Stream.splitLines, Stream.interruptWhen(stopped))
  })).pipe(
    // The process must not wait for lines that nobody wants.
    Stream.ensuring(Effect.sync(() => process.stdin.destroy()))
  )

interface Talk {
  readonly lines: ReturnType<typeof linesUntil>
  readonly stopped: Effect.Effect<void>
}

/** A conversation that ends as it would by itself when Ctrl+C stops it, but without a word more. */
const untilCtrlC = <A, E, R>(talk: (talk: Talk) => Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const stop = yield* Deferred.make<void>()
    const stopped = Deferred.await(stop)
    const talking = yield* Effect.forkChild(talk({ lines: linesUntil(stopped), stopped }))
    return yield* Effect.onInterrupt(
      Fiber.join(talking),
      () =>
        Console.log("\nexiting").pipe(
          Effect.andThen(Deferred.succeed(stop, undefined)),
          Effect.andThen(Effect.timeoutOption(Fiber.await(talking), "1 second"))
        )
    )
  })

/** A command whose call streams; `talk` gives what is to be printed at its end, if anything is. */
const streaming = <E, R>(
  name: string,
  description: string,
  talk: (chatter: Chatter, talk: Talk) => Effect.Effect<unknown, E, R>
) =>
  Command.make(name, { token }, ({ token }) =>
    Effect.flatMap(
      untilCtrlC((context) => call(name, bearer(token), true, (chatter) => talk(chatter, context))),
      (last) => Effect.andThen(last === undefined ? Effect.void : print(last), print({}))
    )).pipe(Command.withDescription(description))

const toSummary = ({ length, message, sent_at }: ChatSummary) => ({ Message: message, Length: length, SentAt: sent_at })

const toEvent = ({ action, added_at, message }: Event) => ({ Message: message, Action: action, AddedAt: added_at })

const echoer = streaming(
  "echoer",
  "Echoes the message sent by the client.",
  (chatter, { lines }) => Effect.flatMap(chatter.echoer({ payload: lines }), Stream.runForEach(print))
)

const listener = streaming(
  "listener",
  "Listens to the messages sent by the client.",
  (chatter, { lines }) => chatter.listener({ payload: lines })
)

const summary = streaming(
  "summary",
  "Summarizes the chat messages sent by the client.",
  (chatter, { lines }) => Effect.map(chatter.summary({ payload: lines }), (all) => all.map(toSummary))
)

const subscribe = streaming(
  "subscribe",
  "Subscribe to events sent when new chat messages are added.",
  (chatter, { stopped }) =>
    Effect.flatMap(
      chatter.subscribe(),
      (events) => events.pipe(Stream.interruptWhen(stopped), Stream.runForEach((event) => print(toEvent(event))))
    )
)

const history = Command.make("history", {
  view: Flag.Literals("view", ["default", "tiny"]).pipe(
    Flag.withDescription("How much of each message (default)"),
    Flag.withDefault("default")
  ),
  token
}, ({ token, view }) =>
  Effect.andThen(
    untilCtrlC(({ stopped }) => {
      const until = Stream.interruptWhen(stopped)
      return call("history", bearer(token), true, (chatter) =>
        view === "tiny"
          // What a view leaves out is still printed, as nothing.
          ? Effect.flatMap(chatter.history({ query: { view } }), (messages) =>
            Stream.runForEach(until(messages), ({ message }) => print({ Message: message, Length: null, SentAt: "" })))
          : Effect.flatMap(chatter.history(), (messages) =>
            Stream.runForEach(until(messages), (message) =>
              print(toSummary(message)))))
    }),
    print({})
  )).pipe(Command.withDescription("Returns the chat messages sent to the server."))

const chatter = Command.make("chatter").pipe(
  Command.withDescription("The chatter service implements a simple client and server chat."),
  Command.withSubcommands([login, echoer, listener, summary, subscribe, history])
)

cli.pipe(
  Command.withSubcommands([chatter]),
  Command.run({ version: "0.1.0" }),
  Effect.provide([NodeServices.layer, layerUsage]),
  runMain
)
