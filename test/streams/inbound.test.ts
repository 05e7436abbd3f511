/**
 * What each frame of the peer does in each state of its stream, and what is a violation of the connection.
 */
import { assert, describe, it } from "@effect/vitest"
import { ErrorCode, violation } from "../../src/internal/frame/codes.ts"
import { Encoder } from "../../src/internal/frame/encoder.ts"
import type { Decoded, Frame } from "../../src/internal/frame/Frame.ts"
import { maxCredit } from "../../src/internal/streams/flowControl.ts"
import { bytes, crafted, type End, framesOf, Joined, Recorder } from "./joined.ts"

const request = (streamId: number, end = true): Frame => ({
  _tag: "Request",
  streamId,
  end,
  method: end ? "GET" : "POST",
  target: "/",
  fields: []
})
const response = (streamId: number, end = false): Frame => ({
  _tag: "Response",
  streamId,
  end,
  status: 200,
  fields: []
})
const data = (streamId: number, size: number, end = false): Frame => ({
  _tag: "Data",
  streamId,
  end,
  data: bytes(size)
})
const credit = (streamId: number, increment = 1): Frame => ({ _tag: "Credit", streamId, increment })
const reset = (streamId: number, code: number = ErrorCode.CANCELLED): Frame => ({
  _tag: "Reset",
  streamId,
  code,
  reason: "no more"
})
const goAway = (lastStreamId: number, reason = ""): Frame => ({
  _tag: "GoAway",
  lastStreamId,
  code: ErrorCode.NO_ERROR,
  reason
})

/** All that an end has to say now. */
const said = (end: End): Array<Decoded> => {
  const messages: Array<Uint8Array> = []
  for (let message = end.mux.pull(); message !== undefined; message = end.mux.pull()) messages.push(message)
  return framesOf(messages)
}

/** The code of the violation that an end has found: read anew each time, which the compiler would not. */
const fault = (end: End): number | undefined => end.violation?.code

const resets = (frames: ReadonlyArray<Decoded>) =>
  frames.flatMap((frame) => frame._tag === "Reset" ? [[frame.streamId, frame.code, frame.reason]] : [])

const receiver = (end: End) => (...frames: ReadonlyArray<Frame>): void => {
  if (frames.length > 0) end.receive(crafted(...frames))
}

/** DATA of many bytes, in frames that are not too large. */
const large = (streamId: number, size: number): Array<Frame> =>
  size <= 16_000 ? [data(streamId, size)] : [data(streamId, 16_000), ...large(streamId, size - 16_000)]

/** A client that has sent a request, and that a message of its server can be given to. */
const calling = (end = true, options?: ConstructorParameters<typeof Joined>[0]) => {
  const joined = new Joined(options)
  const { handler, stream } = joined.call(end)
  const { client } = joined
  return { client, handler, stream, receive: receiver(client) }
}

/** A server, and the messages of its client. */
const serving = (options: ConstructorParameters<typeof Joined>[0] = {}) => {
  const { server, time } = new Joined(options)
  return { server, time, receive: receiver(server) }
}

describe("messages", () => {
  it("messages, their bytes and their frames are counted, and a text is a message too", () => {
    const { server } = serving()
    assert.isFalse(server.mux.isReceiving)
    const message = crafted(request(1, false), data(1, 5))
    server.receive(message)
    assert.deepInclude(server.mux.counters, {
      messagesReceived: 1,
      bytesReceived: message.length,
      framesReceived: 2,
      streamsAccepted: 1
    })
    assert.strictEqual(server.mux.heard, 1)
    assert.deepStrictEqual(
      server.mux.receive("hello"),
      violation(ErrorCode.PROTOCOL_ERROR, "a text message after the handshake")
    )
    assert.strictEqual(server.mux.heard, 2)
    assert.strictEqual(server.mux.counters.bytesReceived, message.length)
  })

  it("messages with many frames let the answers leave after each 16 of them", () => {
    const { receive, server } = serving()
    receive(...Array.from({ length: 15 }, () => credit(0)))
    assert.strictEqual(server.flushed, 0)
    receive(...Array.from({ length: 33 }, () => credit(0)))
    assert.strictEqual(server.flushed, 3)
  })

  // PROTOCOL.md ERR-3
  it("messages that come after the end of the connection change nothing", () => {
    const { receive, server } = serving()
    server.mux.fail({ code: ErrorCode.INTERNAL_ERROR, reason: "over" })
    receive(request(1), { _tag: "Ping", data: bytes(1) })
    assert.deepStrictEqual([server.accepted.length, server.pings.length], [0, 0])
    assert.isUndefined(server.mux.pull())
  })

  it("messages may provoke as many answers as may wait, and no more", () => {
    const { receive, server } = serving({ server: { maxQueuedControl: 100 } })
    for (let i = 0; i < 100; i++) receive({ _tag: "Ping", data: bytes(1) })
    assert.isUndefined(fault(server))
    receive({ _tag: "Ping", data: bytes(1) })
    assert.strictEqual(fault(server), ErrorCode.EXCESSIVE_LOAD)
  })

  it("answers that have left make room for others", () => {
    const { receive, server } = serving({ server: { maxQueuedControl: 100 } })
    for (let i = 0; i < 500; i++) {
      receive({ _tag: "Ping", data: bytes(1) }, { _tag: "Ping", data: bytes(1) })
      receive(request(2 * i + 1), reset(2 * i + 1, ErrorCode.NO_ERROR))
      said(server)
    }
    assert.isUndefined(fault(server))
  })
})

describe("frames of the link", () => {
  it("a ping is told to the connection, and its data is kept for the pong when the message is used again", () => {
    const { server } = serving()
    const message = crafted({ _tag: "Ping", data: bytes(3, 7) })
    server.receive(message)
    message.fill(0)
    assert.strictEqual(server.pings.length, 1)
    assert.deepStrictEqual(said(server), [{ _tag: "Pong", data: bytes(3, 7) }])
  })

  it("the pong of a ping that came in a Node Buffer keeps no more than its data", () => {
    const { server } = serving()
    const message = Buffer.from(crafted({ _tag: "Ping", data: bytes(3, 7) }))
    server.receive(message)
    message.fill(0)
    assert.deepStrictEqual(said(server), [{ _tag: "Pong", data: bytes(3, 7) }])
  })

  it("an ACK is told to the connection, which may find it wrong", () => {
    const { receive, server } = serving()
    receive({ _tag: "Ack", received: 3 })
    assert.deepStrictEqual(server.acks, [3])
    assert.isUndefined(fault(server))
    server.wrongAck = violation(ErrorCode.PROTOCOL_ERROR, "too many")
    receive({ _tag: "Ack", received: 4 })
    assert.deepStrictEqual(server.violation, server.wrongAck)
  })
})

describe("requests of the peer", () => {
  it("a request needs an id of its end's parity above all before", () => {
    for (const [first, second] of [[2, undefined], [5, 5], [5, 3], [1, 4]] as const) {
      const { receive, server } = serving()
      receive(request(first))
      if (second !== undefined) {
        assert.isUndefined(fault(server))
        receive(request(second))
      }
      assert.strictEqual(fault(server), ErrorCode.STREAM_ID_ERROR, `${first}, ${second}`)
    }
  })

  // PROTOCOL.md DRN-4, ERR-7
  it("a request after this end's GOAWAY is refused, counts as an answer that waits, and reaches no handler", () => {
    const { receive, server } = serving({ server: { maxQueuedControl: 100 } })
    server.mux.goAway(ErrorCode.NO_ERROR, "")
    receive(request(1), data(1, 0, true))
    assert.deepStrictEqual(resets(said(server)), [[1, ErrorCode.REFUSED_STREAM, "this end is going away"]])
    assert.strictEqual(server.accepted.length, 0)
    for (let i = 1; i <= 101; i++) receive(request(2 * i + 1))
    assert.strictEqual(fault(server), ErrorCode.EXCESSIVE_LOAD)
  })

  // PROTOCOL.md ERR-7
  it("a request beyond the limit is refused, counts as an answer that waits, and reaches no handler", () => {
    const { receive, server } = serving({ server: { maxConcurrentStreams: 1, maxQueuedControl: 100 } })
    receive(request(1), request(3))
    assert.deepStrictEqual(resets(said(server)), [[3, ErrorCode.REFUSED_STREAM, "too many requests are in progress"]])
    assert.strictEqual(server.accepted.length, 1)
    for (let i = 2; i <= 102; i++) receive(request(2 * i + 1))
    assert.strictEqual(fault(server), ErrorCode.EXCESSIVE_LOAD)
  })

  it("a request that the connection does not want is reset and leaves nothing open", () => {
    const { receive, server } = serving()
    server.refuse = violation(ErrorCode.NOT_SERVING, "no API here")
    receive(request(1))
    assert.deepStrictEqual(resets(said(server)), [[1, ErrorCode.NOT_SERVING, "no API here"]])
    assert.deepStrictEqual(server.mux.active, { local: 0, remote: 0, waiting: 0 })
  })

  it("requests that the connection does not want count as resets, unless they were refused untouched", () => {
    for (
      const [code, isCounted] of [
        [ErrorCode.REFUSED_STREAM, false],
        [ErrorCode.NOT_SERVING, false],
        [ErrorCode.HEAD_TOO_LARGE, false],
        [ErrorCode.INTERNAL_ERROR, true]
      ] as const
    ) {
      const { receive, server } = serving({ server: { resetsPerSecond: 0, resetBurst: 100 } })
      server.refuse = violation(code, "")
      for (let i = 0; i < 101; i++) {
        receive(request(2 * i + 1))
        said(server)
      }
      assert.strictEqual(fault(server), isCounted ? ErrorCode.EXCESSIVE_LOAD : undefined)
    }
  })

  it("unwanted requests whose resets the peer does not read are bounded", () => {
    const { receive, server } = serving({ server: { maxQueuedControl: 100 } })
    server.refuse = violation(ErrorCode.NOT_SERVING, "")
    for (let i = 0; i < 101; i++) receive(request(2 * i + 1))
    assert.strictEqual(fault(server), ErrorCode.EXCESSIVE_LOAD)
  })
})

describe("frames on streams that are not open", () => {
  const kinds: ReadonlyArray<readonly [string, (streamId: number) => Frame]> = [
    ["DATA", (streamId) => data(streamId, 1)],
    ["RESPONSE", (streamId) => response(streamId)],
    ["CREDIT", (streamId) => credit(streamId)],
    ["RESET", (streamId) => reset(streamId)]
  ]

  // PROTOCOL.md STR-4
  it("frames on idle streams of either end are violations of the connection", () => {
    for (const [kind, frame] of kinds) {
      for (const streamId of [1, 2, 7]) {
        const { receive, server } = serving()
        receive(frame(streamId))
        assert.strictEqual(fault(server), ErrorCode.PROTOCOL_ERROR, kind)
        assert.include(server.violation!.reason, `${kind} on the idle stream ${streamId}`)
      }
    }
  })

  it("frames on the next stream are violations, and on the last one are not", () => {
    for (const [kind, frame] of kinds) {
      const { client, receive } = calling()
      receive(response(1, true))
      receive(frame(1))
      assert.isUndefined(fault(client), kind)
      receive(frame(3))
      assert.strictEqual(fault(client), ErrorCode.PROTOCOL_ERROR, kind)
    }
  })

  // PROTOCOL.md STR-4
  it("DATA and RESPONSE on a closed stream are answered with STREAM_CLOSED once, CREDIT and RESET not at all", () => {
    for (const [kind, frame] of kinds) {
      const { client, receive } = calling()
      receive(response(1, true))
      const isAnswered = kind === "DATA" || kind === "RESPONSE"
      receive(frame(1))
      assert.deepStrictEqual(
        resets(said(client)),
        isAnswered ? [[1, ErrorCode.STREAM_CLOSED, `${kind} on a closed stream`]] : []
      )
      receive(frame(1))
      assert.deepStrictEqual(resets(said(client)), [], "late after the reset")
    }
  })

  it("frames on a stream that this end has reset are late, and not answered", () => {
    for (const [, frame] of kinds) {
      const { client, receive, stream } = calling()
      client.mux.reset(stream, ErrorCode.CANCELLED, "")
      said(client)
      receive(frame(1))
      assert.isUndefined(fault(client))
      assert.deepStrictEqual(said(client), [])
    }
  })

  it("answers to frames on closed streams are bounded", () => {
    const { receive, server } = serving({ server: { maxQueuedControl: 100 } })
    for (let i = 0; i < 101; i++) {
      receive(request(2 * i + 1))
      const { stream } = server.accepted[i]!
      server.mux.respond(stream, 204, [], true)
      said(server)
    }
    for (let i = 0; i < 101; i++) receive(data(2 * i + 1, 1))
    assert.strictEqual(fault(server), ErrorCode.EXCESSIVE_LOAD)
  })

  it("DATA without bytes is bounded on open streams, on closed ones and on late ones", () => {
    for (const which of ["open", "closed", "late"] as const) {
      const { receive, server } = serving()
      receive(request(1, false))
      const { stream } = server.accepted[0]!
      if (which === "late") server.mux.reset(stream, ErrorCode.CANCELLED, "")
      if (which === "closed") receive(data(1, 0, true))
      if (which === "closed") server.mux.respond(stream, 204, [], true)
      said(server)
      for (let i = 0; i < 1000; i++) receive(data(1, 0))
      said(server)
      assert.isUndefined(fault(server), which)
      for (let i = 0; i < 2; i++) receive(data(1, 0))
      assert.strictEqual(fault(server), ErrorCode.EXCESSIVE_LOAD, which)
    }
  })

  it("late DATA with bytes, or with END, is no empty DATA", () => {
    for (const frame of [data(1, 1), data(1, 0, true)]) {
      const { receive, server } = serving()
      receive(request(1, false))
      server.mux.reset(server.accepted[0]!.stream, ErrorCode.CANCELLED, "")
      for (let i = 0; i < 1200; i++) receive(frame)
      assert.isUndefined(fault(server))
    }
  })
})

describe("frames that the state of a stream does not allow", () => {
  const cases: ReadonlyArray<readonly [string, ReadonlyArray<Frame>, Frame, number, string]> = [
    ["a second RESPONSE", [response(1)], response(1), ErrorCode.PROTOCOL_ERROR, "RESPONSE where none belongs"],
    ["a RESPONSE after END", [response(1, true)], response(1), ErrorCode.STREAM_CLOSED, "RESPONSE after the end"],
    ["DATA before RESPONSE", [], data(1, 1), ErrorCode.PROTOCOL_ERROR, "DATA before RESPONSE"],
    ["DATA after END", [response(1), data(1, 1, true)], data(1, 1), ErrorCode.STREAM_CLOSED, "DATA after the end"]
  ]

  // PROTOCOL.md STR-4
  it("frames that the state does not allow end the stream alone, for both ends", () => {
    for (const [title, before, frame, code, reason] of cases) {
      // A request whose body goes on, so that the answer's end does not close the stream.
      const { client, handler, receive, stream } = calling(false)
      receive(...before)
      assert.isFalse(stream.isClosed, title)
      receive(frame)
      assert.isUndefined(fault(client), title)
      assert.deepStrictEqual(resets(said(client)), [[1, code, reason]], title)
      assert.deepStrictEqual(handler.failure, { code, reason, by: "local", outcome: "unknown" }, title)
      assert.isTrue(stream.isClosed)
    }
  })

  it("what a handler finds wrong ends its stream, even with the last frame", () => {
    const found = violation(ErrorCode.INTERNAL_ERROR, "not for me")
    for (
      const frames of [[response(1)], [response(1, true)], [response(1), data(1, 3)], [response(1), data(1, 3, true)]]
    ) {
      const { client, handler, receive } = calling()
      receive(...frames.slice(0, -1))
      handler.fault = found
      receive(...frames.slice(-1))
      assert.deepStrictEqual(resets(said(client)), [[1, ErrorCode.INTERNAL_ERROR, "not for me"]])
      assert.deepInclude(handler.failure, { ...found, by: "local" })
      assert.deepStrictEqual(client.mux.active, { local: 0, remote: 0, waiting: 0 })
    }
  })

  it("faults on streams of this end do not count as resets of the peer, and their answers are bounded", () => {
    const options = { client: { resetsPerSecond: 0, resetBurst: 100, maxQueuedControl: 1000 } }
    const joined = new Joined(options)
    for (let i = 0; i < 120; i++) {
      const { handler } = joined.call()
      joined.client.receive(crafted(data(2 * i + 1, 1)))
      assert.isDefined(handler.failure)
      said(joined.client)
    }
    assert.isUndefined(fault(joined.client))
    const bounded = new Joined({ client: { maxQueuedControl: 100 }, server: { maxConcurrentStreams: 200 } })
    for (let i = 0; i < 101; i++) bounded.call()
    for (let i = 0; i < 101; i++) bounded.client.receive(crafted(data(2 * i + 1, 1)))
    assert.strictEqual(fault(bounded.client), ErrorCode.EXCESSIVE_LOAD)
  })

  it("a stream goes on after an answer that has not ended, and closes with END", () => {
    const { client, handler, receive, stream } = calling()
    receive(response(1), data(1, 2), data(1, 0))
    assert.deepStrictEqual([stream.isClosed, handler.ended, handler.bytes], [false, false, 2])
    receive(data(1, 3, true))
    assert.deepStrictEqual([stream.isClosed, handler.ended, handler.bytes], [true, true, 5])
    assert.deepStrictEqual(client.mux.active, { local: 0, remote: 0, waiting: 0 })
  })
})

describe("credit", () => {
  it("DATA may use all credit of the connection, and a byte more is a violation of the connection", () => {
    const { receive, server } = serving({ server: { connectionWindow: 65_535, streamWindow: 100_000, maxUnread: 0 } })
    receive(request(1, false))
    for (const frame of large(1, 65_535)) receive(frame)
    assert.isUndefined(fault(server))
    receive(data(1, 1))
    assert.deepStrictEqual(
      server.violation,
      violation(ErrorCode.FLOW_CONTROL_ERROR, "DATA beyond the credit of the connection")
    )
  })

  it("DATA may use all credit of its stream, and a byte more is a fault of the stream", () => {
    const { receive, server } = serving({ server: { streamWindow: 1000 } })
    receive(request(1, false), data(1, 1000))
    assert.deepStrictEqual(resets(said(server)), [])
    receive(data(1, 1))
    assert.deepStrictEqual(resets(said(server)), [
      [1, ErrorCode.FLOW_CONTROL_ERROR, "DATA beyond the credit of the stream"]
    ])
    assert.isUndefined(fault(server))
  })

  // PROTOCOL.md FLOW-5
  it("DATA that is thrown away gives the connection its credit back, whatever the reason", () => {
    const sizes = { connectionWindow: 65_535, streamWindow: 65_535 }
    const options = { server: { ...sizes, streamWindow: 0 }, client: sizes }
    const granted = (end: End) => said(end).filter((frame) => frame._tag === "Credit" && frame.streamId === 0).length
    const closed = calling(true, options)
    closed.receive(response(1, true), ...large(1, 50_000))
    assert.strictEqual(granted(closed.client), 1, "on a closed stream")
    const early = calling(true, options)
    early.receive(...large(1, 50_000))
    assert.strictEqual(granted(early.client), 1, "before the answer")
    const { receive, server } = serving(options)
    receive(request(1, false), ...large(1, 50_000))
    assert.strictEqual(granted(server), 1, "beyond the credit of the stream")
  })

  it("DATA that waits for its reader gives the connection its credit back, while no more waits than may", () => {
    for (const [maxUnread, grants] of [[100_000, 1], [0, 0]] as const) {
      const { receive, server } = serving({
        server: { connectionWindow: 65_535, streamWindow: 65_535, maxUnread }
      })
      receive(request(1, false), ...large(1, 50_000))
      const granted = () => said(server).filter((frame) => frame._tag === "Credit" && frame.streamId === 0).length
      assert.strictEqual(granted(), grants)
      server.mux.consumed(server.accepted[0]!.stream, 50_000)
      assert.strictEqual(granted(), 1 - grants, "when it was read")
    }
  })

  it("readers that stopped beyond what they may hold stop the connection no earlier than with half of its window", () => {
    const window = 65_536
    for (const [read, grants] of [[9000, 1], [8000, 0]] as const) {
      const { receive, server } = serving({
        server: { connectionWindow: window, streamWindow: window, maxUnread: 0 }
      })
      for (const id of [1, 3, 5, 7]) receive(request(id, false), data(id, 16_000))
      // No stream is given credit for so little, with which that of the connection would leave.
      for (const { stream } of server.accepted) server.mux.consumed(stream, read)
      const connection = said(server).filter((frame) => frame._tag === "Credit").map(({ streamId }) => streamId)
      assert.deepStrictEqual(connection, Array.from({ length: grants }, () => 0))
    }
  })

  // PROTOCOL.md FLOW-1
  it("CREDIT of the connection may reach the greatest credit and not exceed it, and lets DATA go on", () => {
    const { client, receive, stream } = calling(false, { server: { connectionWindow: 65_535, streamWindow: 100_000 } })
    client.mux.write(stream, bytes(65_536))
    said(client)
    const before = client.pending
    receive(credit(0, maxCredit))
    assert.isUndefined(fault(client))
    assert.strictEqual(client.pending, before + 1)
    assert.deepStrictEqual(said(client), [{ _tag: "Data", streamId: 1, end: false, data: bytes(1) }])
    receive(credit(0, 1))
    assert.isUndefined(fault(client))
    receive(credit(0, 1))
    assert.deepStrictEqual(
      client.violation,
      violation(ErrorCode.FLOW_CONTROL_ERROR, "the credit of the connection overflows")
    )
  })

  it("CREDIT of a stream may reach the greatest credit and not exceed it, and lets DATA go on", () => {
    const { client, receive, stream } = calling(false, { server: { streamWindow: 10 } })
    client.mux.write(stream, bytes(11))
    said(client)
    const before = client.pending
    receive(credit(1, maxCredit))
    assert.strictEqual(client.pending, before + 1)
    assert.deepStrictEqual(said(client), [{ _tag: "Data", streamId: 1, end: false, data: bytes(1) }])
    receive(credit(1, 1))
    assert.deepStrictEqual(resets(said(client)), [])
    receive(credit(1, 1))
    assert.deepStrictEqual(resets(said(client)), [
      [1, ErrorCode.FLOW_CONTROL_ERROR, "the credit of the stream overflows"]
    ])
  })
})

describe("resets of the peer", () => {
  it("a request was not processed if it was refused untouched before the answer began", () => {
    const outcome = (code: number, ...before: ReadonlyArray<Frame>) => {
      const { client, handler, receive } = calling()
      receive(...before)
      receive(reset(1, code))
      assert.strictEqual(client.mux.counters.resetsReceived, 1)
      assert.deepInclude(handler.failure, { code, reason: "no more", by: "remote" })
      return handler.failure?.outcome
    }
    for (const code of [ErrorCode.REFUSED_STREAM, ErrorCode.NOT_SERVING, ErrorCode.HEAD_TOO_LARGE]) {
      assert.strictEqual(outcome(code), "not-processed")
      assert.strictEqual(outcome(code, response(1)), "unknown")
    }
    assert.strictEqual(outcome(ErrorCode.CANCELLED), "unknown")
    assert.strictEqual(outcome(ErrorCode.INTERNAL_ERROR, response(1)), "unknown")
  })

  it("resets of requests count against the peer, resets of answers don't", () => {
    const joined = new Joined({
      client: { resetsPerSecond: 0, resetBurst: 100 },
      server: { resetsPerSecond: 0, resetBurst: 100 }
    })
    for (let i = 0; i < 101; i++) {
      const { handler } = joined.call()
      joined.client.receive(crafted(reset(2 * i + 1)))
      assert.isDefined(handler.failure)
    }
    assert.isUndefined(fault(joined.client))
    for (let i = 0; i < 101; i++) joined.server.receive(crafted(reset(2 * i + 1)))
    assert.strictEqual(fault(joined.server), ErrorCode.EXCESSIVE_LOAD)
  })

  it("a reset after a complete answer only calls the rest of the request off", () => {
    const { client, handler, receive, stream } = calling(false)
    receive(response(1, true))
    receive(reset(1, ErrorCode.NO_ERROR))
    assert.deepStrictEqual([handler.stopped, handler.failure, stream.isClosed], [true, undefined, true])
    assert.deepStrictEqual(client.mux.active, { local: 0, remote: 0, waiting: 0 })
    assert.deepStrictEqual(resets(said(client)), [])
  })
})

describe("malformed heads", () => {
  const malformed = (frame: "request" | "response", streamId: number) => {
    const encoder = new Encoder(4096)
    if (frame === "request") encoder.request(streamId, true, "GET", "no path", [])
    else encoder.response(streamId, false, 200, [["Not Lower", ""]])
    return encoder.take()
  }

  it("a malformed request is reset, counts as a reset, and takes its id", () => {
    const { server } = serving({ server: { resetsPerSecond: 0, resetBurst: 100 } })
    server.receive(malformed("request", 1))
    assert.deepInclude(said(server)[0], { _tag: "Reset", streamId: 1, code: ErrorCode.MALFORMED })
    for (let i = 1; i <= 100; i++) {
      assert.isUndefined(fault(server))
      server.receive(malformed("request", 2 * i + 1))
      said(server)
    }
    assert.strictEqual(fault(server), ErrorCode.EXCESSIVE_LOAD)
    const other = serving().server
    other.receive(malformed("request", 1))
    other.receive(malformed("request", 1))
    assert.strictEqual(fault(other), ErrorCode.STREAM_ID_ERROR)
  })

  it("malformed requests whose resets the peer does not read are bounded", () => {
    const { server } = serving({ server: { maxQueuedControl: 100, resetBurst: 1000 } })
    for (let i = 0; i < 101; i++) server.receive(malformed("request", 2 * i + 1))
    assert.strictEqual(fault(server), ErrorCode.EXCESSIVE_LOAD)
  })

  it("a malformed response ends its stream, and on an idle stream the connection", () => {
    const { client, handler } = calling()
    client.receive(malformed("response", 1))
    assert.deepInclude(handler.failure, { code: ErrorCode.MALFORMED, by: "local" })
    assert.deepInclude(said(client)[0], { _tag: "Reset", streamId: 1, code: ErrorCode.MALFORMED })
    client.receive(malformed("response", 3))
    assert.strictEqual(fault(client), ErrorCode.PROTOCOL_ERROR)
  })
})

describe("GOAWAY of the peer", () => {
  it("GOAWAY fails the requests above its last stream and those that wait, and lets the others go on", () => {
    const joined = new Joined({ server: { maxConcurrentStreams: 2 } })
    const [first, second] = [joined.call(), joined.call()]
    const third = new Recorder()
    joined.client.mux.open("GET", "/", [], true, third)
    const frame = goAway(1, "for repairs")
    joined.client.receive(crafted(frame))
    const refused = { code: ErrorCode.REFUSED_STREAM, reason: "for repairs", by: "remote" } as const
    assert.isUndefined(first.handler.failure)
    assert.deepStrictEqual(second.handler.failure, { ...refused, outcome: "not-processed" })
    assert.deepStrictEqual(third.failure, { ...refused, outcome: "not-sent" })
    assert.deepStrictEqual(joined.client.mux.active, { local: 1, remote: 0, waiting: 0 })
    assert.deepStrictEqual<unknown>(joined.client.goAways, [frame])
    assert.deepStrictEqual<unknown>(joined.client.mux.open("GET", "/", [], true, third), {
      ...refused,
      outcome: "not-sent"
    })
  })

  it("GOAWAY without a reason gets one, and requests of the peer go on", () => {
    const joined = new Joined()
    const stream = joined.server.mux.open("GET", "/", [], true, new Recorder())
    joined.deliver("server")
    const { handler } = joined.call()
    joined.client.receive(crafted(goAway(0)))
    assert.deepInclude(handler.failure, { reason: "the peer is going away" })
    assert.isFalse("outcome" in stream)
    assert.deepStrictEqual(joined.client.mux.active, { local: 0, remote: 1, waiting: 0 })
  })

  // PROTOCOL.md DRN-7
  it("GOAWAY may be repeated and lowered, and not raised", () => {
    const { client, receive } = calling()
    receive(goAway(5), goAway(5), goAway(3))
    assert.isUndefined(fault(client))
    receive(goAway(5))
    assert.deepStrictEqual(client.violation, violation(ErrorCode.PROTOCOL_ERROR, "GOAWAY 5 after GOAWAY 3"))
  })

  it("GOAWAYs are bounded", () => {
    const { client, receive } = calling()
    for (let i = 0; i < 100; i++) receive(goAway(1))
    assert.isUndefined(fault(client))
    receive(goAway(1))
    assert.strictEqual(fault(client), ErrorCode.EXCESSIVE_LOAD)
  })
})
