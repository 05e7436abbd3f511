/**
 * What becomes of the requests of pages whose service worker has a connection. The events are made by the test;
 * `serviceWorkerInBrowsers.test.ts` has those of browsers.
 */
import { assert, describe, it } from "@effect/vitest"
import type { ServiceWorkerOptions } from "effect-swaggersocket/browser"
import { type ListenOptions, Refusal } from "effect-swaggersocket/promise"
import * as Effect from "effect/Effect"
import { deferred, listening, proxying, recorder } from "../promise/ends.ts"
import { install } from "./serviceWorkerGlobal.ts"

/** Answers with how the request came, which one it was, and its body. */
const teller = (way: string) => {
  let count = 0
  return async (request: Request): Promise<Response> =>
    new Response(`${way} ${++count} ${request.method} ${await request.text()}`)
}

/** A hub that serves connections and plain HTTP, and a service worker of its pages. */
const start = async (
  { hub: hubOptions, worker }: { hub?: ListenOptions; worker?: Partial<ServiceWorkerOptions> } = {}
) => {
  const { layer, lines } = recorder()
  const hub = await listening({ http: teller("network"), ...hubOptions })
  const origin = hub.url.replace(/^ws/, "http").replace(/\/$/, "")
  const { ask, close, dispatch, reconnect } = install({
    url: hub.url,
    layer,
    match: ({ url }) => new URL(url).pathname !== "/other",
    ...worker
  })
  return {
    hub,
    lines,
    origin,
    close,
    dispatch,
    reconnect,
    ask: (path: string, init?: RequestInit) => ask(origin + path, init)
  }
}

const post = (body: BodyInit): RequestInit => ({ method: "POST", body, duplex: "half" } as RequestInit)

const problem = async (response: Response) => {
  assert.strictEqual(response.headers.get("content-type"), "application/problem+json")
  const { outcome, status } = await response.json() as { outcome: string; status: number }
  assert.strictEqual(status, response.status)
  return [status, outcome]
}

/** A body whose parts are written by the test. */
const writable = () => {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
  const writer = writable.getWriter()
  const encoder = new TextEncoder()
  return { readable, write: (text: string) => writer.write(encoder.encode(text)), end: () => writer.close() }
}

describe("requests of pages whose service worker has a connection", () => {
  it("those that match go over it, and the browser keeps the others", async () => {
    const { ask, dispatch, hub, origin } = await start()
    hub.serve(teller("connection"))
    assert.strictEqual(await (await ask("/a")).text(), "connection 1 GET ")
    assert.strictEqual(await (await ask("/a", post("of the page"))).text(), "connection 2 POST of the page")
    assert.isUndefined(dispatch(new Request(`${origin}/other`)).response)
    assert.isUndefined(dispatch(new Request(`${origin}/a`, { mode: "same-origin", cache: "only-if-cached" })).response)
    assert.strictEqual(hub.connections.length, 1)
  })

  it("have the path, the fields, the status and the fields of the answer", async () => {
    const { ask, hub } = await start()
    hub.serve((request) => {
      const { pathname, search } = new URL(request.url)
      return Response.json([pathname, search, request.headers.get("range")], { status: 206, headers: { "x-two": "2" } })
    })
    const response = await ask("/a/b?c=d", { headers: { range: "bytes=0-1" } })
    assert.deepStrictEqual([response.status, response.headers.get("x-two")], [206, "2"])
    assert.deepStrictEqual(await response.json(), ["/a/b", "?c=d", "bytes=0-1"])
  })

  it("that have no body in their answer are over with its head", async () => {
    const { dispatch, hub, origin } = await start()
    hub.serve(({ method }) =>
      new Response(method === "HEAD" ? "not sent" : null, { status: method === "HEAD" ? 200 : 204 })
    )
    for (const method of ["HEAD", "DELETE"]) {
      const { ended, response } = dispatch(new Request(origin, { method }))
      assert.isNull((await response)!.body, method)
      await ended
    }
  })

  it("a redirect is the browser's to follow, with a whole address", async () => {
    const { ask, hub } = await start()
    hub.serve(() => new Response(null, { status: 302, headers: { location: "../b?c" } }))
    const response = await ask("/a/a")
    const location = response.headers.get("location")
    assert.deepStrictEqual([response.status, new URL(location!).pathname + new URL(location!).search], [302, "/b?c"])
  })

  it("the log names an address whose answers set cookies, once", async () => {
    const { ask, hub, lines } = await start()
    hub.serve(() => new Response("fine", { headers: { "set-cookie": "a=1" } }))
    for (let i = 0; i < 2; i++) assert.strictEqual(await (await ask("/login?x")).text(), "fine")
    const told = lines.filter((line) => line.includes("sets cookies"))
    assert.strictEqual(told.length, 1)
    assert.match(told[0]!, /^Warn the answer of \/login sets cookies, .* leave this address out of `match`$/)
  })

  it("a body that is written slowly arrives part by part, and so does the answer", async () => {
    const { dispatch, hub, origin } = await start()
    hub.serve((request) => new Response(request.body))
    const { end, readable, write } = writable()
    const { ended, response } = dispatch(new Request(origin, post(readable)))
    void write("first")
    const reader = (await response)!.body!.pipeThrough(new TextDecoderStream()).getReader()
    assert.strictEqual((await reader.read()).value, "first")
    let isOver = false
    void ended!.then(() => {
      isOver = true
    })
    void write("second")
    assert.strictEqual((await reader.read()).value, "second")
    assert.isFalse(isOver)
    await end()
    assert.isTrue((await reader.read()).done)
    await ended
  })

  it("a body larger than what is kept arrives whole", async () => {
    const { ask, hub } = await start({ worker: { maxKeptBody: 1000 } })
    hub.serve(async (request) => new Response(String((await request.arrayBuffer()).byteLength)))
    assert.strictEqual(await (await ask("/", post(new Uint8Array(3_000_000)))).text(), "3000000")
  })

  for (const when of ["before the answer", "in the middle of the answer"]) {
    it(`a page that gives up ${when} interrupts the handler`, async () => {
      const { dispatch, hub, origin } = await start()
      const begun = deferred()
      const gaveUp = deferred()
      hub.serve((request) => {
        request.signal.addEventListener("abort", () => gaveUp.resolve())
        begun.resolve()
        if (when === "before the answer") return new Promise<Response>(() => {})
        return new Response(new ReadableStream({ cancel: () => gaveUp.resolve() }))
      })
      const controller = new AbortController()
      const { ended, response } = dispatch(new Request(origin, { signal: controller.signal }))
      if (when === "before the answer") {
        await begun.promise
        controller.abort()
        assert.strictEqual((await response)!.type, "error")
      } else await (await response)!.body!.cancel()
      await gaveUp.promise
      await ended
    })
  }

  it("a body that breaks on the hub breaks in the page", async () => {
    const { dispatch, hub, origin } = await start()
    hub.serve(() =>
      new Response(
        new ReadableStream({
          pull(controller) {
            controller.enqueue(new Uint8Array(1))
            controller.error(new Error("out of paper"))
          }
        })
      )
    )
    const { ended, response } = dispatch(new Request(origin))
    const error = await (await response)!.text().then(() => undefined, (error: unknown) => error)
    assert.instanceOf(error, TypeError)
    await ended
  })
})

describe("an EventSource of a page whose service worker has a connection", () => {
  for (const cache of ["no-store", "default"] as const) {
    const isEventSource = cache === "no-store"
    const gets = isEventSource
      ? "gets an end of events that break, so that it connects again"
      : "is no script, which gets the failure"
    it(gets, async () => {
      const { dispatch, hub, origin } = await start()
      hub.serve(() => new Response(writable().readable, { headers: { "content-type": "text/event-stream" } }))
      const request = new Request(origin, { headers: { accept: "text/event-stream" }, cache })
      const { ended, response } = dispatch(request)
      const { body } = (await response)!
      const reading = body!.getReader().read().then(({ done }) => done, (error: Error) => error.name)
      void hub.connections[0]!.close({ drain: false })
      assert.strictEqual(await reading, isEventSource ? true : "TypeError")
      await ended
    })
  }
})

describe("the network", () => {
  it("has the requests while the hub takes no WebSockets", async () => {
    const { ask, hub } = await start({ worker: { url: "ws://127.0.0.1:9/", timeout: "10 minutes" } })
    hub.serve(teller("connection"))
    assert.strictEqual(await (await ask("/a")).text(), "network 1 GET ")
    assert.strictEqual(await (await ask("/a", post("of the page"))).text(), "network 2 POST of the page")
    assert.strictEqual(
      await (await ask("/a", post(new Uint8Array(2_000_000)))).text().then((text) => text.length),
      2_000_015
    )
  })

  it("has the requests while an attempt takes long that follows one which has failed", async () => {
    const second = deferred()
    let attempts = 0
    const { ask } = await start({
      worker: {
        url: () => {
          if (++attempts === 1) return "ws://127.0.0.1:9/"
          second.resolve()
          return new Promise<string>(() => {})
        },
        limits: { handshakeTimeout: "10 minutes" },
        timeout: "10 minutes"
      }
    })
    assert.strictEqual(await (await ask("/a")).text(), "network 1 GET ")
    await second.promise
    assert.strictEqual(await (await ask("/a")).text(), "network 2 GET ")
  })

  it("has a request that the hub did not process, with its body, at once", async () => {
    const { ask, hub } = await start()
    assert.strictEqual(await (await ask("/a", post("of the page"))).text(), "network 1 POST of the page")
    // The hub was not asked again.
    const { streamsAccepted } = await Effect.runPromise(hub.connections[0]!.effect.statistics)
    assert.strictEqual(streamsAccepted, 1)
  })

  it("has no request that the hub did not process whose body was not kept", async () => {
    const { ask, hub } = await start({ worker: { maxKeptBody: 1000 } })
    assert.deepStrictEqual(await problem(await ask("/a", post(new Uint8Array(1001)))), [503, "not-processed"])
    assert.strictEqual(hub.connections.length, 1)
    assert.strictEqual(await (await ask("/a", post("kept"))).text(), "network 1 POST kept")
  })

  it("has no request that may have been executed, whatever its method", async () => {
    let executed = 0
    /** What a page gets whose connection closes when the handler has begun. */
    const lost = async (init: RequestInit, destination = "") => {
      const { dispatch, hub, origin } = await start()
      hub.serve((_request, connection) => {
        executed++
        void connection.close({ drain: false })
        return new Promise<Response>(() => {})
      })
      const request = Object.defineProperty(new Request(origin, init), "destination", { value: destination })
      const { ended, response } = dispatch(request)
      await ended
      return (await response)!
    }
    assert.deepStrictEqual(await problem(await lost(post("of the page"))), [502, "unknown"])
    assert.deepStrictEqual(await problem(await lost({})), [502, "unknown"])
    const events = await lost({ headers: { accept: "text/event-stream" }, cache: "no-store" })
    assert.deepStrictEqual([events.status, events.headers.get("content-type"), await events.text()], [
      200,
      "text/event-stream",
      ""
    ])
    assert.strictEqual((await lost({}, "image")).type, "error")
    assert.strictEqual(executed, 4)
  })

  it("has the requests while the link is lost, and the connection has them again when it is resumed", async () => {
    const hub = await listening({ http: teller("network") })
    hub.serve(teller("connection"))
    const proxy = await proxying(hub.url)
    const { layer } = recorder()
    const { ask } = install({ url: proxy.url, layer, match: () => true })
    const origin = hub.url.replace(/^ws/, "http")
    assert.strictEqual(await (await ask(origin)).text(), "connection 1 GET ")
    const [connection] = hub.connections
    await Effect.runPromise(Effect.andThen(proxy.refuse(true), proxy.cut()))
    // The worker knows of its loss.
    await Effect.runPromise(proxy.until(() => proxy.refused > 0))
    assert.strictEqual(await (await ask(origin)).text(), "network 1 GET ")
    await Effect.runPromise(proxy.refuse(false))
    await new Promise<void>((resolve) => connection!.on("status", (status) => status === "open" && resolve()))
    assert.strictEqual(await (await ask(origin)).text(), "connection 2 GET ")
  })

  it("has no request without `fallback`: it waits for a connection, and fails when the time is up", async () => {
    const { ask, hub } = await start({ worker: { fallback: false, timeout: 50, url: "ws://127.0.0.1:9/" } })
    hub.serve(teller("connection"))
    assert.deepStrictEqual(await problem(await ask("/a")), [503, "not-sent"])
  })

  it("is not needed without `fallback` where the connection comes at the second attempt", async () => {
    let attempts = 0
    const { ask, hub } = await start({ worker: { fallback: false } })
    hub.serve(teller("connection"))
    const second = await start({
      worker: { fallback: false, url: () => ++attempts === 1 ? "ws://127.0.0.1:9/" : hub.url }
    })
    assert.strictEqual(await (await second.ask("/a")).text(), "connection 1 GET ")
    assert.strictEqual(await (await ask("/a")).text(), "connection 2 GET ")
  })
})

describe("the connection of a service worker", () => {
  it("closes when no request has come for a while, and the next one dials anew", async () => {
    const { ask, hub } = await start({ worker: { idleTimeout: 20 } })
    hub.serve(teller("connection"))
    assert.strictEqual(await (await ask("/a")).text(), "connection 1 GET ")
    const [first] = hub.connections
    const closed = await first!.closed
    assert.deepStrictEqual([closed._tag, closed._tag === "Closed" && closed.initiator], ["Closed", "remote"])
    assert.strictEqual(await (await ask("/a")).text(), "connection 2 GET ")
  })

  it("stays while an answer is read", async () => {
    const { dispatch, hub, origin } = await start({ worker: { idleTimeout: 0 } })
    const { end, readable, write } = writable()
    hub.serve(({ url }) => new Response(url.endsWith("/long") ? readable : "short"))
    const long = dispatch(new Request(`${origin}/long`))
    const reader = (await long.response)!.body!.pipeThrough(new TextDecoderStream()).getReader()
    const [connection] = hub.connections
    for (const text of ["one", "two"]) {
      void write(text)
      assert.strictEqual((await reader.read()).value, text)
      const short = dispatch(new Request(`${origin}/short`))
      assert.strictEqual(await (await short.response)!.text(), "short")
      await short.ended
      assert.deepStrictEqual(hub.connections.map(({ id }) => id), [connection!.id])
      assert.strictEqual(connection!.status, "open")
    }
    void end()
    assert.isTrue((await reader.read()).done)
    await long.ended
    await connection!.closed
  })

  it("that was refused for good is dialled again by `reconnect`", async () => {
    let isKnown = false
    const { ask, hub, reconnect } = await start({
      hub: {
        authenticate: () => {
          if (!isKnown) throw new Refusal({ code: "UNAUTHENTICATED", reason: "log in" })
        }
      }
    })
    hub.serve(teller("connection"))
    assert.strictEqual(await (await ask("/a")).text(), "network 1 GET ")
    isKnown = true
    assert.strictEqual(await (await ask("/a")).text(), "network 2 GET ")
    await reconnect()
    assert.strictEqual(await (await ask("/a")).text(), "connection 1 GET ")
  })

  it("`close` gives the requests back to the browser, and closes it", async () => {
    const { ask, close, dispatch, hub, origin } = await start()
    hub.serve(teller("connection"))
    assert.strictEqual(await (await ask("/a")).text(), "connection 1 GET ")
    const [connection] = hub.connections
    await close()
    await connection!.closed
    assert.isUndefined(dispatch(new Request(origin)).response)
  })

  it("options that are none are told at once", () => {
    const options = { url: "ws://127.0.0.1:9/", match: () => true }
    assert.throws(() => install({ ...options, match: undefined as never }), TypeError, /match: expected a function/)
    assert.throws(() => install({ ...options, url: "ftp://127.0.0.1/" }), TypeError, /ws/)
    assert.throws(() => install({ ...options, maxKeptBody: -1 }), RangeError, /maxKeptBody: expected a number of bytes/)
    assert.throws(() => install({ ...options, timeout: "soon" as never }), /soon/)
    assert.throws(() => install({ ...options, limits: { maxFrameSize: -1 } }), RangeError, /Limits: maxFrameSize/)
  })

  it("anything but a service worker is told at once", async () => {
    const { serviceWorker } = await import("effect-swaggersocket/browser")
    assert.throws(
      () => serviceWorker({ url: "ws://127.0.0.1:9/", match: () => true }),
      TypeError,
      /runs in the script of a service worker/
    )
  })
})
