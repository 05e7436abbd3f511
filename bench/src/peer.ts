import type { Body, Item } from "./content.ts"

/**
 * What a file in `peers/` exports as default. `serve` and `connect` run in two processes of their own.
 */
export interface Peer {
  readonly title: string
  /** Listens on 127.0.0.1 and a free port, which it resolves with. */
  readonly serve: () => Promise<number>
  readonly connect: (port: number) => Promise<Client>
}

/**
 * The operations that scenarios measure. A peer leaves out what it cannot do.
 */
export interface Client {
  /** For peers whose client is one connection: it is open now, and stays. */
  readonly connection?: true
  /** The small call. */
  readonly small?: Operation<number, Item>
  /** The small call where 10,000 may be in flight on one connection. */
  readonly streams?: Operation<number, Item>
  /** Downloads a body. */
  readonly down?: (body: Body, receive: (chunk: Uint8Array) => void) => Promise<void>
  /** Uploads a body, which the server checks. Resolves with how much that was. */
  readonly up?: (body: Body) => Promise<number>
  /** Reads one stream of so many items, which the server makes one by one. */
  readonly items?: (count: number, receive: (item: Item) => void) => Promise<void>
}

/**
 * Calls one after the other for as long as `running`. Being a loop, and not a single call, lets a peer stay in its own
 * world: an Effect peer runs one fiber, a callback peer awaits promises, and neither pays for a bridge on each call.
 */
export type Operation<I, A> = (loop: Loop<I, A>) => Promise<void>

export interface Loop<I, A> {
  readonly running: () => boolean
  readonly input: () => I
  readonly answer: (answer: A) => void
}

/** The operation of peers whose calls are promises. */
export const promised = <I, A>(call: (input: I) => Promise<A>): Operation<I, A> => async (loop) => {
  while (loop.running()) loop.answer(await call(loop.input()))
}
