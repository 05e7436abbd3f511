/**
 * What wire v1 needs of a WebSocket besides messages: pings, pongs, and to be told when it has closed.
 */

type Listener = (data: Uint8Array) => void

export type Control = "Ping" | "Pong"

/** The socket that controls belong to. */
export interface Controlled {
  readonly isOver: boolean
  readonly sendControl: (control: Control, data: Uint8Array) => void
}

const open = 1
const closed = 3

/** As much of the WebSocket of `ws` as the package uses on a link that is made already. */
export class Controls {
  readonly #socket: Controlled
  readonly #listeners: Record<"ping" | "pong", Array<Listener>> = { ping: [], pong: [] }
  readonly #onClose: Array<() => void> = []

  constructor(socket: Controlled) {
    this.#socket = socket
  }

  // --- as the package uses it ---------------------------------------------------------------------------------------

  get readyState(): number {
    return this.#socket.isOver ? closed : open
  }

  ping(data: Uint8Array): void {
    this.#socket.sendControl("Ping", data)
  }

  on(event: "ping" | "pong", listener: Listener): void {
    this.#listeners[event].push(listener)
  }

  addEventListener(_event: "close", listener: () => void): void {
    this.#onClose.push(listener)
  }

  /** Tells a WebSocket of Node from others. */
  terminate(): void {}

  // --- as its socket uses it ----------------------------------------------------------------------------------------

  arrive(control: Control, data: Uint8Array): void {
    // Pings are answered by the platform.
    if (control === "Ping") this.#socket.sendControl("Pong", data)
    for (const listener of this.#listeners[control === "Ping" ? "ping" : "pong"]) listener(data)
  }

  closed(): void {
    for (const listener of this.#onClose.splice(0)) listener()
  }
}
