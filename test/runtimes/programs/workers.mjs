/** Runs the Worker in Cloudflare's own runtime. */
import * as esbuild from "esbuild"
import { Miniflare } from "miniflare"

const { outputFiles } = await esbuild.build({
  entryPoints: ["worker.ts"],
  bundle: true,
  format: "esm",
  target: "es2022",
  conditions: ["workerd", "worker", "browser"],
  external: ["cloudflare:*", "node:*"],
  write: false
})
const worker = new Miniflare({
  modules: true,
  script: outputFiles[0].text,
  compatibilityDate: "2026-04-01",
  durableObjects: { HUB: "Hub", HONO: "HonoHub" },
  host: "127.0.0.1",
  port: 0
})
const url = await worker.ready
// The test ends it: a Worker is never told to stop.
process.once("SIGTERM", () => void worker.dispose())
console.log(`listening on ${url.port}`)
