/**
 * A WebSocket in the hands of the test, against the server of streaming endpoints.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Http from "node:http"
import type * as Net from "node:net"
import * as WS from "ws"
import { until } from "../support/waiting.ts"

/** A server's answer that was no 101. */
export interface Refusal {
  readonly _tag: "Refusal"
  readonly status: number
  readonly body: string
}

export interface Close {
  readonly code: number
  readonly reason: string
}

const describe = (raw: Raw): string =>
  `${raw.messages.length} messages, the last ${JSON.stringify(raw.messages.slice(-3))}, ${
    JSON.stringify(raw.closed ?? "open")
  }`

export class Raw {
  readonly ws: WS.WebSocket
  /** Of the 101. */
  headers: Http.IncomingHttpHeaders = {}
  /** Text as it came; binary as base64 behind a mark. */
  readonly messages: Array<string> = []
  closed: Close | undefined = undefined
  pings = 0

  constructor(ws: WS.WebSocket) {
    this.ws = ws
    ws.on("error", () => {})
    ws.on("upgrade", (response) => {
      this.headers = response.headers
    })
    ws.on("ping", () => this.pings++)
    ws.on("message", (data: Buffer, isBinary) => {
      this.messages.push(isBinary ? `binary ${data.toString("latin1")}` : data.toString())
    })
    ws.on("close", (code, reason) => {
      this.closed = { code, reason: reason.toString() }
    })
  }

  get tcp(): Net.Socket {
    return (this.ws as unknown as { readonly _socket: Net.Socket })._socket
  }

  /** Waits until that many messages have come. */
  received(count: number): Effect.Effect<ReadonlyArray<string>> {
    return Effect.map(
      Effect.catchDefect(
        until(`${count} messages`, () => this.messages.length >= count),
        (defect) => Effect.die(new Error(`${String(defect)}: ${describe(this)}`))
      ),
      () => this.messages
    )
  }

  /** How the server, or TCP, ends it. */
  readonly end: Effect.Effect<Close> = Effect.map(
    Effect.catchDefect(
      until("the close", () => this.closed !== undefined),
      (defect) => Effect.die(new Error(`${String(defect)}: ${describe(this)}`))
    ),
    () => this.closed!
  )
}

export interface DialOptions {
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly origin?: string | undefined
  readonly autoPong?: boolean | undefined
}

/** The answer to a dial that is to be refused. */
export const dialRefused = (url: string, path: string, options: DialOptions = {}): Effect.Effect<Refusal> =>
  Effect.scoped(Effect.matchEffect(dial(url, path, options), {
    onFailure: Effect.succeed,
    onSuccess: () => Effect.die(new Error(`101 for ${path}`))
  }))

/** Dials; `path` is below the URL of an HTTP server. */
export const dial = (
  url: string,
  path: string,
  options: DialOptions = {}
): Effect.Effect<Raw, Refusal, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<Raw, Refusal>((resume) => {
      const ws = new WS.WebSocket(url.replace("http", "ws") + path, {
        perMessageDeflate: false,
        ...(options.headers === undefined ? undefined : { headers: options.headers }),
        ...(options.origin === undefined ? undefined : { origin: options.origin }),
        autoPong: options.autoPong ?? true
      })
      const raw = new Raw(ws)
      ws.on("open", () => resume(Effect.succeed(raw)))
      ws.on("unexpected-response", (_request, response) => {
        const status = response.statusCode!
        let body = ""
        response.on("data", (chunk) => {
          body += String(chunk)
        })
        response.on("end", () => resume(Effect.fail({ _tag: "Refusal", status, body })))
      })
    }),
    ({ ws }) => Effect.sync(() => ws.terminate())
  )
