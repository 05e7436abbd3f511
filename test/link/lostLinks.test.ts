/**
 * Links that end at once take turns to tell of it: what follows for their connections is most of what losing them costs.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as Effect from "effect/Effect"
import * as Socket from "effect/socket/Socket"
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import { once } from "node:events"
import type * as Net from "node:net"
import type { Writable } from "node:stream"
import * as WS from "ws"
import type { Link } from "../../src/internal/link/link.ts"
import { isTurnOver } from "../../src/internal/scheduling/turn.ts"
import { join } from "../support/connections.ts"
import { collectGarbage } from "../support/measurements.ts"
import { until } from "../support/waiting.ts"

const aTurn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Uses up what links may take of this turn. */
const exhaust = () => {
  while (!isTurnOver(16 * 1024)) Math.random()
}

const constructor = Effect.provide(Socket.WebSocketConstructor, NodeSwaggerSocket.layerWebSocketConstructor)

/** The sockets that this process opens and accepts from now on, without keeping them. */
const watchSockets = Effect.acquireRelease(
  Effect.sync(() => {
    const sockets: Array<WeakRef<Net.Socket>> = []
    const keep = (message: unknown) => {
      sockets.push(new WeakRef((message as { readonly socket: Net.Socket }).socket))
    }
    for (const channel of socketChannels) subscribe(channel, keep)
    return { keep, sockets }
  }),
  ({ keep }) =>
    Effect.sync(() => {
      for (const channel of socketChannels) unsubscribe(channel, keep)
    })
)
const socketChannels = ["net.client.socket", "net.server.socket"]

describe("link that is lost", () => {
  it.live("the sockets of lost links are not kept by their connections, which go on with others", () =>
    Effect.gen(function*() {
      const { sockets } = yield* watchSockets
      const lost: Array<WeakRef<Net.Socket>> = []
      for (let connection = 0; connection < 4; connection++) {
        const { client, server } = yield* join()
        const linkOf = () => (server as unknown as { readonly link: Link | undefined }).link
        assert.lengthOf(sockets, 2)
        lost.push(...sockets.splice(0))
        linkOf()!.tcp!.destroy()
        yield* until("another link is there", () => sockets.length === 2 && linkOf() !== undefined)
        const error = yield* Effect.flip(ApiClient.make(client).get("/nowhere"))
        assert.include(error.message, "NOT_SERVING", "calls go over the other link")
        sockets.splice(0)
      }
      yield* collectGarbage
      // Node keeps the last one for a while.
      assert.isAtMost(lost.filter((socket) => socket.deref() !== undefined).length, 1)
    }).pipe(Effect.scoped))
})

describe("links that end together", () => {
  it("links that end together report it in order, and only as many in a turn as its time allows", async () => {
    const construct = await Effect.runPromise(constructor)
    const told: Array<number> = []
    const ends = [1, 2, 3].map((name) => {
      // Nobody listens on port 1. `ws` tells of the error, and then of the end, within one call.
      const socket = construct("ws://127.0.0.1:1")
      return new Promise<void>((resolve) => {
        socket.addEventListener("error", () => {
          exhaust()
          resolve()
        })
        socket.addEventListener("close", () => {
          told.push(name)
          exhaust()
        })
      })
    })
    await Promise.all(ends)
    assert.isBelow(told.length, 3)
    while (told.length < 3) {
      const before = told.length
      await aTurn()
      assert.isAtMost(told.length - before, 1)
    }
    assert.deepStrictEqual(told, [1, 2, 3])
  })
  it("links answer a close frame in the next turn when the present one is over", async () => {
    const construct = await Effect.runPromise(constructor)
    const server = new WS.WebSocketServer({ port: 0, host: "127.0.0.1" })
    await once(server, "listening")
    const socket = construct(`ws://127.0.0.1:${(server.address() as Net.AddressInfo).port}`)
    const [accepted] = await once(server, "connection") as [WS.WebSocket]
    while (socket.readyState === 0) await aTurn()
    const answered = once(accepted, "close")
    const closed = new Promise<{ readonly code?: unknown; readonly reason?: unknown }>((resolve) =>
      socket.addEventListener("close", resolve)
    )
    exhaust()
    const receiver = Reflect.get(socket, "_receiver") as Writable
    receiver.write(Buffer.from([0x88, 5, 4002 >> 8, 4002 & 255, 98, 121, 101]))
    assert.strictEqual(socket.readyState, 1)
    await aTurn()
    assert.isAbove(socket.readyState, 1)
    assert.deepInclude(await closed, { code: 4002, reason: "bye" })
    assert.strictEqual((await answered)[0], 4002)
    server.close()
  })
})
