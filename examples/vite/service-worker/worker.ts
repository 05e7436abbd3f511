/**
 * The service worker, which has the connection: whatever its pages ask for below /api/ goes over it.
 */
import { serviceWorker } from "effect-swaggersocket/browser"

serviceWorker({
  url: "/socket",
  match: ({ url }) => url.startsWith(`${location.origin}/api/`)
})

// Pages that are open already are served at once, and not when they are loaded again.
addEventListener("install", () => void (globalThis as unknown as { skipWaiting: () => void }).skipWaiting())
addEventListener("activate", (event) => {
  const { clients } = globalThis as unknown as { clients: { claim: () => Promise<void> } }
  ;(event as Event & { waitUntil: (promise: Promise<void>) => void }).waitUntil(clients.claim())
})
