/**
 * The proxy does what the other tests ask of it, shown with plain sockets.
 */
import { assert, describe, it } from "@effect/vitest"
import * as FaultProxy from "effect-swaggersocket/testing/FaultProxy"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import { faultsOf, Random } from "../faults/random.ts"
import { MiB } from "../support/bodies.ts"
import { eventually } from "../support/waiting.ts"

/** One end of a link, and what arrives there. */
class End {
  readonly socket: Net.Socket
  readonly chunks: Array<Buffer> = []
  ended = false
  error: string | undefined = undefined
  closed = false

  constructor(socket: Net.Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.on("data", (chunk: Buffer) => this.chunks.push(chunk))
    socket.on("end", () => {
      this.ended = true
    })
    socket.on("error", (error: NodeJS.ErrnoException) => {
      this.error = error.code
    })
    socket.on("close", () => {
      this.closed = true
    })
  }

  get received(): Buffer {
    return Buffer.concat(this.chunks)
  }

  get text(): string {
    return this.received.toString("latin1")
  }
}

/** Listens on a port of its own. */
const listen = Effect.map(
  Effect.acquireRelease(
    Effect.callback<{ readonly server: Net.Server; readonly ends: Array<End> }>((resume) => {
      const ends: Array<End> = []
      const server = Net.createServer({ allowHalfOpen: true }, (socket) => ends.push(new End(socket)))
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed({ server, ends })))
    }),
    ({ ends, server }) =>
      Effect.sync(() => {
        for (const { socket } of ends) socket.destroy()
        server.close()
      })
  ),
  ({ ends, server }) => ({ ends, url: `ws://127.0.0.1:${(server.address() as Net.AddressInfo).port}/` })
)

const dial = (url: string): Effect.Effect<End, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() =>
      new End(Net.connect({ port: Number(new URL(url).port), host: "127.0.0.1", allowHalfOpen: true }))
    ),
    ({ socket }) => Effect.sync(() => socket.resetAndDestroy())
  )

const connect = Effect.fnUntraced(function*(faults: FaultProxy.Options["faults"] = undefined) {
  const { ends, url } = yield* listen
  const proxy = yield* FaultProxy.make({ target: url, faults })
  const next = Effect.gen(function*() {
    const before = ends.length
    const client = yield* dial(proxy.url)
    yield* eventually(() => assert.lengthOf(ends, before + 1))
    return { client, server: ends[before]! }
  })
  return { proxy, next, ...yield* next }
})

const head = "GET / HTTP/1.1\r\nhost: here\r\n\r\n"

describe("proxy of the fault tests", () => {
  it.live("the proxy forwards both ways, ends included, and counts bytes", () =>
    Effect.gen(function*() {
      const { client, proxy, server } = yield* connect()
      const sent = Buffer.from(new Random(1).bytes(MiB))
      client.socket.write(sent)
      server.socket.write("answer")
      yield* eventually(() => {
        assert.strictEqual(server.received.length, sent.length)
        assert.strictEqual(client.text, "answer")
      })
      assert.isTrue(server.received.equals(sent))
      client.socket.end()
      yield* eventually(() => assert.isTrue(server.ended))
      server.socket.end("more")
      yield* proxy.until(() => proxy.links.length === 0)
      yield* eventually(() => assert.isTrue(client.closed && server.closed))
      assert.strictEqual(client.text, "answermore")
      assert.deepStrictEqual([client.error, server.error], [undefined, undefined])
      assert.deepStrictEqual([proxy.bytes("up"), proxy.bytes("down")], [sent.length, 10])
      assert.strictEqual(proxy.broken, 0)
    }))

  it.live("the proxy passes a reset on", () =>
    Effect.gen(function*() {
      const { client, proxy, server } = yield* connect()
      server.socket.resetAndDestroy()
      yield* eventually(() => assert.strictEqual(client.error, "ECONNRESET"))
      yield* proxy.until(() => proxy.links.length === 0)
    }))

  for (const how of ["reset", "end"] as const) {
    it.live(`the proxy cuts by ${how}`, () =>
      Effect.gen(function*() {
        const { client, proxy, server } = yield* connect()
        yield* proxy.cut(how)
        yield* eventually(() => {
          for (const end of [client, server]) {
            assert.strictEqual(end.error, how === "reset" ? "ECONNRESET" : undefined)
            assert.isTrue(how === "reset" || end.ended)
          }
        })
        yield* proxy.until(() => proxy.links.length === 0)
        assert.strictEqual(proxy.broken, 1)
      }))

    for (const from of ["link", "upgrade"] as const) {
      for (const [direction, written] of [["up", "in one piece"], ["down", "byte by byte"]] as const) {
        it.live(`the proxy truncates ${direction} at each byte counted from the ${from}, ${written}, by ${how}`, () =>
          Effect.gen(function*() {
            const traffic = "0123456789"
            const skipped = from === "upgrade" ? head : ""
            // A link without a byte may never have been one.
            const least = from === "upgrade" ? 0 : 1
            const { next } = yield* connect((index) =>
              index === 0 ? [] : [{ direction, at: index - 1 + least, from, fault: { _tag: "truncate", how } }]
            )
            for (let at = least; at <= traffic.length; at++) {
              const { client, server } = yield* next
              const [sender, receiver] = direction === "up" ? [client, server] : [server, client]
              // What nobody reads must not make a reset of the end.
              receiver.socket.write("unread")
              const all = skipped + traffic
              for (const piece of written === "in one piece" ? [all] : all) sender.socket.write(piece)
              yield* eventually(() => assert.isTrue(receiver.ended))
              assert.strictEqual(receiver.text, skipped + traffic.slice(0, at))
              assert.isUndefined(receiver.error)
              yield* eventually(() => assert.isTrue(sender.ended || sender.error !== undefined))
              receiver.socket.end()
            }
          }))
      }
    }
  }

  it.live("the proxy truncates far from the beginning, with more bytes in flight than sockets hold", () =>
    Effect.gen(function*() {
      const at = 9 * MiB + 1
      const { client, server } = yield* connect(
        () => [{ direction: "up", at, from: "link", fault: { _tag: "truncate" } }]
      )
      server.socket.pause()
      const sent = Buffer.from(new Random(2).bytes(MiB))
      for (let index = 0; index < 12; index++) client.socket.write(sent)
      yield* eventually(() => assert.isBelow(client.socket.writableLength, 12 * MiB))
      server.socket.resume()
      yield* eventually(() => assert.isTrue(server.ended))
      assert.strictEqual(server.received.length, at)
      assert.strictEqual(server.received.at(-1), sent[0])
    }))

  it.live("the proxy stalls one direction, and lets it go on", () =>
    Effect.gen(function*() {
      const { client, proxy, server } = yield* connect()
      yield* proxy.strike({ _tag: "stall", millis: 600_000, directions: ["up"] })
      client.socket.write("late")
      server.socket.write("early")
      yield* eventually(() => assert.strictEqual(client.text, "early"))
      assert.strictEqual(server.text, "")
      yield* proxy.strike({ _tag: "stall", millis: 20, directions: ["up"] })
      yield* eventually(() => assert.strictEqual(server.text, "late"))
    }))

  it.live("the proxy silences one direction for good, the end of the socket included", () =>
    Effect.gen(function*() {
      const { client, proxy, server } = yield* connect()
      yield* proxy.strike({ _tag: "halfOpen", directions: ["up"] })
      client.socket.write("never")
      server.socket.write("still")
      yield* eventually(() => assert.strictEqual(client.text, "still"))
      client.socket.resetAndDestroy()
      const { client: other, server: reached } = yield* dialAgain(proxy)
      // Whatever the first client has sent would be there by now.
      assert.deepStrictEqual([server.text, server.ended, server.error], ["", false, undefined])
      assert.isFalse(other.closed || reached.closed)
      yield* proxy.cut()
      yield* eventually(() => assert.isTrue(server.closed))
    }))

  it.live("the proxy delays bytes, and keeps their order", () =>
    Effect.gen(function*() {
      const { client, proxy, server } = yield* connect()
      yield* proxy.strike({ _tag: "delay", millis: 40 })
      const start = performance.now()
      client.socket.write("one ")
      // The proxy reads it within a turn or two of the event loop: on loopback it is there once it is written.
      for (let turn = 0; turn < 20; turn++) {
        yield* Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
      }
      yield* proxy.strike({ _tag: "delay", millis: 0 })
      client.socket.write("two")
      client.socket.end()
      yield* eventually(() => assert.isTrue(server.ended))
      assert.strictEqual(server.text, "one two")
      assert.isAtLeast(performance.now() - start, 39)
    }))

  it.live("the proxy delivers bytes in pieces", () =>
    Effect.gen(function*() {
      const { client, proxy, server } = yield* connect()
      yield* proxy.strike({ _tag: "fragment", size: 3, directions: ["up"] })
      client.socket.write("0123456789")
      yield* eventually(() => assert.strictEqual(server.text, "0123456789"))
      assert.isAbove(server.chunks.length, 1)
      assert.isAtMost(Math.max(...server.chunks.map(({ length }) => length)), 9)
    }))

  it.live("the proxy refuses links, and leads them to another target", () =>
    Effect.gen(function*() {
      const { client, proxy, server } = yield* connect()
      yield* proxy.refuse(true)
      const refused = yield* dial(proxy.url)
      yield* eventually(() => assert.strictEqual(refused.error, "ECONNRESET"))
      assert.deepStrictEqual([proxy.refused, proxy.attempts.length], [1, 2])
      yield* proxy.refuse(false)
      const other = yield* listen
      yield* proxy.target(other.url)
      const moved = yield* dial(proxy.url)
      moved.socket.write("hello")
      yield* eventually(() => assert.strictEqual(other.ends[0]?.text, "hello"))
      // Those who were there stay.
      client.socket.write("still here")
      yield* eventually(() => assert.strictEqual(server.text, "still here"))
    }))

  it.live("the proxy resets a client whose target is gone", () =>
    Effect.gen(function*() {
      const { proxy } = yield* connect()
      const { url } = yield* Effect.scoped(listen)
      yield* proxy.target(url)
      const client = yield* dial(proxy.url)
      yield* eventually(() => assert.strictEqual(client.error, "ECONNRESET"))
    }))

  it("a seed always plans the same faults", () => {
    const plan = (seed: number) => {
      const random = new Random(seed)
      return Array.from({ length: 100 }, () => faultsOf(random, { bytes: 1e6, silence: 0.1 }))
    }
    assert.deepStrictEqual(plan(7), plan(7))
    assert.notDeepEqual(plan(7), plan(8))
    const kinds = new Set(plan(7).flat().map(({ fault }) => fault._tag))
    assert.deepStrictEqual([...kinds].sort(), ["cut", "delay", "fragment", "halfOpen", "stall", "truncate"])
  })
})

/** Another link of the same proxy, once it has carried something. */
const dialAgain = Effect.fnUntraced(function*(proxy: FaultProxy.FaultProxy) {
  const { ends, url } = yield* listen
  yield* proxy.target(url)
  const client = yield* dial(proxy.url)
  client.socket.write("arrived")
  yield* eventually(() => assert.strictEqual(ends[0]?.text, "arrived"))
  return { client, server: ends[0]! }
})
