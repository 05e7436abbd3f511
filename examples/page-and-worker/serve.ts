/**
 * A page and its worker, which call each other over a `MessagePort`. This serves both to a browser, and prints what the page shows.
 *
 *     npx tsx examples/page-and-worker/serve.ts
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import { build } from "esbuild"
import { createServer } from "node:http"

const html = `<!doctype html><meta charset="utf-8"><title>A page and its worker</title>
<body><progress></progress><br><script type="module" src="/page.js"></script>`

const scripts = Effect.promise(() =>
  build({
    entryPoints: ["examples/page-and-worker/page.ts", "examples/page-and-worker/worker.ts"],
    bundle: true,
    format: "esm",
    outdir: "/",
    write: false
  })
).pipe(
  Effect.map(({ outputFiles }) =>
    outputFiles.map(({ path, text }) =>
      HttpRouter.add("GET", path as `/${string}`, HttpServerResponse.text(text, { contentType: "text/javascript" }))
    )
  )
)

const Routes = Layer.mergeAll(
  HttpRouter.add("GET", "/", HttpServerResponse.html(html)),
  HttpRouter.add("POST", "/shown", (request) =>
    Effect.gen(function*() {
      yield* Console.log(`the page shows: ${yield* request.text}`)
      return HttpServerResponse.empty()
    })),
  Layer.unwrap(Effect.map(scripts, (routes) => Layer.mergeAll(Layer.empty, ...routes)))
)

const Listening = Layer.effectDiscard(Effect.flatMap(
  HttpServer.HttpServer,
  ({ address }) => Console.log(`open ${NetAddress.formatUrlUnsafe(address)}/ in a browser`)
))

const port = Number(process.env["PORT"] ?? 3000)

NodeRuntime.runMain(Layer.launch(
  Listening.pipe(
    Layer.provide(HttpRouter.serve(Routes, { disableLogger: true, disableListenLog: true })),
    Layer.provide(NodeHttpServer.layer(() => createServer(), { host: "127.0.0.1", port }))
  )
))
