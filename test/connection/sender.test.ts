/**
 * How messages leave on links: together, as long as there is room, in order.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { Sender } from "../../src/internal/connection/sender.ts"
import type { Link } from "../../src/internal/link/link.ts"
import { randomness } from "../../src/internal/scheduling/random.ts"
import { Session } from "../../src/internal/session/session.ts"
import type { Multiplexed } from "../../src/internal/streams/multiplexed.ts"
import { make as makeV1 } from "../../src/internal/v1/wire.ts"
import * as Limits from "../../src/Limits.ts"

/** A link with room for so many messages before they leave, which tells what it is asked to do. */
const linkOf = (room = Infinity) => {
  const log: Array<string> = []
  let held = 0
  let taken = 0
  let corked = false
  let resume = () => {}
  const link = {
    send: (message: Uint8Array) => {
      log.push(`send ${message[0]}`)
      held++
    },
    cork: () => {
      log.push("cork")
      corked = true
    },
    uncork: () => {
      log.push("uncork")
      corked = false
    },
    isFull: () => held >= room,
    isEmpty: () => held === 0 && !corked,
    taken: () => taken,
    onRoom: (run: () => void) => {
      log.push("wait")
      resume = run
    }
  } as unknown as Link
  return {
    link,
    log,
    /** Some bytes of what it holds leave, and no message as a whole. */
    take() {
      taken++
    },
    drain() {
      held = 0
      resume()
    }
  }
}

const connectionOf = (
  mux: Multiplexed,
  onSendError: (error: Error) => void = () => {},
  afterSendTimeout: (run: () => void) => void = () => {}
) => ({
  mux,
  die(defect: unknown) {
    throw defect
  },
  onSendError,
  afterSendTimeout
})

const senderOf = (messages: Array<number>, onPull = () => {}) => {
  const mux = {
    pull() {
      onPull()
      const message = messages.shift()
      return message === undefined ? undefined : new Uint8Array([message])
    }
  } as unknown as Multiplexed
  return new Sender(undefined, connectionOf(mux))
}

const aTurn = () => new Promise<void>((resolve) => setImmediate(resolve))

describe("Sender", () => {
  it("messages queued in one turn leave at its end, in one piece", async () => {
    const messages = [1, 2]
    const sender = senderOf(messages)
    const { link, log } = linkOf()
    sender.use(link)
    messages.push(3)
    assert.deepStrictEqual(log, [])
    await Promise.resolve()
    assert.deepStrictEqual(log, ["cork", "send 1", "send 2", "send 3", "uncork"])
  })

  it("a full link is asked for room once, and nothing is held back while it is", () => {
    const sender = senderOf([1, 2, 3])
    const { drain, link, log } = linkOf(2)
    sender.use(link)
    sender.flush()
    for (let i = 0; i < 3; i++) {
      sender.schedule()
      sender.flush()
      sender.send()
    }
    assert.deepStrictEqual(log, ["cork", "send 1", "send 2", "uncork", "wait"])
    drain()
    assert.deepStrictEqual(log.slice(5), ["cork", "send 3", "uncork"])
  })

  it("messages that a pull causes do not overtake the message that it returns", () => {
    const { link, log } = linkOf()
    const sender: Sender = senderOf([1, 2], () => sender.send())
    sender.use(link)
    sender.flush()
    assert.deepStrictEqual(log, ["cork", "send 1", "send 2", "uncork"])
  })

  it("a link that was replaced during a flush gets no more messages, and the next link gets the rest", async () => {
    const messages = [1, 2, 3]
    const one = linkOf()
    const other = linkOf()
    const sender: Sender = senderOf(messages, () => {
      if (messages[0] === 2) sender.use(other.link)
    })
    sender.use(one.link)
    sender.flush()
    await Promise.resolve()
    // The second was pulled meanwhile: it is up to the session to send it again.
    assert.deepStrictEqual(one.log, ["cork", "send 1", "uncork"])
    assert.deepStrictEqual(other.log, ["cork", "send 3", "uncork"])
  })

  it("a link that accepts everything at once leaves others their turn", async () => {
    const enough = 100_000
    let pulled = 0
    const mux = { pull: () => pulled++ < enough ? new Uint8Array(16 * 1024) : undefined } as unknown as Multiplexed
    const sender = new Sender(undefined, connectionOf(mux))
    const { link } = linkOf()
    // As fast as a socket of this machine.
    const send = (message: Uint8Array | string): undefined => void new Uint8Array(message as Uint8Array)
    const atNextTurn = new Promise<number>((resolve) => setImmediate(() => resolve(pulled)))
    sender.use({ ...link, send })
    assert.isBelow(await atNextTurn, enough)
    const soFar = pulled
    await aTurn()
    assert.isAbove(pulled, soFar, "it goes on in later turns")
    sender.use(undefined)
    await aTurn()
  })

  it("a GOAWAY before the close is written at once, even while other messages wait for their turn", async () => {
    let last = false
    let pulled = 0
    const mux = {
      pull: () => new Uint8Array([last ? 1 : 0, ...new Uint8Array(pulled++ < 100_000 ? 16383 : 0)])
    } as unknown as Multiplexed
    const sender = new Sender(undefined, connectionOf(mux))
    const { link } = linkOf()
    let seen = false
    const send = (message: Uint8Array | string): undefined => void (seen ||= message[0] === 1)
    sender.use({ ...link, send })
    await Promise.resolve()
    last = true
    sender.send()
    assert.isTrue(seen)
    sender.use(undefined)
    await aTurn()
  })

  it("a full link that accepts nothing until the timeout is given up; one that accepts something is not", () => {
    let timeout = () => {}
    let timers = 0
    const errors: Array<string> = []
    const messages = Array.from({ length: 100 }, (_, index) => index)
    const mux = { pull: () => new Uint8Array([messages.shift()!]) } as unknown as Multiplexed
    const sender = new Sender(
      undefined,
      connectionOf(mux, (error) => errors.push(error.message), (run) => {
        timers++
        timeout = run
      })
    )
    const { drain, link } = linkOf(2)
    sender.use(link)
    sender.flush()
    drain()
    drain()
    assert.strictEqual(timers, 1, "one at a time")
    timeout()
    assert.deepStrictEqual([errors, timers], [[], 2])
    timeout()
    assert.strictEqual(errors.length, 1)
    assert.include(errors[0], "sendTimeout")
  })

  it("an ACK that is due goes out after link messages, and not after counted ones", async () => {
    const [ack, credit, ping, pong] = [0x12, 0x04, 0x10, 0x11]
    const session = new Session(1_000_000, 1_000_000)
    const messages: Array<number> = []
    const mux = {
      pull() {
        const type = messages.shift()
        return type === undefined ? undefined : new Uint8Array([type])
      }
    } as unknown as Multiplexed
    const sender = new Sender(session, connectionOf(mux))
    const { link, log } = linkOf()
    const leaves = async (...types: Array<number>) => {
      log.length = 0
      messages.push(...types)
      sender.schedule()
      await Promise.resolve()
      return log.filter((entry) => entry.startsWith("send"))
    }
    sender.use(link)
    await Promise.resolve()
    assert.isFalse(session.receive(1), "too little for an ACK of its own")
    assert.deepStrictEqual(await leaves(credit), [`send ${credit}`])
    assert.deepStrictEqual(await leaves(ping), [`send ${ping}`, `send ${ack}`])
    assert.deepStrictEqual(await leaves(pong), [`send ${pong}`], "nothing is owed any more")
  })

  it("a full link that accepts bytes is not given up, though no whole message leaves within the timeout", () => {
    let timeout = () => {}
    const errors: Array<string> = []
    const mux = { pull: () => new Uint8Array(16 * 1024) } as unknown as Multiplexed
    const sender = new Sender(
      undefined,
      connectionOf(mux, (error) => errors.push(error.message), (run) => {
        timeout = run
      })
    )
    const { link, take } = linkOf(2)
    sender.use(link)
    sender.flush()
    for (let i = 0; i < 10; i++) {
      const before = sender.progress
      take()
      assert.isAbove(sender.progress, before, "a sign of life for the heartbeat")
      timeout()
    }
    assert.deepStrictEqual(errors, [])
    timeout()
    assert.strictEqual(errors.length, 1)
  })

  it("bytes that a link with room accepts are no sign of life, because the operating system may only buffer them", () => {
    const sender = senderOf([1, 2])
    const { link, take } = linkOf()
    sender.use(link)
    sender.flush()
    take()
    assert.strictEqual(sender.progress, 0)
  })

  it("messages of wire v1 leave one by one", async () => {
    const { link, log } = linkOf()
    const v1 = makeV1(
      { ...link, close() {} },
      "client",
      Limits.defaults,
      Effect.runSync(Clock.Clock),
      Effect.runSync(randomness)
    )
    const sender = senderOf([1, 2])
    sender.use(v1.link)
    await Promise.resolve()
    assert.deepStrictEqual(log, ["send 1", "send 2"])
  })

  it("the last messages are written at once also where the link is full, unless it fails or replays", () => {
    const muxOf = (messages: Array<number>) => ({
      pull: () => {
        const message = messages.shift()
        return message === undefined ? undefined : new Uint8Array([message])
      }
    })
    const full = linkOf(1)
    const sender = senderOf([1, 2, 3])
    sender.use(full.link)
    sender.flush()
    sender.finish()
    assert.deepStrictEqual(full.log, ["cork", "send 1", "uncork", "wait", "send 2", "send 3"])

    const failing = linkOf(1)
    const left = [1, 2, 3]
    const other = new Sender(undefined, connectionOf(muxOf(left) as unknown as Multiplexed))
    other.use(failing.link)
    other.flush()
    Object.assign(failing.link, { send: () => ({}) })
    other.finish()
    assert.deepStrictEqual(left, [3])

    // With room, or without a link, there is nothing to hurry.
    const idle = senderOf([])
    idle.finish()
    const free = linkOf()
    idle.use(free.link)
    idle.finish()
    assert.deepStrictEqual(free.log, ["cork", "uncork"])

    const replaying = linkOf(1)
    const session = { isReplaying: true, pull: () => undefined, mustAsk: () => false, large: 0, sent: () => {} }
    const waiting = [1, 2, 3]
    const last = new Sender(session as unknown as Session, connectionOf(muxOf(waiting) as unknown as Multiplexed))
    last.use(replaying.link)
    last.flush()
    last.finish()
    assert.deepStrictEqual(waiting, [2, 3])
  })

  it("a link that is told of room only by pongs is asked for one when it is full", () => {
    const pings: Array<unknown> = []
    const left = [1, 2]
    const pull = (linkOnly?: boolean) => {
      if (linkOnly === true) return pings.length > 0 ? new Uint8Array([0x10]) : undefined
      const message = left.shift()
      return message === undefined ? undefined : new Uint8Array([message])
    }
    const mux = { pull, ping: (data: unknown) => pings.push(data) } as unknown as Multiplexed
    const { link, log } = linkOf(1)
    const sender = new Sender(undefined, connectionOf(mux))
    sender.use({ ...link, asks: true })
    sender.flush()
    assert.strictEqual(pings.length, 1)
    assert.deepStrictEqual(log, ["cork", "send 1", "uncork", "send 16", "wait"])
    const silent = linkOf(0)
    const without = { pull: () => undefined, ping: () => {} } as unknown as Multiplexed
    const other = new Sender(undefined, connectionOf(without))
    other.use({ ...silent.link, asks: true })
    other.flush()
    assert.deepStrictEqual(silent.log, ["cork", "uncork", "wait"])
  })

  it("room of a link that was replaced counts no more", async () => {
    const messages = [1, 2, 3]
    const sender = senderOf(messages)
    const [old, next] = [linkOf(1), linkOf(1)]
    sender.use(old.link)
    sender.flush()
    sender.use(next.link)
    old.drain()
    assert.deepStrictEqual(next.log, [])
    await Promise.resolve()
    assert.deepStrictEqual(next.log, ["cork", "send 2", "uncork", "wait"])
  })

  it("buffers of messages are given back once the link holds nothing and they were acknowledged", () => {
    const calls: Array<string> = []
    const session = {
      large: 1,
      isFull: false,
      acknowledge: (received: number) => received < 2,
      written: () => void calls.push("written"),
      pull: () => undefined,
      mustAsk: () => false
    }
    let pulls = 0
    const mux = { pull: () => void pulls++ } as unknown as Multiplexed
    const sender = new Sender(session as unknown as Session, connectionOf(mux))
    const { link } = linkOf()
    sender.use(link)
    sender.flush()
    assert.deepStrictEqual(calls, ["written"])
    assert.isUndefined(sender.acknowledge(1))
    assert.strictEqual(calls.length, 2)
    session.large = 0
    assert.isUndefined(sender.acknowledge(1))
    session.large = 1
    Object.assign(link, { isEmpty: () => false })
    assert.isUndefined(sender.acknowledge(1))
    assert.strictEqual(calls.length, 2)
    assert.deepInclude(sender.acknowledge(2), { code: 1 })
    assert.isUndefined(new Sender(undefined, connectionOf(mux)).acknowledge(1))
    // Only a session that was full has held anything back.
    const before = pulls
    sender.acknowledge(1)
    sender.flush()
    assert.strictEqual(pulls, before)
    session.isFull = true
    sender.acknowledge(1)
    sender.flush()
    assert.strictEqual(pulls, before + 1)
  })
})
