/**
 * Links over a `MessagePort` that is in the hands of the test: what is told and when, and what is let go.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Limits from "effect-swaggersocket/Limits"
import * as Link from "effect-swaggersocket/Link"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"

type Listener = (event: { readonly data?: unknown }) => void

class FakePort implements Link.MessagePortLike {
  readonly posted: Array<unknown> = []
  readonly transferred: Array<unknown> = []
  readonly calls: Array<string> = []
  readonly listeners = new Map<string, Listener>()
  /** Posting fails with it. */
  error: Error | undefined = undefined

  postMessage(message: unknown, transfer: Array<ArrayBuffer>): void {
    if (this.error !== undefined) throw this.error
    this.posted.push(message)
    this.transferred.push(...transfer)
  }

  addEventListener(type: string, listener: Listener): void {
    this.listeners.set(type, listener)
  }

  removeEventListener(type: string, listener: Listener): void {
    if (this.listeners.get(type) === listener) this.listeners.delete(type)
  }

  start(): void {
    this.calls.push(`start with ${[...this.listeners.keys()].join(", ")}`)
  }

  close(): void {
    this.calls.push("close")
  }

  give(data: unknown): void {
    this.listeners.get("message")?.({ data })
  }
}

const make = Effect.gen(function*() {
  const port = new FakePort()
  return { port, link: yield* Link.fromMessagePort(port) }
})

/** As the connection sees it. */
const hangUp = (link: Link.Link) => (link as unknown as { readonly hangUp: () => void }).hangUp()

const endOf = (link: Link.Link) => Effect.map(Effect.flip(link.pull), ({ reason }) => reason)

/** What a message of so many bytes counts as. */
const cost = (length: number) => length + 64

describe("a link over a port", () => {
  it.effect("listens before it starts the port, and lets go of both when it ends", () =>
    Effect.gen(function*() {
      const { link, port } = yield* make
      assert.deepStrictEqual(port.calls, ["start with message, messageerror, close"])
      link.terminate()
      assert.deepStrictEqual(port.posted, [[1006, ""]])
      link.terminate()
      assert.strictEqual(port.posted.length, 1)
      assert.deepStrictEqual(port.calls.slice(1), ["close"])
      assert.strictEqual(port.listeners.size, 0)
      assert.deepInclude(yield* endOf(link), { _tag: "SocketCloseError", code: 1006 })
    }))

  it.effect("is over a port that has nothing to start or close as well", () =>
    Effect.gen(function*() {
      const port = new FakePort()
      const least: Link.MessagePortLike = {
        postMessage: (message, transfer) => port.postMessage(message, transfer),
        addEventListener: (type, listener) => port.addEventListener(type, listener),
        removeEventListener: (type, listener) => port.removeEventListener(type, listener)
      }
      const link = yield* Link.fromMessagePort(least)
      port.give("a")
      assert.deepStrictEqual(yield* link.pull, ["a"])
      link.terminate()
      assert.strictEqual(port.listeners.size, 0)
    }))

  it.effect("ends when the port closes, or when a value can't be read", () =>
    Effect.gen(function*() {
      const [closed, unread] = [yield* make, yield* make]
      closed.port.listeners.get("close")!({})
      assert.deepInclude(yield* endOf(closed.link), { _tag: "SocketCloseError", code: 1006 })
      assert.deepStrictEqual(closed.port.posted, [])
      unread.port.listeners.get("messageerror")!({})
      assert.deepInclude(yield* endOf(unread.link), { _tag: "SocketCloseError", code: 1002 })
      assert.strictEqual((unread.port.posted[0] as ReadonlyArray<unknown>)[0], 1002)
    }))

  it.effect("is released with a close of its own where nobody has closed it", () =>
    Effect.gen(function*() {
      const released = (use: (link: Link.Link, port: FakePort) => void) =>
        Effect.gen(function*() {
          const scope = yield* Scope.make()
          const { link, port } = yield* Scope.provide(make, scope)
          use(link, port)
          yield* Scope.close(scope, Exit.void)
          return port
        })
      const open = yield* released(() => {})
      assert.deepStrictEqual([open.posted, open.calls[1]], [[[1000, ""]], "close"])
      assert.deepStrictEqual((yield* released((link) => link.close(4000, "a"))).posted, [[4000, "a"]])
      assert.deepStrictEqual((yield* released((_, port) => port.give([1006, ""]))).posted, [])
    }))

  it.effect("answers a close with the same code, and a lost link with nothing", () =>
    Effect.gen(function*() {
      const [closed, lost, crossed] = [yield* make, yield* make, yield* make]
      closed.port.give([4001, "a"])
      assert.deepStrictEqual(closed.port.posted, [[4001, ""]])
      assert.deepInclude(yield* endOf(closed.link), { code: 4001, closeReason: "a" })
      lost.port.give([1006, ""])
      assert.deepStrictEqual(lost.port.posted, [])
      crossed.link.close(4002, "b")
      crossed.link.close(4003, "c")
      assert.strictEqual(crossed.link.send("more")?.reason._tag, "SocketWriteError")
      crossed.port.give("before")
      crossed.port.give([4001, "a"])
      assert.deepStrictEqual(crossed.port.posted, [[4002, "b"]])
      assert.deepStrictEqual(yield* crossed.link.pull, ["before"])
      assert.deepInclude(yield* endOf(crossed.link), { code: 4001 })
    }))

  const faults: ReadonlyArray<readonly [string, unknown]> = [
    ["a list of one", [1000]],
    ["a list of three", [1000, "", ""]],
    ["a code that is no number", ["1000", ""]],
    ["a reason that is no text", [1000, 1]],
    ["nothing", null],
    ["credit of nothing", 0],
    ["negative credit", -1],
    ["half a byte of credit", 0.5]
  ]
  for (const [what, value] of faults) {
    it.effect(`closes with 1002 for ${what}`, () =>
      Effect.gen(function*() {
        const { link, port } = yield* make
        link.send("0123456789")
        port.give(value)
        assert.deepInclude(yield* endOf(link), { _tag: "SocketCloseError", code: 1002 })
      }))
  }

  it.effect("takes a reason of 123 characters, and a message of the largest size", () =>
    Effect.gen(function*() {
      const [closed, full] = [yield* make, yield* make]
      closed.port.give([1000, "x".repeat(123)])
      assert.deepInclude(yield* endOf(closed.link), { code: 1000, closeReason: "x".repeat(123) })
      full.port.give("x".repeat(100_000))
      assert.strictEqual((yield* full.link.pull)[0].length, 100_000)
    }).pipe(Effect.provide(Limits.layer({ maxMessageSize: 100_000 }))))

  it.effect("may have 1 MiB unread besides a message", () =>
    Effect.gen(function*() {
      const { link, port } = yield* make
      const room = 1024 * 1024 + 65_536
      const whole = Math.floor(room / cost(65_536))
      for (let sent = 0; sent < whole; sent++) port.give(new ArrayBuffer(65_536))
      port.give(new ArrayBuffer(room - whole * cost(65_536) - 64))
      assert.isFalse(link.isFull())
      assert.strictEqual((yield* link.pull).length, whole + 1)
      for (let sent = 0; sent < whole; sent++) port.give(new ArrayBuffer(65_536))
      port.give(new ArrayBuffer(room - whole * cost(65_536) - 63))
      assert.strictEqual((yield* link.pull).length, whole)
      assert.deepInclude(yield* endOf(link), { _tag: "SocketCloseError", code: 1008 })
    }).pipe(Effect.provide(Limits.layer({ maxMessageSize: 65_536, maxHandshakeSize: 65_536 }))))

  it.effect("tells what was read once it is 32 KiB, and nothing behind its end", () =>
    Effect.gen(function*() {
      const { link, port } = yield* make
      const half = 16 * 1024 - 64
      for (const told of [[], [32_768], [32_768], [32_768, 32_768]]) {
        port.give(new ArrayBuffer(half))
        yield* link.pull
        assert.deepStrictEqual(port.posted, told)
      }
      port.give(new ArrayBuffer(32_768))
      port.give([1006, ""])
      yield* link.pull
      assert.strictEqual(port.posted.length, 2)
    }))

  it.effect("waits for what comes, and gives what has come at once", () =>
    Effect.gen(function*() {
      const { link, port } = yield* make
      const reader = yield* Effect.forkScoped(link.pull)
      yield* Effect.yieldNow
      port.give("a")
      assert.deepStrictEqual(yield* Fiber.join(reader), ["a"])
      port.give("b")
      port.give("c")
      assert.deepStrictEqual(yield* link.pull, ["b", "c"])
    }))
})

describe("writing to a port", () => {
  it.effect("counts what the peer has not read, and tells once when there is room", () =>
    Effect.gen(function*() {
      const { link, port } = yield* make
      assert.isTrue(link.isEmpty?.())
      const bytes = 128 * 1024 - 64
      link.send(new Uint8Array(bytes))
      assert.isFalse(link.isFull())
      link.send("")
      assert.isTrue(link.isFull())
      const told: Array<string> = []
      link.onRoom(() => told.push("first"))
      link.onRoom(() => told.push("second"))
      link.send("12345678")
      port.give(72)
      assert.deepStrictEqual([link.taken?.(), told], [72, []])
      assert.isTrue(link.isFull())
      port.give(64)
      assert.deepStrictEqual([link.taken?.(), told], [136, ["second"]])
      assert.isFalse(link.isFull())
      port.give(cost(bytes))
      assert.deepStrictEqual(told, ["second"])
    }))

  it.effect("hands over a copy of the bytes, and nothing of a text", () =>
    Effect.gen(function*() {
      const { link, port } = yield* make
      link.send("a")
      assert.deepStrictEqual(port.transferred, [])
      link.send(new Uint8Array(3))
      assert.strictEqual(port.transferred[0], port.posted[1])
      assert.strictEqual((port.posted[1] as ArrayBuffer).byteLength, 3)
    }))

  it.effect("is over, and full, once the link has ended", () =>
    Effect.gen(function*() {
      const [closed, ended, dropped] = [yield* make, yield* make, yield* make]
      closed.link.close(1000, "")
      hangUp(dropped.link)
      ended.port.give([1006, ""])
      for (const { link, port } of [closed, ended, dropped]) {
        const { length } = port.posted
        assert.isTrue(link.isFull())
        assert.strictEqual(link.send("a")?.reason._tag, "SocketWriteError")
        assert.strictEqual(port.posted.length, length)
      }
    }))

  it.effect("answers why a port takes nothing", () =>
    Effect.gen(function*() {
      const { link, port } = yield* make
      port.error = new Error("why")
      assert.deepInclude(link.send("a")?.reason, { _tag: "SocketWriteError", cause: port.error })
    }))
})
