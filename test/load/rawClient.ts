/**
 * Clients that are sockets of TCP and little else: thousands of them cost their process next to nothing.
 */
import * as Net from "node:net"

/** A WebSocket frame, masked with zeros. */
export const message = (payload: Uint8Array, opcode = 2): Buffer => {
  const { length } = payload
  const size = length < 126
    ? [0x80 | length]
    : length < 65_536
    ? [0x80 | 126, length >> 8, length & 255]
    : [0x80 | 127, 0, 0, 0, 0, length >>> 24, (length >> 16) & 255, (length >> 8) & 255, length & 255]
  return Buffer.concat([Buffer.from([0x80 | opcode, ...size, 0, 0, 0, 0]), payload])
}

const text = (json: unknown) => message(Buffer.from(JSON.stringify(json)), 1)

const windows = { streamWindow: 2 ** 31 - 1, connectionWindow: 2 ** 31 - 1 }

const handshake = (wire: string, windowMillis: number) =>
  wire === "v1"
    ? [text({ Type: "ClientHandshakeMetaData", Meta: null }), text({ Type: "ClientHandshakeAckFrame" })] as const
    : [
      text({
        type: "hello",
        version: 2,
        settings: windows,
        ...(windowMillis > 0 ? { session: { windowMillis, replayBuffer: 32_768 } } : undefined)
      }),
      text({ type: "ready" })
    ] as const

export const connect = (url: string): Net.Socket => {
  const { hostname, port } = new URL(url)
  return Net.connect(Number(port), hostname)
}

/**
 * Asks for an upgrade, and does the handshake of a wire; a streaming call, and a WebSocket of a `bare` server, begin with their
 * upgrade. `done` is told whether that was accepted. `windowMillis`: how long its session may be resumed, 0 for none.
 */
export const dial = (
  socket: Net.Socket,
  url: string,
  wire: string,
  done: (isOpen: boolean) => void,
  windowMillis = 0
): void => {
  const { host, pathname } = new URL(url)
  const [hello, ready] = handshake(wire, windowMillis)
  let told = false
  const tell = (isOpen: boolean) => {
    if (!told) done(isOpen)
    told = true
  }
  socket.once("close", () => tell(false))
  socket.write([
    `GET ${pathname} HTTP/1.1`,
    `host: ${host}`,
    "connection: upgrade",
    "upgrade: websocket",
    "sec-websocket-version: 13",
    "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
    ...wire !== "v2" ? [] : ["sec-websocket-protocol: swaggersocket.v2"],
    "",
    ""
  ].join("\r\n"))
  socket.once("data", (answer) => {
    if (!answer.toString("latin1").startsWith("HTTP/1.1 101")) return tell(false)
    if (wire === "streaming" || wire === "bare") return tell(true)
    socket.write(hello)
    socket.once("data", () => {
      socket.write(ready)
      tell(true)
    })
  })
}
