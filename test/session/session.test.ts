/**
 * PROTOCOL.md, "Sessions": the counts, the buffer and the tokens, without sockets.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { largeMessage } from "../../src/internal/frame/bufferPool.ts"
import { Decoder } from "../../src/internal/frame/decoder.ts"
import { Encoder } from "../../src/internal/frame/encoder.ts"
import type { Decoded } from "../../src/internal/frame/Frame.ts"
import { isLinkMessage, isQuestion, question, Session } from "../../src/internal/session/session.ts"
import { equalTokens, tokenBytes, tokenOf, Tokens } from "../../src/internal/session/token.ts"
import * as Limits from "../../src/Limits.ts"
import { collectGarbage } from "../support/measurements.ts"
import { Random } from "../support/random.ts"

const message = (size: number, fill = 0) => new Uint8Array(size).fill(fill)

const ackOf = (bytes: Uint8Array | undefined): number | undefined => {
  if (bytes === undefined) return undefined
  const frames: Array<Decoded> = []
  assert.isUndefined(new Decoder(Limits.defaults).decode(bytes, (frame) => {
    frames.push(frame)
    return undefined
  }))
  assert.strictEqual(frames.length, 1)
  const [frame] = frames
  assert.strictEqual(frame!._tag, "Ack")
  return frame!._tag === "Ack" ? frame!.received : undefined
}

describe("replay buffer", () => {
  it("the replay buffer drops messages once they are acknowledged, and reports an impossible ACK", () => {
    const session = new Session(1000, 1000)
    for (let i = 0; i < 5; i++) session.sent(message(100))
    assert.strictEqual(session.bytes, 500)
    assert.isTrue(session.acknowledge(2))
    assert.deepStrictEqual([session.bytes, session.unacknowledged], [300, 3])
    assert.isTrue(session.acknowledge(2))
    assert.isFalse(session.acknowledge(1), "below an earlier one")
    assert.isFalse(session.acknowledge(6), "above what was sent")
    assert.deepStrictEqual([session.bytes, session.unacknowledged], [300, 3], "a wrong ACK changes nothing")
    assert.isTrue(session.acknowledge(5))
    assert.deepStrictEqual([session.bytes, session.unacknowledged], [0, 0])
  })

  it("the replay buffer is full at its capacity, which the last message may exceed, and an ACK makes room", () => {
    const session = new Session(250, 1000)
    session.sent(message(100))
    session.sent(message(100))
    assert.isFalse(session.isFull)
    session.sent(message(100))
    assert.isTrue(session.isFull)
    assert.isTrue(session.acknowledge(1))
    assert.isFalse(session.isFull)
  })

  it("a full replay buffer does not hold back the last messages of a connection that closes", () => {
    const session = new Session(100, 1000)
    session.sent(message(100))
    assert.isTrue(session.isFull)
    session.close()
    assert.isFalse(session.isFull)
  })

  it("nothing to send changes nothing: a count above what was sent stays impossible", () => {
    const session = new Session(1000, 1000)
    assert.isUndefined(session.pull())
    assert.isUndefined(session.pull())
    assert.isFalse(session.acknowledge(1))
  })
})

describe("the question for an ACK", () => {
  const full = (count: number) => {
    const session = new Session(100 * count, 1000)
    for (let i = 0; i < count; i++) session.sent(message(100))
    return session
  }

  it("the question is told from the PINGs of a heartbeat by its length and by each of its bytes", () => {
    assert.isTrue(isQuestion(Uint8Array.from(question)))
    assert.isFalse(isQuestion(new Uint8Array(0)))
    assert.isFalse(isQuestion(question.subarray(0, 3)))
    assert.isFalse(isQuestion(Uint8Array.of(...question, 0)))
    for (let i = 0; i < question.length; i++) {
      const other = Uint8Array.from(question)
      other[i]! ^= 1
      assert.isFalse(isQuestion(other), `differs at ${i}`)
    }
  })

  it("the question is asked once when the buffer is full, and again when it is full after the answer", () => {
    const session = new Session(200, 1000)
    session.sent(message(100))
    assert.isFalse(session.mustAsk(), "not full yet")
    session.sent(message(100))
    assert.isTrue(session.mustAsk())
    assert.isFalse(session.mustAsk(), "it is on its way")
    assert.isTrue(session.acknowledge(1))
    session.sent(message(100))
    assert.isTrue(session.isFull)
    assert.isFalse(session.mustAsk(), "an ACK of what was sent before the question is no answer")
    assert.isTrue(session.acknowledge(2))
    assert.isFalse(session.mustAsk(), "there is room")
    session.sent(message(100))
    assert.isTrue(session.mustAsk())
  })

  it("the question is asked anew on a new link, as the lost one may have taken it along", () => {
    const session = full(1)
    assert.isTrue(session.mustAsk())
    assert.strictEqual(session.resume(0), 1)
    assert.isTrue(session.mustAsk())
  })
})

describe("memory of messages", () => {
  const large = (fill: number) => {
    encoder.data(1, false, 16_000, [message(16_000, fill)])
    return encoder.take()
  }
  const encoder = new Encoder(0)
  /** Empties the pool of what other tests have left in it, so that a buffer that comes again is this test's. */
  const drain = () => Array.from({ length: 300 }, (_, i) => large(i & 0xff))

  it("messages with a buffer of their own are counted while they are kept", () => {
    const session = new Session(1_000_000, 1_000_000)
    for (const size of [largeMessage, largeMessage + 1, 1, 2 * largeMessage, 1]) session.sent(message(size))
    assert.strictEqual(session.large, 2)
    const counts = [1, 2, 3, 4, 5].map((count) => (session.acknowledge(count), session.large))
    assert.deepStrictEqual(counts, [2, 1, 1, 0, 0])
  })

  it("memory of a message is used again once the link has written it and the peer has acknowledged it", () => {
    drain()
    const session = new Session(1_000_000, 1_000_000)
    const first = large(1)
    session.sent(first)
    session.written()
    assert.isTrue(session.acknowledge(1))
    assert.strictEqual(large(2).buffer, first.buffer)
  })

  it("memory of a message is not used again for an ACK that comes before the message was written", () => {
    drain()
    const session = new Session(1_000_000, 1_000_000)
    const first = large(1)
    const second = large(2)
    session.sent(first)
    session.written()
    session.sent(second)
    assert.isTrue(session.acknowledge(2))
    assert.strictEqual(large(3).buffer, first.buffer)
    assert.notStrictEqual(large(4).buffer, second.buffer)
    assert.isTrue(second.subarray(-16_000).every((byte) => byte === 2))
  })

  it("memory of a message that was sent again is not used again, because the lost link may still hold it", () => {
    drain()
    const session = new Session(1_000_000, 1_000_000)
    const messages = [large(1), large(2)]
    for (const one of messages) session.sent(one)
    assert.strictEqual(session.resume(1), 1)
    assert.isFalse(session.acknowledge(2), "the peer can't have what was not sent on this link")
    assert.strictEqual(session.pull(), messages[1])
    const next = large(3)
    session.sent(next)
    session.written()
    assert.isTrue(session.acknowledge(3))
    assert.strictEqual(large(4).buffer, next.buffer)
    const others = drain().map(({ buffer }) => buffer)
    for (const { buffer } of messages) assert.notInclude(others, buffer)
  })
})

describe("capacity of the replay buffer", () => {
  const MiB = 1024 * 1024
  const fill = (session: Session) => {
    let sent = 0
    for (; !session.isFull; sent++) session.sent(message(MiB / 4))
    return sent
  }

  it("the capacity begins with 1 MiB, and doubles when an ACK finds it full, up to the announced one", () => {
    const session = new Session(3 * MiB, MiB)
    const held: Array<number> = []
    for (let acknowledged = 0; held.length < 4; acknowledged++) {
      fill(session)
      held.push(session.bytes / MiB)
      assert.isTrue(session.acknowledge(acknowledged + 1))
    }
    assert.deepStrictEqual(held, [1, 2, 3, 3])
  })

  it("the capacity does not grow for a peer that acknowledges nothing, or the same again", () => {
    const session = new Session(16 * MiB, MiB)
    fill(session)
    for (let i = 0; i < 10; i++) assert.isTrue(session.acknowledge(0))
    assert.isTrue(session.isFull)
    assert.strictEqual(session.bytes, MiB)
  })

  it("the capacity doubles once each time it was full, however many ACKs come then", () => {
    const session = new Session(16 * MiB, MiB)
    const sent = fill(session)
    for (let i = 1; i <= sent; i++) assert.isTrue(session.acknowledge(i))
    fill(session)
    assert.strictEqual(session.bytes, 2 * MiB)
  })

  it("the capacity does not grow while ACKs come before it is full", () => {
    const session = new Session(16 * MiB, MiB)
    for (let i = 1; i <= 20; i++) {
      session.sent(message(MiB / 2))
      assert.isFalse(session.isFull)
      assert.isTrue(session.acknowledge(i))
    }
    assert.strictEqual(fill(session), 4)
  })
})

describe("an ACK", () => {
  // PROTOCOL.md SES-5
  it("an ACK is due when a quarter of the peer's replay buffer was received", () => {
    const session = new Session(1000, 400)
    assert.isFalse(session.receive(99))
    assert.isTrue(session.receive(1))
    assert.strictEqual(ackOf(session.pull()), 2)
    assert.isUndefined(session.pull())
    assert.isFalse(session.receive(99), "the count starts anew")
  })

  it("an ACK is due after 768 KiB at the latest, however large the peer's replay buffer is", () => {
    const session = new Session(1000, 16 * 1024 * 1024)
    assert.isFalse(session.receive(768 * 1024 - 1))
    assert.isTrue(session.receive(1))
  })

  it("an ACK that is not due leaves with other messages once a third of the bytes has come", () => {
    const session = new Session(1000, 1200)
    assert.isFalse(session.receive(99))
    assert.isUndefined(session.pull())
    assert.isFalse(session.receive(1))
    assert.strictEqual(ackOf(session.pull()), 2)
    assert.isFalse(session.receive(299), "the count starts anew")
  })

  it("an ACK goes with link messages when there is something to acknowledge", () => {
    const session = new Session(1000, 1_000_000)
    session.askAck()
    assert.isUndefined(session.pull())
    session.receive(1)
    assert.isUndefined(session.pull())
    session.askAck()
    assert.strictEqual(ackOf(session.pull()), 1)
    session.askAck()
    assert.isUndefined(session.pull())
  })

  it("an ACK of any count can be decoded", () => {
    const session = new Session(1000, 1)
    for (const received of [1, 63, 64, 16383, 16384, 2 ** 30 - 1, 2 ** 30, Number.MAX_SAFE_INTEGER]) {
      session.received = received - 1
      session.receive(1)
      assert.strictEqual(ackOf(session.pull()), received)
    }
  })
})

describe("new link", () => {
  it("a new link gets the messages that the peer lacks, in order, before anything else", () => {
    const session = new Session(10_000, 1000)
    for (let i = 1; i <= 5; i++) session.sent(message(10, i))
    assert.strictEqual(session.resume(2), 3)
    const again = [1, 2, 3, 4].map(() => [session.isReplaying, session.pull()?.[0]])
    assert.deepStrictEqual(again, [[true, 3], [true, 4], [true, 5], [false, undefined]])
    assert.strictEqual(session.unacknowledged, 3, "sent again is not acknowledged")
  })

  it("a new link that is lost during the replay is followed by another replay, from the new count", () => {
    const session = new Session(10_000, 1000)
    for (let i = 1; i <= 5; i++) session.sent(message(10, i))
    assert.strictEqual(session.resume(0), 5)
    assert.strictEqual(session.pull()![0], 1)
    assert.strictEqual(session.resume(1), 4)
    assert.strictEqual(session.pull()![0], 2)
    assert.isTrue(session.acknowledge(2), "an ACK may come while messages are sent again")
    assert.strictEqual(session.pull()![0], 3)
  })

  it.live("a new link that has everything keeps no message that the peer has acknowledged", () =>
    Effect.gen(function*() {
      const session = new Session(10_000, 1000)
      const sent = Array.from({ length: 5 }, () => {
        const one = message(10)
        session.sent(one)
        return new WeakRef(one)
      })
      assert.strictEqual(session.resume(0), 5)
      while (session.pull() !== undefined) { /* The link takes all of them. */ }
      assert.isTrue(session.acknowledge(5))
      yield* collectGarbage
      // The last one may be on a stack still.
      assert.isAtMost(sent.filter((one) => one.deref() !== undefined).length, 1)
      assert.strictEqual(session.unacknowledged, 0)
    }))

  it("a new link begins with the count in its handshake: no ACK is due until enough was received again", () => {
    const session = new Session(10_000, 400)
    assert.isTrue(session.receive(100))
    assert.strictEqual(session.resume(0), 0)
    assert.isFalse(session.receive(33))
    assert.isUndefined(session.pull())
    assert.isFalse(session.receive(66))
    assert.isTrue(session.receive(1))
    assert.strictEqual(ackOf(session.pull()), 4)
  })

  it("a new link whose count is impossible is refused, and nothing changes", () => {
    const session = new Session(10_000, 1000)
    for (let i = 1; i <= 5; i++) session.sent(message(10, i))
    assert.strictEqual(session.resume(3), 2)
    assert.isUndefined(session.resume(2))
    assert.isUndefined(session.resume(6))
    assert.strictEqual(session.unacknowledged, 2)
  })
})

describe("link messages", () => {
  const encoded = (...frames: Parameters<Encoder["frame"]>) => {
    const encoder = new Encoder(0)
    encoder.frame(...frames)
    return encoder.take()
  }
  const extension = (size: number) => Uint8Array.of(0x40, 0x40 | (size >> 8), size & 0xff, ...message(size, 0x10))

  it("link messages are told from counted ones, with and without extension frames before them", () => {
    const ping = encoded({ _tag: "Ping", data: message(3) })
    const credit = encoded({ _tag: "Credit", streamId: 0, increment: 1 })
    assert.isTrue(isLinkMessage(ping))
    assert.isFalse(isLinkMessage(credit))
    assert.isTrue(isLinkMessage(Uint8Array.of(...extension(300), ...ping)))
    assert.isFalse(isLinkMessage(Uint8Array.of(...extension(300), ...extension(70), ...credit)))
    assert.isFalse(isLinkMessage(extension(300)), "a message of extensions alone is counted")
  })

  it("random bytes are classified as link messages or counted ones without an error", () => {
    const random = new Random(11)
    for (let i = 0; i < 20_000; i++) {
      const bytes = Uint8Array.from({ length: 1 + random.int(12) }, () => 0x40 | random.int(192))
      assert.isBoolean(isLinkMessage(bytes))
    }
  })
})

describe("tokens", () => {
  const makeToken = () => tokenOf(globalThis.crypto.getRandomValues(new Uint8Array(tokenBytes)))

  // PROTOCOL.md SEC-2
  it("tokens have 256 bits and never repeat", () => {
    const tokens = new Set(Array.from({ length: 10_000 }, makeToken))
    assert.strictEqual(tokens.size, 10_000)
    for (const token of tokens) assert.match(token, /^[\w-]{43}$/)
  })

  it("tokens compare equal only if all characters match", () => {
    const token = makeToken()
    assert.isTrue(equalTokens(token, `${token}`))
    for (let i = 0; i < token.length; i++) {
      const other = token.slice(0, i) + (token[i] === "x" ? "y" : "x") + token.slice(i + 1)
      assert.isFalse(equalTokens(token, other), `differs at ${i}`)
    }
    assert.isFalse(equalTokens(token, token.slice(1)))
    assert.isFalse(equalTokens(token, ""))
  })

  it("tokens that are empty, or spell what is absent, are not valid where no next token was made", () => {
    const tokens = new Tokens("token 1")
    for (const token of ["", "undefined", "token 2"]) assert.isFalse(tokens.isValid(token))
    assert.isTrue(tokens.isValid("token 1"))
    tokens.confirm()
    assert.strictEqual(tokens.current, "token 1")
  })

  it("tokens rotate: both the old and the new one are valid until the new one is confirmed", () => {
    const [first, second] = ["token 1", "token 2"]
    const tokens = new Tokens(first)
    tokens.rotate(first, second)
    assert.deepStrictEqual([tokens.isValid(first), tokens.isValid(second)], [true, true])
    // The welcome with the second was lost.
    const third = tokens.rotate(first, "token 3")
    assert.deepStrictEqual([first, second, third].map((token) => tokens.isValid(token)), [true, false, true])
    // The third has arrived, but nobody heard of it before it was used.
    const fourth = tokens.rotate(third, "token 4")
    assert.deepStrictEqual([first, third, fourth].map((token) => tokens.isValid(token)), [false, true, true])
    tokens.confirm()
    assert.deepStrictEqual([third, fourth].map((token) => tokens.isValid(token)), [false, true])
  })
})

describe("the window", () => {
  it("the window is announced in whole milliseconds that a timer can count", () => {
    const millis = (resumeWindow: Duration.Input) => Duration.toMillis(Limits.make({ resumeWindow }).resumeWindow)
    assert.strictEqual(millis(0), 0)
    assert.strictEqual(millis(0.5), 1)
    assert.strictEqual(millis("2 minutes"), 120_000)
    assert.strictEqual(millis(Duration.infinity), 2 ** 31 - 1)
  })
})
