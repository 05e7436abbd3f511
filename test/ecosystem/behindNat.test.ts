/**
 * An Express app on a device that nobody can dial: the device dials a hub, and callers reach the app by the hub's HTTP port. They get
 * what they get of the same app directly.
 */
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as Relay from "effect-swaggersocket/Relay"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Scope from "effect/Scope"
import { createHash } from "node:crypto"
import { once } from "node:events"
import * as Http from "node:http"
import type * as Net from "node:net"
import { createGunzip } from "node:zlib"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { isInstalled } from "./installed.ts"
import { untilThere } from "./untilThere.ts"

const MiB = 1024 * 1024

class Devices extends SwaggerSocketServer.Service<Devices>()("test/ecosystem/Devices") {}

/** Passes on what is below `/device`. */
const relayed = Layer.unwrap(
  Effect.map(Devices, (devices) =>
    HttpRouter.add(
      "*",
      "/device/*",
      Effect.gen(function*() {
        const { url } = yield* HttpServerRequest.HttpServerRequest
        const device = yield* Effect.orDie(devices.awaitConnection())
        return yield* Relay.to(device, { target: url.slice("/device".length) })
      })
    ))
)

const layerHub = HttpRouter.serve(Layer.provideMerge(relayed, Devices.layer({ path: "/socket" })), {
  disableListenLog: true,
  disableLogger: true
}).pipe(Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" })))

const layerDevice = (app: Http.RequestListener, url: string) =>
  NodeSwaggerSocket.layerNode(app).pipe(
    Layer.provide(ApiServer.layer),
    Layer.provide(SwaggerSocketClient.layer({ url, waitForConnection: true })),
    Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
  )

/** What the transport of each hop has of its own, and when it answered. */
const ofHop = new Set(["connection", "date", "keep-alive", "transfer-encoding"])

interface Asked {
  readonly method?: string
  readonly path: string
  readonly headers?: Record<string, string>
  readonly body?: Iterable<Uint8Array>
}

/** A request of `node:http`, which decodes nothing. */
const open = async (origin: string, { body, headers = {}, method = "GET", path }: Asked) => {
  const request = Http.request(`${origin}${path}`, { method, headers, agent: false })
  const answered = once(request, "response") as Promise<[Http.IncomingMessage]>
  // The answer may begin, and has to be read, before the body has left.
  const sending = async () => {
    for (const part of body ?? []) if (!request.write(part)) await once(request, "drain")
    request.end()
  }
  sending().catch(() => {})
  const [response] = await answered
  return { request, response }
}

/** The whole answer, as far as it must not depend on the way to the app. */
const answerOf = async (origin: string, asked: Asked) => {
  const { response } = await open(origin, asked)
  const hash = createHash("sha256")
  let size = 0
  for await (const part of response as AsyncIterable<Uint8Array>) {
    hash.update(part)
    size += part.length
  }
  const fields: Array<string> = []
  for (let at = 0; at < response.rawHeaders.length; at += 2) {
    const name = response.rawHeaders[at]!.toLowerCase()
    if (!ofHop.has(name)) fields.push(`${name}: ${response.rawHeaders[at + 1]}`)
  }
  return { status: response.statusCode, fields: fields.sort(), size, hash: hash.digest("hex") }
}

/** Bytes that no coder makes smaller by much, the same each time. */
function* bytes(size = 64): Generator<Uint8Array> {
  const part = new Uint8Array(MiB)
  let state = 1
  for (let at = 0; at < part.length; at++) part[at] = state = (state * 75 + 74) % 65_537
  for (let count = 0; count < size; count++) yield part
}

const boundary = "------boundary"
function* form(): Generator<Uint8Array> {
  const fields =
    `content-disposition: form-data; name="file"; filename="a.bin"\r\ncontent-type: application/octet-stream`
  yield Buffer.from(`--${boundary}\r\n${fields}\r\n\r\n`)
  yield* bytes()
  yield Buffer.from(`\r\n--${boundary}--\r\n`)
}

const asked: Readonly<Record<string, Asked>> = {
  "a page in gzip": { path: "/page?x=%20y", headers: { "accept-encoding": "gzip" } },
  "a page in Brotli": { path: "/page", headers: { "accept-encoding": "br" } },
  "a page without coding": { path: "/page" },
  "the fields of a page": { method: "HEAD", path: "/page", headers: { "accept-encoding": "gzip" } },
  "a redirect, and cookies": { path: "/redirect" },
  "nothing, with 204": { path: "/nothing" },
  "what the app is told of a request": {
    path: "/asked?a=%2F&b=x+y&c=%F0",
    headers: {
      host: "device.test",
      cookie: "a=1; b=2",
      accept: "text/*",
      "x-forwarded-for": "10.0.0.1",
      "x-latin": "caf\u00e9"
    }
  },
  "what the app is told of a body without a type": {
    method: "PATCH",
    path: "/asked",
    headers: { host: "device.test", "content-length": "3" },
    body: [Buffer.from("abc")]
  },
  "an error of the app": { path: "/error" },
  "what is not there": { path: "/missing" },
  "a part of a file": { path: "/file", headers: { range: "bytes=10-19" } },
  "8 MiB, sent back in gzip": {
    method: "POST",
    path: "/echo",
    headers: { "accept-encoding": "gzip" },
    body: { [Symbol.iterator]: () => bytes(8) }
  },
  "a form with 64 MiB": {
    method: "POST",
    path: "/upload",
    headers: { "content-type": `multipart/form-data; boundary=${boundary}` },
    body: { [Symbol.iterator]: form }
  },
  "an upload that is said to be too large": {
    method: "POST",
    path: "/small",
    headers: { "content-type": "application/json", "content-length": "200000" },
    body: [Buffer.alloc(200_000, " ")]
  }
}

if (!isInstalled) it.skip("an Express app behind NAT: run `npm ci --prefix test/ecosystem` first", () => {})
else {
  const { makeApp } = await import("./expressApp.ts")
  describe("an Express app on a device that dials a hub, by the hub's HTTP port", () => {
    const scope = Scope.makeUnsafe()
    const app = makeApp()
    const direct = Http.createServer(app.listener)
    /** The origin of the app, directly and by the hub. */
    const origins: Array<string> = []
    beforeAll(async () => {
      direct.listen(0, "127.0.0.1")
      await once(direct, "listening")
      origins.push(`http://127.0.0.1:${(direct.address() as Net.AddressInfo).port}`)
      const hub = await Effect.runPromise(Layer.buildWithScope(layerHub, scope))
      const url = NetAddress.formatUrlUnsafe(Context.get(hub, HttpServer.HttpServer).address)
      await Effect.runPromise(
        Layer.buildWithScope(layerDevice(app.listener, `${url.replace("http", "ws")}/socket`), scope)
      )
      origins.push(`${url}/device`)
    })
    afterAll(async () => {
      await Effect.runPromise(Scope.close(scope, Exit.void))
      direct.closeAllConnections()
      direct.close()
    })

    for (const [title, request] of Object.entries(asked)) {
      it(`${title}: same status, fields and bytes as directly`, async () => {
        const directly = await answerOf(origins[0]!, request)
        const byHub = await answerOf(origins[1]!, request)
        assert.deepStrictEqual(byHub, directly)
      })
    }

    it("what has not changed: 304, as directly", async () => {
      const { response } = await open(origins[0]!, { path: "/page" })
      response.resume()
      const headers = { "if-none-match": response.headers.etag! }
      const [directly, byHub] = [
        await answerOf(origins[0]!, { path: "/page", headers }),
        await answerOf(origins[1]!, { path: "/page", headers })
      ]
      assert.strictEqual(byHub.status, 304)
      assert.deepStrictEqual(byHub, directly)
    })

    it("events in gzip: each is there before the next one, and their bytes are those of the app", async () => {
      const read = async (origin: string) => {
        const { response } = await open(origin, { path: "/events", headers: { "accept-encoding": "gzip" } })
        const parts: Array<Uint8Array> = []
        response.on("data", (part: Uint8Array) => parts.push(part))
        let text = ""
        for await (const part of response.pipe(createGunzip())) {
          text += String(part)
          // The app writes the next event once this one has come out of the coder.
          app.saw(text.split("\n\n").length - 1)
        }
        assert.strictEqual(text, "data: 0\n\ndata: 1\n\ndata: 2\n\n")
        return {
          type: response.headers["content-type"],
          coding: response.headers["content-encoding"],
          parts: Buffer.concat(parts)
        }
      }
      const directly = await read(origins[0]!)
      const byHub = await read(origins[1]!)
      assert.deepStrictEqual(byHub, directly)
      assert.strictEqual(byHub.coding, "gzip")
    })

    for (const way of [0, 1]) {
      const named = way === 0 ? "directly" : "by the hub"
      it(`a download that is given up halfway closes the app's response, ${named}`, async () => {
        const ends = app.downloads()
        const { request, response } = await open(origins[way]!, { path: "/download" })
        request.on("error", () => {})
        let size = 0
        for await (const part of response as AsyncIterable<Uint8Array>) if ((size += part.length) >= 32 * MiB) break
        request.destroy()
        await untilThere(() => ends.length === 1)
        assert.deepStrictEqual(ends, ["close, unfinished"])
      })

      it(`an upload that is given up is no whole one, ${named}`, async () => {
        const ends = app.uploads()
        const request = Http.request(`${origins[way]}/hash`, { method: "POST", agent: false })
        request.on("error", () => {}).write(Buffer.alloc(MiB))
        await untilThere(() => app.isReading())
        request.destroy()
        await untilThere(() => ends.length === 1)
        assert.deepStrictEqual(ends, ["aborted"])
      })
    }
  })
}
