/**
 * Lets upgrade requests that come at once take turns, so that they don't keep the event loop from everything else. They
 * wait in the order of arrival, and behind handshakes that have begun.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type * as Http from "node:http"
import type * as Net from "node:net"
import * as metrics from "../internal/observe/metrics.ts"
import { RefusalLog } from "../internal/observe/refusalLog.ts"
import { inTurn, inTurnToBegin } from "../internal/scheduling/turn.ts"
import type * as Quotas from "../Quotas.ts"

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
 * Closes a socket whose bytes nobody reads, once it has been ended: that of an upgrade which was answered otherwise. Node leaves it to
 * the client to close its side, who may never do that. One that was upgraded has a reader until it ends.
 */
function closeUnread(this: Net.Socket): void {
  if (this.listenerCount("data") + this.listenerCount("readable") === 0) this.destroy()
}

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
 * Has an upgrade request wait for its turn, and then calls `begin`. Where that answers `false` nobody has taken the request.
 *
 * @internal
 */
export type TakeTurn = (socket: Net.Socket, begin: () => boolean) => void

/**
 * A line of upgrade requests. When `most` of them wait, further ones are answered 503, and `onRefused` is called. An address
 * that has fewer of them takes the place of the one that has the most.
 *
 * @internal
 */
export const lineOf = (most: number, onRefused: (socket: Net.Socket) => void): TakeTurn => {
  const line = new Line()
  const refuse = (socket: Net.Socket) => {
    onRefused(socket)
    // Refusing takes its turn as well: writing and closing take 0.1 ms (measured). Until then only the socket is kept.
    inTurn(() => void socket.write(refusal, () => socket.destroy()))
  }
  return (socket, begin) => {
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
      // One function for all sockets: idle connections are to be small.
      socket.on("finish", closeUnread)
      // The server has closed meanwhile. The socket must be closed here, or the process would not end.
      if (!begin()) return void socket.destroy()
      socket.off("error", ignore)
    })
  }
}

/**
 * How many upgrade requests may wait, for each handshake that may be in progress. A guess: with the default quotas
 * 1,024 requests wait, for at most 2 seconds if each takes 2 ms (measured in a process that has just started).
 */
const waitingPerHandshake = 2

/** A line as long as the quotas allow, which counts and logs those that it refuses. @internal */
export const makeLine = (
  quotas: Quotas.Quotas,
  method: "attach" | "layerHttpServer"
): Effect.Effect<TakeTurn, never, Scope.Scope> =>
  Effect.map(Effect.all([Effect.context<never>(), Effect.scope]), ([context, scope]) => {
    const fork = (effect: Effect.Effect<void>) =>
      Fiber.runIn(
        Effect.runForkWith(context)(Effect.annotateLogs(effect, { module: "NodeSwaggerSocket", method })),
        scope
      )
    const log = new RefusalLog("upgrades", fork)
    return lineOf(waitingPerHandshake * quotas.server.pendingHandshakes, (socket) => {
      metrics.refusals.updateUnsafe(1, context)
      if (!log.hasLine()) return
      const line = Effect.logWarning("refused an upgrade with 503: too many clients dial at once")
      fork(Effect.annotateLogs(line, { remoteAddress: socket.remoteAddress }))
    })
  })

/** Makes the upgrade requests of a server wait for their turn. @internal */
export const lineUp = (server: Http.Server, takeTurn: TakeTurn): void => {
  const emit = server.emit.bind(server) as (event: string, ...args: ReadonlyArray<unknown>) => boolean
  const emitInTurn = (event: string, ...args: ReadonlyArray<unknown>): boolean => {
    if (event !== "upgrade") return emit(event, ...args)
    takeTurn(args[1] as Net.Socket, () => emit(event, ...args))
    return true
  }
  server.emit = emitInTurn as typeof server.emit
}
