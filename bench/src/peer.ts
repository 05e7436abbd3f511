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
 * The operations scenarios measure. A peer leaves out what it cannot do.
 */
export interface Client {
  readonly small?: Operation<number, Item>
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

/**
 * The answer of the small call: 110 bytes of JSON.
 */
export interface Item {
  readonly id: number
  readonly name: string
  readonly site: string
  readonly state: string
  readonly temperature: number
  readonly seenAt: string
}

export const item = (id: number): Item => ({
  id,
  name: `Sensor ${id}`,
  site: "Lab",
  state: "on",
  temperature: 21.5,
  seenAt: "2026-01-01T12:00Z"
})

/**
 * The 5 request headers of the small call. Servers check the last one, which differs from call to call.
 */
export const headers = (id: number) => ({
  "accept": "application/json",
  "accept-language": "en",
  "authorization": "Bearer 6f1c0f0a4b8e4a7f9d5b2c3e1a0d9f8e",
  "user-agent": "bench/1.0",
  "x-request-id": String(id)
})
