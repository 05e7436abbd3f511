/**
 * Many clients at once: `crowd.ts <url of the socket> <wire> <number of clients> <what they do>`.
 *
 * - `dial` connects all sockets first, and then asks for all upgrades at once.
 * - `die`, `dieWithSessions` and `dieForGood` open connections one after the other, and end the process when they are told to
 *   "go". Sessions of those who die for good expire after a second.
 * - `goodbye` opens them likewise, and then sends all close frames at once.
 */
import * as Effect from "effect/Effect"
import { once } from "node:events"
import { hear, main, type Message, tell } from "../../support/child.ts"
import { connect, dial, message } from "../rawClient.ts"

export interface Over extends Message {
  readonly type: "over"
  /** Clients that were accepted. */
  readonly accepted: number
}

const [url, wire, count, action] = process.argv.slice(2) as [string, string, string, string]
const clients = Array.from({ length: Number(count) })

/** How long a session may be resumed, in milliseconds. */
const windows: Readonly<Record<string, number>> = { dieWithSessions: 60_000, dieForGood: 1000 }

/** The server may drop a socket at any time. */
const quietly = () => connect(url).on("error", () => {})

const open = (socket: ReturnType<typeof connect>) =>
  new Promise<boolean>((resolve) => {
    const done = (isOpen: boolean) => {
      // A streaming endpoint may have no end of messages.
      if (wire === "streaming") socket.pause()
      resolve(isOpen)
    }
    dial(socket, url, wire, done, windows[action])
  })

const dialAtOnce = async () => {
  const sockets = clients.map(quietly)
  await Promise.all(sockets.map((socket) => once(socket, "connect")))
  const opened = await Promise.all(sockets.map(open))
  return opened.filter((isOpen) => isOpen).length
}

const dialInTurn = async () => {
  const sockets = []
  for (const _ of clients) {
    const socket = quietly()
    await once(socket, "connect")
    if (!await open(socket)) throw new Error("a client was refused")
    sockets.push(socket)
  }
  return sockets
}

const goodbye = message(Buffer.from([1000 >> 8, 1000 & 255]), 8)

main(Effect.gen(function*() {
  if (action === "dial") {
    yield* tell<Over>({ type: "over", accepted: yield* Effect.promise(dialAtOnce) })
    return
  }
  const sockets = yield* Effect.promise(dialInTurn)
  yield* tell({ type: "connected" })
  yield* hear("go")
  if (action !== "goodbye") process.kill(process.pid, "SIGKILL")
  const closed = sockets.map((socket) => once(socket.resume(), "close"))
  for (const socket of sockets) socket.write(goodbye)
  yield* Effect.promise(() => Promise.all(closed))
  yield* tell<Over>({ type: "over", accepted: sockets.length })
}))
