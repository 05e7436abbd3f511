/**
 * What waits to leave: when the connection is told, what is forgotten, and what is counted.
 */
import { assert, describe, it } from "@effect/vitest"
import { ErrorCode } from "../../src/internal/frame/codes.ts"
import { maxCredit } from "../../src/internal/streams/flowControl.ts"
import type { MuxStream } from "../../src/internal/streams/stream.ts"
import { bytes, crafted, framesOf, Joined, Recorder } from "./joined.ts"

describe("what the connection is told", () => {
  it("each kind of thing that may leave is announced once, until the next pull", () => {
    const joined = new Joined()
    const { client } = joined
    const { stream } = joined.call(false)
    const announced = (act: () => void) => {
      while (client.mux.pull() !== undefined);
      const before = client.pending
      act()
      act()
      return client.pending - before
    }
    assert.strictEqual(announced(() => client.mux.open("GET", "/", [], true, new Recorder())), 1, "requests")
    assert.strictEqual(announced(() => client.mux.write(stream, bytes(1))), 1, "DATA")
    assert.strictEqual(announced(() => client.mux.ping(bytes(1))), 1, "pings")
    assert.strictEqual(announced(() => client.mux.finish(stream)), 1, "END")
    assert.strictEqual(announced(() => client.mux.goAway(ErrorCode.NO_ERROR, "")), 1, "GOAWAY")
    assert.strictEqual(announced(() => {}), 0)
  })

  it("the first thing that may leave is announced", () => {
    const { client } = new Joined()
    client.mux.open("GET", "/", [], true, new Recorder())
    assert.strictEqual(client.pending, 1)
  })

  it("what can't leave yet is not announced: a request without a stream, DATA without credit", () => {
    const joined = new Joined({ server: { maxConcurrentStreams: 1, streamWindow: 5 } })
    const { client } = joined
    const { stream } = joined.call(false)
    client.mux.write(stream, bytes(5))
    while (client.mux.pull() !== undefined);
    const before = client.pending
    const waiting = client.mux.open("POST", "/", [], false, new Recorder()) as MuxStream
    client.mux.write(waiting, bytes(1))
    client.mux.write(stream, bytes(1))
    assert.strictEqual(client.pending, before)
    assert.isUndefined(client.mux.pull())
    client.receive(crafted({ _tag: "Credit", streamId: 1, increment: 1 }))
    assert.strictEqual(client.pending, before + 1)
  })

  it("credit of the connection is announced where something waits, and nowhere else", () => {
    const credit = crafted({ _tag: "Credit", streamId: 0, increment: 1 })
    const idle = new Joined().client
    idle.receive(credit)
    assert.strictEqual(idle.pending, 0)
    const joined = new Joined({ server: { connectionWindow: 65_535, streamWindow: 200_000 } })
    const { stream } = joined.call(false)
    joined.client.mux.write(stream, bytes(70_000))
    while (joined.client.mux.pull() !== undefined);
    const before = joined.client.pending
    joined.client.receive(credit)
    assert.strictEqual(joined.client.pending, before + 1)
  })

  it("DATA that gets credit twice before it leaves is sent once", () => {
    const joined = new Joined({ server: { streamWindow: 0 } })
    const { client } = joined
    const { stream } = joined.call(false)
    client.mux.write(stream, bytes(8))
    for (let i = 0; i < 3; i++) client.receive(crafted({ _tag: "Credit", streamId: 1, increment: 2 }))
    assert.deepStrictEqual<unknown>(framesOf([client.mux.pull()!]), [
      { _tag: "Data", streamId: 1, end: false, data: bytes(6) }
    ])
    assert.isUndefined(client.mux.pull())
  })
})

describe("messages", () => {
  // PROTOCOL.md SET-1
  it("messages have no more bytes than the peer takes, whatever frames of the connection are in them", () => {
    const joined = new Joined({ announced: { maxMessageSize: 600, maxFrameSize: 600 } })
    const { client } = joined
    const calls = Array.from({ length: 9 }, () => joined.call())
    const reason = "x".repeat(256)
    for (const [index, { stream }] of calls.entries()) {
      client.mux.reset(stream, ErrorCode.CANCELLED, reason)
      if (index % 2 === 1) client.mux.goAway(ErrorCode.INTERNAL_ERROR, reason)
    }
    const messages = joined.deliver("client")
    assert.strictEqual(framesOf(messages).length, 13)
    assert.isAtMost(Math.max(...messages.map(({ length }) => length)), 600)
  })
})

describe("frames of DATA", () => {
  it("frames of DATA are no larger than the peer takes", () => {
    const joined = new Joined({ announced: { maxFrameSize: 1024 } })
    const { accepted, stream } = joined.call(false)
    joined.client.mux.write(stream, bytes(10_000))
    const sizes = framesOf(joined.deliver("client")).map((frame) => frame._tag === "Data" ? frame.data.length : 0)
    assert.isAtLeast(sizes.length, 10)
    // The id of the stream is in the frame besides.
    assert.isBelow(Math.max(...sizes), 1024)
    assert.strictEqual(accepted.handler.bytes, 10_000)
  })
})

describe("what is counted", () => {
  it("messages, their bytes, frames and streams are counted when they leave", () => {
    const joined = new Joined()
    const { stream } = joined.call(false)
    const { client } = joined
    client.mux.write(stream, bytes(100))
    client.mux.finish(stream)
    const [message] = joined.deliver("client")
    assert.deepInclude(client.mux.counters, { messagesSent: 2, framesSent: 2, streamsOpened: 1, resetsSent: 0 })
    assert.isAbove(client.mux.counters.bytesSent, message!.length)
    assert.deepInclude(joined.server.mux.counters, {
      messagesReceived: 2,
      bytesReceived: client.mux.counters.bytesSent,
      framesReceived: 2,
      streamsAccepted: 1
    })
  })
})

describe("what is forgotten", () => {
  /** A server whose answers wait for a peer that reads nothing: so many, of which some are reset. */
  const answers = (count: number) => {
    const joined = new Joined({ server: { maxConcurrentStreams: count, resetBurst: 10_000, maxQueuedControl: 10_000 } })
    const calls = Array.from({ length: count }, () => joined.call())
    for (const { accepted } of calls) joined.server.mux.respond(accepted.stream, 200, [], true)
    return { joined, calls }
  }

  it("answers of streams that were reset do not leave, however many they are, and the others do in order", () => {
    for (const dropped of [1, 255, 256, 257, 400, 599]) {
      const { calls, joined } = answers(600)
      for (const { accepted } of calls.slice(0, dropped)) {
        joined.server.receive(crafted({
          _tag: "Reset",
          streamId: accepted.stream.id,
          code: ErrorCode.CANCELLED,
          reason: ""
        }))
      }
      const ids = framesOf(joined.deliver("server")).map((frame) => frame._tag === "Response" ? frame.streamId : 0)
      assert.deepStrictEqual(ids, calls.slice(dropped).map(({ stream }) => stream.id))
    }
  })

  it("requests that were cancelled while they waited do not leave, however many, and the others do in order", () => {
    for (const cancelled of [1, 128, 256, 257, 300, 599]) {
      const joined = new Joined({ server: { maxConcurrentStreams: 1 } })
      const { client, server } = joined
      joined.call()
      const streams = Array.from(
        { length: 600 },
        (_, i) => client.mux.open("GET", `/${i}`, [], true, new Recorder()) as MuxStream
      )
      for (const stream of streams.slice(0, cancelled)) client.mux.reset(stream, ErrorCode.CANCELLED, "")
      for (const stream of streams.slice(0, cancelled)) client.mux.reset(stream, ErrorCode.CANCELLED, "")
      assert.strictEqual(client.mux.active.waiting, 600 - cancelled)
      for (let i = 0; i < server.accepted.length; i++) {
        server.mux.respond(server.accepted[i]!.stream, 204, [], true)
        joined.settle()
      }
      const targets = server.accepted.slice(1).map(({ request }) => request.target)
      assert.deepStrictEqual(targets, streams.slice(cancelled).map((_, i) => `/${cancelled + i}`))
    }
  })
})

describe("END", () => {
  it("END that has left closes the stream, and one that has not keeps it open", () => {
    const joined = new Joined()
    const { accepted } = joined.call()
    joined.server.mux.respond(accepted.stream, 200, [], false)
    joined.server.mux.finish(accepted.stream)
    assert.isFalse(accepted.stream.isClosed)
    joined.deliver("server")
    assert.isTrue(accepted.stream.isClosed)
  })

  it("END of a request that is finished before it leaves goes with its body, once", () => {
    const joined = new Joined()
    const { client } = joined
    const stream = client.mux.open("POST", "/", [], false, new Recorder()) as MuxStream
    client.mux.write(stream, bytes(5))
    client.mux.finish(stream)
    const frames = framesOf(joined.deliver("client"))
    assert.deepStrictEqual<unknown>(frames.slice(1), [{ _tag: "Data", streamId: 1, end: true, data: bytes(5) }])
  })

  it("END of a request whose body is still to leave goes with its last bytes, whatever credit comes first", () => {
    const joined = new Joined({ server: { streamWindow: 4 } })
    const { client, server } = joined
    const { accepted, stream } = joined.call(false)
    client.mux.write(stream, bytes(8))
    client.mux.finish(stream)
    joined.deliver("client")
    assert.deepStrictEqual([accepted.handler.bytes, accepted.handler.ended], [4, false])
    client.receive(crafted({ _tag: "Credit", streamId: 1, increment: maxCredit }))
    server.mux.consumed(accepted.stream, 4)
    joined.deliver("client")
    assert.deepStrictEqual([accepted.handler.bytes, accepted.handler.ended], [8, true])
  })
})
