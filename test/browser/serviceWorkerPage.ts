/**
 * Runs in a browser: a page that knows nothing of a connection, but has a service worker which does. It reports what came of each
 * case.
 */
import type { Report } from "./page.ts"

/** Nothing holds a case up for longer. */
const patience = 15_000

const same = (actual: unknown, expected: unknown): void => {
  const [was, should] = [JSON.stringify(actual), JSON.stringify(expected)]
  if (was !== should) throw new Error(`expected ${should?.slice(0, 200)}, got ${was?.slice(0, 200)}`)
}

/** How a response came. */
const wayOf = (response: Response): string | null => response.headers.get("x-way")

const post = (body?: BodyInit): RequestInit => ({ method: "POST", body, duplex: "half" } as RequestInit)

/** Waits until the hub says that something has happened. It is asked by the network. */
const until = async (what: string): Promise<void> => {
  while (!await (await fetch(`/seen?${what}`)).json());
}

const event = (target: EventTarget, type: string): Promise<Event> =>
  new Promise((resolve, reject) => {
    target.addEventListener(type, resolve, { once: true })
    target.addEventListener("error", () => reject(new Error(`an error instead of ${type}`)), { once: true })
  })

/** Reads a body part by part. */
const partsOf = (response: Response) => {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  return async () => (await reader.read()).value
}

const size = 16 * 1024 * 1024

const bytes = (): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(size)
  for (let at = 0; at < size; at++) bytes[at] = (at * 31) >>> 7
  return bytes
}

const hash = async (bytes: Uint8Array<ArrayBuffer>): Promise<string> =>
  [...new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))].map((byte) => byte.toString(16).padStart(2, "0"))
    .join("")

type Case = readonly [name: string, run: () => Promise<void>]

const kinds: ReadonlyArray<Case> = [
  ["fetch", async () => {
    const response = await fetch("/api/echo?a=b", { ...post("é of the page"), headers: { "x-one": "1" } })
    same([wayOf(response), response.status, response.url], ["connection", 201, `${location.origin}/api/echo?a=b`])
    same(await response.text(), "POST ?a=b 1 é of the page")
  }],
  ["XMLHttpRequest", async () => {
    const request = new XMLHttpRequest()
    request.open("PUT", "/api/echo")
    request.send("by XHR")
    await event(request, "load")
    same([request.getResponseHeader("x-way"), request.status, request.responseText], [
      "connection",
      201,
      "PUT  null by XHR"
    ])
  }],
  ["an <img>", async () => {
    const image = new Image()
    image.src = "/api/image.svg"
    await event(image, "load")
    same([image.naturalWidth, image.naturalHeight], [7, 5])
  }],
  ["an EventSource, event by event", async () => {
    const source = new EventSource("/api/events")
    let next = event(source, "message")
    for (const n of ["1", "2", "3"]) {
      same((await next as MessageEvent).data, n)
      next = event(source, "message")
      await fetch("/go?events")
    }
    source.close()
    await until("gaveUp-events")
  }],
  ["an <iframe>", async () => {
    const frame = document.createElement("iframe")
    frame.src = "/api/redirect?to=page"
    document.body.append(frame)
    await event(frame, "load")
    same([frame.contentDocument!.body.textContent, frame.contentWindow!.location.pathname], [
      "a page by connection",
      "/api/page"
    ])
    frame.remove()
  }],
  ["a redirect, which the browser follows", async () => {
    const response = await fetch("/api/redirect?to=echo")
    same([wayOf(response), response.redirected, response.url], ["connection", true, `${location.origin}/api/echo`])
    const refused = await fetch("/api/redirect?to=echo", { redirect: "error" }).then(() => "", (error) => error.name)
    same(refused, "TypeError")
    same((await fetch("/api/redirect?to=echo", { redirect: "manual" })).type, "opaqueredirect")
  }],
  ["HEAD, 204 and a range", async () => {
    const head = await fetch("/api/echo", { method: "HEAD" })
    same([wayOf(head), head.status, await head.text()], ["connection", 201, ""])
    const empty = await fetch("/api/empty")
    same([wayOf(empty), empty.status, await empty.text()], ["connection", 204, ""])
    const range = await fetch("/api/range", { headers: { range: "bytes=2-3" } })
    same([wayOf(range), range.status, await range.text()], ["connection", 206, "cd"])
  }]
]

const streams: ReadonlyArray<Case> = [
  ["an answer arrives in pieces", async () => {
    const next = partsOf(await fetch("/api/pieces"))
    for (const piece of ["one", "two", "three"]) {
      same(await next(), piece)
      await fetch("/go?pieces")
    }
    same(await next(), undefined)
  }],
  ["an answer of 16 MiB arrives whole", async () => {
    const body = new Uint8Array(await (await fetch("/api/large")).arrayBuffer())
    same([body.length, body.every((byte) => byte === 7)], [size, true])
  }],
  ["an answer that breaks rejects", async () => {
    const response = await fetch("/api/broken")
    same(await response.text().then(() => "no error", () => "an error"), "an error")
  }],
  ["an upload of 16 MiB arrives whole", async () => {
    const body = bytes()
    const sent = await fetch("/api/upload", post(body))
    same([wayOf(sent), await sent.json()], ["connection", { size, sha256: await hash(body) }])
    const blob = await fetch("/api/upload", post(new Blob([body])))
    same([wayOf(blob), await blob.json()], ["connection", { size, sha256: await hash(body) }])
  }],
  ["a form arrives", async () => {
    const form = new FormData()
    form.set("name", "pump 7")
    form.set("file", new Blob(["of a file"]), "a.txt")
    same(await (await fetch("/api/form", post(form))).text(), "pump 7, a.txt: of a file")
  }],
  ["an upload arrives in pieces where the browser has such", async () => {
    // Firefox makes a text of a stream.
    if (new Request("/", post(new ReadableStream())).headers.has("content-type")) return
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
    const writer = writable.getWriter()
    const response = fetch("/api/echoBody", post(readable))
    void writer.write(new TextEncoder().encode("one"))
    const next = partsOf(await response)
    same(await next(), "one")
    void writer.write(new TextEncoder().encode("two"))
    same(await next(), "two")
    void writer.close()
    same(await next(), undefined)
  }]
]

const aborts: ReadonlyArray<Case> = [
  // Browsers don't tell a service worker of it before it answers.
  ["a page that gives up before the answer interrupts the handler when it answers", async () => {
    const controller = new AbortController()
    const answer = fetch("/api/late", { signal: controller.signal }).then(() => "an answer", (error) => error.name)
    await until("begun-late")
    controller.abort()
    same(await answer, "AbortError")
    await fetch("/go?late")
    await until("gaveUp-late")
  }],
  ["a page that gives up in the middle of the answer interrupts the handler", async () => {
    const controller = new AbortController()
    const next = partsOf(await fetch("/api/quiet?signal", { signal: controller.signal }))
    same(await next(), "begun")
    controller.abort()
    await until("gaveUp-quiet?signal")
  }],
  // Firefox tells its service worker when that sends the next part.
  ["a page that cancels the answer interrupts the handler", async () => {
    const response = await fetch("/api/endless")
    await response.body!.cancel()
    await until("gaveUp-endless")
  }],
  ["a frame that is gone interrupts its handler", async () => {
    const frame = document.createElement("iframe")
    frame.src = "/api/page"
    document.body.append(frame)
    await event(frame, "load")
    void (frame.contentWindow as unknown as typeof globalThis).fetch("/api/quiet?frame").catch(() => {})
    await until("begun-quiet?frame")
    frame.remove()
    await until("gaveUp-quiet?frame")
  }]
]

const problem = async (response: Response) => [response.status, (await response.json()).outcome]

const failures: ReadonlyArray<Case> = [
  ["an EventSource connects again when its connection is lost", async () => {
    const source = new EventSource("/api/lossyEvents")
    same((await event(source, "message") as MessageEvent).data, "1")
    const second = new Promise<string>((resolve) => {
      source.addEventListener("message", ({ data }) => resolve(data))
    })
    await fetch("/tell?first-event")
    same(await second, "2")
    source.close()
  }],
  ["a request that may have been executed does not go to the network", async () => {
    same(await problem(await fetch("/api/lost", post("an order"))), [502, "unknown"])
    same(await (await fetch("/executed")).json(), ["connection"])
  }],
  [
    "requests go to the network while the hub takes no WebSockets, and over the connection again when it does",
    async () => {
      const untilConnected = async () => {
        while (wayOf(await fetch("/api/echo")) !== "connection");
      }
      // No handshake may be under way that the hub has taken already.
      await untilConnected()
      await fetch("/sockets?no")
      const orders: Array<string | null> = []
      for (let n = 0; n < 3; n++) orders.push(wayOf(await fetch("/api/echo", post(`order ${n}`))))
      same(orders, ["network", "network", "network"])
      const upload = await fetch("/api/upload", post(bytes()))
      same([wayOf(upload), (await upload.json()).size], ["network", size])
      await fetch("/sockets?yes")
      while (wayOf(await fetch("/api/echo")) !== "connection");
    }
  ]
]

/** The browser's own request reached the hub by the network. */
const none: Case = ["no other request of these has reached the hub by the network", async () => {
  same(await (await fetch("/byNetwork")).json(), [])
}]

// --- The run ----------------------------------------------------------------------------------------------------------

const results: Array<Report["results"][number]> = []

const withinPatience = (running: Promise<void>): Promise<void> =>
  Promise.race([
    running,
    new Promise<never>((_, reject) => {
      setTimeout(() => reject(new Error(`took over ${patience} ms`)), patience)
    })
  ])

const runCases = async (cases: ReadonlyArray<Case>): Promise<void> => {
  for (const [name, run] of cases) {
    const since = performance.now()
    const error = await withinPatience(run()).then(() => undefined, (error) => String(error.stack ?? error))
    results.push({ name, millis: Math.round(performance.now() - since), ...(error === undefined ? {} : { error }) })
  }
}

const registered: Case = ["the page is controlled by its service worker", async () => {
  const controlled = event(navigator.serviceWorker, "controllerchange")
  await navigator.serviceWorker.register("/worker.js")
  await controlled
}]

await runCases([registered, ...kinds, ...streams, ...aborts, none, ...failures])
const report: Report = { page: location.hostname, agent: navigator.userAgent, results }
await fetch("/report", { method: "POST", body: JSON.stringify(report) })
