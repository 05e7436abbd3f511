/**
 * Apps of server frameworks as they are, served to the other end of a connection, in both directions; and beside a hub on the HTTP
 * server that they have.
 */
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import { connect, listen } from "effect-swaggersocket/promise"
import { SwaggerSocketClient } from "effect-swaggersocket/SwaggerSocketClient"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { once } from "node:events"
import type * as Net from "node:net"
import { afterAll, assert, beforeAll, beforeEach, describe, it } from "vitest"
import type { Watch } from "./api.ts"
import type { Ends } from "./ends.ts"
import { isInstalled } from "./installed.ts"
import type { App } from "./servers.ts"
import { untilThere } from "./untilThere.ts"

const loaded = isInstalled
  ? { ...(await import("./api.ts")), ...(await import("./ends.ts")), ...(await import("./servers.ts")) }
  : undefined

const handlerOf = ({ node, web }: App) =>
  node === undefined ? ApiServer.fromWebHandler(web!) : NodeSwaggerSocket.fromNodeHandler(node)

/** Who serves, and the `fetch` of whoever calls. */
const directions = {
  "a device serves its hub": {
    layer: ({ device }: Ends) => ApiServer.layer.pipe(Layer.provide(Layer.succeed(SwaggerSocketClient, device.effect))),
    fetch: ({ connection }: Ends) => connection.fetch
  },
  "a hub serves a device": {
    layer: ({ connection }: Ends) => ApiServer.layerConnection(connection.effect),
    fetch: ({ device }: Ends) => device.fetch
  }
} as const

const bytes = new Uint8Array(300_000).map((_, at) => at)

/** What each app does, whatever it is reached by. */
const registerCalls = (
  watch: Watch,
  texts: ReadonlyArray<string>,
  called: () => (path: string, init?: RequestInit) => Promise<Response>
) => {
  it("answers JSON, and 404", async () => {
    const response = await called()("/hello", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name: "world" })
    })
    assert.deepStrictEqual([response.status, await response.json()], [200, { text: "hello world" }])
    const missing = await called()("/missing")
    await missing.arrayBuffer()
    assert.strictEqual(missing.status, 404)
  })

  it("streams events, each of which is there before the next one", async () => {
    const { body } = await called()("/events")
    const decoder = new TextDecoder()
    let text = ""
    for await (const part of body as unknown as AsyncIterable<Uint8Array>) {
      text += decoder.decode(part, { stream: true })
      for (const [, seen] of text.matchAll(/data: (?:data: )?(\w+)/g)) watch.saw(seen!)
    }
    assert.deepStrictEqual(Array.from(text.matchAll(/data: (?:data: )?(\w+)/g), ([, seen]) => seen), [...texts])
  })

  it("takes an upload", async () => {
    const headers = { "content-type": "application/octet-stream" }
    const response = await called()("/upload", { method: "PUT", headers, body: bytes })
    assert.deepStrictEqual(await response.json(), { size: bytes.length })
  })

  it("notices a caller that gives up", async () => {
    const controller = new AbortController()
    const call = called()("/wait", { signal: controller.signal }).then(() => "answered", () => "rejected")
    await untilThere(() => watch.waiting === 1)
    controller.abort()
    assert.strictEqual(await call, "rejected")
    await untilThere(() => watch.aborted === 1)
  })
}

if (loaded === undefined) it.skip("server frameworks: run `npm ci --prefix test/ecosystem` first", () => {})
else {
  const { join, leave, servers, texts, Watch } = loaded
  for (const [name, make] of Object.entries(servers)) {
    for (const [direction, { fetch: fetchOf, layer }] of Object.entries(directions)) {
      describe(`${name}: ${direction}`, () => {
        const watch = new Watch()
        const scope = Scope.makeUnsafe()
        let ends: Ends
        let app: App
        beforeAll(async () => {
          ends = await join()
          app = await make(watch)
          const served = Layer.provide(HttpServer.serve(handlerOf(app)), layer(ends))
          await Effect.runPromise(Layer.buildWithScope(served, scope))
        })
        afterAll(async () => {
          await Effect.runPromise(Scope.close(scope, Exit.void))
          await leave(ends)
          await app.close?.()
        })
        beforeEach(() => watch.reset())
        registerCalls(watch, texts, () => fetchOf(ends))
      })
    }
    describe(`${name}: a hub is attached to its server`, async () => {
      const watch = new Watch()
      const app = await make(watch)
      const { node } = app
      if (node === undefined) {
        it.skip("it has no server of its own", () => {})
        return
      }
      let origin = ""
      beforeAll(async () => {
        node.listen(0, "127.0.0.1")
        await once(node, "listening")
        origin = `http://127.0.0.1:${(node.address() as Net.AddressInfo).port}`
      })
      afterAll(async () => {
        node.closeAllConnections()
        node.close()
        await app.close?.()
      })
      beforeEach(() => watch.reset())
      it("devices connect, and the app goes on as it was", async () => {
        const hub = await listen({ server: node, path: "/socket" })
        const device = await connect(`${origin.replace("http", "ws")}/socket`)
        device.serve(() => new Response("from the device"))
        const connection = await hub.awaitConnection()
        assert.strictEqual(await (await connection.fetch("/")).text(), "from the device")
        const { status } = await fetch(`${origin}/missing`)
        assert.strictEqual(status, 404)
        await device.close({ drain: false })
        await hub.close({ drain: false })
      })
      registerCalls(watch, texts, () => (path, init) => fetch(`${origin}${path}`, init))
    })
  }
}
