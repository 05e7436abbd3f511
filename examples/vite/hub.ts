/**
 * Builds one of the examples with Vite, and serves it to browsers with a hub. In this folder:
 *
 *     npm ci
 *     npm start page              # or react, service-worker, shared-worker
 *
 * A program of its own needs neither the alias nor this builder: it has `effect-swaggersocket` installed, and `vite` serves its
 * pages with `server: { proxy: { "/socket": { target: "http://localhost:3000", ws: true } } }`.
 */
import { listen } from "effect-swaggersocket/promise"
import * as path from "node:path"
import { build, type Rolldown } from "vite"

const example = process.argv[2] ?? "page"
const src = path.join(import.meta.dirname, "../../src")

const { output } = await build({
  root: path.join(import.meta.dirname, example),
  logLevel: "warn",
  resolve: {
    alias: [
      { find: "effect-swaggersocket/browser", replacement: path.join(src, "browser/index.ts") },
      { find: "effect-swaggersocket/promise", replacement: path.join(src, "promise/browser.ts") },
      { find: /^effect-swaggersocket\/(.*)$/, replacement: path.join(src, "$1.ts") }
    ]
  },
  // What is loaded later has a file of its own, which no other format allows.
  worker: { format: "es" },
  build: { write: false }
}) as Rolldown.RolldownOutput

const types: Record<string, string> = { ".css": "text/css", ".html": "text/html", ".js": "text/javascript" }

/** What Vite has made. */
const file = (pathname: string): Response => {
  const name = pathname === "/" ? "index.html" : pathname.slice(1)
  const found = output.find(({ fileName }) => fileName === name)
  if (found === undefined) return new Response(null, { status: 404 })
  const body = found.type === "chunk" ? found.code : new Blob([found.source as Uint8Array<ArrayBuffer>])
  return new Response(body, { headers: { "content-type": types[path.extname(name)] ?? "application/octet-stream" } })
}

/** Counts up to three, and goes on when the browser asks again. */
const ticks = (): ReadableStream<string> => {
  let tick = 0
  return new ReadableStream({
    async pull(controller) {
      if (++tick > 1) await new Promise((resolve) => setTimeout(resolve, 300))
      controller.enqueue(`data: tick ${tick}\n\n`)
      if (tick === 3) controller.close()
    }
  })
}

/** The same API on connections and by plain HTTP. */
const api = (pathname: string, way: string): Response => {
  switch (pathname) {
    case "/api/way":
      return new Response(`a call by ${way}`)
    case "/api/lamp.svg":
      return new Response(
        `<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32"><circle cx="16" cy="16" r="15" fill="gold"/></svg>`,
        { headers: { "content-type": "image/svg+xml" } }
      )
    case "/api/ticks":
      return new Response(ticks().pipeThrough(new TextEncoderStream()), {
        headers: { "content-type": "text/event-stream" }
      })
    default:
      return new Response(null, { status: 404 })
  }
}

const hub = await listen({
  host: "127.0.0.1",
  port: Number(process.env["PORT"] ?? 3000),
  path: "/socket",
  http: async (request) => {
    const { pathname } = new URL(request.url)
    if (pathname.startsWith("/api/")) return api(pathname, "the network")
    if (pathname !== "/shown") return file(pathname)
    // Whoever has started the example sees it as well.
    console.log(`the page shows: ${await request.text()}`)
    return new Response(null, { status: 204 })
  }
})

hub.serve(({ url }) => api(new URL(url).pathname, "the connection"))

hub.on("connection", async ({ fetch }) => {
  const title = await fetch("/title").then((response) => response.text(), () => "somebody who serves nothing")
  console.log(`connected: ${title}`)
})

console.log(`open ${new URL("/", hub.url.replace(/^ws/, "http")).href} in a browser`)
