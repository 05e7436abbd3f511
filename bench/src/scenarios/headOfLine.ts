import { setTimeout as sleep } from "node:timers/promises"
import { BodyCheck, MiB } from "../content.ts"
import { smallCalls, Times } from "../load.ts"
import type { Scenario } from "../scenario.ts"
import { bodyMiB } from "./bodies.ts"

/** Milliseconds from the end of a small call to the next one. */
const pause = 2

const scenario: Scenario = {
  name: "head-of-line",
  title: `a small call every ${pause} ms while two bodies of 64 MiB are downloaded again and again`,
  needs: ["small", "down"],
  // Not raw `ws`, which does one thing at a time
  peers: [
    "http",
    "node-http",
    "http2",
    "http2-windows",
    "rpc",
    "rsocket",
    "swaggersocket",
    "swaggersocket-no-sessions"
  ],
  unit: { name: "MiB", per: 1024 },
  variants: [{ label: "64 KiB chunks", chunk: 65536 }],
  memory: "peak",
  async run({ client, options, window }) {
    const body = { size: bodyMiB(options) * MiB, chunk: options.chunk! }
    let recording = false
    let bytes = 0
    const times = new Times()

    const bodies = async () => {
      for (;;) {
        const check = new BodyCheck()
        await client.down!(body, (chunk) => {
          check.add(chunk)
          if (recording) bytes += chunk.length
        })
        check.end(body.size)
      }
    }
    const calls = async () => {
      for (;;) {
        let left = 1
        await smallCalls(client.small!, () => left-- > 0, (time) => recording && times.add(time))
        await sleep(pause)
      }
    }
    const measure = async () => {
      await sleep(options.warmup * 1000)
      await window.begin()
      recording = true
      await sleep(options.seconds * 1000)
      recording = false
      await window.end()
      return { count: bytes / MiB, metrics: { ...times.percentiles, "calls": times.count } }
    }
    // What goes on then ends with the process
    return Promise.race([measure(), bodies(), bodies(), calls()])
  }
}

export default scenario
