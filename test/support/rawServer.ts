/**
 * A WebSocket server that does what it is told, right or wrong.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import type * as Net from "node:net"
import * as WS from "ws"
import { RawPeer } from "./rawPeer.ts"
import { limit } from "./waiting.ts"

export interface RawServer {
  readonly url: string
  /** The next client that has dialled. */
  readonly accept: Effect.Effect<RawPeer>
  /** How many have dialled so far. */
  readonly accepted: () => number
  /** TCP sockets that are open. */
  readonly sockets: ReadonlySet<Net.Socket>
}

export interface ListenOptions {
  readonly echoesSubprotocol?: boolean | undefined
  /** What becomes of the upgrade requests in turn: an HTTP status, or no answer at all. All later ones are accepted. */
  readonly refuses?: ReadonlyArray<number | "silent"> | undefined
}

/** A bare WebSocket server. */
export const listen = (options: ListenOptions = {}): Effect.Effect<RawServer, never, Scope.Scope> =>
  Effect.gen(function*() {
    const arrived: Array<RawPeer> = []
    const refuses = [...options.refuses ?? []]
    const sockets = new Set<Net.Socket>()
    let count = 0
    let waiter: (() => void) | undefined = undefined
    const server = yield* Effect.acquireRelease(
      Effect.callback<Http.Server>((resume) => {
        const http = Http.createServer()
        http.on("connection", (socket: Net.Socket) => {
          sockets.add(socket)
          socket.on("close", () => sockets.delete(socket))
        })
        const server = new WS.WebSocketServer({
          server: http,
          perMessageDeflate: false,
          verifyClient: ({ req }: { readonly req: Http.IncomingMessage }, answer) => {
            const refused = refuses.shift()
            // Who does not read does not see that the other end has gone.
            if (refused === "silent") req.socket.resume().on("end", () => req.socket.end())
            else answer(refused === undefined, refused, "refused")
          },
          handleProtocols: (offered) => options.echoesSubprotocol === false ? false : [...offered][0] ?? false
        })
        server.on("connection", (ws) => {
          count++
          arrived.push(new RawPeer(ws))
          const waiting = waiter
          waiter = undefined
          waiting?.()
        })
        http.listen(0, "127.0.0.1", () => resume(Effect.succeed(http)))
      }),
      (server) =>
        Effect.callback<void>((resume) => {
          for (const socket of sockets) socket.destroy()
          server.close(() => resume(Effect.void))
        })
    )
    return {
      url: `ws://127.0.0.1:${(server.address() as Net.AddressInfo).port}/socket`,
      accepted: () => count,
      sockets,
      accept: Effect.callback<RawPeer>((resume) => {
        const timer = setTimeout(() => {
          waiter = undefined
          resume(Effect.die(new Error(`expected a client to dial within ${limit} ms; ${count} have so far`)))
        }, limit)
        const next = () => {
          const peer = arrived.shift()
          if (peer === undefined) {
            waiter = next
            return
          }
          clearTimeout(timer)
          resume(Effect.succeed(peer))
        }
        next()
        return Effect.sync(() => {
          clearTimeout(timer)
          waiter = undefined
        })
      })
    }
  })
