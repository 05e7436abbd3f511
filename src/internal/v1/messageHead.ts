/**
 * Heads of HTTP/1.1 messages: a start line and field lines, as texts with one character for each byte (RFC 9112 sections 3 to 5).
 *
 * Strict where it matters: a message that the two ends could read differently is malformed, and so is one that could harm this
 * end (PROTOCOL-v1.md, "Wire v1").
 */
import { type Violation, violation } from "../frame/codes.ts"
import * as ErrorCode from "../frame/ErrorCode.ts"
import type { Fields } from "../frame/Frame.ts"
import { maxTargetLength, targetPattern, transportFields } from "../frame/grammar.ts"
import { fieldFault, headSize, isMethod } from "../frame/head.ts"
import type { Field } from "../frame/headTable.ts"

/** @internal */
export interface Head {
  readonly method: string
  readonly target: string
  /** Of a response. */
  readonly status: number
  readonly fields: Fields
  /** What the fields say of the body; a response without either is no shorter than the connection. */
  readonly length: number | "chunked" | undefined
}

/** Thrown by the parser, which gives it to its caller as a value. @internal */
export class Fault {
  readonly violation: Violation

  constructor(violation: Violation) {
    this.violation = violation
  }
}

/** @internal */
export const malformed = (reason: string): Fault => new Fault(violation(ErrorCode.MALFORMED, reason))

/** @internal */
export const tooLarge = (size: number, limit: number): Fault =>
  new Fault(violation(ErrorCode.HEAD_TOO_LARGE, `the head has ${size} bytes, the limit is ${limit}`))

/** Errors quote at most so many characters. */
const maxQuoted = 64
const responseLine = /^HTTP\/(\d)\.\d (\d{3})(?: .*)?$/
const requestLine = /^([^ ]+) ([^ ]+) HTTP\/(\d)\.\d$/
/** Any value fits: where one did not, a long one of spaces would be tried with each number of them. */
const fieldLine = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*((?:[^]*[^ \t])?)[ \t]*$/

/** The start line of a message. @internal */
export interface StartLine {
  readonly method: string
  readonly url: string
  readonly status: number
  /** The first number of the version. */
  readonly version: string
}

/** @internal */
export const parseStartLine = (kind: "REQUEST" | "RESPONSE", line: string): StartLine => {
  const parts = (kind === "REQUEST" ? requestLine : responseLine).exec(line)
  if (parts === null) throw malformed("this is not HTTP/1.1")
  return kind === "REQUEST"
    ? { method: parts[1]!, url: parts[2]!, status: 0, version: parts[3]! }
    : { method: "", url: "", status: Number(parts[2]), version: parts[1]! }
}

/**
 * Name and value of a field line. Lines without a name are refused: other parsers skip them, or join them to the line before.
 *
 * @internal
 */
export const parseField = (line: string): Field => {
  const parts = fieldLine.exec(line)
  if (parts === null) throw malformed("a line of the head is no field")
  return [parts[1]!, parts[2]!]
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** A value of one character for each byte as text: UTF-8, or else Latin 1. */
const unicode = (value: string): string => {
  // oxlint-disable-next-line no-control-regex
  if (/^[\0-\x7f]*$/.test(value)) return value
  try {
    return utf8.decode(Uint8Array.from(value, (char) => char.charCodeAt(0)))
  } catch {
    return value
  }
}

/** A target in origin form. The authority of an absolute one is not needed here (RFC 9112 section 3.2.2). */
const originForm = (url: string): string => {
  // The two repetitions can't share characters: a long URL with a fragment would be tried with each way to divide it.
  const match = /^https?:\/\/[^/?#]*((?:[/?][^#]*)?)$/i.exec(url)
  if (match === null) return url
  return match[1]!.startsWith("/") ? match[1]! : `/${match[1]!}`
}

const targetOf = ({ method, url }: StartLine): string => {
  const target = originForm(url)
  if (!isMethod(method)) throw malformed("no usable method")
  if (!targetPattern.test(target)) throw malformed("the target is not in origin form")
  if (target.length > maxTargetLength) throw tooLarge(target.length, maxTargetLength)
  return target
}

/** Whether a message asks for another protocol, or changes to it. There is none on a WebSocket. */
const isUpgrade = (isRequest: boolean, status: number, lines: Fields): boolean =>
  (isRequest || status === 101) && lines.some(([name]) => /^upgrade$/i.test(name)) &&
  lines.some(([name, value]) => /^connection$/i.test(name) && /upgrade/i.test(value))

/** The head of a message; `lines` are its fields as they were sent. @internal */
export const parseHead = (kind: "REQUEST" | "RESPONSE", start: StartLine, lines: Fields, maxHeadSize: number): Head => {
  const { method, status, version } = start
  if (version !== "1") throw malformed(`HTTP/${version}`)
  const isRequest = kind === "REQUEST"
  if (isUpgrade(isRequest, status, lines)) throw malformed("there is nothing to upgrade to")
  const target = isRequest ? targetOf(start) : ""
  if (!isRequest && (status < 100 || status > 599)) throw malformed(`the status ${status}`)
  const fields: Array<Field> = []
  let length: Head["length"] = undefined
  for (const [sent, bytes] of lines) {
    const name = sent.toLowerCase()
    const value = unicode(bytes)
    if (name === "transfer-encoding" || name === "content-length") {
      const parsed = lengthOf(name, value)
      // Two lengths could be read as one or the other (RFC 9112 section 6.3).
      if (length !== undefined || parsed === undefined) throw malformed(`${name}: ${value.slice(0, maxQuoted)}`)
      length = parsed
    }
    if (transportFields.has(name)) continue
    const fault = fieldFault(name, value)
    if (fault !== undefined) throw malformed(fault)
    fields.push([name, value])
  }
  const size = headSize(target, fields)
  if (size > maxHeadSize) throw tooLarge(size, maxHeadSize)
  return { method, target, status, fields, length }
}

const lengthOf = (name: "transfer-encoding" | "content-length", value: string): Head["length"] => {
  if (name === "transfer-encoding") return /^chunked$/i.test(value) ? "chunked" : undefined
  return /^\d{1,15}$/.test(value) ? Number(value) : undefined
}
