/**
 * The service worker: its address names the hub.
 */
import { serviceWorker } from "effect-swaggersocket/browser"

const worker = globalThis as unknown as { skipWaiting: () => void; clients: { claim: () => Promise<void> } }
addEventListener("install", () => worker.skipWaiting())
addEventListener(
  "activate",
  (event) => (event as unknown as { waitUntil: (promise: Promise<void>) => void }).waitUntil(worker.clients.claim())
)

serviceWorker({
  url: new URL(location.href).searchParams.get("hub")!,
  match: ({ url }) => !url.endsWith("/frame"),
  fallback: false
})
