/**
 * Paths of an HTTP server whose upgrade requests are taken, while everything else about the server stays as it is.
 *
 * A listener for `upgrade` would not do. Node calls all of them: that of a `ws` server with another path answers ours with 400,
 * that of Next closes it. And as soon as there is one, Node gives requests that ask for an upgrade to no `request` listener any
 * more, such as those of Java's HTTP client, which would rather speak HTTP/2.
 */
import type * as Http from "node:http"
import type * as Http2 from "node:http2"
import type { Duplex } from "node:stream"
import type * as Tls from "node:tls"

/** An HTTP server with upgrades. One of `node:https` is one of `node:http`, too. @internal */
export type UpgradingServer = Http.Server | Http2.Http2SecureServer

/** @internal */
export interface Mount {
  /** As the request names it, without a query. */
  readonly path: string
  readonly take: (request: Http.IncomingMessage, socket: Duplex, head: Buffer) => void
}

/** Node 24.9 and newer ask it for each request that wants an upgrade. What it declines is an ordinary request. */
interface Deciding {
  shouldUpgradeCallback?: (request: Http.IncomingMessage) => boolean
}

type Method = (...args: ReadonlyArray<unknown>) => unknown

/** Replaces a method of an object. Answers how to undo that. */
const replace = (target: object, name: string, make: (before: Method) => Method): () => void => {
  const own = Object.getOwnPropertyDescriptor(target, name)
  const replaced = make(Reflect.get(target, name) as Method)
  Reflect.set(target, name, replaced)
  return () => {
    // Somebody has replaced it since, and calls it. It changes nothing any more.
    if (Reflect.get(target, name) !== replaced) return
    if (own === undefined) Reflect.deleteProperty(target, name)
    else Object.defineProperty(target, name, own)
  }
}

/** Stands for the mounts where Node asks whether anybody listens for upgrades. */
const placeholder = () => {}

/** The path of a request, whose target may be a whole URL (RFC 9112 section 3.2). */
const pathOf = ({ url = "" }: Http.IncomingMessage): string =>
  url.replace(/^https?:\/\/[^/?]*/i, "").replace(/\?.*$/s, "")

class Mounts {
  readonly #server: Http.Server & Deciding
  readonly #mounts: Array<Mount> = []
  /** Leaves the server as it was. Present while something is mounted. */
  #undo: (() => void) | undefined

  constructor(server: UpgradingServer) {
    // What is used here is the same on both.
    this.#server = server as Http.Server
  }

  add(mount: Mount): void {
    this.#mounts.push(mount)
    this.#undo ??= this.#listen()
  }

  delete(mount: Mount): void {
    this.#mounts.splice(this.#mounts.indexOf(mount), 1)
    if (this.#mounts.length > 0) return
    this.#undo?.()
    this.#undo = undefined
  }

  /** Of several mounts on one path the last one. */
  #mountOf(request: Http.IncomingMessage): Mount | undefined {
    const path = pathOf(request)
    return this.#mounts.findLast((mount) => mount.path === path)
  }

  #listen(): () => void {
    const server = this.#server
    const undoEmit = replace(server, "emit", (emit) => (...args) => {
      if (args[0] !== "upgrade" || this.#mounts.length === 0) return Reflect.apply(emit, server, args)
      const [, request, socket, head] = args as [string, Http.IncomingMessage, Duplex, Buffer]
      if (server.shouldUpgradeCallback !== undefined) server.off("upgrade", placeholder)
      const mount = this.#mountOf(request)
      if (mount !== undefined) {
        mount.take(request, socket, head)
        return true
      }
      const isAwaited = server.listeners("upgrade").some((listener) => listener !== placeholder)
      return isAwaited ? Reflect.apply(emit, server, args) : asRequest(server, request, socket, head)
    })
    const undoDecision = this.#decide()
    return () => {
      undoEmit()
      undoDecision()
    }
  }

  /** Has Node emit `upgrade` for the requests of the mounts. */
  #decide(): () => void {
    const server = this.#server
    if (server.shouldUpgradeCallback === undefined) {
      server.on("upgrade", placeholder)
      return () => server.off("upgrade", placeholder)
    }
    return replace(server, "shouldUpgradeCallback", (decide) => (request) => {
      if (this.#mountOf(request as Http.IncomingMessage) === undefined) return Reflect.apply(decide, server, [request])
      // Node asks next whether there is a listener, and then emits. It was not there for `decide` of other requests.
      server.on("upgrade", placeholder)
      return true
    })
  }
}

/**
 * Gives a request that nobody upgrades back to Node, which reads it as an ordinary one, as if there were no mounts. Where Node
 * does not ask first, it has taken the request for an upgrade by then. The field `upgrade` is left out, so that it does not again.
 */
const asRequest = (server: Http.Server, request: Http.IncomingMessage, socket: Duplex, head: Buffer): boolean => {
  const { httpVersion, method, rawHeaders, url } = request
  let text = `${method} ${url} HTTP/${httpVersion}\r\n`
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (rawHeaders[at]!.toLowerCase() !== "upgrade") text += `${rawHeaders[at]}: ${rawHeaders[at + 1]}\r\n`
  }
  socket.unshift(Buffer.concat([Buffer.from(`${text}\r\n`, "latin1"), head]))
  return server.emit((socket as Tls.TLSSocket).encrypted === true ? "secureConnection" : "connection", socket)
}

const mounted = new WeakMap<UpgradingServer, Mounts>()

/** The mounts of a server. @internal */
export const mountsOf = (server: UpgradingServer): Pick<Mounts, "add" | "delete"> => {
  const existing = mounted.get(server)
  if (existing !== undefined) return existing
  const mounts = new Mounts(server)
  mounted.set(server, mounts)
  return mounts
}
