/**
 * A Go caller waits for 10 s, and its process dies of what comes later.
 */
import { assert, describe, it } from "@effect/vitest"
import { End, get } from "./machine.ts"

describe("late responses", () => {
  it("a response later than Go waits is not sent and ends the connection, when this end was too busy to send a 504", () => {
    const end = new End()
    end.take(get())
    // The timers have not run either.
    end.clock.now += 9801
    end.respond(0, 200, "late")
    assert.deepStrictEqual(end.send(), [])
    assert.lengthOf(end.broken, 1)
  })

  it("a late response is sent until the 10 s limit of Go has passed", () => {
    const end = new End()
    end.take(get())
    end.clock.now += 9799
    end.respond(0, 200, "just in time")
    assert.lengthOf(end.send(), 1)
    assert.lengthOf(end.broken, 0)
  })

  it("a response that comes too late because another one took long is not sent", () => {
    const end = new End()
    end.take(get("/long"))
    end.take(get("/short"))
    const { stream } = end.accepted[0]!
    end.mux.respond(stream, 200, [], false)
    end.respond(1, 200, "short")
    assert.lengthOf(end.send(), 1)
    end.clock.advance(9801)
    end.mux.finish(stream)
    assert.deepStrictEqual(end.send(), ["0\r\n\r\n"])
    assert.lengthOf(end.broken, 1)
  })

  it("a response may take as long as it likes once its head has left", () => {
    const end = new End()
    end.take(get())
    const { stream } = end.accepted[0]!
    end.mux.respond(stream, 200, [], false)
    assert.lengthOf(end.send(), 1)
    end.clock.advance(60_000)
    end.mux.finish(stream)
    assert.deepStrictEqual(end.send(), ["0\r\n\r\n"])
    assert.lengthOf(end.broken, 0)
  })

  it("a request that may have waited for the end of the handshake gets its 504 sooner", () => {
    const end = new End({ waited: 5000 })
    end.take(get())
    end.clock.advance(3999)
    assert.deepStrictEqual(end.send(), [])
    end.clock.advance(1)
    assert.match(end.send().join(""), /^HTTP\/1.1 504 /)
    end.take(get())
    end.clock.advance(8999)
    assert.deepStrictEqual(end.send(), [])
  })

  it("a late response is sent when responseTimeout is infinite", () => {
    const end = new End({ responseTimeout: Infinity })
    end.take(get())
    end.clock.advance(60_000)
    end.respond(0, 200, "at last")
    assert.lengthOf(end.send(), 1)
  })
})

describe("pings with data", () => {
  it("data of pings reduce the room for the body of a request", () => {
    const end = new End({ maxRequestSize: 960 })
    const fits = (size: number) => end.upload("/", "x".repeat(size)).handler.failure === undefined
    assert.isTrue(fits(800))
    end.mux.ping(new Uint8Array(50))
    assert.isTrue(fits(700))
    end.hearPing(new Uint8Array(125))
    assert.isFalse(fits(700))
    // The one that waits is looked at again before it is sent.
    assert.isTrue(fits(600))
    assert.match(end.send()[0]!, /Content-Length: 600\r\n/)
  })
})
