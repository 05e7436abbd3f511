/**
 * What a program that can't connect, or whose client can't, is told: by the log, by errors, and by the status.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as Handshake from "effect-swaggersocket/Handshake"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import * as Net from "node:net"
import { startFixture } from "../support/hubUnderAttack.ts"
import { listen } from "../support/rawServer.ts"
import { until, within } from "../support/waiting.ts"

interface Line {
  readonly level: string
  readonly text: string
  readonly annotations: string
}

const recorder = () => {
  const lines: Array<Line> = []
  const layer = Logger.layer([
    Logger.make(({ fiber, logLevel, message }) => {
      const annotations = JSON.stringify(fiber.getRef(References.CurrentLogAnnotations))
      lines.push({ level: logLevel, text: [message].flat().join(" "), annotations })
    })
  ])
  return { lines, layer, of: (level: string) => lines.filter((line) => line.level === level).map(({ text }) => text) }
}

/** A port on which nobody listens any more. */
const freePort = Effect.callback<number>((resume) => {
  const server = Http.createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address() as Net.AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

/** A port that takes connections and says nothing. */
const silentPort = Effect.map(
  Effect.acquireRelease(
    Effect.callback<{ readonly server: Net.Server; readonly sockets: Set<Net.Socket> }>((resume) => {
      const sockets = new Set<Net.Socket>()
      const server = Net.createServer((socket) => sockets.add(socket))
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed({ server, sockets })))
    }),
    ({ server, sockets }) =>
      Effect.sync(() => {
        server.close()
        for (const socket of sockets) socket.destroy()
      })
  ),
  ({ server }) => (server.address() as Net.AddressInfo).port
)

/** An HTTP server without WebSockets, which answers what it can't read, or hangs up. */
const listenHttp = (unreadable: "answers" | "hangs up") =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Http.Server>((resume) => {
        const server = Http.createServer((_request, response) => response.writeHead(404).end())
        if (unreadable === "hangs up") server.on("clientError", (_error, socket) => socket.destroy())
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) => Effect.sync(() => server.close().closeAllConnections())
    ),
    (server) => `127.0.0.1:${(server.address() as Net.AddressInfo).port}`
  )

type Options = Partial<SwaggerSocketClient.Options<unknown, never>>

const layerFor = (url: string, options: Options = {}, times = Infinity) =>
  Layer.provide(SwaggerSocketClient.layer({ url, ...options }), surroundings(times))

const surroundings = (times = Infinity) =>
  Layer.merge(
    NodeSwaggerSocket.layerWebSocketConstructor,
    Reconnection.layer({ schedule: Schedule.spaced("5 millis").pipe(Schedule.upTo({ times })) })
  )

/** A client that fails to connect until its schedule is over; answers what the log said meanwhile. */
const inVain = Effect.fnUntraced(function*(url: string, options: Options = {}, times = 3) {
  const log = recorder()
  const context = yield* Effect.provide(Layer.build(layerFor(url, options, times)), log.layer)
  const client = Context.get(context, SwaggerSocketClient.SwaggerSocketClient)
  const error = yield* Effect.flip(within("the end", client.connection))
  yield* until("the end is in the log", () => log.of("Error").length === 1)
  return { log, error }
})

const test = (title: string, body: Effect.Effect<unknown, unknown, Scope.Scope>) =>
  it.live(title, () => Effect.scoped(body))

describe("log of a client that can't connect", () => {
  test(
    "the log warns once of attempts that fail alike, and reports as an error that there are no more",
    Effect.gen(function*() {
      const port = yield* freePort
      const { error, log } = yield* inVain(`ws://user:secret@127.0.0.1:${port}/socket?token=secret`)
      assert.strictEqual(error.reason._tag, "LinkError")
      const [warning, ...others] = log.of("Warn")
      assert.deepStrictEqual(others, [])
      assert.include(warning, `ws://127.0.0.1:${port}/socket:`)
      assert.include(warning, "ECONNREFUSED")
      assert.include(warning, "check that the server runs, and its host and port")
      assert.include(log.of("Error")[0], "stopped dialling")
      assert.include(log.of("Error")[0], "ECONNREFUSED")
      assert.notInclude(JSON.stringify(log.lines), "secret")
    })
  )

  test(
    "an error tells why an attempt has failed, however often other fibers run",
    Effect.gen(function*() {
      const url = `ws://127.0.0.1:${yield* freePort}/socket`
      for (let steps = 4; steps < 40; steps++) {
        const { error } = yield* Effect.provideService(inVain(url, {}, 1), References.MaxOpsBeforeYield, steps)
        assert.include(error.message, "ECONNREFUSED", `after every ${steps} steps`)
      }
    })
  )

  test(
    "the log warns again when the reason changes",
    Effect.gen(function*() {
      const server = yield* listen({ refuses: [404, 404, 403, 403, 404, 503] })
      const log = recorder()
      const context = yield* Effect.provide(Layer.build(layerFor(server.url)), log.layer)
      yield* within("the handshake", Effect.flatMap(server.accept, (peer) => peer.welcome()))
      yield* within("the connection", Context.get(context, SwaggerSocketClient.SwaggerSocketClient).connection)
      const warnings = log.of("Warn")
      assert.deepStrictEqual(warnings.map((text) => /response: (\d+)/.exec(text)?.[1]), ["404", "403", "404", "503"])
      assert.include(warnings[0], "check the path")
      assert.include(warnings[1], "allows this origin")
      assert.deepStrictEqual(log.of("Error"), [])
    })
  )

  test(
    "the log warns once of a failure that occurs in another system call the next time",
    Effect.gen(function*() {
      let attempts = 0
      const log = recorder()
      const url = Effect.suspend(() =>
        Effect.fail(
          new Error(["read ECONNRESET", "connect ECONNRESET 127.0.0.1:80", "write ECONNRESET"][attempts++ % 3])
        )
      )
      const context = yield* Effect.provide(
        Layer.build(SwaggerSocketClient.layer({ url }).pipe(Layer.provide(surroundings(4)))),
        log.layer
      )
      const client = Context.get(context, SwaggerSocketClient.SwaggerSocketClient)
      yield* Effect.flip(within("the end", client.connection))
      assert.strictEqual(attempts, 5)
      assert.strictEqual(log.of("Warn").length, 1)
    })
  )

  test(
    "the log suggests ws: when wss: reaches a server without TLS",
    Effect.gen(function*() {
      for (const unreadable of ["answers", "hangs up"] as const) {
        const { log } = yield* inVain(`wss://${yield* listenHttp(unreadable)}/socket`)
        assert.include(log.of("Warn")[0], "whether it has to be ws:")
      }
    })
  )

  test(
    "the log suggests to check the path when an HTTP server has no WebSocket there",
    Effect.gen(function*() {
      const { log } = yield* inVain(`ws://${yield* listenHttp("answers")}/socket`)
      assert.match(log.of("Warn")[0]!, /check (?:the|host, port,) path/)
    })
  )

  test(
    "the log suggests to check the host name when it is unknown, and tells why an address with several hosts failed",
    Effect.gen(function*() {
      const unknown = yield* inVain("ws://no-such-host.invalid/socket", {}, 1)
      assert.include(unknown.log.of("Warn")[0], "check the host name")
      const several = yield* inVain(`ws://localhost:${yield* freePort}/socket`, {}, 1)
      assert.include(several.log.of("Warn")[0], "ECONNREFUSED")
    })
  )

  test(
    "the log names the option or the place to look at when the server answers with an error",
    Effect.gen(function*() {
      const ofGo = yield* startFixture({ wires: ["v1"], hosts: ["127.0.0.1"] })
      const failing = yield* startFixture({
        authenticate: ({ metadata }) =>
          metadata === null ? Effect.die(new Error("no database")) : Effect.succeed("somebody")
      })
      for (
        const [url, options, expected] of [
          [ofGo.url.replace("127.0.0.1", "localhost"), {}, "serves no such host"],
          [ofGo.url, { wire: "v2" }, "check the option `wire`"],
          [ofGo.url, { headers: { "not a name": "x" } }, "check the option `headers`"],
          [ofGo.url, { headers: { name: "two\nlines" } }, "check the option `headers`"],
          [failing.url, {}, "see the log of the server"]
        ] as const
      ) {
        const { log } = yield* inVain(url, options, 1)
        assert.include(log.of("Warn")[0], expected)
      }
    })
  )

  test(
    "the log says that nobody answers there when the handshake runs out of time",
    Effect.gen(function*() {
      const port = yield* silentPort
      const { log } = yield* inVain(`ws://127.0.0.1:${port}`, { limits: { handshakeTimeout: "200 millis" } }, 1)
      assert.include(log.of("Warn")[0], "nobody answers there")
    })
  )

  test(
    "the log says of a final refusal that there are no more attempts, and what to do",
    Effect.gen(function*() {
      const hub = yield* startFixture({
        authenticate: ({ metadata }) =>
          metadata === null
            ? Effect.fail(new Handshake.Refusal({ code: "UNAUTHENTICATED", reason: "who are you" }))
            : Effect.succeed("somebody")
      })
      const { log } = yield* inVain(hub.url)
      assert.deepStrictEqual(log.of("Warn"), [])
      assert.include(log.of("Error")[0], "UNAUTHENTICATED: who are you")
      assert.include(log.of("Error")[0], "check the credentials")
    })
  )

  test(
    "the log names the last failure when a caller gives up, once for each failure",
    Effect.gen(function*() {
      const log = recorder()
      const url = `ws://127.0.0.1:${yield* freePort}/socket`
      const client = ApiClient.layer.pipe(Layer.provideMerge(SwaggerSocketClient.layer({ url })))
      const surrounded = Layer.provide(client, [
        NodeSwaggerSocket.layerWebSocketConstructor,
        Reconnection.layer({ schedule: Schedule.spaced("1 hour") })
      ])
      const context = yield* Effect.provide(Layer.build(surrounded), log.layer)
      const { status } = Context.get(context, SwaggerSocketClient.SwaggerSocketClient)
      yield* until("an attempt has failed", () => Effect.runSync(status)._tag === "Waiting")
      const call = Context.get(context, HttpClient.HttpClient).get("/").pipe(Effect.timeout("5 millis"), Effect.flip)
      const errors = yield* Effect.provide(Effect.all([call, call], { concurrency: 2 }), log.layer)
      assert.deepStrictEqual(errors.map(({ _tag }) => _tag), ["TimeoutError", "TimeoutError"])
      const told = log.of("Warn").filter((text) => text.startsWith("gave up waiting for a connection"))
      assert.strictEqual(told.length, 1)
      assert.include(told[0], "ECONNREFUSED")
    })
  )
})

describe("URL that is no WebSocket URL", () => {
  for (
    const [url, expected] of [
      ["localhost:3000/socket", "not localhost:"],
      ["ftp://hub/socket", "not ftp:"],
      ["/socket", "expected ws://host:port/path"],
      ["ws://", "expected ws://host:port/path"],
      ["ws://hub:99999/socket", "expected ws://host:port/path"],
      ["ws://hub/socket#here", "without a fragment"],
      ["", "expected ws://host:port/path"]
    ] as const
  ) {
    it(`the URL ${JSON.stringify(url)} is a TypeError when the client is made`, () => {
      assert.throws(() => SwaggerSocketClient.layer({ url }), TypeError, expected)
    })
  }

  it("the error of an invalid URL shows no secrets", () => {
    assert.throws(
      () => SwaggerSocketClient.layer({ url: "wss//user:secret@hub?token=secret" }),
      /^(?!.*token).*expected ws:/
    )
  })

  test(
    "an invalid URL that an effect gives makes the attempt fail",
    Effect.gen(function*() {
      const { error, log } = yield* inVain("ws://hub", { url: Effect.succeed("hub:80") })
      assert.include(error.message, "expected ws://host:port/path")
      assert.include(log.of("Warn")[0], "expected ws://host:port/path")
    })
  )
})

/** Turns away clients without metadata, for good. */
const refuseStrangers = ({ metadata }: { readonly metadata: unknown }) =>
  metadata === null
    ? Effect.fail(new Handshake.Refusal({ code: "FORBIDDEN", reason: "not you" }))
    : Effect.succeed("somebody")

describe("layer that waits for its connection", () => {
  const build = (
    url: string,
    waitForConnection: true | Duration.Input,
    times?: number
  ) =>
    Effect.exit(within(
      "the layer",
      Layer.build(Layer.provide(SwaggerSocketClient.layer({ url, waitForConnection }), surroundings(times)))
    ))

  test(
    "a layer that waits for its connection is built when the connection is established",
    Effect.gen(function*() {
      const hub = yield* startFixture({})
      const exit = yield* build(hub.url, true)
      assert.isTrue(Exit.isSuccess(exit))
      if (!Exit.isSuccess(exit)) return
      const { status } = Context.get(exit.value, SwaggerSocketClient.SwaggerSocketClient)
      assert.strictEqual((yield* status)._tag, "Connected")
    })
  )

  test(
    "a layer that waits for its connection fails with a final refusal",
    Effect.gen(function*() {
      const hub = yield* startFixture({ authenticate: refuseStrangers })
      const error = yield* Effect.flip(Effect.flatten(Effect.succeed(yield* build(hub.url, true))))
      assert.deepInclude(error.reason, { _tag: "HandshakeRefused", code: "FORBIDDEN" })
    })
  )

  test(
    "a layer that waits for its connection logs what to do about a final refusal before the program ends",
    Effect.gen(function*() {
      const hub = yield* startFixture({ authenticate: refuseStrangers })
      const log = recorder()
      yield* Effect.exit(Effect.scoped(Effect.provide(build(hub.url, true), log.layer)))
      assert.strictEqual(log.of("Error").length, 1)
      assert.include(log.of("Error")[0], "FORBIDDEN: not you. To do: ")
    })
  )

  test(
    "a layer that waits for its connection fails when the schedule is over",
    Effect.gen(function*() {
      const exit = yield* build(`ws://127.0.0.1:${yield* freePort}`, true, 2)
      assert.include((yield* Effect.flip(exit)).message, "ECONNREFUSED")
    })
  )

  test(
    "a layer that waits for its connection fails after its timeout, with the last failure",
    Effect.gen(function*() {
      const error = yield* Effect.flip(yield* build(`ws://127.0.0.1:${yield* freePort}`, "50 millis"))
      assert.match(String(error), /^SwaggerSocketError: The link failed/)
      assert.include(error.message, "no connection within 0.05 s; the last attempt: ")
      assert.include(error.message, "ECONNREFUSED")
    })
  )
})

describe("log of a server", () => {
  test(
    "a server logs the upgrades that it refuses with the reason, and counts them",
    Effect.gen(function*() {
      const log = recorder()
      yield* Effect.gen(function*() {
        const hub = yield* startFixture({ origins: ["https://app.example"], hosts: ["127.0.0.1"] })
        const before = log.of("Warn").length
        yield* Effect.flip(hub.dial({ origin: `https://evil.example/${"x".repeat(1000)}` }))
        yield* Effect.flip(hub.dial({ headers: { host: "hub.example" } }))
        yield* Effect.flip(hub.dial({ protocols: ["chat"] }))
        const refused = log.lines.filter(({ level }) => level === "Warn").slice(before)
        assert.deepStrictEqual(refused.map(({ text }) => text), [
          "refused an upgrade with 403: its origin is not that of this host, and `origins` does not allow it",
          "refused an upgrade with 421: its host is not in `hosts`",
          "refused an upgrade with 400: the wire that it asks for first is not in `wires`"
        ])
        assert.include(refused[0]!.annotations, "https://evil.example")
        assert.include(refused[0]!.annotations, `"path":"/socket"`)
        assert.isBelow(refused[0]!.annotations.length, 1000)
        const metrics = yield* Metric.snapshot
        const count = metrics.find(({ id }) => id === "swaggersocket_refusals")
        assert.deepStrictEqual(count?.state, { count: 3, incremental: true })
      }).pipe(Effect.provide(log.layer), Effect.provideService(Metric.MetricRegistry, new Map()))
    })
  )

  test(
    "a server of wire v1 alone warns of refused clients, but not of those that fall back to wire v1",
    Effect.gen(function*() {
      const log = recorder()
      yield* Effect.gen(function*() {
        const hub = yield* startFixture({ wires: ["v1"] })
        const before = log.of("Warn").length
        const refused = () => log.of("Warn").slice(before)
        const context = yield* Layer.build(layerFor(hub.url))
        const connection = yield* within(
          "the connection",
          Context.get(context, SwaggerSocketClient.SwaggerSocketClient).connection
        )
        assert.strictEqual(connection.wire, "v1")
        assert.deepStrictEqual(refused(), [])
        assert.include(log.of("Debug").join(), "refused an upgrade with 400")
        // A page is not told why, and does not fall back.
        yield* Effect.flip(hub.dial({ origin: hub.url.replace(/^ws(.*)\/socket$/, "http$1") }))
        yield* Effect.flip(hub.dial({ protocols: ["chat"] }))
        const why = "refused an upgrade with 400: the wire that it asks for first is not in `wires`"
        assert.deepStrictEqual(refused(), [why, why])
      }).pipe(Effect.provide(log.layer), Effect.provideService(References.MinimumLogLevel, "Debug"))
    })
  )

  test(
    "a server logs the clients that it refuses for good",
    Effect.gen(function*() {
      const log = recorder()
      yield* Effect.gen(function*() {
        const hub = yield* startFixture({})
        const peer = yield* hub.dial()
        yield* peer.hello({ metadata: { name: 7 } })
        yield* peer.expectClose(4103)
        yield* until("it is in the log", () => log.of("Warn").some((text) => text.includes("METADATA_INVALID at name")))
      }).pipe(Effect.provide(log.layer))
    })
  )
})
