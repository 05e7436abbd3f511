/**
 * Upgrade requests by hand, and what they are answered.
 */
import * as Effect from "effect/Effect"
import * as Http from "node:http"
import { subprotocol } from "./rawPeer.ts"
import { limit } from "./waiting.ts"

interface Answer {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
}

export const upgradeFields = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="
}

/** What an HTTP request to the socket's path is answered. */
export const answerOf = (url: string, headers: Http.OutgoingHttpHeaders): Effect.Effect<Answer, Error> =>
  Effect.callback((resume) => {
    const request = Http.request(url.replace("ws:", "http:"), { headers, agent: false, timeout: limit })
    request.on("timeout", () => request.destroy(new Error("no answer")))
    request.on("error", (error) => resume(Effect.fail(error)))
    request.on("upgrade", (response, socket) => {
      socket.destroy()
      resume(Effect.succeed({ status: 101, headers: response.headers, body: "" }))
    })
    request.on("response", (response) => {
      let body = ""
      response.setEncoding("utf8")
      response.on("data", (chunk: string) => body += chunk)
      response.on(
        "end",
        () => resume(Effect.succeed({ status: response.statusCode!, headers: response.headers, body }))
      )
    })
    request.end()
    return Effect.sync(() => request.destroy())
  })

/** Asks for an upgrade. */
export const upgrade = (url: string, headers: Http.OutgoingHttpHeaders = {}) =>
  answerOf(url, { ...upgradeFields, "sec-websocket-protocol": subprotocol, ...headers })

export const hostOf = (url: string) => new URL(url).host
