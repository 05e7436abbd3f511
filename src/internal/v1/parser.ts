/**
 * HTTP/1.1 messages out of the bytes of WebSocket messages, cut anywhere (RFC 9112; PROTOCOL-v1.md, "Wire v1").
 *
 * ```
 *             line                     blank line, a length
 *    Start ----------> Fields ------------------------------> Body -----------> Start
 *                        |  |  blank line, no length
 *                        |  +--------------------------------> Rest, which has no end
 *                        |  blank line, chunked                       0
 *                        +--------------------> ChunkSize ----------------> Trailers --blank line--> Start
 *                                                | size  ^ blank line
 *                                                v       |
 *                                               Chunk -> ChunkEnd
 * ```
 *
 * A message without a body goes from Fields to Start.
 *
 * It is a parser of our own because `http-parser-js` is as lenient as parsers of HTTP used to be: half of what was used of it was
 * replaced, and it took twice as long and twice as many bytes (1.5 to 2.6 times as long by message, Node 20).
 */
import * as Bytes from "effect/Bytes"
import { type Violation, violation } from "../frame/codes.ts"
import * as ErrorCode from "../frame/ErrorCode.ts"
import { entryOverhead, type Field } from "../frame/headTable.ts"
import {
  Fault,
  type Head,
  malformed,
  parseField,
  parseHead,
  parseStartLine,
  type StartLine,
  tooLarge
} from "./messageHead.ts"

/** @internal */
export interface MessageHandler {
  /** `true`: no body follows, whatever the fields say. A violation ends the parsing. */
  readonly onHead: (head: Head) => boolean | Violation
  readonly onBody: (data: Uint8Array) => void
  readonly onEnd: () => void
}

type State = "Start" | "Fields" | "Body" | "Rest" | "ChunkSize" | "Chunk" | "ChunkEnd" | "Trailers"

/** The longest line that is not of a head: a chunk's size, or a field behind the last chunk. */
const maxLine = 4096
const maxTrailers = 64
/** As heads are measured, a field has this size at least. */
const minFieldSize = entryOverhead + 1
const chunkSize = /^([0-9a-f]{1,8})[ \t]*(?:;|$)/i
/**
 * Chunks in one message of the WebSocket: so many, and one for each 2 KiB, as those of Go are where it is not told to flush. More
 * are work for nothing. A start line counts as many, because a request costs as much.
 */
const maxSteps = 2048
const chunkBytes = 2048
const stepsOfStart = 16
const lineFeed = 0x0a
/** Bytes of CR and LF. */
const lineEnd = 2
const latin1Piece = 4096

/** One character for each byte. */
const latin1 = (bytes: Uint8Array): string => {
  if (bytes.length <= latin1Piece) return String.fromCharCode(...bytes)
  let text = ""
  for (let at = 0; at < bytes.length; at += latin1Piece) {
    text += String.fromCharCode(...bytes.subarray(at, at + latin1Piece))
  }
  return text
}

const never = () => false

const noBytes = new Uint8Array(0)

/** @internal */
export class MessageParser {
  readonly #kind: "REQUEST" | "RESPONSE"
  readonly #maxHeadSize: number
  readonly #handler: MessageHandler
  /** A message has begun and not ended. */
  busy = false
  #state: State = "Start"
  /** The beginning of a line whose end has not come. */
  #line = ""
  #start: StartLine | undefined
  #fields: Array<Field> = []
  /** Bytes of the names and values in `#fields`. */
  #fieldBytes = 0
  #trailers = 0
  /** Bytes of the body, or of the chunk, that have not come. */
  #left = 0
  /** Steps that the message of the WebSocket may still take. */
  #steps = 0
  /** Bytes of the head that is arriving. */
  #headSize = 0
  /** A message has ended in these bytes. */
  #ended = false
  /** Chunks of a body that the handler was not told of. */
  #chunks: Array<Uint8Array> = []
  /** The bytes that are parsed now. */
  #bytes: Uint8Array = noBytes
  #at = 0
  /** Bytes behind the message at which parsing has stopped. */
  #rest: Uint8Array | undefined

  constructor(kind: "REQUEST" | "RESPONSE", maxHeadSize: number, handler: MessageHandler) {
    this.#kind = kind
    this.#maxHeadSize = maxHeadSize
    this.#handler = handler
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
    this.#headSize = 0
    this.#line = ""
    this.#restart()
  }

  /** Begins with another message. */
  #restart(): void {
    this.#state = "Start"
    this.#start = undefined
    this.#fields = []
    this.#fieldBytes = 0
    this.#trailers = 0
  }

  /**
   * Parses bytes. The result is a violation if they are invalid; the parser is then ready for another message. `stops` is
   * called before each message but the first: it says whether that one waits.
   */
  execute(bytes: Uint8Array, stops: () => boolean = never): Violation | undefined {
    this.#steps = maxSteps + bytes.length / chunkBytes
    return this.#parse(bytes, stops)
  }

  /** Goes on with bytes that were parsed in part. */
  goOn(stops: () => boolean = never): Violation | undefined {
    const rest = this.#rest
    this.#rest = undefined
    return rest && this.#parse(rest, stops)
  }

  #parse(bytes: Uint8Array, stops: () => boolean): Violation | undefined {
    this.#ended = false
    this.#bytes = bytes
    this.#at = 0
    let fault: Violation | undefined = undefined
    try {
      while (this.#at < bytes.length) {
        if (this.#isIdle && this.#at > 0 && stops()) {
          this.#rest = bytes.subarray(this.#at)
          break
        }
        this.#step()
      }
      this.#checkBounds(bytes.length)
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      fault = error.violation
    }
    this.#bytes = noBytes
    this.#giveBody()
    if (fault === undefined) this.busy = !this.#isIdle
    else this.reset()
    return fault
  }

  /** Empty lines before a message are no message. */
  get #isIdle(): boolean {
    return this.#state === "Start" && this.#line === ""
  }

  get #inHead(): boolean {
    return this.#state === "Start" || this.#state === "Fields"
  }

  /** Takes a line, or a part of the body. */
  #step(): void {
    switch (this.#state) {
      case "Start": {
        this.#count(stepsOfStart)
        const line = this.#takeLine()
        if (line === undefined || line === "") return
        this.#start = parseStartLine(this.#kind, line)
        this.#state = "Fields"
        return
      }
      case "Fields": {
        const line = this.#takeLine()
        if (line === "") this.#endHead()
        else if (line !== undefined) this.#addField(line)
        return
      }
      case "Rest":
        return void this.#takeBytes(this.#bytes.length)
      case "Body":
        this.#left -= this.#takeBytes(this.#left)
        if (this.#left === 0) this.#end()
        return
      case "ChunkSize":
        this.#count(1)
        return this.#beginChunk()
      case "Chunk":
        this.#left -= this.#takeBytes(this.#left)
        if (this.#left === 0) this.#state = "ChunkEnd"
        return
      case "ChunkEnd": {
        const line = this.#takeLine()
        if (line === undefined) return
        if (line !== "") throw malformed("a chunk is longer than its size")
        this.#state = "ChunkSize"
        return
      }
      case "Trailers": {
        const line = this.#takeLine()
        if (line === "") this.#end()
        else if (line !== undefined) this.#passTrailer(line)
      }
    }
  }

  #count(steps: number): void {
    this.#steps -= steps
    if (this.#steps < 0) throw new Fault(violation(ErrorCode.EXCESSIVE_LOAD, "too many lines in one message"))
  }

  /** The next line without its end. It is measured before it is made a text. */
  #takeLine(): string | undefined {
    const found = this.#bytes.indexOf(lineFeed, this.#at)
    const end = found === -1 ? this.#bytes.length : found
    const length = this.#line.length + end - this.#at
    if (this.#inHead ? length > this.#maxHeadSize + lineEnd : length > maxLine) {
      throw this.#inHead ? tooLarge(length, this.#maxHeadSize) : malformed("a line is too long")
    }
    const line = this.#line + latin1(this.#bytes.subarray(this.#at, end))
    this.#at = end
    if (found === -1) {
      this.#line = line
      return undefined
    }
    this.#at++
    this.#line = ""
    const ended = line.endsWith("\r") ? line.slice(0, -1) : line
    // Another parser may take it for the end of a line (RFC 9112 section 2.2).
    if (ended.includes("\r")) throw malformed("a line has a CR that does not end it")
    return ended
  }

  /** Takes at most so many bytes of a body. */
  #takeBytes(most: number): number {
    const part = this.#bytes.subarray(this.#at, this.#at + most)
    this.#chunks.push(part)
    this.#at += part.length
    return part.length
  }

  #addField(line: string): void {
    const least = this.#fields.length * minFieldSize
    if (least > this.#maxHeadSize) throw tooLarge(least, this.#maxHeadSize)
    const field = parseField(line)
    this.#fields.push(field)
    this.#fieldBytes += field[0].length + field[1].length
  }

  #endHead(): void {
    this.#headSize = 0
    const head = parseHead(this.#kind, this.#start!, this.#fields, this.#maxHeadSize)
    const answer = this.#handler.onHead(head)
    if (typeof answer === "object") throw new Fault(answer)
    // A request without a length has no body, and a response without one ends with the connection (RFC 9112 section 6.3).
    const length = head.length ?? (this.#kind === "REQUEST" ? 0 : Infinity)
    if (answer || length === 0) return this.#end()
    this.#state = length === "chunked" ? "ChunkSize" : length === Infinity ? "Rest" : "Body"
    if (length !== "chunked") this.#left = length
  }

  #beginChunk(): void {
    const line = this.#takeLine()
    if (line === undefined) return
    const size = chunkSize.exec(line)
    if (size === null) throw malformed("a chunk has no size")
    this.#left = parseInt(size[1]!, 16)
    this.#state = this.#left === 0 ? "Trailers" : "Chunk"
  }

  /** Fields behind the last chunk are checked and left out. */
  #passTrailer(line: string): void {
    if (++this.#trailers > maxTrailers) throw malformed("too many trailers")
    parseField(line)
  }

  #end(): void {
    this.#restart()
    this.#giveBody()
    this.#ended = true
    this.#handler.onEnd()
  }

  /** Checks the size of a head that has not ended. */
  #checkBounds(bytes: number): void {
    if (!this.#inHead) return
    if (this.#isIdle) {
      this.#headSize = 0
      return
    }
    // A head may come byte by byte. Its size is counted anew only if another message has ended in these bytes.
    this.#headSize = this.#ended ? this.#line.length + this.#fieldBytes : this.#headSize + bytes
    if (this.#headSize > this.#maxHeadSize) throw tooLarge(this.#headSize, this.#maxHeadSize)
  }

  /** Gives the handler all chunks of these bytes at once. A chunk may have one byte, and each call would resume the reader. */
  #giveBody(): void {
    const chunks = this.#chunks
    if (chunks.length === 0) return
    this.#chunks = []
    this.#handler.onBody(chunks.length === 1 ? chunks[0]! : Bytes.concat(chunks))
  }
}
