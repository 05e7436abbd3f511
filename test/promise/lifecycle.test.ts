/**
 * How connections of the way in without Effect begin, are lost and end.
 */
import { assert, describe, it } from "@effect/vitest"
import type { CloseReason, Status } from "effect-swaggersocket/Connection"
import * as Limits from "effect-swaggersocket/Limits"
import { connect, failureOf, type HubConnection, listen, outcomeOf, Refusal } from "effect-swaggersocket/promise"
import * as Quotas from "effect-swaggersocket/Quotas"
import { isSwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { onTestFinished, vi } from "vitest"
import { until } from "../support/waiting.ts"
import { connecting, deferred, join, listening, proxying, quickly, recorder } from "./ends.ts"

const rejection = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then((value) => assert.fail(`resolved with ${String(value)}`), (error: unknown) => error)

const eventually = (what: string, condition: () => boolean) => Effect.runPromise(until(what, condition))

/** A URL at which nobody listens. */
const nobody = async (): Promise<string> => {
  const hub = await listen({ host: "127.0.0.1" })
  await hub.close()
  return hub.url
}

describe("connect", () => {
  it("a URL that is none rejects with a TypeError", async () => {
    for (const url of ["nonsense", "ftp://localhost/", undefined as unknown as string]) {
      assert.instanceOf(await rejection(connect(url)), TypeError, url)
    }
  })

  it("limits that are out of range reject with a RangeError", async () => {
    assert.instanceOf(
      await rejection(connect("ws://localhost:1", { limits: { maxConcurrentStreams: -1 } })),
      RangeError
    )
    assert.instanceOf(await rejection(listen({ limits: { maxConcurrentStreams: -1 } })), RangeError)
    assert.instanceOf(await rejection(listen({ quotas: { server: { connections: -1 } } })), RangeError)
  })

  it("a signal rejects with its reason, before and while the client dials", async () => {
    const { layer, lines } = recorder()
    const reason = new Error("no more")
    assert.strictEqual(await rejection(connect("ws://localhost:1", { signal: AbortSignal.abort(reason) })), reason)
    const controller = new AbortController()
    const connecting = rejection(connect(await nobody(), { layer, signal: controller.signal }))
    await eventually("an attempt fails", () => lines.length > 0)
    controller.abort(reason)
    assert.strictEqual(await connecting, reason)
  })

  it("a timeout rejects with the last failure", async () => {
    const error = await rejection(connect(await nobody(), { layer: recorder().layer, timeout: "1 second" }))
    assert.isTrue(isSwaggerSocketError(error))
    assert.match(String(error), /no connection within 1 s; the last attempt: .*ECONNREFUSED/)
  })

  it("a timeout that is no duration rejects with a TypeError that names it", async () => {
    const error = await rejection(connect(await nobody(), { timeout: "soon" as never }))
    assert.instanceOf(error, TypeError)
    assert.include(String(error), "timeout: expected milliseconds")
  })

  it("url, headers and metadata may be functions, which are called anew for each attempt", async () => {
    const seen: Array<unknown> = []
    const hub = await listening({
      authenticate: ({ headers, metadata, remoteAddress, signal, url }) => {
        seen.push([headers["x-token"], metadata, remoteAddress, signal.aborted, url])
        return "somebody"
      }
    })
    let attempts = 0
    const { connection, client } = await (async () => {
      const client = await connecting(hub.url, {
        headers: async () => {
          if (++attempts === 1) throw new Error("no token yet")
          return { "x-token": String(attempts) }
        },
        metadata: () => ({ attempts }),
        layer: recorder().layer
      })
      return { client, connection: await hub.awaitConnection() }
    })()
    assert.deepStrictEqual(seen, [["2", { attempts: 2 }, "127.0.0.1", false, "/"]])
    assert.deepStrictEqual(connection.metadata, { attempts: 2 })
    assert.strictEqual(connection.principal, "somebody")
    assert.strictEqual(client.status._tag, "Connected")
  })

  it("a refusal that is final rejects with it; without one that is thrown, the client dials again", async () => {
    const { layer, lines } = recorder()
    let attempts = 0
    const hub = await listening({
      layer,
      authenticate: ({ headers }) => {
        if (headers.authorization === undefined) throw new Refusal({ code: "UNAUTHENTICATED", reason: "unknown token" })
        if (++attempts === 1) throw new Error("the database is asleep")
        return attempts
      }
    })
    const failure = failureOf(await rejection(connect(hub.url, { layer: recorder().layer })))
    assert.strictEqual(failure?.reason._tag === "HandshakeRefused" && failure.reason.code, "UNAUTHENTICATED")
    await connecting(hub.url, { headers: { authorization: "Bearer me" }, layer: recorder().layer })
    assert.strictEqual((await hub.awaitConnection()).principal, 2)
    assert.isTrue(lines.some((line) => line.includes("the database is asleep")), lines.join("\n"))
  })

  it("metadata that do not fit the schema are refused", async () => {
    const hub = await listening({ schema: Schema.Struct({ name: Schema.String }), layer: recorder().layer })
    const failure = failureOf(
      await rejection(connect(hub.url, { metadata: { name: 1 }, layer: recorder().layer }))
    )
    assert.strictEqual(failure?.reason._tag === "HandshakeRefused" && failure.reason.code, "METADATA_INVALID")
    await connecting(hub.url, { metadata: { name: "pump" } })
    assert.strictEqual((await hub.awaitConnection(({ metadata }) => metadata.name === "pump")).metadata.name, "pump")
  })
})

describe("listen", () => {
  it("a port that is taken rejects with Node's error", async () => {
    const { url } = await listening()
    const error = await rejection(listen({ host: "127.0.0.1", port: Number(new URL(url).port) }))
    assert.strictEqual((error as NodeJS.ErrnoException).code, "EADDRINUSE")
  })

  it("options that are none reject at once", async () => {
    assert.instanceOf(await rejection(listen({ path: "socket" as "/socket" })), TypeError)
    assert.instanceOf(await rejection(listen({ port: 99_999 })), RangeError)
    assert.instanceOf(await rejection(listen({ http: {} as never })), TypeError)
    assert.instanceOf(await rejection(listen({ origins: ["nonsense"] })), RangeError)
  })

  it("a signal that is aborted before rejects, and one that is aborted later closes the hub", async () => {
    const reason = new Error("no more")
    assert.strictEqual(await rejection(listen({ signal: AbortSignal.abort(reason) })), reason)
    const controller = new AbortController()
    const hub = await listen({ host: "127.0.0.1", signal: controller.signal })
    controller.abort()
    await hub.closed
  })

  it("the URL leads to the hub, on a port, on a path and on a Unix socket", async () => {
    for (const options of [{}, { path: "/a/b" as const }, { host: "::1" }]) {
      const hub = await listening(options)
      await connecting(hub.url)
      await hub.awaitConnection()
    }
    const everywhere = await listen()
    assert.match(everywhere.url, /^ws:\/\/localhost:\d+\/$/)
    await everywhere.close()
    const hub = await listening({ socketPath: `/tmp/swaggersocket-${process.pid}.sock`, path: "/socket" })
    await connecting(hub.url)
    await hub.awaitConnection()
  })

  it("a server that is there keeps what it serves, and lends the hub a path", async () => {
    const server = Http.createServer((_, response) => void response.end("the app"))
    onTestFinished(() => void server.close())
    const hub = await listen({ server, path: "/socket" })
    assert.strictEqual(hub.url, "ws://localhost/socket")
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const { port } = server.address() as AddressInfo
    assert.strictEqual(hub.url, `ws://127.0.0.1:${port}/socket`)
    const client = await connecting(hub.url)
    hub.serve(() => new Response("the hub"))
    assert.strictEqual(await (await client.fetch("/")).text(), "the hub")
    assert.strictEqual(await (await fetch(`http://127.0.0.1:${port}/socket`)).text(), "the app")
    await client.close()
    await hub.close()
    assert.isTrue(server.listening)
    assert.instanceOf(await rejection(listen({ server, port: 3000 })), TypeError)
  })

  it("limits and quotas hold, those that are options and those of layers", async () => {
    for (
      const options of [
        { quotas: { server: { connections: 1 } }, limits: { resumeWindow: 0 } },
        { layer: Layer.merge(Quotas.layer({ server: { connections: 1 } }), Limits.layer({ resumeWindow: 0 })) }
      ]
    ) {
      const hub = await listening(options)
      const client = await connecting(hub.url)
      const connection = await hub.awaitConnection()
      const refused = deferred()
      hub.on("event", (event) => event._tag === "QuotaExceeded" && event.quota === "connections" && refused.resolve())
      const controller = new AbortController()
      const second = rejection(connect(hub.url, { layer: recorder().layer, signal: controller.signal }))
      await refused.promise
      controller.abort("enough")
      assert.strictEqual(await second, "enough")
      // Without a session a link that is given up ends its connection.
      client.reconnect()
      await connection.closed
    }
  })

  it("the server may be one's own", async () => {
    let server: Http.Server | undefined
    const hub = await listening({ createServer: () => server = Http.createServer() })
    assert.strictEqual((server!.address() as AddressInfo).port, Number(new URL(hub.url).port))
  })
})

describe("a link that is cut", () => {
  it("is replaced, and the call that was under way goes on; both ends are told", async () => {
    const hub = await listening()
    const proxy = await proxying(hub.url)
    const client = await connecting(proxy.url)
    const connection = await hub.awaitConnection()
    const statuses: Array<Status> = []
    const events: Array<string> = []
    connection.on("status", (status) => statuses.push(status))
    hub.on("event", ({ _tag }) => events.push(_tag))
    const begun = deferred()
    const finish = deferred()
    let calls = 0
    hub.serve(async () => {
      calls++
      begun.resolve()
      await finish.promise
      return new Response("the answer")
    })
    const call = client.fetch("/")
    await begun.promise
    await Effect.runPromise(proxy.cut())
    finish.resolve()
    assert.strictEqual(await (await call).text(), "the answer")
    assert.strictEqual(calls, 1)
    await eventually("the hub is told", () => events.length === 3)
    assert.deepStrictEqual(events, ["ConnectionReceived", "ConnectionInterrupted", "ConnectionResumed"])
    await eventually("the connection is told", () => statuses.length === 3)
    assert.deepStrictEqual(statuses, ["open", "interrupted", "open"])
    assert.strictEqual(hub.connections[0], connection)
    assert.strictEqual(connection.status, "open")
  })

  it("reconnect gives the link up, and the connection goes on", async () => {
    const { client, connection, hub } = await join()
    const resumed = deferred()
    client.on("event", ({ _tag }) => _tag === "ConnectionResumed" && resumed.resolve())
    client.reconnect()
    await resumed.promise
    assert.deepStrictEqual(hub.connections, [connection])
  })
})

describe("a hub that is restarted", () => {
  it("gets a new connection, and calls that wait for it go on", async () => {
    const first = await listen({ host: "127.0.0.1" })
    const port = Number(new URL(first.url).port)
    const client = await connecting(first.url, { layer: recorder().layer })
    const before = await first.awaitConnection()
    await first.close()
    assert.strictEqual((await before.closed)._tag, "Closed")
    const call = client.fetch("/")
    const second = await listening({ port })
    second.serve(() => new Response("the second"))
    assert.strictEqual(await (await call).text(), "the second")
    assert.notStrictEqual(second.connections[0]!.id, before.id)
  })
})

describe("close", () => {
  it("of a client lets calls in progress finish, in both directions, and tells the hub", async () => {
    const { client, connection, hub } = await join()
    const begun = [deferred(), deferred()] as const
    const finish = deferred()
    hub.serve(async () => {
      begun[0].resolve()
      await finish.promise
      return new Response("of the hub")
    })
    client.serve(async () => {
      begun[1].resolve()
      await finish.promise
      return new Response("of the client")
    })
    const calls = [client.fetch("/"), connection.fetch("/")]
    await Promise.all(begun.map(({ promise }) => promise))
    const closing = client.close()
    finish.resolve()
    const answers = await Promise.all(calls.map(async (call) => await (await call).text()))
    assert.deepStrictEqual(answers, ["of the hub", "of the client"])
    await closing
    const end: CloseReason = { _tag: "Closed", initiator: "local", code: 1001, reason: "the client goes away" }
    assert.deepStrictEqual(await client.closed, end)
    assert.deepStrictEqual(await connection.closed, { ...end, initiator: "remote" })
    assert.strictEqual(client.status._tag, "Stopped")
    assert.lengthOf(hub.connections, 0)
    const error = await rejection(client.fetch("/"))
    assert.strictEqual(outcomeOf(error), "not-sent")
    await client.close()
  })

  it("of a client does not dial another connection while its handlers finish", async () => {
    const { client, connection, hub } = await join()
    const begun = deferred()
    const finish = deferred()
    const seen: Array<string> = []
    hub.on("connection", ({ id }) => seen.push(id))
    client.serve(async () => {
      begun.resolve()
      await finish.promise
      return new Response("late")
    })
    const call = connection.fetch("/")
    await begun.promise
    const closing = client.close()
    await eventually("the hub is told", () => connection.status === "draining")
    finish.resolve()
    assert.strictEqual(await (await call).text(), "late")
    await closing
    assert.deepStrictEqual(seen, [connection.id])
  })

  for (const end of ["client", "connection", "hub"] as const) {
    it(`of a ${end} without a drain, and one whose signal is aborted, end calls in progress`, async () => {
      for (const abort of [false, true]) {
        const ends = await join()
        const begun = deferred()
        ends.hub.serve(() => {
          begun.resolve()
          return new Promise<Response>(() => {})
        })
        const call = rejection(ends.client.fetch("/"))
        await begun.promise
        const controller = new AbortController()
        const closing = ends[end].close(abort ? { signal: controller.signal } : { drain: false })
        controller.abort()
        await closing
        assert.strictEqual(outcomeOf(await call), "unknown")
      }
    })
  }

  it("a drain of some milliseconds ends calls that take longer", async () => {
    for (const end of ["client", "connection", "hub"] as const) {
      const ends = await join()
      const begun = deferred()
      ends.hub.serve(() => {
        begun.resolve()
        return new Promise<Response>(() => {})
      })
      const call = rejection(ends.client.fetch("/"))
      await begun.promise
      await ends[end].close({ drain: 20 })
      assert.strictEqual(outcomeOf(await call), "unknown", end)
    }
  })

  it("a drain that is no duration is a TypeError, and closes nothing", async () => {
    const { client, connection, hub } = await join()
    for (const drain of ["soon", null] as const) {
      for (const end of [client, connection, hub]) {
        const error = await rejection(end.close({ drain: drain as never }))
        assert.instanceOf(error, TypeError)
        assert.include(String(error), `drain: expected milliseconds or a text such as "5 seconds", not ${drain}`)
      }
    }
    assert.strictEqual(connection.status, "open")
  })

  it("a code that applications may not use is a RangeError, and closes nothing", async () => {
    const { connection } = await join()
    assert.instanceOf(await rejection(connection.close({ code: 4001 })), RangeError)
    assert.strictEqual(connection.status, "open")
  })

  it("of a connection makes its client dial anew", async () => {
    const { client, connection, hub } = await join()
    const told = deferred<unknown>()
    client.on("event", (event) => event._tag === "ConnectionClosed" && told.resolve([event.code, event.reason]))
    await connection.close({ code: 3001, reason: "try again" })
    assert.deepStrictEqual(await told.promise, [3001, "try again"])
    const next = await hub.awaitConnection()
    assert.notStrictEqual(next.id, connection.id)
  })

  it("of a hub ends the wait for connections, and the port is free", async () => {
    const hub = await listen({ host: "127.0.0.1" })
    const waiting = rejection(hub.awaitConnection())
    await hub.close()
    assert.strictEqual(failureOf(await waiting)?.reason._tag, "ConnectionClosed")
    await hub.closed
    const next = await listening({ port: Number(new URL(hub.url).port) })
    assert.strictEqual(next.url, hub.url)
  })

  it("a client that is refused for good is closed, and says why", async () => {
    let isKnown = true
    const hub = await listening({
      layer: recorder().layer,
      authenticate: () => {
        if (!isKnown) throw new Refusal({ code: "FORBIDDEN", reason: "no longer" })
        return "somebody"
      }
    })
    const client = await connecting(hub.url, { layer: recorder().layer })
    isKnown = false
    await (await hub.awaitConnection()).close()
    const end = await client.closed
    assert.strictEqual(end._tag === "Failed" && end.error.reason._tag, "HandshakeRefused")
    assert.strictEqual(outcomeOf(await rejection(client.fetch("/"))), "not-sent")
  })

  it("a signal closes a client that is connected", async () => {
    const hub = await listening()
    const controller = new AbortController()
    const client = await connect(hub.url, { layer: quickly, signal: controller.signal })
    controller.abort()
    assert.strictEqual((await client.closed)._tag, "Closed")
  })

  it("the end of `await using` closes, where the platform knows that", async () => {
    const { asyncDispose } = Symbol as { readonly asyncDispose?: symbol }
    if (asyncDispose === undefined) return
    const { client, connection, hub } = await join()
    for (const end of [connection, client, hub] as const) {
      await end[Symbol.asyncDispose]()
      await end.closed
    }
  })

  it("without that symbol everything else works", async () => {
    const own = Symbol
    const { asyncDispose: _, length: __, name: ___, prototype: ____, ...symbols } = Object.getOwnPropertyDescriptors(
      own
    )
    vi.stubGlobal("Symbol", Object.defineProperties((text?: string) => own(text), symbols))
    onTestFinished(() => void vi.unstubAllGlobals())
    const { client, hub } = await join()
    assert.notProperty(client, "undefined")
    await client.close()
    await hub.close()
  })
})

describe("listeners", () => {
  it("of connections are told of those that there are and those to come, each once", async () => {
    const { connection, hub } = await join()
    const seen: Array<HubConnection> = []
    hub.on("connection", (connection) => seen.push(connection))
    assert.lengthOf(seen, 0)
    await connecting(hub.url)
    await eventually("both are told", () => seen.length === 2)
    assert.deepStrictEqual(seen, [...hub.connections])
    assert.strictEqual(seen[0], connection)
    assert.strictEqual(hub.connection(connection.id), connection)
    assert.strictEqual(hub.find(({ id }) => id === seen[1]!.id), seen[1])
    assert.isUndefined(hub.connection("nobody"))
  })

  it("that throw or reject are logged, and hold up nobody", async () => {
    const { layer, lines } = recorder()
    const { hub } = await join({ hub: { layer } })
    const told = deferred()
    hub.on("connection", () => {
      throw new Error("boom at once")
    })
    hub.on("connection", async () => {
      throw new Error("boom later")
    })
    hub.on("connection", () => told.resolve())
    await told.promise
    await eventually("both are logged", () => lines.length === 2)
    for (const [index, said] of ["boom at once", "boom later"].entries()) {
      assert.include(lines[index]!, "a listener of \"connection\" has failed")
      assert.include(lines[index]!, said)
    }
  })

  it("once, off, a signal and the function that is answered end them", async () => {
    const { client, hub } = await join()
    const counts = { once: 0, off: 0, signal: 0, answered: 0, own: 0, stays: 0 }
    const count = (name: keyof typeof counts) => () => {
      counts[name]++
    }
    const off = count("off")
    hub.on("event", off)
    hub.off("event", off)
    const controller = new AbortController()
    hub.on("event", count("signal"), { signal: controller.signal })
    controller.abort()
    hub.on("event", count("signal"), { signal: controller.signal })
    hub.on("event", count("answered"))()
    hub.once("event", count("once"))
    const own = hub.on("event", () => {
      counts.own++
      own()
    })
    hub.on("event", count("stays"))
    client.reconnect()
    await eventually("the events are told", () => counts.stays === 3)
    assert.deepStrictEqual(counts, { once: 1, off: 0, signal: 0, answered: 0, own: 1, stays: 3 })
  })

  it("of what does not exist are told at once", async () => {
    const { client, hub } = await join()
    assert.throws(() => hub.on("connexion" as "connection", () => {}), TypeError, "there are connection, event")
    assert.throws(() => client.on("status", undefined as never), TypeError)
  })

  it("of a status are told what it is, each change, and the end", async () => {
    const { client, connection, hub } = await join()
    const statuses: Array<string> = []
    const ends: Array<string> = []
    const events: Array<string> = []
    client.on("status", ({ _tag }) => statuses.push(_tag))
    connection.on("status", (status) => ends.push(status))
    hub.on("event", ({ _tag }) => events.push(_tag))
    await eventually("the present is told", () => statuses.length === 1 && ends.length === 1 && events.length === 1)
    await client.close()
    assert.deepStrictEqual(statuses, ["Connected", "Stopped"])
    await eventually("the end is told", () => ends.at(-1) === "closed")
    await hub.close()
    assert.deepStrictEqual(events, ["ConnectionReceived", "ConnectionClosed"])
    hub.on("event", () => assert.fail("the hub is closed"))
  })

  it("are told how connections end when the hub is closed", async () => {
    const { hub } = await join({ client: { layer: recorder().layer } })
    const events: Array<string> = []
    hub.on("event", ({ _tag }) => events.push(_tag))
    await eventually("the present is told", () => events.length === 1)
    await hub.close()
    assert.deepStrictEqual(events, ["ConnectionReceived", "ConnectionClosed"])
  })
})
