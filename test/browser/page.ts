/**
 * Runs in a browser: a page that serves its hub and calls it, and reports what came of each case.
 */
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as ApiWebSocket from "effect-swaggersocket/ApiWebSocket"
import * as BrowserSwaggerSocket from "effect-swaggersocket/browser"
import * as Link from "effect-swaggersocket/Link"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Promises from "../../src/promise/browser.ts"
import { echo, expected, patternOf, talk } from "./messages.ts"

interface Result {
  readonly name: string
  /** Absent: the case has passed. */
  readonly error?: string
  readonly millis: number
}

export interface Report {
  readonly page: string
  readonly agent: string
  readonly results: ReadonlyArray<Result>
}

type Fetch = typeof globalThis.fetch

/** Browsers name what failed, and nothing holds a case up for longer. */
const patience = 20_000

const same = (actual: unknown, expected: unknown): void => {
  const [was, should] = [JSON.stringify(actual), JSON.stringify(expected)]
  if (was !== should) throw new Error(`expected ${should?.slice(0, 200)}, got ${was?.slice(0, 200)}`)
}

const bytesOf = async (body: Request | Response): Promise<ReadonlyArray<number>> => [
  ...new Uint8Array(await body.arrayBuffer())
]

const describeForm = async (form: FormData): Promise<string> => {
  const file = form.get("file") as File
  return `${String(form.get("name"))}, ${file.name}: ${await file.text()}`
}

/** What the page serves. */
const handler = async (request: Request): Promise<Response> => {
  switch (new URL(request.url).pathname) {
    case "/text":
      return new Response(await request.text())
    case "/bytes":
      return new Response((await bytesOf(request)).join())
    case "/form":
      return new Response(await describeForm(await request.formData()))
    case "/clone":
      return new Response(await request.clone().text() + await request.text())
    case "/cookie":
      return new Response(request.headers.get("cookie"))
    case "/body":
      return new Response(request.body)
    default:
      return new Response(null, { status: 404 })
  }
}

const app = Effect.flatMap(
  HttpServerRequest.HttpServerRequest,
  (request) =>
    request.url === "/messages"
      ? Effect.as(Effect.flatMap(request.upgrade, echo), HttpServerResponse.empty())
      : ApiServer.fromWebHandler(handler)
)

/** What the page is joined to, and how. */
type Far = "v1" | "v2" | "worker" | "promises"

const startWorker = (): Promise<Worker> =>
  new Promise((resolve, reject) => {
    const worker = new Worker("/worker.js", { type: "module" })
    worker.addEventListener("message", () => resolve(worker), { once: true })
    worker.addEventListener("error", ({ message }) => reject(new Error(message)), { once: true })
  })

const toWorker = SwaggerSocketClient.layer({
  link: Effect.flatMap(Effect.promise(startWorker), (worker) => {
    const { port1, port2 } = new MessageChannel()
    worker.postMessage(port2, [port2])
    return Link.fromMessagePort(port1)
  })
})

const connectByPromises = () => {
  const connecting = Promises.connect(`ws://${location.host}/socket`)
  return {
    fetch: async () => {
      const { fetch, serve } = await connecting
      serve(handler)
      return fetch
    },
    talk: (_cut: () => Promise<unknown>) => Promise.reject<never>(new Error("not tried with promises")),
    close: async () => await (await connecting).close()
  }
}

const connect = (far: Far) => {
  if (far === "promises") return connectByPromises()
  const client = far === "worker"
    ? toWorker
    : SwaggerSocketClient.layer({ url: `ws://${location.host}/socket`, wire: far }).pipe(
      Layer.provide(BrowserSwaggerSocket.layerWebSocketConstructor)
    )
  const runtime = ManagedRuntime.make(
    HttpServer.serve(app).pipe(
      Layer.provide(ApiServer.layer),
      Layer.merge(ApiClient.layer),
      Layer.provide(client)
    )
  )
  return {
    fetch: async () => ApiClient.toFetch(await runtime.runPromise(HttpClient.HttpClient)),
    talk: (cut: () => Promise<unknown>) =>
      runtime.runPromise(
        Effect.flatMap(ApiWebSocket.make("/messages"), (socket) => talk(socket, Effect.promise(cut)))
      ),
    close: () => runtime.dispose()
  }
}

// --- Cases ------------------------------------------------------------------------------------------------------------

type Talk = ReturnType<typeof connect>["talk"]

type Case = readonly [name: string, run: (fetch: Fetch, talk: Talk) => Promise<void>]

const calls = (wire: string): ReadonlyArray<Case> => [
  [`${wire}: the page calls the hub`, async (fetch) => {
    const answer = await fetch("/echo", { method: "POST", body: "é of the page" })
    same([answer.status, await answer.text()], [200, "é of the page"])
  }],
  [`${wire}: the hub calls the page`, async (fetch) => {
    same(await (await fetch("/push/text/text")).text(), "é of the hub")
  }]
]

const webSockets: ReadonlyArray<Case> = [
  ["a WebSocket of the page outlives its link", async (fetch, talk) => {
    same(await talk(() => fetch("/cut", { method: "POST" })), expected)
  }],
  ["a WebSocket of the hub outlives its link", async (fetch) => {
    same(await (await fetch("/talk", { method: "POST" })).json(), expected)
  }]
]

const form = (): FormData => {
  const form = new FormData()
  form.set("name", "pump 7")
  form.set("file", new Blob(["of a file"]), "a.txt")
  return form
}

const parts = (): ReadableStream<Uint8Array> => {
  const left = ["a ", "stream"]
  return new ReadableStream({
    pull(controller) {
      const part = left.shift()
      if (part === undefined) controller.close()
      else controller.enqueue(new TextEncoder().encode(part))
    }
  })
}

const kinds: Record<string, readonly [make: () => BodyInit, text: string, type: string]> = {
  "a text": [() => "é", "é", "text/plain;charset=UTF-8"],
  "bytes": [() => new TextEncoder().encode("bytes"), "bytes", "none"],
  "an ArrayBuffer": [() => new TextEncoder().encode("buffer").buffer, "buffer", "none"],
  "a Blob": [() => new Blob(["a blob"], { type: "text/x" }), "a blob", "text/x"],
  "parameters": [
    () => new URLSearchParams({ a: "b c" }),
    "a=b+c",
    "application/x-www-form-urlencoded;charset=UTF-8"
  ],
  "a stream": [parts, "a stream", "none"]
}

const post = (body: BodyInit): RequestInit => ({ method: "POST", body, duplex: "half" } as RequestInit)

const requests: ReadonlyArray<Case> = [
  ...Object.entries(kinds).flatMap(([kind, [make, text, type]]): Array<Case> => [
    [`fetch sends ${kind}`, async (fetch) => {
      const answer = await fetch("/echo", post(make()))
      same([await answer.text(), answer.headers.get("x-type")], [text, type])
    }],
    [`fetch sends a Request of ${kind}`, async (fetch) => {
      // Not every platform makes one of a stream: what its `Request` has is what arrives.
      const url = new URL("/echo", location.href)
      const [made, copy] = [new Request(url, post(make())), new Request(url, post(make()))]
      const wanted = [await copy.text(), copy.headers.get("content-type") ?? "none"]
      const answer = await fetch(made)
      same([await answer.text(), answer.headers.get("x-type")], wanted)
      if (kind !== "a stream") same(wanted, [text, type])
    }]
  ]),
  ["fetch sends a form", async (fetch) => {
    const answer = await fetch("/echo", post(form()))
    same(await describeForm(await answer.formData()), "pump 7, a.txt: of a file")
  }],
  ["fetch sends a Request of a form", async (fetch) => {
    const answer = await fetch(new Request(new URL("/echo", location.href), post(form())))
    same(await describeForm(await answer.formData()), "pump 7, a.txt: of a file")
  }]
]

const fields: ReadonlyArray<Case> = [
  ["fetch sends a cookie that it is given", async (fetch) => {
    const url = new URL("/cookie", location.href)
    same(await (await fetch(url, { headers: { cookie: "of=page" } })).text(), "of=page")
  }],
  ["an answer has the cookies that it sets", async (fetch) => {
    same((await fetch("/set-cookies")).headers.getSetCookie(), ["a=1", "b=2"])
  }],
  ["a handler is told the cookie that it was sent", async (fetch) => {
    same(await (await fetch("/push/text/cookie")).text(), "of=hub")
  }]
]

const readLarge = async (fetch: Fetch): Promise<void> => {
  const body = new Uint8Array(await (await fetch("/large")).arrayBuffer())
  same([body.length, body.every((byte) => byte === 7)], [4 * 1024 * 1024, true])
}

const answers: ReadonlyArray<Case> = [
  ["an answer is read as text, JSON, bytes, a Blob, and by its clone", async (fetch) => {
    const ask = () => fetch("/echo", post(`{"a":1}`))
    same(await (await ask()).text(), `{"a":1}`)
    same(await (await ask()).json(), { a: 1 })
    same(await bytesOf(await ask()), [123, 34, 97, 34, 58, 49, 125])
    same(await (await (await ask()).blob()).text(), `{"a":1}`)
    const answer = await ask()
    same([await answer.clone().text(), await answer.text()], [`{"a":1}`, `{"a":1}`])
  }],
  ["an answer of 4 MiB arrives whole", readLarge],
  ["an answer in gzip is decoded", async (fetch) => {
    const answer = await fetch("/gzip")
    same([await answer.text(), answer.headers.get("content-encoding")], ["unzipped", null])
  }]
]

/** What a read rejects with when its signal is aborted once the first part is here. */
const abortedReads: Record<string, (answer: Response) => Promise<unknown>> = {
  "text()": (answer) => answer.text(),
  "arrayBuffer()": (answer) => answer.arrayBuffer(),
  "pipeTo()": (answer) => answer.body!.pipeTo(new WritableStream()),
  "the text() of its clone": (answer) => answer.clone().text(),
  "a reader": async (answer) => {
    const reader = answer.body!.getReader()
    while (!(await reader.read()).done);
  }
}

const aborts: ReadonlyArray<Case> = [
  ...Object.entries(abortedReads).map(([name, read]): Case => [`${name} rejects when aborted`, async (fetch) => {
    const controller = new AbortController()
    const reading = read(await fetch("/endless", { signal: controller.signal })).then(() => "no error", String)
    controller.abort("enough")
    same(await reading, "enough")
  }]),
  ["text() of a body that breaks says why", async (fetch) => {
    const error = await (await fetch("/broken")).text().then(() => undefined, (error: unknown) => error as Error)
    same([error?.name, error?.cause instanceof Error], ["TypeError", true])
  }],
  ["text() rejects when its time is up", async (fetch) => {
    const answer = await fetch("/endless", { signal: AbortSignal.timeout(300) })
    same(await answer.text().then(() => "no error", (error) => error.name), "TimeoutError")
  }]
]

const handlers: ReadonlyArray<Case> = [
  ["a handler reads a text", async (fetch) => same(await (await fetch("/push/text/text")).text(), "é of the hub")],
  ["a handler reads bytes", async (fetch) => same(await (await fetch("/push/bytes/bytes")).text(), "0,128,255")],
  [
    "a handler reads a form",
    async (fetch) => same(await (await fetch("/push/form/form")).text(), "pump 7, a.txt: of a file")
  ],
  ["a handler reads a stream", async (fetch) => same(await (await fetch("/push/stream/text")).text(), "in parts")],
  [
    "a handler reads a clone",
    async (fetch) => same(await (await fetch("/push/stream/clone")).text(), "in partsin parts")
  ],
  [
    "a handler answers with the body it was sent",
    async (fetch) => same(await (await fetch("/push/stream/body")).text(), "in parts")
  ]
]

const size = 16 * 1024 * 1024

const upload = async (fetch: Fetch): Promise<void> => {
  const bytes = patternOf(size)
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))
  const sha256 = [...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("")
  same(await (await fetch("/upload", post(bytes))).json(), { size, sha256 })
}

const untilTabIs = (state: DocumentVisibilityState): Promise<void> =>
  new Promise((resolve) => {
    const look = () => {
      if (document.visibilityState === state) resolve()
      else document.addEventListener("visibilitychange", look, { once: true })
    }
    look()
  })

/** How long a timer of a millisecond takes. */
const timerTakes = (): Promise<number> =>
  new Promise((resolve) => {
    const since = performance.now()
    setTimeout(() => resolve(performance.now() - since), 1)
  })

/** Another tab is opened in front of this one, whose timers then come once a second. */
const inHiddenTab = async (run: () => Promise<void>): Promise<void> => {
  const other = window.open("about:blank")!
  try {
    await untilTabIs("hidden")
    while (await timerTakes() < 900);
    await run()
  } finally {
    other.close()
    await untilTabIs("visible")
  }
}

const uploads: ReadonlyArray<Case> = [
  ["an upload of 16 MiB arrives whole", upload],
  ["an upload of 16 MiB arrives from a hidden tab", (fetch) => inHiddenTab(() => upload(fetch))],
  ["calls and their answers arrive in a hidden tab", (fetch) =>
    inHiddenTab(async () => {
      const texts = Array.from({ length: 100 }, async (_, i) => (await fetch("/echo", post(`call ${i}`))).text())
      same(await Promise.all(texts), texts.map((_, i) => `call ${i}`))
      await readLarge(fetch)
    })]
]

const toTheWorker: ReadonlyArray<Case> = [
  ["over a MessagePort: the page calls its worker", async (fetch) => {
    const texts = Array.from({ length: 100 }, async (_, i) => (await fetch("/echo", post(`call ${i}`))).text())
    same(await Promise.all(texts), texts.map((_, i) => `call ${i}`))
  }],
  ["over a MessagePort: the worker calls its page", async (fetch) => {
    same(await (await fetch("/back", post(""))).text(), "é of the worker")
  }],
  ["over a MessagePort: 16 MiB arrive whole, there and back", async (fetch) => {
    const bytes = patternOf(size)
    const back = new Uint8Array(await (await fetch("/echo", post(bytes))).arrayBuffer())
    same([back.length, back.every((byte, at) => byte === bytes[at])], [size, true])
  }]
]

const context: Case = [
  `the page has ${isSecureContext ? "a" : "no"} secure context`,
  async () =>
    same(
      [typeof crypto.randomUUID, typeof crypto.subtle],
      isSecureContext ? ["function", "object"] : [
        "undefined",
        "undefined"
      ]
    )
]

// --- The run ----------------------------------------------------------------------------------------------------------

const results: Array<Result> = []

const withinPatience = (running: Promise<void>): Promise<void> =>
  Promise.race([
    running,
    new Promise<never>((_, reject) => {
      setTimeout(() => reject(new Error(`took over ${patience} ms`)), patience)
    })
  ])

const runCases = async (far: Far, cases: ReadonlyArray<Case>): Promise<void> => {
  const connection = connect(far)
  const fetch = await withinPatience(connection.fetch() as Promise<never>) as unknown as Fetch
  for (const [name, run] of cases) {
    const since = performance.now()
    const error = await withinPatience(run(fetch, connection.talk)).then(
      () => undefined,
      (error) => String(error.stack ?? error)
    )
    results.push({ name, millis: Math.round(performance.now() - since), ...(error === undefined ? {} : { error }) })
  }
  await connection.close()
}

const run = async (): Promise<void> => {
  await runCases("v2", [
    context,
    ...calls("v2"),
    ...webSockets,
    ...requests,
    ...fields,
    ...answers,
    ...aborts,
    ...handlers
  ])
  if (isSecureContext) await runCases("v2", uploads)
  await runCases("promises", calls("promises"))
  await runCases("worker", toTheWorker)
  await runCases("v1", [...calls("v1"), ["v1: an answer of 4 MiB arrives whole", readLarge]])
}

const failed = await run().then(
  () => [],
  (error): Array<Result> => [{ name: "the page", error: String(error), millis: 0 }]
)

const report: Report = { page: location.hostname, agent: navigator.userAgent, results: [...results, ...failed] }
await fetch("/report", { method: "POST", body: JSON.stringify(report) })
if (document.body.dataset["next"] !== "") location.href = document.body.dataset["next"]!
