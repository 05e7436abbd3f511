/**
 * Bodies of `fetch` and of handlers of the web: what is in memory stays there, and nothing is lost where the platform has
 * no streams in a `Request`.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Scheduler from "effect/Scheduler"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { gunzipSync, gzipSync } from "node:zlib"
import createClient from "openapi-fetch"

const quiet = { disableLogger: true, disableListenLog: true } as const

const pair = Effect.gen(function*() {
  const { client, server } = yield* SwaggerSocketTest.makePair()
  return {
    client,
    fetch: ApiClient.toFetch(client),
    serve: <E, R>(routes: Layer.Layer<never, E, R>) =>
      Layer.build(
        HttpRouter.serve(routes, quiet).pipe(Layer.provide(ApiServer.layerConnection(server))) as Layer.Layer<never>
      )
  }
})

const fetchOf = Effect.fnUntraced(function*<E, R>(routes: Layer.Layer<never, E, R>) {
  const { fetch, serve } = yield* pair
  yield* serve(routes)
  return fetch
})

const seen = HttpRouter.add(
  "*",
  "/seen",
  (request) =>
    Effect.map(request.text, (text) =>
      HttpServerResponse.jsonUnsafe({
        type: request.headers["content-type"]?.replace(/=-.*/, ""),
        length: request.headers["content-length"],
        text: text.includes("form-data") ? "a form" : text
      }))
)

const form = (): FormData => {
  const form = new FormData()
  form.set("a", "b")
  return form
}

const live = (): ReadableStream<Uint8Array> =>
  new Blob(["stream"]).stream().pipeThrough(new TransformStream<Uint8Array, Uint8Array>())

/** A `Request` like that of Firefox: without `body`, and a stream is taken for a text. */
const firefox = Effect.acquireRelease(
  Effect.sync(() => {
    const platform = globalThis.Request
    globalThis.Request = class extends platform {
      constructor(input: RequestInfo | URL, init?: RequestInit) {
        super(input, init?.body instanceof ReadableStream ? { ...init, body: String(init.body) } : init)
      }

      override get body(): never {
        return undefined as never
      }
    }
    return platform
  }),
  (platform) => Effect.sync(() => globalThis.Request = platform)
)

const kinds: Record<
  string,
  [make: () => BodyInit, type: string | undefined, length: number | undefined, text: string]
> = {
  "a text": [() => "é", "text/plain;charset=UTF-8", 2, "é"],
  "bytes": [() => new Uint8Array([97]), undefined, 1, "a"],
  "parameters": [() => new URLSearchParams({ a: "b" }), "application/x-www-form-urlencoded;charset=UTF-8", 3, "a=b"],
  "a Blob": [() => new Blob(["blob"], { type: "text/x" }), "text/x", 4, "blob"],
  "a form": [form, "multipart/form-data; boundary", undefined, "a form"],
  "a stream": [live, undefined, undefined, "stream"]
}

for (const [platform, environment] of [["Node", Effect.void], ["Firefox", firefox]] as const) {
  describe(`bodies of fetch, in ${platform}`, () => {
    for (const [kind, [make, type, length, text]] of Object.entries(kinds)) {
      it.effect(`${kind} as the body of a fetch arrives whole, with its type and its length`, () =>
        Effect.gen(function*() {
          yield* environment
          const fetch = yield* fetchOf(seen)
          const answer = yield* Effect.promise(async () =>
            (await fetch("/seen", { method: "POST", body: make() })).json()
          ) as Effect.Effect<{ type?: string; length?: string; text: string }>
          assert.strictEqual(answer.text, text)
          assert.strictEqual(answer.type, type)
          if (kind !== "a form") assert.strictEqual(answer.length, length?.toString())
        }))

      if (platform === "Firefox" && kind === "a stream") continue
      it.effect(`${kind} as the body of a Request arrives whole`, () =>
        Effect.gen(function*() {
          yield* environment
          const fetch = yield* fetchOf(seen)
          const request = new Request(
            "http://device/seen",
            { method: "POST", body: make(), duplex: "half" } as RequestInit
          )
          const answer = yield* Effect.promise(async () => (await fetch(request)).json()) as Effect.Effect<
            { type?: string; length?: string; text: string }
          >
          assert.strictEqual(answer.text, text)
          assert.strictEqual(answer.type, type)
          // Newer Nodes read a Blob in a later turn, and so send it as a stream.
          if (kind !== "a stream" && kind !== "a Blob") assert.isDefined(answer.length)
        }))
    }

    it.effect("a WHATWG handler reads a body that arrives in parts", () =>
      Effect.gen(function*() {
        const { fetch, serve } = yield* pair
        yield* environment
        yield* serve(HttpRouter.add(
          "*",
          "/*",
          HttpEffect.fromWebHandler(async (request) => {
            switch (new URL(request.url).pathname) {
              case "/text":
                return new Response(await request.text())
              case "/clone":
                return new Response(await request.clone().text() + await request.text())
              case "/body":
                return new Response(request.body)
              case "/copy":
                return new Response(await new Request(request).text())
              default:
                return new Response(await request.formData().then((form) => form.get("a")))
            }
          })
        ))
        const send = (path: string, body: () => BodyInit = live) =>
          Effect.promise(() =>
            fetch(path, { method: "POST", body: body() }).then(async (response) =>
              `${response.status} ${await response.text()}`
            )
          )
        assert.strictEqual(yield* send("/text"), "200 stream")
        assert.strictEqual(yield* send("/clone"), "200 streamstream")
        assert.strictEqual(yield* send("/body"), "200 stream")
        assert.strictEqual(yield* send("/form", form), "200 b")
        // Whoever copies it is told that there is nothing to copy, or has it.
        assert.strictEqual(yield* send("/copy"), platform === "Node" ? "200 stream" : "500 ")
      }))
  })
}

describe("Request with a slow body", () => {
  it.effect("a Request's body is sent part by part as it is produced", () =>
    Effect.gen(function*() {
      const fetch = yield* fetchOf(
        HttpRouter.add("POST", "/echo", (request) => Effect.succeed(HttpServerResponse.stream(request.stream)))
      )
      let controller!: ReadableStreamDefaultController<Uint8Array>
      const body = new ReadableStream<Uint8Array>({ start: (given) => void (controller = given) })
      controller.enqueue(new TextEncoder().encode("one "))
      const answer = yield* Effect.promise(async () => {
        const response = await fetch(
          new Request("http://device/echo", { method: "POST", body, duplex: "half" } as RequestInit)
        )
        const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
        const first = (await reader.read()).value
        // The answer has begun: the rest is sent now.
        controller.enqueue(new TextEncoder().encode("two"))
        controller.close()
        return [first, (await reader.read()).value]
      })
      assert.deepStrictEqual(answer, ["one ", "two"])
    }))
})

describe("fetch that was not processed", () => {
  const send = (call: (fetch: typeof globalThis.fetch) => Promise<Response>) =>
    Effect.gen(function*() {
      const { client, fetch, serve } = yield* pair
      // Nothing is served yet, which the peer says.
      const answer = call(fetch).then((response) => response.text(), (error: unknown) => error)
      yield* Effect.repeat(Effect.andThen(Effect.promise(() => new Promise(setImmediate)), client.statistics), {
        until: ({ resetsReceived }) => resetsReceived > 0
      })
      yield* serve(seen)
      yield* TestClock.adjust("10 seconds")
      return yield* Effect.promise(() => answer)
    })

  for (const [kind, [make]] of Object.entries(kinds)) {
    it.effect(`a fetch that was not processed ${kind === "a stream" ? "rejects" : "is repeated"} with ${kind}`, () =>
      Effect.gen(function*() {
        const answer = yield* send((fetch) => fetch("/seen", { method: "POST", body: make() }))
        if (kind === "a stream") assert.instanceOf(answer, TypeError)
        else assert.include(answer as string, "text")
      }))
  }

  it.effect("a fetch that was certainly not processed is repeated for a generated client", () =>
    Effect.gen(function*() {
      const answer = yield* send(async (fetch) => {
        const client = createClient<any>({ baseUrl: "http://device", fetch })
        return (await client.POST("/seen", { body: { a: 1 }, parseAs: "stream" })).response.clone()
      })
      assert.include(String(answer), "text")
    }))
})

describe("responses of fetch", () => {
  it.effect("two cookies of one name stay two in a response", () =>
    Effect.gen(function*() {
      const cookies = ["a=1; Path=/x", "a=2; Path=/y"]
      const fetch = yield* fetchOf(HttpRouter.add(
        "GET",
        "/cookies",
        Effect.sync(() =>
          HttpServerResponse.raw(
            new Response("", { headers: cookies.map((cookie): [string, string] => ["set-cookie", cookie]) })
          ).pipe(HttpServerResponse.setCookieUnsafe("b", "3"))
        )
      ))
      const response = yield* Effect.promise(() => fetch("/cookies"))
      assert.deepStrictEqual(response.headers.getSetCookie(), [...cookies, "b=3"])
    }))

  it.effect("a response drops content-encoding once its body is decoded, and keeps an unknown coding as it is", () =>
    Effect.gen(function*() {
      const bytes = gzipSync("text")
      const answer = (coding: string) =>
        HttpServerResponse.uint8Array(bytes, { headers: { "content-encoding": coding } })
      const fetch = yield* fetchOf(Layer.mergeAll(
        HttpRouter.add("GET", "/gzip", Effect.succeed(answer("GZip"))),
        HttpRouter.add("GET", "/other", Effect.succeed(answer("x-other")))
      ))
      const gzip = yield* Effect.promise(() => fetch("/gzip"))
      assert.deepStrictEqual([gzip.headers.get("content-encoding"), gzip.headers.get("content-length")], [null, null])
      assert.strictEqual(yield* Effect.promise(() => gzip.text()), "text")
      const other = yield* Effect.promise(() => fetch("/other"))
      assert.strictEqual(other.headers.get("content-encoding"), "x-other")
      assert.strictEqual(gunzipSync(yield* Effect.promise(() => other.arrayBuffer())).toString(), "text")
    }))

  it.effect("a response with more than five content codings rejects with a TypeError, and its body is not decoded", () =>
    Effect.gen(function*() {
      // A field of 16 KiB names 2,700 codings. Each takes a decoder of its own: an answer of one letter took two minutes.
      const encoded = (times: number) => {
        let bytes: Uint8Array = Buffer.from("x")
        for (let count = 0; count < times; count++) bytes = gzipSync(bytes)
        const codings = Array.from({ length: times }, () => "gzip").join()
        return HttpServerResponse.uint8Array(bytes, { headers: { "content-encoding": codings } })
      }
      const cancelled = yield* Deferred.make<void>()
      const large = HttpServerResponse.stream(
        Stream.concat(Stream.make(new Uint8Array(1)), Stream.never).pipe(
          Stream.ensuring(Deferred.succeed(cancelled, undefined))
        ),
        { headers: { "content-encoding": "gzip,".repeat(2700) } }
      )
      const fetch = yield* fetchOf(Layer.mergeAll(
        HttpRouter.add("GET", "/five", Effect.succeed(encoded(5))),
        HttpRouter.add("GET", "/six", Effect.succeed(encoded(6))),
        HttpRouter.add("GET", "/thousands", Effect.succeed(large))
      ))
      assert.strictEqual(yield* Effect.promise(() => fetch("/five").then((response) => response.text())), "x")
      for (const path of ["/six", "/thousands"]) {
        const error = yield* Effect.promise(() => fetch(path).catch((error: unknown) => error))
        assert.instanceOf(error, TypeError, path)
        assert.include(String((error as TypeError).cause), "content codings")
      }
      yield* Deferred.await(cancelled)
    }))

  it.effect("a response whose gzip body breaks off or is not gzip rejects with a TypeError", () =>
    Effect.gen(function*() {
      const encoding = { headers: { "content-encoding": "gzip" } }
      const fetch = yield* fetchOf(Layer.mergeAll(
        HttpRouter.add("GET", "/none", Effect.succeed(HttpServerResponse.text("plain", encoding))),
        HttpRouter.add(
          "GET",
          "/breaks",
          Effect.succeed(HttpServerResponse.stream(
            Stream.concat(Stream.make(gzipSync("text").subarray(0, 12)), Stream.die("broken")),
            encoding
          ))
        )
      ))
      for (const path of ["/none", "/breaks"]) {
        const error = yield* Effect.promise(() =>
          // The failure may come with the head.
          fetch(path).then((response) => response.text()).catch((error: unknown) => error)
        )
        assert.instanceOf(error, TypeError, path)
      }
    }))

  for (
    const [how, leave] of [
      ["the body is cancelled", (response: Response) => response.body!.cancel()],
      ["a reader is cancelled that waits", (response: Response) => {
        const reader = response.body!.getReader()
        void reader.read()
        void reader.read()
        return reader.cancel()
      }]
    ] as const
  ) {
    it.effect(`the handler is interrupted when ${how}`, () =>
      Effect.gen(function*() {
        const interrupted = yield* Deferred.make<void>()
        const fetch = yield* fetchOf(HttpRouter.add(
          "GET",
          "/open",
          Effect.succeed(HttpServerResponse.stream(
            Stream.concat(Stream.make(new Uint8Array(1)), Stream.never).pipe(
              Stream.ensuring(Deferred.succeed(interrupted, undefined))
            )
          ))
        ))
        const response = yield* Effect.promise(() => fetch("/open"))
        yield* Effect.promise(() => leave(response))
        yield* Deferred.await(interrupted)
      }))
  }

  for (const budget of [4, 5, 8, 11, 20, 33]) {
    it.effect(`bodies of fetch flow both ways where fibers yield every ${budget} steps`, () =>
      Effect.gen(function*() {
        const { client, serve } = yield* pair
        yield* serve(
          HttpRouter.add("POST", "/echo", (request) => Effect.succeed(HttpServerResponse.stream(request.stream)))
        )
        const fetch = ApiClient.toFetch(client, Context.make(Scheduler.MaxOpsBeforeYield, budget))
        const size = 1000
        let left = 500
        const body = new ReadableStream<Uint8Array>({
          pull(controller) {
            if (left-- > 0) controller.enqueue(new Uint8Array(size))
            else controller.close()
          }
        })
        const received = yield* Effect.promise(async () => {
          const response = await fetch("/echo", { method: "POST", body })
          let bytes = 0
          for await (const part of response.body as unknown as AsyncIterable<Uint8Array>) bytes += part.length
          return bytes
        })
        assert.strictEqual(received, 500 * size)
      }).pipe(Effect.provideService(Scheduler.MaxOpsBeforeYield, budget)))
  }

  it.effect("a handler is interrupted when its fetch is aborted after the response's head", () =>
    Effect.gen(function*() {
      const interrupted = yield* Deferred.make<void>()
      const fetch = yield* fetchOf(HttpRouter.add(
        "GET",
        "/open",
        Effect.map(
          HttpServerRequest.HttpServerRequest,
          () => HttpServerResponse.stream(Stream.never.pipe(Stream.ensuring(Deferred.succeed(interrupted, undefined))))
        )
      ))
      const controller = new AbortController()
      const response = yield* Effect.promise(() => fetch("/open", { signal: controller.signal }))
      controller.abort()
      yield* Deferred.await(interrupted)
      assert.isFalse(response.bodyUsed)
    }))
})
