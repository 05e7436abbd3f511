/**
 * One connection while it is played: what either end has said, and what the other end of the transcript had said.
 */
import type { GoPeer, Received } from "./goPeer.ts"
import { type Message, methodOf, Reader } from "./http1.ts"
import type { Call } from "./ours.ts"
import { isResponse } from "./transcript.ts"

/** HTTP in one direction of a connection: requests of that end, and its answers to the other's. */
class Http {
  readonly requests: Reader
  readonly responses: Reader

  constructor(asked: () => ReadonlyArray<Message>, recovers: boolean) {
    this.requests = new Reader(recovers)
    this.responses = new Reader(recovers, (id, index) => {
      const request = requestOf(asked(), id, index)
      return request === undefined ? "GET" : methodOf(request)
    })
  }

  /** The reader that a message is for; none if it is for neither. */
  readerOf(data: Buffer): Reader | undefined {
    if (this.responses.busy) return this.responses
    if (this.requests.busy) return this.requests
    if (isResponse(data)) return this.responses
    return /^[\r\n]*[a-z]+ \//i.test(data.toString("latin1", 0, 100)) ? this.requests : undefined
  }
}

/** By the id, or else in order. */
const requestOf = (requests: ReadonlyArray<Message>, id: string | undefined, index: number): Message | undefined =>
  requests.find((request) => id !== undefined && request.id === id) ?? requests[index]

export class Conversation {
  readonly peer: GoPeer
  readonly isServer: boolean
  /** What the peer that is played has sent. */
  readonly played: Http
  /** What the end in our place had sent. */
  readonly recorded: Http
  /** What ours has sent. */
  readonly ours: Http
  readonly handshake: Array<string> = []
  readonly calls: Array<{ readonly made: Call; readonly request: Message }> = []
  /** Calls that the peer of this wire can't be sent. */
  readonly refused = new Set<Call>()
  /** What was said in the handshake, by dialling end and by accepting end. */
  readonly said = { c2s: 0, s2c: 0 }
  /** Pings that the peer has sent. */
  pings = 0
  metadata: unknown = null
  connectionId: string | undefined = undefined
  /** The peer has done its part of the handshake right. */
  greeted = false
  end: End | undefined = undefined
  #taken = 0

  constructor(peer: GoPeer, isServer: boolean) {
    this.peer = peer
    this.isServer = isServer
    this.recorded = new Http(() => this.played.requests.messages, true)
    this.played = new Http(() => this.recorded.requests.messages, true)
    this.ours = new Http(() => this.played.requests.messages, false)
  }

  /** Takes what ours has sent; answers whether there is something among it that Go could not take. */
  read(): boolean {
    const { faults, messages } = this.peer
    for (; this.#taken < messages.length && faults.length === 0; this.#taken++) {
      const fault = this.#take(messages[this.#taken]!)
      if (fault !== undefined) faults.push(fault)
    }
    return faults.length > 0
  }

  #take({ data, frames, isText }: Received): string | undefined {
    const isUtf8 = Buffer.from(data.toString()).equals(data)
    const text = data.toString("latin1", 0, 200)
    if (isUtf8 && !isText) return `a binary message that is text: ${text}`
    // Ours says two things in the handshake when it dials, and one when it is dialled.
    if (this.handshake.length < (this.isServer ? 1 : 2)) {
      this.handshake.push(data.toString())
      return undefined
    }
    if (data.length === 0) return "an empty message"
    const reader = this.ours.readerOf(data)
    if (reader === undefined) return `neither a request nor an answer: ${text}`
    try {
      if (reader.push(data)) return `more than one message of HTTP in a message: ${text}`
    } catch (error) {
      return String(error)
    }
    // Go reads no further than the first frame, and takes what comes behind it for another request.
    return reader === this.ours.requests && (frames > 1 || reader.busy)
      ? `a request that is not one message of one frame: ${text}`
      : undefined
  }

  // --- requests of the peer, answers of ours --------------------------------------------------------------------------

  answerTo(request: Message): Message | undefined {
    const { messages } = this.ours.responses
    const { id } = request
    if (id !== undefined) return messages.find((answer) => answer.id === id)
    return messages.filter((answer) => answer.id === undefined)[
      this.played.requests.messages.filter((request) => request.id === undefined).indexOf(request)
    ]
  }

  /** Whether ours has answered as much as the end in its place had. */
  hasCaughtUp(): boolean {
    return this.recorded.responses.messages.every((recorded, index) => {
      const request = requestOf(this.played.requests.messages, recorded.id, index)
      const answer = request && this.answerTo(request)
      return answer !== undefined && (answer.whole || !recorded.whole)
    })
  }

  /** Besides requests, so many other messages were to be answered. */
  hasAnsweredAll(others: number): boolean {
    return this.ours.responses.messages.filter(({ whole }) => whole).length >= others &&
      this.played.requests.messages.every((request) => !request.whole || this.answerTo(request)?.whole === true)
  }

  // --- calls of ours, answers of the peer -----------------------------------------------------------------------------

  get #sent(): ReadonlyArray<Call> {
    return this.calls.flatMap(({ made }) => this.refused.has(made) ? [] : [made])
  }

  /** The request of a call as it arrived. */
  requestOf(call: Call): Message | undefined {
    const { messages } = this.ours.requests
    return call.id === undefined ? messages[this.#sent.indexOf(call)] : messages.find(({ id }) => id === call.id)
  }

  /** What the peer has answered a call. */
  givenTo(call: Call): Message | undefined {
    const { messages } = this.played.responses
    return messages.find(({ id }) => id !== undefined && id === call.id) ??
      messages.find(({ id }, index) =>
        !this.calls.some(({ made }) => id !== undefined && made.id === id) && this.#sent[index] === call
      )
  }

  /** The first call that the peer has not answered. */
  get outstanding(): Call | undefined {
    return this.#sent.find((call) => this.givenTo(call)?.whole !== true)
  }
}

/** How ours is to see a connection end. */
export type End =
  | {
    readonly _tag: "ConnectionClosed"
    readonly initiator: "local" | "remote"
    readonly code: number
    readonly reason?: string
  }
  | {
    readonly _tag: "ConnectionFailure" | "ConnectionAttemptFailed"
    readonly reason: "LinkError" | "ConnectionClosed" | "HandshakeRefused" | "ProtocolViolation"
    readonly code?: string
  }
