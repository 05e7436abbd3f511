/**
 * Calls of the way in without Effect, in both directions.
 */
import { assert, describe, it } from "@effect/vitest"
import { failureOf, type Handler, outcomeOf } from "effect-swaggersocket/promise"
import { isSwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
import * as Effect from "effect/Effect"
import { connecting, deferred, join, listening, recorder } from "./ends.ts"

/** Serves on one end of a connection; gives the `fetch` of the other end, and the log of the one that serves. */
const directions: Readonly<
  Record<string, (handler: Handler) => Promise<{ fetch: typeof fetch; lines: Array<string> }>>
> = {
  "of the hub to a client": async (handler) => {
    const { layer, lines } = recorder()
    const { client, connection } = await join({ client: { layer } })
    client.serve(handler)
    return { fetch: connection.fetch, lines }
  },
  "of a client to the hub": async (handler) => {
    const { layer, lines } = recorder()
    const { client, hub } = await join({ hub: { layer } })
    hub.serve(handler)
    return { fetch: client.fetch, lines }
  },
  "of a client to its connection": async (handler) => {
    const { layer, lines } = recorder()
    const { client, connection } = await join({ hub: { layer } })
    connection.serve(handler)
    return { fetch: client.fetch, lines }
  }
}

const rejection = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then((value) => assert.fail(`resolved with ${String(value)}`), (error: unknown) => error)

for (const [direction, start] of Object.entries(directions)) {
  describe(`calls ${direction}`, () => {
    it("have method, path, query, fields, body and status", async () => {
      const { fetch } = await start(async (request) => {
        const { pathname, search } = new URL(request.url)
        return Response.json(
          [request.method, pathname, search, request.headers.get("x-one"), await request.text()],
          { status: 201, headers: { "x-two": "2" } }
        )
      })
      const response = await fetch("/a/b?c=d", { method: "POST", headers: { "x-one": "1" }, body: "hello" })
      assert.strictEqual(response.status, 201)
      assert.strictEqual(response.headers.get("x-two"), "2")
      assert.deepStrictEqual(await response.json(), ["POST", "/a/b", "?c=d", "1", "hello"])
    })

    it("stream both ways at once", async () => {
      const { fetch } = await start((request) =>
        new Response(
          request.body!.pipeThrough(new TextDecoderStream()).pipeThrough(
            new TransformStream({ transform: (text, to) => to.enqueue(text.toUpperCase()) })
          ).pipeThrough(new TextEncoderStream())
        )
      )
      const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
      const writer = writable.getWriter()
      const answering = fetch("/", { method: "POST", body: readable, duplex: "half" } as RequestInit)
      const encoder = new TextEncoder()
      void writer.write(encoder.encode("first"))
      const reader = (await answering).body!.pipeThrough(new TextDecoderStream()).getReader()
      assert.strictEqual((await reader.read()).value, "FIRST")
      void writer.write(encoder.encode("second"))
      assert.strictEqual((await reader.read()).value, "SECOND")
      await writer.close()
      assert.isTrue((await reader.read()).done)
    })

    it("a signal that is aborted rejects with its reason, and the handler's signal is aborted", async () => {
      const begun = deferred()
      const gaveUp = deferred()
      const { fetch } = await start((request) => {
        request.signal.addEventListener("abort", () => gaveUp.resolve())
        begun.resolve()
        return new Promise<Response>(() => {})
      })
      const controller = new AbortController()
      const call = rejection(fetch("/", { signal: controller.signal }))
      await begun.promise
      const reason = new Error("no more")
      controller.abort(reason)
      assert.strictEqual(await call, reason)
      await gaveUp.promise
    })

    it("a handler that throws, rejects or answers nothing is logged, and its caller gets 500", async () => {
      const { fetch, lines } = await start((request): Response | Promise<Response> => {
        const { pathname } = new URL(request.url)
        if (pathname === "/throws") throw new Error("boom at once")
        if (pathname === "/rejects") return Promise.reject(new Error("boom later"))
        if (pathname === "/error") return Response.error()
        return undefined as unknown as Response
      })
      for (
        const [path, said] of [
          ["/throws", "boom at once"],
          ["/rejects", "boom later"],
          ["/nothing", "the handler has answered undefined, and no Response"],
          ["/error", "invalid final status 0"]
        ] as const
      ) {
        lines.length = 0
        assert.strictEqual((await fetch(path)).status, 500, path)
        assert.strictEqual(lines.length, 1, path)
        assert.match(lines[0]!, /^Error a handler has failed/)
        assert.include(lines[0]!, said)
      }
    })

    it("a Response that was answered before is no empty one: its second caller gets 500, and the log says why", async () => {
      const kept = new Response("kept")
      const { fetch, lines } = await start(() => kept)
      assert.strictEqual(await (await fetch("/")).text(), "kept")
      assert.strictEqual((await fetch("/")).status, 500)
      assert.lengthOf(lines, 1)
      assert.include(lines[0]!, "whose body was read before: answer a clone of it")
    })

    it("a body that breaks makes its reader fail, and is logged", async () => {
      const { fetch, lines } = await start(() =>
        new Response(
          new ReadableStream({
            pull(controller) {
              controller.enqueue(new Uint8Array(1))
              controller.error(new Error("out of paper"))
            }
          }, { highWaterMark: 0 })
        )
      )
      const response = await fetch("/")
      assert.strictEqual(response.status, 200)
      const error = await rejection(response.text())
      assert.instanceOf(error, TypeError)
      const failure = failureOf(error)
      assert.strictEqual(failure?.reason._tag, "StreamReset")
      assert.lengthOf(lines, 1)
      assert.include(lines[0]!, "out of paper")
    })
  })
}

describe("serving", () => {
  it("what is served last answers, and a handler that is stopped finishes its requests", async () => {
    const { client, connection } = await join()
    const begun = deferred()
    const finish = deferred()
    client.serve(() => new Response("first"))
    const stop = client.serve(async () => {
      begun.resolve()
      await finish.promise
      return new Response("second")
    })
    const call = connection.fetch("/")
    await begun.promise
    const stopped = stop()
    assert.strictEqual(await (await connection.fetch("/")).text(), "first")
    finish.resolve()
    assert.strictEqual(await (await call).text(), "second")
    await stopped
    await stop()
  })

  it("a connection's own handler answers before that of the hub, which is told who calls", async () => {
    const { client, connection, hub } = await join({ client: { metadata: { name: "pump" } } })
    hub.serve((_, from) => Response.json([from === connection, from.metadata]))
    assert.deepStrictEqual(await (await client.fetch("/")).json(), [true, { name: "pump" }])
    const stop = connection.serve(() => new Response("own"))
    assert.strictEqual(await (await client.fetch("/")).text(), "own")
    await stop()
    assert.deepStrictEqual(await (await client.fetch("/")).json(), [true, { name: "pump" }])
  })

  it("a connection's own handler that is stopped leaves nothing behind, however long the connection lives", async () => {
    const { connection } = await join()
    let [begun, ended] = [0, 0]
    const counted = Effect.onExit(
      Effect.andThen(Effect.sync(() => begun++), Effect.never),
      () => Effect.sync(() => ended++)
    )
    Object.defineProperty(connection.effect, "closed", { value: counted })
    for (let times = 0; times < 3; times++) await connection.serve(() => new Response("own"))()
    assert.deepStrictEqual([begun, ended], [3, 3])
    Reflect.deleteProperty(connection.effect, "closed")
  })

  it("what is no handler is told at once", async () => {
    const { client, connection, hub } = await join()
    for (const end of [client, connection, hub]) {
      assert.throws(() => end.serve({ fetch: () => new Response() } as never), TypeError, "of an app give its `fetch`")
    }
  })

  it("a call to an end that serves nothing rejects as not processed", async () => {
    const { connection } = await join({ client: { limits: {} } })
    const error = await rejection(connection.fetch("/"))
    assert.instanceOf(error, TypeError)
    assert.strictEqual(outcomeOf(error), "not-processed")
    const failure = failureOf(error)
    assert.isTrue(isSwaggerSocketError(failure))
    assert.strictEqual(failure?.reason._tag === "StreamReset" && failure.reason.code, "NOT_SERVING")
  })

  it("ordinary HTTP is answered by its own handler, also on the path of the socket, and 404 without one", async () => {
    const hub = await listening({ http: (request) => new Response(new URL(request.url).pathname) })
    const url = hub.url.replace("ws:", "http:")
    for (const path of ["/", "/a/b"]) assert.strictEqual(await (await fetch(new URL(path, url))).text(), path)
    assert.strictEqual(await (await fetch(url, { method: "POST" })).text(), "/")
    const asking = await listening({
      authenticate: () => "pump",
      http: (_, hub) => hub.find(({ principal }) => principal === "pump")!.fetch("/temperature")
    })
    const pump = await connecting(asking.url)
    pump.serve(() => new Response("21 °C"))
    await asking.awaitConnection()
    assert.strictEqual(await (await fetch(asking.url.replace("ws:", "http:"))).text(), "21 °C")
    const bare = (await listening()).url.replace("ws:", "http:")
    assert.strictEqual((await fetch(`${bare}a`)).status, 404)
    assert.strictEqual((await fetch(bare)).status, 426)
  })
})
