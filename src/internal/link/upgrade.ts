/**
 * A link on the server: that of an HTTP request which asks for a WebSocket.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as HttpServerError from "effect/http/HttpServerError"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import { takenBy } from "./bytesTaken.ts"
import { type Link, maxBuffered, trySend } from "./link.ts"
import { maxPayloads, type NodeWebSocket, ofWireV1, type TcpSocket, upgraded } from "./platformSockets.ts"
import { attached } from "./webSocketLink.ts"

const tcpSocketOf = (request: HttpServerRequest.HttpServerRequest): TcpSocket | undefined => {
  const { socket } = request.source as { readonly socket?: unknown }
  return Predicate.hasProperty(socket, "writableLength") && Predicate.hasProperty(socket, "destroy")
    ? socket as unknown as TcpSocket
    : undefined
}

/** As in `HttpServerRequest.toURL`. Behind a proxy that ends TLS, `HttpMiddleware.xForwardedHeaders` sets the protocol. */
const isSecure = ({ originalUrl, protocol }: HttpServerRequest.HttpServerRequest): boolean =>
  protocol === undefined ? /^https:/i.test(originalUrl) : protocol === "https"

/** A class, so that all links share its functions: an idle connection takes 0.6 KiB less (measured as heap). */
class UpgradedLink implements Link {
  readonly pull: Link["pull"]
  readonly tcp: TcpSocket | undefined
  readonly isSecure: boolean
  readonly #writer: Socket.Writer
  /** Bytes that may wait in the socket. */
  readonly #mark: number

  constructor(
    pull: Link["pull"],
    writer: Socket.Writer,
    tcp: TcpSocket | undefined,
    buffer: number,
    isSecure: boolean
  ) {
    this.pull = pull
    this.isSecure = isSecure
    this.tcp = tcp
    this.#writer = writer
    const { webSocket } = this
    if (webSocket !== undefined) webSocket.binaryType = "nodebuffer"
    // A socket emits `drain` only after it was above its own high-water mark.
    this.#mark = Math.max(buffer, tcp?.writableHighWaterMark ?? 0)
  }

  get webSocket(): NodeWebSocket | undefined {
    return this.tcp && upgraded.get(this.tcp)
  }

  send(message: Uint8Array<ArrayBuffer> | string): Socket.SocketError | undefined {
    const { webSocket } = this
    if (webSocket !== undefined) return trySend(webSocket, message)
    const exit = this.#write(message)
    if (Exit.isSuccess(exit)) return undefined
    const failure = exit.cause.reasons.find((reason) => reason._tag === "Fail")
    return failure?._tag === "Fail"
      ? failure.error
      : new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause: exit.cause }) })
  }

  isFull(): boolean {
    return this.tcp !== undefined && (this.tcp.writableLength > this.#mark || this.tcp.destroyed)
  }

  isEmpty(): boolean {
    // A WebSocket of another platform may still hold a message that it compresses.
    return this.webSocket?.bufferedAmount === 0
  }

  taken(): number {
    return this.tcp === undefined ? 0 : takenBy(this.tcp)
  }

  cork(): void {
    this.tcp?.cork()
  }

  uncork(): void {
    this.tcp?.uncork()
  }

  onRoom(resume: () => void): void {
    this.tcp?.once("drain", resume)
  }

  close(code: number, reason: string): void {
    this.#write(new Socket.CloseEvent(code, reason))
  }

  /** Writers of WebSockets complete at once. Behind the end of the WebSocket they would wait for another one, for ever. */
  #write(what: Uint8Array | string | Socket.CloseEvent): Exit.Exit<void, Socket.SocketError> {
    const fiber = Effect.runFork(this.#writer.write(what))
    fiber.interruptUnsafe()
    return fiber.pollUnsafe()!
  }

  terminate(): void {
    this.tcp?.destroy()
  }

  hangUp(): void {
    this.tcp?.destroySoon()
  }
}

/** Upgrades a request of a runtime that has no TCP socket for it; fails where that is not possible. @internal */
export type Opening = Effect.Effect<Link, Socket.SocketError, Scope.Scope>

/** By the request of the runtime. @internal */
export const openings: WeakMap<object, Opening> = new WeakMap()

/** Upgrades a request; the WebSocket is closed with the scope. @internal */
export const fromRequest: (
  request: HttpServerRequest.HttpServerRequest,
  options: {
    readonly wire?: "v1" | "v2" | undefined
    readonly maxPayload?: number | undefined
    /** Fields of the 101, where the platform is Node. */
    readonly headers?: Readonly<Record<string, string>> | undefined
    /** Bytes that may wait in the socket. Default 128 KiB. */
    readonly buffer?: number | undefined
  }
) => Effect.Effect<Link, HttpServerError.HttpServerError | Socket.SocketError, Scope.Scope> = Effect.fnUntraced(
  function*(request, { buffer = maxBuffered, headers, maxPayload, wire }) {
    const opening = openings.get(request.source)
    if (opening !== undefined) return yield* opening
    const tcp = tcpSocketOf(request)
    if (tcp !== undefined) {
      if (wire === "v1") ofWireV1.add(tcp)
      if (maxPayload !== undefined) maxPayloads.set(tcp, maxPayload)
      if (headers !== undefined) addToUpgrade(tcp, headers)
    }
    const socket = yield* request.upgrade
    const { pull } = yield* attached(socket)
    const writer = yield* socket.writer
    return new UpgradedLink(pull, writer, tcp, buffer, isSecure(request))
  }
)

/** Effect's server can't be given fields for the 101 that answers for a WebSocket, so they are written into it. */
const addToUpgrade = (tcp: TcpSocket, headers: Readonly<Record<string, string>>): void => {
  const write = tcp.write
  tcp.write = (chunk, ...rest) => {
    tcp.write = write
    const isUpgrade = Predicate.isString(chunk) && chunk.startsWith("HTTP/1.1 101 ")
    const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join("")
    return tcp.write(isUpgrade ? chunk.replace("\r\n\r\n", `\r\n${fields}\r\n`) : chunk, ...rest)
  }
}
