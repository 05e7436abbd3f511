/**
 * How upgrade requests that come at once share the turns of the event loop.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Http from "node:http"
import { Duplex } from "node:stream"
import { isTurnOver } from "../../src/internal/scheduling/turn.ts"
import { lineOf, lineUp } from "../../src/node/upgradeLine.ts"

const aTurn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Uses up what links may take of this turn. */
const exhaust = () => {
  while (!isTurnOver(16 * 1024)) Math.random()
}

/** A server that takes upgrades, each of which takes all of its turn; and sockets that ask for them. */
const start = (most: number) => {
  const taken: Array<string> = []
  const refused: Array<unknown> = []
  const server = Http.createServer()
  lineUp(server, lineOf(most, (socket) => refused.push(socket)))
  server.on("upgrade", ({ url }: Http.IncomingMessage) => {
    taken.push(url!)
    exhaust()
  })
  const ask = (url: string, remoteAddress?: string) => {
    let sent = ""
    const socket = Object.assign(
      new Duplex({
        read() {},
        write(chunk, _encoding, done) {
          sent += chunk
          done()
        }
      }),
      { remoteAddress }
    )
    server.emit("upgrade", { url }, socket, Buffer.alloc(0))
    return { socket, sent: () => sent }
  }
  return { ask, server, taken, refused }
}

describe("upgrade requests", () => {
  it("upgrade requests are handled at once while the turn has time, else in the order of arrival, one a turn", async () => {
    await aTurn()
    const { ask, taken } = start(10)
    for (const url of ["/1", "/2", "/3"]) ask(url)
    for (const expected of [["/1"], ["/1", "/2"], ["/1", "/2", "/3"]]) {
      assert.deepStrictEqual(taken, expected)
      await aTurn()
    }
    await aTurn()
  })

  it("upgrade requests that are lost while they wait are forgotten, and their errors do no harm", async () => {
    exhaust()
    const { ask, taken } = start(10)
    const { socket } = ask("/lost")
    ask("/next")
    socket.destroy(new Error("read ECONNRESET"))
    await aTurn()
    await aTurn()
    assert.deepStrictEqual(taken, ["/next"])
  })

  it("upgrade requests that find too many waiting are answered 503 in their turn, and their sockets are closed", async () => {
    exhaust()
    const { ask, refused, taken } = start(2)
    const waiting = [ask("/1"), ask("/2")]
    const late = ask("/3")
    assert.deepStrictEqual(refused, [late.socket])
    assert.strictEqual(late.sent(), "")
    for (let turns = 0; turns < 4; turns++) await aTurn()
    assert.deepStrictEqual(taken, ["/1", "/2"])
    assert.match(late.sent(), /^HTTP\/1\.1 503 Service Unavailable\r\nretry-after: 1\r\n/)
    assert.isTrue(late.socket.destroyed)
    assert.isTrue(waiting.every(({ sent, socket }) => sent() === "" && !socket.destroyed))
    ask("/4")
    await aTurn()
    assert.deepStrictEqual(taken, ["/1", "/2", "/4"])
  })

  it("sockets whose server has closed while their upgrade waited are hung up", async () => {
    exhaust()
    const { ask, server } = start(10)
    const { socket } = ask("/1")
    server.removeAllListeners("upgrade")
    await aTurn()
    await aTurn()
    assert.isTrue(socket.destroyed)
  })

  it("where too many upgrade requests wait, the address that has the most gives its newest place to others", async () => {
    exhaust()
    const { ask, refused, taken } = start(3)
    const flood = ["/f1", "/f2", "/f3", "/f4"].map((url) => ask(url, "6.6.6.6"))
    assert.deepStrictEqual(refused, [flood[3]!.socket])
    ask("/honest", "10.0.0.1")
    assert.deepStrictEqual(refused, [flood[3]!.socket, flood[2]!.socket])
    // Both have what is fair: who comes now is refused.
    const late = ask("/late", "10.0.0.1")
    assert.strictEqual(refused.at(-1), late.socket)
    for (let turns = 0; turns < 8; turns++) await aTurn()
    assert.deepStrictEqual(taken, ["/f1", "/f2", "/honest"])
    assert.match(flood[2]!.sent(), /^HTTP\/1\.1 503 /)
  })
})
