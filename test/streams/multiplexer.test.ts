/**
 * Two multiplexers joined without sockets: streams, credit, violations and what leaves next.
 */
import { assert, describe, it } from "@effect/vitest"
import { ErrorCode } from "../../src/internal/frame/codes.ts"
import { Decoder } from "../../src/internal/frame/decoder.ts"
import { Encoder } from "../../src/internal/frame/encoder.ts"
import type { Frame } from "../../src/internal/frame/Frame.ts"
import type { MuxStream } from "../../src/internal/streams/stream.ts"
import * as Limits from "../../src/Limits.ts"
import { bytes, crafted, framesOf, Joined, Recorder } from "./joined.ts"

/** Requests of a client, in one message, with what follows them. */
const requestsInOne = (count: number, ...then: ReadonlyArray<Frame>): Uint8Array => {
  const encoder = new Encoder(0)
  for (let index = 0; index < count; index++) encoder.request(1 + 2 * index, true, "GET", `/${index}`, [])
  for (const frame of then) encoder.frame(frame)
  return encoder.take()
}

describe("message that takes longer than a turn", () => {
  const targets = (end: Joined["server"]) => end.accepted.map(({ request }) => request.target)
  const first = (count: number) => Array.from({ length: count }, (_, index) => `/${index}`)
  const made = () => {
    const { server } = new Joined()
    server.turn = 32
    return server
  }

  it("a message that takes longer than a turn is handled in parts, each frame once and in order", () => {
    const server = made()
    server.receive(requestsInOne(80))
    assert.deepStrictEqual(targets(server), first(32))
    assert.isTrue(server.mux.isReceiving)
    assert.isUndefined(server.mux.receiveRest())
    assert.deepStrictEqual(targets(server), first(64))
    assert.isUndefined(server.mux.receiveRest())
    assert.deepStrictEqual(targets(server), first(80))
    assert.isFalse(server.mux.isReceiving)
  })

  it("a message that ends with the turn leaves no rest", () => {
    const server = made()
    server.receive(requestsInOne(32))
    assert.isFalse(server.mux.isReceiving)
  })

  it("a violation in the second part of a message is reported like one in the first", () => {
    const ping: Frame = { _tag: "Ping", data: new Uint8Array(0) }
    const mixed = made()
    mixed.receive(requestsInOne(40, ping))
    assert.isUndefined(mixed.violation)
    assert.strictEqual(mixed.mux.receiveRest()?.code, ErrorCode.PROTOCOL_ERROR)
    assert.isFalse(mixed.mux.isReceiving)
    const many = made()
    const resets = Array.from({ length: 1000 }, (): Frame => ({ _tag: "Credit", streamId: 1, increment: 1 }))
    many.receive(requestsInOne(40, ...resets))
    let violation = many.violation
    while (violation === undefined && many.mux.isReceiving) violation = many.mux.receiveRest()
    assert.strictEqual(violation?.code, ErrorCode.EXCESSIVE_LOAD)
  })
})

describe("streams", () => {
  let joined: Joined
  const bound = (next: Joined) => {
    joined = next
    return { client: next.client, server: next.server, deliver: next.deliver.bind(next) }
  }

  it("a call and its response close the stream on both ends", () => {
    const { client, deliver, server } = bound(new Joined())
    const { accepted, handler, stream } = joined.call()
    server.mux.respond(accepted.stream, 200, [["x", "y"]], false)
    server.mux.write(accepted.stream, bytes(5, 1))
    server.mux.finish(accepted.stream)
    deliver("server")
    assert.strictEqual(handler.status, 200)
    assert.deepStrictEqual(handler.fields, [["x", "y"]])
    assert.strictEqual(handler.bytes, 5)
    assert.isTrue(handler.ended)
    assert.isTrue(stream.isClosed)
    assert.deepStrictEqual(client.mux.active, { local: 0, remote: 0, waiting: 0 })
    assert.deepStrictEqual(server.mux.active, { local: 0, remote: 0, waiting: 0 })
  })

  // PROTOCOL.md STR-1
  it("ids of streams are odd for the client, even for the server, and increase in the order of sending", () => {
    const { client, deliver, server } = bound(new Joined())
    const streams = [0, 1, 2].map(() => client.mux.open("GET", "/", [], true, new Recorder()))
    deliver("client")
    assert.deepStrictEqual(streams.map((stream) => "id" in stream && stream.id), [1, 3, 5])
    const own = [0, 1].map(() => server.mux.open("GET", "/", [], true, new Recorder()))
    deliver("server")
    assert.deepStrictEqual(own.map((stream) => "id" in stream && stream.id), [2, 4])
  })

  // PROTOCOL.md STR-6
  it("requests beyond the peer's limit wait their turn and are sent as streams close", () => {
    const { client, deliver, server } = bound(new Joined({ server: { maxConcurrentStreams: 2 } }))
    for (let i = 0; i < 5; i++) client.mux.open("GET", `/${i}`, [], true, new Recorder())
    deliver("client")
    assert.strictEqual(server.accepted.length, 2)
    assert.deepStrictEqual(client.mux.active, { local: 2, remote: 0, waiting: 3 })
    server.mux.respond(server.accepted[0]!.stream, 204, [], true)
    joined.settle()
    assert.deepStrictEqual(server.accepted.map(({ request }) => request.target), ["/0", "/1", "/2"])
  })

  it("a handler that runs on after its stream was reset counts until it has ended", () => {
    const { client, deliver, server } = bound(new Joined({ server: { maxConcurrentStreams: 2 } }))
    const open = () => {
      const handler = new Recorder()
      const stream = client.mux.open("GET", "/", [], true, handler)
      deliver("client")
      return { handler, stream: stream as MuxStream }
    }
    const calls = [open(), open()]
    const [first, second] = server.accepted
    for (const { stream } of server.accepted) stream.handled = true
    for (const { stream } of calls) client.mux.reset(stream, ErrorCode.CANCELLED, "")
    joined.settle()
    assert.deepStrictEqual(server.mux.active, { local: 0, remote: 0, waiting: 0 })
    const refused = open()
    joined.settle()
    assert.deepInclude(refused.handler.failure, { code: ErrorCode.REFUSED_STREAM, outcome: "not-processed" })
    server.mux.stopReading(first!.stream)
    server.mux.stopReading(first!.stream)
    open()
    assert.strictEqual(server.accepted.length, 3)
    const again = open()
    joined.settle()
    assert.deepInclude(again.handler.failure, { code: ErrorCode.REFUSED_STREAM })
    server.mux.stopReading(second!.stream)
    open()
    assert.strictEqual(server.accepted.length, 4)
  })

  it("a request that is cancelled while it waits leaves no trace on the wire", () => {
    const { client, deliver, server } = bound(new Joined({ server: { maxConcurrentStreams: 1 } }))
    const streams = [0, 1, 2].map((i) => client.mux.open("GET", `/${i}`, [], true, new Recorder()))
    deliver("client")
    const second = streams[1]!
    assert.isTrue("id" in second)
    if ("id" in second) client.mux.reset(second, ErrorCode.CANCELLED, "")
    server.mux.respond(server.accepted[0]!.stream, 204, [], true)
    joined.settle()
    assert.deepStrictEqual(server.accepted.map(({ request }) => request.target), ["/0", "/2"])
    assert.strictEqual(client.mux.counters.resetsSent, 0)
    assert.strictEqual(client.mux.active.waiting, 0)
  })

  it("ten thousand cancelled requests in the queue do not stay in memory", () => {
    const { client, deliver } = bound(new Joined({ server: { maxConcurrentStreams: 1 } }))
    for (let i = 0; i < 10_000; i++) {
      const stream = client.mux.open("GET", "/", [], true, new Recorder())
      deliver("client")
      if (i > 0 && "id" in stream) client.mux.reset(stream, ErrorCode.CANCELLED, "")
    }
    assert.isBelow(client.mux["outbound"].requests.length, 1000)
    assert.strictEqual(client.mux.active.waiting, 0)
  })

  it("a response may start and end before the request body has ended, and the rest of that body is called off", () => {
    const { client, deliver, server } = bound(new Joined())
    const { accepted, handler, stream } = joined.call(false)
    client.mux.write(stream, bytes(10))
    deliver("client")
    server.mux.respond(accepted.stream, 200, [], true)
    server.mux.stopReading(accepted.stream)
    const frames = framesOf(deliver("server"))
    assert.deepStrictEqual(frames.map((frame) => frame._tag), ["Response", "Reset"])
    assert.deepInclude(frames[1], { _tag: "Reset", code: ErrorCode.NO_ERROR })
    assert.isTrue(handler.ended)
    assert.isTrue(handler.stopped)
    assert.isUndefined(handler.failure)
    assert.isTrue(stream.isClosed)
  })

  it("a response is sent to its end before the rest of its request is called off", () => {
    const { deliver, server } = bound(new Joined())
    const { accepted, handler } = joined.call(false)
    server.mux.respond(accepted.stream, 200, [], false)
    server.mux.write(accepted.stream, bytes(100_000))
    server.mux.finish(accepted.stream)
    server.mux.stopReading(accepted.stream)
    deliver("server")
    assert.strictEqual(handler.bytes, 100_000)
    assert.isTrue(handler.ended)
    assert.isTrue(handler.stopped)
  })

  it("a reset by one end reaches the other and frees the stream on both", () => {
    const { client, deliver, server } = bound(new Joined())
    const { accepted, stream } = joined.call(false)
    client.mux.reset(stream, ErrorCode.CANCELLED, "no longer wanted")
    deliver("client")
    assert.deepInclude(accepted.handler.failure, { code: ErrorCode.CANCELLED, by: "remote", outcome: "unknown" })
    assert.deepStrictEqual([client.mux.active.local, server.mux.active.remote], [0, 0])
  })

  it("frames that cross a reset are ignored, and their bytes give back the connection's credit", () => {
    const { client, deliver, server } = bound(new Joined())
    const { accepted, stream } = joined.call(false)
    server.mux.respond(accepted.stream, 200, [], false)
    server.mux.write(accepted.stream, bytes(50_000))
    client.mux.reset(stream, ErrorCode.CANCELLED, "")
    deliver("server")
    deliver("client")
    assert.isUndefined(client.violation)
    assert.strictEqual(client.mux.counters.resetsSent, 1)
    assert.strictEqual(client.mux.unreadBytes, 0)
  })

  it("a refused request was not processed", () => {
    const { deliver, server } = bound(new Joined())
    server.refuse = { code: ErrorCode.NOT_SERVING, reason: "nothing here" }
    const handler = new Recorder()
    joined.client.mux.open("GET", "/", [], true, handler)
    deliver("client")
    deliver("server")
    assert.deepInclude(handler.failure, { code: ErrorCode.NOT_SERVING, by: "remote", outcome: "not-processed" })
  })

  it("a head beyond the peer's limit is refused by this end, and the connection lives", () => {
    const { client } = bound(new Joined({ server: { maxHeadSize: 1024 } }))
    const refused = client.mux.open("GET", "/", [["x", "y".repeat(1024)]], true, new Recorder())
    assert.deepInclude(refused, { code: ErrorCode.HEAD_TOO_LARGE, by: "local", outcome: "not-sent" })
    assert.strictEqual(joined.call().accepted.request.target, "/")
  })
})

describe("head that fits no message", () => {
  const peer = { maxHeadSize: 100_000, maxFrameSize: 100_000, maxMessageSize: 65_536 }

  it("a head that fits maxHeadSize but no message is refused by this end, and the connection lives", () => {
    const joined = new Joined({ announced: peer })
    const fields = [["cookie", "c".repeat(80_000)]] as const
    const refused = joined.client.mux.open("GET", "/", fields, true, new Recorder())
    assert.deepInclude(refused, { code: ErrorCode.HEAD_TOO_LARGE, by: "local", outcome: "not-sent" })
    const { accepted, handler } = joined.call()
    const fault = joined.server.mux.respond(accepted.stream, 200, fields, true)
    assert.strictEqual(fault?.code, ErrorCode.HEAD_TOO_LARGE)
    joined.deliver("server")
    assert.strictEqual(handler.failure?.code, ErrorCode.INTERNAL_ERROR)
    assert.strictEqual(joined.call().accepted.request.target, "/")
    assert.isUndefined(joined.client.violation)
    assert.isUndefined(joined.server.violation)
  })
})

describe("end of a connection", () => {
  // PROTOCOL.md ERR-6
  it("a connection that ends tells each call its outcome: not sent, or unknown", () => {
    const joined = new Joined({ server: { maxConcurrentStreams: 1 } })
    const handlers = [new Recorder(), new Recorder()]
    for (const handler of handlers) joined.client.mux.open("POST", "/", [], true, handler)
    joined.deliver("client")
    joined.client.mux.fail({ code: ErrorCode.INTERNAL_ERROR, reason: "the cable was pulled" })
    assert.deepStrictEqual(handlers.map((handler) => handler.failure?.outcome), ["unknown", "not-sent"])
    assert.deepInclude(joined.client.mux.open("GET", "/", [], true, new Recorder()), { outcome: "not-sent" })
  })

  it("a connection that has ended sends nothing more, not even link frames that were queued", () => {
    const { client, server } = new Joined()
    server.mux.ping(bytes(4, 1))
    client.receive(server.mux.pull()!)
    client.mux.ping(bytes(4, 2))
    client.mux.goAway(ErrorCode.NO_ERROR, "")
    client.mux.fail({ code: ErrorCode.INTERNAL_ERROR, reason: "" })
    assert.isUndefined(client.mux.pull(), "neither the PONG that was owed, nor the PING, nor the GOAWAY")
    assert.isUndefined(client.mux.pull(true))
  })

  // PROTOCOL.md DRN-3
  it("a GOAWAY leaves streams above its last stream id not processed, and lower streams go on", () => {
    const joined = new Joined()
    const first = joined.call()
    joined.server.mux.goAway(ErrorCode.NO_ERROR, "restarting")
    const second = new Recorder()
    joined.client.mux.open("POST", "/", [], true, second)
    joined.deliver("client")
    joined.deliver("server")
    assert.deepInclude(second.failure, { by: "remote", outcome: "not-processed" })
    assert.isUndefined(first.handler.failure)
    joined.server.mux.respond(first.accepted.stream, 204, [], true)
    joined.deliver("server")
    assert.strictEqual(first.handler.status, 204)
    assert.deepInclude(joined.client.mux.open("GET", "/", [], true, new Recorder()), { outcome: "not-sent" })
    assert.isUndefined(joined.client.violation)
    assert.isUndefined(joined.server.violation)
  })
})

describe("batching and fairness", () => {
  it("requests opened in one turn leave in one message", () => {
    const joined = new Joined()
    for (let i = 0; i < 50; i++) joined.client.mux.open("GET", `/${i}`, [["accept", "*/*"]], true, new Recorder())
    assert.strictEqual(joined.deliver("client").length, 1)
    assert.strictEqual(joined.server.accepted.length, 50)
  })

  it("messages are no longer than 64 KiB, nor than the peer accepts", () => {
    for (const maxMessageSize of [32768, 65536, 1 << 20]) {
      const joined = new Joined({ client: { maxMessageSize } })
      const { accepted } = joined.call()
      joined.server.mux.respond(accepted.stream, 200, [], false)
      joined.server.mux.write(accepted.stream, bytes(200_000))
      const messages = joined.deliver("server")
      assert.isAtMost(Math.max(...messages.map((message) => message.length)), Math.min(maxMessageSize, 65536))
      assert.isUndefined(joined.client.violation)
    }
  })

  // PROTOCOL.md MSG-4
  it("messages have no more than 1,024 frames, of whatever kind", () => {
    const streams = 1500
    const joined = new Joined({ server: { maxConcurrentStreams: streams } })
    const { client, server } = joined
    const decoders = { client: new Decoder(Limits.defaults), server: new Decoder(Limits.defaults) }
    let most = 0
    const exchange = () => {
      for (const from of ["client", "server"] as const) {
        for (const message of joined.deliver(from)) {
          let count = 0
          decoders[from].decode(message, () => {
            count++
            return undefined
          })
          most = Math.max(most, count)
        }
      }
    }
    for (let ping = 0; ping < 5000; ping++) client.mux.ping(new Uint8Array(0))
    exchange()
    const opened = Array.from({ length: streams }, () => client.mux.open("GET", "/", [], false, new Recorder()))
    exchange()
    for (const { stream } of server.accepted) server.mux.respond(stream, 200, [], false)
    exchange()
    for (const { stream } of server.accepted) server.mux.write(stream, bytes(1, 7))
    for (const stream of opened) client.mux.write(stream as MuxStream, bytes(1, 7))
    exchange()
    assert.strictEqual(most, 1024)
    assert.isUndefined(client.violation)
    assert.isUndefined(server.violation)
    assert.strictEqual(server.accepted.length, streams)
  })

  it("responses to a long message leave piece by piece while the rest of it is handled", () => {
    const joined = new Joined()
    for (let i = 0; i < 64; i++) joined.client.mux.open("GET", "/", [], true, new Recorder())
    const answered: Array<number> = []
    joined.server.onFlush = () => {
      for (const { stream } of joined.server.accepted.slice(answered.length)) {
        answered.push(stream.id)
        joined.server.mux.respond(stream, 200, [], true)
      }
      flushed.push(joined.deliver("server").length > 0 ? answered.length : 0)
    }
    const flushed: Array<number> = []
    assert.strictEqual(joined.deliver("client").length, 1)
    assert.deepStrictEqual(flushed, [15, 31, 47, 63])
  })

  // PROTOCOL.md STR-3
  it("a body does not overtake its head when the head finds no room in the message", () => {
    const joined = new Joined()
    const [one, other] = [joined.call(), joined.call()]
    // The two heads don't fit into one message, and there is room for DATA behind the first.
    for (const [{ accepted }, size] of [[one, 2000], [other, 16_000]] as const) {
      joined.server.mux.respond(accepted.stream, 200, [["x", "y".repeat(size)]], false)
      joined.server.mux.write(accepted.stream, bytes(5000))
      joined.server.mux.finish(accepted.stream)
    }
    joined.settle()
    for (const { handler } of [one, other]) {
      assert.isUndefined(handler.failure)
      assert.deepStrictEqual([handler.status, handler.bytes, handler.ended], [200, 5000, true])
    }
  })

  it("small chunks of one stream share a DATA frame", () => {
    const joined = new Joined()
    const { accepted } = joined.call()
    joined.server.mux.respond(accepted.stream, 200, [], false)
    for (let i = 0; i < 1000; i++) joined.server.mux.write(accepted.stream, bytes(10))
    const data = framesOf(joined.deliver("server")).filter((frame) => frame._tag === "Data")
    assert.strictEqual(data.length, 1)
  })

  it("streams take turns of 16 KiB, and heads go before all bodies", () => {
    const joined = new Joined()
    const calls = [0, 1, 2].map(() => joined.call())
    for (const { accepted } of calls.slice(0, 2)) {
      joined.server.mux.respond(accepted.stream, 200, [], false)
      joined.server.mux.write(accepted.stream, bytes(64 * 1024))
    }
    const first = joined.deliver("server", 1)
    joined.server.mux.respond(calls[2]!.accepted.stream, 200, [], false)
    joined.server.mux.write(calls[2]!.accepted.stream, bytes(10))
    joined.server.mux.finish(calls[2]!.accepted.stream)
    const next = joined.deliver("server", 3)
    const frames = framesOf([...first, ...next])
    const data = frames.flatMap((frame) => frame._tag === "Data" ? [[frame.streamId, frame.data.length]] : [])
    assert.deepStrictEqual(data, [[1, 16384], [3, 16384], [1, 16384], [5, 10], [3, 16384]])
    assert.isTrue(calls[2]!.handler.ended, "the small answer waits for a turn of each body")
  })

  it("the more urgent stream goes first (RFC 9218)", () => {
    const joined = new Joined()
    const low = joined.call(true, [["priority", "u=6"]])
    const high = joined.call(true, [["priority", "u=1, i"]])
    for (const { accepted } of [low, high]) {
      joined.server.mux.respond(accepted.stream, 200, [], false)
      joined.server.mux.write(accepted.stream, bytes(40_000))
    }
    const order = framesOf(joined.deliver("server")).flatMap((frame) => frame._tag === "Data" ? [frame.streamId] : [])
    assert.deepStrictEqual(order.slice(0, 3), [3, 3, 3])
  })
})

describe("back-pressure and credit", () => {
  it("a writer is asked to wait when the send buffer is full, and called when it has drained", () => {
    const joined = new Joined()
    const { accepted } = joined.call()
    joined.server.mux.respond(accepted.stream, 200, [], false)
    assert.isTrue(joined.server.mux.write(accepted.stream, bytes(1000)))
    assert.isFalse(joined.server.mux.write(accepted.stream, bytes(100_000)))
    joined.deliver("server")
    assert.strictEqual(accepted.handler.writable, 1)
  })

  it("a writer that waits goes on when half of the send buffer has left: so there is always something to send", () => {
    const joined = new Joined()
    const { accepted } = joined.call()
    joined.server.mux.respond(accepted.stream, 200, [], false)
    assert.isFalse(joined.server.mux.write(accepted.stream, bytes(65_536)))
    joined.deliver("server", 1)
    assert.strictEqual(accepted.handler.writable, 0)
    joined.deliver("server", 2)
    assert.strictEqual(accepted.handler.writable, 1)
    assert.isAbove(accepted.stream.buffered, 0)
  })

  it("a stream sends no more than its window until the reader consumes", () => {
    const joined = new Joined({ client: { streamWindow: 100_000 } })
    const { accepted, handler, stream } = joined.call()
    joined.server.mux.respond(accepted.stream, 200, [], false)
    joined.server.mux.write(accepted.stream, bytes(250_000))
    joined.settle()
    assert.strictEqual(handler.bytes, 100_000)
    joined.client.mux.consumed(stream, 60_000)
    joined.settle()
    assert.strictEqual(handler.bytes, 160_000)
    assert.strictEqual(joined.client.mux.unreadBytes, 100_000)
  })

  it("a stream is not held up by sixty-three readers that stopped", () => {
    const joined = new Joined()
    const stopped = Array.from({ length: 63 }, () => joined.call())
    for (const { accepted } of stopped) {
      joined.server.mux.respond(accepted.stream, 200, [], false)
      joined.server.mux.write(accepted.stream, bytes(300_000))
    }
    joined.settle()
    for (const { handler } of stopped) assert.strictEqual(handler.bytes, 262_144)
    const { accepted, handler, stream } = joined.call()
    joined.server.mux.respond(accepted.stream, 200, [], false)
    joined.server.mux.write(accepted.stream, bytes(1_000_000))
    joined.server.mux.finish(accepted.stream)
    while (!handler.ended) {
      const before = handler.bytes
      joined.settle()
      joined.client.mux.consumed(stream, stream.unread)
      joined.settle()
      assert.isAbove(handler.bytes, before, "the running stream is stuck")
    }
    assert.strictEqual(handler.bytes, 1_000_000)
  })

  /** How far the window of the first stream grows while a reader takes a body in no time, over a path that takes none. */
  const grownOnShortPath = (others: number, streamWindow = 100_000) => {
    const joined = new Joined({ client: { streamWindow, connectionWindow: 10_000_000 } })
    joined.time.roundTrip = 0
    const { accepted, stream } = joined.call()
    for (let i = 0; i < others; i++) joined.call()
    joined.server.mux.respond(accepted.stream, 200, [], false)
    joined.server.mux.write(accepted.stream, bytes(20_000_000))
    for (let i = 0; i < 50; i++) {
      joined.settle()
      joined.client.mux.consumed(stream, stream.unread)
      joined.time.now += 0.1
    }
    return stream.window.size
  }

  it("the window of a lone stream on a short path grows to what programs need, and no further", () => {
    assert.strictEqual(grownOnShortPath(0), 1_600_000)
    assert.strictEqual(grownOnShortPath(0, 1024 * 1024 - 1), 2 * (1024 * 1024 - 1))
    assert.strictEqual(grownOnShortPath(0, 1024 * 1024), 1024 * 1024)
  })

  /** Streams of which each has a body without end, and readers that keep up with all of them for 20 rounds. */
  const readersThatKeepUp = (joined: Joined, count: number) => {
    const calls = Array.from({ length: count }, () => joined.call())
    for (const { accepted } of calls) {
      joined.server.mux.respond(accepted.stream, 200, [], false)
      joined.server.mux.write(accepted.stream, bytes(10_000_000))
    }
    const round = () => {
      joined.time.now++
      joined.settle()
      for (const { stream } of calls) joined.client.mux.consumed(stream, stream.unread)
    }
    for (let i = 0; i < 20; i++) round()
    return { calls, round, sizes: () => calls.map(({ stream }) => stream.window.size) }
  }

  it("the window of a lone stream keeps its size when the round trip is no longer known", () => {
    const joined = new Joined({
      client: { streamWindow: 100_000, maxStreamWindow: 400_000, connectionWindow: 1_000_000 }
    })
    joined.time.roundTrip = 100
    const { round, sizes } = readersThatKeepUp(joined, 1)
    joined.time.roundTrip = undefined
    for (let i = 0; i < 10; i++) round()
    assert.deepStrictEqual(sizes(), [400_000])
  })

  it("windows may grow by all of the bound that they share, and by no more after one of them has closed", () => {
    const joined = new Joined({
      client: { streamWindow: 100_000, maxStreamWindow: 400_000, connectionWindow: 10_000_000 }
    })
    joined.time.roundTrip = 100
    const growth = (count: number) => {
      const { calls, sizes } = readersThatKeepUp(joined, count)
      const grown = sizes().reduce((sum, size) => sum + size - 100_000, 0)
      for (const { stream } of calls) joined.client.mux.reset(stream, ErrorCode.CANCELLED, "")
      joined.settle()
      return grown
    }
    assert.deepStrictEqual([growth(2), growth(1), growth(8)], [400_000, 300_000, 400_000])
  })

  it("the window of the connection grows with what its streams take, up to its bound", () => {
    const joined = new Joined({
      client: { streamWindow: 1_000_000, connectionWindow: 100_000, maxConnectionWindow: 400_000 }
    })
    joined.time.roundTrip = 100
    const { accepted, stream } = joined.call()
    joined.server.mux.respond(accepted.stream, 200, [], false)
    joined.server.mux.write(accepted.stream, bytes(3_000_000))
    for (let i = 0; i < 20; i++) {
      joined.time.now++
      joined.settle()
      joined.client.mux.consumed(stream, stream.unread)
    }
    assert.strictEqual(joined.client.mux["credit"].connection.size, 400_000)
  })

  it("the window of one stream among others on a short path does not grow, because the others would wait", () => {
    assert.strictEqual(grownOnShortPath(1), 100_000)
  })

  it("windows that have grown together exceed their first size by no more than one window's bound", () => {
    const joined = new Joined({
      client: { streamWindow: 100_000, maxStreamWindow: 400_000, connectionWindow: 1_000_000 }
    })
    joined.time.roundTrip = 100
    const calls = Array.from({ length: 8 }, () => joined.call())
    for (const { accepted } of calls) {
      joined.server.mux.respond(accepted.stream, 200, [], false)
      joined.server.mux.write(accepted.stream, bytes(10_000_000))
    }
    // Every reader keeps up for a while, so that every window would grow, and then stops.
    for (let i = 0; i < 20; i++) {
      joined.time.now++
      joined.settle()
      for (const { stream } of calls) joined.client.mux.consumed(stream, stream.unread)
    }
    joined.settle()
    const held = calls.map(({ stream }) => stream.unread)
    assert.isAbove(Math.max(...held), 100_000)
    assert.isAtMost(held.reduce((sum, bytes) => sum + bytes, 0), 8 * 100_000 + 400_000)
  })

  it("the window of a stream that has ended, in whatever way, leaves others room to grow", () => {
    const joined = new Joined({
      client: { streamWindow: 100_000, maxStreamWindow: 400_000, connectionWindow: 1_000_000 }
    })
    joined.time.roundTrip = 100
    const grown = (end: (call: ReturnType<typeof joined.call>) => void) => {
      const call = joined.call()
      const { accepted, stream } = call
      joined.server.mux.respond(accepted.stream, 200, [], false)
      joined.server.mux.write(accepted.stream, bytes(3_000_000))
      for (let i = 0; i < 20; i++) {
        joined.time.now++
        joined.settle()
        joined.client.mux.consumed(stream, stream.unread)
      }
      const { size } = stream.window
      end(call)
      joined.settle()
      return size
    }
    const ends: ReadonlyArray<(call: ReturnType<typeof joined.call>) => void> = [
      ({ stream }) => joined.client.mux.reset(stream, ErrorCode.CANCELLED, ""),
      ({ accepted }) => joined.server.mux.reset(accepted.stream, ErrorCode.CANCELLED, ""),
      ({ accepted }) => joined.server.mux.finish(accepted.stream),
      () => {}
    ]
    assert.deepStrictEqual(ends.map(grown), [400_000, 400_000, 400_000, 400_000])
  })

  it("a stream that is reset sends nothing of the body that waits for its turn", () => {
    const joined = new Joined()
    const [one, other] = [joined.call(), joined.call()]
    for (const { accepted } of [one, other]) {
      joined.server.mux.respond(accepted.stream, 200, [], false)
      joined.server.mux.write(accepted.stream, bytes(50_000))
    }
    joined.deliver("server", 1)
    joined.server.mux.reset(other.accepted.stream, ErrorCode.CANCELLED, "")
    const frames = framesOf(joined.deliver("server"))
    const data = frames.flatMap((frame) => frame._tag === "Data" ? [frame.streamId] : [])
    assert.deepStrictEqual([...new Set(data)], [one.stream.id])
  })

  it("a stream that is reset leaves nothing in the queue, however many responses wait for a slow peer", () => {
    const joined = new Joined()
    for (let i = 0; i < 500; i++) {
      const { accepted } = joined.call()
      joined.server.mux.respond(accepted.stream, 200, [["x", "y".repeat(1000)]], true)
      joined.server.mux.reset(accepted.stream, ErrorCode.CANCELLED, "")
    }
    const sent = joined.deliver("server").reduce((sum, message) => sum + message.length, 0)
    assert.isBelow(sent, 500 * 20)
  })

  it("unread bytes of all streams together stay within maxUnread and the connection's window", () => {
    const joined = new Joined({
      client: { maxUnread: 500_000, connectionWindow: 100_000, maxConnectionWindow: 100_000 }
    })
    const calls = Array.from({ length: 10 }, () => joined.call())
    for (const { accepted } of calls) {
      joined.server.mux.respond(accepted.stream, 200, [], false)
      joined.server.mux.write(accepted.stream, bytes(262_144))
    }
    joined.settle()
    assert.isAtMost(joined.client.mux.unreadBytes, 600_000)
    assert.isAtLeast(joined.client.mux.unreadBytes, 500_000)
  })

  it("a complete body that nobody reads costs no credit of the connection", () => {
    const joined = new Joined({ client: { maxUnread: 0, connectionWindow: 65_535, maxConnectionWindow: 65_535 } })
    for (let i = 0; i < 100; i++) {
      const { accepted, handler } = joined.call()
      joined.server.mux.respond(accepted.stream, 200, [], false)
      joined.server.mux.write(accepted.stream, bytes(10_000))
      joined.server.mux.finish(accepted.stream)
      joined.settle()
      assert.isTrue(handler.ended, `answer ${i} arrived`)
    }
    assert.strictEqual(joined.client.mux.unreadBytes, 0)
  })

  it("END alone is sent without credit", () => {
    const joined = new Joined({ client: { streamWindow: 10 } })
    const { accepted, handler } = joined.call()
    joined.server.mux.respond(accepted.stream, 200, [], false)
    joined.server.mux.write(accepted.stream, bytes(10))
    joined.settle()
    joined.server.mux.finish(accepted.stream)
    joined.settle()
    assert.isTrue(handler.ended)
  })
})

describe("pings", () => {
  // PROTOCOL.md MSG-5
  it("pings are answered with their data, in a message of their own, before everything else", () => {
    const joined = new Joined()
    const { accepted } = joined.call()
    joined.server.mux.respond(accepted.stream, 200, [], false)
    joined.server.mux.write(accepted.stream, bytes(200_000))
    joined.client.mux.ping(bytes(3, 7))
    joined.deliver("client")
    const [first] = joined.deliver("server", 1)
    assert.deepStrictEqual(framesOf([first!]), [{ _tag: "Pong", data: bytes(3, 7) }])
    assert.deepStrictEqual(joined.client.pongs, [bytes(3, 7)])
  })
})

describe("permitted frames", () => {
  // PROTOCOL.md DRN-5
  it("a second GOAWAY names no later stream, whatever was refused between the two", () => {
    const joined = new Joined()
    joined.call()
    joined.server.mux.goAway(ErrorCode.NO_ERROR, "")
    // On its way when the first was sent.
    joined.client.mux.open("GET", "/", [], true, new Recorder())
    joined.deliver("client")
    joined.server.mux.goAway(ErrorCode.INTERNAL_ERROR, "")
    const last = framesOf(joined.deliver("server")).flatMap((frame) =>
      frame._tag === "GoAway" ? [frame.lastStreamId] : []
    )
    assert.deepStrictEqual(last, [1, 1])
  })

  it("a request that is finished before it leaves, with an empty body, ends", () => {
    const joined = new Joined()
    const stream = joined.client.mux.open("POST", "/", [], false, new Recorder())
    if ("outcome" in stream) return assert.fail(stream.reason)
    joined.client.mux.finish(stream)
    joined.settle()
    assert.isUndefined(joined.server.violation)
    assert.strictEqual(joined.server.accepted[0]!.stream.state.remote, "end")
  })

  it("CREDIT for a stream that this end has ended is ignored, however much it grants", () => {
    const joined = new Joined()
    const { accepted, handler } = joined.call(true)
    const credit = { _tag: "Credit", streamId: 1, increment: 2_147_483_647 } as const
    joined.client.receive(crafted(credit, credit))
    joined.server.mux.respond(accepted.stream, 200, [], true)
    joined.settle()
    assert.deepStrictEqual([joined.client.violation, handler.failure, handler.status], [undefined, undefined, 200])
  })
})

describe("limits of a peer's load", () => {
  it("a peer that was quiet for long may send no more resets at once than any other", () => {
    const joined = new Joined({ server: { resetsPerSecond: 100, resetBurst: 100 } })
    joined.time.now += 1_000_000
    for (let i = 0; i < 101; i++) {
      const streamId = 2 * i + 1
      joined.server.receive(crafted(
        { _tag: "Request", streamId, end: false, method: "GET", target: "/", fields: [] },
        { _tag: "Reset", streamId, code: ErrorCode.CANCELLED, reason: "" }
      ))
    }
    assert.strictEqual(joined.server.violation?.code, ErrorCode.EXCESSIVE_LOAD)
  })

  it("streams that break a rule after they began count as resets", () => {
    const joined = new Joined({ server: { resetsPerSecond: 0, resetBurst: 100, streamWindow: 0 } })
    let streamId = -1
    for (let i = 0; i < 101; i++) {
      streamId += 2
      joined.server.receive(crafted(
        { _tag: "Request", streamId, end: false, method: "POST", target: "/", fields: [] },
        { _tag: "Data", streamId, end: false, data: bytes(1) }
      ))
      if (i < 100) assert.isUndefined(joined.server.violation)
    }
    assert.strictEqual(joined.server.violation?.code, ErrorCode.EXCESSIVE_LOAD)
  })

  const peer = () => new Encoder(4096)

  it("more resets than the rate allows end the connection with EXCESSIVE_LOAD", () => {
    const joined = new Joined({ server: { resetsPerSecond: 10, resetBurst: 100 } })
    const encoder = peer()
    for (let i = 0; i < 500; i++) {
      encoder.request(i * 2 + 1, false, "GET", "/", [])
      encoder.frame({ _tag: "Reset", streamId: i * 2 + 1, code: ErrorCode.CANCELLED, reason: "" })
      joined.server.receive(encoder.take())
    }
    assert.strictEqual(joined.server.violation?.code, ErrorCode.EXCESSIVE_LOAD)
    assert.isAtMost(joined.server.mux.counters.resetsReceived, 102)
  })

  it("the rate of resets recovers with time", () => {
    const joined = new Joined({ server: { resetsPerSecond: 100, resetBurst: 100 } })
    const encoder = peer()
    for (let i = 0; i < 500; i++) {
      joined.time.now += 10
      encoder.request(i * 2 + 1, false, "GET", "/", [])
      encoder.frame({ _tag: "Reset", streamId: i * 2 + 1, code: ErrorCode.CANCELLED, reason: "" })
      joined.server.receive(encoder.take())
    }
    assert.isUndefined(joined.server.violation)
  })

  const control: Readonly<Record<string, Frame>> = {
    PING: { _tag: "Ping", data: bytes(0) },
    PONG: { _tag: "Pong", data: bytes(0) },
    ACK: { _tag: "Ack", received: 0 },
    "CREDIT of the connection": { _tag: "Credit", streamId: 0, increment: 1 },
    "CREDIT of a stream": { _tag: "Credit", streamId: 1, increment: 1 }
  }
  for (const [name, frame] of Object.entries(control)) {
    it(`more ${name} than the rate allows end the connection with EXCESSIVE_LOAD, and the rate recovers`, () => {
      const joined = new Joined({ server: { controlPerSecond: 10, controlBurst: 100 } })
      joined.call(false)
      const send = (count: number) => {
        for (let sent = 0; sent < count; sent++) {
          joined.server.receive(crafted(frame))
          joined.server.mux.pull()
        }
      }
      send(100)
      joined.time.now += 10_000
      send(100)
      const before = joined.server.violation
      send(2)
      assert.deepStrictEqual([before, joined.server.violation?.code], [undefined, ErrorCode.EXCESSIVE_LOAD])
    })
  }

  // PROTOCOL.md LIM-1
  it("a peer that gives credit back twice for each DATA, and acknowledges and pings for each, sends no flood", () => {
    const joined = new Joined({ server: { controlPerSecond: 0, controlBurst: 100 } })
    const { accepted } = joined.call(true)
    joined.server.mux.respond(accepted.stream, 200, [], false)
    for (let sent = 0; sent < 1000; sent++) {
      joined.server.mux.write(accepted.stream, bytes(1))
      joined.deliver("server")
      for (const streamId of [0, 1]) joined.server.receive(crafted({ _tag: "Credit", streamId, increment: 1 }))
      joined.server.receive(crafted({ _tag: "Ack", received: sent }))
      joined.server.receive(crafted({ _tag: "Ping", data: bytes(8) }))
    }
    assert.isUndefined(joined.server.violation)
  })

  it("a peer may ping for each 16 KiB of a body that it sends", () => {
    const joined = new Joined({ server: { controlPerSecond: 0, controlBurst: 10 } })
    const { accepted, stream } = joined.call(false)
    for (let sent = 0; sent < 1000; sent++) {
      joined.client.mux.write(stream, bytes(16_384))
      joined.deliver("client")
      joined.server.mux.consumed(accepted.stream, 16_384)
      joined.client.mux.ping(bytes(8))
      joined.settle()
    }
    assert.isUndefined(joined.server.violation)
    assert.isAtLeast(joined.client.pongs.length, 1000)
  })

  const refused: Readonly<Record<string, (joined: Joined) => void>> = {
    "too many are in progress": () => {},
    "this end goes away": ({ server }) => server.mux.goAway(ErrorCode.NO_ERROR, ""),
    "nothing is served": ({ server }) => {
      server.refuse = { code: ErrorCode.NOT_SERVING, reason: "" }
    }
  }
  for (const [why, prepare] of Object.entries(refused)) {
    it(`a peer whose requests are refused because ${why} is read from as slowly as the rate says, and lives`, () => {
      const limits = { maxConcurrentStreams: why.startsWith("too many") ? 0 : 100 }
      const joined = new Joined({ server: { ...limits, refusedPerSecond: 100, refusedBurst: 50 } })
      prepare(joined)
      let streamId = -1
      const send = (count: number) => {
        const frames = Array.from({ length: count }, (): Frame => {
          streamId += 2
          return { _tag: "Request", streamId, end: true, method: "GET", target: "/", fields: [] }
        })
        joined.server.receive(crafted(...frames))
      }
      send(50)
      assert.strictEqual(joined.server.mux.pauseMillis, 0)
      send(10)
      assert.strictEqual(joined.server.mux.pauseMillis, 100)
      joined.time.now += 60
      assert.strictEqual(Math.round(joined.server.mux.pauseMillis), 40)
      joined.time.now += 40
      assert.strictEqual(joined.server.mux.pauseMillis, 0)
      send(1000)
      assert.strictEqual(joined.server.mux.pauseMillis, 1000, "a heartbeat must not take the peer for dead")
      assert.isUndefined(joined.server.violation)
    })
  }

  it("replies that the peer does not read are bounded", () => {
    const joined = new Joined({ server: { maxQueuedControl: 100 } })
    const encoder = peer()
    for (let i = 0; i < 200; i++) {
      encoder.frame({ _tag: "Ping", data: bytes(8) })
      joined.server.receive(encoder.take())
    }
    assert.strictEqual(joined.server.violation?.code, ErrorCode.EXCESSIVE_LOAD)
  })
})

describe("credit that the peer does not read", () => {
  it("credit that the peer does not read counts among the replies that are bounded", () => {
    const joined = new Joined({ server: { maxConcurrentStreams: 200, maxQueuedControl: 100, streamWindow: 2 } })
    for (let i = 0; i < 102; i++) {
      assert.isUndefined(joined.server.violation, `after ${i} streams`)
      const streamId = 2 * i + 1
      joined.server.receive(crafted(
        { _tag: "Request", streamId, end: false, method: "POST", target: "/", fields: [] },
        { _tag: "Data", streamId, end: false, data: bytes(1) }
      ))
      joined.server.mux.consumed(joined.server.accepted[i]!.stream, 1)
    }
    assert.strictEqual(joined.server.violation?.code, ErrorCode.EXCESSIVE_LOAD)
  })
})

describe("what is pending", () => {
  it("a connection is told once that something is pending, and again after each pull, whatever the pull gave", () => {
    const { client } = new Joined()
    client.mux.pull()
    const before = client.pending
    for (let i = 0; i < 3; i++) client.mux.open("GET", "/", [], true, new Recorder())
    assert.strictEqual(client.pending, before + 1)
    assert.isUndefined(client.mux.pull(true), "requests are no frames of the link")
    client.mux.ping(new Uint8Array(8))
    assert.strictEqual(client.pending, before + 2)
    assert.isDefined(client.mux.pull())
    client.mux.open("GET", "/", [], true, new Recorder())
    assert.strictEqual(client.pending, before + 3)
  })

  it("a request that waits for a stream is pending when one has closed", () => {
    const joined = new Joined({ server: { maxConcurrentStreams: 1 } })
    const { client } = joined
    const first = client.mux.open("GET", "/", [], true, new Recorder())
    client.mux.open("GET", "/", [], true, new Recorder())
    joined.settle()
    assert.strictEqual(joined.server.accepted.length, 1)
    const before = client.pending
    if ("outcome" in first) return assert.fail(first.reason)
    client.mux.reset(first, ErrorCode.CANCELLED, "")
    assert.isAbove(client.pending, before)
    joined.settle()
    assert.strictEqual(joined.server.accepted.length, 2)
  })

  it("a body that was read while its last bytes were written is reset when END has left", () => {
    const joined = new Joined()
    const { client, server } = joined
    const recorder = new Recorder()
    const stream = client.mux.open("POST", "/", [], false, recorder)
    if ("outcome" in stream) return assert.fail(stream.reason)
    joined.settle()
    const answered = server.accepted[0]!.stream
    server.mux.respond(answered, 200, [], false)
    server.mux.write(answered, new Uint8Array(10))
    server.mux.finish(answered)
    server.mux.stopReading(answered)
    assert.isFalse(answered.isClosed, "nothing has left yet")
    joined.settle()
    assert.isTrue(answered.isClosed)
    assert.isTrue(recorder.ended)
    assert.isTrue(recorder.stopped, "the rest of the request is called off")
    assert.isTrue(stream.isClosed)
  })
})
