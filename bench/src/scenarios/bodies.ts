import { type Body, BodyCheck, MiB } from "../content.ts"
import { repeat } from "../load.ts"
import type { Client } from "../peer.ts"
import type { Options, Scenario } from "../scenario.ts"

/** The length of bodies. */
export const bodyMiB = (options: Options) => Math.max(1, Math.round(64 * options.scale))

const shared = {
  unit: { name: "MiB", per: 1024 },
  memory: "peak"
} as const

/** Whom to measure where not all are of interest. */
const peers = [
  "ws",
  "ws-device",
  "http",
  "node-http",
  "http2",
  "http2-windows",
  "swaggersocket",
  "swaggersocket-device",
  "swaggersocket-no-sessions"
]

const devices = ["ws-device", "swaggersocket-device"]

const makeRun =
  (transfer: (client: Client, body: Body) => Promise<void>): Scenario["run"] => ({ client, options, window }) => {
    const body = { size: bodyMiB(options) * MiB, chunk: options.chunk! }
    return repeat(body.size / MiB, () => transfer(client, body), options, window)
  }

export const down: Scenario = {
  ...shared,
  name: "down",
  title: "bodies of 64 MiB to the client, one after the other",
  needs: ["down"],
  variants: [
    { label: "16 KiB chunks", chunk: 16384, rounds: 2, peers },
    { label: "64 KiB chunks", chunk: 65536 },
    { label: "64 KiB chunks, cold", chunk: 65536, bodies: 3, peers },
    { label: "64 KiB chunks, bufferutil", chunk: 65536, bufferutil: true, peers: devices }
  ],
  run: makeRun(async (client, body) => {
    const check = new BodyCheck()
    await client.down!(body, (chunk) => check.add(chunk))
    check.end(body.size)
  })
}

export const up: Scenario = {
  ...shared,
  name: "up",
  title: "bodies of 64 MiB to the server, one after the other",
  needs: ["up"],
  variants: [
    { label: "16 KiB chunks", chunk: 16384, rounds: 2, peers },
    { label: "64 KiB chunks", chunk: 65536 },
    { label: "64 KiB chunks, cold", chunk: 65536, bodies: 3, peers },
    { label: "64 KiB chunks, bufferutil", chunk: 65536, bufferutil: true, peers }
  ],
  run: makeRun(async (client, body) => {
    const length = await client.up!(body)
    if (length !== body.size) throw new Error(`the server got ${length} bytes instead of ${body.size}`)
  })
}
