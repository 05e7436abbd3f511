/**
 * What an application does with a stream, how the stream ends, and what the connection is told of it.
 */
import { assert, describe, it } from "@effect/vitest"
import { ErrorCode } from "../../src/internal/frame/codes.ts"
import { headSize } from "../../src/internal/frame/head.ts"
import type { MuxStream } from "../../src/internal/streams/stream.ts"
import { bytes, crafted, framesOf, Joined, Recorder } from "./joined.ts"

const isOpen = (joined: Joined) => [joined.client, joined.server].map(({ mux }) => mux.active)
const MiB = 1024 * 1024
const none = { local: 0, remote: 0, waiting: 0 }

describe("heads", () => {
  it("a head may have as many bytes as the peer takes, and one more is refused with the number", () => {
    const target = `/${"x".repeat(299)}`
    const size = headSize(target, [])
    for (const announced of [{ maxHeadSize: size }, { maxFrameSize: size + 35 }, { maxMessageSize: size + 35 }]) {
      const exact = new Joined({ announced })
      assert.isFalse("outcome" in exact.client.mux.open("GET", target, [], true, new Recorder()))
      const [[name, limit]] = Object.entries(announced) as [[string, number]]
      const small = new Joined({ announced: { [name]: limit - 1 } })
      const failure = small.client.mux.open("GET", target, [], true, new Recorder())
      assert.deepStrictEqual<unknown>(failure, {
        code: ErrorCode.HEAD_TOO_LARGE,
        reason: `the head has ${size} bytes, the peer takes ${limit - 1}`,
        by: "local",
        outcome: "not-sent"
      })
    }
  })

  // PROTOCOL.md STR-3
  it("a head is sent once, whatever comes after it", () => {
    const joined = new Joined()
    const { accepted, handler } = joined.call()
    assert.isUndefined(joined.server.mux.respond(accepted.stream, 200, [], false))
    assert.isUndefined(joined.server.mux.respond(accepted.stream, 500, [], true))
    joined.server.mux.finish(accepted.stream)
    joined.server.mux.finish(accepted.stream)
    const frames = framesOf(joined.deliver("server"))
    assert.deepStrictEqual(frames.map(({ _tag }) => _tag), ["Response", "Data"])
    assert.strictEqual(handler.status, 200)
  })

  it("an answer without a body is written with its head, before that has left", () => {
    const joined = new Joined()
    const { accepted, handler } = joined.call()
    joined.server.mux.respond(accepted.stream, 200, [], true)
    assert.deepStrictEqual([accepted.stream.isWritten, accepted.stream.isClosed], [true, false])
    assert.isTrue(joined.server.mux.write(accepted.stream, bytes(5)))
    joined.settle()
    assert.deepStrictEqual([handler.bytes, handler.ended, accepted.stream.isClosed], [0, true, true])
    assert.isUndefined(joined.server.mux.pull())
  })

  it("a requester is told when its request leaves, not before", () => {
    const joined = new Joined({ server: { maxConcurrentStreams: 1 } })
    const recorders = [new Recorder(), new Recorder()]
    for (const recorder of recorders) joined.client.mux.open("GET", "/", [], true, recorder)
    joined.deliver("client")
    assert.deepStrictEqual(recorders.map(({ sent }) => sent), [1, 0])
    joined.server.mux.respond(joined.server.accepted[0]!.stream, 204, [], true)
    joined.settle()
    assert.deepStrictEqual(recorders.map(({ sent }) => sent), [1, 1])
  })
})

describe("bodies", () => {
  it("the connection is told each time that a MiB was written", () => {
    const joined = new Joined()
    const { stream } = joined.call(false)
    joined.client.mux.write(stream, bytes(MiB - 1))
    assert.strictEqual(joined.client.unsent, 0)
    joined.client.mux.write(stream, bytes(1))
    assert.strictEqual(joined.client.unsent, 1)
    joined.client.mux.write(stream, bytes(MiB - 1))
    assert.strictEqual(joined.client.unsent, 1)
    joined.client.mux.write(stream, bytes(1))
    assert.strictEqual(joined.client.unsent, 2)
  })

  it("bytes that were written and have not left are counted, those of requests that wait too", () => {
    const joined = new Joined({ server: { maxConcurrentStreams: 1, streamWindow: 10 } })
    const { stream } = joined.call(false)
    const waiting = joined.client.mux.open("POST", "/", [], false, new Recorder()) as MuxStream
    assert.strictEqual(joined.client.mux.unsentBytes, 0)
    joined.client.mux.write(stream, bytes(30))
    joined.client.mux.write(waiting, bytes(500))
    assert.strictEqual(joined.client.mux.unsentBytes, 530)
    joined.deliver("client")
    assert.strictEqual(joined.client.mux.unsentBytes, 520)
  })

  it("what is written after the end, or with no bytes, is not sent", () => {
    const joined = new Joined()
    const { accepted, stream } = joined.call(false)
    assert.isTrue(joined.client.mux.write(stream, bytes(0)))
    assert.isUndefined(joined.client.mux.pull())
    joined.client.mux.write(stream, bytes(3))
    joined.client.mux.finish(stream)
    assert.isTrue(joined.client.mux.write(stream, bytes(1_000_000)), "nobody has to wait for what is not sent")
    joined.deliver("client")
    assert.deepStrictEqual([accepted.handler.bytes, accepted.handler.ended], [3, true])
    assert.isUndefined(joined.client.mux.pull())
  })

  it("bytes are consumed once, and nothing is owed for a stream that has ended", () => {
    const joined = new Joined()
    const { accepted, stream } = joined.call()
    const { client, server } = joined
    server.mux.respond(accepted.stream, 200, [], false)
    server.mux.write(accepted.stream, bytes(100))
    joined.deliver("server")
    assert.strictEqual(client.mux.unreadBytes, 100)
    client.mux.consumed(stream, 0)
    assert.strictEqual(client.mux.unreadBytes, 100)
    client.mux.consumed(stream, 40)
    assert.strictEqual(client.mux.unreadBytes, 60)
    server.mux.finish(accepted.stream)
    joined.deliver("server")
    assert.strictEqual(client.mux.unreadBytes, 0, "a complete body owes nothing")
    client.mux.consumed(stream, 60)
    assert.deepStrictEqual([client.mux.unreadBytes, stream.unread], [0, 0])
  })

  it("bytes of a stream that is reset are no longer unread", () => {
    const joined = new Joined()
    const { accepted, stream } = joined.call()
    joined.server.mux.respond(accepted.stream, 200, [], false)
    joined.server.mux.write(accepted.stream, bytes(100))
    joined.deliver("server")
    joined.client.mux.reset(stream, ErrorCode.CANCELLED, "")
    assert.strictEqual(joined.client.mux.unreadBytes, 0)
  })

  it("a reset gives back at once what unread bytes have withheld from the connection", () => {
    const joined = new Joined({ client: { streamWindow: 65_535, connectionWindow: 65_535, maxUnread: 0 } })
    const { accepted, stream } = joined.call()
    joined.server.mux.respond(accepted.stream, 200, [], false)
    joined.server.mux.write(accepted.stream, bytes(60_000))
    joined.deliver("server")
    assert.isUndefined(joined.client.mux.pull())
    joined.client.mux.reset(stream, ErrorCode.CANCELLED, "")
    const frames = framesOf([joined.client.mux.pull()!])
    assert.deepStrictEqual(frames.map(({ _tag }) => _tag), ["Reset", "Credit"])
    assert.deepInclude(frames[1], { streamId: 0, increment: 60_000 })
  })
})

describe("ends of streams", () => {
  it("a handler reads on when the end of its answer leaves with bytes that it had to wait for", () => {
    const joined = new Joined({ announced: { maxFrameSize: 1024 }, server: { sendBuffer: 1500 } })
    const { accepted, handler } = joined.call(false)
    accepted.stream.handled = true
    joined.server.mux.respond(accepted.stream, 200, [], false)
    assert.isFalse(joined.server.mux.write(accepted.stream, bytes(1500)))
    joined.server.mux.finish(accepted.stream)
    joined.settle()
    assert.deepStrictEqual([handler.bytes, handler.ended], [1500, true])
    assert.isFalse(accepted.stream.isClosed)
    assert.strictEqual(joined.server.mux.counters.resetsSent, 0)
  })

  it("a stream is reset once, and a closed one not at all", () => {
    const joined = new Joined()
    const { accepted, stream } = joined.call()
    joined.client.mux.reset(stream, ErrorCode.CANCELLED, "enough")
    joined.client.mux.reset(stream, ErrorCode.CANCELLED, "enough")
    assert.strictEqual(framesOf(joined.deliver("client")).length, 1)
    assert.deepStrictEqual(accepted.handler.failure, {
      code: ErrorCode.CANCELLED,
      reason: "enough",
      by: "remote",
      outcome: "unknown"
    })
    assert.deepStrictEqual(isOpen(joined), [none, none])
    assert.strictEqual(joined.client.mux.counters.resetsSent, 1)
  })

  it("resets and pings of this end are no answers that the peer has provoked", () => {
    const acts: ReadonlyArray<(joined: Joined, stream: MuxStream) => void> = [
      ({ client }, stream) => client.mux.reset(stream, ErrorCode.CANCELLED, ""),
      ({ client }) => client.mux.cancelAll(""),
      ({ client }) => client.mux.ping(bytes(1))
    ]
    for (const act of acts) {
      const joined = new Joined({ client: { maxQueuedControl: 100 }, server: { maxConcurrentStreams: 200 } })
      const calls = Array.from({ length: 150 }, () => joined.call())
      for (const { stream } of calls) act(joined, stream)
      joined.client.receive(crafted({ _tag: "Pong", data: bytes(1) }))
      assert.isUndefined(joined.client.violation)
    }
  })

  it("answers that wait are counted also when a lost link has forgotten pings of this end, and answers", () => {
    const limits = { maxQueuedControl: 100, controlPerSecond: 1_000_000, controlBurst: 1_000_000 }
    const { client } = new Joined({ client: limits })
    const receive = () => client.receive(crafted({ _tag: "Ping", data: bytes(1) }))
    for (let pings = 0; pings < 50; pings++) client.mux.ping(bytes(1))
    for (let answers = 0; answers < 50; answers++) receive()
    client.mux.linkLost()
    const codeAfter = (answers: number) => {
      for (let answer = 0; answer < answers; answer++) receive()
      return client.violation?.code
    }
    assert.isUndefined(codeAfter(100))
    assert.strictEqual(codeAfter(1), ErrorCode.EXCESSIVE_LOAD)
  })

  it("the connection is told that it is idle when the last stream has closed and no request waits", () => {
    const joined = new Joined({ server: { maxConcurrentStreams: 2 } })
    const { client, server } = joined
    const streams = [1, 2, 3].map(() => client.mux.open("GET", "/", [], true, new Recorder()) as MuxStream)
    joined.deliver("client")
    const answer = (index: number) => {
      server.mux.respond(server.accepted[index]!.stream, 204, [], true)
      joined.deliver("server")
      return client.idle
    }
    assert.strictEqual(answer(0), 0)
    assert.strictEqual(answer(1), 0, "a request waits")
    joined.deliver("client")
    assert.strictEqual(answer(2), 1)
    assert.isTrue(streams.every(({ isClosed }) => isClosed))
    assert.strictEqual(server.idle, 2)
  })

  it("a request that waits may be sent when a stream of this end has closed, not when one of the peer has", () => {
    const joined = new Joined({ server: { maxConcurrentStreams: 1 } })
    const { client, server } = joined
    const { accepted } = joined.call()
    server.mux.open("GET", "/", [], true, new Recorder())
    joined.deliver("server")
    client.mux.open("GET", "/", [], true, new Recorder())
    assert.isUndefined(client.mux.pull())
    const before = client.pending
    server.mux.reset(server.mux["streams"].get(2)!, ErrorCode.CANCELLED, "")
    joined.deliver("server")
    assert.strictEqual(client.pending, before, "the peer's stream has closed")
    server.mux.respond(accepted.stream, 204, [], true)
    joined.deliver("server")
    assert.strictEqual(client.pending, before + 1)
  })

  it("a stream that closes when nothing waits does not wake the connection", () => {
    const joined = new Joined()
    const { accepted } = joined.call()
    joined.server.mux.respond(accepted.stream, 204, [], true)
    joined.client.mux.pull()
    const before = joined.client.pending
    joined.deliver("server")
    assert.strictEqual(joined.client.pending, before)
  })

  it("a handler that stops reading after the answer ended closes its stream, and before that does not", () => {
    const joined = new Joined()
    const { accepted, stream } = joined.call(false)
    accepted.stream.handled = true
    joined.server.mux.stopReading(accepted.stream)
    assert.isFalse(accepted.stream.isClosed, "the answer is to come")
    joined.server.mux.respond(accepted.stream, 200, [], true)
    joined.settle()
    assert.deepStrictEqual([accepted.stream.isClosed, stream.isClosed], [true, true])
    const other = joined.call(false)
    joined.server.mux.respond(other.accepted.stream, 200, [], true)
    joined.settle()
    assert.isFalse(other.accepted.stream.isClosed, "the handler reads on")
    joined.server.mux.stopReading(other.accepted.stream)
    assert.isTrue(other.accepted.stream.isClosed)
    assert.strictEqual(joined.server.mux.counters.resetsSent, 2)
  })
})

describe("end of all streams", () => {
  it("a stream that is reset by the handler of another one, as both fail, is told nothing", () => {
    const ends: ReadonlyArray<(joined: Joined) => void> = [
      ({ client }) => client.mux.fail({ code: ErrorCode.INTERNAL_ERROR, reason: "over" }),
      ({ client }) => client.mux.cancelAll("over"),
      ({ client }) => client.receive(crafted({ _tag: "GoAway", lastStreamId: 0, code: ErrorCode.NO_ERROR, reason: "" }))
    ]
    for (const end of ends) {
      const joined = new Joined()
      const [first, second] = [joined.call(), joined.call()]
      first.handler.onFailure = () => joined.client.mux.reset(second.stream, ErrorCode.CANCELLED, "")
      end(joined)
      assert.isUndefined(second.handler.failure)
      assert.deepStrictEqual(joined.client.mux.active, none)
    }
  })

  it("all exchanges are given up: requests that wait, and streams of both ends, which the peer is told", () => {
    const joined = new Joined({ server: { maxConcurrentStreams: 1 } })
    const { client, server } = joined
    const { handler } = joined.call()
    const waiting = new Recorder()
    client.mux.open("GET", "/", [], true, waiting)
    server.mux.open("GET", "/", [], true, new Recorder())
    joined.deliver("server")
    client.mux.cancelAll("closing")
    const failure = { code: ErrorCode.CANCELLED, reason: "closing", by: "connection" } as const
    assert.deepStrictEqual(handler.failure, { ...failure, outcome: "unknown" })
    assert.deepStrictEqual(waiting.failure, { ...failure, outcome: "not-sent" })
    assert.deepStrictEqual(client.accepted[0]!.handler.failure, { ...failure, outcome: "unknown" })
    assert.deepStrictEqual<unknown>(
      framesOf(joined.deliver("client")),
      [1, 2].map((streamId) => (
        { _tag: "Reset", streamId, code: ErrorCode.CANCELLED, reason: "closing" }
      ))
    )
    assert.deepStrictEqual(isOpen(joined), [none, none])
  })

  it("a connection fails once, with the first reason, and takes nothing any more", () => {
    const joined = new Joined()
    const { handler } = joined.call()
    joined.client.mux.fail({ code: ErrorCode.INTERNAL_ERROR, reason: "first" }, "not-processed")
    joined.client.mux.fail({ code: ErrorCode.CANCELLED, reason: "second" })
    const failure = { code: ErrorCode.INTERNAL_ERROR, reason: "first", by: "connection" } as const
    assert.deepStrictEqual(handler.failure, { ...failure, outcome: "not-processed" })
    const later = joined.client.mux.open("GET", "/", [], true, new Recorder())
    assert.deepStrictEqual<unknown>(later, { ...failure, outcome: "not-sent" })
    joined.client.mux.goAway(ErrorCode.NO_ERROR, "")
    assert.isUndefined(joined.client.mux.pull(), "what has failed says no goodbye")
  })

  // PROTOCOL.md SES-4
  it("a connection that loses its link forgets pings and pongs, and nothing else", () => {
    const joined = new Joined({ client: { maxQueuedControl: 100 } })
    const { client } = joined
    client.mux.open("GET", "/", [], true, new Recorder())
    for (let i = 0; i < 100; i++) client.receive(crafted({ _tag: "Ping", data: bytes(1) }))
    client.mux.ping(bytes(1))
    client.mux.linkLost()
    const frames = framesOf([client.mux.pull()!])
    assert.deepStrictEqual(frames.map(({ _tag }) => _tag), ["Request"])
    assert.isUndefined(client.mux.pull())
    for (let i = 0; i < 100; i++) client.receive(crafted({ _tag: "Ping", data: bytes(1) }))
    assert.isUndefined(client.violation, "they no longer count as answers that wait")
  })

  it("GOAWAY is repeated only with a fault, and the last one is followed by nothing", () => {
    const joined = new Joined()
    const { client } = joined
    const { stream } = joined.call(false)
    client.mux.goAway(ErrorCode.NO_ERROR, "leaving")
    client.mux.goAway(ErrorCode.NO_ERROR, "leaving")
    client.mux.write(stream, bytes(5))
    const codes = () =>
      framesOf(joined.deliver("client")).map((frame) => frame._tag === "GoAway" ? frame.code : frame._tag)
    assert.deepStrictEqual(codes(), [ErrorCode.NO_ERROR, "Data"])
    client.mux.write(stream, bytes(5))
    client.mux.goAway(ErrorCode.INTERNAL_ERROR, "broken", true)
    assert.deepStrictEqual(codes(), [ErrorCode.INTERNAL_ERROR])
    const late = client.mux.open("GET", "/", [], true, new Recorder())
    assert.deepInclude(late, { outcome: "not-sent", by: "local" })
  })
})

describe("progress of a drain", () => {
  /** A call whose answer has begun. */
  const answered = () => {
    const joined = new Joined({ client: { streamWindow: 10 } })
    const call = joined.call()
    return { ...call, joined, client: joined.client.mux, server: joined.server.mux }
  }

  it("a drain waits for handlers at work: there is no progress to measure", () => {
    const { accepted, client, joined, server } = answered()
    assert.deepStrictEqual([client.waitingForReaders, server.waitingForReaders], [undefined, undefined])
    server.respond(accepted.stream, 200, [], false)
    assert.isDefined(server.waitingForReaders, "the head waits to leave")
    joined.deliver("server")
    assert.deepStrictEqual([client.waitingForReaders, server.waitingForReaders], [undefined, undefined])
  })

  it("a drain measures how far bodies have come while all of them wait for readers", () => {
    const { accepted, client, joined, server, stream } = answered()
    server.respond(accepted.stream, 200, [], false)
    server.write(accepted.stream, bytes(30))
    joined.deliver("server")
    assert.deepStrictEqual([client.waitingForReaders, server.waitingForReaders], [0, 10])
    server.finish(accepted.stream)
    client.consumed(stream, 10)
    joined.settle()
    assert.deepStrictEqual([client.waitingForReaders, server.waitingForReaders], [10, 20])
    const other = joined.call()
    assert.strictEqual(server.waitingForReaders, undefined, "another handler is at work")
    client.reset(other.stream, ErrorCode.CANCELLED, "")
    joined.settle()
    client.consumed(stream, 10)
    joined.settle()
    assert.deepStrictEqual([client.waitingForReaders, server.waitingForReaders], [20, 30])
  })
})
