/**
 * Credit is conserved: once all that was sent has been acted on, each sender has the credit that its receiver has given it, none
 * is lost, and none is there twice.
 */
import * as Effect from "effect/Effect"
import type { ConnectionDriver } from "../../src/internal/connection/types.ts"
import type { ReceiveCredit } from "../../src/internal/streams/flowControl.ts"
import type { OpenStreams } from "../../src/internal/streams/openStreams.ts"
import type { Outbound } from "../../src/internal/streams/outbound.ts"
import type { ClientProgram } from "./programs.ts"
import type { World } from "./world.ts"

/** Members of a multiplexer of wire v2 that only a test looks at. */
interface Members {
  readonly credit: ReceiveCredit
  readonly outbound: Outbound
  readonly streams: OpenStreams
}

/** A session that keeps fewer bytes has room, whatever its limit. */
const hasRoom = 32_768

/** Nothing waits to be sent. */
const isQuiet = ({ mux, now, session }: ConnectionDriver<unknown, unknown>): boolean => {
  const { outbound } = mux as unknown as Members
  const sends = session === undefined || (!session.isReplaying && session.bytes < hasRoom)
  return now === "open" && sends && outbound.provoked === 0
}

/** One direction: what the sender has, and what the receiver has given. */
const directionFaults = (name: string, sender: Members, receiver: Members): ReadonlyArray<string> => {
  const faults: Array<string> = []
  const [has, given] = [sender.outbound.credit, receiver.credit.connection.available]
  if (has !== given) faults.push(`the ${name} has a credit of ${has}, and was given ${given}`)
  for (const { credit, id, state } of sender.streams.toArray()) {
    const stream = receiver.streams.get(id)
    if (stream === undefined) faults.push(`the ${name} alone has stream ${id}`)
    else if (state.local !== "end" && credit !== stream.window.available) {
      faults.push(`the ${name} has a credit of ${credit} on stream ${id}, and was given ${stream.window.available}`)
    }
  }
  return faults
}

/** Looks at the connection of a client, if nothing of it is on its way. */
export const creditFaults = (world: World, program: ClientProgram): ReadonlyArray<string> => {
  if (!world.loop.isIdle || program.process.held !== undefined) return []
  const status = program.client && Effect.runSync(program.client.status)
  if (status?._tag !== "Connected" || program.newest?.isQuiet !== true) return []
  const near = status.connection as ConnectionDriver<unknown, unknown> & { readonly link?: unknown }
  // The newest link may be that of another connection, which the server has retired.
  if (near.link !== program.newest.client) return []
  const far = world.server?.acceptor?.connections().find(({ id }) => id === near.id)
  if (far === undefined || world.server!.process.held !== undefined || !isQuiet(near) || !isQuiet(far)) return []
  const [client, server] = [near.mux as unknown as Members, far.mux as unknown as Members]
  return [...directionFaults("client", client, server), ...directionFaults("server", server, client)]
}
