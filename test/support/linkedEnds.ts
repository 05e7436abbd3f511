/**
 * The two ends of a link, by every constructor.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as Link from "effect-swaggersocket/Link"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import * as WS from "ws"

export type MakeEnds = Effect.Effect<
  { readonly near: Link.Link; readonly far: Link.Link },
  Socket.SocketError,
  Scope.Scope
>

const inMemory: MakeEnds = Effect.map(Link.makePair, ([near, far]) => ({ near, far }))

/** Listens until the scope closes, with what makes the far end of a link there of what arrives. */
const overNet = (at: () => Net.ListenOptions): MakeEnds =>
  Effect.gen(function*() {
    const arrived = Deferred.makeUnsafe<Net.Socket>()
    const server = yield* Effect.acquireRelease(
      Effect.callback<Net.Server>((resume) => {
        const server = Net.createServer({ pauseOnConnect: true }, (socket) => {
          Deferred.doneUnsafe(arrived, Effect.succeed(socket))
        })
        server.listen(at(), () => resume(Effect.succeed(server)))
      }),
      (server) => Effect.sync(() => server.close())
    )
    const address = server.address()!
    const dialled = yield* NodeSocket.makeNet(
      typeof address === "string" ? { path: address } : { port: address.port, host: "127.0.0.1" }
    )
    const near = yield* Link.fromSocket(dialled)
    const accepted = Effect.acquireRelease(Deferred.await(arrived), (socket) => Effect.sync(() => socket.destroySoon()))
    const far = yield* Effect.flatMap(NodeSocket.fromDuplex(accepted), (socket) => Link.fromSocket(socket))
    return { near, far }
  })

const overWebSocket: MakeEnds = Effect.gen(function*() {
  const arrived = Deferred.makeUnsafe<WS.WebSocket>()
  const server = yield* Effect.acquireRelease(
    Effect.callback<WS.WebSocketServer>((resume) => {
      const server = new WS.WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: false }, () => {
        resume(Effect.succeed(server))
      })
      server.on("connection", (webSocket) => {
        webSocket.pause()
        Deferred.doneUnsafe(arrived, Effect.succeed(webSocket))
      })
    }),
    (server) => Effect.sync(() => server.close())
  )
  const { port } = server.address() as Net.AddressInfo
  const near = yield* Link.fromWebSocket(Effect.sync(() => new WS.WebSocket(`ws://127.0.0.1:${port}`)))
  const far = yield* Link.fromWebSocket(Deferred.await(arrived))
  return { near, far }
})

const overMessagePort: MakeEnds = Effect.gen(function*() {
  const { port1, port2 } = new MessageChannel()
  return { near: yield* Link.fromMessagePort(port1), far: yield* Link.fromMessagePort(port2) }
})

let sockets = 0

/** By name. */
export const linkedEnds: Readonly<Record<string, MakeEnds>> = {
  "in memory": inMemory,
  "over a WebSocket": overWebSocket,
  "over TCP": overNet(() => ({ port: 0, host: "127.0.0.1" })),
  "over a Unix socket": overNet(() => ({ path: Path.join(Os.tmpdir(), `link-${process.pid}-${sockets++}.sock`) })),
  "over a MessagePort": overMessagePort
}
