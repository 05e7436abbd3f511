/**
 * Plays what a goa server sent to our client, which makes the calls that goa's client made, and compares what it sends and
 * what the application gets.
 */
import { assert } from "@effect/vitest"
import type * as StreamingClient from "effect-swaggersocket/StreamingClient"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { until } from "../../support/waiting.ts"
import { acceptOf, type GoPeer, listen, type Listener } from "../../v1/replay/goPeer.ts"
import { statusOf, targetOf, valuesOf } from "../../v1/replay/http1.ts"
import { sameMessage } from "./compare.ts"
import { connectionForEach } from "./edits.ts"
import { type Call, startCall } from "./ours.ts"
import { type Line, parse, requestOf, responseOf } from "./transcript.ts"

/** What an application is to get. */
interface Outcome {
  /** Default: what the server has sent. */
  readonly values?: ReadonlyArray<unknown>
  /** Matches what goes wrong; without it, nothing does. */
  readonly fails?: RegExp
  /** What our close frame says, where that is for us to say. Default: no more is wanted. */
  readonly code?: number
}

/** What is not as it would be by default. */
export interface ClientPlay {
  /** In what we are other than goa, and how the conversation goes with us. */
  readonly differs?: readonly [why: string, edit: (lines: ReadonlyArray<Line>) => ReadonlyArray<Line>]
  readonly options?: StreamingClient.WebSocketOptions
  /** By connection, where it is not what the server says at last. */
  readonly outcomes?: Readonly<Record<number, Outcome>>
}

/** A call that its application gives up. */
const cancelled = 4499

interface Conn {
  readonly call: Call
  /** Undefined when it was given up before. */
  readonly peer: GoPeer
  /** What ours has sent. */
  messages: number
  pongs: number
  /** Ours has nothing to say any more. */
  inputEnded: boolean
  /** What the application should have got. */
  readonly values: Array<unknown>
  fails: RegExp | undefined
  readonly outcome: Outcome | undefined
  isOver: boolean
}

interface Stage {
  readonly listener: Listener
  readonly options: StreamingClient.WebSocketOptions
  readonly outcomes: Readonly<Record<number, Outcome>>
  readonly conns: Map<number, Conn>
}

/** Fields that applications choose, or their `HttpClient`. */
const chosen = ["authorization", "accept", "origin"]

const followRequest = Effect.fnUntraced(
  function*({ conns, listener, options, outcomes }: Stage, line: Extract<Line, { type: "request" }>) {
    const recorded = requestOf(line)
    const path = targetOf(recorded)
    const headers = Object.fromEntries(chosen.flatMap((name) => valuesOf(recorded, name).map((value) => [name, value])))
    const call = yield* startCall(listener.port, { path, headers }, options)
    const peer = yield* listener.accept
    const [request] = parse(Buffer.from(peer.head!, "latin1"))
    assert.strictEqual(request!.start, recorded.start)
    for (const [name, value] of Object.entries(headers)) assert.deepStrictEqual(valuesOf(request!, name), [value])
    if (path !== "/login") {
      assert.deepStrictEqual(valuesOf(request!, "upgrade"), ["websocket"])
      assert.deepStrictEqual(valuesOf(request!, "sec-websocket-version"), ["13"])
    }
    assert.deepStrictEqual(valuesOf(request!, "sec-websocket-protocol"), [])
    assert.deepStrictEqual(valuesOf(request!, "sec-websocket-extensions"), [])
    conns.set(line.conn, {
      call,
      peer,
      messages: 0,
      pongs: 0,
      inputEnded: path === "/subscribe" || path.startsWith("/history"),
      values: [],
      fails: undefined,
      outcome: outcomes[line.conn],
      isOver: path === "/login"
    })
  }
)

const escape = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\"]/g, "\\$&")

/** What an application is told of a refusal. */
const refusal = (status: number, body: string): RegExp => {
  if (status === 401) return new RegExp(`^Unauthorized: ${escape(JSON.parse(body) as string)}$`)
  if (status === 403) return new RegExp(`^InvalidScopes: ${escape(JSON.parse(body) as string)}$`)
  return new RegExp(`^missing_field: ${escape((JSON.parse(body) as { message: string }).message)}$`)
}

const playResponse = (conn: Conn, line: Extract<Line, { type: "response" }>): void => {
  const { outcome, peer } = conn
  const response = responseOf(line, "GET")
  const status = statusOf(response)
  const accepted = line.text.replace(/^(sec-websocket-accept: *).*\r$/im, `$1${acceptOf(peer.head!)}\r`)
  if (status === 101) return peer.write(accepted)
  // goa's clients hang up after an answer, ours may keep the connection for others.
  peer.write(accepted.replace("\r\n", "\r\nConnection: close\r\n"))
  conn.isOver = true
  if (outcome !== undefined) return
  const body = response.body.toString()
  if (status !== 200) conn.fails = refusal(status, body)
  else if (body !== "") conn.values.push(JSON.parse(body))
}

/** Sends what goa's server sent. */
const play = (conn: Conn, line: Line): void => {
  const { peer, values } = conn
  if (line.type === "message") {
    peer.sendMessage(line.opcode, line.data, line.frames)
    values.push(JSON.parse(line.data.toString()))
    // That is the result.
    if (Array.isArray(values[0])) conn.isOver = true
  } else if (line.type === "tcp") {
    peer.end()
    if (!conn.isOver) conn.fails = /TransportError: .*(1006|hang up)/
    conn.isOver = true
  } else if (line.type === "control") {
    if (line.opcode === "ping") return peer.sendFrame("ping", line.data)
    if (line.opcode !== "close") return
    peer.sendClose(line.code, line.reason)
    if (!conn.isOver && line.code !== 1000) conn.fails = new RegExp(`the stream ended with ${line.code ?? 1005}`)
    conn.isOver = true
  }
}

/** The application has what was sent, and wants no more, if nothing went wrong before. */
const leave = Effect.fnUntraced(function*(conn: Conn, about: string) {
  const { call, outcome, peer, values } = conn
  conn.isOver = true
  yield* until(about, () => call.end !== undefined || call.values.length >= (outcome?.values ?? values).length)
  if (outcome?.fails !== undefined) yield* until(about, () => call.end !== undefined)
  yield* Effect.forkScoped(call.leave)
  yield* until(about, () => peer.close !== undefined || peer.ended)
  if (peer.close !== undefined) assert.strictEqual(peer.close.code, outcome?.code ?? cancelled, about)
})

/** Makes the application do what goa's did, and waits for what it sent. */
const follow = Effect.fnUntraced(function*(conn: Conn, line: Line, about: string) {
  const { call, peer } = conn
  switch (line.type) {
    case "message": {
      const value: unknown = JSON.parse(line.data.toString())
      if (value === null) {
        call.finish()
        conn.inputEnded = true
      } else {
        call.send(value as string)
      }
      const at = conn.messages++
      yield* until(about, () => peer.messages.length > at)
      assert.strictEqual(peer.messages[at]!.frames, 1, about)
      return sameMessage(peer.messages[at]!, line.data, about)
    }
    case "control": {
      // Ours sends no pings of its own.
      if (line.opcode === "ping") return
      if (line.opcode === "pong") {
        const at = conn.pongs++
        yield* until(about, () => peer.pongs.length > at)
        return assert.isTrue(peer.pongs[at]!.equals(line.data), about)
      }
      if (!conn.isOver) return yield* leave(conn, about)
      yield* until(about, () => peer.close !== undefined)
      return assert.strictEqual(peer.close!.code, line.code, about)
    }
    case "tcp":
      // goa's client hangs up once it has said that it is done, ours waits for the end.
      if (!conn.isOver && (!conn.inputEnded || peer.head!.includes("/subscribe"))) yield* leave(conn, about)
  }
})

export const playToClient = Effect.fnUntraced(
  function*(all: ReadonlyArray<Line>, { differs, options = {}, outcomes = {} }: ClientPlay): Effect.fn.Return<
    void,
    unknown,
    Scope.Scope
  > {
    const stage: Stage = { listener: yield* listen, options, outcomes, conns: new Map() }
    const lines = connectionForEach(differs === undefined ? all : differs[1](all))
    for (const [index, line] of lines.entries()) {
      const about = `line ${index}: ${line.type} of connection ${line.conn}`
      if (line.type === "request") {
        yield* followRequest(stage, line)
        continue
      }
      const conn = stage.conns.get(line.conn)!
      if (line.type === "response") playResponse(conn, line)
      else if (line.dir === "c2s") yield* follow(conn, line, about)
      else play(conn, line)
    }
    for (const [id, conn] of stage.conns) {
      const { call, peer } = conn
      yield* until(`call ${id} ends`, () => call.end !== undefined)
      const { fails = conn.fails, values = conn.values } = conn.outcome ?? {}
      if (fails !== undefined) assert.match(call.end!, fails)
      else assert.include(["done", "Interrupt"], call.end)
      assert.deepStrictEqual(call.values, values)
      yield* until(`connection ${id} ends`, () => peer.ended)
      assert.deepStrictEqual(peer.faults, [])
      assert.strictEqual(peer.messages.length, conn.messages, "as many messages")
    }
  }
)
