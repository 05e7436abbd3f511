/**
 * What the log of a program without Effect says at once of a client whose address, token or origin is wrong, and what its
 * `connect` rejects with.
 */
import { assert, describe, it } from "@effect/vitest"
import { type ConnectOptions, Refusal } from "effect-swaggersocket/promise"
import * as Net from "node:net"
import { connecting, listening, recorder } from "./ends.ts"

/** A port on which nobody listens any more. */
const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = Net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as Net.AddressInfo
      server.close(() => resolve(port))
    })
  })

interface Mistake {
  readonly mistake: string
  readonly url?: (hub: URL) => string | Promise<string>
  readonly options?: ConnectOptions
  /** What the log says that is to be done. */
  readonly advice: RegExp
  /** What the promise rejects with. */
  readonly error: RegExp
}

const right = { authorization: "Bearer right" }

const mistakes: ReadonlyArray<Mistake> = [
  {
    mistake: "a wrong path",
    url: ({ host }) => `ws://${host}/sockets`,
    advice: /the server has no such path: check the path/,
    error: /response: 404/
  },
  {
    mistake: "a wrong port",
    url: async () => `ws://127.0.0.1:${await freePort()}/socket`,
    advice: /nothing listens there: check that the server runs, and its host and port/,
    error: /ECONNREFUSED/
  },
  {
    mistake: "a scheme with TLS where there is none",
    url: ({ host }) => `wss://${host}/socket`,
    advice: /no TLS is spoken there: check the port, and whether it has to be ws:/,
    error: /wrong version number/
  },
  {
    mistake: "a wrong token",
    options: { headers: { authorization: "Bearer wrong" } },
    advice: /check the credentials in headers or metadata/,
    error: /unknown token/
  },
  {
    mistake: "an origin that is not allowed",
    options: { headers: { ...right, origin: "https://elsewhere.example" } },
    advice: /check that the server allows this origin, and this client/,
    error: /response: 403/
  }
]

describe("a client that can't connect", () => {
  for (const { advice, error, mistake, options, url } of mistakes) {
    it(`with ${mistake} is told what to check with its first attempt, and by what connect rejects with`, async () => {
      const hub = await listening({
        path: "/socket",
        authenticate: ({ headers }) => {
          if (headers.authorization !== right.authorization) {
            throw new Refusal({ code: "UNAUTHENTICATED", reason: "unknown token" })
          }
        }
      })
      const log = recorder()
      const target = new URL(hub.url)
      const attempt = connecting(await url?.(target) ?? hub.url, {
        headers: right,
        timeout: 300,
        layer: log.layer,
        ...options
      })
      const rejected = await attempt.then(() => assert.fail("it has connected"), (cause: unknown) => cause)
      assert.match(
        log.lines[0]!,
        /^(?:Warn could not connect|Error stopped dialling: no connection) to wss?:\/\/127\.0\.0\.1:\d+\/sockets?[:,]/
      )
      assert.match(log.lines[0]!, advice)
      assert.match(log.lines[0]!, error)
      assert.match(String(rejected), error)
    })
  }

  for (const url of ["127.0.0.1:3000", "/socket", "ftp://127.0.0.1/socket"]) {
    it(`to ${url} rejects at once, and names what a URL has to be`, async () => {
      const attempt = connecting(url)
      const rejected = await attempt.then(() => assert.fail("it has connected"), (cause: unknown) => cause)
      assert.instanceOf(rejected, TypeError)
      assert.match(String(rejected), /expected ws:\/\/host:port\/path or wss:\/\/host\/path/)
    })
  }
})
