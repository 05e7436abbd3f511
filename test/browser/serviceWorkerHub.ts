/**
 * A hub for pages with a service worker: the same API on connections and by plain HTTP, which tells how a request came.
 */
import { listen } from "effect-swaggersocket/promise"
import * as Effect from "effect/Effect"
import * as esbuild from "esbuild"
import { createHash } from "node:crypto"
import { createServer } from "node:http"
import * as path from "node:path"
import type { Report } from "./page.ts"

type Way = "connection" | "network"

const source = (name: string): string => path.join(import.meta.dirname, `${name}.ts`)

/** A service worker is no module, so that its own names would be global ones without a function around it. */
const bundle = async (name: string, format: "esm" | "iife"): Promise<string> => {
  const { outputFiles: [file] } = await esbuild.build({
    entryPoints: [source(name)],
    bundle: true,
    format,
    platform: "browser",
    target: "es2022",
    write: false
  })
  return file!.text
}

const bundles = async (): Promise<ReadonlyMap<string, string>> =>
  new Map([
    ["/page.js", await bundle("serviceWorkerPage", "esm")],
    ["/worker.js", await bundle("serviceWorkerScript", "iife")]
  ])

const html = `<!doctype html><meta charset="utf-8"><body><script type="module" src="/page.js"></script>`

/** Waits and wakes by name; what has happened stays so. */
class Seen {
  readonly #names = new Set<string>()
  readonly #waiting = new Map<string, Array<() => void>>()

  add(name: string): void {
    this.#names.add(name)
    for (const resolve of this.#waiting.get(name) ?? []) resolve()
    this.#waiting.delete(name)
  }

  until(name: string): Promise<void> {
    if (this.#names.has(name)) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.set(name, [...this.#waiting.get(name) ?? [], resolve]))
  }
}

/** How often something may go on. */
class Turns {
  #left = 0
  #waiting: Array<() => void> = []

  add(): void {
    const resolve = this.#waiting.shift()
    if (resolve === undefined) this.#left++
    else resolve()
  }

  async take(): Promise<void> {
    if (this.#left > 0) this.#left--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }
}

/** A body whose next part is sent at the next turn. */
const stepped = (parts: ReadonlyArray<string>, turns: Turns, onCancel = () => {}): ReadableStream<Uint8Array> => {
  const left = [...parts]
  const encoder = new TextEncoder()
  return new ReadableStream({
    async pull(controller) {
      if (left.length < parts.length) await turns.take()
      const part = left.shift()
      if (part === undefined) controller.close()
      else controller.enqueue(encoder.encode(part))
    },
    cancel: onCancel
  }, { highWaterMark: 0 })
}

/** A body that goes on as fast as it is read. */
const endless = (onCancel: () => void): ReadableStream<Uint8Array> =>
  new ReadableStream({
    pull: (controller) => controller.enqueue(new Uint8Array(1024).fill(0x78)),
    cancel: onCancel
  }, { highWaterMark: 0 })

const describeForm = (form: FormData): Promise<string> => {
  const file = form.get("file") as File
  return file.text().then((text) => `${String(form.get("name"))}, ${file.name}: ${text}`)
}

/** What pages ask for. */
class Api {
  readonly seen = new Seen()
  readonly executed: Array<Way> = []
  /** How often an EventSource has connected. */
  #connected = 0
  /** What bodies that go on step by step wait for. */
  readonly turns: Record<string, Turns> = { events: new Turns(), late: new Turns(), pieces: new Turns() }

  async answer(request: Request, way: Way, lose: () => void): Promise<Response> {
    const { pathname, search } = new URL(request.url)
    const headers = { "x-way": way }
    switch (pathname.slice("/api/".length)) {
      case "echo": {
        const text = `${request.method} ${search} ${request.headers.get("x-one")} ${await request.text()}`
        return new Response(text, { status: 201, headers })
      }
      case "echoBody":
        return new Response(request.body, { headers })
      case "image.svg":
        return new Response(`<svg xmlns="http://www.w3.org/2000/svg" width="7" height="5"/>`, {
          headers: { ...headers, "content-type": "image/svg+xml" }
        })
      case "page":
        return new Response(`<!doctype html><body>a page by ${way}`, {
          headers: { ...headers, "content-type": "text/html" }
        })
      case "redirect":
        return new Response(null, { status: 302, headers: { location: new URL(request.url).searchParams.get("to")! } })
      case "empty":
        return new Response(null, { status: 204, headers })
      case "range":
        return request.headers.get("range") === "bytes=2-3"
          ? new Response("cd", { status: 206, headers: { ...headers, "content-range": "bytes 2-3/6" } })
          : new Response("abcdef", { headers })
      case "upload": {
        const body = new Uint8Array(await request.arrayBuffer())
        return Response.json({ size: body.length, sha256: createHash("sha256").update(body).digest("hex") }, {
          headers
        })
      }
      case "form":
        return new Response(await describeForm(await request.formData()))
      case "large":
        return new Response(new Uint8Array(16 * 1024 * 1024).fill(7), { headers })
      default:
        return this.#streamed(`${pathname.slice("/api/".length)}${search}`, way, lose)
    }
  }

  #streamed(name: string, way: Way, lose: () => void): Response | Promise<Response> {
    const events = { headers: { "content-type": "text/event-stream" } }
    const gaveUp = () => this.seen.add(`gaveUp-${name}`)
    this.seen.add(`begun-${name}`)
    switch (name.replace(/\?.*/, "")) {
      case "events":
        return new Response(
          stepped(["data: 1\n\n", "data: 2\n\n", "data: 3\n\n", "data: 4\n\n"], this.turns["events"]!, gaveUp),
          events
        )
      case "lossyEvents": {
        this.#connected++
        if (this.#connected === 1) void this.seen.until("first-event").then(lose)
        return new Response(stepped([`retry: 1\ndata: ${this.#connected}\n\n`, ""], new Turns()), events)
      }
      case "pieces":
        return new Response(stepped(["one", "two", "three"], this.turns["pieces"]!))
      case "late":
        return this.turns["late"]!.take().then(() => new Response(endless(gaveUp)))
      case "quiet":
        return new Response(stepped(["begun", ""], new Turns(), gaveUp))
      case "endless":
        return new Response(endless(gaveUp))
      case "broken":
        return new Response(
          new ReadableStream({
            pull(controller) {
              controller.enqueue(new Uint8Array(512 * 1024))
              controller.error(new Error("half-way"))
            }
          })
        )
      case "lost":
        this.executed.push(way)
        lose()
        return new Promise<Response>(() => {})
      default:
        return new Response(null, { status: 404 })
    }
  }
}

/** Starts the hub; gives the address of the page, and its report. */
export const startHub = Effect.gen(function*() {
  const scripts = yield* Effect.promise(bundles)
  const api = new Api()
  const byNetwork: Array<string> = []
  let takesSockets = true
  let report!: (report: Report) => void
  const reported = new Promise<Report>((resolve) => {
    report = resolve
  })
  const http = async (request: Request): Promise<Response> => {
    const { pathname, search } = new URL(request.url)
    const argument = search.slice(1)
    if (pathname.startsWith("/api/")) {
      if (takesSockets) byNetwork.push(pathname)
      return api.answer(request, "network", () => {})
    }
    const script = scripts.get(pathname)
    if (script !== undefined) return new Response(script, { headers: { "content-type": "text/javascript" } })
    switch (pathname) {
      case "/":
        return new Response(html, { headers: { "content-type": "text/html" } })
      case "/seen":
        await api.seen.until(argument)
        return Response.json(true)
      case "/tell":
        api.seen.add(argument)
        return Response.json(true)
      case "/go":
        api.turns[argument]!.add()
        return Response.json(true)
      case "/sockets":
        takesSockets = argument === "yes"
        if (!takesSockets) await Promise.all(hub.connections.map((connection) => connection.close()))
        return Response.json(true)
      case "/executed":
        return Response.json(api.executed)
      case "/byNetwork":
        return Response.json(byNetwork)
      case "/report":
        report(await request.json() as Report)
        return Response.json(true)
      default:
        return new Response(null, { status: 404 })
    }
  }
  const server = createServer()
  const hub = yield* Effect.acquireRelease(
    Effect.promise(() =>
      listen({
        host: "127.0.0.1",
        path: "/socket",
        createServer: () => server,
        http
      })
    ),
    (hub) => Effect.promise(() => hub.close({ drain: false }))
  )
  server.prependListener("upgrade", (_request, socket) => {
    if (!takesSockets) socket.destroy()
  })
  hub.serve((request, connection) => api.answer(request, "connection", () => void connection.close({ drain: false })))
  return { url: new URL("/", hub.url.replace(/^ws/, "http")).href, report: Effect.promise(() => reported) }
})
