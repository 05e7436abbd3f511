/**
 * Plays what a client sent to the chatter service of the examples, byte for byte and in the same frames, and compares the
 * answers with those of goa's.
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { until } from "../../support/waiting.ts"
import { dial, type GoPeer } from "../../v1/replay/goPeer.ts"
import { type Message, methodOf } from "../../v1/replay/http1.ts"
import { sameMessage, sameResponse } from "./compare.ts"
import { type OurServer, startServer } from "./ours.ts"
import { type Line, parse, requestOf, responseOf } from "./transcript.ts"

/** What is not as it would be by default. */
export interface ServerPlay {
  /** What is in the store. */
  readonly stored?: ReadonlyArray<string>
  /** The client hangs up when it did, whatever it could still be told. */
  readonly leaves?: boolean
  /** What is stored of what the client sends. Default all that goa takes. */
  readonly stores?: ReadonlyArray<string>
  /** In what we are other than goa, and how the conversation goes with us. */
  readonly differs?: readonly [why: string, edit: (lines: ReadonlyArray<Line>) => ReadonlyArray<Line>]
}

/** Of those who subscribe. */
const pingInterval = 3000

/** When the tokens were made that are recorded. */
const recordedAt = 1795290700_000

interface Conn {
  readonly peer: GoPeer
  readonly methods: Array<string>
  /** So much of it was compared. */
  readonly seen: { responses: number; messages: number; pings: number; pongs: number }
  closed: boolean
}

const responsesOf = ({ methods, peer }: Conn): ReadonlyArray<Message> =>
  peer.head === undefined ? [] : parse(Buffer.concat([Buffer.from(peer.head, "latin1"), peer.unread]), methods)

/**
 * What goa still sends to a client that has hung up is expected before; and who was sent a close frame waits for the end.
 */
const inOrder = (lines: ReadonlyArray<Line>, leaves: boolean): ReadonlyArray<Line> => {
  const isEnd = (line: Line) => line.type === "tcp"
  const conns = [...new Set(lines.map(({ conn }) => conn))]
  if (!leaves) return [...lines.filter((line) => !isEnd(line)), ...conns.flatMap((conn) => endsOf(lines, conn))]
  const left = new Set<number>()
  return lines.filter((line) => {
    if (line.type === "tcp" && line.dir === "c2s") left.add(line.conn)
    return line.dir !== "s2c" || line.type === "tcp" || !left.has(line.conn)
  })
}

const endsOf = (lines: ReadonlyArray<Line>, conn: number): ReadonlyArray<Line> => {
  const ends = lines.filter((line) => line.conn === conn && line.type === "tcp")
  const bothClose = ["c2s", "s2c"].every((dir) =>
    lines.some((line) => line.conn === conn && line.type === "control" && line.opcode === "close" && line.dir === dir)
  )
  return ends.toSorted((a, b) => (a.dir < b.dir ? -1 : 1) * (bothClose ? -1 : 1))
}

type Step = Effect.Effect<void, unknown, Scope.Scope>

const playRequest = Effect.fnUntraced(function*(
  conns: Map<number, Conn>,
  server: OurServer,
  line: Extract<Line, { type: "request" }>
) {
  const known = conns.get(line.conn)
  const method = methodOf(requestOf(line))
  if (known !== undefined) {
    known.methods.push(method)
    known.peer.write(line.text)
    return
  }
  conns.set(line.conn, {
    peer: yield* dial(server.port, line.text),
    methods: [method],
    seen: { responses: 0, messages: 0, pings: 0, pongs: 0 },
    closed: false
  })
})

/** Sends what goa's client sent. */
const play = ({ peer }: Conn, line: Line): void => {
  if (line.type === "message") return peer.sendMessage(line.opcode, line.data, line.frames)
  if (line.type === "tcp") return line.event === "fin" ? peer.end() : peer.reset()
  if (line.type !== "control") return
  if (line.opcode === "close") peer.sendClose(line.code, line.reason)
  else peer.sendFrame(line.opcode, line.data)
}

/** Waits for what goa's server sent. */
const follow = Effect.fnUntraced(function*(conn: Conn, line: Line, about: string) {
  const { methods, peer, seen } = conn
  switch (line.type) {
    case "response": {
      const at = seen.responses++
      yield* until(about, () => responsesOf(conn)[at]?.whole === true)
      return sameResponse(responsesOf(conn)[at]!, responseOf(line, methods[at]!), about)
    }
    case "message": {
      const at = seen.messages++
      yield* until(about, () => peer.messages.length > at)
      return sameMessage(peer.messages[at]!, line.data, about)
    }
    case "tcp":
      return yield* until(about, () => peer.ended)
    case "control": {
      if (line.opcode === "close") {
        conn.closed = true
        yield* until(about, () => peer.close !== undefined)
        assert.strictEqual(peer.close!.code, line.code, about)
        // An echo has the reason that was said, or none.
        if (line.reason !== "") assert.strictEqual(peer.close!.reason, line.reason, about)
        return
      }
      const at = line.opcode === "ping" ? seen.pings++ : seen.pongs++
      const received = line.opcode === "ping" ? peer.pings : peer.pongs
      yield* until(about, () => received.length > at)
      assert.isTrue(received[at]!.equals(line.data), about)
    }
  }
})

/** Our pongs come in order: with one in hand all that was sent before is read. */
const awaitPing = Effect.fnUntraced(function*({ peer, seen }: Conn) {
  const at = seen.pongs++
  peer.sendFrame("ping", Buffer.from("are you there?"))
  yield* until("a pong", () => peer.pongs.length > at)
  yield* TestClock.adjust(pingInterval)
})

/** Events that nobody sent in the transcript. */
const stir = (server: OurServer, line: Line): Effect.Effect<unknown> => {
  if (line.type !== "message" || line.dir !== "s2c") return Effect.void
  const { action, message } = Object(JSON.parse(line.data.toString())) as { action?: string; message?: string }
  return action === "added" && !server.stored.includes(message!) ? server.add(message!) : Effect.void
}

const messagesOf = (lines: ReadonlyArray<Line>): ReadonlyArray<string> =>
  lines.flatMap((line) => {
    if (line.type !== "message" || line.dir !== "c2s") return []
    try {
      const value: unknown = JSON.parse(line.data.toString())
      return typeof value === "string" ? [value] : []
    } catch {
      return []
    }
  })

export const playToServer = Effect.fnUntraced(
  function*(all: ReadonlyArray<Line>, { differs, leaves = false, stored = [], stores }: ServerPlay): Effect.fn.Return<
    void,
    unknown,
    Scope.Scope
  > {
    yield* TestClock.setTime(recordedAt)
    const server = yield* startServer
    for (const message of stored) yield* server.add(message)
    const lines = inOrder(differs === undefined ? all : differs[1](all), leaves)
    const sent = [...stored, ...(stores ?? messagesOf(lines))]
    const hasListener = messagesOf(lines).length > 0
    const conns = new Map<number, Conn>()
    for (const [index, line] of lines.entries()) {
      const about = `line ${index}: ${line.type} of connection ${line.conn}`
      const step = (): Step => {
        const conn = conns.get(line.conn)!
        if (line.type === "request") {
          const before = stored.length + messagesOf(lines.slice(0, index)).length
          const isStored = hasListener && stores === undefined
            ? until("what was sent is stored", () => server.stored.length >= before)
            : Effect.void
          return Effect.andThen(isStored, playRequest(conns, server, line))
        }
        if (line.type === "passes") return TestClock.adjust(line.millis)
        if (line.type === "stops") return Effect.asVoid(Effect.forkScoped(server.stop))
        if (line.dir === "c2s") return Effect.sync(() => play(conn, line))
        const isPing = line.type === "control" && line.opcode === "ping"
        return Effect.andThen(isPing ? awaitPing(conn) : Effect.void, follow(conn, line, about))
      }
      if (!hasListener) yield* stir(server, line)
      yield* step()
    }
    for (const conn of conns.values()) {
      const { closed, peer, seen } = conn
      assert.deepStrictEqual(peer.faults, [])
      if (leaves) continue
      assert.strictEqual(peer.messages.length, seen.messages, "as many messages")
      assert.strictEqual(peer.pings.length, seen.pings, "as many pings")
      if (!closed) assert.isUndefined(peer.close)
    }
    if (hasListener) {
      yield* until("all is stored", () => server.stored.length >= sent.length)
      assert.deepStrictEqual(server.stored, sent)
    }
  }
)
