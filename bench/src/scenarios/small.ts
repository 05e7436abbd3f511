import { firstId, item } from "../content.ts"
import { load } from "../load.ts"
import type { Scenario } from "../scenario.ts"

/** Whom to measure where not all are of interest. */
const peers = ["ws", "rsocket", "rpc", "http", "http2", "swaggersocket"]

const scenario: Scenario = {
  name: "small",
  title: `GET of a ${JSON.stringify(item(firstId)).length} byte JSON answer, 5 request headers`,
  needs: ["small"],
  unit: { name: "calls", per: 100_000 },
  variants: [
    { label: "1 in flight", concurrency: 1, rounds: 2 },
    { label: "16 in flight", concurrency: 16, rounds: 2, peers },
    { label: "64 in flight", concurrency: 64 },
    { label: "256 in flight", concurrency: 256, rounds: 2, peers }
  ],
  run: ({ client, options, window }) => load(Array(options.concurrency!).fill(client.small!), options, window)
}

export default scenario
