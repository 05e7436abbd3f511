/**
 * What the handshake of a WebSocket has over HTTP/1.1 and not inside a connection.
 */
import { createHash } from "node:crypto"

/** The value that a server makes of the key of a handshake (RFC 6455 section 4.2.2). @internal */
export const acceptanceOf = (key: string): string =>
  createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")

/** @internal */
export const isWebSocket = (protocol: string | undefined): boolean => protocol?.toLowerCase() === "websocket"
