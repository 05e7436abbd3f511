/**
 * Two ends of a socket in memory: what an HTTP client writes to one is read by an HTTP server at the other.
 */
import { type Duplex, duplexPair } from "node:stream"

/**
 * What servers, apps and clients use of a `net.Socket` besides what is read and written. Timeouts do nothing: the connection below
 * notices a peer that is gone.
 */
const members = ["ref", "setKeepAlive", "setNoDelay", "setTimeout", "unref"]

function unchanged(this: Duplex): Duplex {
  return this
}

/**
 * As that of `net.Socket`: the socket is destroyed once the other end has read everything. Node's server closes connections by it that
 * are not kept, so that a client learns that nobody reads the rest of its request.
 */
function destroySoon(this: Duplex): void {
  if (this.writable) this.end()
  if (this.writableFinished) this.destroy()
  else this.once("finish", () => this.destroy())
}

const socketMembers: PropertyDescriptorMap & ThisType<Duplex> = {
  ...Object.fromEntries(members.map((name) => [name, { value: unchanged, writable: true, configurable: true }])),
  destroySoon: { value: destroySoon, writable: true, configurable: true },
  connecting: { value: false },
  readyState: {
    get() {
      if (this.destroyed) return "closed"
      return this.writable ? this.readable ? "open" : "writeOnly" : this.readable ? "readOnly" : "closed"
    }
  }
}

const ignore = () => {}

/** What the server is told of the client. @internal */
export interface Client {
  readonly remoteAddress: string | undefined
  /** Whether the client has come over TLS, as `TLSSocket.encrypted`. */
  readonly encrypted: boolean
}

/** The end of the client, and that of the server. @internal */
export const makePair = (client: Client): readonly [near: Duplex, far: Duplex] => {
  const [near, far] = duplexPair()
  Object.defineProperties(near, socketMembers)
  Object.assign(Object.defineProperties(far, socketMembers), client)
  // Both are told by other events, too.
  near.on("error", ignore)
  far.on("error", ignore)
  // A client that gives up is no end of its bytes: Node's pairs take it for one, or don't notice at all, by version.
  const destroy = near.destroy.bind(near)
  near.destroy = (error) => {
    far.destroy()
    return destroy(error)
  }
  // The client still reads what a server has written that destroys its end, as it does over TCP.
  far.on("close", () => {
    if (near.readableEnded) return near.destroy()
    near.once("end", () => near.destroy())
    near.push(null)
  })
  return [near, far]
}
