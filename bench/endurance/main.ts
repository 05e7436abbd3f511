/**
 * `npm run endurance`: an hour of 10,000 connections; `npm run endurance -- --connections 1000 --seconds 300` is shorter.
 */
import { parseArgs } from "node:util"
import type { Kind } from "./messages.ts"
import { endure, isMet } from "./run.ts"

const { values } = parseArgs({
  options: {
    connections: { type: "string", default: "10000" },
    restarted: { type: "string" },
    seconds: { type: "string", default: "3600" },
    rate: { type: "string", default: "1000" },
    cuts: { type: "string", default: "12" },
    silence: { type: "string", default: "0.02" },
    churn: { type: "string", default: "2" },
    kinds: { type: "string", default: "cut,cut,churned,killed,killed,killed,killed,killed" },
    slack: { type: "string", default: "0" },
    package: { type: "string" },
    keep: { type: "boolean", default: false }
  }
})

const connections = Number(values.connections)

const result = await endure({
  connections,
  restarted: values.restarted === undefined ? Math.round(connections / 10) : Number(values.restarted),
  seconds: Number(values.seconds),
  rate: Number(values.rate),
  cuts: Number(values.cuts),
  silence: Number(values.silence),
  churn: Number(values.churn),
  kinds: values.kinds.split(",") as ReadonlyArray<Kind>,
  slack: Number(values.slack),
  archive: values.package,
  keep: values.keep,
  print: console.log
})
console.log(isMet(result) ? "PASSED" : "FAILED")
process.exit(isMet(result) ? 0 : 1)
