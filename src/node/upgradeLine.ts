/**
 * Lets upgrade requests that come at once take turns, so that they don't keep the event loop from everything else. They
 * wait in the order of arrival, and behind handshakes that have begun.
 */
import type * as Http from "node:http"
import type * as Net from "node:net"
import { inTurn, inTurnToBegin } from "../internal/scheduling/turn.ts"

const refusal = [
  "HTTP/1.1 503 Service Unavailable",
  "retry-after: 1",
  "connection: close",
  "content-length: 0",
  "",
  ""
].join("\r\n")

const ignore = () => {}

/**
 * Makes the upgrade requests of a server wait for their turn. When `most` of them wait, further ones are answered 503,
 * and `onRefused` is called.
 *
 * @internal
 */
export const lineUp = (server: Http.Server, most: number, onRefused: (socket: Net.Socket) => void): void => {
  let waiting = 0
  const emit = server.emit.bind(server) as (event: string, ...args: ReadonlyArray<unknown>) => boolean
  const takeTurn = (request: Http.IncomingMessage, socket: Net.Socket, head: Buffer) => {
    // Node adds no error listener to the socket of an upgrade: without one a client that hangs up would crash the process.
    socket.on("error", ignore)
    if (waiting >= most) {
      onRefused(socket)
      // Refusing takes its turn as well: writing and closing take 0.1 ms (measured). Until then only the socket is kept.
      return inTurn(() => void socket.write(refusal, () => socket.destroy()))
    }
    waiting++
    inTurnToBegin(() => {
      waiting--
      if (socket.destroyed) return
      // Without a listener the server has closed meanwhile. The socket must be closed here, or the process would not end.
      if (!emit("upgrade", request, socket, head)) return void socket.destroy()
      socket.off("error", ignore)
    })
  }
  const emitInTurn = (event: string, ...args: ReadonlyArray<unknown>): boolean => {
    if (event !== "upgrade") return emit(event, ...args)
    takeTurn(...args as [Http.IncomingMessage, Net.Socket, Buffer])
    return true
  }
  server.emit = emitInTurn as typeof server.emit
}
