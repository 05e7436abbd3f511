import { checkItem, firstId } from "../content.ts"
import { repeat } from "../load.ts"
import type { Scenario } from "../scenario.ts"

const scenario: Scenario = {
  name: "items",
  title: "200,000 items of 110 bytes of JSON in one stream",
  needs: ["items"],
  unit: { name: "items", per: 100_000 },
  variants: [{ label: "one stream" }],
  memory: "peak",
  run({ client, options, window }) {
    const count = Math.round(200_000 * options.scale)
    const read = async () => {
      let next = firstId
      await client.items!(count, (item) => checkItem(next++, item))
      if (next !== firstId + count) throw new Error(`${next - firstId} items instead of ${count}`)
    }
    return repeat(count, read, options, window)
  }
}

export default scenario
