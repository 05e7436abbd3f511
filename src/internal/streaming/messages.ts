/**
 * The messages of a WebSocket as the bodies that a streaming endpoint has over HTTP, and back: each line of an NDJSON
 * request is a message, each event of an SSE response is one (PROTOCOL-streaming.md, "Streaming endpoints").
 */
import * as Sse from "effect/encoding/Sse"
import type { SseError } from "effect/encoding/Sse"
import * as Predicate from "effect/Predicate"

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Bytes of a message, unless the application says otherwise. @internal */
export const defaultMaxMessageSize = 1024 * 1024

/** The message by which a client ends its stream. @internal */
export const endOfInput = "null\n"

/** Stands for an empty message. It is not JSON, so the schema refuses it. */
const noValue = "\0"

/** A message as one line of NDJSON; `undefined` for the message that ends the input. @internal */
export const toLine = (message: Uint8Array | string): string | undefined => {
  const text = (Predicate.isString(message) ? message : decoder.decode(message)).trim()
  if (text === "null") return undefined
  // Line breaks become tabs. In JSON both are white space, and neither may stand unescaped in a string (RFC 8259).
  return `${text === "" ? noValue : /[\r\n]/.test(text) ? text.replaceAll(/[\r\n]/g, "\t") : text}\n`
}

/** @internal */
export const toBytes = (lines: ReadonlyArray<string>): Uint8Array => encoder.encode(lines.join(""))

/** Cuts an NDJSON body into messages. @internal */
export const makeLineSplitter = (): (chunk: Uint8Array) => ReadonlyArray<string> => {
  const decoder = new TextDecoder()
  let rest = ""
  return (chunk) => {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n")
    rest = lines.pop()!
    return lines.map((line) => `${line}\n`)
  }
}

/** The name of the event by which `effect/http-api` ends the body of a stream that failed. */
const failureEvent = "effect/http-api/stream/failure"

/** How a stream failed: the first typed error and the first defect of its `Cause`, if it has such. @internal */
export interface Failure {
  readonly error: { readonly json: unknown } | undefined
  readonly defect: { readonly json: unknown } | undefined
}

/** Reads the body of a stream of events: its messages, and its failure. @internal */
export const makeEventReader = (
  onMessage: (text: string) => void,
  onFailure: (failure: Failure) => void
): (chunk: Uint8Array) => SseError | undefined => {
  const decoder = new TextDecoder()
  const parser = Sse.makeParser((event) => {
    if (event._tag === "Retry") return
    if (event.event === failureEvent) onFailure(toFailure(event.data))
    else onMessage(event.data)
  }, { maxEventSize: Number.MAX_SAFE_INTEGER })
  return (chunk) => parser.feed(decoder.decode(chunk, { stream: true }))
}

const toFailure = (data: string): Failure => {
  const reasons = JSON.parse(data) as ReadonlyArray<
    { readonly _tag: string; readonly error?: unknown; readonly defect?: unknown }
  >
  const fail = reasons.find((reason) => reason._tag === "Fail")
  const die = reasons.find((reason) => reason._tag === "Die")
  return { error: fail && { json: fail.error }, defect: die && { json: die.defect } }
}

const failureStart = encoder.encode(`event: ${failureEvent}\n`)

/** The failure in a chunk of such a body, if it has one. A failure is always a chunk of its own, the last one. @internal */
export const failureIn = (chunk: Uint8Array): Failure | undefined => {
  if (chunk.length < failureStart.length || !failureStart.every((byte, index) => chunk[index] === byte)) {
    return undefined
  }
  let failure: Failure | undefined = undefined
  makeEventReader(() => {}, (failed) => {
    failure = failed
  })(chunk)
  return failure
}

/** Messages of the server as the events of an SSE body. @internal */
export const toEvents = (messages: ReadonlyArray<Uint8Array | string>): Uint8Array => {
  let text = ""
  for (const message of messages) {
    const data = (Predicate.isString(message) ? message : decoder.decode(message)).trim()
    text += `data: ${/[\r\n]/.test(data) ? data.replaceAll(/\r\n?|\n/g, "\ndata: ") : data}\n\n`
  }
  return encoder.encode(text)
}

/** A typed error as the last event of an SSE body. @internal */
export const toFailureEvent = (json: string): Uint8Array =>
  encoder.encode(`event: ${failureEvent}\ndata: [{"_tag":"Fail","error":${json}}]\n\n`)
