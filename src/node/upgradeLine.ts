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

/** An upgrade request that waits for its turn. */
interface Waiting {
  readonly socket: Net.Socket
  isRefused: boolean
}

/** The requests that wait, by the address that they come from, which a socket that is lost does not tell any more. */
class Line {
  readonly #byAddress = new Map<string, Set<Waiting>>()
  #count = 0

  get count(): number {
    return this.#count
  }

  add(socket: Net.Socket, address: string): Waiting {
    const waiting = { socket, isRefused: false }
    const own = this.#byAddress.get(address) ?? new Set()
    this.#byAddress.set(address, own.add(waiting))
    this.#count++
    return waiting
  }

  delete(waiting: Waiting, address: string): void {
    const own = this.#byAddress.get(address)
    if (own?.delete(waiting) !== true) return
    if (own.size === 0) this.#byAddress.delete(address)
    this.#count--
  }

  /** The newest request of the address that has the most of them, if that has more than `address` with another one. */
  largest(address: string): { readonly waiting: Waiting; readonly address: string } | undefined {
    const own = this.#byAddress.get(address)?.size ?? 0
    let [largest, most] = [address, own + 1]
    for (const [other, { size }] of this.#byAddress) if (size > most) [largest, most] = [other, size]
    return largest === address ? undefined : { waiting: [...this.#byAddress.get(largest)!].at(-1)!, address: largest }
  }
}

/**
 * Makes the upgrade requests of a server wait for their turn. When `most` of them wait, further ones are answered 503,
 * and `onRefused` is called. An address that has fewer of them takes the place of the one that has the most.
 *
 * @internal
 */
export const lineUp = (server: Http.Server, most: number, onRefused: (socket: Net.Socket) => void): void => {
  const line = new Line()
  const emit = server.emit.bind(server) as (event: string, ...args: ReadonlyArray<unknown>) => boolean
  const refuse = (socket: Net.Socket) => {
    onRefused(socket)
    // Refusing takes its turn as well: writing and closing take 0.1 ms (measured). Until then only the socket is kept.
    inTurn(() => void socket.write(refusal, () => socket.destroy()))
  }
  const takeTurn = (request: Http.IncomingMessage, socket: Net.Socket, head: Buffer) => {
    // Node adds no error listener to the socket of an upgrade: without one a client that hangs up would crash the process.
    socket.on("error", ignore)
    const address = socket.remoteAddress ?? ""
    if (line.count >= most) {
      const largest = line.largest(address)
      if (largest === undefined) return refuse(socket)
      largest.waiting.isRefused = true
      line.delete(largest.waiting, largest.address)
      refuse(largest.waiting.socket)
    }
    const waiting = line.add(socket, address)
    inTurnToBegin(() => {
      if (waiting.isRefused) return
      line.delete(waiting, address)
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
