/**
 * Runs in a browser's service worker: whatever is below /api/ goes over its connection.
 */
import { serviceWorker } from "effect-swaggersocket/browser"
import * as Reconnection from "effect-swaggersocket/Reconnection"

interface Worker {
  readonly skipWaiting: () => Promise<void>
  readonly clients: { readonly claim: () => Promise<void> }
}

interface ExtendableEvent extends Event {
  readonly waitUntil: (promise: Promise<void>) => void
}

const worker = globalThis as unknown as Worker

// The page that registers it is served at once, and not only when it is loaded again.
addEventListener("install", (event) => (event as ExtendableEvent).waitUntil(worker.skipWaiting()))
addEventListener("activate", (event) => (event as ExtendableEvent).waitUntil(worker.clients.claim()))

serviceWorker({
  url: "/socket",
  match: ({ url }) => new URL(url).pathname.startsWith("/api/"),
  layer: Reconnection.layer({ schedule: Reconnection.fullJitter({ base: "10 millis", cap: "50 millis" }) })
})
