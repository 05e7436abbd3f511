/**
 * What a parser says of bytes, in a form that does not depend on how they were cut.
 */
import type { Violation } from "../../src/internal/frame/codes.ts"
import type { Fields } from "../../src/internal/frame/Frame.ts"
import { isBodiless } from "../../src/internal/v1/format.ts"
import type { Head } from "../../src/internal/v1/messageHead.ts"
import { MessageParser } from "../../src/internal/v1/parser.ts"
import { bytesOf } from "./machine.ts"

export type Kind = "REQUEST" | "RESPONSE"

/** A message as it was parsed; `ended` is `false` while more must come. */
export interface Parsed {
  readonly start: string
  readonly fields: Fields
  readonly length: number | "chunked" | undefined
  body: string
  ended: boolean
}

export const maxHeadSize = 16_384

export class Parsing {
  readonly messages: Array<Parsed> = []
  readonly faults: Array<Violation> = []
  readonly parser: MessageParser

  /** `called`: the method of the calls that responses are for. */
  constructor(kind: Kind, limit = maxHeadSize, keepBodies = true, called = "GET") {
    this.parser = new MessageParser(kind, limit, {
      onHead: (head: Head) => {
        const start = kind === "REQUEST" ? `${head.method} ${head.target}` : String(head.status)
        this.messages.push({ start, fields: head.fields, length: head.length, body: "", ended: false })
        return kind === "RESPONSE" && isBodiless(called, head.status)
      },
      onBody: (data) => {
        const last = this.messages[this.messages.length - 1]!
        if (keepBodies) last.body += Buffer.from(data).toString("latin1")
      },
      onEnd: () => {
        this.messages[this.messages.length - 1]!.ended = true
      }
    })
  }

  /** Answers what is wrong, if anything. */
  feed(piece: Uint8Array | string): Violation | undefined {
    const fault = this.parser.execute(bytesOf(piece))
    if (fault !== undefined) this.faults.push(fault)
    return fault
  }

  /** Feeds byte by byte, until something is wrong. */
  dribble(message: Uint8Array | string): Violation | undefined {
    const bytes = bytesOf(message)
    for (let at = 0; at < bytes.length; at++) {
      const fault = this.feed(bytes.subarray(at, at + 1))
      if (fault !== undefined) return fault
    }
    return undefined
  }
}

export const parse = (kind: Kind, ...pieces: ReadonlyArray<Uint8Array | string>): Parsing => {
  const parsing = new Parsing(kind)
  for (const piece of pieces) parsing.feed(piece)
  return parsing
}
