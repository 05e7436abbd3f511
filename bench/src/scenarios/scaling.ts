import { connectAll } from "../connectAll.ts"
import { load } from "../load.ts"
import type { Scenario } from "../scenario.ts"

const unit = { name: "calls", per: 100_000 }

export const connections: Scenario = {
  name: "connections",
  title: "one small call in flight on each of so many connections",
  needs: ["connection", "small"],
  peers: ["ws", "rpc", "http2", "swaggersocket"],
  unit,
  variants: [1, 10, 100, 1000, 10_000].map((connections) => ({
    label: `${connections} connections`,
    connections,
    rounds: connections > 1000 ? 1 : 2
  })),
  async run({ client, connect, options, window }) {
    const clients = await connectAll(options.connections! - 1, connect)
    return load([client, ...clients].map(({ small }) => small!), options, window)
  }
}

export const streams: Scenario = {
  name: "streams",
  title: "so many small calls in flight on one connection",
  needs: ["connection", "streams"],
  peers: ["ws", "rpc", "http2", "swaggersocket-streams"],
  unit,
  variants: [1, 100, 1000, 10_000].map((concurrency) => ({
    label: `${concurrency} streams`,
    concurrency,
    rounds: 2
  })),
  run: ({ client, options, window }) => load(Array(options.concurrency!).fill(client.streams!), options, window)
}
