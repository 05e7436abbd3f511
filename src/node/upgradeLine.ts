/**
 * Clients that dial at once take turns: what follows from an upgrade request counts for the time that links may be busy in one
 * turn of the event loop. Requests wait before anything is made of them, in the order of arrival, and behind handshakes that have
 * begun.
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
 * Lets the upgrade requests of a server wait for their turn. Of more than `most` that wait further ones are answered 503, and
 * `onRefused` is told.
 *
 * @internal
 */
export const lineUp = (server: Http.Server, most: number, onRefused: (socket: Net.Socket) => void): void => {
  let waiting = 0
  const emit = server.emit.bind(server) as (event: string, ...args: ReadonlyArray<unknown>) => boolean
  const takeTurn = (request: Http.IncomingMessage, socket: Net.Socket, head: Buffer) => {
    // Node leaves it to whoever takes an upgrade: without a listener the process would die of a client that hangs up.
    socket.on("error", ignore)
    if (waiting >= most) {
      onRefused(socket)
      // It has its turn, too: writing and closing take 0.1 ms. Its socket is all that it holds until then.
      return inTurn(() => void socket.write(refusal, () => socket.destroy()))
    }
    waiting++
    inTurnToBegin(() => {
      waiting--
      if (socket.destroyed) return
      // Nobody takes it where the server has closed meanwhile: nobody else would hang up, and the process would not end.
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
