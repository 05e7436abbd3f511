/**
 * HTTP/1.1 messages out of the bytes of WebSocket messages, cut anywhere (PROTOCOL.md, "Wire v1").
 *
 * `http-parser-js` does the parsing. It is as lenient as parsers of HTTP used to be; what the peer could harm this end
 * with, or what would make the two read different messages out of the same bytes, is refused here.
 */
import * as Bytes from "effect/Bytes"
import { HTTPParser } from "http-parser-js"
import { ErrorCode, type Violation, violation } from "../frame/errorCode.ts"
import type { Fields } from "../frame/Frame.ts"
import { maxTargetLength, targetPattern, transportFields } from "../frame/grammar.ts"
import { fieldFault, headSize, isMethod } from "../frame/head.ts"
import { entryOverhead, type Field } from "../frame/headTable.ts"

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

/** @internal */
export interface MessageHandler {
  /** `true`: no body follows, whatever the fields say. A violation ends the parsing. */
  readonly onHead: (head: Head) => boolean | Violation
  readonly onBody: (data: Uint8Array) => void
  readonly onEnd: () => void
}

/** A chunk's size, or the fields behind the last chunk. */
const maxLine = 4096
const maxTrailers = 64
const minFieldSize = entryOverhead + 1
/** Errors quote at most so many characters. */
const maxQuoted = 64
const chunkSize = /^([0-9a-f]{1,8})[ \t]*(?:;|$)/i
/**
 * Chunks in one message of the WebSocket: so many, and one for each 2 KiB, as those of Go are where it is not told to flush. More
 * are work for nothing. A start line counts as many, because a request costs as much.
 */
const maxSteps = 2048
const chunkBytes = 2048
const stepsOfStart = 16
const responseLine = /^HTTP\/(\d)\.(\d) (\d{3})(?: .*)?$/
const requestLine = /^([^ ]+) ([^ ]+) HTTP\/(\d)\.(\d)$/
const lineFeed = 0x0a
/** Bytes of CR and LF. */
const lineEnd = 2
const fieldLine = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+:/
const latin1Piece = 4096

const latin1 = (bytes: Uint8Array): string => {
  let text = ""
  for (let at = 0; at < bytes.length; at += latin1Piece) {
    text += String.fromCharCode(...bytes.subarray(at, at + latin1Piece))
  }
  return text
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** The parser reads lines as one character a byte; values are UTF-8, or else Latin 1. */
const unicode = (value: string): string => {
  // oxlint-disable-next-line no-control-regex
  if (/^[\0-\x7f]*$/.test(value)) return value
  try {
    return utf8.decode(Uint8Array.from(value, (char) => char.charCodeAt(0)))
  } catch {
    return value
  }
}

/** The part of Node's `Buffer` that the parser uses. */
class ByteView extends Uint8Array {
  override toString(_encoding?: string, start = 0, end = this.length): string {
    return latin1(this.subarray(start, end))
  }

  override slice(start = 0, end = this.length): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.buffer as ArrayBuffer, this.byteOffset + start, end - start)
  }
}

const sizeOf = (texts: ReadonlyArray<string>): number => texts.reduce((size, text) => size + text.length, 0)

/** An error that is thrown through the library's code. */
class Fault {
  readonly violation: Violation

  constructor(violation: Violation) {
    this.violation = violation
  }
}

const malformed = (reason: string): Fault => new Fault(violation(ErrorCode.MALFORMED, reason))

/** What the parser is besides its declared type. */
interface Machine {
  readonly chunk: Uint8Array
  readonly offset: number
  readonly end: number
  readonly maxFields: number
  state: string
  line: string
  trailers: Array<string>
  body_bytes: number | null
  info: {
    readonly headers: ReadonlyArray<string>
    readonly method?: string
    readonly url?: string
    readonly statusCode?: number
    readonly versionMajor: number
    readonly versionMinor: number
    readonly upgrade?: boolean
  }
  steps: number
  stops: () => boolean
  consumeLine(): string | undefined
}

const never = () => false

class StrictParser extends HTTPParser {
  /** Chunks that may still come in this message. */
  steps = 0
  /** Bytes of the head. */
  maxFields = Infinity
  /** Asked before each message but the first one of these bytes: whether it waits for another turn. */
  stops: () => boolean = never

  get machine(): Machine {
    return this as unknown as Machine
  }

  override parseHeader(line: string, headers: Array<string>): void {
    if (headers === this.machine.trailers && (headers.length >= maxTrailers * 2 || line.length > maxLine)) {
      throw malformed("too many trailers")
    }
    // As heads are measured, fields have this size at least.
    if (headers.length / 2 * minFieldSize > this.maxFields) {
      throw tooLarge(headers.length / 2 * minFieldSize, this.maxFields)
    }
    // Others skip such lines, or join them to the line before.
    if (!fieldLine.test(line)) throw malformed("a line of the head is no field")
    super.parseHeader(line, headers)
  }
}

/** Parsing ends here for now, and has not begun with a message. */
const isOver = (machine: Machine): boolean => machine.offset > 0 && machine.line === "" && machine.stops()

/** A start line; none where it is empty, or has not ended. */
const startLine = (machine: Machine, pattern: RegExp): RegExpExecArray | undefined => {
  const line = nextLine(machine, stepsOfStart)
  if (line === undefined || line === "") return undefined
  const parts = pattern.exec(line)
  if (parts === null) throw malformed("this is not HTTP/1.1")
  return parts
}

const nextLine = (machine: Machine, steps: number): string | undefined => {
  machine.steps -= steps
  if (machine.steps < 0) throw new Fault(violation(ErrorCode.EXCESSIVE_LOAD, "too many lines in one message"))
  return machine.consumeLine()
}

const consumeLine = (HTTPParser.prototype as unknown as Machine).consumeLine

Object.defineProperties(StrictParser.prototype, {
  // Too lenient: it makes text of a line of any length before it can be measured.
  consumeLine: {
    value(this: Machine) {
      const end = this.chunk.indexOf(lineFeed, this.offset)
      const length = this.line.length + (end === -1 ? this.end : end) - this.offset
      const isHead = this.state === "HEADER" || this.state.endsWith("_LINE")
      if (isHead ? length > this.maxFields + lineEnd : length > maxLine) {
        throw isHead ? tooLarge(length, this.maxFields) : malformed("a line is too long")
      }
      return consumeLine.call(this)
    }
  },
  // Too strict: it takes methods in capitals alone.
  REQUEST_LINE: {
    value(this: Machine) {
      if (isOver(this)) return true
      const parts = startLine(this, requestLine)
      if (parts === undefined) return
      const [, method, url, major, minor] = parts
      Object.assign(this.info, { method, url, versionMajor: Number(major), versionMinor: Number(minor) })
      this.body_bytes = 0
      this.state = "HEADER"
    }
  },
  // Too lenient: it takes statuses of any length.
  RESPONSE_LINE: {
    value(this: Machine) {
      if (isOver(this)) return true
      const parts = startLine(this, responseLine)
      if (parts === undefined) return
      const [, major, minor, status] = parts
      Object.assign(this.info, { statusCode: Number(status), versionMajor: Number(major), versionMinor: Number(minor) })
      this.state = "HEADER"
    }
  },
  // Too lenient: it goes backwards after a negative size, without end.
  BODY_CHUNKHEAD: {
    value(this: Machine) {
      const line = nextLine(this, 1)
      if (line === undefined) return
      const size = chunkSize.exec(line)
      if (size === null) throw malformed("a chunk has no size")
      this.body_bytes = parseInt(size[1]!, 16)
      this.state = this.body_bytes === 0 ? "BODY_CHUNKTRAILERS" : "BODY_CHUNK"
    }
  },
  // Too strict: it counts what came before the head with it. `overgrown` counts better.
  maxHeaderSize: { get: () => Infinity, set() {} }
})

/** @internal */
export class MessageParser {
  readonly #kind: "REQUEST" | "RESPONSE"
  readonly #maxHeadSize: number
  readonly #handler: MessageHandler
  #parser: StrictParser
  /** A message has begun and not ended. */
  busy = false
  /** Bytes of the head that is arriving. */
  #headSize = 0
  /** A message has ended in these bytes. */
  #ended = false
  /** Chunks of a body that the handler was not told of. */
  #chunks: Array<Uint8Array> = []
  /** Bytes behind the message at which parsing has stopped. */
  #rest: Uint8Array | undefined = undefined

  constructor(kind: "REQUEST" | "RESPONSE", maxHeadSize: number, handler: MessageHandler) {
    this.#kind = kind
    this.#maxHeadSize = maxHeadSize
    this.#handler = handler
    this.#parser = this.#make()
  }

  /** The head of a message has begun and not ended. */
  get inHead(): boolean {
    return this.busy && this.#inHead
  }

  /** Bytes were parsed in part: `goOn` parses what follows. */
  get isStopped(): boolean {
    return this.#rest !== undefined
  }

  /** Discards a message that has not ended. */
  reset(): void {
    this.busy = false
    this.#rest = undefined
    this.#parser = this.#make()
  }

  /**
   * Parses bytes. The result is a violation if they are invalid; the parser is then ready for another message. `stops` is
   * called before each message but the first: it says whether that one waits.
   */
  execute(bytes: Uint8Array, stops: () => boolean = never): Violation | undefined {
    this.#parser.steps = maxSteps + bytes.length / chunkBytes
    return this.#parse(bytes, stops)
  }

  /** Goes on with bytes that were parsed in part. */
  goOn(stops: () => boolean = never): Violation | undefined {
    const rest = this.#rest
    this.#rest = undefined
    return rest && this.#parse(rest, stops)
  }

  #parse(bytes: Uint8Array, stops: () => boolean): Violation | undefined {
    const parser = this.#parser
    this.#ended = false
    parser.stops = stops
    let fault: Violation | undefined = undefined
    try {
      const result = parser.execute(new ByteView(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length) as Buffer)
      fault = typeof result === "number" ? this.#overgrown(bytes.length) : violationOf(result)
      if (typeof result === "number" && result < bytes.length) this.#rest = bytes.subarray(result)
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      fault = error.violation
    }
    this.#giveBody()
    if (fault === undefined) this.busy = !this.#isIdle
    else this.reset()
    return fault
  }

  get #inStart(): boolean {
    return this.#parser.machine.state === `${this.#kind}_LINE`
  }

  /** Empty lines before a message are no message. */
  get #isIdle(): boolean {
    return this.#inStart && this.#parser.machine.line === ""
  }

  get #inHead(): boolean {
    return this.#inStart || this.#parser.machine.state === "HEADER"
  }

  /** Checks the bounds of a message that has not ended. */
  #overgrown(bytes: number): Violation | undefined {
    const { info, line, trailers } = this.#parser.machine
    if (!this.#inHead) {
      return line.length > maxLine || sizeOf(trailers) > maxLine * 2
        ? malformed("a line is too long").violation
        : undefined
    }
    if (this.#isIdle) {
      this.#headSize = 0
      return undefined
    }
    // A head may come byte by byte. Its size is counted anew only if another message has ended in these bytes.
    this.#headSize = this.#ended ? line.length + sizeOf(info.headers) : this.#headSize + bytes
    return this.#headSize > this.#maxHeadSize ? tooLarge(this.#headSize, this.#maxHeadSize).violation : undefined
  }

  /** Gives the handler all chunks of these bytes at once. A chunk may have one byte, and each call would resume the reader. */
  #giveBody(): void {
    const chunks = this.#chunks
    if (chunks.length === 0) return
    this.#chunks = []
    this.#handler.onBody(chunks.length === 1 ? chunks[0]! : Bytes.concat(chunks))
  }

  #make(): StrictParser {
    this.#headSize = 0
    const parser = new StrictParser(this.#kind === "REQUEST" ? HTTPParser.REQUEST : HTTPParser.RESPONSE)
    parser.maxFields = this.#maxHeadSize
    const { machine } = parser
    const calls = parser as unknown as Record<number, (...args: ReadonlyArray<never>) => unknown>
    calls[HTTPParser.kOnHeadersComplete] = () => this.#onHead(machine.info) ? 1 : 0
    calls[HTTPParser.kOnBody] = (...[data, offset, length]: ReadonlyArray<unknown>) => {
      const start = offset as number
      this.#chunks.push((data as Uint8Array).subarray(start, start + (length as number)))
    }
    calls[HTTPParser.kOnMessageComplete] = () => {
      this.#giveBody()
      this.#ended = true
      this.#handler.onEnd()
    }
    return parser
  }

  #onHead({ headers, method = "", statusCode = 0, upgrade, url = "", versionMajor }: Machine["info"]): boolean {
    this.#headSize = 0
    if (versionMajor !== 1) throw malformed(`HTTP/${versionMajor}`)
    if (upgrade === true) throw malformed("there is nothing to upgrade to")
    const isRequest = this.#kind === "REQUEST"
    const target = isRequest ? originForm(url) : ""
    if (isRequest) {
      if (!isMethod(method)) throw malformed("no usable method")
      if (!targetPattern.test(target)) throw malformed("the target is not in origin form")
      if (target.length > maxTargetLength) throw tooLarge(target.length, maxTargetLength)
    } else if (statusCode < 100 || statusCode > 599) {
      throw malformed(`the status ${statusCode}`)
    }
    const fields: Array<Field> = []
    let length: number | "chunked" | undefined = undefined
    for (let at = 0; at < headers.length; at += 2) {
      const name = headers[at]!.toLowerCase()
      const value = unicode(headers[at + 1]!)
      if (name === "transfer-encoding") {
        if (!/^chunked$/i.test(value) || length !== undefined) {
          throw malformed(`transfer-encoding: ${value.slice(0, maxQuoted)}`)
        }
        length = "chunked"
      } else if (name === "content-length") {
        if (length !== undefined || !/^\d{1,15}$/.test(value)) {
          throw malformed(`content-length: ${value.slice(0, maxQuoted)}`)
        }
        length = Number(value)
      }
      if (transportFields.has(name)) continue
      const fault = fieldFault(name, value)
      if (fault !== undefined) throw malformed(fault)
      fields.push([name, value])
    }
    const size = headSize(target, fields)
    if (size > this.#maxHeadSize) throw tooLarge(size, this.#maxHeadSize)
    const answer = this.#handler.onHead({ method, target, status: statusCode, fields, length })
    if (typeof answer === "object") throw new Fault(answer)
    return answer
  }
}

/** The library returns errors of its own instead of throwing them. */
const violationOf = (error: unknown): Violation =>
  error instanceof Fault ? error.violation : violation(ErrorCode.MALFORMED, "this is not HTTP/1.1")

const tooLarge = (size: number, limit: number): Fault =>
  new Fault(violation(ErrorCode.HEAD_TOO_LARGE, `the head has ${size} bytes, the limit is ${limit}`))

/** A target in origin form. The authority of an absolute one is not needed here (RFC 9112 section 3.2.2). */
const originForm = (url: string): string => {
  const match = /^https?:\/\/[^/?#]*([^#]*)$/i.exec(url)
  if (match === null) return url
  return match[1]!.startsWith("/") ? match[1]! : `/${match[1]!}`
}
