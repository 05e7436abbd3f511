/**
 * What is sent, and whether what arrives is that.
 */

/**
 * The answer of the small call, and the element of streams: 110 bytes of JSON.
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

/** Numbers of items that are equally long. */
export const firstId = 100_000
export const ids = 900_000

export const checkItem = (id: number, answer: Item): void => {
  if (
    answer.id !== id || answer.name !== `Sensor ${id}` || answer.site !== "Lab" || answer.state !== "on" ||
    answer.temperature !== 21.5 || answer.seenAt !== "2026-01-01T12:00Z"
  ) throw new Error(`wrong answer to ${id}: ${JSON.stringify(answer)}`)
}

/** The stream of items, each made in its turn, and encoded where Effect does not. */
export function* items(count: number): Generator<Item> {
  for (let i = 0; i < count; i++) yield item(firstId + i)
}

export function* encodedItems<A>(count: number, encode: (item: Item) => A): Generator<A> {
  for (const item of items(count)) yield encode(item)
}

/** Fields that are the same in all small calls. */
export const fixedHeaders = {
  "accept": "application/json",
  "accept-language": "en",
  "authorization": "Bearer 6f1c0f0a4b8e4a7f9d5b2c3e1a0d9f8e",
  "user-agent": "bench/1.0"
}

/** The 5 request headers of the small call. Servers check the last one, which differs from call to call. */
export const headers = (id: number) => ({ ...fixedHeaders, "x-request-id": String(id) })

/** A small call's answer, or an error if its header is not that of the call. */
export const answer = (id: number, headers: { readonly [name: string]: unknown }): Item => {
  if (headers["x-request-id"] !== String(id)) throw new Error(`no header of ${id}`)
  return item(id)
}

export interface Body {
  readonly size: number
  /** Bytes that its sender writes at a time. */
  readonly chunk: number
}

export const MiB = 1024 * 1024

/** Bodies repeat this. */
const pattern = Buffer.allocUnsafe(MiB)
for (let i = 0; i < pattern.length; i++) pattern[i] = Math.imul(i, 0x9e3779b1) >>> 24

/** Each chunk is in a buffer of its own, as what is read from a file or a socket. `chunk` must divide a MiB. */
export function* chunks({ chunk, size }: Body): Generator<Buffer<ArrayBuffer>> {
  for (let at = 0; at < size; at += chunk) {
    const fresh = Buffer.allocUnsafeSlow(Math.min(chunk, size - at))
    const start = at % pattern.length
    pattern.copy(fresh, 0, start, start + fresh.length)
    yield fresh
  }
}

/** Checks a byte in 4 KiB, the last one of each chunk, and the length. */
export class BodyCheck {
  length = 0

  add(chunk: Uint8Array): void {
    for (let i = 0; i < chunk.length; i += 4096) this.#same(chunk, i)
    if (chunk.length > 0) this.#same(chunk, chunk.length - 1)
    this.length += chunk.length
  }

  end(size: number): void {
    if (this.length !== size) throw new Error(`${this.length} bytes instead of ${size}`)
  }

  #same(chunk: Uint8Array, i: number): void {
    const at = this.length + i
    if (chunk[i] !== pattern[at % pattern.length]) throw new Error(`wrong byte at ${at}`)
  }
}
