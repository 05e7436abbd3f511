/**
 * Transcripts of wire v1, recorded with Go 1.23 programs: what went over TCP between two ends of which one at least was
 * Go's.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"

/** From the end that dialled, or to it. */
type Direction = "c2s" | "s2c"

export interface MessageLine {
  readonly type: "message"
  readonly conn: number
  readonly dir: Direction
  readonly opcode: "text" | "binary"
  readonly data: Buffer
  /** Sizes of the frames, if there was more than one. */
  readonly frames: ReadonlyArray<number> | undefined
}

export type ControlLine =
  & { readonly type: "control"; readonly conn: number; readonly dir: Direction }
  & (
    | { readonly opcode: "ping"; readonly data: Buffer }
    | { readonly opcode: "pong"; readonly data: Buffer }
    /** Without a code the frame was empty. */
    | { readonly opcode: "close"; readonly code: number | undefined; readonly reason: string }
  )

export type Line =
  | MessageLine
  | ControlLine
  | { readonly type: "http"; readonly conn: number; readonly dir: Direction; readonly head: string }
  | { readonly type: "http-data"; readonly conn: number; readonly dir: Direction; readonly text: string }
  | { readonly type: "tcp"; readonly conn: number; readonly dir: Direction; readonly event: "fin" | "reset" }

/** A line of a file. */
export interface Recorded {
  readonly type: "message" | "control" | "http" | "http-data" | "tcp" | "note"
  readonly conn: number
  readonly dir?: Direction
  readonly opcode?: string
  readonly text?: string
  readonly len?: number
  readonly truncated?: boolean
  readonly frames?: ReadonlyArray<number>
  readonly code?: number | null
  readonly reason?: string
  readonly head?: string
  readonly event?: string
}

const folder = Path.join(import.meta.dirname, "../transcripts")

/** The files, without their extension. */
export const names = (from = folder): ReadonlyArray<string> =>
  Fs.readdirSync(from).map((file) => Path.basename(file, ".jsonl")).sort()

/** Long bodies of one character were recorded in part: they go on with it. */
const padded = ({ len, text = "", truncated }: Recorded): Buffer =>
  Buffer.from(truncated === true ? text.padEnd(len!, text.at(-1)) : text)

const lineOf = (recorded: Recorded, dataOf: (recorded: Recorded) => Buffer): Line | undefined => {
  const { code, conn, dir, event, frames, head, opcode, reason = "", text = "", type } = recorded
  if (dir === undefined) return undefined
  switch (type) {
    case "http":
      return { type, conn, dir, head: head! }
    case "http-data":
      return { type, conn, dir, text }
    case "tcp":
      // Nobody listened, so that nothing was said.
      return event === "ECONNREFUSED" ? undefined : { type, conn, dir, event: event === "fin" ? "fin" : "reset" }
    case "message":
      return { type, conn, dir, opcode: opcode as MessageLine["opcode"], data: dataOf(recorded), frames }
    case "control":
      return opcode === "close"
        ? { type, conn, dir, opcode, code: code ?? undefined, reason }
        : { type, conn, dir, opcode: opcode as "ping" | "pong", data: Buffer.from(text) }
    default:
      return undefined
  }
}

/** What both ends call an exchange. */
export const idOf = (data: Buffer): string | undefined =>
  /^x-correlation-id: (.*?)\r?$/im.exec(data.toString("latin1"))?.[1]

export const isResponse = (data: Buffer): boolean => data.toString("latin1", 0, 5) === "HTTP/"

/** Go may answer a request before it was written to its end: the request is put before its answer. */
const requestsFirst = (lines: Array<Line>): ReadonlyArray<Line> => {
  const ordered: Array<Line> = []
  for (const line of lines) {
    const id = line.type === "message" && !isResponse(line.data) ? idOf(line.data) : undefined
    const answer = id === undefined ?
      -1 :
      ordered.findIndex((earlier) =>
        earlier.type === "message" && earlier.conn === line.conn && isResponse(earlier.data) &&
        idOf(earlier.data) === id
      )
    if (answer === -1) ordered.push(line)
    else ordered.splice(answer, 0, line)
  }
  return ordered
}

export const load = (name: string, from = folder, dataOf = padded): ReadonlyArray<Line> => {
  const text = Fs.readFileSync(Path.join(from, `${name}.jsonl`), "utf8")
  return requestsFirst(
    text.trim().split("\n").flatMap((line) => lineOf(JSON.parse(line) as Recorded, dataOf) ?? [])
  )
}
