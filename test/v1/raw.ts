/**
 * Peers of wire v1 that do what they are told, right or wrong, on real sockets; and healthy ones that must not notice.
 */
import { assert, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as v8 from "node:v8"
import * as vm from "node:vm"
import type { Fields } from "../../src/internal/frame/Frame.ts"
import { MessageParser } from "../../src/internal/v1/parser.ts"
import { type ClientFixture, type ClientOptions, startClient } from "../support/clientUnderAttack.ts"
import { type Fixture, type HubOptions, startFixture } from "../support/hubUnderAttack.ts"
import type { RawPeer, Received } from "../support/rawPeer.ts"
import { until, within } from "../support/waiting.ts"

export const mebibyte = 1024 * 1024

// --- what is said ---------------------------------------------------------------------------------------------------

export const metadata = (meta: unknown = null): string =>
  `${JSON.stringify({ Type: "ClientHandshakeMetaData", Meta: meta })}\n`

export const connectionId = (id: string = globalThis.crypto.randomUUID()): string =>
  `${JSON.stringify({ Type: "ServerHandshakeConnectionID", ConnectionID: id })}\n`

export const ack = `${JSON.stringify({ Type: "ClientHandshakeAckFrame" })}\n`

export interface Answer {
  readonly status: number
  readonly fields: Fields
  readonly body: string
}

const isText = (event: Received): event is Extract<Received, { readonly _tag: "Text" }> => event._tag === "Text"

/** The next message, which is text. */
export const nextText = (peer: RawPeer, what = "a text message", millis?: number): Effect.Effect<string> =>
  peer.take(what, (event) => isText(event) ? event.text : undefined, millis)

/** The next answer, whole. */
export const nextAnswer = (peer: RawPeer, millis?: number): Effect.Effect<Answer> =>
  Effect.suspend(() => {
    let [body, isWhole] = ["", false]
    let head: Omit<Answer, "body"> | undefined = undefined
    const parser = new MessageParser("RESPONSE", 1 << 20, {
      onHead(got) {
        head = { status: got.status, fields: got.fields }
        return got.status === 204 || got.status === 304
      },
      onBody(data) {
        body += Buffer.from(data).toString()
      },
      onEnd() {
        isWhole = true
      }
    })
    return peer.take("an answer", (event): Answer | "skip" | undefined => {
      if (!isText(event) || parser.execute(Buffer.from(event.text)) !== undefined) return undefined
      return isWhole ? { ...head!, body } : "skip"
    }, millis)
  })

/** Another call is answered: nothing is wrong with the connection. */
export const expectServed = (peer: RawPeer): Effect.Effect<void> =>
  Effect.gen(function*() {
    yield* peer.send("GET /ping HTTP/1.1\r\n\r\n")
    const { body, status } = yield* nextAnswer(peer)
    assert.deepStrictEqual([status, body], [200, "pong"])
  })

/** The TCP connection is dropped without a goodbye, behind whatever was sent before. */
export const expectHungUp = (peer: RawPeer): Effect.Effect<unknown> => peer.expectClose(1006)

/** A goodbye: the code is in the reason, because Go takes no other code than 1001. */
export const expectGoodbye = (peer: RawPeer, code: number): Effect.Effect<void> =>
  Effect.map(peer.expectClose(1001), ({ reason }) => assert.match(reason, new RegExp(`^${code} `)))

// --- memory and floods ------------------------------------------------------------------------------------------------

v8.setFlagsFromString("--expose-gc")
const collectGarbage = vm.runInNewContext("gc") as () => void

/** What is alive in this process: heap and buffers. */
export const memory = (): number => {
  collectGarbage()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/** What is alive has grown by less than this; buffers may take a few turns to be collected. */
export const expectGrowth = (before: number, most: number): Effect.Effect<void> =>
  Effect.suspend(() => {
    let growth = 0
    return Effect.catchDefect(
      until("memory", () => (growth = memory() - before) < most * mebibyte),
      () => Effect.die(new Error(`${(growth / mebibyte).toFixed(1)} MiB more than before, at most ${most}`))
    )
  })

/**
 * Sends as long as the other end takes it, or until all is sent or the connection is gone. What waits in the operating
 * system counts as taken.
 */
export const flood = (
  peer: RawPeer,
  messages: Iterable<Uint8Array | string>,
  patience = 500
): Effect.Effect<{ readonly isWhole: boolean }> =>
  Effect.callback((resume) => {
    const iterator = messages[Symbol.iterator]()
    let isOver = false
    const done = (isWhole: boolean) => {
      isOver = true
      clearTimeout(timer)
      resume(Effect.succeed({ isWhole }))
    }
    let timer = setTimeout(() => done(false), patience)
    const next = () => {
      if (isOver) return
      clearTimeout(timer)
      timer = setTimeout(() => done(false), patience)
      while (peer.ws.readyState === peer.ws.OPEN) {
        const message = iterator.next()
        if (message.done === true) return done(true)
        if (peer.tcp.writableLength > mebibyte) {
          peer.ws.send(message.value, () => setImmediate(next))
          return
        }
        peer.ws.send(message.value)
      }
      done(false)
    }
    next()
  })

// --- our server, and hostile clients ----------------------------------------------------------------------------------

export interface V1Fixture extends Fixture {
  /** Opens a bare WebSocket without a subprotocol. */
  readonly dialV1: Effect.Effect<RawPeer, Error, Scope.Scope>
  /** And does the handshake. */
  readonly connectV1: Effect.Effect<RawPeer, Error, Scope.Scope>
  /** TCP sockets of the hostile ones. */
  readonly hostileSockets: () => number
}

/** Client's side of the handshake, as it should be. */
export const handshake = (peer: RawPeer, meta?: unknown): Effect.Effect<void> =>
  Effect.gen(function*() {
    yield* peer.send(metadata(meta))
    yield* nextText(peer, "the connection's id")
    yield* peer.send(ack)
  })

export const startV1 = Effect.fnUntraced(
  function*(options: HubOptions): Effect.fn.Return<V1Fixture, unknown, Scope.Scope> {
    const hub = yield* startFixture(options)
    const context = yield* Layer.build(ApiClient.layer.pipe(
      Layer.provideMerge(SwaggerSocketClient.layer({ url: hub.url, wire: "v1", metadata: { name: "healthy" } })),
      Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
    ))
    const client = Context.get(context, SwaggerSocketClient.SwaggerSocketClient)
    const http = Context.get(context, HttpClient.HttpClient)
    const { id } = yield* within("the healthy client of wire v1 connects", client.connection)
    yield* hub.expectEvent("ConnectionReceived")
    const dialV1 = hub.dial({ protocols: [] })
    return {
      ...hub,
      events: () => hub.events().filter((event) => !("connectionId" in event && event.connectionId === id)),
      dialV1,
      connectV1: Effect.tap(dialV1, (peer) => Effect.andThen(handshake(peer), hub.expectEvent("ConnectionReceived"))),
      hostileSockets: () => hub.sockets.size - 2,
      healthyCall: Effect.gen(function*() {
        yield* hub.healthyCall
        const answer = yield* within("a call on the healthy connection of wire v1", Effect.orDie(http.get("/ping")))
        assert.strictEqual(yield* Effect.orDie(answer.text), "pong")
        const connection = yield* within("the healthy connection of wire v1", Effect.orDie(client.connection))
        assert.strictEqual(connection.id, id, "the healthy client of wire v1 had to connect anew")
      })
    }
  }
)

/** A hostile client: clients of both wires that were connected before are served afterwards, on the same connections. */
export const hostileV1 = (
  title: string,
  body: (hub: V1Fixture) => Effect.Effect<unknown, unknown, Scope.Scope>,
  options: HubOptions = {}
): void =>
  it.live(title, () =>
    Effect.scoped(Effect.gen(function*() {
      const hub = yield* startV1(options)
      yield* body(hub)
      yield* hub.healthyCall
    })))

// --- our client, and hostile servers ----------------------------------------------------------------------------------

export interface V1ClientFixture extends ClientFixture {
  /** Accepts the client's next link, and does the handshake. */
  readonly acceptV1: Effect.Effect<RawPeer>
}

const idOf = (request: string): string => /^x-correlation-id: (.*)\r$/im.exec(request)?.[1] ?? "none"

/** A right answer to a request. */
export const rightAnswer = (request: string, body: string): string =>
  `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\nX-Correlation-Id: ${idOf(request)}\r\n\r\n${body}`

/** A hostile server: the client dials again, and a right one is then spoken to. */
export const hostileServerV1 = (
  title: string,
  body: (fixture: V1ClientFixture) => Effect.Effect<unknown, unknown, Scope.Scope>,
  options: ClientOptions = {}
): void =>
  it.live(title, () =>
    Effect.scoped(Effect.gen(function*() {
      const fixture = yield* startClient({ wire: "v1", retry: () => true, ...options })
      const acceptV1 = Effect.tap(fixture.server.accept, (peer) =>
        Effect.gen(function*() {
          yield* nextText(peer, "the metadata")
          yield* peer.send(connectionId())
          yield* nextText(peer, "the acknowledgement")
        }))
      yield* body({ ...fixture, acceptV1 })
      const peer = yield* acceptV1
      const call = yield* Effect.forkChild(fixture.http.get("/again"))
      yield* peer.send(rightAnswer(yield* nextText(peer, "a request"), "fine"))
      const answer = yield* within("the call of a right server", Effect.flatMap(Fiber.join(call), ({ text }) => text))
      assert.strictEqual(answer, "fine")
    })))
