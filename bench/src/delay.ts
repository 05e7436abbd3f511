/**
 * The main function of a process that stands for a long way: what it takes on a port of its own goes on to another one
 * after a while, however much that is.
 */
import { connect, createServer, type Socket } from "node:net"
import type { Delay, ToDriver } from "./messages.ts"

const role: Delay = JSON.parse(process.argv[2]!)

const pass = (from: Socket, to: Socket) => {
  const underway: Array<{ readonly due: number; readonly arrive: () => void }> = []
  const deliver = () => {
    const now = performance.now()
    while (underway.length > 0 && underway[0]!.due <= now) underway.shift()!.arrive()
    if (underway.length > 0) setTimeout(deliver, underway[0]!.due - now)
  }
  const send = (arrive: () => void) => {
    underway.push({ due: performance.now() + role.milliseconds, arrive })
    if (underway.length === 1) setTimeout(deliver, role.milliseconds)
  }
  from.on("data", (bytes) => send(() => to.write(bytes)))
  from.on("end", () => send(() => to.end()))
  from.on("error", () => to.destroy())
}

const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
  const far = connect({ host: "127.0.0.1", port: role.port, allowHalfOpen: true, noDelay: true })
  pass(near, far)
  pass(far, near)
})
server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("not a TCP address")
  process.send!({ type: "ready", port: address.port, title: "" } satisfies ToDriver)
})
process.on("disconnect", () => process.exit())
