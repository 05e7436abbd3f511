/**
 * Exchanges that Go's programs can have and that no transcript holds, in the shape of one: bytes that are no UTF-8 in text
 * messages, and trailers.
 */
import type { Line } from "./transcript.ts"

/** Those of RFC 6455 section 1.3. */
const upgrade: ReadonlyArray<Line> = [
  {
    type: "http",
    conn: 1,
    dir: "c2s",
    head: "GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: Go-http-client/1.1\r\nConnection: Upgrade\r\n" +
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n\r\n"
  },
  {
    type: "http",
    conn: 1,
    dir: "s2c",
    head: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
  }
]

const message = (dir: "c2s" | "s2c", data: Buffer, frames?: ReadonlyArray<number>): Line => ({
  type: "message",
  conn: 1,
  dir,
  opcode: "text",
  data,
  frames
})

const handshake: ReadonlyArray<Line> = [
  message("c2s", Buffer.from(`{"Type":"ClientHandshakeMetaData","Meta":null}\n`)),
  message(
    "s2c",
    Buffer.from(`{"Type":"ServerHandshakeConnectionID","ConnectionID":"0c4f6f2c-5d67-4a55-8f43-1d6a7b0f9a11"}\n`)
  ),
  message("c2s", Buffer.from(`{"Type":"ClientHandshakeAckFrame"}\n`))
]

const bytes = (...parts: ReadonlyArray<string | Buffer>): Buffer =>
  Buffer.concat(parts.map((part) => typeof part === "string" ? Buffer.from(part) : part))

/** No part of it is UTF-8. */
const noText = (length: number): Buffer => Buffer.alloc(length, Buffer.from([0xff, 0xc0, 0x80, 0xed, 0xa0, 0x80, 0x00]))

const id = "X-Correlation-Id: 5d8a8c43-0c7e-4f65-9d1b-7a3fd1c6a0e2\r\n"

/** A call of either end, and its answer in messages, each in frames of these sizes. */
const exchange = (
  caller: "c2s" | "s2c",
  request: Buffer,
  answers: ReadonlyArray<readonly [data: Buffer, frames?: ReadonlyArray<number>]>
): ReadonlyArray<Line> => [
  ...upgrade,
  ...handshake,
  message(caller, request),
  ...answers.map(([data, frames]) => message(caller === "c2s" ? "s2c" : "c2s", data, frames)),
  { type: "tcp", conn: 1, dir: "c2s", event: "fin" },
  { type: "tcp", conn: 1, dir: "s2c", event: "fin" }
]

const get = bytes("GET /a HTTP/1.1\r\nHost: h\r\nUser-Agent: Go-http-client/1.1\r\n", id, "\r\n")

const upload = bytes(
  "POST /bodynow HTTP/1.1\r\nHost: h\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: 600\r\n",
  id,
  "\r\n",
  noText(600)
)

const received = bytes("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n", id, "\r\n600 <nil>")

const whole = bytes("HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n", id, "\r\n", noText(3000))

const flushed = bytes("HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n", id, "\r\n")

const chunk = bytes("7\r\n", noText(7), "\r\n")

const pieces = [
  [flushed],
  [chunk],
  [chunk, [4, 8, 0]],
  [bytes("0\r\nX-Sum: 42\r\n\r\n")]
] as const

export const unrecorded: Readonly<Record<string, ReadonlyArray<Line>>> = {
  "a request of a client that is no text": exchange("c2s", upload, [[received]]),
  "a request of a server that is no text": exchange("s2c", upload, [[received]]),
  "an answer of a server that is no text, in frames": exchange("c2s", get, [[whole, [
    1024,
    1024,
    whole.length - 2048
  ]]]),
  "an answer of a client that is no text, in frames": exchange("s2c", get, [[whole, [4096, 0]]]),
  "an answer of a server in pieces, with trailers": exchange("c2s", get, pieces),
  "an answer of a client in pieces, with trailers": exchange("s2c", get, pieces)
}
