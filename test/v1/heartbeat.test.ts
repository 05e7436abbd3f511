/**
 * PROTOCOL-v1.md, "Heartbeat of wire v1": which silence says something.
 */
import { assert, describe, it } from "@effect/vitest"
import { bytesOf, End, get, lines, textOf } from "./machine.ts"

describe("heartbeat", () => {
  /** Whether the peer counts as silent between two looks. */
  const isSilent = (end: End): boolean => {
    const before = end.mux.heard
    return end.mux.heard === before
  }

  it("pings are sent and received with their data", () => {
    const end = new End()
    end.mux.ping(bytesOf("data"))
    assert.deepStrictEqual(end.sentPings.map(textOf), ["data"])
    end.hearPing(bytesOf("theirs"))
    end.hearPong(bytesOf("data"))
    assert.deepStrictEqual([...end.pings, ...end.pongs].map(textOf), ["theirs", "data"])
  })

  it("a peer that has never answered an idle ping is never declared silent", () => {
    const end = new End()
    assert.isFalse(isSilent(end))
    for (let count = 0; count < 3; count++) {
      end.mux.ping(bytesOf("x"))
      assert.isFalse(isSilent(end))
    }
    end.take(get())
    end.mux.ping(bytesOf("y"))
    end.hearPong(bytesOf("y"))
    assert.isFalse(isSilent(end), "while it waited for an answer it had to listen")
    assert.deepStrictEqual(end.pongs, [])
    end.respond(0, 200)
    end.send()
    end.mux.ping(bytesOf("z"))
    end.take(get())
    end.hearPong(bytesOf("z"))
    assert.isFalse(isSilent(end), "nor does the answer to a ping of before tell")
    assert.deepStrictEqual(end.pongs, [])
  })

  it("a platform without pings sends none, and its peer is never declared silent", () => {
    const end = new End({ controls: false })
    end.mux.ping(bytesOf("x"))
    assert.isFalse(isSilent(end))
  })

  it("a peer that has answered a ping is silent when nothing comes, and not when anything does", () => {
    const end = new End()
    end.mux.ping(bytesOf("x"))
    end.hearPong(bytesOf("x"))
    assert.isTrue(isSilent(end))
    const marks = [end.mux.heard]
    end.take("")
    marks.push(end.mux.heard)
    end.hearPing(bytesOf(""))
    marks.push(end.mux.heard)
    end.hearPong(bytesOf(""))
    marks.push(end.mux.heard)
    assert.strictEqual(new Set(marks).size, 4)
    assert.isTrue(isSilent(end))
  })

  it("a peer that is not read from is not declared silent", () => {
    const end = new End({ limits: { streamWindow: 2 } })
    end.mux.ping(bytesOf("x"))
    end.hearPong(bytesOf("x"))
    end.take(lines("POST / HTTP/1.1", "content-length: 9", "", "abc"))
    assert.isFalse(isSilent(end))
    end.mux.consumed(end.accepted[0]!.stream, 3)
    assert.isTrue(isSilent(end))
  })
})
