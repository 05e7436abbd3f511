/**
 * Sockets in memory for HTTP clients of Node, which lead to the peer of a connection. What a client writes is read by a server of
 * `node:http`, and each request becomes a call of the peer: the client gets all that it gets over TCP.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import { type HttpClientError, isHttpClientError } from "effect/http/HttpClientError"
import { isSocketError, type SocketError } from "effect/socket/Socket"
import * as Http from "node:http"
import type { Duplex, Writable } from "node:stream"
import { failureOf, outcomeOf } from "../SwaggerSocketError.ts"
import { call, callForUpgrade } from "./clientCall.ts"
import { giveTimeout } from "./idleTimeout.ts"
import { makePair } from "./memorySocket.ts"

/** Opens a socket to the peer, with an idle timeout in milliseconds. @internal */
export type OpenSocket = (timeout?: number) => Duplex

/** As large as the heads that others of Node's limits let through: what is too large for the wire fails there. */
const maxHeaderSize = 64 * 1024

const ignore = () => {}

/** The head of the answer, or the 101, has arrived before. */
const isBroken = (cause: unknown): boolean =>
  isSocketError(cause) || (isHttpClientError(cause) && cause.reason._tag === "DecodeError")

/**
 * The code of a call that has failed. A client that repeats what `ECONNREFUSED` ended repeats nothing that was executed. An answer
 * that breaks off is not `ECONNRESET`, which undici takes for the end of some bodies.
 */
const codeOf = (cause: unknown): string => {
  if (isBroken(cause)) return "EPIPE"
  const outcome = outcomeOf(cause)
  return outcome === "not-sent" || outcome === "not-processed" ? "ECONNREFUSED" : "ECONNRESET"
}

const toNodeError = (given: unknown): Error => {
  const cause = failureOf(given) ?? given
  const message = cause instanceof Error ? cause.message : String(cause)
  return Object.assign(new Error(message, { cause }), { code: codeOf(given) })
}

/** How a client's sockets are opened. Whatever runs for them has services from `context`. @internal */
export const makeOpenSocket = (client: HttpClient.HttpClient, context: Context.Context<never>): OpenSocket => {
  const fork = Effect.runForkWith(context)
  /** The end of the client, by that of the server. */
  const nearEnds = new WeakMap<Duplex, Duplex>()
  const run = (
    effect: Effect.Effect<void, HttpClientError | SocketError>,
    far: Duplex,
    closed: Writable,
    isOver: () => boolean
  ) => {
    const failed = (cause: Cause.Cause<unknown>) =>
      Effect.sync(() => {
        // Otherwise the client has given up.
        if (!Cause.hasInterruptsOnly(cause)) nearEnds.get(far)?.destroy(toNodeError(Cause.squash(cause)))
      })
    const fiber = fork(Effect.catchCause(effect, failed))
    closed.once("close", () => {
      if (!isOver()) fiber.interruptUnsafe()
    })
  }
  // No timeouts: both ends are in this process.
  const server = Http.createServer({ maxHeaderSize, requestTimeout: 0, headersTimeout: 0 }, (request, response) => {
    run(call(client, request, response), request.socket, response, () => response.writableFinished)
  })
  server.on("upgrade", (request: Http.IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", ignore)
    if (head.length > 0) socket.unshift(head)
    run(callForUpgrade(client, request, socket), socket, socket, () => socket.readableEnded && socket.writableFinished)
  })
  server.on("connect", (_request: Http.IncomingMessage, socket: Duplex) => {
    nearEnds.get(socket)?.destroy(toNodeError(new Error("a connection is no proxy: CONNECT leads nowhere")))
  })
  return (timeout) => {
    const [near, far] = makePair({ remoteAddress: undefined, encrypted: false })
    nearEnds.set(far, near)
    giveTimeout(near, context, timeout)
    server.emit("connection", far)
    return near
  }
}
