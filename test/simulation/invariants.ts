/**
 * What must be true of every run, whatever the plan.
 */
import type { Limits } from "effect-swaggersocket/Limits"
import type { SwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
import * as Effect from "effect/Effect"
import { peerOf } from "../../src/internal/connection/peer.ts"
import { planned } from "./api.ts"
import type { CallLog, Log, Read } from "./log.ts"
import type { Body, Call } from "./plan.ts"
import { ClientProgram } from "./programs.ts"
import type { World } from "./world.ts"

const strangers: ReadonlySet<string> = new Set(["REPLACED", "IDENTITY_REPLACED", "HANDSHAKE_INVALID"])

/**
 * What no event of a program tells when both ends keep the protocol: a violation, or, to a client that alone has its token, that
 * another one has it.
 */
export const eventFault = ({ message, reason }: SwaggerSocketError, isClient: boolean): string | undefined => {
  const isFault = reason._tag === "ProtocolViolation" && reason.code !== "HEARTBEAT_TIMEOUT"
  const isRobbed = isClient && reason._tag === "HandshakeRefused" && strangers.has(reason.code)
  return isFault || isRobbed ? message : undefined
}

/** The server has refused to go on with a connection. */
export const isRejection = ({ reason }: SwaggerSocketError): boolean =>
  (reason._tag === "SessionLost" && reason.because === "rejected") ||
  (reason._tag === "HandshakeRefused" && reason.code === "RESUME_REJECTED")

/** Connections that the server has refused to go on with, and which had not ended on its side. */
export const rejectionFaults = ({ endedAtServer, rejected }: Log): ReadonlyArray<string> =>
  rejected.filter((id) => !endedAtServer.has(id)).map((id) => `connection ${id} is rejected, and has not ended`)

/** A body that was read is a part of the one that was written, and all of it where its reader was told so. */
const bodyFault = (read: Read, body: Body): string | undefined => {
  if (read.isWrong || read.bytes > body.size) return "has bytes that were not written"
  if (read.isWhole && (read.bytes < body.size || body.failsAt !== undefined)) return "is taken for whole, and is not"
  return undefined
}

/** What is wrong with what has become of a call. */
export const callFaults = (call: Call, { caller, endings, executions }: CallLog): ReadonlyArray<string> => {
  const faults: Array<string> = []
  if (caller === undefined) {
    if (executions.length > 0) faults.push("was executed, and nobody has made it")
    return faults
  }
  // The caller's program may have been killed.
  if (endings.length !== 1 && (caller.isAlive || endings.length > 1)) faults.push(`has ended ${endings.length} times`)
  if (executions.length > 1) faults.push(`was executed ${executions.length} times`)
  for (const { request } of executions) {
    const fault = bodyFault(request, call.request)
    if (fault !== undefined) faults.push(`request ${fault}`)
  }
  for (const { failure, isGivenUp, outcome, response, status } of endings) {
    const fault = status === 200 ? bodyFault(response, call.response) : undefined
    if (fault !== undefined) faults.push(`response ${fault}`)
    const isAnswered = executions.some(({ end }) => end === "answered")
    if (status === 200 && !isAnswered) faults.push("has a response, and no handler has answered")
    if (status === 500 && !executions.some(({ end }) => end === "failed")) {
      faults.push("failed, and no handler has failed")
    }
    if (status !== undefined && status !== 200 && status !== 500) faults.push(`has status ${status}`)
    if (failure !== undefined && !isGivenUp) {
      if (outcome === undefined && status === undefined && !failure.includes(planned)) {
        faults.push(`failed without an outcome: ${failure}`)
      }
      if (outcome !== undefined && outcome !== "unknown" && executions.length > 0) {
        faults.push(`is ${outcome}, and was executed`)
      }
    }
  }
  return faults
}

/** Nothing of any exchange is left on an end. */
const endFaults = (connection: object, name: string): ReadonlyArray<string> => {
  const { mux, session } = peerOf(connection)
  const { local, remote, waiting } = mux.active
  const faults: Array<string> = []
  if (local + remote + waiting > 0) faults.push(`${name} has ${local} + ${remote} + ${waiting} streams at rest`)
  if (mux.unreadBytes !== 0) faults.push(`${name} has ${mux.unreadBytes} bytes unread at rest`)
  if ((mux.unsentBytes ?? 0) !== 0) faults.push(`${name} has ${mux.unsentBytes} bytes unsent at rest`)
  if (session !== undefined && session.bytes > 300 * 1024) faults.push(`${name} keeps ${session.bytes} bytes at rest`)
  return faults
}

/** Members of a multiplexer of wire v2 that only a test looks at. */
interface Credits {
  readonly outbound: { readonly credit: number }
  readonly credit: { readonly connection: { readonly available: number } }
}

/** At rest a sender has the credit that its receiver has given it: none is lost, and none is there twice. */
const creditFaults = (client: object, server: object): ReadonlyArray<string> => {
  const [near, far] = [client, server].map((end) => peerOf(end).mux as unknown as Credits)
  const pairs = [["client", near!, far!], ["server", far!, near!]] as const
  return pairs.flatMap(([name, sender, receiver]) => {
    const [has, given] = [sender.outbound.credit, receiver.credit.connection.available]
    return has === given ? [] : [`the ${name} has a credit of ${has}, and was given ${given}`]
  })
}

/** What a connection must not hold at any time. The last message that a replay buffer takes may lie over its bound. */
export const memoryFaults = (connection: object, name: string, limits: Limits, peer: Limits): ReadonlyArray<string> => {
  const { mux, session } = peerOf(connection)
  const faults: Array<string> = []
  const mostKept = limits.replayBuffer + peer.maxMessageSize
  if (session !== undefined && session.bytes > mostKept) {
    faults.push(`${name} keeps ${session.bytes} bytes, above ${mostKept}`)
  }
  const mostUnread = limits.maxUnread + limits.maxConnectionWindow
  if (mux.unreadBytes > mostUnread) faults.push(`${name} has ${mux.unreadBytes} unread bytes, above ${mostUnread}`)
  return faults
}

/** What is wrong once all calls have ended, and the network is whole. */
export const restFaults = (world: World): ReadonlyArray<string> => {
  const faults: Array<string> = []
  const { acceptor } = world.server!
  for (const driver of acceptor!.connections()) {
    faults.push(...endFaults(driver, `the server's end of client ${driver.metadata.name}`))
  }
  if (world.plan.wire === "v2") {
    for (const client of world.clients) {
      const status = Effect.runSync(client!.client!.status)
      const near = status._tag === "Connected" ? status.connection : undefined
      const far = acceptor!.connections().find(({ id }) => id === near?.id)
      if (near !== undefined && far !== undefined) faults.push(...creditFaults(near, far))
    }
  }
  const live = world.network.live.map(({ number }) => number)
  if (live.length !== world.plan.clients) faults.push(`links ${live.join(", ")} are open at rest`)
  return faults
}

/** What is wrong once all programs have left. */
export const endFaultsOf = (world: World): ReadonlyArray<string> => {
  const faults: Array<string> = []
  for (const link of world.network.live) faults.push(`link ${link.number} is open in the end`)
  for (const program of world.programs) {
    const { process } = program
    if (!process.isAlive) continue
    const name = program instanceof ClientProgram ? `client ${program.number}` : "the server"
    if (process.held > 0) faults.push(`${name} has not released ${process.held} of what it has acquired`)
    const timers = world.loop.waiting(process)
    if (timers > 0) faults.push(`${name} has left ${timers} timers`)
  }
  return faults
}
