/**
 * What must be true of every run, whatever the plan.
 */
import type { SwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
import { peerOf } from "../../src/internal/connection/peer.ts"
import { creditFaults } from "./credit.ts"
import type { CallLog, Log, Read } from "./log.ts"
import { type Body, type Call, mayUpgrade, type Plan } from "./plan.ts"
import { planned } from "./planned.ts"
import { ClientProgram } from "./programs.ts"
import type { World } from "./world.ts"

/** What is said to a client only because of another one. */
const strangers: ReadonlySet<string> = new Set(["REPLACED", "IDENTITY_REPLACED", "HANDSHAKE_INVALID"])

/**
 * What no event of a program tells when both ends keep the protocol: a violation, or that somebody else has the token or the
 * identity of a client; unless it is a code that is pardoned in this plan.
 */
export const eventFault = (
  { message, reason }: SwaggerSocketError,
  pardons: ReadonlySet<string>
): string | undefined => {
  if (!("code" in reason) || pardons.has(String(reason.code))) return undefined
  const isFault = reason._tag === "ProtocolViolation" && reason.code !== "HEARTBEAT_TIMEOUT"
  const isRobbed = reason._tag === "HandshakeRefused" && strangers.has(reason.code)
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

/**
 * Why a call may have a status that no handler has given: its handler was interrupted, because its program leaves. A peer of wire
 * v1 is told so that it is not served now, that its handler takes too long or was interrupted because the connection closes, or
 * that the body of its response has failed at once.
 */
const statusFault = (
  status: number,
  { executions }: CallLog,
  { response, to, upgrade }: Call,
  plan: Plan
): string | undefined => {
  const has = (end: "answered" | "failed" | "interrupted") => executions.some((execution) => execution.end === end)
  const { wire } = plan
  if (status === 101) {
    return executions.some(({ isUpgraded }) => isUpgraded) ? undefined : "is upgraded, and no handler has done that"
  }
  if (status === 426 && upgrade !== undefined && !mayUpgrade(plan)) return undefined
  if (status === 200) return has("answered") ? undefined : "has a response, and no handler has answered"
  if (status === 500) {
    const isSpoilt = wire === "v1" && (has("interrupted") || response.failsAt !== undefined)
    return has("failed") || isSpoilt ? undefined : "failed, and no handler has failed"
  }
  // The server leaves, which waits for the client that the call is for.
  if (status === 503 && to !== undefined) return undefined
  if (status === 503 && (has("interrupted") || (wire === "v1" && executions.length === 0))) return undefined
  return wire === "v1" && status === 504 ? undefined : `has status ${status}`
}

/** What is wrong with what has become of a call. */
export const callFaults = (call: Call, log: CallLog, plan: Plan): ReadonlyArray<string> => {
  const { caller, endings, executions } = log
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
    const fault = status === 200 || status === 101 ? bodyFault(response, call.response) : undefined
    if (fault !== undefined) faults.push(`response ${fault}`)
    const wrong = status === undefined ? undefined : statusFault(status, log, call, plan)
    if (wrong !== undefined) faults.push(wrong)
    if (failure !== undefined && !isGivenUp) {
      if (outcome === undefined && status === undefined && !failure.includes(planned)) {
        faults.push(`failed without an outcome: ${failure}`)
      }
      if (status === 101 && !failure.includes(planned)) faults.push(`can't use its upgrade: ${failure}`)
      if (outcome !== undefined && outcome !== "unknown" && executions.length > 0) {
        faults.push(`is ${outcome}, and was executed`)
      }
    }
  }
  return faults
}

/** Something of its plan ends an upgrade before both ends have sent everything. */
const breaksOff = ({ handling, patience, request, response }: Call): boolean =>
  patience !== undefined || request.failsAt !== undefined || response.failsAt !== undefined ||
  handling.ends !== "answers"

/** What is wrong with what has become of upgrades. A connection that has ended may have ended them. */
export const upgradeFaults = ({ log, plan, programs }: World): ReadonlyArray<string> => {
  const isWhole = !log.hasLostConnection && programs.length === plan.clients + 1
  const faults: Array<string> = []
  log.calls.forEach(({ endings, executions }, id) => {
    const call = plan.calls[id]
    if (call?.upgrade === undefined) return
    const upgraded = executions.filter((execution) => execution.isUpgraded)
    if (upgraded.length > 0 && !mayUpgrade(plan)) faults.push(`call ${id} is upgraded, which an end does not know`)
    if (!isWhole || breaksOff(call)) return
    const reads = [...upgraded.map(({ request }) => request), ...endings.map(({ response }) => response)]
    if (reads.some(({ isLost }) => isLost)) faults.push(`call ${id} breaks off, and nothing is in its way`)
  })
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

/** What is wrong once all calls have ended, and the network is whole. */
export const restFaults = (world: World): ReadonlyArray<string> => {
  const faults: Array<string> = []
  const { acceptor } = world.server!
  for (const driver of acceptor!.connections()) {
    faults.push(...endFaults(driver, `the server's end of client ${driver.metadata.name}`))
  }
  if (world.plan.wire === "v2") {
    for (const client of world.clients) faults.push(...creditFaults(world, client!))
  }
  world.log.calls.forEach(({ executions }, id) => {
    const isRunning = executions.some(({ end, program }) => end === undefined && program.isAlive)
    if (isRunning) faults.push(`the handler of call ${id} still runs at rest`)
  })
  const kept = acceptor!.connections().length
  if (kept !== world.plan.clients) faults.push(`the server has ${kept} connections at rest`)
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
    if (process.acquired > 0) faults.push(`${name} has not released ${process.acquired} of what it has acquired`)
    const timers = world.loop.waiting(process)
    if (timers > 0) faults.push(`${name} has left ${timers} timers`)
  }
  return faults
}
