import { setTimeout as sleep } from "node:timers/promises"
import { BodyCheck, MiB } from "../content.ts"
import { load } from "../load.ts"
import type { Scenario } from "../scenario.ts"
import { bodyMiB } from "./bodies.ts"

const delay = 50

/** What a window of 256 KiB that does not grow allows at this distance. */
export const fixedWindowMiBs = 0.25 / (2 * delay / 1000)

/** Seconds after which what has arrived is enough to tell. */
const patience = 8

export const wanBody: Scenario = {
  name: "wan-body",
  title:
    `the first body of a connection, 64 MiB or ${patience} s of it, over ${delay} ms each way; a fixed window of ` +
    `256 KiB would allow ${fixedWindowMiBs} MiB/s`,
  needs: ["down"],
  peers: ["ws", "http", "http2", "http2-windows", "rpc", "rsocket", "swaggersocket", "swaggersocket-fixed-window"],
  unit: { name: "MiB", per: 1024 },
  variants: [{ label: "64 KiB chunks", chunk: 65536, rounds: 2 }],
  delay,
  memory: "peak",
  async run({ client, options, window }) {
    const body = { size: bodyMiB(options) * MiB, chunk: options.chunk! }
    const check = new BodyCheck()
    await window.begin()
    const whole = client.down!(body, (chunk) => check.add(chunk)).then(() => check.end(body.size))
    await Promise.race([whole, sleep(patience * 1000)])
    const { length } = check
    await window.end()
    return { count: length / MiB }
  }
}

export const wanCalls: Scenario = {
  name: "wan-calls",
  title: `small calls over ${delay} ms each way`,
  needs: ["small"],
  peers: ["ws", "http", "http2", "rpc", "rsocket", "swaggersocket"],
  unit: { name: "calls", per: 100_000 },
  variants: [{ label: "64 in flight", concurrency: 64, rounds: 2 }],
  delay,
  run: ({ client, options, window }) => load(Array(options.concurrency!).fill(client.small!), options, window)
}
