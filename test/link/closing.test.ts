/**
 * Ends of connections that one of the ends does not go along with.
 */
import { assert, it } from "@effect/vitest"
import * as Handshake from "effect-swaggersocket/Handshake"
import * as Multiplexer from "effect-swaggersocket/Multiplexer"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Net from "node:net"
import type { WebSocket } from "ws"
import { request } from "../support/frames.ts"
import { dial } from "../support/rawPeer.ts"
import { until } from "../support/waiting.ts"
import { startHub } from "../v1/peers.ts"

/** A text message of a client, masked with zeros (RFC 6455 section 5.2). */
const textFrame = (text: string): Buffer => {
  const payload = Buffer.from(text)
  const header = Buffer.from([0x81, 0x80 | 126, payload.length >> 8, payload.length & 0xff, 0, 0, 0, 0])
  return Buffer.concat([header, payload])
}

/** A client that answers no close frame, and sees when its TCP connection ends. */
const deafClient = (url: string) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly isClosed: () => boolean; readonly socket: Net.Socket }>((resume) => {
      const { host, hostname, pathname, port } = new URL(url)
      const socket = Net.connect(Number(port), hostname)
      let [closed, received, ready] = [false, "", false]
      socket.on("error", () => {})
      socket.on("close", () => {
        closed = true
      })
      socket.on("data", (data: Buffer) => {
        received += data.toString("latin1")
        if (ready || !received.includes("\"welcome\"")) return
        ready = true
        socket.write(textFrame(JSON.stringify({ type: "ready" })))
        resume(Effect.succeed({ isClosed: () => closed, socket }))
      })
      socket.write(
        [
          `GET ${pathname} HTTP/1.1`,
          `Host: ${host}`,
          "Connection: Upgrade",
          "Upgrade: websocket",
          "Sec-WebSocket-Version: 13",
          `Sec-WebSocket-Key: ${Buffer.alloc(16).toString("base64")}`,
          "Sec-WebSocket-Protocol: swaggersocket.v2",
          "",
          ""
        ].join("\r\n")
      )
      socket.write(textFrame(JSON.stringify({ type: "hello", version: 2 })))
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

it.live("a peer that does not answer a close frame loses its TCP connection after closeTimeout, on any platform", () =>
  Effect.gen(function*() {
    // `NodeHttpServer.layer` gives WebSockets 30 seconds of its own.
    const { hub, url } = yield* startHub({ plain: true, limits: { closeTimeout: "200 millis" } })
    const client = yield* deafClient(url)
    const connection = yield* hub.awaitConnection()
    yield* connection.close()
    assert.deepInclude(yield* connection.closed, { _tag: "Closed", initiator: "local", code: 1000 })
    yield* until("the TCP connection has ended", client.isClosed)
  }))

/** The WebSocket of the other end has taken in what was sent before. */
const pingPong = (ws: WebSocket): Effect.Effect<void> =>
  Effect.callback((resume) => {
    ws.once("pong", () => resume(Effect.void))
    ws.ping()
  })

it.live("messages that a link has received are ignored once the link is given up", () =>
  Effect.gen(function*() {
    const standard = Context.get(Context.empty(), Multiplexer.Multiplexer)
    let received = 0
    const broken = Multiplexer.layer((options) => {
      const inner = standard(options)
      return Object.assign(inner, {
        receive() {
          received++
          options.host.onBroken("it is broken")
          return undefined
        }
      })
    })
    // Begins when all has come, so that the link brings it at once.
    const whole = yield* Deferred.make<void>()
    const late = Handshake.layer({
      accept: (link, options) =>
        Effect.andThen(Deferred.await(whole), Context.get(Context.empty(), Handshake.Accept)(link, options)),
      dial: Context.get(Context.empty(), Handshake.Dial)
    })
    const { expectEvent, url } = yield* Effect.provide(startHub(), [broken, late])
    const peer = yield* dial(url)
    yield* peer.hello()
    peer.ws.send(JSON.stringify({ type: "ready" }))
    for (let id = 1; id < 21; id += 2) yield* peer.sendFrames(request(id, "/"))
    yield* pingPong(peer.ws)
    yield* Deferred.succeed(whole, undefined)
    yield* expectEvent("ConnectionFailure")
    assert.strictEqual(received, 1)
  }))
