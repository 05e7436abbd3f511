/**
 * The main function of a forked process: one side of one peer for one run.
 */
import type { Role, ToDriver, ToWorker, Usage } from "./messages.ts"
import { Meter } from "./meter.ts"
import type { Client, Peer } from "./peer.ts"
import type { Window } from "./scenario.ts"
import { scenarios } from "./scenarios/index.ts"

const tell = (message: ToDriver) => process.send!(message)
const hear = (message: ToWorker) =>
  new Promise<void>((resolve) => {
    const listener = (heard: unknown) => {
      if (heard !== message) return
      process.off("message", listener)
      resolve()
    }
    process.on("message", listener)
  })

const serve = async (peer: Peer, meter: Meter) => {
  const port = await peer.serve()
  meter.ready()
  tell({ type: "ready", port, title: peer.title })
  await hear("begin")
  await meter.begin()
  tell({ type: "began" })
  await hear("end")
  tell({ type: "usage", usage: await meter.end() })
}

const call = async (peer: Peer, meter: Meter, { options, port, ...role }: Role & { readonly side: "client" }) => {
  const scenario = scenarios.find(({ name }) => name === role.scenario)!
  const connect = () => peer.connect(port)
  const client = await connect()
  const operations = Object.keys(client) as Array<keyof Client>
  tell({ type: "connected", operations })
  // The driver ends this process
  if (!scenario.needs.every((need) => operations.includes(need))) return
  meter.ready()
  let usage: Usage | undefined
  const window: Window = {
    async begin() {
      tell({ type: "begin" })
      await hear("begin")
      await meter.begin()
    },
    async end() {
      tell({ type: "end" })
      usage = await meter.end()
    }
  }
  const measured = await scenario.run({ client, connect, options, window })
  tell({ type: "result", usage: usage!, measured })
}

/** Does not end by itself: the driver ends it. */
export const run = (peer: Peer) => {
  process.on("disconnect", () => process.exit())
  const fail = (error: unknown) => {
    console.error(error)
    process.exit(1)
  }
  const role: Role = JSON.parse(process.argv[2]!)
  const meter = new Meter(role.cpuProfile)
  if (role.side === "server") serve(peer, meter).catch(fail)
  else call(peer, meter, role).catch(fail)
}
