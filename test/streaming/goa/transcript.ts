/**
 * Transcripts of goa's chatter service: what went over TCP between its programs, or between one of them and a program that
 * tried it out.
 */
import * as Path from "node:path"
import { type Message, Reader } from "../../v1/replay/http1.ts"
import type { ControlLine, MessageLine, Recorded } from "../../v1/replay/transcript.ts"
import * as Transcript from "../../v1/replay/transcript.ts"

export interface RequestLine {
  readonly type: "request"
  readonly conn: number
  readonly dir: "c2s"
  readonly text: string
}

export interface ResponseLine {
  readonly type: "response"
  readonly conn: number
  readonly dir: "s2c"
  readonly text: string
}

export type Line =
  | RequestLine
  | ResponseLine
  | MessageLine
  | ControlLine
  | { readonly type: "tcp"; readonly conn: number; readonly dir: "c2s" | "s2c"; readonly event: "fin" | "reset" }
  /** Was not recorded: what a test does between two lines. */
  | { readonly type: "passes"; readonly conn: number; readonly dir: "none"; readonly millis: number }
  | { readonly type: "stops"; readonly conn: number; readonly dir: "none" }

const folder = Path.join(import.meta.dirname, "../transcripts")

export const names = (): ReadonlyArray<string> => Transcript.names(folder)

/** Long messages were recorded without their middle, which repeats what is before it. */
const restored = ({ len, text = "", truncated }: Recorded): Buffer => {
  if (truncated !== true) return Buffer.from(text)
  const [head, tail] = text.split(/…\[\d+ bytes\]…/) as [string, string]
  const period = head.startsWith("[") ? head.indexOf("},{") + 1 : 1
  const left = len! - head.length - tail.length
  const middle = head.slice(-period).repeat(Math.ceil(left / period)).slice(0, left)
  return Buffer.from(head + middle + tail)
}

const isHead = (text: string): boolean => /^[A-Z]+ \/\S* HTTP\/1\.1\r\n|^HTTP\/1\.1 \d{3} /.test(text)

/** Heads and the bodies behind them are one line. */
export const load = (name: string): ReadonlyArray<Line> => {
  const lines: Array<Line> = []
  const last = new Map<string, RequestLine | ResponseLine>()
  for (const line of Transcript.load(name, folder, restored)) {
    if (line.type !== "http" && line.type !== "http-data") {
      lines.push(line)
      continue
    }
    const key = `${line.conn} ${line.dir}`
    const text = line.type === "http" ? line.head : line.text
    const before = last.get(key)
    if (before !== undefined && !isHead(text)) {
      const whole = { ...before, text: before.text + text }
      lines[lines.indexOf(before)] = whole
      last.set(key, whole)
      continue
    }
    const { conn, dir } = line
    const begun: RequestLine | ResponseLine = dir === "c2s"
      ? { type: "request", conn, dir, text }
      : { type: "response", conn, dir, text }
    last.set(key, begun)
    lines.push(begun)
  }
  return lines
}

/** Requests, or responses to requests of these methods. */
export const parse = (data: Buffer, methods?: ReadonlyArray<string>): ReadonlyArray<Message> => {
  // What is upgraded is no interim response.
  const isUpgraded = data.toString("latin1", 0, 13) === "HTTP/1.1 101 "
  const reader = new Reader(false, isUpgraded || methods === undefined ? undefined : (_id, index) => methods[index]!)
  reader.push(data)
  return reader.messages
}

export const requestOf = ({ text }: RequestLine): Message => parse(Buffer.from(text))[0]!

export const responseOf = ({ text }: ResponseLine, method: string): Message => parse(Buffer.from(text), [method])[0]!
