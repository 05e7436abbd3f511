/**
 * Links over a stream of bytes (PROTOCOL.md, "Length prefix") with a peer that is in the hands of the test.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Limits from "effect-swaggersocket/Limits"
import * as Link from "effect-swaggersocket/Link"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"
import { Gate } from "../../src/internal/scheduling/gate.ts"

/** The end of a stream of bytes that a link has not. */
class Peer {
  readonly socket: Socket.Socket
  /** What the link has written. */
  written = ""
  /** The link has ended its stream, or has dropped the socket. */
  ended = false
  dropped = false
  /** Writes wait for it, and fail with it. The sizes of what each was given. */
  room: Effect.Effect<void, Socket.SocketError> = Effect.void
  readonly writes: Array<number> = []
  /** What the socket does when it is dropped. */
  closing: Effect.Effect<void> = Effect.void
  readonly #gate = new Gate()
  #pieces: Array<Uint8Array> = []
  #end: Socket.SocketError | undefined = undefined

  constructor() {
    const take = Effect.suspend(() => {
      const [first, ...rest] = this.#pieces
      this.#pieces = []
      return first === undefined ? Effect.fail(this.#end!) : Effect.succeed([first, ...rest] as const)
    })
    const pull = Effect.andThen(this.#gate.until(() => this.#pieces.length > 0 || this.#end !== undefined), take)
    const write = (chunk: Uint8Array | string | Socket.CloseEvent) =>
      Effect.suspend(() => {
        if (Socket.isCloseEvent(chunk)) {
          this.dropped = true
          return this.closing
        }
        this.written += Buffer.from(chunk as Uint8Array).toString("hex")
        return Effect.void
      })
    this.socket = Socket.make({
      reader: Effect.acquireRelease(
        Effect.succeed({ pull, upgrade: Socket.SocketUpgradeError.unsupported }),
        () => Effect.sync(() => this.end(1006))
      ),
      writer: Effect.acquireRelease(
        Effect.succeed({
          write,
          writeAll: (chunks) =>
            Effect.suspend(() => {
              this.writes.push(chunks.reduce((size, { length }) => size + length, 0))
              return Effect.andThen(this.room, Effect.forEach(chunks, write, { discard: true }))
            })
        }),
        () =>
          Effect.sync(() => {
            this.ended = true
          })
      )
    })
  }

  write(hex: string): void {
    this.#pieces.push(new Uint8Array(Buffer.from(hex.replaceAll(" ", ""), "hex")))
    this.#gate.notify()
  }

  end(code = 1000): void {
    this.#end ??= new Socket.SocketError({ reason: new Socket.SocketCloseError({ code }) })
    this.#gate.notify()
  }
}

const make = Effect.gen(function*() {
  const peer = new Peer()
  return { peer, link: yield* Link.fromSocket(peer.socket) }
})

/** How the link has ended: `code: reason` of a close. */
const endOf = (link: Link.Link) =>
  Effect.map(
    Effect.flip(link.pull),
    ({ message, reason }) => reason._tag === "SocketReadError" ? String(reason.cause) : message
  )

const long = (text: string) => text.length.toString(16).padStart(8, "0")

describe("links over a stream of bytes", () => {
  it.effect("write what PROTOCOL.md shows", () =>
    Effect.gen(function*() {
      const { link, peer } = yield* make
      link.send("hi")
      link.send(Uint8Array.of(1, 2, 3))
      link.close(1000, "")
      assert.strictEqual(peer.written, "010000000268690200000003010203080000000203e8")
      assert.isFalse(peer.ended)
      peer.write("08 00000002 03e8")
      assert.strictEqual(yield* endOf(link), "1000")
      assert.isTrue(peer.ended)
    }))

  it.effect("read messages that come in pieces of one byte, and several in one piece", () =>
    Effect.gen(function*() {
      const { link, peer } = yield* make
      const stream = "010000000268690200000001ff01000000000200000000"
      for (let at = 0; at < stream.length; at += 2) peer.write(stream.slice(at, at + 2))
      peer.write(stream)
      const messages: Array<unknown> = []
      while (messages.length < 8) messages.push(...(yield* link.pull))
      const once = ["hi", Uint8Array.of(0xff), "", new Uint8Array(0)]
      assert.deepStrictEqual(messages, [...once, ...once])
    }))

  const faults: ReadonlyArray<readonly [string, string, number]> = [
    ["a type that there is not", "03 00000001 00", 1002],
    ["the answer of an HTTP server", Buffer.from("HTTP/1.1 400 Bad Request\r\n").toString("hex"), 1002],
    ["a message above the limit", "02 00010001", 1009],
    ["the longest length there is", "01 ffffffff", 1009],
    ["text that is no UTF-8", "01 00000001 ff", 1007],
    ["a close without a code", "08 00000001 03", 1002],
    ["a close that is too long", "08 0000007e", 1002],
    ["a close with a code that is never sent", "08 00000002 03ee", 1002],
    ["a close with a code below 1000", "08 00000002 0000", 1002],
    ["a close whose reason is no UTF-8", "08 00000003 03e8ff", 1002]
  ]
  for (const [what, hex, code] of faults) {
    // PROTOCOL.md LNK-3
    it.effect(`close with ${code} for ${what}, behind the messages before it`, () =>
      Effect.gen(function*() {
        const { link, peer } = yield* make
        peer.write(`01 00000002 6869 ${hex} 01 00000001 61`)
        assert.deepStrictEqual(yield* link.pull, ["hi"])
        const end = yield* Effect.flip(link.pull)
        assert.deepInclude(end.reason, { _tag: "SocketCloseError", code })
        assert.match(peer.written, new RegExp(`^08000000..${code.toString(16).padStart(4, "0")}`))
        assert.isTrue(peer.ended && link.isFull())
        assert.strictEqual(link.send("more")?.reason._tag, "SocketWriteError")
      }))
  }

  // PROTOCOL.md LNK-2
  it.effect("take messages as long as the limit of messages, or of handshake messages", () =>
    Effect.gen(function*() {
      for (const limits of [{ maxMessageSize: 100_000 }, { maxHandshakeSize: 100_000 }]) {
        yield* Effect.gen(function*() {
          const { link, peer } = yield* make
          const text = "x".repeat(100_000)
          peer.write(`01${long(text)}${Buffer.from(text).toString("hex")}`)
          assert.deepStrictEqual(yield* link.pull, [text])
          peer.write("01 000186a1")
          assert.match(yield* endOf(link), /^1009/)
        }).pipe(Effect.provide(Limits.layer(limits)))
      }
    }))

  // PROTOCOL.md SEC-5
  it.effect("keep memory for what has arrived, and not for what a length promises", () =>
    Effect.gen(function*() {
      const links = yield* Effect.forEach(Array.from({ length: 200 }), () => make)
      const before = process.memoryUsage().arrayBuffers
      for (const { link, peer } of links) {
        yield* Effect.forkScoped(link.pull)
        peer.write("02 01000000 00")
      }
      yield* Effect.yieldNow
      assert.isBelow(process.memoryUsage().arrayBuffers - before, 8 * 1024 * 1024)
    }).pipe(Effect.provide(Limits.layer({ maxMessageSize: 16_777_216 }))))

  for (
    const [where, hex] of [["the header", "02 0000"], ["a message", "02 00000010 00"], ["no message", ""]] as const
  ) {
    // PROTOCOL.md LNK-5
    it.effect(`are lost when the stream ends in ${where}`, () =>
      Effect.gen(function*() {
        const { link, peer } = yield* make
        peer.write(`01 00000002 6869 ${hex}`)
        peer.end()
        assert.deepStrictEqual(yield* link.pull, ["hi"])
        assert.strictEqual(yield* endOf(link), "1006")
      }))
  }

  it.effect("are lost when a message does not go on arriving", () =>
    Effect.gen(function*() {
      const { link, peer } = yield* make
      const reader = yield* Effect.forkScoped(endOf(link))
      peer.write("02 00000010 00")
      yield* TestClock.adjust("29 seconds")
      peer.write("00")
      assert.isUndefined(reader.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      assert.match(yield* Fiber.join(reader), /messageTimeout/)
      assert.isTrue(peer.dropped)
    }))

  it.effect("take a message that arrives slowly, 64 KiB in time, and wait for nothing between messages", () =>
    Effect.gen(function*() {
      const { link, peer } = yield* make
      const reader = yield* Effect.forkScoped(link.pull)
      const piece = "00".repeat(70_000)
      peer.write(`02 ${(350_000).toString(16).padStart(8, "0")} ${piece}`)
      for (let pieces = 0; pieces < 4; pieces++) {
        yield* TestClock.adjust("29 seconds")
        assert.isUndefined(reader.pollUnsafe())
        peer.write(piece)
      }
      assert.strictEqual((yield* Fiber.join(reader))[0].length, 350_000)
      const next = yield* Effect.forkScoped(link.pull)
      yield* TestClock.adjust("10 minutes")
      assert.isFalse(link.isFull())
      peer.write("01 00000000")
      assert.deepStrictEqual(yield* Fiber.join(next), [""])
    }).pipe(Effect.provide(Limits.layer({ maxMessageSize: 400_000 }))))

  it.effect("are not lost while nobody reads them", () =>
    Effect.gen(function*() {
      const { link, peer } = yield* make
      const reader = yield* Effect.forkScoped(link.pull)
      peer.write("01 00000002 6869 02 00000002 00")
      assert.deepStrictEqual(yield* Fiber.join(reader), ["hi"])
      yield* TestClock.adjust("5 minutes")
      peer.write("00")
      assert.deepStrictEqual(yield* link.pull, [new Uint8Array(2)])
    }))

  it.effect("that are released wait 5 seconds for the peer to end its stream, and drop the socket then", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { link, peer } = yield* Scope.provide(make, scope)
      const reader = yield* Effect.forkScoped(endOf(link))
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(peer.written, "080000000203e8")
      yield* TestClock.adjust("4 seconds")
      assert.isFalse(peer.dropped)
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(peer.dropped)
      assert.strictEqual(yield* Fiber.join(reader), "1006")
    }))

  it.effect("that are released read on, and let go when the peer has ended its stream", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { link, peer } = yield* Scope.provide(make, scope)
      const reader = yield* Effect.forkScoped(link.pull)
      yield* Effect.yieldNow
      yield* Fiber.interrupt(reader)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Effect.flip(link.pull)).message, "1006")
      peer.write("01 00000001 61")
      yield* TestClock.adjust(0)
      assert.isFalse(peer.dropped)
      peer.end()
      yield* TestClock.adjust(0)
      assert.isTrue(peer.dropped)
    }))

  it.effect("that are released while somebody reads let go when the peer has ended its stream", () =>
    Effect.gen(function*() {
      for (const last of ["", "01 00000001 61"]) {
        const scope = yield* Scope.make()
        const { link, peer } = yield* Scope.provide(make, scope)
        yield* Effect.forkScoped(link.pull)
        yield* Effect.yieldNow
        yield* Scope.close(scope, Exit.void)
        if (last !== "") peer.write(last)
        yield* TestClock.adjust(0)
        assert.isFalse(peer.dropped)
        peer.end()
        yield* TestClock.adjust(0)
        assert.isTrue(peer.dropped)
      }
    }))

  it.effect("are dropped without waiting for the socket", () =>
    Effect.gen(function*() {
      const { link, peer } = yield* make
      let interrupted = false
      peer.closing = Effect.onInterrupt(Effect.never, () =>
        Effect.sync(() => {
          interrupted = true
        }))
      ;(link as unknown as { readonly hangUp: () => void }).hangUp()
      assert.isTrue(peer.dropped && interrupted)
      assert.strictEqual(yield* endOf(link), "1006")
    }))

  // PROTOCOL.md LNK-4
  it.effect("answer a close with its code alone, and a fault with what it is", () =>
    Effect.gen(function*() {
      const [closed, faulty] = [yield* make, yield* make]
      closed.peer.write("08 00000003 03e9 61")
      assert.strictEqual((yield* Effect.flip(closed.link.pull)).message, "1001: a")
      assert.strictEqual(closed.peer.written, "080000000203e9")
      faulty.peer.write("03 00000000")
      yield* Effect.flip(faulty.link.pull)
      assert.isAbove(faulty.peer.written.length, "080000000203ea".length)
    }))

  it.effect("are lost when a later message does not go on", () =>
    Effect.gen(function*() {
      const { link, peer } = yield* make
      yield* Effect.forkScoped(Effect.forever(link.pull))
      yield* Effect.yieldNow
      peer.write("02 00000002 00")
      yield* TestClock.adjust("1 second")
      peer.write("00")
      yield* TestClock.adjust("1 minute")
      assert.isFalse(link.isFull())
      peer.write("02 00000002 00")
      yield* TestClock.adjust("29 seconds")
      assert.isFalse(link.isFull())
      yield* TestClock.adjust("1 second")
      assert.isTrue(link.isFull())
    }))

  it.effect("are let go at once when they were lost before", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { link, peer } = yield* Scope.provide(make, scope)
      peer.end()
      assert.strictEqual(yield* endOf(link), "1006")
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(peer.dropped)
      assert.strictEqual(peer.written, "")
    }))

  it.effect("are lost when a message brings less than 64 KiB in time, and not while one follows the other", () =>
    Effect.gen(function*() {
      const begin = (bytes: number) => `02 ${(350_000).toString(16).padStart(8, "0")} ${"00".repeat(bytes)}`
      for (const [more, isLost] of [[65_536, false], [65_535, true]] as const) {
        const { link, peer } = yield* make
        yield* Effect.forkScoped(endOf(link))
        yield* Effect.yieldNow
        peer.write(begin(60_000))
        yield* TestClock.adjust("29 seconds")
        peer.write("00".repeat(more))
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(link.isFull(), isLost)
      }

      const { link, peer } = yield* make
      yield* Effect.forkScoped(Effect.forever(link.pull))
      yield* Effect.yieldNow
      peer.write("02 00000002 00")
      for (let messages = 0; messages < 4; messages++) {
        yield* TestClock.adjust("29 seconds")
        peer.write("00 02 00000002 00")
        assert.isFalse(link.isFull())
      }
    }).pipe(Effect.provide(Limits.layer({ maxMessageSize: 400_000 }))))

  it.effect("close the reader of a socket that can't be written", () =>
    Effect.gen(function*() {
      let isOpen = false
      const error = new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause: new Error("why") }) })
      const socket = Socket.make({
        reader: Effect.acquireRelease(
          Effect.sync(() => {
            isOpen = true
            return { pull: Effect.never, upgrade: Socket.SocketUpgradeError.unsupported }
          }),
          () =>
            Effect.sync(() => {
              isOpen = false
            })
        ),
        writer: Effect.die(error)
      })
      assert.isTrue(Exit.hasDies(yield* Effect.exit(Link.fromSocket(socket))))
      assert.isFalse(isOpen)
    }))
})

it.effect("opening a socket can be given up", () =>
  Effect.gen(function*() {
    const socket = Socket.make({ reader: Effect.never, writer: Effect.never })
    const opening = yield* Effect.forkChild(Effect.scoped(Link.fromSocket(socket)), { startImmediately: true })
    const given = yield* Effect.forkChild(Fiber.interrupt(opening), { startImmediately: true })
    for (let steps = 0; steps < 10; steps++) yield* Effect.yieldNow
    assert.isDefined(given.pollUnsafe())
  }))

describe("writing to a stream of bytes", () => {
  const size = 64 * 1024

  it.effect("hands on 64 KiB or more at a time, and tells once when there is room", () =>
    Effect.gen(function*() {
      const { link, peer } = yield* make
      const [first, second] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      peer.room = Deferred.await(first)
      let told = 0
      link.send(new Uint8Array(10))
      for (let sent = 0; sent < 3; sent++) link.send(new Uint8Array(size - 10))
      assert.isTrue(link.isFull())
      assert.isFalse(link.isEmpty?.())
      link.onRoom(() => told++)
      assert.deepStrictEqual([peer.writes, link.taken?.(), told], [[15], 0, 0])
      peer.room = Deferred.await(second)
      yield* Deferred.succeed(first, undefined)
      yield* TestClock.adjust(0)
      // A header has five bytes: those of the next message make the first one 64 KiB.
      assert.deepStrictEqual([peer.writes, link.taken?.(), told], [[15, size], 15, 0])
      assert.isTrue(link.isFull())
      peer.room = Effect.void
      yield* Deferred.succeed(second, undefined)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(peer.writes, [15, size, 2 * (size - 10) + 5])
      assert.strictEqual(link.taken?.(), 15 + 3 * (size - 5))
      assert.isFalse(link.isFull())
      assert.strictEqual(told, 1)
      link.send("more")
      assert.strictEqual(told, 1)
    }))

  it.effect("is full above 128 KiB", () =>
    Effect.gen(function*() {
      const { link, peer } = yield* make
      peer.room = Effect.never
      link.send(new Uint8Array(2 * size - 10))
      link.send("")
      assert.isFalse(link.isFull())
      link.send("")
      assert.isTrue(link.isFull())
    }))

  it.effect("holds back until it is told, and a close until what was sent has left", () =>
    Effect.gen(function*() {
      const { link, peer } = yield* make
      link.cork?.()
      link.send("a")
      link.send("b")
      assert.deepStrictEqual(peer.writes, [])
      link.uncork?.()
      assert.deepStrictEqual(peer.writes, [12])
      const room = yield* Deferred.make<void>()
      peer.room = Deferred.await(room)
      link.send("c")
      link.close(1000, "")
      link.close(1001, "")
      peer.write("08 00000002 03e8")
      assert.strictEqual(yield* endOf(link), "1000")
      assert.isFalse(peer.ended)
      peer.room = Effect.void
      yield* Deferred.succeed(room, undefined)
      yield* TestClock.adjust(0)
      assert.isTrue(peer.ended)
      assert.isTrue(peer.written.endsWith("010000000163080000000203e8"))
    }))

  it.effect("is lost when a write fails, and so is what waits", () =>
    Effect.gen(function*() {
      const { link, peer } = yield* make
      const room = yield* Deferred.make<void, Socket.SocketError>()
      peer.room = Deferred.await(room)
      link.send("a")
      link.send("b")
      yield* Deferred.fail(room, new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause: "why" }) }))
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(peer.writes, [6])
      assert.isTrue(link.isFull())
      assert.strictEqual(link.send("c")?.reason._tag, "SocketWriteError")
      assert.strictEqual(yield* endOf(link), "1006")
      link.close(1000, "")
      assert.deepStrictEqual(peer.writes, [6])
    }))
})
