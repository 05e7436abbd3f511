/**
 * `ApiClient.toFetch` beside the `fetch` of the platform: the same routes, the same calls, the same outcomes.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Stream from "effect/Stream"
import { createServer } from "node:http"
import { gzipSync } from "node:zlib"

type Fetch = typeof globalThis.fetch

const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text)

/** One answer for each request: what came. */
const seen = Effect.gen(function*() {
  const request = yield* HttpServerRequest.HttpServerRequest
  return HttpServerResponse.jsonUnsafe({
    method: request.method,
    type: request.headers["content-type"] ?? null,
    length: request.headers["content-length"] ?? null,
    authorization: request.headers["authorization"] ?? null,
    body: yield* request.text
  })
})

const redirect = (status: number, location: string) => HttpServerResponse.empty({ status, headers: { location } })

const routes = Layer.mergeAll(
  HttpRouter.add(
    "GET",
    "/open",
    Effect.succeed(HttpServerResponse.stream(Stream.concat(Stream.make(bytes("some")), Stream.never)))
  ),
  HttpRouter.add(
    "GET",
    "/breaks",
    Effect.succeed(HttpServerResponse.stream(Stream.concat(Stream.make(bytes("some")), Stream.die("broken"))))
  ),
  HttpRouter.add("GET", "/done", Effect.succeed(HttpServerResponse.stream(Stream.make(bytes("a"), bytes("b"))))),
  HttpRouter.add(
    "GET",
    "/cookies",
    Effect.succeed(HttpServerResponse.raw(
      new Response("cookies", { headers: [["set-cookie", "a=1; Path=/x"], ["set-cookie", "a=2; Path=/y"]] })
    ))
  ),
  HttpRouter.add(
    "GET",
    "/gzip",
    Effect.succeed(HttpServerResponse.uint8Array(gzipSync("squeezed ".repeat(1000)), {
      contentType: "text/plain",
      headers: { "content-encoding": "gzip" }
    }))
  ),
  HttpRouter.add("*", "/seen", seen),
  HttpRouter.add(
    "*",
    "/moved/:status",
    (request) => Effect.succeed(redirect(Number(/\d+/.exec(request.url)![0]), "/seen?again"))
  ),
  HttpRouter.add("*", "/round", Effect.succeed(redirect(302, "round"))),
  HttpRouter.add("*", "/away", Effect.succeed(redirect(302, "http://elsewhere.invalid/x"))),
  HttpRouter.add("*", "/nowhere", Effect.succeed(HttpServerResponse.empty({ status: 302 }))),
  HttpRouter.add("*", "/dots/*", (request) => Effect.succeed(HttpServerResponse.text(request.url))),
  HttpRouter.add("*", "/", (request) => Effect.succeed(HttpServerResponse.text(request.url))),
  HttpRouter.add(
    "GET",
    "/bare",
    Effect.succeed(
      HttpServerResponse.stream(Stream.make(bytes("x"))).pipe(
        HttpServerResponse.removeHeader("content-type")
      )
    )
  )
)

const quiet = { disableLogger: true, disableListenLog: true } as const

/** Both of them, and the URL that the routes have for either. */
const both = Effect.gen(function*() {
  const { client, server } = yield* SwaggerSocketTest.makePair()
  yield* Layer.build(
    HttpRouter.serve(routes, quiet).pipe(Layer.provide(ApiServer.layerConnection(server))) as Layer.Layer<never>
  )
  const context = yield* Layer.build(
    HttpRouter.serve(routes, quiet).pipe(
      Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1", gracefulShutdownTimeout: 0 }))
    )
  )
  const base = yield* Effect.map(
    HttpServer.HttpServer,
    ({ address }) => NetAddress.formatUrlUnsafe(address)
  ).pipe(Effect.provide(context))
  return { base, fetches: [["undici", globalThis.fetch], ["ours", ApiClient.toFetch(client)]] as const }
})

interface Outcome {
  readonly value?: unknown
  readonly error?: unknown
}

const outcomeOf = (run: () => Promise<unknown>): Promise<Outcome> =>
  Promise.resolve().then(run).then((value) => ({ value }), (error: unknown) => ({ error }))

/** Runs the same on both; answers the outcomes of undici and of ours. */
const compare = (run: (fetch: Fetch, base: string) => Promise<unknown>) =>
  Effect.gen(function*() {
    const { base, fetches } = yield* both
    const [theirs, ours] = yield* Effect.promise(() =>
      Promise.all(fetches.map(([, fetch]) => outcomeOf(() => run(fetch, base))))
    )
    return { theirs: theirs!, ours: ours! }
  })

const readers: Record<string, (response: Response) => Promise<unknown>> = {
  "text()": (response) => response.text(),
  "arrayBuffer()": (response) => response.arrayBuffer(),
  "json()": (response) => response.json(),
  "blob()": (response) => response.blob(),
  "for await": async (response) => {
    for await (const _ of response.body as unknown as AsyncIterable<Uint8Array>) { /* reads on */ }
  },
  "pipeTo": (response) => response.body!.pipeTo(new WritableStream()),
  "clone().text()": (response) => response.clone().text(),
  "text() of what was cloned": (response) => {
    response.clone()
    return response.text()
  },
  "a reader": async (response) => {
    const reader = response.body!.getReader()
    while (!(await reader.read()).done) { /* reads on */ }
  }
}

describe("fetch that is aborted after the response's head", () => {
  for (const [name, read] of Object.entries(readers)) {
    it.live(`${name} rejects with the signal's reason when the fetch is aborted meanwhile`, () =>
      Effect.gen(function*() {
        const reason = new Error("enough")
        const { ours, theirs } = yield* compare(async (fetch, base) => {
          const controller = new AbortController()
          const response = await fetch(`${base}/open`, { signal: controller.signal })
          const outcome = read(response)
          // The reader waits for more by then.
          setImmediate(() => controller.abort(reason))
          return outcome
        })
        assert.strictEqual(theirs.error, reason)
        assert.strictEqual(ours.error, reason)
      }))

    it.live(`${name} that begins after the abort rejects with the signal's reason`, () =>
      Effect.gen(function*() {
        const reason = new Error("enough")
        const { ours, theirs } = yield* compare(async (fetch, base) => {
          const controller = new AbortController()
          const response = await fetch(`${base}/open`, { signal: controller.signal })
          controller.abort(reason)
          return read(response)
        })
        // Undici has errors of its own for some of these.
        assert.instanceOf(theirs.error, Error)
        assert.strictEqual(ours.error, reason)
      }))
  }

  it.live("text() rejects with a TimeoutError when AbortSignal.timeout fires, as the platform's does", () =>
    Effect.gen(function*() {
      const { ours, theirs } = yield* compare(async (fetch, base) =>
        (await fetch(`${base}/open`, { signal: AbortSignal.timeout(100) })).text()
      )
      for (const { error } of [theirs, ours]) {
        assert.instanceOf(error, DOMException)
        assert.strictEqual((error as DOMException).name, "TimeoutError")
      }
    }))

  it.live("a Request's signal aborts a fetch unless the call has a signal of its own", () =>
    Effect.gen(function*() {
      const reason = new Error("enough")
      const { ours, theirs } = yield* compare(async (fetch, base) => {
        const controller = new AbortController()
        const request = new Request(`${base}/open`, { signal: controller.signal })
        const response = await fetch(request)
        controller.abort(reason)
        const other = await fetch(new Request(`${base}/done`, { signal: controller.signal }), { signal: null })
        assert.strictEqual(await other.text(), "ab")
        return response.text()
      })
      assert.instanceOf(theirs.error, Error)
      assert.strictEqual(ours.error, reason)
    }))

  it.live("an abort does not undo a body that was read to its end", () =>
    Effect.gen(function*() {
      const { ours, theirs } = yield* compare(async (fetch, base) => {
        const controller = new AbortController()
        const text = await (await fetch(`${base}/done`, { signal: controller.signal })).text()
        controller.abort()
        return text
      })
      assert.deepStrictEqual([theirs.value, ours.value], ["ab", "ab"])
    }))
})

describe("body that breaks", () => {
  for (const [name, read] of Object.entries(readers)) {
    it.live(`${name} of a body that breaks off rejects with a TypeError that keeps the cause`, () =>
      Effect.gen(function*() {
        const { ours, theirs } = yield* compare(async (fetch, base) => read(await fetch(`${base}/breaks`)))
        assert.instanceOf(theirs.error, TypeError)
        assert.instanceOf(ours.error, TypeError)
        assert.deepInclude((ours.error as TypeError).cause, { _tag: "HttpClientError" })
      }))
  }
})

describe("arguments and responses of fetch compared with the platform's", () => {
  const same = (title: string, run: (fetch: Fetch, base: string) => Promise<unknown>, expected?: unknown) =>
    it.live(title, () =>
      Effect.gen(function*() {
        const { ours, theirs } = yield* compare(run)
        if (theirs.error !== undefined) {
          assert.instanceOf(ours.error, TypeError, "the platform's rejects")
          return
        }
        assert.isUndefined(ours.error)
        assert.deepStrictEqual(ours.value, theirs.value)
        if (expected !== undefined) assert.deepStrictEqual(ours.value, expected)
      }))

  const post = (body: BodyInit) => async (fetch: Fetch, base: string) => {
    const response = await fetch(`${base}/seen`, { method: "POST", body })
    const { length: _, ...seen } = await response.json() as { type: string; length: unknown }
    return seen
  }
  same("fetch sends a text as the platform's fetch does", post("some text"))
  same("fetch sends bytes, which have no type, as the platform's fetch does", post(bytes("some bytes")))
  same(
    "fetch sends a view of a larger buffer as the platform's fetch does",
    post(new Uint8Array(bytes("no, these").buffer, 4))
  )
  same("fetch sends parameters of a URL as the platform's fetch does", post(new URLSearchParams({ a: "1", b: "é&" })))
  same("fetch sends a Blob with a type as the platform's fetch does", post(new Blob(["some"], { type: "text/x" })))
  same("fetch sends a Blob without a type as the platform's fetch does", post(new Blob(["some"])))
  same("fetch treats an object that is no body as the platform's fetch does", post({} as BodyInit))
  /** The answer has arrived whole by then. */
  const done = async (fetch: Fetch, base: string, init?: RequestInit) => fetch(`${base}/seen`, init)
  const isRejected = (promise: Promise<unknown>) =>
    promise.then(() => false, (cause: unknown) => cause instanceof TypeError)
  for (const read of ["text", "json", "arrayBuffer", "blob"] as const) {
    for (const again of ["text", "json", "arrayBuffer", "blob"] as const) {
      same(
        `an answer that has arrived whole, and was read by ${read}(), is not read by ${again}() once more`,
        async (fetch, base) => {
          const response = await done(fetch, base)
          const before = response.bodyUsed
          await response[read]()
          return [before, response.bodyUsed, await isRejected(response[again]())]
        },
        [false, true, true]
      )
    }
    same(`a clone of an answer that has arrived whole is read by ${read}(), as the answer is`, async (fetch, base) => {
      const response = await done(fetch, base)
      const copy = response.clone()
      const [own, other] = [await new Response(await response[read]() as BodyInit).text(), await copy.text()]
      return [read === "json" || own === other, response.bodyUsed, copy.bodyUsed]
    }, [true, true, true])
    same(
      `an answer that has arrived whole, and whose body has a reader, is not read by ${read}()`,
      async (fetch, base) => {
        const response = await done(fetch, base)
        response.body!.getReader()
        return isRejected(response[read]())
      },
      true
    )
  }
  same("an answer that was read can't be cloned", async (fetch, base) => {
    const response = await done(fetch, base)
    await response.text()
    try {
      response.clone()
    } catch (cause) {
      return cause instanceof TypeError
    }
    return false
  }, true)
  same(
    "the stream of an answer that has arrived whole gives it, and its text is none once more",
    async (fetch, base) => {
      const response = await done(fetch, base)
      const text = await new Response(response.body).text()
      return [JSON.parse(text), response.bodyUsed, await isRejected(response.text())]
    }
  )
  same("an answer that is no JSON rejects with a SyntaxError", async (fetch, base) => {
    const response = await fetch(`${base}/dots/a`)
    return response.json().then(() => false, (cause: unknown) => cause instanceof SyntaxError)
  }, true)
  for (
    const [kind, headers] of Object.entries<HeadersInit>({
      "an object": { Authorization: "some thing", "X-Other": "x" },
      "an object with two names of one field": { authorization: "a", Authorization: "b" },
      "an object with a value that has space around it": { authorization: " \tsome thing\t " },
      "an object with a number": { authorization: 5 as unknown as string },
      "an object with an empty value": { authorization: "" },
      "an object with a value beyond ASCII": { authorization: "é" },
      "an object with a value beyond Latin-1": { authorization: "č" },
      "an object with a line break in a value": { authorization: "a\r\nb: c" },
      "an object with an empty name": { "": "a" },
      "an object with a space in a name": { "a b": "a" },
      "an object without a prototype": Object.assign(Object.create(null), { authorization: "a" }),
      "an object with a field of objects": { constructor: "a" } as unknown as HeadersInit,
      "pairs": [["authorization", "a"], ["authorization", "b"]],
      "a Headers": new Headers({ authorization: "a" })
    })
  ) {
    same(`fields that are ${kind} are sent as the platform's fetch sends them`, async (fetch, base) => {
      const { authorization } = await (await fetch(`${base}/seen`, { headers })).json() as { authorization: string }
      return authorization
    })
  }
  same("a method that fetch forbids rejects", (fetch, base) => fetch(`${base}/seen`, { method: "TRACE" }))
  same("an empty method rejects", (fetch, base) => fetch(`${base}/seen`, { method: "" }))
  same("a URL with credentials rejects", (fetch, base) => fetch(`${base.replace("://", "://user:secret@")}/seen`))
  same(
    "an unknown redirect mode rejects",
    (fetch, base) => fetch(`${base}/seen`, { redirect: "never" as RequestRedirect })
  )
  same("a method in lower case is the same", async (fetch, base) => {
    const { method } = await (await fetch(`${base}/seen`, { method: "post", body: "x" })).json() as { method: string }
    return method
  }, "POST")
  for (const read of ["text", "json", "arrayBuffer", "blob"] as const) {
    it.live(`${read}() of an answer that has arrived whole rejects with the reason of a signal that was aborted since`, () =>
      Effect.gen(function*() {
        const reason = new Error("enough")
        const { ours } = yield* compare(async (fetch, base) => {
          const controller = new AbortController()
          const response = await done(fetch, base, { signal: controller.signal })
          controller.abort(reason)
          return response[read]()
        })
        assert.strictEqual(ours.error, reason)
      }))
  }
  same("text() of an answer whose body was cancelled rejects", async (fetch, base) => {
    const response = await fetch(`${base}/seen`)
    await response.body!.cancel()
    return response.text()
  })
  same(
    "a body that is not sent as the signal was aborted before is cancelled with the signal's reason",
    async (fetch, base) => {
      const reasons: Array<unknown> = []
      const body = new ReadableStream({ cancel: (reason) => void reasons.push(reason) })
      const init = { method: "POST", body, duplex: "half", signal: AbortSignal.abort("enough") }
      await fetch(`${base}/seen`, init as RequestInit).catch((reason: unknown) => reasons.push(reason))
      return reasons
    },
    ["enough", "enough"]
  )
  same("fetch sends the body of a Request", async (fetch, base) => {
    const response = await fetch(new Request(`${base}/seen`, { method: "POST", body: "of the request" }))
    return (await response.json() as { body: string }).body
  })
  same("fetch replaces the body of a Request by that of the call", async (fetch, base) => {
    const request = new Request(`${base}/seen`, { method: "POST", body: "of the request", headers: { "x-a": "b" } })
    return (await (await fetch(request, { method: "POST", body: "of the call" })).json() as { body: string }).body
  })
  same("fetch rejects a Request whose body was read before", async (fetch, base) => {
    const request = new Request(`${base}/seen`, { method: "POST", body: "x" })
    await request.text()
    return fetch(request)
  })
  same("fetch rejects a body with GET", (fetch, base) => fetch(`${base}/seen`, JSON.parse(`{"body":"x"}`)))
  same("fetch rejects a stream that is locked", (fetch, base) => {
    const body = new Blob(["x"]).stream()
    body.getReader()
    return fetch(`${base}/seen`, { method: "POST", body, duplex: "half" } as RequestInit)
  })

  for (const status of [301, 302, 303, 307, 308]) {
    for (const method of ["GET", "POST", "PUT", "HEAD"]) {
      same(`fetch follows a redirect ${status} after ${method} as the platform's fetch does`, async (fetch, base) => {
        const response = await fetch(`${base}/moved/${status}`, {
          method,
          headers: { authorization: "secret" },
          ...(method.startsWith("P") ? { body: "the body" } : undefined)
        })
        const { length: _, ...seen } = method === "HEAD" ? { length: 0 } : await response.json() as { length: unknown }
        return [response.status, response.url.replace(base, ""), response.redirected, seen]
      })
    }
  }
  same(
    "fetch does not send a stream again after a redirect",
    (fetch, base) =>
      fetch(`${base}/moved/307`, { method: "POST", body: new Blob(["x"]).stream(), duplex: "half" } as RequestInit)
  )
  same("fetch gives up a redirect to itself", (fetch, base) => fetch(`${base}/round`))
  same("fetch rejects a redirect to another host", (fetch, base) => fetch(`${base}/away`))
  same(
    "fetch returns a redirect without a location as the response",
    async (fetch, base) => (await fetch(`${base}/nowhere`)).status,
    302
  )
  same(
    "fetch with redirect: error rejects a redirect",
    (fetch, base) => fetch(`${base}/moved/302`, { redirect: "error" })
  )
  same("fetch with redirect: manual returns the redirect", async (fetch, base) => {
    const response = await fetch(`${base}/moved/302`, { redirect: "manual" })
    return [response.status, response.headers.get("location"), response.redirected]
  }, [302, "/seen?again", false])

  same("the URL of a response, and of its clone, has no fragment", async (fetch, base) => {
    const response = await fetch(`${base}/dots/a?b=c#d`)
    return [response.url.replace(base, ""), response.clone().url === response.url]
  })
  same("fetch resolves dot segments of a path as the platform's fetch does", async (fetch, base) => {
    const paths = [
      "/dots/a/../b",
      "/dots/./a",
      "/dots/%2e%2E/dots/x",
      "/dots/a/.",
      "/dots/.a/..b",
      "/../.",
      "/dots/a\\b"
    ]
    return Promise.all(paths.map(async (path) => (await fetch(base + path)).text()))
  }, ["/dots/b", "/dots/a", "/dots/x", "/dots/a/", "/dots/.a/..b", "/", "/dots/a/b"])
  same(
    "fetch decodes a gzip body",
    async (fetch, base) => (await fetch(`${base}/gzip`)).text(),
    "squeezed ".repeat(1000)
  )
  same(
    "a response without a content-type gets none",
    async (fetch, base) => (await fetch(`${base}/bare`)).headers.has("content-type")
  )
})
