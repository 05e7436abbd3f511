import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"

// Undici is about twice as fast as node:http here, but its version 8 does not load in Node.js 20
const undici = Number.parseInt(process.versions.node) >= 22

export const nameOfHttpClient = undici ? "Undici" : "node:http, keep-alive"

export const layerHttpClient = undici
  ? NodeHttpClient.layerUndici
  : NodeHttpClient.layerNodeHttpOptions({ keepAlive: true })
