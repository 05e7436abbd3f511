/**
 * A link in memory, as a pair: what one of its ends sends, the other one reads.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import { constFalse } from "effect/Function"
import * as Socket from "effect/socket/Socket"
import * as CloseCode from "../frame/CloseCode.ts"
import { eventLoop } from "../scheduling/eventLoop.ts"
import { Gate } from "../scheduling/gate.ts"
import type { Link } from "./link.ts"

type Message = Uint8Array | string

/** As many bytes as a socket buffers before it asks its writer to wait. */
const maxBuffered = 128 * 1024

class Inbox {
  readonly #gate = new Gate()
  #messages: Array<Message> = []
  #bytes = 0
  /** Bytes that were read. */
  taken = 0
  #end: Socket.SocketError | undefined
  #writer: (() => void) | undefined

  get isFull(): boolean {
    return this.#bytes > maxBuffered
  }

  get isClosed(): boolean {
    return this.#end !== undefined
  }

  onRoom(resume: () => void): void {
    this.#writer = resume
  }

  push(message: Message): void {
    this.#messages.push(message)
    this.#bytes += message.length
    this.#gate.notify()
  }

  close(code: number, closeReason: string): void {
    this.#end ??= new Socket.SocketError({ reason: new Socket.SocketCloseError({ code, closeReason }) })
    this.#gate.notify()
  }

  /** Breaks the link: messages that were not read are lost. */
  cut(): void {
    this.#messages = []
    this.#bytes = 0
    this.close(CloseCode.ABNORMAL, "")
  }

  #take(): NonEmptyReadonlyArray<Message> {
    const messages = this.#messages
    this.#messages = []
    this.taken += this.#bytes
    this.#bytes = 0
    const writer = this.#writer
    this.#writer = undefined
    if (writer !== undefined) eventLoop.requestMicrotask(writer)
    return messages as unknown as NonEmptyReadonlyArray<Message>
  }

  readonly #next = Effect.suspend(() =>
    this.#messages.length > 0 ? Effect.succeed(this.#take()) : Effect.fail(this.#end!)
  )

  readonly pull: Effect.Effect<NonEmptyReadonlyArray<Message>, Socket.SocketError> = Effect.andThen(
    this.#gate.until(() => this.#messages.length > 0 || this.#end !== undefined),
    this.#next
  )
}

const linkOf = (own: Inbox, other: Inbox): Link => {
  const terminate = () => {
    other.close(CloseCode.ABNORMAL, "")
    own.close(CloseCode.ABNORMAL, "")
  }
  return {
    pull: own.pull,
    send(message) {
      if (other.isClosed) {
        return new Socket.SocketError({
          reason: new Socket.SocketWriteError({ cause: new Error("the link is closed") })
        })
      }
      other.push(message)
      return undefined
    },
    // Full once the peer has closed it: a write that fails would end the connection before the close code is read.
    isFull: () => other.isFull || other.isClosed,
    // Never empty: the peer reads the same bytes, so their memory must not be used again.
    isEmpty: constFalse,
    taken: () => other.taken,
    onRoom: (resume) => other.onRoom(resume),
    close(code, reason) {
      other.close(code, reason)
      own.close(code, reason)
    },
    terminate,
    hangUp: terminate
  }
}

/** Two ends, and what cuts the link between them as a network does. @internal */
export const makePair = (): readonly [client: Link, server: Link, cut: () => void] => {
  const client = new Inbox()
  const server = new Inbox()
  const cut = () => {
    client.cut()
    server.cut()
  }
  return [linkOf(client, server), linkOf(server, client), cut]
}
