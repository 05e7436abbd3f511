/**
 * How a conversation goes with ours, where that is not as it went with goa.
 */
import type { ControlLine } from "../../v1/replay/transcript.ts"
import type { Line } from "./transcript.ts"

export type Edit = (lines: ReadonlyArray<Line>) => ReadonlyArray<Line>

export const all = (...edits: ReadonlyArray<Edit>): Edit => (lines) => edits.reduce((lines, edit) => edit(lines), lines)

export const without = (isLeftOut: (line: Line) => boolean): Edit => (lines) => lines.filter((line) => !isLeftOut(line))

export const textOf = (line: Line): string | undefined =>
  line.type === "message" ? line.data.toString().trim() : undefined

export const sends = (text: string) => (line: Line): boolean => line.dir === "c2s" && textOf(line) === text

export const isClose = (line: Line): boolean => line.type === "control" && line.opcode === "close"

const close = (dir: "c2s" | "s2c", code: number, reason = "", conn = 1): ControlLine => ({
  type: "control",
  conn,
  dir,
  opcode: "close",
  code,
  reason
})

/** Closed by ours, and acknowledged. */
export const closed = (code: number, reason = "", conn = 1): ReadonlyArray<Line> => [
  close("s2c", code, reason, conn),
  close("c2s", code, "", conn)
]

const upgraded = (conn: number): Line => ({
  type: "response",
  conn,
  dir: "s2c",
  text: "HTTP/1.1 101 Switching Protocols\r\n\r\n"
})

const isResponse = (line: Line): boolean => line.type === "response"

/** The answer to an upgrade comes at once. */
export const answeredAtOnce: Edit = (lines) =>
  lines.flatMap((line) => {
    if (isResponse(line)) return []
    if (line.type !== "request") return [line]
    const recorded = lines.find((response) =>
      response.type === "response" && response.conn === line.conn && response.text.startsWith("HTTP/1.1 101 ")
    )
    return [line, recorded ?? upgraded(line.conn)]
  })

/** A response of HTTP. */
export const http = (status: number, fields: Readonly<Record<string, string>> = {}, body = ""): string => {
  const named = Object.entries({ ...fields, "content-length": String(Buffer.byteLength(body)) })
  return `HTTP/1.1 ${status} -\r\n${named.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${body}`
}

/** Requests that match are answered this. */
export const answered = (request: RegExp, text: string): Edit => (lines) => {
  const replaced = new Map<Line, Line>()
  const added = new Map<Line, Line>()
  for (const [index, line] of lines.entries()) {
    if (line.type !== "request" || !request.test(line.text)) continue
    const { conn } = line
    const response = lines.find((later, at) => at > index && isResponse(later) && later.conn === conn)
    const instead: Line = { type: "response", conn, dir: "s2c", text }
    if (response === undefined) added.set(line, instead)
    else replaced.set(response, instead)
  }
  return lines.flatMap((line) => [replaced.get(line) ?? line, ...(added.has(line) ? [added.get(line)!] : [])])
}

/** Lines behind another. */
export const behind = (isBefore: (line: Line) => boolean, ...added: ReadonlyArray<Line>): Edit => (lines) =>
  lines.flatMap((line) => isBefore(line) ? [line, ...added] : [line])

/** Tokens that the server knows, in place of those that a program made up. */
export const authorized: Edit = (lines) =>
  lines.map((line) =>
    line.type === "request" ? { ...line, text: line.text.replace("Bearer x\r\n", `Bearer ${token}\r\n`) } : line
  )

/** That of `raw-goa-auth-forms`. */
export const token = [
  "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
  "eyJuYmYiOjE0NDQ0Nzg0MDAsImlhdCI6MTc5NTI5MDQyNCwic2NvcGVzIjpbInN0cmVhbTpyZWFkIiwic3RyZWFtOndyaXRlIl19",
  "70_MyMVxCYfE-R45HfF09HQ1QaKm-rMNO9vacxXAdMg"
].join(".")

/** Nothing of a connection but its ends behind a line, and these before them. */
export const endsAt = (isLast: (line: Line) => boolean, ...instead: ReadonlyArray<Line>): Edit => (lines) => {
  const at = lines.findIndex(isLast)
  const { conn } = lines[at]!
  return lines.flatMap((line, index) => {
    if (index === at) return [line, ...instead]
    return index < at || line.conn !== conn || line.type === "tcp" ? [line] : []
  })
}

const isEmpty = ({ length, message }: { readonly message: string; readonly length?: number }): boolean =>
  message === "" && length === 0

/** Nothing that nobody sent. */
export const nothingSpurious: Edit = (lines) =>
  lines.flatMap((line) => {
    if (line.type !== "message" || line.dir === "c2s") return [line]
    const value: unknown = JSON.parse(line.data.toString())
    if (value === "") return []
    if (!Array.isArray(value)) return [line]
    return [{
      ...line,
      data: Buffer.from(`${JSON.stringify(value.filter((summary) => !isEmpty(summary as { message: string })))}\n`)
    }]
  })

/** A close frame behind the result. */
export const completed: Edit = (lines) =>
  lines.flatMap((line) =>
    line.type === "message" && line.dir === "s2c"
      ? [line, ...closed(1000, "server closing connection", line.conn)]
      : [line]
  )

/** Requests that match are left out, with their answers. */
export const unasked = (request: RegExp): Edit => (lines) => {
  const gone = new Set<Line>()
  for (const [index, line] of lines.entries()) {
    if (line.type !== "request" || !request.test(line.text)) continue
    gone.add(line)
    gone.add(lines.find((later, at) => at > index && isResponse(later) && later.conn === line.conn)!)
  }
  return lines.filter((line) => !gone.has(line))
}

/** Each request has a connection of its own. */
export const connectionForEach: Edit = (lines) => {
  const counts = new Map<number, number>()
  return lines.flatMap((line) => {
    if (line.type === "request") counts.set(line.conn, (counts.get(line.conn) ?? 0) + 1)
    const count = counts.get(line.conn) ?? 0
    return count <= 1 ? [line] : line.type === "tcp" ? [] : [{ ...line, conn: line.conn * 100 + count }]
  })
}
