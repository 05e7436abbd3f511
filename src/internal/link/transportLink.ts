/**
 * A link over a transport of the program's own.
 */
import * as Effect from "effect/Effect"
import * as Socket from "effect/socket/Socket"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import type { Link } from "./link.ts"
import { linkFailure } from "./linkErrors.ts"
import * as model from "./model.ts"

const usedTwice = linkFailure("open", "the link has been used before: each attempt needs another one")

/** A link as users see it. @internal */
export const shown = (link: Link): model.Link => {
  let isUsed = false
  const take: Effect.Effect<Link, SwaggerSocketError> = Effect.suspend(() => {
    if (isUsed) return Effect.fail(usedTwice)
    isUsed = true
    return Effect.succeed(link)
  })
  return Object.assign(link, { [model.TypeId]: take })
}

/**
 * Has what the transport leaves out, and nothing of its other members: a transport may have one that is called as something
 * which links of this package have besides.
 */
class TransportLink implements Link {
  readonly pull: Link["pull"]
  readonly cork: (() => void) | undefined
  readonly uncork: (() => void) | undefined
  readonly isSecure: boolean
  readonly #transport: model.Transport
  #sent = 0

  constructor(transport: model.Transport) {
    const { cork, isSecure, pull, uncork } = transport
    this.pull = pull
    this.isSecure = isSecure === true
    // Together or not at all: what is held back has to leave.
    const corks = cork !== undefined && uncork !== undefined
    this.cork = corks ? () => cork.call(transport) : undefined
    this.uncork = corks ? () => uncork.call(transport) : undefined
    this.#transport = transport
  }

  send(message: Uint8Array<ArrayBuffer> | string): Socket.SocketError | undefined {
    this.#sent++
    try {
      return this.#transport.send(message)
    } catch (cause) {
      return new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause }) })
    }
  }

  isFull(): boolean {
    return this.#transport.isFull()
  }

  isEmpty(): boolean {
    return this.#transport.isEmpty?.() ?? false
  }

  taken(): number {
    return this.#transport.taken?.() ?? this.#sent
  }

  onRoom(resume: () => void): void {
    this.#transport.onRoom(resume)
  }

  close(code: number, reason: string): void {
    this.#transport.close(code, reason)
  }

  terminate(): void {
    this.#transport.terminate()
  }

  hangUp(): void {
    this.#transport.terminate()
  }
}

/** @internal */
export const make = (transport: model.Transport): model.Link => shown(new TransportLink(transport))
