/**
 * Cuts links of this process at random, at the socket below them: the package is told nothing of it.
 */
import { subscribe } from "node:diagnostics_channel"
import type { Socket } from "node:net"

const sockets = new Set<Socket>()

const keep = (message: unknown): void => {
  const { socket } = message as { readonly socket: Socket }
  sockets.add(socket)
  socket.once("close", () => sockets.delete(socket))
}

/** From now on the sockets of this process are known. */
export const watchSockets = (): void => {
  subscribe("net.client.socket", keep)
  subscribe("net.server.socket", keep)
}

export const cuts = { ended: 0, reset: 0, silenced: 0 }

/** Ends, resets or silences one of the sockets. */
const cut = (socket: Socket, silence: number): void => {
  if (Math.random() < silence) {
    // Nothing is read any more until the heartbeat notices.
    socket.pause()
    cuts.silenced++
  } else if (Math.random() < 0.5) {
    socket.resetAndDestroy()
    cuts.reset++
  } else {
    socket.destroy()
    cuts.ended++
  }
}

/** Cuts so many links, any of those that are open. */
export const cutSome = (count: number, silence: number): void => {
  const all = [...sockets]
  for (let index = 0; index < count && all.length > 0; index++) {
    cut(all[Math.floor(Math.random() * all.length)]!, silence)
  }
}
