/**
 * What the load tests share: both ends of a connection on loopback, bodies that can be verified, and measurements.
 */
import { assert } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type * as Connection from "effect-swaggersocket/Connection"
import * as Limits from "effect-swaggersocket/Limits"
import * as Multiplexer from "effect-swaggersocket/Multiplexer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { createCipheriv, createHash } from "node:crypto"
import * as Net from "node:net"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { peerOf } from "../../src/internal/connection/peer.ts"
import { Decoder } from "../../src/internal/frame/decoder.ts"

export const MiB = 1024 * 1024

// --- both ends -------------------------------------------------------------------------------------------------------

export class Hub extends SwaggerSocketServer.Service<Hub>()("load/Hub") {}

/** The URL of the HTTP server in context, as a WebSocket. */
export const socketUrl = Effect.map(
  HttpServer.HttpServer,
  (server) => `${NetAddress.formatUrlUnsafe(server.address).replace("http", "ws")}/socket`
)

/** A server, and the HTTP server below it. */
export const layerHub = (options: { readonly limits?: Limits.Options | undefined; readonly port?: number } = {}) =>
  HttpRouter.serve(Hub.layer({ path: "/socket", limits: options.limits }), {
    disableLogger: true,
    disableListenLog: true
  }).pipe(
    Layer.provideMerge(
      NodeSwaggerSocket.layerHttpServer({ port: options.port ?? 0, host: "127.0.0.1", limits: options.limits })
    )
  )

export interface Ends {
  /** The end that dialled. */
  readonly client: Connection.Connection
  /** The end that was dialled. */
  readonly server: Connection.Connection
}

/** Forwards TCP to the port of a URL, each way `millis` later; gives the URL of its own port. */
const delayed = (url: string, millis: number): Effect.Effect<string, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Net.Server>((resume) => {
        const server = Net.createServer((near) => {
          const far = Net.connect(Number(new URL(url).port), "127.0.0.1")
          for (const [from, to] of [[near, far], [far, near]] as const) {
            from.setNoDelay(true)
            from.on("data", (data) => setTimeout(() => to.write(data), millis))
            from.on("close", () => setTimeout(() => to.destroy(), millis))
            from.on("error", () => {})
          }
        })
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) => Effect.sync(() => server.close())
    ),
    (server) => url.replace(/:\d+/, `:${(server.address() as Net.AddressInfo).port}`)
  )

/**
 * A connection over a real WebSocket on loopback, both ends of it in this process. `delay`: how long everything takes to
 * the other end, in milliseconds.
 */
export const join = Effect.fnUntraced(function*(
  options: {
    readonly serverLimits?: Limits.Options | undefined
    readonly clientLimits?: Limits.Options | undefined
    readonly delay?: number | undefined
    /** The credit is counted; needs `fixedWindow` on both ends. */
    readonly ledgers?: boolean | undefined
  } = {}
) {
  const context = yield* Layer.build(
    Layer.unwrap(Effect.gen(function*() {
      const direct = yield* socketUrl
      const url = options.delay === undefined ? direct : yield* delayed(direct, options.delay)
      return SwaggerSocketClient.layer({ url, limits: options.clientLimits })
    })).pipe(
      Layer.provideMerge(layerHub({ limits: options.serverLimits })),
      Layer.provide(
        Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor, Limits.layer(options.clientLimits ?? {}))
      ),
      Layer.provide(options.ledgers === true ? layerLedgers : Layer.empty)
    )
  )
  return yield* Effect.provide(
    Effect.gen(function*() {
      const hub = yield* Hub
      const client = yield* (yield* SwaggerSocketClient.SwaggerSocketClient).connection
      const server = yield* hub.awaitConnection(({ id }) => id === client.id)
      const ends: Ends = { client, server }
      if (options.ledgers === true) {
        for (const connection of [client, server]) {
          assert.isTrue(ledgers.has(peerOf(connection).mux), "the credit is not counted")
        }
      }
      return ends
    }),
    context
  )
})

/** Serves routes on one end of a connection. */
export const serveRoutes = <A, E, R>(connection: Connection.Connection, routes: Layer.Layer<A, E, R>) =>
  Layer.build(
    Layer.provide(
      HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }),
      ApiServer.layerConnection(connection)
    )
  )

/** The end that calls and the one that serves, by the socket role of the latter. */
export const roles = (
  ends: Ends,
  serving: "client" | "server"
): {
  readonly serving: Connection.Connection
  readonly calling: Connection.Connection
  readonly api: HttpClient.HttpClient
} => {
  const calling = serving === "client" ? ends.server : ends.client
  return { serving: ends[serving], calling, api: ApiClient.make(calling) }
}

// --- credit ----------------------------------------------------------------------------------------------------------

/** The credit of a connection in one direction, as the wire tells it. */
interface Ledger {
  /** What the receiver announced. */
  readonly initial: number
  granted: number
  sent: number
}

const ledgers = new WeakMap<object, Ledger>()
const makeMultiplexer = Context.get(Context.empty(), Multiplexer.Multiplexer)

/** Reads all messages along. */
const layerLedgers = Multiplexer.layer((options) => {
  const mux = makeMultiplexer(options)
  const { pull, receive } = mux
  const ledger: Ledger = { initial: options.remote.connectionWindow, granted: 0, sent: 0 }
  ledgers.set(mux, ledger)
  const received = new Decoder(options.local)
  const sent = new Decoder(options.remote)
  return Object.assign(mux, {
    receive(message: Uint8Array) {
      received.decode(message, (frame) => {
        if (frame._tag === "Credit" && frame.streamId === 0) ledger.granted += frame.increment
        return undefined
      })
      return receive.call(mux, message)
    },
    pull() {
      const message = pull.call(mux)
      if (message instanceof Uint8Array) {
        sent.decode(message, (frame) => {
          if (frame._tag === "Data") ledger.sent += frame.data.length
          return undefined
        })
      }
      return message
    }
  })
})

/** Windows of connections that keep their size. */
export const fixedWindow = { connectionWindow: MiB, maxConnectionWindow: MiB }

const assertCredit = (connection: Connection.Connection) => {
  const { mux } = peerOf(connection)
  const ledger = ledgers.get(mux)
  if (ledger === undefined) return
  const available = ledger.initial + ledger.granted - ledger.sent
  // At rest a receiver owes less than half of the window.
  assert.isAbove(available, ledger.initial / 2, "credit of the connection is lost")
  assert.isAtMost(available, ledger.initial, "credit of the connection is given twice")
}

const nothing = { local: 0, remote: 0, waiting: 0, unreadBytes: 0 }

/** A turn of the event loop. */
const turn: Effect.Effect<void> = Effect.callback((resume) => {
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})

/**
 * Looks once each turn of the event loop until `check` does not throw; after 20 seconds its error is the test's. Where much is to
 * happen, `progress` tells how far it is: the time begins anew whenever that changes, as a busy machine takes longer.
 */
export const eventually = Effect.fnUntraced(function*(check: () => void, progress?: () => number) {
  let since = performance.now()
  let last = progress?.()
  while (true) {
    try {
      return check()
    } catch (error) {
      const now = progress?.()
      if (now !== last) since = performance.now()
      last = now
      if (performance.now() - since > 20_000) throw error
    }
    yield* turn
  }
})

/** Nothing of any exchange is left on either end, and neither owes the other credit. */
export const assertIdle = (ends: Ends) =>
  eventually(() => {
    for (const { mux } of [peerOf(ends.client), peerOf(ends.server)]) {
      assert.deepStrictEqual({ ...mux.active, unreadBytes: mux.unreadBytes }, nothing)
    }
    assertCredit(ends.client)
    assertCredit(ends.server)
  })

// --- bodies ----------------------------------------------------------------------------------------------------------

/** Bytes that repeat nowhere and depend on their position, made as they are pulled. */
export const bytesOf = (seed: number, size: number, chunkSize = 64 * 1024): Stream.Stream<Uint8Array> =>
  Stream.suspend(() => {
    const next = generator(seed)
    return Stream.map(
      Stream.range(0, Math.ceil(size / chunkSize) - 1, 1),
      (index) => next(Math.min(chunkSize, size - index * chunkSize))
    )
  })

const generator = (seed: number) => {
  const key = Buffer.alloc(16)
  key.writeUInt32BE(seed)
  const cipher = createCipheriv("aes-128-ctr", key, Buffer.alloc(16))
  return (size: number): Uint8Array => cipher.update(Buffer.alloc(size))
}

/** The hash of `bytesOf`. */
export const hashOf = (seed: number, size: number): string => {
  const hash = createHash("sha256")
  const next = generator(seed)
  for (let left = size; left > 0; left -= 65536) hash.update(next(Math.min(65536, left)))
  return hash.digest("hex")
}

export const sha256 = <E, R>(stream: Stream.Stream<Uint8Array, E, R>): Effect.Effect<string, E, R> =>
  Effect.suspend(() => {
    const hash = createHash("sha256")
    return Effect.map(
      Stream.runForEach(stream, (chunk) => Effect.sync(() => hash.update(chunk))),
      () => hash.digest("hex")
    )
  })

// --- measurements ----------------------------------------------------------------------------------------------------

/** Not every process was started with `--expose-gc`. */
const collect: () => void = globalThis.gc ?? (() => {
  setFlagsFromString("--expose-gc")
  return runInNewContext("gc") as () => void
})()

/** Collects garbage, and what its finalizers let go of. */
export const collectGarbage: Effect.Effect<void> = Effect.gen(function*() {
  for (let round = 0; round < 4; round++) {
    collect()
    yield* turn
    yield* turn
  }
})

/** Bytes of the heap and of what it holds outside. */
export const heapBytes = (): number => {
  const { external, heapUsed } = process.memoryUsage()
  // `external` includes `arrayBuffers`.
  return heapUsed + external
}

/** `sorted` need not be. */
export const percentile = (samples: ReadonlyArray<number>, share: number): number => {
  const sorted = Float64Array.from(samples).sort()
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

export const latencies = (samples: ReadonlyArray<number>) => ({
  calls: samples.length,
  p50: round(percentile(samples, 0.5)),
  p99: round(percentile(samples, 0.99)),
  max: round(Math.max(...samples))
})

export const round = (value: number): number => Math.round(value * 100) / 100

/** The time that an effect takes, in milliseconds. */
export const timed = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<readonly [A, number], E, R> =>
  Effect.suspend(() => {
    const start = performance.now()
    return Effect.map(effect, (value) => [value, performance.now() - start] as const)
  })

/** A measurement that fails is made once more: what else runs on the machine may have disturbed the first. */
export const atMostTwice = <A, E, R>(measurement: Effect.Effect<A, E, R>) =>
  Effect.catchCause(Effect.scoped(measurement), (cause) => {
    if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause)
    console.log(`measured once more, after\n${Cause.pretty(cause)}`)
    return Effect.scoped(measurement)
  })

/** How late timers of this process are, which should have nothing else to do: what the others on the machine cost. */
export const watchLateness = () => {
  const interval = 5
  const samples: Array<number> = []
  let last = performance.now()
  const timer = setInterval(() => {
    const now = performance.now()
    samples.push(Math.max(0, now - last - interval))
    last = now
  }, interval)
  return {
    stop: () => {
      clearInterval(timer)
      return { p99: round(percentile(samples, 0.99)), longest: round(Math.max(0, ...samples)) }
    }
  }
}

/** Prints what was measured, and leaves it in the report. */
export const report = (
  context: { readonly task: { readonly name: string; readonly meta: object } },
  numbers: Readonly<Record<string, unknown>>
): void => {
  Object.assign(context.task.meta, { measured: numbers })
  console.log(`${context.task.name}\n  ${JSON.stringify(numbers)}`)
}
