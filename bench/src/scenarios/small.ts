import { load } from "../load.ts"
import { item } from "../peer.ts"
import type { Scenario } from "../scenario.ts"

const scenario: Scenario = {
  name: "small",
  title: `GET of a ${JSON.stringify(item(100_000)).length} byte JSON answer, 5 request headers`,
  unit: { name: "calls", per: 100_000 },

  run(client, options, window) {
    if (client.small === undefined) throw new Error("the peer has no small call")
    let next = 0
    return load(client.small, options, window, {
      input: () => 100_000 + next++ % 900_000,
      check(id, answer) {
        const expected = item(id)
        return answer.id === expected.id && answer.name === expected.name && answer.site === expected.site &&
          answer.state === expected.state && answer.temperature === expected.temperature &&
          answer.seenAt === expected.seenAt
      }
    })
  }
}

export default scenario
