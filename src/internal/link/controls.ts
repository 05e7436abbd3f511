/**
 * Pings and pongs of the WebSocket itself (RFC 6455 section 5.5): wire v1 and streaming endpoints have no others.
 */
import { isNodeWebSocket, type Link } from "./link.ts"

/** Pings of the peer are answered by the platform. @internal */
export interface Controls {
  readonly ping: (data: Uint8Array) => void
  readonly listen: (onPing: (data: Uint8Array) => void, onPong: (data: Uint8Array) => void) => void
}

/** Absent where the platform has none. @internal */
export const controlsOf = ({ webSocket: ws }: Link): Controls | undefined =>
  isNodeWebSocket(ws)
    ? {
      ping: (data) => ws.ping(data),
      listen(onPing, onPong) {
        ws.on("ping", onPing)
        ws.on("pong", onPong)
      }
    }
    : undefined
