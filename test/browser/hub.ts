/**
 * A hub for pages: serves them a page and its script, an API on their connections, and takes their reports.
 */
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as ApiWebSocket from "effect-swaggersocket/ApiWebSocket"
import * as Connection from "effect-swaggersocket/Connection"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as esbuild from "esbuild"
import { createHash } from "node:crypto"
import * as path from "node:path"
import { gzipSync } from "node:zlib"
import type { ConnectionDriver } from "../../src/internal/connection/types.ts"
import { echo, patternOf, talk } from "./messages.ts"
import type { Report } from "./page.ts"

class Pages extends SwaggerSocketServer.Service<Pages>()("test/browsers/Pages") {}

const quiet = { disableLogger: true, disableListenLog: true } as const

/** Resolved to the loopback by the browsers' own settings. Not to be trusted: a page of it has no secure context. */
export const plainHost = "plain.test"

const html = (script: string, next: string): string =>
  `<!doctype html><meta charset="utf-8"><body data-next="${next}"><script type="module" src="/${script}.js"></script>`

const source = (name: string): string => path.join(import.meta.dirname, `${name}.ts`)

const bundle = Effect.promise(() =>
  esbuild.build({
    entryPoints: ["page", "sharedTab", "sharedWorkerScript", "tab", "worker"].map(source),
    outdir: "/",
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    write: false
  })
)

const form = (): FormData => {
  const form = new FormData()
  form.set("name", "pump 7")
  form.set("file", new Blob(["of a file"]), "a.txt")
  return form
}

/** What the hub sends to a page that serves. */
const bodies: Record<string, () => HttpBody.HttpBody> = {
  text: () => HttpBody.text("é of the hub"),
  bytes: () => HttpBody.uint8Array(Uint8Array.of(0, 128, 255)),
  form: () => HttpBody.formData(form()),
  stream: () => HttpBody.stream(Stream.make("in ", "parts").pipe(Stream.encodeText))
}

/** Cuts the link of the page that calls, as a network does. */
const cut = Effect.map(Connection.current, (page) => (page as ConnectionDriver<unknown, unknown>).link?.terminate())

const Api = Layer.mergeAll(
  HttpRouter.add("*", "/echo", (request) =>
    Effect.map(request.arrayBuffer, (body) => {
      const type = request.headers["content-type"]
      return HttpServerResponse.uint8Array(new Uint8Array(body), {
        headers: { "x-type": type ?? "none" },
        contentType: type
      })
    })),
  HttpRouter.add(
    "GET",
    "/cookie",
    (request) => Effect.succeed(HttpServerResponse.text(request.headers["cookie"] ?? "none"))
  ),
  HttpRouter.add(
    "GET",
    "/set-cookies",
    HttpServerResponse.setCookiesUnsafe(HttpServerResponse.empty(), [["a", "1"], ["b", "2"]])
  ),
  HttpRouter.add(
    "POST",
    "/upload",
    (request) =>
      Effect.map(request.arrayBuffer, (body) =>
        HttpServerResponse.jsonUnsafe({
          size: body.byteLength,
          sha256: createHash("sha256").update(new Uint8Array(body)).digest("hex")
        }))
  ),
  HttpRouter.add(
    "GET",
    "/gzip",
    HttpServerResponse.uint8Array(gzipSync("unzipped"), {
      headers: { "content-encoding": "gzip", "content-type": "text/plain" }
    })
  ),
  HttpRouter.add(
    "GET",
    "/bytes/:size",
    Effect.map(HttpRouter.params, ({ size }) => {
      const bytes = patternOf(Number(size))
      const sha256 = createHash("sha256").update(bytes).digest("hex")
      return HttpServerResponse.uint8Array(bytes, { headers: { "x-sha256": sha256 } })
    })
  ),
  HttpRouter.add("GET", "/large", HttpServerResponse.uint8Array(new Uint8Array(4 * 1024 * 1024).fill(7))),
  HttpRouter.add(
    "GET",
    "/endless",
    HttpServerResponse.stream(Stream.concat(Stream.make("begun"), Stream.never).pipe(Stream.encodeText))
  ),
  // More than a stream may send before its reader reads: it breaks behind the head.
  HttpRouter.add(
    "GET",
    "/broken",
    HttpServerResponse.stream(
      Stream.concat(Stream.make(new Uint8Array(512 * 1024)), Stream.fail(new Error("half-way")))
    )
  ),
  HttpRouter.add(
    "GET",
    "/messages",
    Effect.flatMap(
      HttpServerRequest.HttpServerRequest,
      ({ upgrade }) => Effect.as(Effect.flatMap(upgrade, echo), HttpServerResponse.empty())
    )
  ),
  HttpRouter.add("POST", "/cut", Effect.as(cut, HttpServerResponse.empty())),
  // Opens a WebSocket to the caller.
  HttpRouter.add(
    "POST",
    "/talk",
    Effect.gen(function*() {
      const page = yield* Connection.current
      const socket = yield* Effect.provide(ApiWebSocket.make("/messages"), ApiClient.layerConnection(page))
      return HttpServerResponse.jsonUnsafe(yield* talk(socket, cut))
    })
  ),
  // Calls the caller back, and hands its answer on.
  HttpRouter.add(
    "GET",
    "/push/:kind/:path",
    Effect.gen(function*() {
      const { kind, path } = yield* HttpRouter.params
      const page = ApiClient.make(yield* Connection.current)
      const answer = yield* page.execute(
        HttpClientRequest.post(`/${path}`, { body: bodies[kind!]!(), headers: { cookie: "of=hub" } })
      )
      return HttpServerResponse.uint8Array(new Uint8Array(yield* answer.arrayBuffer), { status: answer.status })
    })
  )
)

/** Starts the hub; gives the address of the page for browsers, and what their pages report. */
export const startHub = Effect.gen(function*() {
  const scripts = (yield* bundle).outputFiles.map(({ path, text }) =>
    HttpRouter.add("GET", path as `/${string}`, HttpServerResponse.text(text, { contentType: "text/javascript" }))
  )
  const reports = yield* Queue.unbounded<Report>()
  const Page = Layer.mergeAll(
    HttpRouter.add(
      "GET",
      "/",
      ({ headers }) => {
        const [host, port] = headers["host"]!.split(":")
        const next = host === plainHost ? "" : `http://${plainHost}:${port}/`
        return Effect.succeed(HttpServerResponse.text(html("page", next), { contentType: "text/html" }))
      }
    ),
    ...(["tab", "sharedTab"] as const).map((name) =>
      HttpRouter.add("GET", `/${name}`, HttpServerResponse.text(html(name, ""), { contentType: "text/html" }))
    ),
    HttpRouter.add("GET", "/elsewhere", HttpServerResponse.text("another page", { contentType: "text/html" })),
    ...scripts,
    HttpRouter.add(
      "POST",
      "/report",
      (request) =>
        Effect.flatMap(
          request.json,
          (report) => Effect.as(Queue.offer(reports, report as unknown as Report), HttpServerResponse.empty())
        )
    )
  )
  const context = yield* Layer.build(
    HttpRouter.serve(Api, quiet).pipe(
      Layer.provide(ApiServer.layerServer(Pages)),
      Layer.provideMerge(HttpRouter.serve(Layer.provideMerge(Page, Pages.layer({ path: "/socket" })), quiet)),
      Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" }))
    )
  )
  const { address } = Context.get(context, HttpServer.HttpServer)
  return {
    url: NetAddress.formatUrlUnsafe(address),
    report: Queue.take(reports),
    pages: Context.get(context, Pages)
  }
})
