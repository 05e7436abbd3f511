/**
 * Errors hold nothing that lives. Effect compares causes by their structure when it combines them: an error that leads to a socket
 * leads to its server and all other connections, and a process that compares those stands still for seconds or minutes.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Hash from "effect/Hash"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Stream from "effect/Stream"
import * as Diagnostics from "node:diagnostics_channel"
import type * as Net from "node:net"
import { listen } from "../streaming/bindings.ts"
import { dial } from "../streaming/raw.ts"
import { serve } from "../streaming/weather.ts"
import { call, hostileServer, startClient } from "../support/clientUnderAttack.ts"
import { bytes, data, request, response } from "../support/frames.ts"
import { hostile, startFixture } from "../support/hubUnderAttack.ts"
import { within } from "../support/waiting.ts"

/** A frame that RFC 6455 knows no meaning of: reserved bits are set. */
const invalid = Uint8Array.of(0xff, 0x80, 0, 0, 0, 0)
const invalidUnmasked = Uint8Array.of(0xff, 0)

/** How often somebody has looked at a TCP socket of this process as a structure. */
const watchSockets = Effect.acquireRelease(
  Effect.sync(() => {
    let looks = 0
    const watch = (message: unknown) => {
      Object.defineProperty((message as { readonly socket: Net.Socket }).socket, "everything", {
        enumerable: true,
        get: () => ++looks
      })
    }
    const channels = ["net.client.socket", "net.server.socket"]
    for (const channel of channels) Diagnostics.subscribe(channel, watch)
    return { looks: () => looks, stop: () => channels.map((channel) => Diagnostics.unsubscribe(channel, watch)) }
  }),
  ({ stop }) => Effect.sync(stop)
)

const assertUnseen = (sockets: Effect.Success<typeof watchSockets>, ...errors: ReadonlyArray<unknown>) => {
  for (const error of errors) Hash.hash(error)
  assert.strictEqual(sockets.looks(), 0)
}

describe("invalid WebSocket frame", () => {
  it.live("an invalid frame on a connection with echoing streams makes the server hash no socket", () =>
    Effect.gen(function*() {
      const sockets = yield* watchSockets
      const hub = yield* startFixture({})
      const peer = yield* hub.connect()
      for (const id of [1, 3, 5]) {
        peer.sendNow(request(id, "/echo", { method: "POST", end: false }), data(id, "echo"))
        yield* peer.expectFrame("Data", id)
      }
      yield* peer.sendTcp(invalid)
      const { error } = yield* hub.expectEvent("ConnectionFailure")
      yield* hub.healthyCall
      assertUnseen(sockets, error, Cause.fail(error))
    }))

  hostileServer(
    "an invalid frame on a connection with calls in progress makes the client hash no socket",
    (fixture) =>
      Effect.gen(function*() {
        const sockets = yield* watchSockets
        const peer = yield* fixture.accept()
        const upload = HttpClientRequest.bodyStream(
          HttpClientRequest.post("/"),
          Stream.concat(Stream.make(bytes("start")), Stream.never)
        )
        const calls = yield* Effect.forEach([1, 3, 5], (id) =>
          Effect.gen(function*() {
            const calling = yield* Effect.forkChild(Effect.ensuring(call(fixture.http.execute(upload)), Effect.void))
            yield* peer.expectFrame("Request", id)
            if (id !== 5) peer.sendNow(response(id, 200, { end: false }), data(id, "half"))
            return calling
          }))
        yield* peer.sendTcp(invalidUnmasked)
        const exits = yield* within("the calls", Effect.forEach(calls, Fiber.await))
        const causes = exits.map((exit) => Exit.isFailure(exit) ? exit.cause : assert.fail("the call succeeded"))
        assertUnseen(sockets, ...causes, Cause.combine(causes[0]!, causes[2]!))
      })
  )

  it.live("an invalid frame on the WebSocket of a streaming call makes the server hash no socket", () =>
    Effect.gen(function*() {
      const sockets = yield* watchSockets
      const seen = Deferred.makeUnsafe<Cause.Cause<unknown>>()
      const { url } = yield* listen(serve({
        average: (payload) =>
          Stream.runDrain(payload).pipe(
            Effect.as(1),
            Effect.onError((cause) => Deferred.succeed(seen, cause))
          )
      }))
      const raw = yield* dial(url, "/average")
      raw.ws.send(`{"celsius":1,"at":"x"}\n`)
      raw.tcp.write(invalid)
      yield* raw.end
      assertUnseen(sockets, yield* within("the end of the handler", Deferred.await(seen)))
    }))

  it.live("an invalid frame in the handshake causes an error that refers to no socket", () =>
    Effect.gen(function*() {
      const sockets = yield* watchSockets
      const fixture = yield* startClient({})
      const peer = yield* fixture.server.accept
      yield* peer.sendTcp(invalidUnmasked)
      const { error } = yield* fixture.expectEvent("ConnectionAttemptFailed")
      assertUnseen(sockets, error)
    }))
})

hostile(
  "a request, and a connection, is equal only to itself, and its hash reaches no socket",
  (hub) =>
    Effect.gen(function*() {
      const sockets = yield* watchSockets
      const peer = yield* hub.connect()
      peer.sendNow(request(1, "/never", { method: "POST", end: false }))
      yield* peer.expectAlive()
      const connections = yield* hub.server.connections
      assertUnseen(sockets, ...connections)
      assert.strictEqual(new Set(connections.map((connection) => Hash.hash(connection))).size, connections.length)
    })
)
