/**
 * The main function of a forked process: one side of one peer for one run.
 */
import { writeFile } from "node:fs/promises"
import { Session } from "node:inspector/promises"
import type { Role, ToDriver, ToWorker } from "./messages.ts"
import type { Peer } from "./peer.ts"
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

/** Time, CPU time and on demand a CPU profile from `begin` to `end`. */
const makeMeter = (cpuProfile: string | undefined) => {
  const session = new Session()
  let start = 0
  let usage = process.cpuUsage()
  return {
    async begin() {
      if (cpuProfile !== undefined) {
        session.connect()
        await session.post("Profiler.enable")
        await session.post("Profiler.start")
      }
      usage = process.cpuUsage()
      start = performance.now()
    },
    async end() {
      const seconds = (performance.now() - start) / 1000
      const { system, user } = process.cpuUsage(usage)
      if (cpuProfile !== undefined) {
        const { profile } = await session.post("Profiler.stop")
        await writeFile(cpuProfile, JSON.stringify(profile))
      }
      return { seconds, cpu: (system + user) / 1e6 }
    }
  }
}

const serve = async (peer: Peer, meter: ReturnType<typeof makeMeter>) => {
  const port = await peer.serve()
  tell({ type: "ready", port, title: peer.title })
  await hear("begin")
  await meter.begin()
  tell({ type: "began" })
  await hear("end")
  const { cpu } = await meter.end()
  tell({ type: "usage", cpu })
}

const call = async (peer: Peer, meter: ReturnType<typeof makeMeter>, role: Role & { side: "client" }) => {
  const scenario = scenarios.find(({ name }) => name === role.scenario)!
  let metered = { seconds: 0, cpu: 0 }
  const window: Window = {
    async begin() {
      tell({ type: "begin" })
      await hear("begin")
      await meter.begin()
    },
    async end() {
      tell({ type: "end" })
      metered = await meter.end()
    }
  }
  const client = await peer.connect(role.port)
  const measured = await scenario.run(client, role.options, window)
  tell({ type: "result", ...metered, ...measured })
}

/** Does not end by itself: the driver ends it. */
export const run = (peer: Peer) => {
  process.on("disconnect", () => process.exit())
  const fail = (error: unknown) => {
    console.error(error)
    process.exit(1)
  }
  const role: Role = JSON.parse(process.argv[2]!)
  const meter = makeMeter(role.cpuProfile)
  if (role.side === "server") serve(peer, meter).catch(fail)
  else call(peer, meter, role).catch(fail)
}
