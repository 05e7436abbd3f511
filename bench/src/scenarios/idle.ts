import { setTimeout as sleep } from "node:timers/promises"
import { connectAll } from "../connectAll.ts"
import { smallCalls } from "../load.ts"
import type { Scenario } from "../scenario.ts"

const scenario: Scenario = {
  name: "idle",
  title: "connections that are opened, 64 at a time, and stay without a call",
  needs: ["connection"],
  peers: ["ws", "upgrade", "socketio", "rpc", "swaggersocket", "swaggersocket-no-sessions"],
  unit: { name: "connections", per: 10_000 },
  variants: [{ label: "10,000 connections", connections: 10_000, rounds: 2 }],
  memory: "left",
  async run({ connect, options, window }) {
    const count = Math.round(options.connections! * options.scale)
    await window.begin()
    const start = performance.now()
    const clients = await connectAll(count, connect)
    const seconds = (performance.now() - start) / 1000
    await sleep(1000)
    await window.end()
    // They are there: each answers, where there are answers
    await Promise.all(clients.map(async ({ small }) => {
      let left = 1
      if (small !== undefined) await smallCalls(small, () => left-- > 0, () => {})
    }))
    return { count, seconds }
  }
}

export default scenario
