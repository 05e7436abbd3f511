/**
 * The short form of `npm run endurance` (bench/ENDURANCE.md): the packed package, hubs and devices that are called in a loop
 * while links are cut, devices come and go, and processes of both are killed and restarted.
 */
import { assert, describe, it } from "vitest"
import { barTable } from "../../bench/endurance/report.ts"
import { endure, isMet } from "../../bench/endurance/run.ts"
import { extent } from "../support/extent.ts"

const connections = extent("ENDURANCE_CONNECTIONS", 120, 1000)
const seconds = extent("ENDURANCE_SECONDS", 12, 120)

describe("endurance", () => {
  it(
    `${connections} connections survive ${seconds} s of cuts, churn, kills and restarts: no call is lost, and nothing grows`,
    { timeout: (seconds + 600) * 1000 },
    async () => {
      const printed: Array<string> = []
      const result = await endure({
        connections,
        restarted: Math.round(connections / 6),
        seconds,
        rate: connections,
        cuts: connections / 40,
        // A silent link keeps its calls for up to 45 seconds.
        silence: seconds > 60 ? 0.02 : 0,
        churn: connections / 100,
        kinds: ["cut", "churned", "killed"],
        // What is compiled within the first minute.
        slack: 48,
        print: (text) => printed.push(text)
      })
      console.log(printed.join("\n"))
      assert.isAbove(result.judgement.outcomes.completed!, connections * 2)
      assert.isTrue(isMet(result), `${barTable(result.bars)}\n${result.problems.join("\n")}`)
    }
  )
})
