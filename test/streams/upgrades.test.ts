/**
 * PROTOCOL.md, "Upgrades", in the multiplexer: who may ask, what may be answered, and what is sent when.
 */
import { assert, describe, it } from "@effect/vitest"
import { ErrorCode } from "../../src/internal/frame/codes.ts"
import type { Fields } from "../../src/internal/frame/Frame.ts"
import { bytes, crafted, framesOf, Joined, Recorder } from "./joined.ts"

const asking: Fields = [["upgrade", "echo"]]

/** A request of the client, as the server has it. */
const ask = (joined: Joined, { end = false, fields = asking, method = "GET" } = {}) => {
  const handler = new Recorder()
  const stream = joined.client.mux.open(method, "/", fields, end, handler)
  if ("outcome" in stream) throw new Error(stream.reason)
  joined.deliver("client")
  return { handler, stream, accepted: joined.server.accepted[joined.server.accepted.length - 1]! }
}

/** Read anew each time, which the compiler would not. */
const fault = (joined: Joined): number | undefined => joined.server.violation?.code

/** A stream that was upgraded. */
const upgrade = () => {
  const joined = new Joined()
  const call = ask(joined)
  joined.server.mux.respond(call.accepted.stream, 101, asking, false)
  joined.settle()
  return { ...call, joined }
}

describe("asking", () => {
  it("a request with the field asks, where it has no END and is not HEAD", () => {
    const joined = new Joined()
    assert.isTrue(ask(joined).accepted.stream.asksForUpgrade)
    assert.deepStrictEqual(joined.server.accepted[0]!.request.fields, asking)
    assert.isFalse(ask(joined, { end: true }).accepted.stream.asksForUpgrade)
    assert.isFalse(ask(joined, { method: "HEAD" }).accepted.stream.asksForUpgrade)
    assert.isFalse(ask(joined, { fields: [["priority", "u=1"]] }).accepted.stream.asksForUpgrade)
  })

  it("the field is found behind a priority, which holds as well", () => {
    const { accepted: { stream } } = ask(new Joined(), {
      fields: [["priority", "u=1"], ...asking, ["priority", "u=2"]]
    })
    assert.isTrue(stream.asksForUpgrade)
    assert.strictEqual(stream.urgency, 1)
  })

  for (const end of ["client", "server"] as const) {
    it(`the field is dropped, and nothing is asked for, where the ${end} knows no upgrades`, () => {
      const joined = new Joined({ [end]: { upgrade: 0 } })
      assert.isFalse(joined.client.mux.upgrades)
      assert.isFalse(joined.server.mux.upgrades)
      const { accepted } = ask(joined)
      assert.isFalse(accepted.stream.asksForUpgrade)
      assert.deepStrictEqual(accepted.request.fields, [])
    })
  }

  for (const [title, size, end] of [["bytes", 1, false], ["END", 0, true]] as const) {
    // PROTOCOL.md UPG-1
    it(`DATA with ${title} before the answer resets the stream with MALFORMED`, () => {
      const joined = new Joined()
      const { accepted, handler, stream } = ask(joined)
      joined.server.receive(crafted({ _tag: "Data", streamId: stream.id, end, data: bytes(size) }))
      assert.strictEqual(accepted.handler.failure?.code, ErrorCode.MALFORMED)
      joined.settle()
      assert.strictEqual(handler.failure?.code, ErrorCode.MALFORMED)
      assert.isUndefined(joined.server.violation)
    })
  }

  it("DATA without bytes and END before the answer changes nothing", () => {
    const joined = new Joined()
    const { accepted, stream } = ask(joined)
    joined.server.receive(crafted({ _tag: "Data", streamId: stream.id, end: false, data: bytes(0) }))
    assert.isUndefined(accepted.handler.failure)
  })

  it("DATA without bytes and END is limited in an upgraded stream too", () => {
    const { joined, stream } = upgrade()
    const empty = { _tag: "Data", streamId: stream.id, end: false, data: bytes(0) } as const
    for (let left = 1000; left > 0; left--) joined.server.receive(crafted(empty))
    assert.isUndefined(joined.server.violation)
    joined.server.receive(crafted(empty))
    assert.deepStrictEqual(fault(joined), ErrorCode.EXCESSIVE_LOAD)
  })
})

describe("answering", () => {
  it("behind 101 bytes flow both ways, and END of one direction leaves the other", () => {
    const { accepted, handler, joined, stream } = upgrade()
    const { client, server } = joined
    assert.strictEqual(handler.status, 101)
    client.mux.write(stream, bytes(3, 1))
    client.mux.finish(stream)
    server.mux.write(accepted.stream, bytes(5, 2))
    joined.deliver("client")
    assert.strictEqual(accepted.handler.bytes, 3)
    assert.isTrue(accepted.handler.ended)
    joined.deliver("server")
    assert.strictEqual(handler.bytes, 5)
    assert.isFalse(handler.ended)
    assert.isFalse(stream.isClosed)
    server.mux.write(accepted.stream, bytes(1))
    server.mux.finish(accepted.stream)
    joined.deliver("server")
    assert.strictEqual(handler.bytes, 6)
    assert.isTrue(stream.isClosed)
    assert.isTrue(accepted.stream.isClosed)
  })

  it("101 that was not asked for resets the stream with PROTOCOL_ERROR", () => {
    const joined = new Joined()
    const { handler } = joined.call()
    joined.client.receive(crafted({ _tag: "Response", streamId: 1, end: false, status: 101, fields: [] }))
    assert.strictEqual(handler.failure?.code, ErrorCode.PROTOCOL_ERROR)
    assert.isUndefined(joined.client.violation)
    assert.deepInclude(framesOf(joined.deliver("client"))[0], { _tag: "Reset", code: ErrorCode.PROTOCOL_ERROR })
  })

  it("101 where one end knows no upgrades is a violation of the connection", () => {
    const joined = new Joined({ client: { upgrade: 0 } })
    joined.call()
    joined.client.receive(crafted({ _tag: "Response", streamId: 1, end: false, status: 101, fields: [] }))
    assert.strictEqual(joined.client.violation?.code, ErrorCode.PROTOCOL_ERROR)
  })

  it("a second 101 resets the stream", () => {
    const { handler, joined } = upgrade()
    joined.client.receive(crafted({ _tag: "Response", streamId: 1, end: false, status: 101, fields: [] }))
    assert.strictEqual(handler.failure?.code, ErrorCode.PROTOCOL_ERROR)
  })

  it("bytes behind END reset the stream with STREAM_CLOSED", () => {
    const { accepted, joined, stream } = upgrade()
    const last = { _tag: "Data", streamId: stream.id, end: true, data: bytes(1) } as const
    joined.server.receive(crafted(last, last))
    assert.strictEqual(accepted.handler.failure?.code, ErrorCode.STREAM_CLOSED)
  })

  it("requesters that end thousands of upgrades and read no more of them are no flood of resets", () => {
    const joined = new Joined()
    for (let left = 2000; left > 0; left--) {
      const { accepted, stream } = ask(joined)
      joined.server.mux.respond(accepted.stream, 101, asking, false)
      joined.settle()
      joined.client.mux.finish(stream)
      joined.client.mux.stopReading(stream)
      joined.settle()
      assert.isUndefined(joined.server.violation)
      assert.isTrue(accepted.stream.isClosed)
    }
    // Those that abort them are.
    for (let left = 2000; left > 0; left--) {
      const { accepted, stream } = ask(joined)
      joined.server.mux.respond(accepted.stream, 101, asking, false)
      joined.settle()
      joined.client.mux.reset(stream, ErrorCode.NO_ERROR, "")
      joined.settle()
      if (fault(joined) !== undefined) break
    }
    assert.strictEqual(fault(joined), ErrorCode.EXCESSIVE_LOAD)
  })

  it("bytes that the application keeps count as unread until it has the rest, or the stream is closed", () => {
    const { accepted, joined, stream } = upgrade()
    const { client, server } = joined
    client.mux.write(stream, bytes(1000))
    joined.deliver("client")
    server.mux.consumed(accepted.stream, 1000)
    assert.strictEqual(server.mux.unreadBytes, 0)
    server.mux.keep(accepted.stream, 900)
    assert.strictEqual(server.mux.unreadBytes, 900)
    server.mux.keep(accepted.stream, 100)
    assert.strictEqual(server.mux.unreadBytes, 100)
    client.mux.reset(stream, ErrorCode.CANCELLED, "")
    joined.deliver("client")
    assert.strictEqual(server.mux.unreadBytes, 0)
    server.mux.keep(accepted.stream, 5)
    assert.strictEqual(server.mux.unreadBytes, 0)
  })

  it("a requester that reads no more resets the stream behind its END, and not before", () => {
    const { accepted, joined, stream } = upgrade()
    joined.client.mux.write(stream, bytes(10))
    joined.client.mux.finish(stream)
    joined.client.mux.stopReading(stream)
    joined.deliver("client")
    assert.strictEqual(accepted.handler.bytes, 10)
    assert.isTrue(accepted.handler.ended)
    assert.strictEqual(accepted.handler.failure?.code, ErrorCode.NO_ERROR)
    assert.isTrue(stream.isClosed)
  })
})
