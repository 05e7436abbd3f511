/**
 * Messages of wire v1 at random: right ones, and what becomes of them when something goes wrong.
 */
import type { Random } from "../support/random.ts"
import { bytesOf } from "./machine.ts"

const methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "X-OTHER"]
const targets = ["/", "/a?b=c", "*", "http://host/x", `/${"long".repeat(50)}`]
const names = ["Host", "Content-Type", "X-A", "x-b", "Accept", "Connection", "Expect", "Cookie", "X-Correlation-Id"]
const values = ["", "v", "text/plain; charset=utf-8", "zażółć 🐙", "close", "100-continue", "1, 2", "x".repeat(300)]

const fieldsOf = (random: Random): Array<string> =>
  Array.from({ length: random.int(4) }, () => `${random.pick(names)}: ${random.pick(values)}`)

const bodyOf = (random: Random): string => "0123456789abcdef".repeat(random.skewed(200)).slice(0, random.skewed(3000))

const chunked = (random: Random, body: string): string => {
  let text = ""
  for (let at = 0; at < body.length;) {
    const size = 1 + random.int(body.length)
    const part = body.slice(at, at + size)
    text += `${part.length.toString(16)}${random.chance(0.1) ? ";ext=\"x\"" : ""}\r\n${part}\r\n`
    at += size
  }
  return `${text}0\r\n${random.chance(0.1) ? "X-Sum: 42\r\n" : ""}\r\n`
}

const framed = (random: Random, start: string, fields: ReadonlyArray<string>, body: string): string => {
  const [framing, text] = random.chance(0.5)
    ? [`Content-Length: ${body.length}`, body]
    : ["Transfer-Encoding: chunked", chunked(random, body)]
  return [start, ...fields, framing, "", text].join("\r\n")
}

export const validRequest = (random: Random): string => {
  const start = `${random.pick(methods)} ${random.pick(targets)} HTTP/1.${random.chance(0.9) ? 1 : 0}`
  const fields = fieldsOf(random)
  return random.chance(0.5) ? [start, ...fields, "", ""].join("\r\n") : framed(random, start, fields, bodyOf(random))
}

/** To a call of this method; `id`: its own, if there is one. */
export const validResponse = (random: Random, method: string, id: string | undefined): string => {
  const interim = random.chance(0.05) ? "HTTP/1.1 100 Continue\r\n\r\n" : ""
  const fields = fieldsOf(random).filter((field) => !field.startsWith("X-Correlation"))
  if (id !== undefined && random.chance(0.8)) fields.push(`X-Correlation-Id: ${id}`)
  const status = random.pick([200, 200, 200, 201, 204, 304, 404, 500])
  const start = `HTTP/1.1 ${status} Reason`
  return interim +
    (method === "HEAD" || status === 204 || status === 304
      ? [start, ...fields, "", ""].join("\r\n")
      : framed(random, start, fields, bodyOf(random)))
}

const meta = [
  "null",
  "{\"name\":\"x\"}",
  "[1,2,[3]]",
  "\"text\"",
  "1e999",
  "{\"a\":{\"b\":null}}",
  `${"[".repeat(2000)}${"]".repeat(2000)}`
]

/** A message of the handshake; `kinds` are those to choose from. */
export const handshakeMessage = (random: Random, kinds = ["meta", "id", "ack"]): string => {
  const cased = (key: string) => random.pick([key, key, key.toLowerCase(), key.toUpperCase()])
  const extra = random.chance(0.2) ? ",\"More\":{\"x\":[]},\"__proto__\":{\"type\":1},\"constructor\":null" : ""
  const rest = {
    meta: () => `"ClientHandshakeMetaData"${random.chance(0.9) ? `,"${cased("Meta")}":${random.pick(meta)}` : ""}`,
    id: () =>
      `"ServerHandshakeConnectionID","${cased("ConnectionID")}":${random.pick(["\"some-id\"", "\"\"", "null", "5"])}`,
    ack: () => "\"ClientHandshakeAckFrame\""
  }
  return `{"${cased("Type")}":${rest[random.pick(kinds) as keyof typeof rest]()}${extra}}\n`
}

const tokens = [
  "\r\n",
  "\n",
  "\r",
  "\0",
  "\r\n\r\n",
  ": ",
  " ",
  "\t",
  "HTTP/1.1 ",
  "HTTP/1.1 100 \r\n\r\n",
  "HTTP/9.9",
  "GET / HTTP/1.1\r\n",
  "Content-Length: 5\r\n",
  "Content-Length: -1\r\n",
  "Transfer-Encoding: chunked\r\n",
  "Transfer-Encoding: gzip, chunked\r\n",
  "Connection: upgrade\r\nUpgrade: x\r\n",
  "0\r\n\r\n",
  "ffffffff\r\n",
  "-5\r\n",
  "{",
  "\"",
  "\ufffd"
]
const numbers = [
  "0",
  "-1",
  "2147483648",
  "4294967296",
  "9007199254740993",
  "99999999999999999999",
  "1e9",
  "NaN",
  "0x10"
]

const concat = (...parts: ReadonlyArray<Uint8Array>): Uint8Array => Uint8Array.from(Buffer.concat(parts))

type Mutation = (random: Random, bytes: Uint8Array, other: () => Uint8Array) => Uint8Array

const mutations: ReadonlyArray<Mutation> = [
  function flip(random, bytes) {
    const flipped = Uint8Array.from(bytes)
    for (let left = 1 + random.skewed(20); left > 0 && bytes.length > 0; left--) {
      const at = random.int(bytes.length)
      flipped[at] = flipped[at]! ^ (1 << random.int(8))
    }
    return flipped
  },
  function cutEnd(random, bytes) {
    return bytes.subarray(0, random.int(bytes.length + 1))
  },
  function cutBeginning(random, bytes) {
    return bytes.subarray(random.int(bytes.length + 1))
  },
  function removePiece(random, bytes) {
    const at = random.int(bytes.length + 1)
    return concat(bytes.subarray(0, at), bytes.subarray(at + random.skewed(50)))
  },
  function splice(random, bytes, other) {
    const end = other()
    return concat(bytes.subarray(0, random.int(bytes.length + 1)), end.subarray(random.int(end.length + 1)))
  },
  function duplicate(random, bytes) {
    const at = random.int(bytes.length + 1)
    const piece = bytes.subarray(at, at + random.skewed(200))
    return concat(
      bytes.subarray(0, at),
      ...Array.from({ length: 1 + random.skewed(30) }, () => piece),
      bytes.subarray(at)
    )
  },
  function token(random, bytes) {
    const at = random.int(bytes.length + 1)
    return concat(bytes.subarray(0, at), bytesOf(random.pick(tokens)), bytes.subarray(at))
  },
  function number(random, bytes) {
    const text = Buffer.from(bytes).toString("latin1")
    return Uint8Array.from(
      Buffer.from(text.replace(/\d+/g, (digits) => random.chance(0.3) ? random.pick(numbers) : digits), "latin1")
    )
  },
  function randomPiece(random, bytes) {
    const at = random.int(bytes.length + 1)
    return concat(bytes.subarray(0, at), random.bytes(random.skewed(40)), bytes.subarray(at))
  }
]

/** As it was, more often than not, or with something wrong; text or binary. */
export const mutated = (
  random: Random,
  make: () => Uint8Array | string,
  probability: number
): Uint8Array | string => {
  if (random.chance(0.01)) return random.chance(0.5) ? "" : random.bytes(random.skewed(500))
  let bytes = bytesOf(make())
  for (let left = random.chance(probability) ? 1 + random.skewed(4) : 0; left > 0; left--) {
    bytes = random.pick(mutations)(random, bytes, () => bytesOf(make()))
  }
  return random.chance(0.5) ? Buffer.from(bytes).toString() : bytes
}
