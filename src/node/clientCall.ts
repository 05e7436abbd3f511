/**
 * A request that a client of Node has written to a socket in memory, as a call of the peer.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Cookies from "effect/http/Cookies"
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import type * as HttpClient from "effect/http/HttpClient"
import type { HttpClientError } from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as UrlParams from "effect/http/UrlParams"
import * as Option from "effect/Option"
import { PreventSchedulerYield } from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import type { SocketError } from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import * as Http from "node:http"
import type { Duplex } from "node:stream"
import { setCookiesIn, toHeaders } from "../internal/http/fields.ts"
import { fieldsOf } from "../internal/http/forwarded.ts"
import { joinBytes } from "../internal/http/spliced.ts"
import { discard } from "../internal/http/webResponse.ts"
import { acceptanceOf, isWebSocket } from "./webSocketHandshake.ts"
import { writeBody } from "./writeBody.ts"

/** `100 Continue` was sent to the client already. */
const ofHop = ["expect"]

/** Inside a connection WebSockets have neither a key nor extensions. */
const ofHandshake = [...ofHop, "sec-websocket-key", "sec-websocket-extensions"]

const hasBody = ({ headers }: Http.IncomingMessage): boolean =>
  headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0

/**
 * The parts of a body. A peer that answers before it has read all wants no more: the client gets its answer nevertheless, and what it
 * still sends is read and dropped, as it would wait for ever otherwise.
 */
async function* partsOf(request: Http.IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    yield* request.iterator({ destroyOnReturn: false })
  } finally {
    request.resume()
  }
}

const requestOf = (
  request: Http.IncomingMessage,
  leftOut: ReadonlyArray<string>
): HttpClientRequest.HttpClientRequest => {
  const headers = Headers.removeMany(toHeaders(fieldsOf(request.rawHeaders)), leftOut)
  const body = hasBody(request)
    ? HttpBody.stream(
      Stream.suspend(() => Stream.fromAsyncIterable<Uint8Array, unknown>(partsOf(request), (cause) => cause))
    )
    : HttpBody.empty
  return HttpClientRequest.makeWith(request.method!, request.url!, UrlParams.empty, Option.none(), headers, body)
}

/** Trailers are not passed on; a 101 has the protocol in a field of its own. */
const notPassedOn: ReadonlySet<string> = new Set(["set-cookie", "trailer", "upgrade"])

/** Fields as Node takes them, names and values by turns. */
const rawHeadersOf = ({ cookies, headers }: HttpClientResponse.HttpClientResponse): Array<string> => {
  const raw: Array<string> = []
  for (const name in headers) if (!notPassedOn.has(name)) raw.push(name, headers[name]!)
  for (const cookie of setCookiesIn(headers) ?? Cookies.toSetCookieHeaders(cookies)) raw.push("set-cookie", cookie)
  return raw
}

const nothing = new Uint8Array(0)

/** Begins to write an answer. Where that throws nobody reads the body, and the peer's handler would wait for a reader. */
const begin = (response: HttpClientResponse.HttpClientResponse, write: () => void): Effect.Effect<void> =>
  Effect.suspend(() => {
    try {
      write()
      return Effect.void
    } catch (cause) {
      discard(response, Context.empty())
      return Effect.die(cause)
    }
  })

/** Calls the peer, and answers as it does. @internal */
export const call = (
  client: HttpClient.HttpClient,
  request: Http.IncomingMessage,
  to: Http.ServerResponse
): Effect.Effect<void, HttpClientError> =>
  Effect.flatMap(client.execute(requestOf(request, ofHop)), (response) => {
    const begun = begin(response, () => {
      // The peer's fields are the answer's.
      to.sendDate = false
      to.writeHead(response.status, rawHeadersOf(response))
      // `flushHeaders` writes Latin-1 as UTF-8.
      to.write(nothing)
      // A body that the peer has not begun to read must not keep the next request from being read.
      to.once("finish", () => request.resume())
    })
    return Effect.andThen(begun, writeBody(response.stream, to))
  })

/** Throws for a field with text that HTTP/1.1 can't carry: as Latin-1 it might be a line break. */
const headOf = (status: number, fields: ReadonlyArray<string>): Buffer => {
  const lines = [`HTTP/1.1 ${status} ${Http.STATUS_CODES[status] ?? ""}`]
  for (let at = 0; at < fields.length; at += 2) {
    Http.validateHeaderValue(fields[at]!, fields[at + 1]!)
    lines.push(`${fields[at]}: ${fields[at + 1]}`)
  }
  return Buffer.from([...lines, "", ""].join("\r\n"), "latin1")
}

/** Joins both directions of an upgrade, until both have ended. */
const join = Effect.fnUntraced(function*(
  response: HttpClientResponse.HttpClientResponse,
  fields: ReadonlyArray<string>,
  socket: Duplex
): Effect.fn.Return<void, HttpClientError | SocketError, Scope.Scope> {
  const far = yield* response.upgrade
  const fromFar = yield* far.reader
  socket.write(headOf(101, fields))
  const near = yield* NodeSocket.fromDuplex(Effect.succeed(socket))
  // Events of the socket must not come before there are listeners.
  yield* Effect.provideService(joinBytes(near, far, fromFar), PreventSchedulerYield, true)
})

/**
 * Asks the peer for an upgrade, and joins both directions once it is granted. Any other answer is that of an ordinary request,
 * whose body ends with the socket.
 *
 * @internal
 */
export const callForUpgrade = (
  client: HttpClient.HttpClient,
  request: Http.IncomingMessage,
  socket: Duplex
): Effect.Effect<void, HttpClientError | SocketError> => {
  const protocol = request.headers.upgrade!
  const asking = HttpClientRequest.upgrade(requestOf(request, ofHandshake), protocol)
  return Effect.flatMap(client.execute(asking), (response) => {
    const fields = rawHeadersOf(response)
    if (response.status !== 101) {
      // Nobody reads what the client still sends. An agent keeps a socket until it is closed.
      socket.once("finish", () => socket.destroy())
      const begun = begin(
        response,
        () => void socket.write(headOf(response.status, [...fields, "connection", "close"]))
      )
      return Effect.andThen(begun, writeBody(response.stream, socket))
    }
    const key = request.headers["sec-websocket-key"]
    const accepted = isWebSocket(protocol) && key !== undefined ? ["sec-websocket-accept", acceptanceOf(key)] : []
    const upgrade = ["connection", "Upgrade", "upgrade", response.headers.upgrade ?? protocol]
    return Effect.scoped(join(response, [...fields, ...upgrade, ...accepted], socket))
  })
}
