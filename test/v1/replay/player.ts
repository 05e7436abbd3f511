/**
 * Plays one end of a transcript to this package: what was sent at that end is sent again, byte for byte and in the same
 * frames, and what the other end had sent is what ours is waited for. Times are not kept.
 */
import { assert } from "@effect/vitest"
import type * as Limits from "effect-swaggersocket/Limits"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { closeCodeFault } from "../../../src/internal/connection/endErrors.ts"
import { until, within } from "../../support/waiting.ts"
import { checkAnswers, checkCalls, checkEnd } from "./checks.ts"
import { Conversation, type End } from "./conversation.ts"
import { acceptOf, dial, fieldOf, listen, type Listener } from "./goPeer.ts"
import { type Message, methodOf, targetOf } from "./http1.ts"
import { call, type Ours, startClient, startServer } from "./ours.ts"
import { type ControlLine, idOf, type Line, type MessageLine } from "./transcript.ts"

/** What is not as it would be by default: ours answers whatever it is asked, and is told of each end. */
export interface Play {
  /** The connections that are played. Default all, with one server or client. */
  readonly connections?: ReadonlyArray<number>
  readonly limits?: Limits.Options
  /** Ours sends pings, with the data that was recorded: to a peer that answers them, or to one that does not. */
  readonly heartbeat?: "answered" | "unanswered"
  /** No handler of ours answers. */
  readonly holds?: boolean
  /** The peer leaves while ours answers. */
  readonly leaves?: boolean
  /** Ours is not told to speak wire v1: it finds out, and dials once more for it. */
  readonly discovers?: boolean
  /** The status of ours' answer to the upgrade request. */
  readonly upgrade?: number
  /** Requests that the end in our place had made and ours does not make, by id. */
  readonly skips?: ReadonlyArray<string>
  /** The status of ours' answers, by id. */
  readonly statuses?: Readonly<Record<string, number>>
  /** How many answers ours gives to what is no request. */
  readonly malformed?: number
  /** The code that ours closes a connection with, because of what the peer has sent. */
  readonly closes?: Readonly<Record<number, number>>
  /** How ours sees a connection end. */
  readonly ends?: Readonly<Record<number, End>>
}

/** What a request with a body may have, with a margin for what its head has besides what was recorded. */
const maxBody = { server: 3960 - 200, client: 960 - 200 }

interface Stage {
  readonly play: Play
  readonly isServer: boolean
  readonly conversations: Map<number, Conversation>
  readonly ours: Ours
  readonly port: number
  readonly listener: Listener | undefined
}

type Step = Effect.Effect<void, unknown, Scope.Scope>

/** Waits for what ours sends. */
const untilSent = (what: string, conversation: Conversation, condition: () => boolean) =>
  Effect.map(
    until(what, () => conversation.read() || condition()),
    () => assert.deepStrictEqual(conversation.peer.faults, [])
  )

const metadataType = "ClientHandshakeMetaData"

/** The members of a handshake message, if it is one; Go does not mind the case of their names. */
const membersOf = (data: Buffer): { readonly [key: string]: unknown } => {
  try {
    return Object.fromEntries(
      Object.entries(JSON.parse(String(data)) as object).map(([key, value]) => [key.toLowerCase(), value])
    )
  } catch {
    return {}
  }
}

const isHandshake = (conversation: Conversation, { dir }: MessageLine): boolean =>
  conversation.said[dir] < (dir === "c2s" ? 2 : 1)

// --- the upgrade ------------------------------------------------------------------------------------------------------

const playUpgrade = Effect.fnUntraced(function*(stage: Stage, conn: number, head: string) {
  if (stage.isServer) {
    stage.conversations.set(conn, new Conversation(yield* dial(stage.port, head), true))
    return
  }
  const conversation = stage.conversations.get(conn)!
  const { peer } = conversation
  peer.write(head.replace(/^(sec-websocket-accept: *).*\r$/im, `$1${acceptOf(peer.head!)}\r`))
  if (head.startsWith("HTTP/1.1 101")) return
  conversation.end = { _tag: "ConnectionAttemptFailed", reason: "LinkError" }
})

const followUpgrade = Effect.fnUntraced(function*(stage: Stage, conn: number, head: string) {
  if (!stage.isServer) {
    const peer = yield* stage.listener!.accept
    stage.conversations.set(conn, new Conversation(peer, false))
    assert.strictEqual(peer.head!.split("\r\n")[0], head.split("\r\n")[0])
    assert.strictEqual(fieldOf(peer.head!, "upgrade"), "websocket")
    if (stage.play.discovers !== true) assert.isUndefined(fieldOf(peer.head!, "sec-websocket-protocol"))
    return
  }
  const { peer } = stage.conversations.get(conn)!
  yield* until("the upgrade is answered", () => peer.head !== undefined)
  const status = stage.play.upgrade ?? Number(head.split(" ")[1])
  assert.strictEqual(Number(peer.head!.split(" ")[1]), status)
  if (status !== 101) return
  assert.strictEqual(fieldOf(peer.head!, "sec-websocket-accept"), fieldOf(head, "sec-websocket-accept"))
  assert.isUndefined(fieldOf(peer.head!, "sec-websocket-protocol"))
  assert.isUndefined(fieldOf(peer.head!, "sec-websocket-extensions"))
})

// --- the handshake ----------------------------------------------------------------------------------------------------

const playHandshake = (conversation: Conversation, { data, dir, opcode }: MessageLine): void => {
  const { said } = conversation
  const message = membersOf(data)
  said[dir]++
  if (dir === "s2c") {
    conversation.greeted = message.type === "ServerHandshakeConnectionID"
    conversation.connectionId = message.connectionid as string | undefined
  } else if (said.c2s === 1) {
    conversation.metadata = message.meta ?? null
  } else {
    conversation.greeted = message.type === "ClientHandshakeAckFrame"
  }
  conversation.peer.sendMessage(opcode, data)
}

const followHandshake = Effect.fnUntraced(function*(conversation: Conversation, { data, dir }: MessageLine) {
  const at = conversation.said[dir]++
  // An end in our place that did not know the handshake: ours does.
  if (!conversation.isServer && conversation.said.s2c === 0 && at === 1) return
  yield* untilSent("a handshake message", conversation, () => conversation.handshake.length > at)
  const message = conversation.handshake[at]!
  assert.match(message, /^\{.*\}\n$/)
  if (dir === "s2c") {
    const [id] =
      /(?<="ConnectionID":")[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/.exec(message) ?? []
    assert.strictEqual(message, `{"Type":"ServerHandshakeConnectionID","ConnectionID":"${id}"}\n`)
    conversation.connectionId = id
  } else if (at === 0) {
    const recorded = membersOf(data)
    conversation.metadata = recorded.type === metadataType ? recorded.meta ?? null : null
    assert.deepStrictEqual(JSON.parse(message), { Type: metadataType, Meta: conversation.metadata })
  } else {
    assert.strictEqual(message, `{"Type":"ClientHandshakeAckFrame"}\n`)
  }
})

// --- HTTP -------------------------------------------------------------------------------------------------------------

const playHttp = Effect.fnUntraced(function*(conversation: Conversation, { data, frames, opcode }: MessageLine) {
  const { outstanding, peer, played } = conversation
  const id = idOf(data)
  // What was not asked is not answered.
  if (id !== undefined && [...conversation.refused].some((call) => call.id === id)) return
  if (outstanding !== undefined) {
    yield* untilSent(
      "the request arrives",
      conversation,
      () => conversation.requestOf(outstanding)?.whole === true
    )
  }
  played.readerOf(data)?.push(data)
  peer.sendMessage(opcode, data, frames)
})

const followHttp = Effect.fnUntraced(function*(stage: Stage, conversation: Conversation, { data }: MessageLine) {
  const { recorded } = conversation
  const before = recorded.requests.messages.filter(({ whole }) => whole).length
  recorded.readerOf(data)?.push(data)
  for (const request of recorded.requests.messages.slice(before)) {
    if (request.whole) yield* makeCall(stage, conversation, request)
  }
  yield* untilSent("as much is answered", conversation, () => conversation.hasCaughtUp())
})

const makeCall = Effect.fnUntraced(function*(stage: Stage, conversation: Conversation, request: Message) {
  const { body, id } = request
  if (id !== undefined && stage.play.skips?.includes(id)) return
  const connection = yield* within("the connection", stage.ours.connection(conversation.connectionId))
  const made = yield* call(connection, { id, method: methodOf(request), target: targetOf(request), body })
  conversation.calls.push({ made, request })
  if (body.length > maxBody[stage.isServer ? "server" : "client"]) conversation.refused.add(made)
})

// --- control frames and ends ------------------------------------------------------------------------------------------

const pingCount = { answered: 1, unanswered: 3 }

const isViolation = (end: End | undefined): boolean =>
  end !== undefined && "reason" in end && end.reason === "ProtocolViolation"

/** Waits for what ours owes, before the peer leaves. */
const settle = (stage: Stage, conn: number, conversation: Conversation): Effect.Effect<void> => {
  const { closes, ends, heartbeat, holds, leaves, statuses } = stage.play
  const mustEnd = closes?.[conn] !== undefined || isViolation(ends?.[conn])
  const { calls, peer, refused } = conversation
  const isOver = () => peer.ended || peer.close !== undefined
  const isSettled = () => {
    const { outstanding } = conversation
    return peer.pongs.length >= conversation.pings &&
      (heartbeat === undefined || peer.pings.length >= pingCount[heartbeat]) &&
      (holds !== true || stage.ours.seen.begun >= conversation.played.requests.messages.length) &&
      (leaves === true || (holds === true && statuses === undefined) ||
        conversation.hasAnsweredAll(stage.play.malformed ?? 0)) &&
      (outstanding === undefined || conversation.requestOf(outstanding) !== undefined) &&
      calls.every(({ made }) =>
        made.exit !== undefined || (!refused.has(made) && conversation.givenTo(made)?.whole !== true)
      ) &&
      !mustEnd
  }
  return untilSent("ours has said what it has to", conversation, () => isOver() || isSettled())
}

/** Codes that say that nothing went wrong. */
const isGood = (code: number): boolean => code === 1000 || code === 1001 || code === 1005 || code === 4000

const playControl = Effect.fnUntraced(function*(stage: Stage, conversation: Conversation, line: ControlLine) {
  const { peer } = conversation
  if (line.opcode === "ping") {
    conversation.pings++
    return peer.sendFrame("ping", line.data)
  }
  // By itself, where ours has something to be answered.
  if (line.opcode === "pong") return stage.play.heartbeat === undefined ? peer.sendFrame("pong", line.data) : undefined
  yield* settle(stage, line.conn, conversation)
  peer.sendClose(line.code, line.reason)
  const { code = 1005, reason } = line
  conversation.end ??= !conversation.greeted
    ? { _tag: "ConnectionAttemptFailed", reason: isGood(code) ? "ConnectionClosed" : "ProtocolViolation" }
    : isGood(code)
    ? { _tag: "ConnectionClosed", initiator: "remote", code, reason }
    : { _tag: "ConnectionFailure", reason: "LinkError" }
})

const followControl = Effect.fnUntraced(function*(stage: Stage, conversation: Conversation, line: ControlLine) {
  const { peer } = conversation
  if (line.opcode === "ping") {
    const { heartbeat } = stage.play
    if (heartbeat === undefined) return
    yield* until("pings", () => peer.pings.length >= pingCount[heartbeat])
    assert.isTrue(peer.pings[0]!.equals(line.data))
  } else if (line.opcode === "pong") {
    yield* until("a pong", () => peer.pongs.length === conversation.pings)
    assert.isTrue(peer.pongs.at(-1)!.equals(line.data))
  } else if (conversation.greeted && conversation.end === undefined && line.code !== 1002) {
    yield* closeOurs(stage, conversation, line.code)
  }
})

/** What ours has closed with: a Go caller with a heartbeat dies of other codes, so that the reason tells which it is. */
const farewellOf = ({ peer: { close } }: Conversation) => {
  const { code: sent, reason: text } = close ?? assert.fail("ours sent no close frame")
  assert.strictEqual(sent, 1001)
  const [, code, reason] = /^(\d{4}) (.*)$/.exec(text) ?? [undefined, "1001", text]
  return { code: Number(code), reason }
}

const closeOurs = Effect.fnUntraced(function*(stage: Stage, conversation: Conversation, recorded: number | undefined) {
  const { calls, peer, played } = conversation
  // What has arrived is to be read, and what is held up to have begun.
  yield* until(
    "the bodies are read",
    () => calls.every(({ made }) => made.body.length === (conversation.givenTo(made)?.body.length ?? 0))
  )
  if (stage.play.holds === true) {
    yield* until("the handlers begin", () => stage.ours.seen.begun === played.requests.messages.length)
  }
  const { outstanding } = conversation
  if (outstanding !== undefined) {
    yield* untilSent(
      "the request arrives",
      conversation,
      () => conversation.requestOf(outstanding) !== undefined
    )
  }
  const connection = yield* within("the connection", stage.ours.connection(conversation.connectionId))
  // Ours may not say a code that the wire has a meaning for, as a peer in the recordings did.
  const mayBeSaid = recorded !== undefined && recorded >= 3000 && closeCodeFault(recorded) === undefined
  const code = mayBeSaid ? recorded : recorded === 4000 ? 4200 : 1000
  yield* Effect.forkScoped(connection.close({ code, reason: "done" }))
  conversation.end = { _tag: "ConnectionClosed", initiator: "local", code, reason: "done" }
  yield* until("ours closes", () => peer.close !== undefined)
  assert.deepStrictEqual(farewellOf(conversation), { code, reason: "done" })
  // Go does not answer it, and may not even read it.
  yield* until("ours hangs up", () => peer.ended)
})

const playTcp = Effect.fnUntraced(function*(stage: Stage, conversation: Conversation, conn: number, event: string) {
  yield* settle(stage, conn, conversation)
  const { greeted, isServer, peer } = conversation
  if (event === "fin") peer.hangUp()
  else peer.reset()
  // Who was not upgraded did not try, and who tries another wire has not failed.
  if ((isServer && !peer.head!.startsWith("HTTP/1.1 101")) || stage.play.discovers === true) return
  conversation.end ??= { _tag: greeted ? "ConnectionFailure" : "ConnectionAttemptFailed", reason: "LinkError" }
})

// --- the whole --------------------------------------------------------------------------------------------------------

const step = (stage: Stage, line: Line): Step => {
  const { conn } = line
  const conversation = stage.conversations.get(conn)!
  const isPlayed = line.dir === (stage.isServer ? "c2s" : "s2c")
  switch (line.type) {
    case "http":
      return isPlayed ? playUpgrade(stage, conn, line.head) : followUpgrade(stage, conn, line.head)
    case "http-data":
      return isPlayed ? Effect.sync(() => conversation.peer.write(line.text)) : Effect.void
    case "tcp":
      return isPlayed ? playTcp(stage, conversation, conn, line.event) : Effect.void
    case "control":
      return isPlayed ? playControl(stage, conversation, line) : followControl(stage, conversation, line)
    case "message":
      if (isHandshake(conversation, line)) {
        return isPlayed
          ? Effect.sync(() => playHandshake(conversation, line))
          : followHandshake(conversation, line)
      }
      return isPlayed ? playHttp(conversation, line) : followHttp(stage, conversation, line)
  }
}

/** Who answers no pings is not given up. */
const timeouts = { unanswered: 20, answered: 5000 }

export interface Replay {
  readonly lines: ReadonlyArray<Line>
  /** Ours. */
  readonly role: "server" | "client"
  /** Whether the end in our place is a Go program, rather than one that tries such programs out. */
  readonly isGo: boolean
  readonly play: Play
}

export const replay = Effect.fnUntraced(
  function*({ isGo, lines: all, play, role }: Replay): Effect.fn.Return<void, unknown, Scope.Scope> {
    const isServer = role === "server"
    const lines = all.filter(({ conn }) => play.connections?.includes(conn) ?? true)
    const ping = lines.find((line) =>
      line.type === "control" && line.opcode === "ping" && line.dir === (isServer ? "s2c" : "c2s")
    )
    const data = Effect.succeed(ping?.type === "control" && ping.opcode === "ping" ? ping.data : Buffer.alloc(0))
    const heartbeat = play.heartbeat && { interval: 20, timeout: timeouts[play.heartbeat], data }
    const options = { limits: play.limits, heartbeat, holds: play.holds }
    const conversations = new Map<number, Conversation>()
    let stage: Stage
    if (isServer) {
      const ours = yield* startServer(options)
      stage = { play, isServer, conversations, ours, port: ours.port, listener: undefined }
    } else {
      const listener = yield* listen
      const upgrades = lines.filter((line) => line.type === "http" && line.dir === "c2s")
      const [upgrade] = upgrades
      const hellos = lines.flatMap((line) =>
        line.type === "message" && line.dir === "c2s" ? [membersOf(line.data)] : []
      )
      const ours = yield* startClient({
        ...options,
        url: `ws://127.0.0.1:${listener.port}${upgrade?.type === "http" ? upgrade.head.split(" ")[1] : "/"}`,
        metadata: hellos.find(({ type }) => type === metadataType)?.meta,
        wire: play.discovers === true ? undefined : "v1",
        dialsAgain: () => conversations.size < upgrades.length
      })
      stage = { play, isServer, conversations, ours, port: listener.port, listener }
    }
    for (const line of lines) {
      yield* step(stage, line)
      const conversation = conversations.get(line.conn)
      if (conversation !== undefined) conversation.peer.answersPings = play.heartbeat === "answered"
    }
    if (play.discovers === true) {
      const again = yield* stage.listener!.accept
      assert.isUndefined(fieldOf(again.head!, "sec-websocket-protocol"))
    }
    let attempts = 0
    const ids: Array<string | undefined> = []
    for (const [conn, conversation] of conversations) {
      const { connectionId, peer } = conversation
      const end = play.ends?.[conn] ?? conversation.end
      yield* settle(stage, conn, conversation)
      if (play.closes?.[conn] !== undefined) assert.strictEqual(farewellOf(conversation).code, play.closes[conn])
      // Go's clients come back after that, and not after a close frame.
      else if (isServer && isViolation(end)) assert.isUndefined(peer.close)
      checkAnswers(conversation, play, isGo)
      if (play.holds === true || play.leaves === true) {
        yield* until("the handler is interrupted", () => stage.ours.seen.interrupted > 0)
      }
      yield* checkCalls(conversation, isViolation(end))
      const before = end?._tag === "ConnectionAttemptFailed"
        ? attempts++
        : ids.filter((id) => id === connectionId).length
      ids.push(connectionId)
      yield* checkEnd(stage.ours.events, conversation, end, before)
    }
  }
)
